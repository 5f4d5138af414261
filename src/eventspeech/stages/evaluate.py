"""Stage `evaluate`: a trained model on the test split, once. No other stage opens the test split."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eventspeech import engines, losses, machine, network, seeds
from eventspeech.data import augmentation, batches, store
from eventspeech.data.store import SpikeStore
from eventspeech.errors import DataError
from eventspeech.files import sha256
from eventspeech.learning import logistic
from eventspeech.params import Params, Shape
from eventspeech.records import examples, metrics
from eventspeech.records import model as model_file

logger = logging.getLogger("eventspeech")


class Outputs(NamedTuple):
    """Files of a test."""

    metrics: Path
    predictions: Path
    confusion: Path
    examples: Path


class _Outcome(NamedTuple):
    """Losses and predictions of S samples; mean hidden spikes per neuron and trial, None without neurons."""

    losses: np.ndarray
    predictions: np.ndarray
    hidden_spikes: float | None


def evaluate(params: Params, model: Path, spikes: Path, outputs: Outputs) -> None:
    """Test ``model`` and write metrics, predictions, confusion matrix and a few examples.

    Args:
        params: ``evaluate`` is read.
        model: NPZ made by `train` or `baseline`.
        spikes: test split, of the classes that the model knows and trials as long as it was trained on.
        outputs: files to write.

    Raises:
        DataError: model or spikes are damaged, or do not belong together.
    """
    found = model_file.load(model)
    arrays, meta = found
    tested = {key: meta[key] for key in ("kind", "loss", "seed", "fold")} | {"sha256": sha256(model)}
    samples = store.load_test(spikes)
    if list(samples.class_names) != meta["class_names"]:
        raise DataError(
            f"{model} was trained on the classes {', '.join(meta['class_names'])}, but {spikes} holds "
            f"{', '.join(samples.class_names)}; train the model on this source."
        )
    if meta["kind"] == "spiking":
        on = model_file.network_of(found)
        if abs(on.trial_ms - samples.trial_ms) > 1e-6 * on.trial_ms:
            raise DataError(
                f"{model} was trained on trials of {on.trial_ms:g} ms, but {spikes} holds trials of "
                f"{samples.trial_ms:g} ms; train the model on this source."
            )
        outcome = _run_network(params, on, arrays, meta, samples, outputs.examples)
    else:
        logits, predictions = logistic.predict(arrays, meta, samples)
        outcome = _Outcome(losses.cross_entropy(logits, samples.labels)[0], predictions, None)
        _require_finite(outcome)
        examples.write(outputs.examples, {})
    _write(tested, meta, samples, outcome, outputs)


def _run_network(
    params: Params, on: network.Network, weights: network.Weights, meta: dict[str, Any], samples: SpikeStore,
    kept: Path,
) -> _Outcome:  # fmt: skip
    engine = engines.create(params.evaluate.engine, on, machine.threads())
    objective = losses.objective(Shape(**meta["shape"]), on.steps)
    binned = batches.on_grid(samples, on.step_ms, on.steps)
    if meta.get("spike_count") is not None:  # the network knows samples with as many spikes only
        rng = seeds.generator(meta["seed"], "normalise", "test")
        binned = augmentation.normalise(binned, meta["spike_count"], rng)
    found, spikes = [], 0.0
    for first in range(0, len(samples), params.evaluate.batch_size):
        batch = batches.take(binned, np.arange(first, min(first + params.evaluate.batch_size, len(samples))))
        found.append(engine.infer(weights, batch, objective))
        spikes += float(sum(counts.sum() for counts in found[-1].spike_counts))
    sample_losses, predictions = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("losses", "predictions")
    )
    outcome = _Outcome(sample_losses, predictions, spikes / (len(samples) * sum(on.hidden)))
    _require_finite(outcome)
    examples.write(kept, _examples(engine, weights, objective, on, binned, samples, params.evaluate.examples))
    return outcome


def _require_finite(outcome: _Outcome) -> None:
    if not np.isfinite(outcome.losses).all():
        raise DataError("The model's outputs on the test split are not finite numbers; train the model again.")


def _examples(engine, weights, objective, on, binned, samples: SpikeStore, count: int) -> dict[str, np.ndarray]:
    """Return what the network does with the first sample of each of ``count`` classes."""
    present = np.unique(samples.labels)
    classes = present[np.linspace(0, len(present) - 1, min(count, len(present))).round().astype(int)]
    chosen = np.array([np.flatnonzero(samples.labels == label)[0] for label in classes])
    batch = batches.take(binned, chosen)
    seen = engine.record(weights, batch, objective)
    hidden = seen.hidden[-1]
    return {
        "input_offsets": batch.offsets,
        "input_times_ms": (batch.steps * on.step_ms).astype(np.float32),
        "input_channels": batch.channels,
        "hidden_offsets": hidden.offsets,
        "hidden_times_ms": (hidden.steps * on.step_ms).astype(np.float32),
        "hidden_units": hidden.channels,
        "output_voltage": seen.output_voltage,
        "logits": seen.inference.logits,
        "labels": batch.labels,
        "predictions": seen.inference.predictions,
        "class_names": np.array(samples.class_names, dtype=np.str_),
        "speakers": np.array([samples.speaker_names[i] for i in samples.speakers[chosen]], dtype=np.str_),
        "step_ms": np.float64(on.step_ms),
        "trial_ms": np.float64(on.trial_ms),
    }


def _accuracy(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if len(hits) else None


def _write(
    tested: dict[str, Any], meta: dict[str, Any], samples: SpikeStore, outcome: _Outcome, outputs: Outputs
) -> None:
    hits = outcome.predictions == samples.labels
    classes, speakers = np.array(samples.class_names), np.array(samples.speaker_names)[samples.speakers]
    heard = np.isin(speakers, meta["heard_speakers"])
    # the epoch was chosen on them, so they are neither heard nor unheard
    chosen_on = np.isin(speakers, meta["validation_speakers"])
    unheard = ~heard & ~chosen_on
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (samples.labels, outcome.predictions), 1)
    metrics.write_confusion(outputs.confusion, list(samples.class_names), confusion)
    metrics.write_predictions(
        outputs.predictions, speakers, heard, classes[samples.labels], classes[outcome.predictions]
    )
    by_speaker = {
        name: {
            "accuracy": _accuracy(hits[speakers == name]),
            "samples": int(np.sum(speakers == name)),
            "heard": bool(heard[speakers == name][0]),
            "validation": bool(chosen_on[speakers == name][0]),
        }
        for name in samples.speaker_names
        if np.any(speakers == name)
    }
    found: dict[str, Any] = {
        "model": tested,
        "samples": len(samples),
        "accuracy": _accuracy(hits),
        "loss": float(outcome.losses.mean()),
        "accuracy_heard": _accuracy(hits[heard]),
        "accuracy_unheard": _accuracy(hits[unheard]),
        "accuracy_validation_speakers": _accuracy(hits[chosen_on]),
        "accuracy_by_speaker": by_speaker,
        "hidden_spikes": outcome.hidden_spikes,
    }
    metrics.write(outputs.metrics, found)
    who = f"{meta['loss']}/{meta['seed']}/{meta['fold']}" if meta["loss"] else f"{meta['kind']}/{meta['fold']}"
    on_unheard = (
        "" if found["accuracy_unheard"] is None else f"  unheard speakers {100 * found['accuracy_unheard']:.1f} %"
    )
    logger.info("evaluate %s  test %.1f %%%s", who, 100 * found["accuracy"], on_unheard)

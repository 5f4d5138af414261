"""Stage `evaluate`: a trained model on the test split, once. No other stage opens the test split."""

import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eventspeech import engines, losses, machine, network, seeds
from eventspeech.data import audio, augmentation, batches, recordings_index, sources, store
from eventspeech.data.store import SpikeStore
from eventspeech.engines.contract import Engine
from eventspeech.errors import DataError, ParameterError, UserError
from eventspeech.files import sha256
from eventspeech.learning import logistic
from eventspeech.losses import Objective
from eventspeech.params import Params, Shape
from eventspeech.records import examples, metrics
from eventspeech.records import model as model_file

logger = logging.getLogger("eventspeech")

ANY_STEP = "cpu"
"""The engine that computes a network at a step that the chosen one cannot: it needs no device and little memory."""


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


class _Grid(NamedTuple):
    """What runs a network on a time grid: its engine there, its weights, its loss and its S samples."""

    engine: Engine
    weights: network.Weights
    objective: Objective
    samples: batches.Batch


def evaluate(params: Params, model: Path, spikes: Path, outputs: Outputs, raw: Path | None = None) -> None:
    """Test ``model`` and write metrics, predictions, confusion matrix and a few examples.

    Args:
        params: ``evaluate`` is read.
        model: NPZ made by `train` or `baseline`.
        spikes: test split, of the classes that the model knows and trials as long as it was trained on.
        outputs: files to write.
        raw: folder made by `download`, whose recordings of the examples are kept if they may be part of a report.

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
        grids = _grids(params, model, on)
        outcome = _run_network(params, on, found, samples, outputs.examples, raw)
        of_steps = {"step_ms": on.step_ms, "steps": _at_steps(params, on, grids, found, samples, outcome)}
    else:
        logits, predictions = logistic.predict(arrays, meta, samples)
        outcome = _Outcome(losses.cross_entropy(logits, samples.labels)[0], predictions, None)
        _require_finite(outcome)
        examples.write(outputs.examples, {})
        of_steps = {"step_ms": None, "steps": []}
    _write(tested, meta, samples, outcome, of_steps, outputs)


def _run_network(
    params: Params, on: network.Network, model: model_file.Model, samples: SpikeStore, kept: Path, raw: Path | None
) -> _Outcome:
    grid = _on_grid(params.evaluate.engine, on, model, samples)
    outcome = _outcome(grid, params.evaluate.batch_size)
    chosen = _chosen(samples, params.evaluate.examples)
    examples.write(kept, _examples(grid, samples, chosen) | _sound(raw, samples, chosen))
    return outcome


def _on_grid(engine: str, on: network.Network, model: model_file.Model, samples: SpikeStore) -> _Grid:
    meta, (weights, theta) = model.meta, losses.apart(model.arrays)
    binned = batches.on_grid(samples, on.step_ms, on.steps)
    if meta.get("spike_count") is not None:  # the network knows samples with as many spikes only
        rng = seeds.generator(meta["seed"], "normalise", "test")
        binned = augmentation.normalise(binned, meta["spike_count"], rng)
    objective = losses.objective(Shape(**meta["shape"]), on.steps, theta=theta)
    return _Grid(engines.create(engine, on, machine.threads()), weights, objective, binned)


def _outcome(grid: _Grid, batch_size: int) -> _Outcome:
    found, spikes, count = [], 0.0, len(grid.samples)
    for first in range(0, count, batch_size):
        batch = batches.take(grid.samples, np.arange(first, min(first + batch_size, count)))
        found.append(grid.engine.infer(grid.weights, batch, grid.objective))
        spikes += float(sum(counts.sum() for counts in found[-1].spike_counts))
    sample_losses, predictions = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("losses", "predictions")
    )
    outcome = _Outcome(sample_losses, predictions, spikes / (count * sum(grid.engine.network.hidden)))
    _require_finite(outcome)
    return outcome


def _grids(params: Params, model: Path, on: network.Network) -> list[tuple[str, network.Network]]:
    """Return the network on the grids of ``evaluate.steps_ms``, the longest step first.

    None if that is the trained one alone; else on each under both kinds of ``metrics.DEAD_TIMES``, in their order.

    Raises:
        ParameterError: the trained step is not among them, or one does not divide the network's times.
    """
    steps_ms = params.evaluate.steps_ms
    if steps_ms and on.step_ms not in steps_ms:
        raise ParameterError(
            f"{model} was trained at steps of {on.step_ms:g} ms, which evaluate.steps_ms = {steps_ms} lacks; add that "
            "step, or set evaluate.steps_ms to []."
        )
    if all(step_ms == on.step_ms for step_ms in steps_ms):
        return []
    kinds = [(kind, kind == metrics.KEPT) for kind in metrics.DEAD_TIMES]
    ordered = sorted(steps_ms, reverse=True)
    return [(kind, network.at_step(on, step_ms, dead_time=kept)) for step_ms in ordered for kind, kept in kinds]


def _at_steps(
    params: Params, on: network.Network, grids: list[tuple[str, network.Network]], model: model_file.Model,
    samples: SpikeStore, trained: _Outcome,
) -> list[dict[str, Any]]:  # fmt: skip
    """Test the network on these grids, too; return what `records.metrics` knows as ``steps``."""
    began = time.perf_counter()
    rows: list[dict[str, Any]] = []
    found: dict[network.Network, tuple[str, _Outcome]] = {on: (params.evaluate.engine, trained)}
    for kind, grid in grids:
        if grid not in found:  # at the trained and at coarser steps both kinds can be one network
            found[grid] = _at_step(params, grid, model, samples)
        engine, outcome = found[grid]
        row = {
            "step_ms": grid.step_ms,
            "dead_time": kind,
            "refractory_ms": grid.refractory_ms,
            "engine": engine,
            "accuracy": _accuracy(outcome.predictions == samples.labels),
            "hidden_spikes": outcome.hidden_spikes,
            "agreement": float(np.mean(outcome.predictions == trained.predictions)),
        }
        rows.append(row)
    for kind, words in metrics.DEAD_TIMES.items():
        told = ", ".join(
            f"{100 * row['accuracy']:.1f} % at {row['step_ms']:g} ms" for row in rows if row["dead_time"] == kind
        )
        if told:
            logger.info("evaluate %s  dead time %s: %s", _job(model.meta), words, told)
    if rows:
        logger.info("evaluate %s  other steps took %.1f s", _job(model.meta), time.perf_counter() - began)
    return rows


def _at_step(params: Params, on: network.Network, model: model_file.Model, samples: SpikeStore) -> tuple[str, _Outcome]:
    """Return the engine that could compute the network on a grid, and what came out."""
    engine, size = params.evaluate.engine, params.evaluate.batch_size
    try:
        return engine, _outcome(_on_grid(engine, on, model, samples), size)
    except DataError:
        raise
    except UserError as error:
        if engine == ANY_STEP:
            raise
        logger.warning("steps of %g ms are computed by engine %s: %s", on.step_ms, ANY_STEP, error)
        return ANY_STEP, _outcome(_on_grid(ANY_STEP, on, model, samples), size)


def _require_finite(outcome: _Outcome) -> None:
    if not np.isfinite(outcome.losses).all():
        raise DataError("The model's outputs on the test split are not finite numbers; train the model again.")


def _chosen(samples: SpikeStore, count: int) -> np.ndarray:
    """Return the first sample of each of ``count`` classes, int64."""
    present = np.unique(samples.labels)
    classes = present[np.linspace(0, len(present) - 1, min(count, len(present))).round().astype(int)]
    return np.array([np.flatnonzero(samples.labels == label)[0] for label in classes])


def _sound(raw: Path | None, samples: SpikeStore, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Return the recordings of samples as :mod:`.examples` keeps them, nothing where they are not for a report."""
    if raw is None:
        return {}
    description = sources.read_description(raw)
    if not sources.named(description["kind"]).publishable:
        return {}
    # the store holds the samples of a split in the order of the index
    tested = [entry for entry in recordings_index.read_index(raw) if entry.split == store.TEST]
    entries = [tested[place] for place in chosen] if len(tested) == len(samples) else []
    told = [(samples.class_names[samples.labels[i]], samples.speaker_names[samples.speakers[i]]) for i in chosen]
    if [(entry.label, entry.speaker) for entry in entries] != told:
        raise DataError(f"{raw} holds other recordings than the spikes were made of; run the stage `preprocess` again.")
    found = [audio.read(recordings_index.file_of(raw, entry)) for entry in entries]
    rate_hz = {sound.rate_hz for sound in found}
    if len(rate_hz) != 1:
        return {}
    heard = [np.clip(np.rint(32767 * sound.samples), -32768, 32767).astype(np.int16) for sound in found]
    ends = np.cumsum([0, *map(len, heard)])
    return {"sound": np.concatenate(heard), "sound_offsets": ends, "sound_rate_hz": np.array(rate_hz.pop())}


def _examples(grid: _Grid, samples: SpikeStore, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the network does with some samples."""
    on, batch = grid.engine.network, batches.take(grid.samples, chosen)
    seen = grid.engine.record(grid.weights, batch, grid.objective)
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
        "step_ms": np.array(on.step_ms, np.float64),
        "trial_ms": np.array(on.trial_ms, np.float64),
    }


def _accuracy(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if len(hits) else None


def _job(meta: dict[str, Any]) -> str:
    return f"{meta['loss']}/{meta['seed']}/{meta['fold']}" if meta["loss"] else f"{meta['kind']}/{meta['fold']}"


def _write(
    tested: dict[str, Any], meta: dict[str, Any], samples: SpikeStore, outcome: _Outcome, of_steps: dict[str, Any],
    outputs: Outputs,
) -> None:  # fmt: skip
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
        **of_steps,
    }
    metrics.write(outputs.metrics, found)
    on_unheard = (
        "" if found["accuracy_unheard"] is None else f"  unheard speakers {100 * found['accuracy_unheard']:.1f} %"
    )
    logger.info("evaluate %s  test %.1f %%%s", _job(meta), 100 * found["accuracy"], on_unheard)

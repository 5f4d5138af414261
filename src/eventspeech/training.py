"""Stage `train`: one network, one loss, one seed, one fold.

Everything random is derived from the seed and the epoch, never from the loss: losses compared under one seed share
initial weights, order of samples and augmentation (a loss that has an output_mean or output_sd of its own shares the
draws behind its output weights). The epoch is chosen as `train.select` says: by the accuracy on samples held out
(:mod:`.validation`) or in training (ties: the lower loss), or it is the last; the test split cannot be read here. An
interrupted training goes on from its checkpoint and ends with the same bits.
"""

import csv
import hashlib
import io
import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eventspeech import __version__, collapse, engines, losses, machine, model_file, network, schedule, seeds
from eventspeech.data import augmentation, batches, store
from eventspeech.data.store import SpikeStore
from eventspeech.engines.base import Inference
from eventspeech.errors import DataError, UserError
from eventspeech.files import read_npz, sha256, write_json, write_npz, write_text
from eventspeech.network import Weights
from eventspeech.optimiser import Adam
from eventspeech.params import Params, Schedule, select
from eventspeech.progress import clock
from eventspeech.validation import only, speakers, split

logger = logging.getLogger("eventspeech")

SECONDS_BETWEEN_LINES = 10.0


class Outputs(NamedTuple):
    """Files of a training; the checkpoint is removed when the others are written."""

    weights: Path
    history: Path
    summary: Path
    checkpoint: Path


class Row(NamedTuple):
    """One epoch of the history."""

    epoch: int
    training_loss: float
    training_accuracy: float
    validation_loss: float
    validation_accuracy: float
    hidden_spikes: float
    learning_rate: float
    floored_fraction: float
    training_s: float
    validation_s: float


class EpochResult(NamedTuple):
    """Means over the samples of an epoch; ``hidden_spikes`` per neuron and trial."""

    loss: float
    accuracy: float
    hidden_spikes: float
    floored_fraction: float
    samples: int


class Tally:
    """Sums up the results of batches."""

    def __init__(self) -> None:
        self.samples = self.hits = self.floored = 0
        self.loss = self.spikes = 0.0
        self.neurons = 1
        self.counts: list[np.ndarray] = []

    def add(self, inference: Inference, labels: np.ndarray, floored: int = 0) -> None:
        """Count one batch in."""
        self.samples += len(labels)
        self.hits += int(np.sum(inference.predictions == labels))
        self.loss += float(inference.losses.sum())
        found = [counts.sum(axis=0, dtype=np.int64) for counts in inference.spike_counts]
        self.counts = [one + more for one, more in zip(self.counts, found, strict=True)] if self.counts else found
        self.spikes += float(sum(counts.sum() for counts in found))
        self.neurons = sum(map(len, found))
        self.floored += floored

    def result(self) -> EpochResult:
        """Return the means."""
        return EpochResult(
            self.loss / self.samples,
            self.hits / self.samples,
            self.spikes / (self.samples * self.neurons),
            self.floored / max(1.0, self.spikes),
            self.samples,
        )


class Trainer:
    """Weights, optimiser and data of one training; an epoch at a time.

    Args:
        params: all parameters; the groups network, train and augmentation are used, with the changes of ``loss``.
        loss: an entry of ``params.shape``.
        seed: base of everything random.
        training: the samples to learn from.
        batch_size: overrides ``params.train.batch_size``.

    Attributes:
        weights: weights and time constants, as they are now.
        learning_rate: the full one; :func:`eventspeech.schedule.ease_in` lowers it for the first batches.
        last_rate: the one of the last batch.
        silent: bool[H] for each hidden layer, the neurons that did not fire in the last epoch.
        augmentation: what the network is shown of the training samples.
    """

    def __init__(self, params: Params, loss: str, seed: int, training: SpikeStore, batch_size: int | None = None):
        params = params.for_loss(loss)
        self.shape = params.shape[loss]
        self.network = network.build(params.network, len(training.class_names), training.trial_ms)
        self.objective = losses.objective(self.shape, self.network.steps, params.train.regulariser)
        self.learning_rate = self.shape.learning_rate or params.train.learning_rate
        self._shortest_ms = {"tau_mem_ms": params.train.tau_mem_min_ms, "tau_syn_ms": params.train.tau_syn_min_ms}
        constants = network.initial_time_constants(
            self.network,
            seed,
            params.train.learn_time_constants,
            params.network.time_constants == "heterogeneous",
            self._shortest_ms,
            params.train.learn_output_time_constants,
        )
        drawn = params.network.model_copy(update=self.shape.output_weights())
        weights = network.initial_weights(self.network, drawn, seed)
        self.weights = weights | constants
        # heterogeneous time constants are there without being learned, too
        self.learns_constants = params.train.learn_time_constants != "none"
        learned = self.weights if self.learns_constants else weights
        self.optimiser = Adam(learned, params.train.adam_beta1, params.train.adam_beta2, params.train.adam_epsilon)
        self._batch_size = batch_size or params.train.batch_size
        self.engine = engines.create(
            params.train.engine, self.network, machine.threads(), self._batch_size, params.train.accumulate
        )
        self._ease_in, self._lift = params.train.ease_in, params.train.silent_lift
        self.last_rate = self.learning_rate
        self.silent: list[np.ndarray] = []
        self._seed = seed
        self.augmentation = augmentation.Augmentation(
            params.augmentation, self.on_grid(training), self.network.steps, seed
        )

    def on_grid(self, samples: SpikeStore) -> batches.Batch:
        """Put samples on the network's grid."""
        return batches.on_grid(samples, self.network.step_ms, self.network.steps)

    def for_validation(self, samples: SpikeStore) -> batches.Batch:
        """Put held-out samples on the grid, with as many spikes as training leaves, drawn once."""
        found, count = self.on_grid(samples), self.augmentation.spike_count
        if count is None:
            return found
        return augmentation.normalise(found, count, seeds.generator(self._seed, "normalise", "validation"))

    def presented(self, number: int) -> Iterator[batches.Batch]:
        """Yield the batches of an epoch: all training samples in new order, augmented."""
        return self.augmentation.epoch(number, self._batch_size)

    def epoch(self, number: int) -> EpochResult:
        """Learn from every training sample once."""
        tally = Tally()
        for batch in batches.ahead(self.presented(number)):
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below, in one sentence
                found = self.engine.gradients(self.weights, batch, self.objective)
                self.last_rate = self.learning_rate * schedule.ease_in(self._ease_in, self.optimiser.updates)
                self.optimiser.step(self.weights, found.weights, self.last_rate)
                self._bound_time_constants()
            tally.add(found.inference, batch.labels, found.floored)
            _require_finite(number, found.inference.losses, *self.weights.values())
        self.silent = [counts == 0 for counts in tally.counts]
        return tally.result()

    def lift_silent(self) -> None:
        """Raise the weights from the layer before to neurons that were silent in the last epoch, or to all.

        The published code says silent and raises all. Recurrent weights stay, there and here.
        """
        if not self._lift.amount:
            return
        for layer, silent in enumerate(self.silent, 1):
            before = f"hidden{layer - 1}" if layer > 1 else "input"
            lifted = silent if self._lift.neurons == "silent" else np.ones_like(silent)
            self.weights[f"{before}_hidden{layer}"] += np.float32(self._lift.amount) * lifted

    def _bound_time_constants(self) -> None:
        for name, array in self.weights.items():
            for kind, shortest_ms in self._shortest_ms.items():
                if name.endswith(kind):
                    np.maximum(array, np.float32(shortest_ms), out=array)

    def validate(self, samples: batches.Batch) -> EpochResult:
        """Run samples forward, without augmentation."""
        tally = Tally()
        for first in range(0, len(samples), self._batch_size):
            batch = batches.take(samples, np.arange(first, min(first + self._batch_size, len(samples))))
            with np.errstate(over="ignore", invalid="ignore"):
                tally.add(self.engine.infer(self.weights, batch, self.objective), batch.labels)
        return tally.result()


def _require_finite(number: int, *arrays: np.ndarray) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise UserError(
            f"The training diverged in epoch {number} (a loss or weight is not finite); lower train.learning_rate "
            "or the initial weights in the parameter file."
        )


class ProfiledEpoch(NamedTuple):
    """What `profile` wants of an epoch: see `stages.profile.EpochResult`."""

    accuracy: float
    loss: float
    samples: int
    adam_damping: Callable[[], float]


def workload(params: Params, loss: str, batch_size: int, training: SpikeStore) -> Callable[[], ProfiledEpoch]:
    """Return a function that trains one epoch on ``profile.samples`` of the samples: what `profile` measures.

    A stated number of samples with the blended ones is brought down to as large a share. ``params`` are those of the
    loss (:meth:`.params.Params.for_loss`), so that what `profile` sets for its measurement stays.
    """
    count = min(params.profile.samples, len(training))
    blend = params.augmentation.blend
    if blend.samples is not None:
        fewer = blend.model_copy(update={"samples": max(count + 1, round(blend.samples * count / len(training)))})
        changed = params.augmentation.model_copy(update={"blend": fewer})
        params = params.model_copy(update={"augmentation": changed})
    chosen = seeds.generator(0, "profile").choice(len(training), count, replace=False)
    trainer = Trainer(params, loss, 0, training.select(chosen), batch_size)
    epochs = itertools.count(1)

    def epoch() -> ProfiledEpoch:
        result = trainer.epoch(next(epochs))
        return ProfiledEpoch(result.accuracy, result.loss, result.samples, trainer.optimiser.damping)

    return epoch


class _Progress:
    """State of a training between epochs: what a checkpoint holds beside weights and optimiser."""

    def __init__(self, select: str = "validation") -> None:
        self.rows: list[Row] = []
        self.best: Weights = {}
        self._select = select

    def _key(self, row: Row) -> tuple[float, ...]:
        """Return what is highest for the chosen epoch; of equals the first is chosen."""
        return {
            "validation": (row.validation_accuracy, -row.validation_loss, -row.epoch),
            "training": (row.training_accuracy, -row.training_loss, -row.epoch),
            "last": (row.epoch,),
        }[self._select]

    def better(self, row: Row) -> bool:
        """Say whether ``row`` beats all rows before."""
        return all(self._key(row) > self._key(other) for other in self.rows)

    def best_row(self) -> Row:
        """Return the chosen epoch."""
        return max(self.rows, key=self._key)

    def rate(self, settings: Schedule) -> float:
        """Return the schedule's factor on the learning rate of the epoch to come."""
        return schedule.reduction(settings, [row.validation_accuracy for row in self.rows])

    def collapsed_at(self, held_out: int, trainer: Trainer, epochs: int | None = None) -> int | None:
        """Return the epoch in which validation or training fell to chance for good: the earlier of both."""
        seen, classes = self.rows[:epochs], trainer.network.outputs
        found = (
            collapse.collapsed_at([row.validation_accuracy for row in seen], held_out, classes),
            collapse.collapsed_at([row.training_accuracy for row in seen], trainer.augmentation.presented, classes),
        )
        return min((epoch for epoch in found if epoch is not None), default=None)

    def tell_of_collapse(self, name: str, held_out: int, trainer: Trainer) -> None:
        """Say it when a training has just turned out to have collapsed."""
        epoch = self.collapsed_at(held_out, trainer)
        if epoch is not None and self.collapsed_at(held_out, trainer, len(self.rows) - 1) is None:
            logger.warning(
                "%s  accuracy has been at chance since epoch %d, after the network had learned; the run goes on and "
                "is marked as collapsed",
                name,
                epoch,
            )


def train(params: Params, loss: str, seed: int, spikes: Path, outputs: Outputs, fold: str | None = None) -> None:
    """Train, choose the epoch on samples held out, write weights, history and summary.

    ``fold`` is one of ``study.folds``; it may be left out where there is one only.
    """
    params = params.for_loss(loss)
    fold = only(params) if fold is None else fold
    samples = store.load(spikes)
    training, held_out = split(params, samples, fold)
    augmentation.require_partners(params.augmentation, training.labels, training.class_names)
    trainer = Trainer(params, loss, seed, training)
    validation = trainer.for_validation(held_out)
    name = f"train {loss}/{seed}" + (f"/{fold}" if len(params.study.folds) > 1 else "")
    size = sum(array.size for array in trainer.weights.values())
    logger.info("%s  %d samples, %d held out, %d weights", name, len(training), len(held_out), size)
    fingerprint = _fingerprint(params, loss, seed, fold, spikes)
    progress = _resume(outputs.checkpoint, fingerprint, trainer, _Progress(params.train.select))
    start, said, resumed = time.monotonic(), 0.0, len(progress.rows)
    full_rate = trainer.learning_rate
    for number in range(len(progress.rows) + 1, params.train.epochs + 1):
        trainer.learning_rate = full_rate * progress.rate(params.train.schedule)
        row = _run_epoch(trainer, number, validation)
        if progress.better(row):
            progress.best = {key: array.copy() for key, array in trainer.weights.items()}
        progress.rows.append(row)
        trainer.lift_silent()
        progress.tell_of_collapse(name, len(validation), trainer)
        if row.hidden_spikes == 0:
            logger.warning("%s  epoch %d: no hidden neuron fired; raise network.input_mean or input_sd", name, number)
        elapsed = time.monotonic() - start
        if elapsed - said > SECONDS_BETWEEN_LINES or number in (1, params.train.epochs):
            said = elapsed
            left = elapsed / (number - resumed) * (params.train.epochs - number)
            logger.info("%s", _line(name, row, params.train.epochs, left))
        if number < params.train.epochs:
            _save_checkpoint(outputs.checkpoint, fingerprint, trainer, progress)
    _write(params, loss, seed, fold, trainer, progress, training, held_out, outputs)
    outputs.checkpoint.unlink(missing_ok=True)


def _run_epoch(trainer: Trainer, number: int, validation: batches.Batch) -> Row:
    start = time.perf_counter()
    learned = trainer.epoch(number)
    middle = time.perf_counter()
    seen = trainer.validate(validation)
    _require_finite(number, np.array(seen.loss))
    return Row(
        number, learned.loss, learned.accuracy, seen.loss, seen.accuracy, learned.hidden_spikes,
        trainer.last_rate, learned.floored_fraction, middle - start, time.perf_counter() - middle,
    )  # fmt: skip


def _line(name: str, row: Row, epochs: int, left_s: float) -> str:
    accuracies = f"training {100 * row.training_accuracy:.1f} %  validation {100 * row.validation_accuracy:.1f} %"
    activity = f"{row.hidden_spikes:.1f} spikes/neuron"
    return (
        f"{name}  epoch {row.epoch}/{epochs}  loss {row.training_loss:.3f}  {accuracies}  {activity}"
        f"  {clock(left_s)} left"
    )


def _fingerprint(params: Params, loss: str, seed: int, fold: str, spikes: Path) -> str:
    """Return a digest of all that decides the result, so that only an equal training is continued."""
    read = select(params, "train", loss)
    text = json.dumps([__version__, read, loss, seed, fold, sha256(spikes)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _save_checkpoint(path: Path, fingerprint: str, trainer: Trainer, progress: _Progress) -> None:
    arrays = {f"weights.{name}": array for name, array in trainer.weights.items()}
    arrays |= {f"best.{name}": array for name, array in progress.best.items()}
    arrays |= {f"adam.{name}": array for name, array in trainer.optimiser.state().items()}
    arrays |= {"rows": np.array(progress.rows, np.float64), "fingerprint": np.array(fingerprint)}
    write_npz(path, arrays, compress=False)


def _resume(path: Path, fingerprint: str, trainer: Trainer, progress: _Progress) -> _Progress:
    if not path.exists():
        return progress
    try:
        arrays = read_npz(path)
    except DataError as error:
        logger.info("The checkpoint %s cannot be read and is ignored: training starts anew (%s)", path, error)
        return progress
    if str(arrays.get("fingerprint")) != fingerprint:
        logger.info("The checkpoint %s belongs to other parameters or data and is ignored", path)
        return progress

    def part(prefix: str) -> Weights:
        return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    trainer.weights, progress.best = part("weights."), part("best.")
    trainer.optimiser.restore(part("adam."))
    progress.rows = [Row(int(row[0]), *map(float, row[1:])) for row in arrays["rows"]]
    logger.info("Going on after epoch %d, from %s", len(progress.rows), path)
    return progress


def _write(params, loss, seed, fold, trainer, progress, training, held_out, outputs: Outputs) -> None:
    best = progress.best_row()
    meta = {
        "kind": "spiking",
        "loss": loss,
        "seed": seed,
        "fold": fold,
        "epoch": best.epoch,
        "network": json.loads(trainer.network.to_json()),
        "shape": trainer.shape.model_dump(mode="json"),
        "class_names": list(training.class_names),
        **speakers(training, held_out),
        "spike_count": trainer.augmentation.spike_count,
    }
    model_file.save(outputs.weights, progress.best, meta)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(progress.rows)
    write_text(outputs.history, text.getvalue())
    seconds = sum(row.training_s + row.validation_s for row in progress.rows)
    presented = trainer.augmentation.presented * len(progress.rows)
    write_json(
        outputs.summary,
        {
            "loss": loss,
            "seed": seed,
            "fold": fold,
            "protocol": params.validation.protocol,
            **speakers(training, held_out),
            "kind": trainer.shape.kind,
            "mean_weight": losses.mean_weight(trainer.shape),
            "engine": params.train.engine,
            "epochs": len(progress.rows),
            "selected_by": params.train.select,
            "best_epoch": best.epoch,
            "best_validation_accuracy": best.validation_accuracy,
            "best_validation_loss": best.validation_loss,
            "final_validation_accuracy": progress.rows[-1].validation_accuracy,
            "final_training_accuracy": progress.rows[-1].training_accuracy,
            "collapsed_at_epoch": progress.collapsed_at(len(held_out), trainer),
            "hidden_spikes": best.hidden_spikes,
            "floored_fraction": best.floored_fraction,
            "training_samples": len(training),
            "presented_samples": trainer.augmentation.presented,
            "validation_samples": len(held_out),
            "weights": int(sum(array.size for array in progress.best.values())),
            **_mean_time_constants(trainer, progress.best),
            "duration_s": seconds,
            "ms_per_sample": 1000 * sum(row.training_s for row in progress.rows) / presented,
            "threads": machine.threads(),
            "machine": machine.facts(),
        },
    )


def _mean_time_constants(trainer: Trainer, weights: Weights) -> dict[str, dict[str, float]]:
    """Return the mean over each population of what was learned, in ms; nothing if nothing was."""
    if not trainer.learns_constants:
        return {}
    constants = {name: array for name, array in weights.items() if network.is_time_constant(name)}
    return {"time_constants": {name: float(array.mean(dtype=np.float64)) for name, array in constants.items()}}

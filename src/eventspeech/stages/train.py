"""Stage `train`: one network, one loss, one seed, one fold.

Everything random is derived from the seed and the epoch, never from the loss: losses compared under one seed share
initial weights, order of samples and augmentation (a loss that has an output_mean or output_sd of its own shares the
draws behind its output weights). The epoch is chosen as `train.select` says: by the accuracy on samples held out
(:mod:`eventspeech.learning.folds`) or in training (ties: the lower loss), or it is the last; the test split cannot be
read here. An interrupted training goes on from its checkpoint and ends with the same bits.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eventspeech import disk, losses, machine, network
from eventspeech.data import augmentation, batches, store
from eventspeech.files import write_json
from eventspeech.learning import checkpoint
from eventspeech.learning.folds import only, speakers, split
from eventspeech.learning.trainer import Trainer, require_finite
from eventspeech.network import Weights
from eventspeech.params import Params, Train
from eventspeech.progress import SECONDS_BETWEEN_LINES, clock
from eventspeech.records import history
from eventspeech.records import model as model_file
from eventspeech.records.history import Row

logger = logging.getLogger("eventspeech")


class Outputs(NamedTuple):
    """Files of a training; when the others are written, the checkpoint keeps what they hold."""

    weights: Path
    history: Path
    summary: Path
    checkpoint: Path

    def results(self) -> dict[str, Path]:
        """Return all but the checkpoint, by name."""
        return {"weights": self.weights, "history": self.history, "summary": self.summary}


def train(params: Params, loss: str, seed: int, spikes: Path, outputs: Outputs, fold: str | None = None) -> None:
    """Train, choose the epoch on samples held out, write weights, history and summary.

    Args:
        params: all parameters; what `train` reads of them decides the result, and nothing else does.
        loss: an entry of ``shape``.
        seed: base of everything random.
        spikes: training split.
        outputs: files to write: see :mod:`eventspeech.records.model`, :mod:`eventspeech.records.history`, and
            :func:`_summary`. A checkpoint of this very training is taken up, and if it was finished before, they get
            the bytes that they had. While another process trains it, this one waits.
        fold: one of ``study.folds``; it may be left out where there is one only.

    Raises:
        DataError: the split cannot be read, or fold and protocol do not fit it.
        UserError: the training diverged or met with an accident (`train.on_accident`), the engine cannot be had, or
            other kernels began it.
    """
    params = params.for_loss(loss)
    fold = only(params) if fold is None else fold
    samples = store.load(spikes)
    training, held_out = split(params, samples, fold)
    augmentation.require_partners(params.augmentation, training.labels, training.class_names)
    lock = outputs.checkpoint.with_name(f".{outputs.checkpoint.name}.lock")
    with disk.alone(lock, f"another process trains {loss}/{seed}/{fold}"):
        fingerprint = checkpoint.fingerprint_of(params, loss, seed, fold, spikes)
        if checkpoint.restore(outputs.checkpoint, fingerprint, outputs.results()):
            logger.info(
                "train %s/%d/%s  finished before with the same parameters, data and code: restored from %s; delete "
                "that file to train anew",
                loss, seed, fold, outputs.checkpoint,
            )  # fmt: skip
            return
        _train(params, {"loss": loss, "seed": seed, "fold": fold}, training, held_out, outputs, fingerprint)


def _train(
    params: Params,
    job: dict[str, Any],
    training: store.SpikeStore,
    held_out: store.SpikeStore,
    outputs: Outputs,
    fingerprint: str,
) -> None:
    loss, seed, fold = job["loss"], job["seed"], job["fold"]
    trainer = Trainer(params, loss, seed, training)
    name = f"train {loss}/{seed}" + (f"/{fold}" if len(params.study.folds) > 1 else "")
    size = sum(array.size for array in trainer.weights.values())
    logger.info("%s  %d samples, %d held out, %d weights", name, len(training), len(held_out), size)
    progress = checkpoint.Progress(params.train.select)
    checkpoint.resume(outputs.checkpoint, fingerprint, trainer, progress, params.train.epochs)
    for number in course(params.train, name, trainer, progress, trainer.for_validation(held_out)):
        if number < params.train.epochs:
            checkpoint.save(outputs.checkpoint, fingerprint, trainer, progress)
    who = speakers(training, held_out)
    counts = {
        "training_samples": len(training),
        "presented_samples": trainer.augmentation.presented,
        "validation_samples": len(held_out),
    }
    model_file.save(outputs.weights, progress.best, _meta(job, who, trainer, progress, training))
    history.write(outputs.history, progress.rows)
    write_json(outputs.summary, _summary(params, job, who, counts, trainer, progress))
    checkpoint.keep(outputs.checkpoint, fingerprint, outputs.results())


def course(
    settings: Train, name: str, trainer: Trainer, progress: checkpoint.Progress, validation: batches.Batch
) -> Iterator[int]:
    """Run the epochs that are left, and yield the number of each when all about it is done.

    Args:
        settings: how long the course is.
        name: of the training, for what is said of it.
        trainer: learns.
        progress: knows the epochs so far, and gets the others.
        validation: the samples held out.
    """
    start, said, resumed = time.monotonic(), 0.0, len(progress.rows)
    full_rate = trainer.learning_rate
    for number in range(resumed + 1, settings.epochs + 1):
        trainer.learning_rate = full_rate * progress.rate(settings.schedule, settings.epochs)
        row = _run_epoch(trainer, number, validation)
        if progress.better(row):
            progress.best = {key: array.copy() for key, array in trainer.weights.items()}
        progress.rows.append(row)
        trainer.lift_silent()
        progress.tell_of_collapse(name, len(validation), trainer)
        progress.tell_of_accidents(name, trainer, settings.on_accident == "stop")
        elapsed = time.monotonic() - start
        if elapsed - said > SECONDS_BETWEEN_LINES or number in (1, settings.epochs):
            said = elapsed
            left = elapsed / (number - resumed) * (settings.epochs - number)
            logger.info("%s", _line(name, row, settings.epochs, left))
        yield number


def _run_epoch(trainer: Trainer, number: int, validation: batches.Batch) -> Row:
    start = time.perf_counter()
    learned = trainer.epoch(number)
    middle = time.perf_counter()
    seen = trainer.validate(validation)
    require_finite(number, {"the validation loss": np.array(seen.loss)}, trainer.last_rate)
    return Row(
        number, learned.loss, learned.accuracy, seen.loss, seen.accuracy, learned.hidden_spikes,
        trainer.last_rate, learned.floored_fraction, trainer.largest_weight(), middle - start,
        time.perf_counter() - middle,
    )  # fmt: skip


def _line(name: str, row: Row, epochs: int, left_s: float) -> str:
    accuracies = f"training {100 * row.training_accuracy:.1f} %  validation {100 * row.validation_accuracy:.1f} %"
    activity = f"{row.hidden_spikes:.1f} spikes/neuron"
    return (
        f"{name}  epoch {row.epoch}/{epochs}  loss {row.training_loss:.3f}  {accuracies}  {activity}"
        f"  {clock(left_s)} left"
    )


def _meta(
    job: dict[str, Any],
    who: dict[str, list[str]],
    trainer: Trainer,
    progress: checkpoint.Progress,
    training: store.SpikeStore,
) -> dict[str, Any]:
    """Return what the model file says of itself."""
    return {
        "kind": "spiking",
        **job,
        "epoch": progress.best_row().epoch,
        "network": trainer.network.as_dict(),
        "shape": trainer.shape.model_dump(mode="json"),
        "class_names": list(training.class_names),
        **who,
        "spike_count": trainer.augmentation.spike_count,
        "origin": None if training.origin is None else training.origin.as_dict(),
    }


def _summary(
    params: Params, job: dict[str, Any], who: dict[str, list[str]], counts: dict[str, int], trainer: Trainer,
    progress: checkpoint.Progress,
) -> dict[str, Any]:  # fmt: skip
    """Return the training in numbers: accuracies are fractions, spikes per neuron and trial, time constants in ms."""
    best, last = progress.best_row(), progress.rows[-1]
    presented = counts["presented_samples"] * len(progress.rows)
    return {
        **job,
        "protocol": params.validation.protocol,
        **who,
        "kind": trainer.shape.kind,
        "mean_weight": losses.mean_weight(trainer.shape),
        "engine": params.optimiser.engine,
        "kernels": trainer.kernels,
        "epochs": len(progress.rows),
        "selected_by": params.train.select,
        "best_epoch": best.epoch,
        "best_validation_accuracy": best.validation_accuracy,
        "best_validation_loss": best.validation_loss,
        "final_validation_accuracy": last.validation_accuracy,
        "final_training_accuracy": last.training_accuracy,
        "collapsed_at_epoch": progress.collapsed_at(counts["validation_samples"], trainer),
        "accidents": [one.as_dict() for one in progress.accidents(trainer)],
        "hidden_spikes": best.hidden_spikes,
        "floored_fraction": best.floored_fraction,
        **counts,
        "weights": int(sum(array.size for array in progress.best.values())),
        **_mean_time_constants(trainer, progress.best),
        **_learned_weight(trainer, progress.best),
        "duration_s": sum(row.training_s + row.validation_s for row in progress.rows),
        "ms_per_sample": 1000 * sum(row.training_s for row in progress.rows) / presented,
        "threads": machine.threads(),
        "machine": machine.facts(),
    }


def _mean_time_constants(trainer: Trainer, weights: Weights) -> dict[str, dict[str, float]]:
    """Return the mean over each population of what was learned, in ms; nothing if nothing was."""
    if not trainer.learns_constants:
        return {}
    constants = {name: array for name, array in weights.items() if network.is_time_constant(name)}
    return {"time_constants": {name: float(array.mean(dtype=np.float64)) for name, array in constants.items()}}


def _learned_weight(trainer: Trainer, best: Weights) -> dict[str, dict[str, list[float]]]:
    """Return theta of a learned loss (:mod:`eventspeech.spline`) in the chosen epoch and after the last; else nothing.

    Single precision, whose value double precision has in full: a reader gets the same weight, to the bit.
    """
    if losses.LEARNED not in best:
        return {}
    found = {"chosen": best, "last": trainer.weights}
    return {losses.LEARNED: {epoch: weights[losses.LEARNED].tolist() for epoch, weights in found.items()}}

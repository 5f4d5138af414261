"""What lets an interrupted training go on with the same bits."""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np

from eventspeech import __version__
from eventspeech.errors import DataError
from eventspeech.files import read_npz, sha256, write_npz
from eventspeech.learning import collapse, schedule
from eventspeech.learning.trainer import Trainer
from eventspeech.network import Weights, is_time_constant
from eventspeech.params import Params, Schedule, select
from eventspeech.records import history
from eventspeech.records.history import Row

logger = logging.getLogger("eventspeech")


class Progress:
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

    def rate(self, settings: Schedule, epochs: int) -> float:
        """Return the schedule's factor on the learning rate of the epoch to come, of so many ``epochs`` in all."""
        fallen = schedule.reduction(settings, [row.validation_accuracy for row in self.rows])
        return fallen * schedule.cosine(settings, len(self.rows) + 1, epochs)

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


def fingerprint_of(params: Params, loss: str, seed: int, fold: str, spikes: Path) -> str:
    """Return a digest of all that decides the result, so that only an equal training is continued."""
    read = select(params, "train", loss)
    text = json.dumps([__version__, read, loss, seed, fold, sha256(spikes)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save(path: Path, fingerprint: str, trainer: Trainer, progress: Progress) -> None:
    """Write the state between two epochs, atomically.

    Args:
        path: NPZ to write: plain arrays only.
        fingerprint: see :func:`fingerprint_of`.
        trainer: its weights and optimiser are kept.
        progress: its epochs and best weights are kept.
    """
    rows = np.array(progress.rows, np.float64)
    arrays = _arrays(trainer, progress.best) | {"rows": rows, "fingerprint": np.array(fingerprint)}
    write_npz(path, arrays, compress=False)


def _arrays(trainer: Trainer, best: Weights) -> dict[str, np.ndarray]:
    groups = {"weights": trainer.weights, "best": best, "adam": trainer.optimiser.state()}
    return {f"{group}.{name}": np.asarray(array) for group, found in groups.items() for name, array in found.items()}


def resume(path: Path, fingerprint: str, trainer: Trainer, progress: Progress, epochs: int) -> None:
    """Take up a training where its checkpoint left it, if there is one; what cannot be used is told and ignored.

    Args:
        path: where :func:`save` wrote.
        fingerprint: of this training.
        trainer: gets the weights and the optimiser's state.
        progress: a new one, which gets the epochs so far and the best weights.
        epochs: of the whole training, more than any checkpoint holds.
    """
    if not path.exists():
        return
    try:
        arrays = read_npz(path)
        if str(arrays.pop("fingerprint", None)) != fingerprint:
            logger.info("The checkpoint %s belongs to other parameters or data and is ignored", path)
            return
        rows = _rows(path, arrays.pop("rows", np.empty(0)), epochs)
        _require_state(path, arrays, trainer)
    except DataError as error:
        logger.info("The checkpoint %s cannot be used and is ignored: training starts anew (%s)", path, error)
        return

    def part(group: str) -> Weights:
        return {name.removeprefix(group): array for name, array in arrays.items() if name.startswith(group)}

    trainer.weights, progress.best, progress.rows = part("weights."), part("best."), rows
    trainer.optimiser.restore(part("adam."))
    logger.info("Going on after epoch %d, from %s", len(rows), path)


def _rows(path: Path, rows: np.ndarray, epochs: int) -> list[Row]:
    if rows.dtype != np.float64 or rows.ndim != 2 or rows.shape[1] != len(Row._fields) or not 0 < len(rows) < epochs:
        raise DataError(f"{path} is damaged: its rows are no epochs of a training of {epochs}.")
    history.require_valid(dict(zip(Row._fields, rows.T, strict=True)), path, "it is not used")
    return [Row(int(row[0]), *map(float, row[1:])) for row in rows]


def _require_state(path: Path, arrays: dict[str, np.ndarray], trainer: Trainer) -> None:
    """Refuse arrays that are not those of this trainer: kernels take shapes and types for granted."""
    expected = _arrays(trainer, trainer.weights)
    if {name: (array.shape, array.dtype) for name, array in arrays.items()} != {
        name: (array.shape, array.dtype) for name, array in expected.items()
    }:
        raise DataError(f"{path} is damaged: its arrays are not those of this network.")
    for name, array in arrays.items():
        positive = name.startswith("adam.second.") or name == "adam.updates"
        if not np.isfinite(array).all() or (positive and np.any(array < 0)) or _is_no_time(name, array):
            raise DataError(f"{path} is damaged: {name} holds a number that cannot be.")


def _is_no_time(name: str, array: np.ndarray) -> bool:
    return is_time_constant(name) and not name.startswith("adam.") and bool(np.any(array <= 0))

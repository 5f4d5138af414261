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
from eventspeech.network import Weights
from eventspeech.params import Params, Schedule, select
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


def fingerprint_of(params: Params, loss: str, seed: int, fold: str, spikes: Path) -> str:
    """Return a digest of all that decides the result, so that only an equal training is continued."""
    read = select(params, "train", loss)
    text = json.dumps([__version__, read, loss, seed, fold, sha256(spikes)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save(path: Path, fingerprint: str, trainer: Trainer, progress: Progress) -> None:
    arrays = {f"weights.{name}": array for name, array in trainer.weights.items()}
    arrays |= {f"best.{name}": array for name, array in progress.best.items()}
    arrays |= {f"adam.{name}": array for name, array in trainer.optimiser.state().items()}
    arrays |= {"rows": np.array(progress.rows, np.float64), "fingerprint": np.array(fingerprint)}
    write_npz(path, arrays, compress=False)


def resume(path: Path, fingerprint: str, trainer: Trainer, progress: Progress) -> Progress:
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

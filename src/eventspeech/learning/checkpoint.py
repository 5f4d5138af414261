"""What lets an interrupted training go on with the same bits, and a finished one be found finished.

A checkpoint holds the state between two epochs. When the training is finished, what it wrote takes that state's place,
byte by byte: if Snakemake or DVC were killed before they took note of it, they delete the outputs and ask for them
again, and get them from here. It is about as large as the outputs, one file a training, and can be deleted.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eventspeech import __version__, machine
from eventspeech.errors import DataError, UserError
from eventspeech.files import atomic_path, read_npz, sha256, write_npz
from eventspeech.learning import accidents, collapse, schedule
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

    def accidents(self, trainer: Trainer, epochs: int | None = None) -> list[accidents.Accident]:
        """Return the numerical accidents so far; of the first ``epochs`` only, if given."""
        return accidents.found(self.rows[:epochs], trainer.network, trainer.drawn)

    def tell_of_accidents(self, name: str, trainer: Trainer, stop: bool) -> None:
        """Say it when the last epoch met with an accident of a new kind.

        Raises:
            UserError: there is one, and the training shall ``stop``.
        """
        known = {one.kind for one in self.accidents(trainer, len(self.rows) - 1)}
        new = [one for one in self.accidents(trainer) if one.kind not in known]
        if stop:
            accidents.require_none(new)
        for one in new:
            logger.warning(
                "%s  epoch %d: %s (%s); %s; the run goes on and is marked",
                name, one.first_epoch, one.words(), one.kind, one.remedy,
            )  # fmt: skip

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


CODE = (
    "compiled.h", "compiled.py", "data/augmentation.py", "data/batches.py", "data/store.py", "engines", "learning",
    "losses.py", "network.py", "seeds.py", "stages/train.py",
)  # fmt: skip
"""What of this package decides the bits of a training: a run of two versions would be one that nobody can repeat."""


def fingerprint_of(params: Params, loss: str, seed: int, fold: str, spikes: Path) -> str:
    """Return a digest of all that decides the result, so that only an equal training is continued."""
    read = select(params, "train", loss)
    text = json.dumps([__version__, machine.code(*CODE), read, loss, seed, fold, sha256(spikes)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save(path: Path, fingerprint: str, trainer: Trainer, progress: Progress) -> None:
    """Write the state between two epochs, atomically.

    Args:
        path: NPZ to write: plain arrays only.
        fingerprint: see :func:`fingerprint_of`.
        trainer: its weights and optimiser are kept, and the names of its kernels.
        progress: its epochs and best weights are kept.
    """
    rows = np.array(progress.rows, np.float64)
    own = {"rows": rows, "fingerprint": np.array(fingerprint), "kernels": np.array(kernels_of(trainer))}
    write_npz(path, _arrays(trainer, progress.best) | own, compress=False)


def kernels_of(trainer: Trainer) -> str:
    """Return the names of the kernels that a trainer computes with: others differ in their last bits."""
    return ", ".join(f"{name} {kernels}" for name, kernels in trainer.kernels.items())


def keep(path: Path, fingerprint: str, outputs: Mapping[str, Path]) -> None:
    """Let what a finished training wrote take the place of its checkpoint, atomically.

    Args:
        path: NPZ to write.
        fingerprint: as of :func:`save`.
        outputs: the files, by name.
    """
    content = {f"output.{name}": np.frombuffer(file.read_bytes(), np.uint8) for name, file in outputs.items()}
    write_npz(path, content | {"fingerprint": np.array(fingerprint)})


def restore(path: Path, fingerprint: str, outputs: Mapping[str, Path]) -> bool:
    """Write the files of a training that was finished before, and say whether it was.

    Args:
        path: where :func:`keep` wrote; a checkpoint of an unfinished training is left alone.
        fingerprint: of this training.
        outputs: the files, by name; they get the bytes that they had.
    """
    try:
        arrays = read_npz(path) if path.exists() else {}
    except DataError:  # told by `resume`
        return False
    found = {name.removeprefix("output."): array for name, array in arrays.items() if name.startswith("output.")}
    if str(arrays.get("fingerprint")) != fingerprint or set(found) != set(outputs):
        return False
    if any(array.dtype != np.uint8 for array in found.values()):
        return False
    for name, file in outputs.items():
        with atomic_path(file) as temporary:
            temporary.write_bytes(found[name].tobytes())
    return True


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

    Raises:
        UserError: other kernels began it: they would end it with other bits.
    """
    if not path.exists():
        return
    try:
        arrays = read_npz(path)
        if str(arrays.pop("fingerprint", None)) != fingerprint:
            logger.info("The checkpoint %s belongs to other parameters, data or code and is ignored", path)
            return
        _require_kernels(path, str(arrays.pop("kernels", "")), trainer)
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


def _require_kernels(path: Path, kernels: str, trainer: Trainer) -> None:
    if kernels and kernels != kernels_of(trainer):
        own = kernels_of(trainer)
        raise UserError(
            f"{path} was begun by other kernels ({kernels}) than this installation has ({own}), and they "
            "differ in their last bits; go on where it was begun, or with the same kernels (native: `pip install -e .` "
            "with a C compiler), or delete that file to train from the start."
        )


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

"""history.csv: one row an epoch of a training."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eventspeech.errors import DataError
from eventspeech.files import write_csv
from eventspeech.records.reading import again, cells


class Row(NamedTuple):
    """One epoch: accuracies in [0, 1], losses per sample, hidden spikes per neuron and trial, seconds.

    ``learning_rate`` is that of the last batch; ``floored_fraction`` is the share of hidden spikes at which the
    denominator of the adjoint's jump was bounded from below; ``largest_weight`` is that of all connections after the
    epoch, in thresholds, without its sign.
    """

    epoch: int
    training_loss: float
    training_accuracy: float
    validation_loss: float
    validation_accuracy: float
    hidden_spikes: float
    learning_rate: float
    floored_fraction: float
    largest_weight: float
    training_s: float
    validation_s: float


BOUNDS = {
    "training_accuracy": (0.0, 1.0),
    "validation_accuracy": (0.0, 1.0),
    "hidden_spikes": (0.0, math.inf),
    "learning_rate": (0.0, math.inf),
    "floored_fraction": (0.0, 1.0),
    "largest_weight": (0.0, math.inf),
    "training_s": (0.0, math.inf),
    "validation_s": (0.0, math.inf),
}
"""Least and largest value of a column; losses may be any finite number."""


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the epochs of a training, atomically."""
    write_csv(path, Row._fields, rows)


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the columns of a history, float64[E] each, one entry an epoch, named as the fields of :class:`Row`.

    Raises:
        DataError: the file is missing or damaged, a column is missing, a cell is no finite number or out of its bounds,
            or the epochs are not 1, 2, 3, ...
    """
    header, rows = cells(path, "train")
    if tuple(header) != Row._fields:
        raise DataError(
            f"{path} has the columns {', '.join(header)} in place of {', '.join(Row._fields)}; {again('train')}."
        )
    if not rows:
        raise DataError(f"{path} holds no epoch; {again('train')}.")
    columns = {name: _column(path, name, [row[i] for row in rows]) for i, name in enumerate(header)}
    require_valid(columns, path, again("train"))
    return columns


def require_valid(columns: dict[str, np.ndarray], path: Path, remedy: str) -> None:
    """Refuse values that no training has.

    Args:
        columns: float64[E] each, named as the fields of :class:`Row`.
        path: where they stand.
        remedy: what to do about it.

    Raises:
        DataError: names the first such value.
    """
    for name, values in columns.items():
        low, high = BOUNDS.get(name, (-math.inf, math.inf))
        for number, value in enumerate(values, 1):
            if not (math.isfinite(value) and low <= value <= high) or (name == "epoch" and value != number):
                raise DataError(f"{path} is damaged: {name} of row {number} is {value:g}; {remedy}.")


def _column(path: Path, name: str, texts: list[str]) -> np.ndarray:
    try:
        return np.array([float(text) for text in texts])
    except ValueError as error:
        raise DataError(f"{path} is damaged: {name}: {error}; {again('train')}.") from error

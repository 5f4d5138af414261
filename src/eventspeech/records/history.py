"""history.csv: one row an epoch of a training."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eventspeech.errors import DataError


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


HISTORY = ("training_accuracy", "validation_accuracy", "hidden_spikes", "floored_fraction")
"""Columns of history.csv that are read here; beside them, `epoch` counts from 1."""


def read_history(path: Path) -> dict[str, np.ndarray]:
    """Read the columns :data:`HISTORY` of a training's history, float64[E] each; an empty cell is NaN.

    Raises:
        DataError: a column is missing, a cell is no number, an accuracy is unknown or the epochs have a gap.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in HISTORY}
        epochs = [int(row["epoch"]) for row in rows]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}); run the stage `train` again.") from error
    if not rows or epochs != list(range(1, len(rows) + 1)) or not np.isfinite(columns["validation_accuracy"]).all():
        raise DataError(f"{path} lacks epochs or accuracies; run the stage `train` again.")
    return columns

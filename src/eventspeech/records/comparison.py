"""The tables of `compare`: what the report and others read of them.

Names are text, whatever they look like: a loss may be called None, NA or 1e5.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from eventspeech.errors import DataError
from eventspeech.records.reading import again, cells, fields

if TYPE_CHECKING:
    import pandas

TABLES = ("runs", "curves", "losses", "folds", "time_to_accuracy", "differences", "steps")

TEXTS = ("loss", "reference", "fold", "measure", "unit", "verdict", "reason")
"""Columns that are text; all others hold numbers, or are empty where one is unknown."""

ACCURACIES = ("best_validation", "final_validation", "final_training", "early_validation", "test", "training_mean")
"""Starts of the names of columns that hold accuracies, fractions."""

OF_CURVES = ("mean", "low", "high")

OF_STEPS = ("accuracy", "agreement", "trained")
"""Starts of the columns of steps that hold fractions."""

SIGNED = ("mean", "low", "high")
"""Starts of the columns of differences that can be negative."""


def read(folder: Path, losses: list[str]) -> dict[str, "pandas.DataFrame"]:
    """Read all tables: names as text, whole numbers as int64, other numbers as float64, an empty cell as NaN.

    Args:
        folder: made by `compare`.
        losses: of the study, whose tables these have to be.

    Raises:
        DataError: a table is missing or damaged, holds a number that cannot be, or belongs to other losses.
    """
    return {name: _table(folder / f"{name}.csv", losses) for name in TABLES}


def read_summary(path: Path) -> dict[str, float]:
    """Read the flat numbers of summary.json.

    Raises:
        DataError: it is missing or damaged, an entry is no finite number, or one that cannot be.
    """
    found = fields(path, "compare")
    found.fraction("chance")
    found.count("early_epochs", least=1)
    found.count("collapsed_runs")
    for name in found.content:
        found.number(name)
    return found.content


def _table(path: Path, losses: list[str]) -> "pandas.DataFrame":
    import pandas

    header, rows = cells(path, "compare")
    if "loss" not in header:
        raise DataError(f"{path} lacks the column loss; {again('compare')}.")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    if foreign := sorted(set(columns["loss"]) - set(losses)):
        raise DataError(f"{path} holds the loss {foreign[0]}, which the study has not; {again('compare')}.")
    if path.stem == "losses" and columns["loss"] != losses:
        raise DataError(f"{path} does not hold the losses {', '.join(losses)} of the study; {again('compare')}.")
    return pandas.DataFrame(
        {
            name: [text or math.nan for text in texts] if name in TEXTS else _numbers(path, name, texts)
            for name, texts in columns.items()
        }
    )


def _numbers(path: Path, name: str, texts: list[str]) -> "list[int] | list[float]":
    low, high = bounds(path.stem, name)
    try:
        values = [float(text) if text else math.nan for text in texts]
    except ValueError as error:
        raise DataError(f"{path} is damaged: {name}: {error}; {again('compare')}.") from error
    for text, value in zip(texts, values, strict=True):
        if text and not (math.isfinite(value) and low <= value <= high):
            raise DataError(f"{path} is damaged: {name} is {text}, not within [{low:g}, {high:g}]; {again('compare')}.")
    return [int(text) for text in texts] if all(text.isdecimal() for text in texts) else values


def bounds(table: str, column: str) -> tuple[float, float]:
    """Return the least and the largest number that a column can hold."""
    if column.endswith("_sd"):
        return 0.0, math.inf
    if table == "differences" and column.startswith(SIGNED):
        return -math.inf, math.inf
    if column.startswith("minus_reference"):
        return -1.0, 1.0
    if column == "step_ms":
        return 1e-6, math.inf
    if table == "steps" and column.startswith(OF_STEPS):
        return 0.0, 1.0
    if column == "p" or column.startswith(ACCURACIES) or (table == "curves" and column in OF_CURVES):
        return 0.0, 1.0
    return 0.0, math.inf

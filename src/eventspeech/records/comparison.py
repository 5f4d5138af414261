"""The tables of `compare`: what the report and others read of them.

Names are text, whatever they look like: a loss may be called None, NA or 1e5.
"""

import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from eventspeech.errors import DataError
from eventspeech.params import Params
from eventspeech.records.metrics import DEAD_TIMES
from eventspeech.records.reading import again, cells, fields

if TYPE_CHECKING:
    import pandas

TABLES = ("runs", "curves", "losses", "folds", "time_to_accuracy", "differences", "steps")

TEXTS = ("loss", "reference", "fold", "measure", "unit", "verdict", "reason", "dead_time", "accident")
"""Columns that are text; all others hold numbers, or are empty where one is unknown."""

MEASURES = ("best_validation", "final_validation", "early_validation", "test", "test_heard", "test_unheard")
"""Accuracies of a run that losses are compared by."""

ACCURACIES = ("best_validation", "final_validation", "final_training", "early_validation", "test", "training_mean")
"""Starts of the names of columns that hold accuracies, fractions."""

OF_CURVES = ("mean", "low", "high")

OF_STEPS = ("accuracy", "agreement", "trained")
"""Starts of the columns of steps that hold fractions."""

SIGNED = ("mean", "low", "high")
"""Starts of the columns of differences that can be negative."""


COLUMNS = {
    "runs": ("seed", "fold", "epochs", "best_epoch", "best_validation", "final_validation", "early_validation", "test",
             "test_heard", "test_unheard", "collapse_epoch", "accident"),
    "curves": ("epoch", "mean", "low", "high", "training_mean"),
    "losses": ("runs", "seeds", "folds", "collapsed", "best_epoch_mean", "best_validation_sd_over_folds",
               "best_validation_mean_without_collapsed", "test_mean_without_collapsed",
               *(f"{measure}_{end}" for measure in MEASURES for end in ("mean", "sd", "low", "high"))),
    "folds": ("fold", "best_validation_mean", "best_validation_sd", "minus_reference_mean", "minus_reference_sd"),
    "time_to_accuracy": ("threshold", "runs", "reached", "median_epoch", "mean_epoch_of_reached", "low", "high"),
    "differences": ("reference", "measure", "unit", "pairs", "left_out", "mean", "low", "high", "p", "detectable",
                    "verdict", "reason", "low_over_folds", "high_over_folds", "mean_without_collapsed",
                    "low_without_collapsed", "high_without_collapsed"),
    "steps": ("step_ms", "dead_time", "trained", "runs",
              *(f"{measure}_{end}" for measure in ("accuracy", "agreement") for end in ("mean", "low", "high")),
              *(f"hidden_spikes_{end}" for end in ("mean", "low", "high"))),
}  # fmt: skip
"""Columns that the report reads, beside the loss."""


def read(folder: Path, params: Params) -> dict[str, "pandas.DataFrame"]:
    """Read all tables: names as text, whole numbers as int64, other numbers as float64, an empty cell as NaN.

    Args:
        folder: made by `compare`.
        params: whose study these tables have to be of, row by row.

    Raises:
        DataError: a table is missing or damaged, holds a number that cannot be, or belongs to another study.
    """
    return {name: _table(folder / f"{name}.csv", params) for name in TABLES}


def read_summary(path: Path) -> dict[str, float]:
    """Read the flat numbers of summary.json.

    Raises:
        DataError: it is missing or damaged, an entry is no finite number, or one that cannot be.
    """
    found = fields(path, "compare")
    found.fraction("chance")
    found.count("early_epochs", least=1)
    found.count("collapsed_runs")
    found.count("accident_runs")
    for name in found.content:
        found.number(name)
    return found.content


def _table(path: Path, params: Params) -> "pandas.DataFrame":
    import pandas

    losses = params.study.losses
    header, rows = cells(path, "compare")
    if lacking := [name for name in ("loss", *COLUMNS[path.stem]) if name not in header]:
        raise DataError(f"{path} lacks the column {lacking[0]}; {again('compare')}.")
    if len(set(header)) < len(header):
        raise DataError(f"{path} has a column twice; {again('compare')}.")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    if foreign := sorted(set(columns["loss"]) - set(losses)):
        raise DataError(f"{path} holds the loss {foreign[0]}, which the study has not; {again('compare')}.")
    if path.stem == "losses" and columns["loss"] != losses:
        raise DataError(f"{path} does not hold the losses {', '.join(losses)} of the study; {again('compare')}.")
    found = {
        name: [text or math.nan for text in texts] if name in TEXTS else _numbers(path, name, texts)
        for name, texts in columns.items()
    }
    _require_rows(path, found, params)
    _require_intervals(path, found)
    if path.stem == "differences":
        _require_verdicts(path, found)
    return pandas.DataFrame(found)


def as_written(value: float) -> float:
    """Return a number as `compare` writes it, with six digits."""
    return float(f"{value:.6g}")


def _require_rows(path: Path, found: dict[str, list], params: Params) -> None:
    """Refuse a table that lacks rows of the study, or has others."""
    study, compare = params.study, params.compare
    others = [loss for loss in study.losses if loss != compare.reference]
    measures = [*MEASURES, *(f"epochs_to_{threshold:g}" for threshold in compare.thresholds)]
    keys: dict[str, tuple[tuple[str, ...], Iterable[tuple]]] = {
        "runs": (("loss", "seed", "fold"), itertools.product(study.losses, study.seeds, study.folds)),
        "folds": (("loss", "fold"), itertools.product(study.losses, study.folds)),
        "time_to_accuracy": (
            ("loss", "threshold"),
            itertools.product(study.losses, map(as_written, compare.thresholds)),
        ),
        "differences": (("loss", "reference", "measure"), itertools.product(others, [compare.reference], measures)),
        "steps": (
            ("loss", "step_ms", "dead_time"),
            itertools.product(study.losses, dict.fromkeys(found.get("step_ms", ())), DEAD_TIMES),
        ),
        "curves": (("loss",), zip(study.losses)),
        "losses": (("loss",), zip(study.losses)),
    }
    names, wanted = keys[path.stem]
    there = list(zip(*(found[name] for name in names), strict=True))
    if path.stem == "curves":  # of each loss as many epochs as it has
        there = list(dict.fromkeys(there))
    wanted = list(wanted)
    if there != wanted:
        lacking = next((row for row in wanted if row not in there), None)
        what = f"has no row of {', '.join(map(str, lacking))}" if lacking else "has rows of something else"
        raise DataError(f"{path} is not of this study: it {what}; {again('compare')}.")


def _require_intervals(path: Path, found: dict[str, list]) -> None:
    """Refuse an interval of one end, or one that its mean is not in; numbers are rounded to six digits."""
    for name in found:
        if name in TEXTS or not re.search(r"(^|_)low($|_)", name):
            continue
        high, mean = name.replace("low", "high"), name.replace("low", "mean")
        for row, (least, most) in enumerate(zip(found[name], found[high], strict=True), 1):
            middle = found[mean][row - 1] if mean in found else least
            room = 1e-5 * max(1.0, abs(middle))
            if math.isnan(least) and math.isnan(most):
                continue
            if not least - room <= middle <= most + room:
                raise DataError(
                    f"{path} is damaged: row {row} has the interval [{least:g}, {most:g}] ({name}, {high}) around "
                    f"{middle:g}; {again('compare')}."
                )


def _require_verdicts(path: Path, found: dict[str, list]) -> None:
    columns = (found[name] for name in ("verdict", "low", "high", "left_out"))
    for row, (verdict, low, high, left_out) in enumerate(zip(*columns, strict=True), 1):
        said = "undecided" if left_out else "higher" if low > 0 else "lower" if high < 0 else "undecided"
        if verdict != said:
            raise DataError(
                f"{path} is damaged: the verdict of row {row} is '{verdict}', where its interval says '{said}'; "
                f"{again('compare')}."
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

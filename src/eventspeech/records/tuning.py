"""What `tune` leaves of a loss: trials.csv, curves.csv, summary.json, and best.yaml, to lie over a parameter file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eventspeech.errors import DataError
from eventspeech.files import write_csv, write_json, write_text
from eventspeech.params import yaml12
from eventspeech.records.reading import again, cells, fields

STATES = ("complete", "pruned", "failed")
"""What becomes of a trial; pruned: given up early."""


class TrialRow(NamedTuple):
    """A row of trials.csv: the accuracy, of complete trials, is the mean over trainings; epochs are of all of them."""

    trial: int
    state: str
    validation_accuracy: float | None
    epochs: int
    duration_s: float
    remark: str


class CurveRow(NamedTuple):
    """A row of curves.csv: one epoch of one training of a trial."""

    trial: int
    seed: int
    fold: str
    epoch: int
    validation_accuracy: float


@dataclass(frozen=True)
class Tuning:
    """The search of one loss.

    Attributes:
        loss: its name.
        trials: by number.
        values: of each trial key to value; empty if it could not begin.
        curves: trial to validation accuracy of each epoch of its first training.
        best: number of the best trial.
        accuracies: of each complete trial, the mean validation accuracy.
        as_it_stands: accuracy of the first trial if it has the file's own values.
        importance: key to share of the variance; empty where it cannot be told.
        reason: why it cannot.
        epochs: of all trials.
        duration_s: of all trials' epochs, added up.
    """

    loss: str
    trials: list[TrialRow]
    values: list[dict[str, Any]]
    curves: dict[int, list[float]]
    best: int
    accuracies: dict[int, float]
    as_it_stands: float | None
    importance: dict[str, float]
    reason: str
    epochs: int
    duration_s: float


def write_trials(path: Path, rows: Sequence[TrialRow], keys: Sequence[str], values: Sequence[Mapping]) -> None:
    """Write trials.csv: a column for each key of the space beside those of :class:`TrialRow`, values as JSON."""
    texts = [[json.dumps(one[key]) if key in one else None for key in keys] for one in values]
    header = [*TrialRow._fields, *keys]
    write_csv(path, header, [[*row, *more] for row, more in zip(rows, texts, strict=True)])


def write_curves(path: Path, rows: Sequence[CurveRow]) -> None:
    """Write curves.csv."""
    write_csv(path, CurveRow._fields, rows)


def write_summary(path: Path, content: Mapping[str, Any]) -> None:
    """Write summary.json."""
    write_json(path, content)


def write_overlay(path: Path, loss: str, values: Mapping[str, Any], found: str) -> None:
    """Write best.yaml, with what was found and how to use it as its comment.

    Args:
        path: file to write.
        loss: an entry of `shape`.
        values: key of `tune.space` to value.
        found: one line.
    """
    flags = " ".join(f"-S '++{key}={_text(value)}'" for key, value in _places(loss, values).items())
    nested: dict[str, Any] = {}
    for key, value in _places(loss, values).items():
        *groups, last = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    head = [
        f"# {found}",
        f"# Snakemake: snakemake --configfile {path.as_posix()}",
        f"# DVC: dvc exp run {flags}",
    ]
    write_text(path, "\n".join([*head, "", *_lines(nested)]) + "\n")


def _places(loss: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"shape.{loss}.tuned.{key}": value for key, value in values.items()}


def _lines(content: Mapping[str, Any], indent: str = "") -> list[str]:
    found: list[str] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            found += [f"{indent}{_key(key)}:", *_lines(value, indent + "  ")]
        else:
            found.append(f"{indent}{_key(key)}: {_text(value)}")
    return found


def _key(name: str) -> str:
    """Return a key in quotes if it is a number or word without: a loss may be called `null`, or, in YAML 1.1, `no`."""
    plain = yaml12.scalar(name) == name and name.lower() not in ("y", "n", "yes", "no", "on", "off")
    return name if plain else json.dumps(name, ensure_ascii=False)


def _text(value: Any) -> str:
    """Return a value as JSON, with a point in each number that has an exponent: YAML 1.1 takes others for texts."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


def read(folder: Path, loss: str) -> Tuning:
    """Read what a search left.

    Args:
        folder: of the loss.
        loss: that it has to be of.

    Raises:
        DataError: a file is missing, damaged or of another loss.
    """
    rows, values = _read_trials(folder / "trials.csv")
    summary = fields(folder / "summary.json", "tune")
    summary.belongs(loss=loss)
    path = folder / "summary.json"
    complete = {row.trial: row.validation_accuracy for row in rows if row.validation_accuracy is not None}
    best = summary.count("best_trial")
    summary.require("best_trial", best in complete, "a complete trial of trials.csv")
    told = summary.raw("importance")
    importance = {} if told is None else {key: summary.object("importance").fraction(key) for key in told}
    reason = "" if told is not None else summary.text("importance_reason")
    if summary.count("trials") != len(rows):
        raise DataError(f"{path} does not belong to trials.csv, which has {len(rows)} trials; {again('tune')}.")
    summary.unless_null("validation_accuracy_as_it_stands", summary.fraction)
    return Tuning(
        loss=loss,
        trials=rows,
        values=values,
        curves=_read_curves(folder / "curves.csv", len(rows)),
        best=best,
        accuracies=complete,
        as_it_stands=summary.raw("validation_accuracy_as_it_stands"),
        importance=importance,
        reason=reason,
        epochs=summary.count("epochs"),
        duration_s=summary.number("duration_s", 0),
    )


def _read_trials(path: Path) -> tuple[list[TrialRow], list[dict[str, Any]]]:
    header, rows = cells(path, "tune")
    own = len(TrialRow._fields)
    if tuple(header[:own]) != TrialRow._fields or len(set(header)) < len(header) or not rows:
        raise DataError(f"{path} is no table of trials; {again('tune')}.")
    found = [_trial(path, place, row[:own]) for place, row in enumerate(rows)]
    values = []
    for place, row in enumerate(rows, 1):
        try:
            values.append({key: json.loads(text) for key, text in zip(header[own:], row[own:], strict=True) if text})
        except ValueError as error:
            raise DataError(f"{path} is damaged: row {place} holds a value that is none; {again('tune')}.") from error
    return found, values


def _trial(path: Path, place: int, row: Sequence[str]) -> TrialRow:
    number, state, accuracy, epochs, duration, remark = row
    told = _number(accuracy, 0, 1) if accuracy else None
    spent, took = _number(epochs, 0), _number(duration, 0)
    whole = number == str(place) and state in STATES and (told is not None) == (state == "complete")
    if not whole or spent is None or took is None or not spent.is_integer() or (accuracy and told is None):
        raise DataError(f"{path} is damaged: row {place + 1} is no trial; {again('tune')}.")
    return TrialRow(place, state, told, int(spent), took, remark)


def _number(text: str, low: float, high: float = math.inf) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if low <= value <= high and math.isfinite(value) else None


def _read_curves(path: Path, trials: int) -> dict[int, list[float]]:
    """Return trial to the validation accuracies of its first training."""
    header, rows = cells(path, "tune")
    if tuple(header) != CurveRow._fields:
        raise DataError(f"{path} is no table of curves; {again('tune')}.")
    found: dict[int, list[float]] = {}
    first: dict[int, tuple[str, str]] = {}
    for place, (trial, seed, fold, epoch, accuracy) in enumerate(rows, 1):
        value = _number(accuracy, 0, 1)
        if value is None or not trial.isdecimal() or int(trial) >= trials or not epoch.isdecimal():
            raise DataError(f"{path} is damaged: row {place} is no epoch of a trial; {again('tune')}.")
        if first.setdefault(int(trial), (seed, fold)) == (seed, fold):
            found.setdefault(int(trial), []).append(value)
    return found

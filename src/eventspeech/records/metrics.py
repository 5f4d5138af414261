"""What a test leaves: metrics.json, predictions.csv and confusion.csv."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from eventspeech.errors import DataError
from eventspeech.files import sha256, write_csv, write_json
from eventspeech.records.reading import Fields, again, cells, fields

KEPT = "kept"

DEAD_TIMES = {"of_step": "of each step's own", KEPT: "of the trained step"}
"""Kinds of a test at another step, in words: a crossing of the threshold lies anywhere in its step, so that every grid
has half a step of dead time before a neuron integrates again, beside its refractory period (`engines.equations`).
``of_step``: the network as it was trained has that of the other step; ``kept``: a longer refractory period makes up for
the difference (`network.at_step`)."""

PREDICTIONS = ("sample", "speaker", "heard", "actual", "predicted")


def write_predictions(
    path: Path, speakers: ArrayLike, heard: ArrayLike, actual: ArrayLike, predicted: ArrayLike
) -> None:
    """Write one row a sample: number, speaker, whether it was learned from (1 or 0), actual and predicted class.

    Args:
        path: CSV to write.
        speakers, actual, predicted: str[S].
        heard: bool[S].
    """
    columns = speakers, np.asarray(heard).astype(int), actual, predicted
    rows = zip(*(np.asarray(column).tolist() for column in columns), strict=True)
    write_csv(path, PREDICTIONS, [[index, *row] for index, row in enumerate(rows)])


def write_confusion(path: Path, classes: list[str], counts: np.ndarray) -> None:
    """Write how often each class was taken for each.

    Args:
        path: CSV to write.
        classes: names of the K classes.
        counts: int64[K, K], rows are actual classes.
    """
    write_csv(path, ["actual", *classes], [[name, *row] for name, row in zip(classes, counts.tolist(), strict=True)])


def read_confusion(path: Path) -> tuple[np.ndarray, list[str]]:
    """Return what :func:`write_confusion` wrote: counts int64[K, K] and the names of the classes.

    Raises:
        DataError: it is missing or damaged, not square, or names fewer than two classes.
    """
    header, rows = cells(path, "evaluate")
    classes = header[1:]
    if len(set(classes)) < len(classes) or len(classes) < 2:
        raise DataError(f"{path} does not name two or more different classes; {again('evaluate')}.")
    if [row[0] for row in rows] != classes:
        raise DataError(f"{path} is damaged: its rows are not the classes of its header; {again('evaluate')}.")
    counts = [cell for row in rows for cell in row[1:]]
    for cell in counts:
        if not (cell.isascii() and cell.isdigit() and len(cell) < 16):
            raise DataError(f"{path} is damaged: '{cell[:60]}' is no count of samples; {again('evaluate')}.")
    return np.array(counts, np.int64).reshape(len(classes), len(classes)), classes


def write(path: Path, metrics: dict[str, Any]) -> None:
    """Write metrics.json, atomically; :func:`read` says which fields it has to have."""
    write_json(path, metrics)


def read(path: Path, model: Path, confusion: np.ndarray, **job: Any) -> dict[str, Any]:
    """Read metrics.json.

    Args:
        path: the file.
        model: of the tested model; if it is there, the test has to be of these very bytes.
        confusion: int64[K, K] of the same test.
        job: loss, seed and fold that the folder of the file belongs to.

    Raises:
        DataError: it is missing or damaged, holds impossible values, or belongs to another run, model or test.
    """
    found = fields(path, "evaluate")
    tested = found.object("model")
    tested.belongs(**job)
    if tested.text("sha256") != (sha256(model) if model.exists() else tested.content["sha256"]):
        raise DataError(f"{path} belongs to another model than {model}; {again('evaluate')}.")
    samples = found.count("samples", least=1)
    for name in ("accuracy_heard", "accuracy_unheard", "accuracy_validation_speakers"):
        found.unless_null(name, found.fraction)
    found.number("loss")
    found.unless_null("hidden_spikes", found.number, 0)
    hits, counted = int(np.trace(confusion)), int(confusion.sum())
    found.require("samples", samples == counted, f"the {counted} samples of confusion.csv")
    same = abs(found.fraction("accuracy") - hits / counted) < 1e-9
    found.require("accuracy", same, f"{hits} of {counted} samples, as confusion.csv says")
    _require_speakers(found, samples)
    _require_steps(found)
    return found.content


def _require_steps(found: Fields) -> None:
    """Refuse tests at several time steps that cannot be of one network: at the trained step it is the test itself."""
    found.unless_null("step_ms", found.number, 1e-6)
    accuracy, seen = found.number("accuracy"), dict[float, list[str]]()
    for row in found.objects("steps"):
        step_ms, kind = row.number("step_ms", 1e-6), row.text("dead_time")
        row.require("dead_time", kind in DEAD_TIMES, f"one of {', '.join(DEAD_TIMES)}")
        row.require("step_ms", kind not in seen.setdefault(step_ms, []), "another step than those before")
        row.number("refractory_ms", 0)
        row.text("engine")
        row.number("hidden_spikes", 0)
        # a prediction that is the same is as right
        apart, differing = abs(row.fraction("accuracy") - accuracy), 1 - row.fraction("agreement")
        row.require("agreement", apart <= differing + 1e-9, "what the accuracies allow")
        if step_ms == found.content["step_ms"]:
            for name in ("accuracy", "hidden_spikes"):
                row.require(name, row.content[name] == found.content[name], f"the {found.content[name]} of the test")
            row.require("agreement", row.content["agreement"] == 1, "1, that of the trained step with itself")
        seen[step_ms].append(kind)
    if seen:
        found.require("step_ms", found.content["step_ms"] in seen, "among its steps")
    both = all(kinds == list(DEAD_TIMES) for kinds in seen.values())
    found.require("steps", both, f"a test at each step with the dead times {', '.join(DEAD_TIMES)}")


def _require_speakers(found: Fields, samples: int) -> None:
    speakers = found.object("accuracy_by_speaker")
    counted = 0
    for name in speakers.content:
        speaker = speakers.object(name)
        speaker.fraction("accuracy")
        speaker.flag("heard")
        speaker.flag("validation")
        counted += speaker.count("samples", least=1)
    found.require("samples", counted == samples, f"the {counted} samples of its speakers")

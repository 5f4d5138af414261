"""Checksums of a study, of all that is the same wherever it is run: what stages computed, without times and machines.

A checksum is of what a file holds, not of its bytes: compression differs between versions of a library. Measurements of
`profile`, figures and pages are of a machine and have none.
"""

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eventspeech import paths
from eventspeech.errors import DataError
from eventspeech.files import read_json, read_npz, write_json
from eventspeech.params import Params
from eventspeech.records.reading import fields

STAGES = ("preprocess", "baseline", "train", "evaluate", "compare")
"""In the order of the graph."""

OF_A_MACHINE = frozenset(
    [
        "machine",
        "kernels",
        "threads",
        "duration_s",
        "ms_per_sample",
        "training_s",
        "validation_s",
        "sha256",
        "spikes_sha256",
    ]
)
"""Fields and columns that tell of a machine, of time, or of the bytes of a file."""

COMPARED = (
    "curves.csv", "differences.csv", "folds.csv", "losses.csv", "metrics.json", "runs.csv", "steps.csv", "summary.json",
    "time_to_accuracy.csv", "training.csv",
)  # fmt: skip


class Manifest(NamedTuple):
    """What a study computed.

    Attributes:
        version: of this package.
        parameters: all of them, by the name of each leaf.
        stages: of each stage, the checksum of each file by its path in the study.
    """

    version: str
    parameters: dict[str, Any]
    stages: dict[str, dict[str, str]]


def files_of(params: Params, spikes: Path, results: Path) -> dict[str, dict[str, Path]]:
    """Return where the files of a study lie: for each stage of :data:`STAGES`, by their usual path in a study."""
    study = params.study
    jobs = list(itertools.product(study.losses, study.seeds, study.folds))
    trained = [folder / name for job in jobs for folder in [paths.model(paths.RESULTS, *job)] for name in _TRAINED]
    tested = [paths.evaluation(paths.RESULTS, *job) for job in jobs]
    tested += [paths.RESULTS / "evaluate" / "baseline" / fold for fold in study.folds]
    fitted = [paths.baseline(paths.RESULTS, fold) / name for fold in study.folds for name in ("model.npz", _SUMMARY)]
    # the report may not read the test split: its statistics tell of it, and what was predicted
    prepared = [paths.spikes("train"), paths.statistics("train"), paths.statistics("test")]
    found = {
        "preprocess": prepared,
        "baseline": fitted,
        "train": trained,
        "evaluate": [folder / name for folder in tested for name in _TESTED],
        "compare": [paths.RESULTS / "compare" / name for name in COMPARED],
    }
    places = {paths.SPIKES: spikes, paths.RESULTS: results}
    return {
        stage: {
            path.as_posix(): place / path.relative_to(usual)
            for path in listed
            for usual, place in places.items()
            if path.is_relative_to(usual)
        }
        for stage, listed in found.items()
    }


_SUMMARY = "summary.json"
_TRAINED = ("weights.npz", "history.csv", _SUMMARY)
_TESTED = ("metrics.json", "predictions.csv", "confusion.csv", "examples.npz")


def of_study(params: Params, version: str, spikes: Path, results: Path) -> Manifest:
    """Return the manifest of a study, of those of its files that are there.

    Raises:
        DataError: a file of it is damaged.
    """
    found = files_of(params, spikes, results)
    sums = {
        stage: {name: checksum(path) for name, path in listed.items() if path.exists()}
        for stage, listed in found.items()
    }
    return Manifest(version, leaves(params.model_dump(mode="json")), sums)


def write(path: Path, manifest: Manifest) -> None:
    """Write a manifest as JSON."""
    write_json(path, manifest._asdict())


def read(path: Path) -> Manifest:
    """Read what :func:`write` wrote.

    Raises:
        DataError: it is missing or damaged.
    """
    found = fields(path, "report")
    found.only(Manifest._fields)
    stages = found.object("stages")
    stages.only(STAGES)
    for stage in STAGES:
        sums = stages.object(stage)
        for name in sums.content:
            sums.text(name)
    return Manifest(found.text("version"), found.object("parameters").content, stages.content)


def checksum(path: Path) -> str:
    """Return the SHA-256 of what a file holds, as hexadecimal digits.

    Raises:
        DataError: the file is missing or damaged.
    """
    content = {".npz": _arrays, ".json": _object, ".csv": _table}[path.suffix](path)
    digest = hashlib.sha256()
    for part in content:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _arrays(path: Path) -> Iterator[bytes]:
    for name, array in sorted(read_npz(path).items()):
        yield f"{name} {array.dtype.str} {array.shape}".encode()
        yield array.tobytes()


def _object(path: Path) -> Iterator[bytes]:
    yield json.dumps(_without_machine(read_json(path)), sort_keys=True).encode()


def _without_machine(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_machine(item) for key, item in value.items() if key not in OF_A_MACHINE}
    return [_without_machine(item) for item in value] if isinstance(value, list) else value


def _table(path: Path) -> Iterator[bytes]:
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; run the stage that makes it first.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it and run its stage again.") from error
    kept = [place for place, name in enumerate(rows[0] if rows else []) if name not in OF_A_MACHINE]
    for row in rows:
        yield json.dumps([row[place] for place in kept if place < len(row)]).encode()


def leaves(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested values by the names of their leaves, with dots."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{before}{key}"
        found |= leaves(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return found

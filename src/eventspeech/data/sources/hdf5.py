"""Reading and writing files in the layout of the Spiking Heidelberg Digits (Cramer et al. 2020).

``spikes/times`` (variable-length float16, seconds), ``spikes/units`` (variable-length uint16, channels 0..699),
``labels``, ``extra/speaker`` and ``extra/keys`` (names of the classes; without it they are named by their numbers). A
file without ``extra/speaker`` is refused, since validation and test hold out whole speakers.

float16 seconds resolve 0.5 ms in the second half of the first second and 1 ms after it: the layout's limit, not this
module's. Times become float64 before they are scaled (float16 overflows at 65504, and rounds).
"""

import contextlib
import json
import logging
import math
import unicodedata
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eventspeech.data import store
from eventspeech.data.sources import DESCRIPTION, Made, Source, Words, hdf5_process
from eventspeech.data.sources.hdf5_process import Message
from eventspeech.data.sources.hdf5_reader import BLOCK_SAMPLES
from eventspeech.data.store import MOST_CLASSES, SpikeStore, name_problem
from eventspeech.errors import DataError
from eventspeech.files import atomic_path, sha256
from eventspeech.params import Params
from eventspeech.paths import given
from eventspeech.progress import track

logger = logging.getLogger("eventspeech")


@dataclass(frozen=True)
class _Facts:
    """What a file says of its samples, without their spikes."""

    labels: np.ndarray
    speakers: np.ndarray  # of str
    class_names: list[str] | None


def read(files: Mapping[str, Path], split: str, trial_ms: float = math.inf) -> SpikeStore:
    """Read one split of a data set.

    Names of classes and speakers are the union over all files, so that they mean the same in every split; speakers that
    are numbers sort as numbers.

    Args:
        files: the file of each split.
        split: which of them to read.
        trial_ms: later spikes are cut off.

    Raises:
        DataError: a file is not HDF5, is truncated, lacks a dataset or holds impossible values.
    """
    facts, stream = _messages(files, split)
    with contextlib.closing(stream):
        class_names = _class_names(files, facts)
        speaker_names = sorted({str(name) for fact in facts.values() for name in fact.speakers}, key=_natural)
        wanted = facts[split]
        try:
            return store.from_samples(
                _samples(Path(files[split]), split, len(wanted.labels), stream),
                _renumbered(wanted, class_names),
                _indices(wanted.speakers, speaker_names),
                class_names,
                speaker_names,
                trial_ms,
            )
        except DataError as error:
            if str(files[split]) in str(error):
                raise
            raise DataError(f"{files[split]}: {error}") from error


def describe(files: Mapping[str, Path]) -> str:
    """Return one line on the samples of each split, the classes and the speakers; raises like :func:`read`."""
    facts, stream = _messages(files, None)
    stream.close()
    samples = " + ".join(f"{len(fact.labels)} {split}" for split, fact in facts.items())
    speakers = {str(name) for fact in facts.values() for name in fact.speakers}
    return f"{samples} samples, {len(_class_names(files, facts))} classes, {len(speakers)} speakers"


def write(path: Path, spikes: SpikeStore, speakers_as_numbers: bool | None = None) -> None:
    """Write a store in SHD's layout, atomically; times are rounded to float16 seconds.

    Args:
        speakers_as_numbers: store the speakers' names as numbers, as SHD does; default: if all names are numbers.
    """
    names = spikes.speaker_names
    if speakers_as_numbers is None:
        speakers_as_numbers = all(name.isdecimal() and name == str(int(name)) for name in names)
    speakers = np.array([int(name) if speakers_as_numbers else name for name in names], dtype=object)[spikes.speakers]
    speaker_dtype = np.dtype(np.uint16) if speakers_as_numbers else h5py.string_dtype()
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        times = file.create_dataset("spikes/times", len(spikes), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", len(spikes), h5py.vlen_dtype(np.uint16))
        for index in range(len(spikes)):  # a whole array of equally long rows would be taken for two-dimensional
            times_ms, channels = spikes.sample(index)
            times[index] = (times_ms.astype(np.float64) / 1000).astype(np.float16)
            units[index] = channels
        file["labels"] = spikes.labels.astype(np.uint16)
        file.create_dataset("extra/speaker", data=speakers.astype(speaker_dtype), dtype=speaker_dtype)
        file.create_dataset("extra/keys", data=list(spikes.class_names), dtype=h5py.string_dtype())


def _messages(files: Mapping[str, Path], rows: str | None) -> tuple[dict[str, _Facts], Generator[Message, None, None]]:
    """Return the facts of all files, and what comes after them: the blocks of the split ``rows``."""
    stream = hdf5_process.messages(files, rows)
    facts = {}
    for split, path in files.items():
        _, arrays = next(stream)
        named = {name: json.loads(arrays[name].tobytes()) for name in ("class_names", "speaker_names")}
        facts[split] = _checked(Path(path), arrays["labels"], arrays["speakers"], **named)
    return facts, stream


def _checked(
    path: Path, labels: np.ndarray, speakers: np.ndarray, class_names: list[str] | None, speaker_names: list[str]
) -> _Facts:
    if len(labels) == 0:
        raise DataError(f"{path} holds no sample; check which file this is.")
    least, most = int(labels.min()), int(labels.max())
    if least < 0:
        raise DataError(f"{path}: sample {int(labels.argmin())} has the label {least}; labels count from 0.")
    if class_names is None and most >= MOST_CLASSES:
        raise DataError(
            f"{path}: sample {int(labels.argmax())} has the label {most}, and without extra/keys every number up to it "
            f"would be a class (at most {MOST_CLASSES}); mend the label or add the classes' names."
        )
    if class_names is not None and most >= len(class_names):
        raise DataError(
            f"{path}: sample {int(labels.argmax())} has the label {most}, but extra/keys names only "
            f"{len(class_names)} classes (0..{len(class_names) - 1}); mend the label or add the name."
        )
    named = {"extra/keys": class_names or [], "extra/speaker": speaker_names}
    for name, texts in named.items():
        for text in texts:
            if problem := name_problem(text):
                raise DataError(f"{path}: {name} holds {text!r}, which {problem}; give each a plain name.")
    if class_names is not None:
        class_names = [unicodedata.normalize("NFC", name) for name in class_names]
        if len(set(class_names)) < len(class_names):
            raise DataError(f"{path}: extra/keys names a class twice; give each class its own name.")
    names = np.array([unicodedata.normalize("NFC", name) for name in speaker_names], dtype=np.str_)
    return _Facts(labels.astype(np.int64), names[speakers], class_names)


def _natural(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _class_names(files: Mapping[str, Path], facts: Mapping[str, _Facts]) -> list[str]:
    """Return the names of all classes: as listed in the first file, then what the others add."""
    unnamed = [split for split, fact in facts.items() if fact.class_names is None]
    if len(unnamed) == len(facts):
        return [str(number) for number in range(max(int(fact.labels.max()) for fact in facts.values()) + 1)]
    if unnamed:
        named = next(split for split in facts if split not in unnamed)
        raise DataError(
            f"{files[unnamed[0]]} has no extra/keys (the classes' names) but {files[named]} has; copy the dataset "
            "into the former, so that labels mean the same in both."
        )
    return list(dict.fromkeys(name for fact in facts.values() for name in fact.class_names or []))


def _renumbered(facts: _Facts, class_names: Sequence[str]) -> np.ndarray:
    if facts.class_names is None:
        return facts.labels
    return _indices(np.array(facts.class_names), class_names)[facts.labels]


def _indices(names: np.ndarray, known: Sequence[str]) -> np.ndarray:
    position = {name: index for index, name in enumerate(known)}
    return np.array([position[str(name)] for name in names], dtype=np.int64)


def _samples(path: Path, split: str, size: int, stream: Iterator[Message]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (times in ms, channels) of each sample; says how many were not in the order of time."""
    unsorted = 0
    for _, block in track(stream, -(-size // BLOCK_SAMPLES), f"reading {split}", "blocks"):
        if len(block["times"]) and np.isinf(block["times"]).mean() > 0.5:
            raise DataError(
                f"{path} holds infinite times, as microseconds become in {block['times'].dtype}; write seconds."
            )
        times_ms = block["times"].astype(np.float64) * 1000
        ends = [np.cumsum(block[f"{name}_per_sample"])[:-1] for name in ("times", "units")]
        for times, channels in zip(np.split(times_ms, ends[0]), np.split(block["units"], ends[1]), strict=True):
            unsorted += bool(np.any(times[1:] < times[:-1]))
            yield times, channels
    if unsorted:
        logger.warning("%s: the times of %d of %d samples are not in order; they are sorted.", path, unsorted, size)


# the files as a source, and what it shares with sources that fetch such files


def listed(paths: Mapping[str, Path], folder: Path) -> Made:
    """Check the file of each split (relative names: relative to ``folder``) and list it with its SHA-256."""
    there = {split: given(folder / path) for split, path in paths.items()}
    summary = describe(there)
    facts = {split: {"path": str(path), "sha256": sha256(there[split])} for split, path in paths.items()}
    return Made({"parameters": {}, "files": facts}, summary)


def splits(raw: Path, description: dict[str, Any]) -> list[str]:
    """Return the splits that a description lists files of.

    Raises:
        DataError: it lists none.
    """
    found = description.get("files")
    right = isinstance(found, dict) and all(
        isinstance(file, dict) and isinstance(file.get("path"), str) and isinstance(file.get("sha256"), str)
        for file in found.values()
    )
    if not found or not right:
        raise DataError(f"{raw / DESCRIPTION} lists no files; run `eventspeech download` again.")
    return list(found)


def read_listed(raw: Path, description: dict[str, Any], split: str, _params: Params, _kept: Path) -> SpikeStore:
    """Read a split of the files that a description lists, as :class:`.Source` promises.

    Raises:
        DataError: a file is gone, has changed since `download`, or is not usable.
    """
    names = splits(raw, description)
    paths = {name: _verified(raw, description, name) for name in names}  # all: names are taken from all
    whole = read(paths, split)
    if split == "train" and "validation" in paths:
        # one file for all that may be looked at before the test: no stage depends on which protocol divides it
        return store.with_validation(whole, read(paths, "validation"))
    return whole


def _verified(raw: Path, description: dict[str, Any], split: str) -> Path:
    try:
        name, expected = (str(description["files"][split][key]) for key in ("path", "sha256"))
    except (KeyError, TypeError) as error:
        raise DataError(f"{raw / DESCRIPTION} is damaged; run `eventspeech download` again.") from error
    path = given(name if description["kind"] == "hdf5" else raw / name)
    if not path.is_file():
        raise DataError(f"{path} is gone; put it back or run `eventspeech download` again.")
    if sha256(path) != expected:
        raise DataError(f"{path} has changed since `download` (its SHA-256 differs); run `eventspeech download` again.")
    return path


def _make(params: Params, _out: Path) -> Made:
    named = {split: getattr(params.download, f"hdf5_{split}") for split in ("train", "validation", "test")}
    named = {split: path for split, path in named.items() if path is not None}
    made = listed({split: Path(path) for split, path in named.items()}, Path())
    made.description["parameters"] = {f"hdf5_{split}": path for split, path in named.items()}
    return made


SOURCE = Source(
    Words("files in the layout of SHD", "own files in SHD's layout", "OWN FILES in SHD's layout"),
    _make, splits, read_listed,
)  # fmt: skip

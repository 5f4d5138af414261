"""Reading and writing files in the layout of the Spiking Heidelberg Digits (Cramer et al. 2020).

``spikes/times`` (variable-length float16, seconds), ``spikes/units`` (variable-length uint16, channels 0..699),
``labels``, ``extra/speaker`` and ``extra/keys`` (names of the classes; without it they are named by their numbers). A
file without ``extra/speaker`` is refused, since validation and test hold out whole speakers.

float16 seconds resolve 0.5 ms in the second half of the first second and 1 ms after it: the layout's limit, not this
module's. Times become float64 before they are scaled (float16 overflows at 65504, and rounds).
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eventspeech.data import store
from eventspeech.data.sources import DESCRIPTION, Made, Source, Words
from eventspeech.data.store import SpikeStore
from eventspeech.errors import DataError
from eventspeech.files import atomic_path, sha256
from eventspeech.params import Params
from eventspeech.progress import track


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
    facts = {name: _facts(Path(path)) for name, path in files.items()}
    class_names = _class_names(files, facts)
    speaker_names = sorted({str(name) for fact in facts.values() for name in fact.speakers}, key=_natural)
    wanted = facts[split]
    try:
        return store.from_samples(
            _samples(Path(files[split]), split, len(wanted.labels)),
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
    facts = {name: _facts(Path(path)) for name, path in files.items()}
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


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; whatever h5py raises for a damaged one becomes a DataError."""
    if not path.is_file():
        raise DataError(f"{path} does not exist; check the path in the parameter file, or run `download` again.")
    try:
        with path.open("rb") as plain:
            plain.read(1)  # a refusal of the system (no permission) is not damage
        # file systems of clusters often refuse locks, and nothing here writes into an existing file
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except PermissionError as error:
        raise DataError(f"{path} may not be read ({error.strerror}); change its permissions.") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        problem = "is not an HDF5 file"
        if h5py.is_hdf5(path):
            problem = "is truncated" if "truncated" in text else "is damaged"
        raise DataError(f"{path} {problem} ({text}); fetch or make it again.") from error


def _facts(path: Path) -> _Facts:
    with _opened(path) as file:
        labels = _dataset(path, file, "labels", "iu")
        units = _dataset(path, file, "spikes/units", "iu", ragged=True)
        times = _dataset(path, file, "spikes/times", "f", ragged=True)
        remedy = "add it (the speaker of each sample), since speakers are held out whole"
        speakers = _dataset(path, file, "extra/speaker", "iuSO", remedy=remedy)
        lengths = {data.name.removeprefix("/"): len(data) for data in (times, units, labels, speakers)}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise DataError(f"{path}: its datasets differ in their number of samples ({listed}); fetch it again.")
        class_names = None
        if "extra/keys" in file:
            class_names = _texts(_dataset(path, file, "extra/keys", "iuSO")[()])
            if len(set(class_names)) < len(class_names):
                raise DataError(f"{path}: extra/keys names a class twice; give each class its own name.")
        facts = _Facts(labels[()].astype(np.int64), np.array(_texts(speakers[()]), dtype=np.str_), class_names)
    _check_labels(path, facts)
    return facts


def _check_labels(path: Path, facts: _Facts) -> None:
    if len(facts.labels) == 0:
        raise DataError(f"{path} holds no sample; check which file this is.")
    least, most = int(facts.labels.min()), int(facts.labels.max())
    if least < 0:
        raise DataError(f"{path}: sample {int(facts.labels.argmin())} has the label {least}; labels count from 0.")
    if facts.class_names is not None and most >= len(facts.class_names):
        raise DataError(
            f"{path}: sample {int(facts.labels.argmax())} has the label {most}, but extra/keys names only "
            f"{len(facts.class_names)} classes (0..{len(facts.class_names) - 1}); mend the label or add the name."
        )


def _dataset(
    path: Path, file: h5py.File, name: str, kinds: str, ragged: bool = False, remedy: str = "it is not in SHD's layout"
) -> h5py.Dataset:
    data = file.get(name)
    if not isinstance(data, h5py.Dataset):
        raise DataError(f"{path} has no dataset {name}; {remedy}.")
    element = h5py.check_vlen_dtype(data.dtype) if ragged else data.dtype
    if data.ndim != 1 or element is None or element.kind not in kinds:
        what = {"f": "real numbers", "iu": "whole numbers"}.get(kinds, "whole numbers or texts")
        raise DataError(
            f"{path}: {name} has {data.ndim} dimensions and the type {data.dtype}; make it one row of "
            f"{'variable-length ' if ragged else ''}{what}, as in SHD's layout."
        )
    return data


def _texts(values: np.ndarray) -> list[str]:
    return [_text(value) for value in values]


def _text(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:  # German digits in the encoding of older tools; latin-1 cannot fail
        return value.decode("latin-1")


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


def _samples(path: Path, split: str, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (times in ms, channels) of each sample; read by blocks, since every read has a fixed cost of 0.4 ms."""
    starts = range(0, size, store.BLOCK_SAMPLES)
    with _opened(path) as file:
        for start in track(starts, len(starts), f"reading {split}", "blocks"):
            block = slice(start, start + store.BLOCK_SAMPLES)
            times, units = file["spikes/times"][block], file["spikes/units"][block]
            for seconds, channels in zip(times, units, strict=True):
                yield seconds.astype(np.float64) * 1000, channels


# the files as a source, and what it shares with sources that fetch such files


def listed(paths: Mapping[str, Path], folder: Path) -> Made:
    """Check the file of each split (relative names: relative to ``folder``) and list it with its SHA-256."""
    there = {split: folder / path for split, path in paths.items()}
    facts = {split: {"path": str(path), "sha256": sha256(there[split])} for split, path in paths.items()}
    return Made({"parameters": {}, "files": facts}, describe(there))


def splits(raw: Path, description: dict[str, Any]) -> list[str]:
    """Return the splits that a description lists files of.

    Raises:
        DataError: it lists none.
    """
    found = description.get("files")
    if not isinstance(found, dict) or not found:
        raise DataError(f"{raw / DESCRIPTION} lists no files; run `eventspeech download` again.")
    return list(found)


def read_listed(raw: Path, description: dict[str, Any], split: str, _params: Params) -> SpikeStore:
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
    path = Path(description["files"][split]["path"])
    if description["kind"] != "hdf5":
        path = raw / path
    if not path.is_file():
        raise DataError(f"{path} is gone; put it back or run `eventspeech download` again.")
    if sha256(path) != description["files"][split]["sha256"]:
        raise DataError(f"{path} has changed since `download` (its SHA-256 differs); run `eventspeech download` again.")
    return path


def _make(params: Params, _out: Path) -> Made:
    given = {split: getattr(params.download, f"hdf5_{split}") for split in ("train", "validation", "test")}
    given = {split: path for split, path in given.items() if path is not None}
    made = listed({split: Path(path) for split, path in given.items()}, Path())
    made.description["parameters"] = {f"hdf5_{split}": path for split, path in given.items()}
    return made


SOURCE = Source(
    Words("files in the layout of SHD", "own files in SHD's layout", "OWN FILES in SHD's layout"),
    _make, splits, read_listed,
)  # fmt: skip

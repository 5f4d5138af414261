"""The canonical spike store: one file a split, events sorted by sample and time.

``S`` samples, ``E`` events, channels 0..699 (0 is the high-frequency end, as in SHD).

A file says which split it holds, and :func:`load` refuses the test split: only the stage `evaluate` may call
:func:`load_test`, so that no other stage can come to look at it, whatever path it is given.
"""

import dataclasses
import itertools
import json
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from eventspeech.errors import DataError
from eventspeech.files import read_npz, write_npz
from eventspeech.params import CHANNELS, Cochlea

TEST = "test"
"""The split that one stage opens, once per model."""
SPLITS = ("train", "validation", TEST)

MOST_CLASSES = 10_000
"""More than any vocabulary here, few enough that a wrong label cannot ask for gigabytes."""
LONGEST_NAME = 200
"""Characters of the name of a class or speaker."""

BLOCK_SAMPLES = 256
"""Samples sorted at once: some 2 million events, little memory beside the whole split."""


@dataclass(frozen=True)
class Origin:
    """Where spikes come from: what a model must know to hear further recordings as it heard these.

    Attributes:
        source: name of the source.
        cochlea: parameters of the cochlea model that made them of audio; ``None`` where the source gave spikes.
    """

    source: str
    cochlea: Cochlea | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, and :func:`origin_of` turns back."""
        return {
            "source": self.source,
            "cochlea": None if self.cochlea is None else self.cochlea.model_dump(mode="json"),
        }


def origin_of(content: Any) -> Origin:
    """Return the origin that :meth:`Origin.as_dict` described.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(content, dict) or set(content) != {"source", "cochlea"}:
        raise ValueError("it does not name source and cochlea")
    source, cochlea = content["source"], content["cochlea"]
    if not isinstance(source, str) or name_problem(source) is not None:
        raise ValueError("its source has no name")
    try:
        return Origin(source, None if cochlea is None else Cochlea.model_validate(cochlea))
    except pydantic.ValidationError as error:
        raise ValueError(f"its cochlea is none of this version ({error.errors()[0]['msg']})") from error


@dataclass(frozen=True)
class SpikeStore:
    """Spike trains of a split.

    Attributes:
        offsets: int64[S + 1], events of sample ``i`` are ``offsets[i]:offsets[i + 1]``.
        times_ms: float32[E], ascending within a sample, in [0, trial_ms).
        channels: uint16[E].
        labels: int64[S], index into ``class_names``.
        speakers: int64[S], index into ``speaker_names``.
        class_names, speaker_names: the same in every split of a source.
        trial_ms: T.
        validation: bool[S], samples of the split that the source itself sets apart to choose by; ``None``: none is.
        origin: what made them; ``None`` if that is unknown.
    """

    offsets: np.ndarray
    times_ms: np.ndarray
    channels: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    class_names: tuple[str, ...]
    speaker_names: tuple[str, ...]
    trial_ms: float
    validation: np.ndarray | None = None
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the times, float32[n] in ms and ascending, and the channels, int[n], of one sample."""
        events = slice(self.offsets[index], self.offsets[index + 1])
        return self.times_ms[events], self.channels[events]

    def select(self, indices: np.ndarray) -> "SpikeStore":
        """Return a store of the samples ``indices`` (int[...] or bool[S]), in that order."""
        indices = np.arange(len(self))[indices]
        counts = np.diff(self.offsets)[indices]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        events = np.repeat(self.offsets[indices] - offsets[:-1], counts) + np.arange(offsets[-1])
        return SpikeStore(
            offsets=offsets,
            times_ms=self.times_ms[events],
            channels=self.channels[events],
            labels=self.labels[indices],
            speakers=self.speakers[indices],
            class_names=self.class_names,
            speaker_names=self.speaker_names,
            trial_ms=self.trial_ms,
            validation=None if self.validation is None else self.validation[indices],
            origin=self.origin,
        )

    def crop(self, trial_ms: float) -> "SpikeStore":
        """Return the same samples without the spikes at or after ``trial_ms``."""
        kept = self.times_ms < np.float32(trial_ms)
        before = np.concatenate([[0], np.cumsum(kept)])
        return dataclasses.replace(
            self,
            offsets=before[self.offsets],
            times_ms=self.times_ms[kept],
            channels=self.channels[kept],
            trial_ms=float(trial_ms),
        )

    def speakers_named(self, names: list[str]) -> np.ndarray:
        """Return bool[S]: the samples of these speakers.

        Raises:
            DataError: a name is not a speaker of this source or has no sample in this split.
        """
        for name in names:
            if name not in self.speaker_names or not np.any(self.speakers == self.speaker_names.index(name)):
                present = [self.speaker_names[i] for i in np.unique(self.speakers)]
                raise DataError(
                    f"There is no speaker '{name}' in this split; choose from {', '.join(present)} "
                    "(validation.speakers in the parameter file)."
                )
        return np.isin(self.speakers, [self.speaker_names.index(name) for name in names])


def name_problem(name: str) -> str | None:
    """Say what keeps ``name`` from being the name of a class or speaker, or return ``None``."""
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST_NAME:
        return f"has {len(name)} characters (at most {LONGEST_NAME})"
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        return "holds a control character"
    return None


def from_samples(
    samples: Iterable[tuple[np.ndarray, np.ndarray]],
    labels: np.ndarray,
    speakers: np.ndarray,
    class_names: Sequence[str],
    speaker_names: Sequence[str],
    trial_ms: float,
) -> SpikeStore:
    """Build a store from (times_ms, channels) pairs: sorts by time, cuts off at ``trial_ms``, checks everything.

    The samples are consumed one after the other, so that a source need not hold them all. ``trial_ms`` may be infinite.

    Args:
        samples: of each the times, [n] in ms, and the channels, [n] whole numbers, of its spikes, in any order.
        labels: int[S], places in ``class_names``.
        speakers: int[S], places in ``speaker_names``.
        class_names: of the classes.
        speaker_names: of the speakers.
        trial_ms: length of a trial.

    Raises:
        DataError: a channel, time or label is impossible; names the sample.
    """
    blocks = []
    samples = iter(samples)
    first = 0
    while block := list(itertools.islice(samples, BLOCK_SAMPLES)):
        blocks.append(_sorted_block(block, first, trial_ms))
        first += len(block)
    times, channels, counts = zip(*blocks, strict=True) if blocks else ((), (), ())
    store = SpikeStore(
        offsets=np.cumsum(np.concatenate([[0], *counts])).astype(np.int64),
        times_ms=np.concatenate(times) if times else np.empty(0, np.float32),
        channels=np.concatenate(channels) if channels else np.empty(0, np.uint16),
        labels=np.asarray(labels, np.int64),
        speakers=np.asarray(speakers, np.int64),
        class_names=tuple(class_names),
        speaker_names=tuple(speaker_names),
        trial_ms=float(trial_ms),
    )
    check(store, "the source")
    return store


def _sorted_block(
    samples: list[tuple[np.ndarray, np.ndarray]], first: int, trial_ms: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return float32 times, uint16 channels and the count of each sample, sorted by sample, time and channel."""
    for index, (times, channels) in enumerate(samples, first):
        if len(times) != len(channels):
            raise DataError(
                f"Sample {index} has {len(times)} spike times but {len(channels)} channels; the file is damaged."
            )
    times = np.concatenate([times for times, _ in samples]).astype(np.float64)
    channels = np.concatenate([channels for _, channels in samples])
    owners = np.repeat(np.arange(len(samples), dtype=np.uint64), [len(times) for times, _ in samples])
    _check_events(times, channels, owners, first)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, hence cut off
        rounded = times.astype(np.float32) + np.float32(0)  # adding 0 turns -0 into 0, whose bits must sort first
    # Sample (22 bits), time (the bits of a positive float32 sort like its value) and channel (10 bits) in one number:
    # sorting plain numbers takes a tenth of the time of an indirect sort by three keys
    keys = owners << 42 | rounded.view(np.uint32).astype(np.uint64) << 10 | channels.astype(np.uint64)
    keys = keys[rounded < np.float32(trial_ms)]  # in float32, as `check` compares: what rounds to T is not before T
    if np.any(keys[1:] < keys[:-1]):
        keys.sort()
    counts = np.bincount((keys >> 42).astype(np.int64), minlength=len(samples))
    return (keys >> 10).astype(np.uint32).view(np.float32), (keys & 1023).astype(np.uint16), counts


def _check_events(times: np.ndarray, channels: np.ndarray, owners: np.ndarray, first: int) -> None:
    impossible = ~(np.isfinite(times) & (times >= 0))
    if np.any(impossible):
        index = first + int(owners[np.argmax(impossible)])
        raise DataError(
            f"Sample {index} has a spike time that is negative, infinite or NaN; remove or mend the sample."
        )
    outside = (channels < 0) | (channels >= CHANNELS)
    if np.any(outside):
        where = int(np.argmax(outside))
        hint = "; if yours count from 1, subtract 1" if channels.max() == CHANNELS else ""
        raise DataError(
            f"Sample {first + int(owners[where])} has channel {int(channels[where])}, outside 0..{CHANNELS - 1}; this "
            f"program expects SHD's {CHANNELS} channels{hint}."
        )


def check(store: SpikeStore, origin: str) -> None:
    """Raise :class:`DataError` unless the store is consistent: nothing in it leads beyond an array or the trial."""
    size = len(store.labels)
    events = len(store.times_ms)
    problems = {
        "it holds no sample": size == 0,
        "labels, speakers and offsets differ in length": len(store.speakers) != size or len(store.offsets) != size + 1,
        "times and channels differ in length": len(store.channels) != events,
        "samples and marks of validation differ in length": store.validation is not None
        and len(store.validation) != size,
        f"it has no class or more than {MOST_CLASSES}": not 0 < len(store.class_names) <= MOST_CLASSES,
        "a label is outside the list of classes": size > 0
        and (store.labels.min() < 0 or store.labels.max() >= len(store.class_names)),
        "a speaker is outside the list of speakers": size > 0
        and (store.speakers.min() < 0 or store.speakers.max() >= len(store.speaker_names)),
    }
    for what, names in (("class", store.class_names), ("speaker", store.speaker_names)):
        wrong = next((name for name in names if name_problem(name)), None)
        problems[f"the name of a {what}, {wrong!r}, {name_problem(wrong or '')}"] = wrong is not None
        problems[f"a {what} is listed twice"] = len(set(names)) < len(names)
        problems[f"the name of a {what} is not in Unicode's normal form"] = any(
            not unicodedata.is_normalized("NFC", name) for name in names
        )
    if not any(problems.values()):
        problems["its offsets do not fit its events"] = bool(
            # no differences: those of numbers far apart would overflow
            store.offsets[0] != 0 or store.offsets[-1] != events or np.any(store.offsets[1:] < store.offsets[:-1])
        )
        problems[f"a channel is outside 0..{CHANNELS - 1}"] = events > 0 and not (
            0 <= store.channels.min() and store.channels.max() < CHANNELS
        )
        problems["a time is outside the trial"] = events > 0 and not (
            store.times_ms.min() >= 0 and store.times_ms.max() < store.trial_ms
        )
    if not any(problems.values()):
        problems["the times of a sample are not in order"] = not _ascending(store)
    for problem, present in problems.items():
        if present:
            raise DataError(f"{origin} is not usable: {problem}; run the stage that made it again.")


def _ascending(store: SpikeStore) -> bool:
    for first in range(0, len(store), BLOCK_SAMPLES):
        offsets = store.offsets[first : first + BLOCK_SAMPLES + 1]
        times = store.times_ms[offsets[0] : offsets[-1]]
        back = np.flatnonzero(times[1:] < times[:-1]) + 1 + offsets[0]
        if not np.isin(back, offsets).all():  # from one sample to the next, times begin anew
            return False
    return True


def with_validation(learned: SpikeStore, validation: SpikeStore) -> SpikeStore:
    """Return the samples of both, those of ``validation`` last and marked; both name classes and speakers alike."""
    return SpikeStore(
        offsets=np.concatenate([learned.offsets, learned.offsets[-1] + validation.offsets[1:]]),
        times_ms=np.concatenate([learned.times_ms, validation.times_ms]),
        channels=np.concatenate([learned.channels, validation.channels]),
        labels=np.concatenate([learned.labels, validation.labels]),
        speakers=np.concatenate([learned.speakers, validation.speakers]),
        class_names=learned.class_names,
        speaker_names=learned.speaker_names,
        trial_ms=learned.trial_ms,
        validation=np.repeat([False, True], [len(learned), len(validation)]),
        origin=learned.origin,
    )


def save(store: SpikeStore, path: Path, split: str) -> None:
    """Write a store of ``split`` (no pickles, atomically, equal stores give equal bytes)."""
    write_npz(
        path,
        {
            "offsets": store.offsets,
            "times_ms": store.times_ms,
            "channels": store.channels,
            "labels": store.labels,
            "speakers": store.speakers,
            "class_names": np.array(store.class_names, dtype=np.str_),
            "speaker_names": np.array(store.speaker_names, dtype=np.str_),
            "trial_ms": np.array(store.trial_ms, np.float64),
            "split": np.array(split, np.str_),
            "validation": np.zeros(len(store), bool) if store.validation is None else store.validation,
            _ORIGIN: np.array("" if store.origin is None else json.dumps(store.origin.as_dict(), sort_keys=True)),
        },
        compress=False,  # spike times do not compress, and training reads the store at every start
    )


def load(path: Path) -> SpikeStore:
    """Read and check a store written by :func:`save` that is not the test split.

    Raises:
        DataError: it is the test split, no spike store, or damaged.
    """
    store, split = _read(path)
    if split == TEST:
        raise DataError(
            f"{path} holds the test split, which the stage `evaluate` alone opens; give this stage the training split."
        )
    return store


def load_test(path: Path) -> SpikeStore:
    """Read and check the test split, for the stage `evaluate` alone.

    Raises:
        DataError: it is another split, no spike store, or damaged.
    """
    store, split = _read(path)
    if split != TEST:
        raise DataError(f"{path} holds the split '{split}', on which nothing is tested; give the test split.")
    return store


_ARRAYS = {
    "offsets": (np.int64, 1), "times_ms": (np.float32, 1), "channels": (np.uint16, 1), "labels": (np.int64, 1),
    "speakers": (np.int64, 1), "class_names": (np.str_, 1), "speaker_names": (np.str_, 1), "trial_ms": (np.float64, 0),
    "split": (np.str_, 0), "validation": (np.bool_, 1),
}  # fmt: skip
"""Of each array of a file its type and number of dimensions."""

_ORIGIN = "origin"
"""Its array, a JSON text, which files of versions up to 0.2 lack."""


def _read(path: Path) -> tuple[SpikeStore, str]:
    """Return a store and the name of its split."""
    arrays = read_npz(path)
    for name, (kind, dimensions) in _ARRAYS.items():
        if name not in arrays:
            raise DataError(f"{path} is not a spike store: '{name}' is missing; run `preprocess` again.")
        found = arrays[name]
        right = found.dtype.kind == "U" if kind is np.str_ else found.dtype == kind
        if not right or found.ndim != dimensions:
            raise DataError(
                f"{path} is not a spike store: '{name}' has {found.ndim} dimensions of {found.dtype}; run `preprocess` "
                "again."
            )
    trial_ms, split = float(arrays["trial_ms"]), str(arrays["split"])
    if not 0 < trial_ms < math.inf:
        raise DataError(f"{path} is not usable: its trial lasts {trial_ms:g} ms; run `preprocess` again.")
    if split not in SPLITS:
        raise DataError(f"{path} is not usable: there is no split '{split[:20]}'; run `preprocess` again.")
    store = SpikeStore(
        offsets=arrays["offsets"],
        times_ms=arrays["times_ms"],
        channels=arrays["channels"],
        labels=arrays["labels"],
        speakers=arrays["speakers"],
        class_names=tuple(str(name) for name in arrays["class_names"]),
        speaker_names=tuple(str(name) for name in arrays["speaker_names"]),
        trial_ms=trial_ms,
        validation=arrays["validation"],
        origin=_read_origin(path, arrays),
    )
    check(store, str(path))
    if not np.any(store.validation):
        store = dataclasses.replace(store, validation=None)
    return store, split


def _read_origin(path: Path, arrays: dict[str, np.ndarray]) -> Origin | None:
    text = str(arrays.get(_ORIGIN, ""))
    if not text:
        return None
    try:
        return origin_of(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not usable: its origin is unreadable ({error}); run `preprocess` again.") from error

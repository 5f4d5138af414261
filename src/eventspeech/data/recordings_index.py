"""The index that sources of audio leave: ``recordings.csv``."""

import collections
import csv
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from eventspeech import files, paths
from eventspeech.data import audio
from eventspeech.errors import DataError

INDEX = "recordings.csv"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Entry:
    """A recording in the index.

    Attributes:
        path: relative to the folder of the index, or absolute where the source is given so.
        label: name of the class.
        speaker: name of the speaker.
        split: train, validation or test.
        take: number of the take.
        duration_s, rate_hz: of the audio, in s and Hz.
        sha256: of the file, by which `preprocess` notices a changed one.
    """

    path: str
    label: str
    speaker: str
    split: str
    take: int
    duration_s: float
    rate_hz: int
    sha256: str


COLUMNS = tuple(field.name for field in fields(Entry))


def natural(text: str) -> list:
    """Sorting key by which 2 comes before 10.

    >>> sorted(["10", "2", "a10", "a9"], key=natural)
    ['2', '10', 'a9', 'a10']
    """
    parts = re.split(r"(\d{1,18})", text)
    return [(int(part), part) if index % 2 else (0, part) for index, part in enumerate(parts)]


def entry(file: Path, path: str, sound: audio.Sound, label: str, speaker: str, split: str, take: int) -> Entry:
    """Describe a recording that was read from ``file``; ``path`` is what the index holds, see :class:`Entry`."""
    return Entry(
        path=path,
        label=label,
        speaker=speaker,
        split=split,
        take=take,
        duration_s=round(len(sound.samples) / sound.rate_hz, 6),
        rate_hz=sound.rate_hz,
        sha256=files.sha256(file),
    )


def path_from(out: Path, place: Path) -> str:
    """Return how the index of the folder ``out`` names a file: from ``out`` on, unless it was given as absolute."""
    return place.as_posix() if place.is_absolute() else Path(os.path.relpath(place, out)).as_posix()


def file_of(raw: Path, one: Entry) -> Path:
    """Return where a recording of the index in ``raw`` is, also in a copy of the study that DVC made."""
    return paths.given(raw / one.path)


def write_index(entries: list[Entry], out: Path) -> None:
    """Write the index; the order in which the classes occur first is the order of the classes everywhere."""
    files.write_csv(Path(out) / INDEX, COLUMNS, [tuple(asdict(entry).values()) for entry in entries])


def read_index(raw: Path) -> list[Entry]:
    """Read and check the index that `download` left in the folder ``raw``.

    Raises:
        DataError: it is missing, or not what :func:`write_index` writes.
    """
    path = Path(raw) / INDEX
    if not path.exists():
        raise DataError(f"{path} is missing; run `eventspeech download` again.")
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            entries = [_parsed(row) for row in csv.DictReader(stream, strict=True)]
    except (KeyError, TypeError, ValueError, csv.Error, OSError) as error:
        raise DataError(
            f"{path} is not an index of recordings ({error}); delete it and run `eventspeech download` again."
        ) from error
    if not entries:
        raise DataError(f"{path} lists no recording; run `eventspeech download` again.")
    return entries


def _parsed(row: dict[str, str]) -> Entry:
    if None in row.values():
        raise ValueError("a line is cut short")
    kinds = {"take": int, "rate_hz": int, "duration_s": float}
    one = Entry(**{column: kinds.get(column, str)(cell) for column, cell in row.items()})
    if one.split not in SPLITS:
        raise ValueError(f"the split '{one.split}'")
    return one


def summary(raw: Path) -> str:
    """Return one line on the recordings of each split, the words and the speakers."""
    entries = read_index(raw)
    counts = collections.Counter(one.split for one in entries)
    recordings = " + ".join(f"{count} {split}" for split, count in counts.items())
    labels, speakers = {one.label for one in entries}, {one.speaker for one in entries}
    return f"{recordings} recordings, {len(labels)} words, {len(speakers)} speakers"


def splits(raw: Path, _description: dict[str, Any]) -> list[str]:
    """Return the splits that the index has recordings of."""
    present = {one.split for one in read_index(raw)}
    return [split for split in SPLITS if split in present]

"""The index that sources of audio leave: ``recordings.csv``."""

import collections
import csv
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from eventspeech import files
from eventspeech.data import audio
from eventspeech.errors import DataError

INDEX = "recordings.csv"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Entry:
    """A recording in the index.

    Attributes:
        path: relative to the folder of the index.
        label: name of the class.
        speaker: name of the speaker.
        split: train or test.
        take: number of the take.
        duration_s, rate_hz: of the audio.
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
    parts = re.split(r"(\d+)", text)
    return [(int(part), part) if index % 2 else (0, part) for index, part in enumerate(parts)]


def entry(file: Path, out: Path, label: str, speaker: str, split: str, take: int) -> Entry:
    """Open and check a recording, and describe it for the index of the folder ``out``."""
    samples, rate_hz = audio.read(file)
    return Entry(
        path=Path(os.path.relpath(file, out)).as_posix(),
        label=label,
        speaker=speaker,
        split=split,
        take=take,
        duration_s=round(len(samples) / rate_hz, 6),
        rate_hz=rate_hz,
        sha256=files.sha256(file),
    )


def write_index(entries: list[Entry], out: Path) -> None:
    """Write the index; the order in which the classes occur first is the order of the classes everywhere."""
    files.write_csv(Path(out) / INDEX, COLUMNS, [tuple(asdict(entry).values()) for entry in entries])


def read_index(raw: Path) -> list[Entry]:
    """Read and check the index that `download` left in the folder ``raw``."""
    path = Path(raw) / INDEX
    if not path.exists():
        raise DataError(f"{path} is missing; run `eventspeech download` again.")
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        entries = [
            Entry(
                **row
                | {"take": int(row["take"]), "rate_hz": int(row["rate_hz"]), "duration_s": float(row["duration_s"])}
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} is not an index of recordings ({error}); delete it and run `download` again."
        ) from error
    if not entries:
        raise DataError(f"{path} lists no recording; run `download` again.")
    return entries


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

"""The sources of speech. A source is written in two places:

- its module here, of the name by which `download.source` chooses it, with a :class:`Source` called ``SOURCE``;
- its name and its group of parameters in :class:`eventspeech.params.Download`.

`download`, `preprocess` and the report know of a source what :func:`named` gives them.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

from eventspeech import files
from eventspeech.data.store import SpikeStore
from eventspeech.errors import DataError
from eventspeech.params import Download, Params

SOURCES: tuple[str, ...] = get_args(Download.model_fields["source"].annotation)
"""Names of all sources."""

DESCRIPTION = "source.json"
"""The file in a raw folder that says what made it: ``kind``, the source's name, and what the source says of itself."""


@dataclass(frozen=True)
class Words:
    """How texts speak of a source.

    Attributes:
        data: what the data is, after "Data:" at the head of the report.
        called: its name within a sentence, after "the data is".
        warning: what every figure says, in capitals first; ``None`` for SHD and SSC, whose results are comparable.
        licence: of the data, as far as this program knows it.
    """

    data: str
    called: str
    warning: str | None = None
    licence: str = "unknown to this program: that of the recordings"


class Made(NamedTuple):
    """What a source says of the raw folder that it made: for :data:`DESCRIPTION`, and in one line for the user."""

    description: dict[str, Any]
    summary: str


@dataclass(frozen=True)
class Source:
    """A source of speech.

    Attributes:
        words: for texts.
        make: fills an empty folder; only the group ``download`` may decide what comes into it.
        splits: given a raw folder and its description, the names of the splits it has, of train, validation and test.
        read: given a raw folder, its description, a split and the parameters (of ``cochlea`` at most), the split's
            spikes, all of them: what lies beyond the trial is cut off afterwards, so that it can be counted. The split
            train comes with the source's own validation split, marked, if it has one. Beside these it is given a folder
            in which it may keep what it has done so far; who reads again after a kill finds it there.
        audio: its recordings become spikes by the cochlea model of this program.
        publishable: whether its recordings may be part of a report: nobody's voice and under no licence but ours.
    """

    words: Words
    make: Callable[[Params, Path], Made]
    splits: Callable[[Path, dict[str, Any]], list[str]]
    read: Callable[[Path, dict[str, Any], str, Params, Path], SpikeStore]
    audio: bool = False
    publishable: bool = False


def named(name: str) -> Source:
    """Return the source of a name out of :data:`SOURCES`; only its own module is imported."""
    return importlib.import_module(f"{__name__}.{name}").SOURCE


def read_description(raw: Path) -> dict[str, Any]:
    """Return what made the folder ``raw``; ``kind`` is one of :data:`SOURCES`.

    Raises:
        DataError: the folder does not exist, or this program did not make it.
    """
    path = raw / DESCRIPTION
    if not path.is_file():
        problem = f"has no {DESCRIPTION}, so it was not made by this program" if raw.exists() else "does not exist"
        raise DataError(f"The raw folder {raw} {problem}; run `eventspeech download` first, or correct --raw.")
    description = files.read_json(path)
    if not isinstance(description, dict) or description.get("kind") not in SOURCES:
        raise DataError(f"{path} names no source that this program knows; run `eventspeech download` again.")
    return description

"""What is said of recordings before they are opened: labels, speakers, takes and splits, from file names or a manifest.

Names are text in Unicode's composed form (NFC): a Mac's "fünf" and Linux's are one word. They are never taken for
numbers.
"""

import collections
import csv
import logging
import os
import re
import signal
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from eventspeech import paths
from eventspeech.data import folder_scan
from eventspeech.data.faults import Faults, by_ending, few, shown
from eventspeech.data.recordings_index import SPLITS
from eventspeech.errors import DataError
from eventspeech.params import Recordings

logger = logging.getLogger("eventspeech")

COLUMNS = ("path", "label", "speaker", "take", "split")
NEEDED = ("path", "label", "speaker")
LONGEST_NAME = 100
INVISIBLE = ("Cf", "Zs", "Zl", "Zp")
"""Categories of characters that leave no ink: those of formatting and spaces."""
SEPARATOR = ["sep=", ""]
"""Cells of the line ``sep=,`` that tells Excel how the others are separated."""

LONGEST_MATCH_S = 2.0
"""Of processor time, to match one name."""


@dataclass(frozen=True)
class Found:
    """A recording with what its name or the manifest says of it.

    Attributes:
        file: where it is.
        place: its path as the user gives it, which a copy of the study can use, too: relative to the current folder, or
            absolute if the parameter file or the manifest is.
        label, speaker: names, in NFC.
        take: text by which the takes of a speaker's word are put into order.
        split: train, validation or test; ``None``: not told.
    """

    file: Path
    place: Path
    label: str
    speaker: str
    take: str
    split: str | None


def normal(text: str) -> str:
    """Return a name as it is compared everywhere: in NFC, without space at its ends."""
    return unicodedata.normalize("NFC", text).strip()


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return groups of names that differ in capitals, space, width or invisible characters only.

    >>> alike(["One", "two", "one"])
    [('One', 'one')]
    """
    groups = collections.defaultdict(list)
    for name in dict.fromkeys(names):
        visible = "".join(one for one in unicodedata.normalize("NFKC", name) if unicodedata.category(one) != "Cf")
        groups[" ".join(visible.casefold().split())].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def from_names(parameters: Recordings, folder: Path, endings: Iterable[str]) -> list[Found]:
    """Find the recordings below a folder; their names tell the rest.

    Args:
        parameters: pattern, and what to do with files that do not fit.
        folder: where it is, see :func:`eventspeech.paths.given`.
        endings: of recordings, lower case, with their dot.

    Raises:
        DataError: there are none, or files that may not be left out; counts and names them.
    """
    scan = folder_scan.scan(folder, frozenset(endings))
    _tell_others(scan, folder, parameters)
    place, pattern = Path(parameters.folder or folder), re.compile(parameters.pattern)
    found = []
    for file in scan.recordings:
        below = file.relative_to(folder)
        match = _matched(pattern, normal(below.with_suffix("").as_posix() if "/" in parameters.pattern else file.stem))
        groups = {} if match is None else match.groupdict()
        label, speaker = (normal(groups.get(key) or "") for key in ("label", "speaker"))
        split = groups.get("split")
        if not label or not speaker:
            scan.faults.add(
                "with names that do not match download.recordings.pattern (correct it, or write a manifest)",
                shown(below),
            )
        elif _has_controls(label + speaker):
            scan.faults.add("with a line break or control character in the name", shown(below))
        elif not _is_visible(label) or not _is_visible(speaker):
            scan.faults.add("with a label or speaker of invisible characters", shown(below))
        elif split is not None and split not in SPLITS:
            scan.faults.add("with a split that is not train, validation or test", shown(below))
        else:
            found.append(Found(file, place / below, label, speaker, groups.get("take") or file.stem, split))
    scan.faults.settle(parameters.unusable, str(folder), "download.recordings.unusable")
    if not found:
        raise DataError(
            f"There is no recording (wav, flac, ogg, mp3, ...) in {folder}; correct download.recordings.folder."
        )
    return found


def _matched(pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    """Match a whole name; some patterns, such as ``(a+)+``, would take years for a name that does not fit.

    Raises:
        DataError: it takes longer than :data:`LONGEST_MATCH_S`.
    """

    def give_up(*_: object) -> None:
        raise DataError(
            f"download.recordings.pattern takes longer than {LONGEST_MATCH_S:g} s for the name '{shown(Path(name))}'; "
            "write it without repetitions within repetitions."
        )

    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        return pattern.fullmatch(name)
    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_MATCH_S)
    try:
        return pattern.fullmatch(name)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _tell_others(scan: folder_scan.Scan, folder: Path, parameters: Recordings) -> None:
    if scan.hidden:
        logger.debug("download: hidden, left out: %s", ", ".join(map(shown, scan.hidden)))
    if not scan.others:
        return
    what = f"{len(scan.others)} file{'s' if len(scan.others) > 1 else ''} in {folder}"
    listed = by_ending(scan.others)
    if parameters.other_files == "refuse":
        raise DataError(
            f"{what} cannot be read as recordings: {listed}; convert or remove them, or set "
            "download.recordings.other_files to warn."
        )
    logger.warning("download: left out %s that cannot be read as recordings: %s", what, listed)


def from_manifest(parameters: Recordings, folder: Path) -> list[Found]:
    """Read the recordings that a manifest lists.

    Args:
        parameters: the manifest, and what to do with recordings that are missing.
        folder: what its paths are relative to.

    Raises:
        DataError: it is no such list, or names recordings that are not there; counts and names the lines.
    """
    manifest = paths.given(parameters.manifest or "")
    place = Path(parameters.folder) if parameters.folder is not None else Path(parameters.manifest or "").parent
    rows = _rows(manifest)
    faults = Faults()
    for line, row in rows:
        for what in _wrong(row):
            faults.add(what, f"line {line}")
    if len(faults):
        raise DataError(f"The manifest {manifest} has lines that cannot be used: {faults}; correct them.")
    found, missing, places = [], Faults(), collections.defaultdict(list)
    finder = _Finder(folder)
    for line, row in rows:
        file = finder.find(row["path"])
        if file is None:
            missing.add("that do not exist or may not be read", f"line {line}: {shown(row['path'])}")
            continue
        places[os.path.realpath(file)].append(f"{line}")
        at = place / file.relative_to(folder) if file.is_relative_to(folder) else file
        take = row["take"] or row["path"]
        found.append(Found(file, at, row["label"], row["speaker"], take, row["split"].lower() or None))
    missing.settle(
        parameters.unusable, f"the manifest {manifest} (paths are relative to {folder})", "download.recordings.unusable"
    )
    twice = [" and ".join(lines) for lines in places.values() if len(lines) > 1]
    if twice:
        raise DataError(
            f"The manifest {manifest} lists {len(twice)} file{'s' if len(twice) > 1 else ''} more than once (lines "
            f"{few(twice)}); leave one line of each."
        )
    if not found:
        raise DataError(f"The manifest {manifest} lists no recording; add a line for each.")
    return found


def _rows(manifest: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the number and the cells of each line, all cells as text in NFC without space at its ends."""
    if manifest.exists() and not manifest.is_file():  # a pipe or device would be waited for, or read for ever
        raise DataError(f"The manifest {manifest} is not a file; correct download.recordings.manifest.")
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            lines = [(reader.line_num, [normal(cell) for cell in row]) for row in reader]
    except FileNotFoundError as error:
        raise DataError(f"The manifest {manifest} does not exist; correct download.recordings.manifest.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The manifest {manifest} is not a CSV file in UTF-8 ({error}); save it as one.") from error
    except OSError as error:
        raise DataError(
            f"The manifest {manifest} cannot be read ({error.strerror}); correct it or its permissions."
        ) from error
    lines = [(line, row) for line, row in lines if any(row) and row != SEPARATOR]
    header = [cell.lower() for cell in lines[0][1]] if lines else []
    _check_header(manifest, header)
    rows = lines[1:]
    wrong = [str(line) for line, row in rows if len(row) != len(header)]
    if wrong:
        one = len(wrong) == 1
        raise DataError(
            f"The manifest {manifest} has {len(wrong)} {'line' if one else 'lines'} whose cells are not as many as the "
            f"header's {len(header)} ({'line' if one else 'lines'} {few(wrong)}); put a text that holds a comma "
            "between double quotes."
        )
    if not rows:
        raise DataError(f"The manifest {manifest} lists no recording; add a line for each.")
    return [(line, dict.fromkeys(COLUMNS, "") | dict(zip(header, row, strict=True))) for line, row in rows]


def _check_header(manifest: Path, header: list[str]) -> None:
    if len(header) == 1 and (other := next((one for one in ";\t|" if one in header[0]), None)):
        name = {"\t": "tabs"}.get(other, f"'{other}'")
        raise DataError(f"The manifest {manifest} is separated by {name}; save it with commas between the cells.")
    missing = [column for column in NEEDED if column not in header]
    if missing:
        raise DataError(
            f"The manifest {manifest} has no column {' and '.join(missing)}; add it (header line: path,label,speaker)."
        )
    twice = [column for column in COLUMNS if header.count(column) > 1]
    if twice:
        raise DataError(f"The manifest {manifest} has the column {twice[0]} twice; remove one.")
    unknown = [column for column in header if column and column not in COLUMNS]
    if unknown:
        logger.info("download: columns of %s that are not used: %s", manifest, ", ".join(map(shown, unknown)))


def _wrong(row: dict[str, str]) -> list[str]:
    """Return what is wrong with a line, in words that follow a number."""
    found = [f"with an empty {column}" for column in NEEDED if not row[column]]
    for column in ("label", "speaker"):
        if len(row[column]) > LONGEST_NAME:
            found.append(f"with a {column} of more than {LONGEST_NAME} characters (is a quote missing?)")
        elif _has_controls(row[column]):
            found.append(f"with a line break or control character in the {column}")
        elif row[column] and not _is_visible(row[column]):
            found.append(f"with a {column} of invisible characters")
    if row["split"] and row["split"].lower() not in SPLITS:
        found.append(f"with the split '{shown(row['split'][:LONGEST_NAME])}' (write train, validation or test)")
    if ".." in PurePosixPath(row["path"].replace("\\", "/")).parts:
        found.append("with a path that leaves the folder by '..' (set download.recordings.folder further up)")
    return found


def _has_controls(text: str) -> bool:
    return any(unicodedata.category(one) == "Cc" for one in text)


def _is_visible(text: str) -> bool:
    return any(unicodedata.category(one) not in INVISIBLE for one in text)


class _Finder:
    """Finds files by names of either Unicode form, as Macs and other systems write them."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._listed: dict[Path, dict[str, str]] = {}

    def find(self, path: str) -> Path | None:
        """Return the plain file of a manifest's path; ``None`` if there is none."""
        for written in (path, path.replace("\\", "/")):
            try:
                if (file := self._folder / written).is_file():
                    return file
                if (file := self._by_form(self._folder, PurePosixPath(written).parts)).is_file():
                    return file
            except (OSError, ValueError):  # no permission, a name that is too long, a null byte
                continue
        return None

    def _by_form(self, folder: Path, parts: tuple[str, ...]) -> Path:
        for part in parts:
            if not (folder / part).exists():
                part = self._names(folder).get(normal(part), part)
            folder = folder / part
        return folder

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._listed:
            self._listed[folder] = {normal(name): name for name in os.listdir(folder)} if folder.is_dir() else {}
        return self._listed[folder]

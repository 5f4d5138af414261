"""All files below a folder: none is passed over without a word.

Links are followed, to files and to folders. What a system or a program keeps beside the user's files is left out: names
that begin with a dot (``.git``, ``.Trash-1000``, ``._one.wav``), and :data:`OF_SYSTEMS`.
"""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from eventspeech.data.faults import Faults, few, shown
from eventspeech.errors import DataError

OF_SYSTEMS = frozenset({
    "__macosx", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "desktop.ini", "@eadir",
})  # fmt: skip
"""Names, in lower case, of what systems put into folders."""

LINK_TO_NOTHING = "links to nothing (content not fetched, disk not mounted)"
NOT_UTF8 = "with a name that is not UTF-8 (rename: convmv)"
NO_ACCESS = "not readable"
NO_FILE = "neither files nor folders"


@dataclass
class Scan:
    """What lies below a folder.

    Attributes:
        recordings: files with one of the wanted endings, sorted.
        others: other files, sorted.
        hidden: what was left out, not looked into.
        faults: what cannot be taken.
    """

    recordings: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)


def scan(folder: Path, endings: Collection[str]) -> Scan:
    """Find the files below ``folder`` whose names end, in any case, with one of ``endings`` (dot, lower case).

    Raises:
        DataError: a link leads into a circle, or to a folder that is reached in another way, too.
    """
    found = Scan()
    root = os.path.realpath(folder)
    waiting: list[tuple[Path, tuple[str, ...]]] = [(folder, (root,))]
    seen = {root: folder}
    while waiting:
        current, ancestors = waiting.pop()
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            found.faults.add(NO_ACCESS, _below(current, folder))
            continue
        for entry in entries:
            path = current / entry.name
            kind = _kind(entry)
            if _is_hidden(entry.name):
                found.hidden.append(path)
            elif not _is_text(entry.name):
                found.faults.add(NOT_UTF8, _below(path, folder))
            elif kind == "folder":
                real = os.path.realpath(path)
                _require_new(path, real, ancestors, seen)
                seen[real] = path
                waiting.append((path, (*ancestors, real)))
            elif kind != "file":
                found.faults.add(kind, _below(path, folder))
            elif path.suffix.lower() in endings:
                found.recordings.append(path)
            else:
                found.others.append(path)
    found.recordings.sort()
    found.others.sort()
    return found


def _below(path: Path, folder: Path) -> str:
    return shown(path.relative_to(folder) if path != folder else path)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in OF_SYSTEMS


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _kind(entry: os.DirEntry) -> str:
    """Return ``file``, ``folder``, or what is wrong with the entry."""
    try:
        mode = entry.stat().st_mode
    except PermissionError:
        return NO_ACCESS
    except OSError:  # nothing there, or a link that leads to itself
        return LINK_TO_NOTHING if entry.is_symlink() else NO_ACCESS
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else NO_FILE


def _require_new(path: Path, real: str, ancestors: tuple[str, ...], seen: dict[str, Path]) -> None:
    if real in ancestors:
        raise DataError(f"The link {shown(path)} leads back to {shown(real)}, in a circle; remove the link.")
    if real in seen:
        raise DataError(
            f"{few([shown(path), shown(seen[real])], 'and')} are one folder (a link leads to it); remove the link, "
            "since its recordings would be there twice."
        )

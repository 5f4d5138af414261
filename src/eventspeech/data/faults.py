"""Faults of many files in one sentence: counted by kind, the first ones named, all of them in the log."""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from eventspeech.errors import DataError

logger = logging.getLogger("eventspeech")

NAMED = 3


def shown(path: str | Path) -> str:
    """Return a path that can be printed: bytes that are no text, and control characters, as escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def few(names: Sequence[str], joined: str = "") -> str:
    """Return the first names, with dots for the others.

    >>> few(["a", "b"]), few(["a", "b", "c", "d"]), few(["a", "b"], "and")
    ('a, b', 'a, b, c, ...', 'a and b')
    """
    if joined and len(names) == 2:
        return f"{names[0]} {joined} {names[1]}"
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


class Faults:
    """Names of files by what is wrong with them."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}

    def add(self, what: str, name: str) -> None:
        """Take down that ``name`` has the fault ``what``, which is worded to follow a number."""
        self._kinds.setdefault(what, []).append(name)

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def __str__(self) -> str:
        return "; ".join(f"{len(names)} {what} ({few(names)})" for what, names in self._kinds.items())

    def settle(self, policy: str, where: str, key: str) -> None:
        """Refuse the faults or leave the files out with a warning; without a fault do nothing.

        Args:
            policy: ``refuse`` or ``leave_out``.
            where: the folder or list that has them.
            key: of the parameter that chose the policy.

        Raises:
            DataError: the policy is to refuse.
        """
        if not len(self):
            return
        for what, names in self._kinds.items():
            for name in names:
                logger.debug("download: %s: %s", what, name)
        files = f"{len(self)} file{'s' if len(self) > 1 else ''}"
        if policy == "refuse":
            raise DataError(
                f"{files} of {where} cannot be taken: {self}; mend or remove {_them(self)}, or set {key} to leave_out."
            )
        logger.warning("download: left out %s of %s: %s", files, where, self)


def _them(faults: Faults) -> str:
    return "it" if len(faults) == 1 else "them"


def by_ending(paths: Iterable[Path]) -> str:
    """Return how many files there are of each ending, the most frequent first, and a few names."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(path.suffix.lower() or "without an ending", []).append(shown(path.name))
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return "; ".join(f"{len(names)} {ending} ({few(names)})" for ending, names in ordered)

"""How records are read: every refusal is one sentence that names file, field, value and remedy.

A reader takes the fields that it needs, each by what it has to be, and hands out nothing it has not looked at.
"""

import csv
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from eventspeech.errors import DataError
from eventspeech.files import read_json

LONGEST_SHOWN = 60
"""Characters of a refused value that its sentence shows."""


def present(path: Path, stage: str) -> Path:
    """Return the path of a record.

    Raises:
        DataError: nothing is there; names the stage that makes it.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; run the stage `{stage}` that makes it.")
    return path


def again(stage: str) -> str:
    """Return the remedy for a damaged record."""
    return f"run the stage `{stage}` again"


def fields(path: Path, stage: str) -> "Fields":
    """Read the JSON object that a stage left.

    Raises:
        DataError: it is missing, cannot be read or is no object.
    """
    return Fields(read_json(present(path, stage)), path, again(stage))


@dataclass(frozen=True)
class Fields:
    """The fields of a JSON object, each checked as it is taken.

    Attributes:
        content: what the file holds.
        path: the file.
        remedy: what mends a damaged one.
        inside: where in the file the object stands, as ``outer.``.

    Each method that takes a field raises :class:`DataError` if it is missing or not of its kind.
    """

    content: dict[str, Any]
    path: Path
    remedy: str
    inside: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.content, dict):
            what = f"{self.inside.rstrip('.')} is" if self.inside else "it holds"
            raise DataError(f"{self.path} is damaged: {what} no object of named fields; {self.remedy}.")

    def refuse(self, name: str, expected: str) -> NoReturn:
        """Raise the sentence that says what a field is and what it has to be."""
        shown = _shown(self.content[name])
        raise DataError(f"{self.path} is damaged: {self.inside}{name} is {shown}, not {expected}; {self.remedy}.")

    def require(self, name: str, holds: bool, expected: str) -> None:
        """Refuse a field unless a condition on it holds."""
        if not holds:
            self.refuse(name, expected)

    def only(self, names: Iterable[str]) -> None:
        """Refuse fields that this version does not know: they would be believed without being understood."""
        if unknown := sorted(set(self.content) - set(names)):
            raise DataError(
                f"{self.path} has the field {self.inside}{unknown[0]}, which this version does not know; use the "
                f"version that made it, or {self.remedy}."
            )

    def raw(self, name: str) -> Any:
        """Take a field as it is.

        Raises:
            DataError: there is none of that name.
        """
        if name not in self.content:
            raise DataError(f"{self.path} lacks the field {self.inside}{name}; {self.remedy}.")
        return self.content[name]

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Take a finite number within bounds."""
        value = self.raw(name)
        finite = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
        self.require(name, finite and low <= value <= high, "a finite number" + _within(low, high))
        return float(value)

    def fraction(self, name: str) -> float:
        """Take a number in [0, 1]."""
        return self.number(name, 0, 1)

    def count(self, name: str, least: int = 0, most: int = 2**53) -> int:
        """Take a whole number within bounds."""
        value = self.raw(name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        self.require(name, whole and least <= value <= most, "a whole number" + _within(least, most))
        return value

    def counts(self, name: str, least: int = 0, most: int = 2**53) -> list[int]:
        """Take a list of whole numbers within bounds, at least one."""
        value = self.raw(name)
        whole = isinstance(value, list) and all(type(item) is int and least <= item <= most for item in value)
        self.require(name, whole and len(value) > 0, "a list of whole numbers" + _within(least, most))
        return value

    def numbers(self, name: str, length: int) -> list[float]:
        """Take a list of so many finite numbers."""
        value = self.raw(name)
        finite = isinstance(value, list) and all(
            type(item) in (int, float) and abs(item) <= sys.float_info.max for item in value
        )
        self.require(name, finite and len(value) == length, f"a list of {length} finite numbers")
        return value

    def unless_null(self, name: str, take: Callable[..., Any], *bounds: float) -> None:
        """Take a field by one of these methods unless it is JSON's null: unknown."""
        if self.raw(name) is not None:
            take(name, *bounds)

    def flag(self, name: str) -> bool:
        """Take true or false."""
        self.require(name, isinstance(self.raw(name), bool), "true or false")
        return self.content[name]

    def text(self, name: str) -> str:
        """Take a text that is not empty."""
        value = self.raw(name)
        self.require(name, isinstance(value, str) and value != "", "a text")
        return value

    def names(self, name: str, least: int = 0) -> list[str]:
        """Take a list of texts, none empty and none twice."""
        value = self.raw(name)
        texts = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        self.require(name, texts and len(set(value)) == len(value) >= least, "a list of different texts")
        return value

    def object(self, name: str) -> "Fields":
        """Take an object within the object."""
        return Fields(self.raw(name), self.path, self.remedy, f"{self.inside}{name}.")

    def objects(self, name: str) -> "list[Fields]":
        """Take a list of objects."""
        value = self.raw(name)
        self.require(name, isinstance(value, list), "a list of objects")
        return [
            Fields(item, self.path, self.remedy, f"{self.inside}{name}[{place}].") for place, item in enumerate(value)
        ]

    def belongs(self, **expected: Any) -> None:
        """Refuse a record of another job than the one whose folder it lies in."""
        for name, value in expected.items():
            found = self.raw(name)
            if found != value or type(found) is not type(value):
                raise DataError(
                    f"{self.path} does not belong here: {self.inside}{name} is {_shown(found)}, not {value!r}; "
                    f"{self.remedy}."
                )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."


def _within(low: float, high: float) -> str:
    if low > -math.inf and high < 2**53:
        return f" from {low:g} to {high:g}"
    return f" of at least {low:g}" if low > -math.inf else f" of at most {high:g}" if high < math.inf else ""


def cells(path: Path, stage: str) -> tuple[list[str], list[list[str]]]:
    """Read a table of text: its header, and its rows of as many cells.

    Raises:
        DataError: it is missing, cannot be read, is no table or has a row of another length.
    """
    try:
        with present(path, stage).open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream, strict=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); make it readable.") from error
    except (ValueError, csv.Error) as error:
        reason = "it is empty" if "unpack" in str(error) else error
        raise DataError(f"{path} is damaged ({reason}); {again(stage)}.") from error
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise DataError(
                f"{path} is damaged: row {number} has {len(row)} cells, its header {len(header)}; {again(stage)}."
            )
    return header, rows

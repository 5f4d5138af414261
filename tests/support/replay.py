"""Replay of recorded windows in place of a meter."""

import csv
import dataclasses
import math
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eventspeech.errors import DataError
from eventspeech.files import write_csv
from eventspeech.meters.window import Window, Windows


class ReplayMeter(Windows):
    """Gives back the windows of a recording, by name and in their order, for tests.

    Raises:
        DataError: the recording is not one, or has no such window left.
    """

    kind = "replay"

    def __init__(self, file: Path) -> None:
        super().__init__(time.monotonic)
        self._file = Path(file)
        self._recorded: dict[str, deque[Window]] = {}
        try:
            with self._file.open(newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream):
                    window = _window(row)
                    self._recorded.setdefault(window.name, deque()).append(window)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{file} is not a recording of windows ({error}); record it again.") from error

    def facts(self) -> dict[str, Any]:
        return {"meter": self.kind, "recording": self._file.name}

    def _start(self) -> None:
        return None

    def _finish(self, name: str, started: None) -> Window:
        if not self._recorded.get(name):
            raise DataError(f"{self._file} holds no further window '{name}'; record the measurement again.")
        return self._recorded[name].popleft()


_FIELDS = tuple(field.name for field in dataclasses.fields(Window))
_TEXTS = ("name", "method", "reason", "note", "throttled")


def record(windows: Sequence[Window], path: Path) -> None:
    """Write windows as the CSV that :class:`ReplayMeter` reads; unknown values are empty cells."""
    write_csv(path, _FIELDS, [[getattr(window, name) for name in _FIELDS] for window in windows])


def _window(row: dict[str, str]) -> Window:
    values: dict[str, Any] = {name: row[name] or None for name in _FIELDS if name in row}
    for name, value in values.items():
        if name not in _TEXTS and value is not None:
            values[name] = float(value)
            if not math.isfinite(values[name]):
                raise ValueError(f"{name} is {value}")
    values["samples"] = int(values.get("samples") or 0)
    return Window(**values)

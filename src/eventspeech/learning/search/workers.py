"""Who works on a search, and whether they still do: by process on this machine, by a sign of life on others."""

import contextlib
import os
import platform
import re
import threading
from pathlib import Path
from types import TracebackType

import psutil

BEAT_S = 15.0
"""Time between two signs of life."""

SILENT_S = 300.0
"""A worker on another machine that gave no sign for so long has died; the file server's clock is what counts."""

SAME_S = 1.0
"""Processes of one number that began further apart are two: the system uses numbers again."""

HOST = re.sub(r"\W", "_", platform.node())[:40] or "host"


class Workers:
    """This process's place among the workers of a search; a context in which it gives signs of life.

    Attributes:
        me: name of this process: machine, process, and when that began.
    """

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self.me = f"{HOST}-{os.getpid()}-{psutil.Process().create_time():.2f}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Workers":
        self._touch()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._remove(self.me)

    def _remove(self, worker: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._sign(worker).unlink(missing_ok=True)

    def lives(self, worker: str) -> bool:
        """Return whether a worker is still at it."""
        host, number, began = (*worker.split("-"), "", "", "")[:3]
        if host == HOST:
            runs = number.isdecimal() and _runs(int(number), began)
            if not runs and number:  # it was killed, or it would have done so itself
                self._remove(worker)
            return runs
        self._touch()
        try:
            return self._sign(self.me).stat().st_mtime - self._sign(worker).stat().st_mtime < SILENT_S
        except OSError:
            return False

    def _sign(self, worker: str) -> Path:
        return self._storage.with_name(f".{self._storage.name}.{worker}.alive")

    def _touch(self) -> None:
        with contextlib.suppress(OSError):  # a full disk stops no worker here
            self._sign(self.me).touch()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            self._touch()


def _runs(number: int, began: str) -> bool:
    """Return whether a process of this machine that began then still runs."""
    try:
        process = psutil.Process(number)
        return abs(process.create_time() - float(began)) < SAME_S and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, OverflowError):
        return False

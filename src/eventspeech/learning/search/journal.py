"""The file that a search is kept in: Optuna's journal, one line of JSON for each thing that happened.

Several processes append to it, of one machine or, on a shared file system, of many. Any Optuna program reads it. What
is added here to Optuna's own backend: a line that was torn, by a crash or a full disk, is cut off before the next one
is written, so that nothing ever follows half a line; and a damaged or full file is told in one sentence.
"""

import contextlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileOpenLock

from eventspeech import disk
from eventspeech.errors import DataError

BLOCK_BYTES = 1 << 16
MOST_LINE_BYTES = 1 << 24
"""No line of a search is nearly as long; a file without line ends is no journal."""


class Journal(BaseJournalBackend):
    """A journal file; made if there is none.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        with disk.full_disk(path), disk.refused_access(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("ab").close()
        self._path = path
        # not by a symbolic link, which some file systems lack; who holds it for 30 s without a sign has died
        self._lock = JournalFileOpenLock(str(path))
        self._starts = [0]

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the entries from a number on; half a line at the end is none yet.

        Raises:
            DataError: a line is damaged.
        """
        first = min(log_number_from, len(self._starts) - 1)
        with self._path.open("rb") as stream:
            stream.seek(self._starts[first])
            number = first
            while (line := stream.readline(MOST_LINE_BYTES)).endswith(b"\n"):
                if number + 1 == len(self._starts):
                    self._starts.append(self._starts[number] + len(line))
                if number >= log_number_from:
                    yield self._entry(line, number + 1)
                number += 1
            if len(line) == MOST_LINE_BYTES:
                raise self._damaged(number + 1)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append entries: all of them, or, if the disk refuses, none.

        Raises:
            UserError: the disk is full or failed.
        """
        left = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with disk.full_disk(self._path), self._locked(), self._path.open("rb+", buffering=0) as stream:
            end = _end_of_whole_lines(stream)
            stream.truncate(end)
            stream.seek(end)
            try:
                while left:
                    left = left[stream.write(left) :]
                disk.flush(self._path)
            except OSError:
                with contextlib.suppress(OSError):
                    stream.truncate(end)
                raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError):  # another took it from this process, which slept for long
                self._lock.release()

    def _entry(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise self._damaged(number) from None
        if not isinstance(found, dict) or "op_code" not in found:
            raise self._damaged(number)
        return found

    def _damaged(self, number: int) -> DataError:
        return DataError(
            f"{self._path} is damaged: line {number} is no entry of a search; move it away to begin anew, or remove "
            "the lines from there on to go on with the trials before."
        )


def _end_of_whole_lines(stream: io.RawIOBase) -> int:
    """Return the place behind the last line end of a file."""
    end = stream.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - BLOCK_BYTES)
        stream.seek(start)
        found = (stream.read(end - start) or b"").rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0

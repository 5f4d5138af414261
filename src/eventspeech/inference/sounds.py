"""What to listen to: files, folders and standard input, whole or window by window.

A recording is encoded as `preprocess` encodes those of a folder: read by :mod:`eventspeech.data.audio`, its channels
averaged, resampled to 48 kHz, normalised, faded in and out, with random numbers that its content decides.

Long recordings are cut into windows: window k covers the seconds [k hop, k hop + window); the last one is the first
that reaches the end (but for less than 5 ms), and is shorter where it goes beyond it. Each is encoded like a recording
of its own. That also raises the noise of a pause to the level of speech, so that windows whose level is
:data:`QUIET_DB` or more below that of the loudest window get no answer. A window that covers the whole recording is
the recording.
"""

import logging
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eventspeech import files
from eventspeech.data import audio, cochlea, folder_scan
from eventspeech.data.faults import shown
from eventspeech.errors import DataError, UserError
from eventspeech.seeds import derive_seed

logger = logging.getLogger("eventspeech")

STANDARD_INPUT = Path("-")

QUIET_DB = 40.0
"""So far below the loudest window's level there is no speech, in dB."""

LONGEST_WINDOWED_S = 1800.0
"""A recording that is cut into windows may last so long: it is in memory as a whole, 8 bytes a sample."""

MOST_BYTES = 1 << 30
"""Most that is read from standard input."""


@dataclass(frozen=True)
class Cut:
    """How long recordings are cut: windows of ``window_s`` seconds every ``hop_s`` seconds."""

    window_s: float
    hop_s: float


class Piece(NamedTuple):
    """A recording, or a window of it.

    Attributes:
        name: of the file, as a person sees it.
        start_s, end_s: its place in the recording, in s.
        samples: float64[n].
        rate_hz: their rate.
        level_db: root mean square, in dB of full scale; -inf of nothing.
        problem: why it cannot be answered, as a clause; ``None`` if it can.
        recording: for the encoder; ``None`` if there is a problem.
        readable: the file itself is usable.
    """

    name: str
    start_s: float
    end_s: float
    samples: np.ndarray
    rate_hz: int
    level_db: float
    problem: str | None
    recording: cochlea.Recording | None
    readable: bool = True


def cut(window_s: float | None, hop_s: float | None) -> Cut | None:
    """Return how to cut, ``None`` for not at all; by default a window comes every half window.

    Raises:
        UserError: there is a hop without a window, a window too short to be heard, or a hop that leaves gaps.
    """
    if window_s is None:
        if hop_s is not None:
            raise UserError("--hop says how often a window comes; give its length, too, with --window.")
        return None
    hop_s = window_s / 2 if hop_s is None else hop_s
    if not audio.SHORTEST_S <= window_s <= audio.LONGEST_S:
        raise UserError(
            f"--window {window_s:g} is no length of a word; give {audio.SHORTEST_S:g} to {audio.LONGEST_S:g} seconds."
        )
    if not 1e-3 <= hop_s <= window_s:
        raise UserError(
            f"--hop {hop_s:g} would leave gaps, or too many windows; give 0.001 to {window_s:g} seconds (--window)."
        )
    return Cut(window_s, hop_s)


def listed(given: Sequence[Path]) -> list[Path]:
    """Return the files to listen to, each once: those of folders sorted, the others as they were given.

    Raises:
        DataError: one does not exist, or a folder holds no recording.
    """
    found: list[Path] = []
    for path in given:
        if path == STANDARD_INPUT:
            found.append(path)
        elif path.is_dir():
            found += _in_folder(path)
        elif path.is_file():
            found.append(path)
        elif path.exists():
            raise DataError(f"{shown(path)} is neither a file nor a folder; send a stream to standard input (-).")
        else:
            raise DataError(f"{shown(path)} does not exist; check the path.")
    return list(dict.fromkeys(found))


def _in_folder(folder: Path) -> list[Path]:
    scan = folder_scan.scan(folder, audio.suffixes())
    if len(scan.faults):
        logger.warning("predict: passed over in %s: %s", shown(folder), scan.faults)
    if not scan.recordings:
        raise DataError(f"{shown(folder)} holds no recording (wav, flac, ogg, mp3, ...); give the folder that does.")
    return scan.recordings


def pieces(paths: Sequence[Path], how: Cut | None, seed: int) -> Iterator[Piece]:
    """Read recordings one after the other and yield each, or its windows; one that cannot be used says so.

    Args:
        paths: as of :func:`listed`.
        how: to cut them.
        seed: of the cochlea's parameters.
    """
    for path in paths:
        name = "standard input" if path == STANDARD_INPUT else shown(path)
        try:
            with _on_disk(path) as file:
                sound = audio.read(file, audio.LONGEST_S if how is None else LONGEST_WINDOWED_S)
                digest = files.sha256(file)
        except audio.Unusable as error:
            yield _unusable(name, error)
            continue
        yield from _cut(name, sound, how, lambda *axes, digest=digest: derive_seed(seed, "cochlea", digest, *axes))


class _on_disk:
    """The file of a recording; of standard input a temporary copy, since sound files are read at several places."""

    def __init__(self, path: Path):
        self._path = path

    def __enter__(self) -> Path:
        if self._path != STANDARD_INPUT:
            return self._path
        content = sys.stdin.buffer.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise DataError(f"Standard input has more than {MOST_BYTES >> 30} GiB; cut the recording.")
        self._copy = tempfile.NamedTemporaryFile(prefix="eventspeech-")
        self._copy.write(content)
        self._copy.flush()
        return Path(self._copy.name)

    def __exit__(self, *_: object) -> None:
        if self._path == STANDARD_INPUT and hasattr(self, "_copy"):
            self._copy.close()


def _unusable(name: str, error: audio.Unusable) -> Piece:
    fault = error.sentence.partition(";")[0].rstrip(".")
    if error.what == f"longer than {audio.LONGEST_S:g} s":
        fault += " (--window 1 goes through it second by second)"
    return Piece(name, 0.0, 0.0, np.empty(0), 0, -math.inf, fault, None, readable=False)


def _cut(name: str, sound: audio.Sound, how: Cut | None, seed: Callable[..., int]) -> list[Piece]:
    """Return a recording whole or in windows; ``seed`` gives the seed of what its arguments name."""
    count = len(sound.samples)
    spans = _spans(count, sound.rate_hz, how)
    if len(spans) == 1:
        return [_piece(name, sound, (0, count), seed())]
    found = [_piece(name, sound, span, seed(span[0])) for span in spans]
    loudest = max(piece.level_db for piece in found)
    return [_without_pause(piece, loudest - piece.level_db) for piece in found]


def _without_pause(piece: Piece, below_db: float) -> Piece:
    if piece.problem is not None or below_db < QUIET_DB:
        return piece
    problem = f"is quiet, {below_db:.0f} dB below the loudest window"
    return piece._replace(problem=problem, recording=None)


def _spans(count: int, rate_hz: int, how: Cut | None) -> list[tuple[int, int]]:
    """Return first and last sample (exclusive) of each window."""
    if how is None:
        return [(0, count)]
    spans: list[tuple[int, int]] = []
    while not spans or spans[-1][1] <= count - audio.SHORTEST_S * rate_hz:
        first = round(len(spans) * how.hop_s * rate_hz)
        spans.append((first, min(count, first + round(how.window_s * rate_hz))))
    return spans


def _piece(name: str, sound: audio.Sound, span: tuple[int, int], seed: int) -> Piece:
    first, last = span
    samples, rate_hz = sound.samples[first:last], sound.rate_hz
    power = float(np.mean(samples**2))
    level_db = 10 * math.log10(power) if power > 0 else -math.inf
    problem = "is silent" if samples.min() == samples.max() else None
    recording = None if problem else cochlea.Recording(samples, rate_hz, seed)
    return Piece(name, first / rate_hz, last / rate_hz, samples, rate_hz, level_db, problem, recording)

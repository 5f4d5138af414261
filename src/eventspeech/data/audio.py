"""Reading wav and flac files, and saying clearly what is wrong with one."""

import struct
from pathlib import Path

import numpy as np
import soundfile

from eventspeech.errors import DataError

SUFFIXES = (".wav", ".flac")
RATES_HZ = (4_000, 192_000)
SHORTEST_S = 0.005


def read(path: Path) -> tuple[np.ndarray, int]:
    """Read a recording; several channels are averaged to one.

    Returns:
        samples (float64[n], full scale 1), rate in Hz.

    Raises:
        DataError: the file is missing, not audio, truncated, empty, silent, or holds NaN.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"The recording {path} does not exist; restore it or run `download` again.")
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, frames = file.samplerate, file.frames
            samples = file.read(dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DataError(
            f"{path} cannot be read as audio ({error}); replace it by a sound wav or flac file, or remove it."
        ) from error
    if len(samples) < frames or _is_cut_short(path):
        raise DataError(f"{path} is truncated: it ends before the length its header states; copy it again.")
    _check(path, samples, rate_hz)
    return samples.mean(axis=1), rate_hz


def _check(path: Path, samples: np.ndarray, rate_hz: int) -> None:
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise DataError(
            f"{path} has a sampling rate of {rate_hz} Hz; convert it to one of {RATES_HZ[0]} to {RATES_HZ[1]} Hz."
        )
    if len(samples) < SHORTEST_S * rate_hz:
        what = "is empty" if len(samples) == 0 else f"is shorter than {1000 * SHORTEST_S:g} ms"
        raise DataError(f"{path} {what} ({len(samples)} samples); remove it from the set.")
    if not np.all(np.isfinite(samples)):
        raise DataError(f"{path} holds samples that are NaN or infinite; write it again from its source, or remove it.")
    mono = samples.mean(axis=1)
    if mono.min() == mono.max():
        raise DataError(f"{path} is silent (all samples are {mono[0]:g}); remove it from the set.")


def _is_cut_short(path: Path) -> bool:
    """Tell whether a RIFF file ends inside its data chunk: libsndfile reads such a file without complaint."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(4) != b"RIFF":
            return False
        stream.seek(12)
        while len(header := stream.read(8)) == 8:
            name, length = struct.unpack("<4sI", header)
            if name == b"data":
                # programs that write to a pipe leave the length at zero or at the largest number
                return length not in (0, 0x7FFFFFFF, 0xFFFFFFFF) and stream.tell() + length > size
            stream.seek(length + length % 2, 1)
    return False

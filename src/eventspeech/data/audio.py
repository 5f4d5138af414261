"""Reading recordings of all formats that libsndfile knows, and saying clearly what is wrong with one."""

import io
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile

from eventspeech.data import audio_header, mpeg_header
from eventspeech.errors import DataError

RATES_HZ = (4_000, 192_000)
"""Lowest and highest sampling rate."""

LEVELS = (1e-100, 1e100)
"""Smallest and largest peak: the squares of what lies beyond are 0 or infinite."""

SHORTEST_S = 0.005

LONGEST_S = 60.0
"""A recording is of one word; a longer one is a mistake, and would be in memory as a whole."""

UNKNOWN = 1 << 62
"""From here on a number of frames means that the header leaves it open."""

MOST_OPEN_BYTES = 1 << 26
"""Largest file whose length is filled in: a minute of two channels of 32 bits at 128 kHz."""

NO_RECORDINGS = ("RAW", "SD2", "XI")
"""What libsndfile reads only with further facts: the format itself, a second file, the sampling rate."""

MOST_PADDING = 4 * 1152
"""Samples that an MP3 encoder may put around the recording."""

BLOCK = 2**18
"""Numbers read at once, over all channels."""

FULL_SCALE = 0.99
"""From here on a number is taken to be cut off by its format; the largest one of 8 bits is 0.992."""

ALIASES = {
    "WAV": ("wave",), "OGG": ("oga", "opus"), "AIFF": ("aif", "aifc"), "AU": ("snd",), "NIST": ("sph",),
    "SVX": ("iff", "8svx"), "IRCAM": ("sf",), "MP3": ("mp2",),
}  # fmt: skip
"""Endings by which files of a format are known beside its name."""


class Unusable(DataError):
    """A recording that cannot be used.

    Attributes:
        what: the fault in a few words, the same for all recordings that have it.
        sentence: the fault and the remedy, to follow the recording's name.
    """

    def __init__(self, path: Path, what: str, sentence: str):
        super().__init__(f"{path} {sentence}")
        self.what, self.sentence = what, sentence


class Sound(NamedTuple):
    """A recording.

    Attributes:
        samples: float64[n], full scale 1, the mean of all channels.
        rate_hz: sampling rate.
        channels: how many the file has.
        clipped: share of the samples of all channels that are at full scale.
    """

    samples: np.ndarray
    rate_hz: int
    channels: int
    clipped: float


def suffixes() -> frozenset[str]:
    """Return the endings of the files that the installed libsndfile reads, lower case, such as ``.wav``."""
    formats = set(soundfile.available_formats()) - set(NO_RECORDINGS)
    return frozenset(f".{ending}" for name in formats for ending in (name.lower(), *ALIASES.get(name, ())))


class _Sequential(soundfile.SoundFile):
    """Read from begin to end without a seek, which fails where a header leaves the length open (FLAC)."""

    def seekable(self) -> bool:
        return False


def read(path: Path, longest_s: float = LONGEST_S) -> Sound:
    """Read a recording; several channels are averaged to one.

    At most ``longest_s`` seconds come into memory, whatever the header states.

    Raises:
        Unusable: the file is missing, not audio, truncated, too long, empty, silent, or holds NaN.
    """
    path = Path(path)
    if not path.is_file():
        raise Unusable(path, "missing", "does not exist; restore it or run `download` again.")
    try:
        with path.open("rb") as stream, _Sequential(_whole(path, stream, longest_s)) as file:
            _check_header(path, file)
            blocks, at_full_scale = _read_blocks(path, file, longest_s)
            frames, channels, rate_hz = file.frames, file.channels, file.samplerate
            end, size = audio_header.data_end(stream), stream.seek(0, io.SEEK_END)
            counted = mpeg_header.samples(stream) if file.format == "MP3" else 0
    except PermissionError as error:
        raise Unusable(path, "not readable", f"may not be read ({error.strerror}); change its permissions.") from error
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError) as error:
        remedy = "replace it by a sound file (wav, flac, ogg, mp3, ...), or remove it."
        raise Unusable(path, "not readable as audio", f"cannot be read as audio ({_text(error)}); {remedy}") from error
    samples = np.concatenate(blocks) if blocks else np.empty(0)
    if (frames < UNKNOWN and len(samples) < frames) or (end is not None and end > size):
        raise Unusable(path, "truncated", "is truncated: it ends before the length its header states; copy it again.")
    if counted > len(samples) + MOST_PADDING:
        what = "MP3 of variable bit rate without a Xing header"
        raise Unusable(path, what, f"is an {what}, of which only a part would be read; convert it to wav or flac.")
    _check(path, samples, rate_hz, channels)
    return Sound(samples, rate_hz, channels, at_full_scale / (len(samples) * channels))


def _whole(path: Path, stream: BinaryIO, longest_s: float) -> Path | BinaryIO:
    """Return what to read from: where a writer into a pipe left 0 for the length, the content with it filled in."""
    position = audio_header.open_data(stream)
    if position is None:
        return path
    stream.seek(0)
    content = bytearray(stream.read(MOST_OPEN_BYTES + 1))
    if len(content) > MOST_OPEN_BYTES:
        raise _too_long(path, longest_s)
    content[position : position + 4] = (len(content) - position - 4).to_bytes(4, "little")
    return io.BytesIO(content)


def _text(error: Exception) -> str:
    text = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
    return text or type(error).__name__


def _check_header(path: Path, file: soundfile.SoundFile) -> None:
    rate_hz = file.samplerate
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        usable = f"{RATES_HZ[0]} to {RATES_HZ[1]} Hz"
        sentence = f"has a sampling rate of {rate_hz} Hz; convert it to one of {usable}."
        raise Unusable(path, f"with a sampling rate outside {usable}", sentence)


def _read_blocks(path: Path, file: soundfile.SoundFile, longest_s: float) -> tuple[list[np.ndarray], int]:
    """Return the mean of the channels, block by block, and how many numbers are at full scale."""
    blocks, at_full_scale, left = [], 0, int(longest_s * file.samplerate)
    if left < file.frames < UNKNOWN:
        raise _too_long(path, longest_s)
    while len(block := file.read(max(1, BLOCK // file.channels), dtype="float64", always_2d=True)):
        left -= len(block)
        if left < 0:
            raise _too_long(path, longest_s)
        at_full_scale += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
        blocks.append(block.mean(axis=1))
    return blocks, at_full_scale


def _too_long(path: Path, longest_s: float) -> Unusable:
    what = f"longer than {longest_s:g} s"
    return Unusable(path, what, f"is {what}; cut it into recordings of one word each, or remove it.")


def _check(path: Path, samples: np.ndarray, rate_hz: int, channels: int) -> None:
    if len(samples) == 0:
        raise Unusable(path, "empty", "is empty (0 samples); remove it from the set.")
    if len(samples) < SHORTEST_S * rate_hz:
        what = f"shorter than {1000 * SHORTEST_S:g} ms"
        raise Unusable(path, what, f"is {what} ({len(samples)} samples); remove it from the set.")
    if not np.all(np.isfinite(samples)):
        remedy = "write it again from its source, or remove it."
        raise Unusable(path, "with NaN or infinite samples", f"holds samples that are NaN or infinite; {remedy}")
    peak = float(np.abs(samples).max())
    if not LEVELS[0] < peak < LEVELS[1] and peak > 0:
        sentence = f"has a peak of {peak:.1g}, where full scale is 1; write it again from its source, or remove it."
        raise Unusable(path, "of a level that no sound has", sentence)
    if samples.min() == samples.max():
        of = "all samples are" if channels == 1 else f"the mean of its {channels} channels is"
        raise Unusable(path, "silent", f"is silent ({of} {samples[0]:g}); remove it from the set.")

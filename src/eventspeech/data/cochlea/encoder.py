"""Encoding recordings: from audio of any rate to times and channels of spikes."""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eventspeech.data.audio import SHORTEST_S
from eventspeech.data.cochlea import membrane, native, physiology
from eventspeech.data.cochlea.resampling import resample
from eventspeech.errors import DataError
from eventspeech.params import CHANNELS, Cochlea
from eventspeech.progress import track

if TYPE_CHECKING:
    from eventspeech.data.cochlea import reference


@dataclass(frozen=True)
class Recording:
    """Audio (float[n], mono) with its rate, and the seed of the fibres' randomness."""

    audio: np.ndarray
    rate_hz: int
    seed: int


def stimulus(audio: np.ndarray, rate_hz: int, level: float) -> np.ndarray:
    """Return the audio at 48 kHz (float64[n]), normalised to a root mean square of ``level``, Hann window applied.

    Lower and higher rates are resampled by a polyphase filter (Kaiser window).

    Raises:
        DataError: the audio is silent, too short, or holds NaN or infinity.
    """
    audio = np.asarray(audio, np.float64)
    if audio.ndim != 1:
        raise DataError(f"Audio has {audio.ndim} dimensions; give mono samples, one value for each instant.")
    if len(audio) < SHORTEST_S * rate_hz:
        raise DataError(
            f"A recording is shorter than {1000 * SHORTEST_S:g} ms ({audio.size} samples); remove it from the set."
        )
    if not np.all(np.isfinite(audio)) or not np.any(audio):
        raise DataError("A recording is silent or holds NaN or infinite samples; remove it from the set or mend it.")
    if rate_hz != membrane.AUDIO_RATE_HZ:
        common = math.gcd(int(rate_hz), membrane.AUDIO_RATE_HZ)
        audio = resample(audio, membrane.AUDIO_RATE_HZ // common, int(rate_hz) // common)
    audio = audio * (level / np.sqrt(np.mean(audio**2)))
    half = len(audio) // 2
    ramp = np.hanning(2 * half)[:half]
    audio[:half] *= ramp
    audio[-half:] *= ramp[::-1]
    return audio


def default_kernels() -> str:
    """Return ``native`` where the C kernels were built, else ``numba``."""
    return "numba" if native.library() is None else "native"


def _kernels(name: str) -> "type[native.NativeKernels | reference.NumbaKernels]":
    if name == "native":
        return native.NativeKernels
    # here, since numba takes longer to import than a word to encode
    from eventspeech.data.cochlea import reference

    return reference.NumbaKernels


def encode(
    audio: np.ndarray, rate_hz: int, parameters: Cochlea, seed: int, kernels: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Encode one recording.

    Args:
        audio: float[n], mono.
        rate_hz: its sampling rate.
        parameters: of the model.
        seed: of the fibres' randomness, 0 .. 2^64 - 1; it alone decides the random numbers of this recording.
        kernels: ``native`` or ``numba``; by default native where it was built.

    Returns:
        times in ms (float64[E], ascending), channels (uint16[E], 0 = high-frequency end).

    Raises:
        DataError: the audio is silent, too short, or holds NaN or infinity.
    """
    prepared = stimulus(audio, rate_hz, parameters.level)
    steps = len(prepared) // 2 + 1
    # silence after the end makes the transforms fast; the spikes in it are not simulated
    padded = np.zeros(membrane.padded_length(len(prepared)))
    padded[: len(prepared)] = prepared
    chosen = _kernels(kernels or default_kernels())(membrane.spectrum(padded))
    parts = list(chosen.spikes(steps, seed, parameters.fibres))
    times = np.concatenate([times for times, _ in parts])
    channels = np.concatenate([channels for _, channels in parts])
    order = np.lexsort((channels, times))
    order = order[channels[order] < CHANNELS]
    return times[order] / physiology.STEPS_PER_MS, channels[order].astype(np.uint16)


def warm_up(parameters: Cochlea) -> None:
    """Load or compile the kernels and compute the membrane's table, so that threads that start together find both."""
    encode(np.sin(np.arange(480.0)), membrane.AUDIO_RATE_HZ, parameters, 0)


def encode_each(
    recordings: Iterable[Recording], total: int, parameters: Cochlea, workers: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Encode recordings in threads, with progress; the result depends on neither their number nor the order.

    Args:
        recordings: consumed as they are needed, so that not all audio need be in memory.
        total: how many there are.
        parameters: of the model.
        workers: threads.

    Yields:
        For each recording, in their order, times in ms and channels as :func:`encode` gives them.
    """
    warm_up(parameters)
    with ThreadPoolExecutor(workers, thread_name_prefix="cochlea") as pool:
        results = _in_order(pool, recordings, parameters, 4 * workers)
        yield from track(results, total, "encoding", "recordings")


def encode_many(
    recordings: Iterable[Recording], total: int, parameters: Cochlea, workers: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what :func:`encode_each` yields."""
    return list(encode_each(recordings, total, parameters, workers))


def _in_order(
    pool: ThreadPoolExecutor, recordings: Iterable[Recording], parameters: Cochlea, ahead: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield results in the order of the recordings, at most ``ahead`` of them under way."""
    waiting: list = []
    try:
        for recording in recordings:
            waiting.append(pool.submit(encode, recording.audio, recording.rate_hz, parameters, recording.seed))
            if len(waiting) >= ahead:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()

"""Speed of the cochlea encoder: CPU and wall time per second of audio on one core."""

import argparse
import time

import numpy as np

from eventspeech import seeds
from eventspeech.benchmarks import options
from eventspeech.benchmarks.load import spread
from eventspeech.errors import ParameterError
from eventspeech.params import Cochlea


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `benchmark encoder` takes."""
    parser.add_argument("--seconds", type=options.above_zero, default=1.0, help="length of the recording (s)")
    options.add_repeats(parser, 5)


def measure(seconds: float = 0.5, repeats: int = 5, rate_hz: int = 22_050, seed: int = 0) -> dict:
    """Encode a speech-like sound repeatedly in one thread.

    Args:
        seconds: length of the sound.
        repeats: measured runs; the tables and compiled kernels are made before and timed apart.
        rate_hz: sampling rate of the sound; resampling to 48 kHz is part of the work.
        seed: of the sound and of the fibres.

    Returns:
        Plain values: ``cpu_s_per_audio_s`` and ``wall_s_per_audio_s`` (median, low, high), ``table_s``,
        ``first_run_s`` (loading or compiling the kernels), ``kernels``, and ``spikes`` (mean).
    """
    # here, for numba takes a second to import
    from eventspeech.data import cochlea
    from eventspeech.data.cochlea import encoder, membrane

    if not 0.01 <= seconds <= 60 or repeats < 1:
        raise ParameterError("benchmark encoder takes 0.01 to 60 s of audio and one repeat or more; correct them.")
    start = time.perf_counter()
    membrane.table()
    table_s = time.perf_counter() - start
    start = time.perf_counter()
    encoder.warm_up(Cochlea())
    first_run_s = time.perf_counter() - start
    audio = babble(seconds, rate_hz, seed)
    cpu, wall, spikes = [], [], []
    for repeat in range(repeats):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        times, _ = cochlea.encode(audio, rate_hz, Cochlea(), seed + repeat)
        cpu.append((time.process_time() - cpu_start) / seconds)
        wall.append((time.perf_counter() - wall_start) / seconds)
        spikes.append(len(times))
    return {
        "audio_s": seconds,
        "rate_hz": rate_hz,
        "repeats": repeats,
        "kernels": encoder.default_kernels(),
        "cpu_s_per_audio_s": spread(cpu),
        "wall_s_per_audio_s": spread(wall),
        "table_s": table_s,
        "first_run_s": first_run_s,
        "spikes": float(np.mean(spikes)),
    }


def babble(seconds: float, rate_hz: int, seed: int) -> np.ndarray:
    """Return a speech-like sound, float64[n]: harmonics of a gliding pitch under moving formants, and faint noise."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.7 * time_s)) / rate_hz
    first, second = 500 + 250 * np.sin(2 * np.pi * 2.3 * time_s), 1500 + 600 * np.cos(2 * np.pi * 1.9 * time_s)
    sound = np.zeros(len(time_s))
    for harmonic in range(1, 30):
        frequency = 120.0 * harmonic
        strength = np.exp(-(((frequency - first) / 150) ** 2)) + 0.5 * np.exp(-(((frequency - second) / 200) ** 2))
        sound += (strength + 0.02) * np.sin(harmonic * phase)
    return sound + 0.01 * seeds.generator(seed, "babble").standard_normal(len(sound))

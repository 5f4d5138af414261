"""Small recordings: tones that stand for words."""

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 8000


def write_tone(path, frequency_hz=500.0, seconds=0.03, rate_hz=RATE_HZ, **options):
    """Write a sine of half the full scale; return its samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    soundfile.write(path, samples, rate_hz, **options)
    return samples


def make_folder(folder: Path) -> Path:
    """Write two words by three speakers, two takes each; return the folder."""
    for number, name in enumerate(f"{w}_{s}_{t}.wav" for w in ("2", "10") for s in ("ann", "bob", "cy") for t in "01"):
        write_tone(folder / name, 300.0 + 50 * number)
    return folder

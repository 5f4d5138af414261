"""Write ``lauscher_reference.npz``: what lauscher 1.0.1 makes of 20 ms of a vowel-like sound at 48 kHz.

Needs lauscher installed (``pip install lauscher==1.0.1``) and about three minutes of one core:

    python tests/data/cochlea/make_lauscher_reference.py

The file holds the sound, the membrane's velocity and the hair cell's firing probability of some channels, and the
number of spikes of each channel in each of :data:`REPEATS` independent runs of the bushy cells.
"""

import importlib.metadata
from pathlib import Path

import numpy as np
from lauscher.audiowaves import MonoAudioWave
from lauscher.transformations import BasilarMembrane, BushyCell, HairCell, HanningWindow, RmsNormalizer

REPEATS = 16
CHANNELS = np.array([0, 1, 31, 32, 100, 250, 400, 550, 698, 699])


def sound() -> np.ndarray:
    """Return float64[960]: harmonics of 150 Hz with formants at 700 and 1800 Hz, and a hiss around 6 kHz."""
    time_s = np.arange(960) / 48_000
    wave = np.zeros(len(time_s))
    for harmonic in range(1, 30):
        frequency = 150.0 * harmonic
        strength = np.exp(-(((frequency - 700) / 250) ** 2)) + 0.4 * np.exp(-(((frequency - 1800) / 300) ** 2))
        wave += (strength + 0.05) * np.sin(2 * np.pi * frequency * time_s + harmonic**2)
    return wave + 0.1 * np.sin(2 * np.pi * 6000 * time_s) * np.sin(2 * np.pi * 613 * time_s)


def main() -> None:
    """Run lauscher stage by stage and write the file beside this script."""
    np.random.seed(1)  # noqa: NPY002, lauscher draws from numpy's global generator
    audio = sound()
    wave = MonoAudioWave(audio.copy(), 48_000).transform(RmsNormalizer(0.3)).transform(HanningWindow())
    velocity = wave.transform(BasilarMembrane(channels=700))
    probability = velocity.transform(HairCell())
    counts = []
    for _ in range(REPEATS):
        spikes = probability.transform(BushyCell())
        counts.append(np.bincount(spikes.spike_labels.astype(int), minlength=700))
    np.savez_compressed(
        Path(__file__).with_name("lauscher_reference.npz"),
        version=np.str_(importlib.metadata.version("lauscher")),
        audio=audio,
        stimulus=wave.samples,
        channels=CHANNELS,
        velocity=velocity.channels[CHANNELS],
        probability=probability.channels[CHANNELS],
        spike_counts=np.array(counts, np.uint8),
    )


if __name__ == "__main__":
    main()

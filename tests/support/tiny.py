"""A study small enough to train in a fraction of a second: which channels fire, and when, tells the class."""

import copy

import numpy as np

from eventspeech import params
from eventspeech.data import store
from eventspeech.data.store import SpikeStore

CLASSES = ("eins", "zwei", "drei", "vier")
SPEAKERS = ("s0", "s1", "s2", "s3")
TRIAL_MS = 60.0

CONTENT = {
    "study": {"losses": ["exponential", "gaussian"], "seeds": [0, 1]},
    "shape": {"exponential": {"kind": "exponential"}, "gaussian": {"kind": "gaussian"}},
    "preprocess": {"trial_ms": TRIAL_MS},
    "validation": {"speakers": ["s3"]},
    "network": {"hidden": [12], "input_mean": 0.15, "input_sd": 0.1, "recurrent_sd": 0.05, "output_sd": 0.1},
    "optimiser": {"learning_rate": 0.01},
    "train": {"epochs": 6, "batch_size": 8},
    "augmentation": {"shift_channels": 5},
    "evaluate": {"batch_size": 7, "examples": 3},
}


def make_params(**groups) -> params.Params:
    """Return the parameters with some keys of some groups changed."""
    content = copy.deepcopy(CONTENT)
    for name, keys in groups.items():
        content[name] = {**content.get(name, {}), **keys}
    return params.validate(content)


def make_store(takes: int = 4, seed: int = 0, spikes: int = 60, noise: int = 20, classes=CLASSES) -> SpikeStore:
    """Draw ``takes`` samples of each class by each speaker.

    Class k fires in channels around 150 + 100 k, in the first or the second half of the trial, above noise everywhere.
    """
    rng = np.random.default_rng(seed)
    samples, labels, speakers = [], [], []
    for speaker in range(len(SPEAKERS)):
        for label in np.repeat(np.arange(len(classes)), takes):
            times = np.concatenate([rng.normal(15 + 20 * (label % 2), 5, spikes), rng.uniform(0, TRIAL_MS, noise)])
            channels = np.concatenate([rng.normal(150 + 100 * label + 4 * speaker, 15, spikes),
                                       rng.uniform(10, 690, noise)])  # fmt: skip
            kept = times >= 0
            samples.append((times[kept], channels[kept].astype(int)))
            labels.append(label)
            speakers.append(speaker)
    return store.from_samples(samples, np.array(labels), np.array(speakers), classes, SPEAKERS, TRIAL_MS)

"""The load of the benchmarks: seeded spike trains like SHD's, weights for a rate, and how times are taken.

Input spikes fall in time and channel as a spoken digit's do (dense onset, two formant-like bands, sparse tail). The
hidden rate is set by scaling the input weights: 14 spikes per neuron and trial is the regularised operating point.
"""

import resource
import time

import numpy as np

from eventspeech import network, seeds
from eventspeech.data import batches
from eventspeech.data.batches import Batch
from eventspeech.engines.contract import Engine
from eventspeech.losses import Objective
from eventspeech.network import Weights
from eventspeech.params import CHANNELS
from eventspeech.params import Network as NetworkParams

CLASSES = 20


def load(samples: int, steps: int, spikes: int, seed: int = 0) -> Batch:
    """Return ``samples`` spike trains of about ``spikes`` events each."""
    rng = seeds.generator(seed, "benchmark load", samples, steps, spikes)
    parts, counts = [], []
    for _ in range(samples):
        drawn = int(spikes * 1.05)
        step = np.minimum(rng.gamma(2.0, 0.15, drawn), 0.999) * steps
        band = rng.choice([0.3, 0.6, 0.8], drawn, p=[0.3, 0.3, 0.4])
        channel = np.clip((band + rng.normal(0, 0.12, drawn)) * CHANNELS, 0, CHANNELS - 1)
        key = batches.sorted_once(step.astype(np.int64) * CHANNELS + channel.astype(np.int64))
        if len(key) > spikes:
            key = np.sort(rng.choice(key, spikes, replace=False))
        parts.append(key)
        counts.append(len(key))
    step, channel = np.divmod(np.concatenate(parts), CHANNELS)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    labels = rng.integers(0, CLASSES, samples)
    return Batch(offsets, step.astype(np.int32), channel.astype(np.int32), labels)


def hidden_rate(engine: Engine, weights: Weights, batch: Batch, objective: Objective) -> float:
    """Return the spikes per neuron and trial of the first hidden layer."""
    return float(np.mean(engine.infer(weights, batch, objective).spike_counts[0]))


def weights_for_rate(engine: Engine, batch: Batch, objective: Objective, spikes_per_neuron: float) -> Weights:
    """Return weights whose input part is scaled so that hidden neurons fire about this often in a trial."""
    weights = network.initial_weights(engine.network, NetworkParams(), 0)
    name = next(name for name in weights if name.startswith("input_"))
    original, low, high = weights[name], 0.0, 16.0
    for _ in range(12):
        middle = 0.5 * (low + high) if high < 16.0 or low > 0 else 1.0
        weights[name] = original * np.float32(middle)
        found = hidden_rate(engine, weights, batch, objective)
        if abs(found - spikes_per_neuron) < 0.03 * spikes_per_neuron:
            break
        low, high = (middle, high) if found < spikes_per_neuron else (low, middle)
    return weights


def summary(seconds: list[float], samples: int) -> dict[str, float]:
    """Return median, low and high of the milliseconds per sample."""
    scaled = 1000 * np.array(seconds) / samples
    return {"median": float(np.median(scaled)), "low": float(scaled.min()), "high": float(scaled.max())}


def peak_memory_mib() -> float:
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def timed(work) -> float:
    """Return the seconds that ``work()`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

"""The load of the benchmarks: seeded spike trains like SHD's, weights for a rate, and how times are taken.

Input spikes fall in time and channel as a spoken digit's do (dense onset, two formant-like bands, sparse tail). The
hidden rate is set by scaling the input weights: 14 spikes per neuron and trial is the regularised operating point.
"""

import resource
import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np

from eventspeech import network, seeds
from eventspeech.data import batches
from eventspeech.data.batches import Batch
from eventspeech.engines.contract import Engine
from eventspeech.losses import Objective
from eventspeech.network import Network, Weights
from eventspeech.params import CHANNELS, Delays
from eventspeech.params import Network as NetworkParams

CLASSES = 20
TRIAL_MS = 1000.0


def network_of(hidden: int, steps: int, copies: int = 1, interval_ms: float = 30.0) -> Network:
    """Return the network that is measured: one recurrent layer, trials of 1 s, the published time constants.

    Args:
        hidden: neurons.
        steps: of the trial.
        copies: of each channel, a delay line.
        interval_ms: from one copy to the next.

    Raises:
        UserError: the interval is not a whole number of steps, or the last copy comes after the trial.
    """
    delays = Delays(copies=copies, interval_ms=interval_ms)
    return network.build(
        NetworkParams(hidden=[hidden], step_ms=TRIAL_MS / steps, delays=delays), CLASSES, TRIAL_MS, CHANNELS
    )


def load(samples: int, steps: int, spikes: int, seed: int = 0) -> Batch:
    """Return spike trains like SHD's.

    Args:
        samples: how many.
        steps: of the grid.
        spikes: events of each sample, about; fewer where more would not fit a channel and step once each.
        seed: of the draws.
    """
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
    """Return initial weights whose input part is scaled so that hidden neurons fire about this often in a trial.

    Args:
        engine: counts the spikes.
        batch: on which they are counted.
        objective: that the engine is to be given.
        spikes_per_neuron: of the first hidden layer, to within 3 % where twelve halvings reach it.
    """
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


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return ``median``, ``low`` and ``high`` of repeated measurements, in their unit."""
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "low": ordered[0], "high": ordered[-1]}


def summary(seconds: list[float], samples: int) -> dict[str, float]:
    """Return the :func:`spread` of the milliseconds per sample; ``seconds`` are those of repeated passes over all."""
    return spread(1000 * one / samples for one in seconds)


def peak_memory_mib() -> float:
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that ``work()`` takes: by the clock, and of all processors together."""
    cpu, start = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work()`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

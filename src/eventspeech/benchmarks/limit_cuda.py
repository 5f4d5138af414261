"""The limits of engine `cuda`: the bytes and operations of a training step, and how fast this GPU moves and does them.

An event (a spike of the input, once for each copy of the delay line, or of a hidden neuron) reads a row of numbers, one
for each postsynaptic neuron: of weights on the way forward, of adjoints when gradients are gathered; and at each of its
spikes a recurrent neuron reads its weights once more on the way back. These rows come from the second-level cache.
Inputs that were summed by step (`drive`) and adjoints go to memory and back once. A row costs an addition a number, on
the way back a multiplication, too; the states of a neuron cost 6 operations a step forward and 4 backward. All else
(spike trains, outputs, Adam) is small beside it and left out.

For few samples neither limit is near: steps follow each other, and each waits for the cache at least once.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from eventspeech.engines.event_driven.cuda.launches import Device
from eventspeech.network import Network

FLOAT_BYTES = 4
QUADS = 128
"""Of a row of the table: 512 neurons."""

CACHED_ROWS = 2**13
"""16 MiB: more than all first-level caches hold together, less than the second-level cache of data-centre GPUs."""

READ_ROWS = 2**20
MEMORY_QUADS = 2**27
"""Two arrays of 2 GiB."""

ROUNDS = 2**14
BLOCKS = 2**11
PROBES = 5


def work(network: Network, input_spikes: float, hidden_spikes: float) -> dict[str, float]:
    """Return the bytes and operations of a training step for each sample; of one hidden layer.

    Args:
        network: sizes.
        input_spikes: per sample.
        hidden_spikes: of all hidden neurons together, per sample.
    """
    neurons, inside = network.hidden[0], hidden_spikes if network.recurrent else 0.0
    arrivals = input_spikes * len(network.delay_steps) + inside
    return {
        "cache_bytes": FLOAT_BYTES * neurons * (2 * arrivals + inside),
        "memory_bytes": FLOAT_BYTES * neurons * network.steps * 4.0,
        "operations": neurons * (2 * arrivals + 2 * inside + 10 * network.steps),
    }


def ceilings(device: Device, scale: int = 1) -> dict[str, float]:
    """Return bytes per second from cache and memory, and operations per second; sizes are divided by ``scale``."""
    rng = np.random.default_rng(0)
    blocks, rows, quads = BLOCKS // scale, READ_ROWS // scale, MEMORY_QUADS // scale
    chosen = device.put(rng.integers(0, CACHED_ROWS, rows).astype(np.int32))
    table, sums = (device.zeros((n, 4 * QUADS), np.float32) for n in (CACHED_ROWS, blocks))
    source, target = (device.zeros((quads, 4), np.float32) for _ in range(2))
    results, rounds = device.empty((blocks * 256,), np.float32), ROUNDS // scale

    def launch(kernel: str, threads: int, *arguments: Any) -> Callable[[], None]:
        return lambda: device.launch(kernel, 1, (blocks, 1), (threads, 1), 0, *arguments)

    cache_s = _seconds(device, sums[:1], launch("probe_rows", QUADS, chosen, rows // blocks, table, QUADS, sums))
    memory_s = _seconds(device, target[:1], launch("probe_memory", 256, source, target, quads // blocks))
    operations_s = _seconds(device, results[:1], launch("probe_arithmetic", 256, 0.5, rounds, results))
    return {
        "cache_bytes_per_s": rows * QUADS * 4 * FLOAT_BYTES / cache_s,
        "memory_bytes_per_s": 2 * quads * 4 * FLOAT_BYTES / memory_s,
        "operations_per_s": 2 * 8 * rounds * blocks * 256 / operations_s,
    }


def _seconds(device: Device, last: Any, run: Callable[[], None]) -> float:
    """Return the seconds of a run: the median of some, each ended by waiting for the device."""
    found = []
    for _ in range(1 + PROBES):
        start = time.perf_counter()
        run()
        device.get(last)
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


def distance(
    network: Network, input_spikes: float, hidden_spikes: float, ms_per_sample: float, found: dict[str, float]
) -> dict:
    """Return both limits of a training step for the :func:`ceilings` found, and how many times longer it took."""
    needed = work(network, input_spikes, hidden_spikes)
    cache, memory = (needed[f"{name}_bytes"] / found[f"{name}_bytes_per_s"] for name in ("cache", "memory"))
    limits = {
        "bandwidth": 1000 * (cache + memory),
        "arithmetic": 1000 * needed["operations"] / found["operations_per_s"],
    }
    return {
        "per_sample": needed,
        **found,
        **{f"{name}_limit_ms_per_sample": limit for name, limit in limits.items()},
        **{f"times_the_{name}_limit": ms_per_sample / limit for name, limit in limits.items()},
    }

"""The limit of engine `cpu`: how many bytes a training step must move, and how fast this machine moves them.

An event (a spike of the input, once for each copy of the delay line, or of a hidden neuron) reads a row of numbers, one
for each postsynaptic neuron: of weights on the way forward, of adjoints when gradients are gathered; and at each of its
spikes a hidden neuron reads its weights once more on the way back. These rows are read at random from what fits the
second-level cache. Adjoints are written to and read from memory once. What arrives through a delay line is written to
memory and read again, since a tile's weights serve all samples in turn. Gradients of time constants read the adjoints
and what arrived once more; without copies the latter is summed again, which is less. All else (states, spike trains,
output layer of few columns, Adam) is small beside it and left out, so the limit can be approached, not reached.
"""

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from eventspeech import compiled
from eventspeech.engines.event_driven.c import launches
from eventspeech.network import Network

FLOAT_BYTES = 4
CACHED_ROWS = 2**19 // (FLOAT_BYTES * launches.TILE)
"""Rows of the table that stands for weights or adjoints of a tile: half a MiB."""
MEMORY_ROWS = 2**27 // (FLOAT_BYTES * launches.TILE)
PROBES = 7


def bytes_moved(network: Network, input_spikes: float, hidden_spikes: float, learned: bool = False) -> dict[str, float]:
    """Return the bytes that a training step moves for each sample, by pass; of one recurrent hidden layer.

    Args:
        network: sizes.
        input_spikes: per sample.
        hidden_spikes: of all hidden neurons together, per sample.
        learned: gradients of the hidden layer's time constants are wanted.
    """
    row = FLOAT_BYTES * network.hidden[0]
    passes, delayed = 3.0 if learned else 2.0, network.delay_steps != (0,)
    inputs = input_spikes * len(network.delay_steps) * row
    recurrent = hidden_spikes * row if network.recurrent else 0.0
    return {
        "forward_cache": inputs + recurrent,
        "backward_cache": recurrent,
        "gather_cache": inputs + recurrent,
        "products_cache": (recurrent + (0.0 if delayed else inputs)) if learned else 0.0,
        "adjoints_memory": passes * network.steps * row,
        "drive_memory": passes * network.steps * row if delayed else 0.0,
    }


def bandwidth(threads: int, copies: int = 1) -> dict[str, float] | None:
    """Return what all threads together read, in bytes per second: rows at random from a cache, in order from memory.

    Args:
        threads: that read at once.
        copies: rows that lie side by side.

    Returns:
        ``cache`` and ``memory``, of the time that the threads ran; None where the compiled kernels were not built.
    """
    library = launches.library()
    if library is None:
        return None
    rng = np.random.default_rng(0)
    first = rng.integers(0, CACHED_ROWS // copies, 2**19 // copies) * copies
    cached = (first[:, None] + np.arange(copies)).ravel().astype(np.int32)
    space = compiled.Workspace()  # as the kernels' arrays: rows begin where cache lines do, in large pages
    from_cache = [(cached, _ones(space, part, CACHED_ROWS)) for part in range(threads)]
    in_order = np.arange(MEMORY_ROWS // threads, dtype=np.int32)
    table = _ones(space, "memory", MEMORY_ROWS)
    from_memory = [(in_order, table[i * len(in_order) :]) for i in range(threads)]
    return {"cache": _rate(library, from_cache), "memory": _rate(library, from_memory)}


def _ones(space: compiled.Workspace, name: object, rows: int) -> np.ndarray:
    table = space.array(name, (rows, launches.TILE))
    table[:] = 1
    return table


def _rate(library: ctypes.CDLL, work: list[tuple[np.ndarray, np.ndarray]]) -> float:
    sums = [np.empty(launches.TILE, np.float32) for _ in work]

    def read(part: int) -> float:
        rows, table = work[part]
        start = time.thread_time()
        compiled.call(library, "sum_rows", rows, len(rows), table, sums[part])
        return len(rows) * launches.TILE * FLOAT_BYTES / (time.thread_time() - start)

    with ThreadPoolExecutor(len(work)) as pool:
        list(pool.map(read, range(len(work))))
        return max(sum(pool.map(read, range(len(work)))) for _ in range(PROBES))


def distance(
    moved: dict[str, float], found: dict[str, float] | None, threads: int, ms_per_sample: float,
    cpu_ms_per_sample: float,
) -> dict:  # fmt: skip
    """Return the limit of a training step on this machine, and how many times longer the step took.

    Args:
        moved: see :func:`bytes_moved`.
        found: see :func:`bandwidth`, of as many threads.
        threads: of the step.
        ms_per_sample: of the step, by the clock.
        cpu_ms_per_sample: of the step, of all threads together.
    """
    if found is None:
        return {"bytes_per_sample": moved, "reason": "the compiled kernels are not built"}
    cache = sum(value for name, value in moved.items() if name.endswith("cache")) / found["cache"]
    memory = sum(value for name, value in moved.items() if name.endswith("memory")) / found["memory"]
    limit_ms = 1000 * (cache + memory)
    return {
        "bytes_per_sample": moved,
        "cache_gb_per_s": found["cache"] / 1e9,
        "memory_gb_per_s": found["memory"] / 1e9,
        "limit_ms_per_sample": limit_ms,
        "times_the_limit": ms_per_sample / limit_ms,
        "times_the_limit_of_cpu": cpu_ms_per_sample / (threads * limit_ms),
    }

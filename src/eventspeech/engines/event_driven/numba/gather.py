"""Weight gradients, gathered by presynaptic unit.

Each row of a gradient is summed by one thread over samples and spikes in a fixed order, so the result is bit-identical
for any number of threads, and the row stays in the first-level cache while it is summed.
"""

import numba
import numpy as np

from eventspeech.compiled import njit

FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(parallel=True)
def sort(rows, starts, units):
    """Sort the events of each sample by unit, then time.

    Args:
        rows: int32[E], the unit of each event; starts: int64[B, N + 1], as in `forward`.
        units: M.

    Returns:
        steps: int32[E], step of each event; those of unit j in sample s are
            ``steps[unit_starts[s, j]:unit_starts[s, j + 1]]``;
        unit_starts: int64[B, M + 1].
    """
    samples, n_steps = starts.shape[0], starts.shape[1] - 1
    steps = np.empty(rows.shape[0], np.int32)
    unit_starts = np.zeros((samples, units + 1), np.int64)
    for s in numba.prange(samples):
        first, last = starts[s, 0], starts[s, n_steps]
        place = np.zeros(units + 1, np.int64)
        for e in range(first, last):
            place[rows[e] + 1] += 1
        place[0] = first
        for j in range(units):
            place[j + 1] += place[j]
        unit_starts[s] = place
        for n in range(n_steps):
            for e in range(starts[s, n], starts[s, n + 1]):
                steps[place[rows[e]]] = n
                place[rows[e]] += 1
    return steps, unit_starts


@njit(parallel=True, fastmath=FAST)
def gather(gradient, steps, unit_starts, delays, scale, adjoint_current):
    """Add ``scale * lamI`` at the presynaptic events to ``gradient`` ([K * M, H]).

    Args:
        steps, unit_starts: as :func:`sort` returns them.
        delays: int64[K], in steps.
        scale: [H], minus tau_syn.
        adjoint_current: [B, N + 1, H].
    """
    samples, units = unit_starts.shape[0], unit_starts.shape[1] - 1
    n_steps, width = adjoint_current.shape[1] - 1, adjoint_current.shape[2]
    for j in numba.prange(units):
        total = np.empty(width, gradient.dtype)
        for copy in range(delays.shape[0]):
            total[:] = 0
            delay = delays[copy] + 1
            for s in range(samples):
                first, last = unit_starts[s, j], unit_starts[s, j + 1]
                # events that would arrive at or after the end act on nothing
                while last > first and steps[last - 1] + delay >= n_steps:
                    last -= 1
                e = first
                while e + 3 < last:
                    l0 = adjoint_current[s, steps[e] + delay]
                    l1 = adjoint_current[s, steps[e + 1] + delay]
                    l2 = adjoint_current[s, steps[e + 2] + delay]
                    l3 = adjoint_current[s, steps[e + 3] + delay]
                    for h in range(width):
                        total[h] += (l0[h] + l1[h]) + (l2[h] + l3[h])
                    e += 4
                while e < last:
                    l0 = adjoint_current[s, steps[e] + delay]
                    for h in range(width):
                        total[h] += l0[h]
                    e += 1
            row = gradient[copy * units + j]
            for h in range(width):
                row[h] += scale[h] * total[h]

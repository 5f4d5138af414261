"""Backward pass: the mirror image of `forward`, with Eventprop's jump at the recorded spikes.

Legend as in `forward`. Adjoints are stored by step: ``adjoint_current[s, n]`` is lamI[n]; a presynaptic event of step n
acts on the state before step n + 1, so its gradient is read at n + 1.
"""

import numba
import numpy as np

from eventspeech.compiled import njit

FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(parallel=True, fastmath=FAST)
def adjoint_output(drive, weighting, a, b, k, p, q, steps, adjoint_current, adjoint_difference):
    """Integrate the outputs' adjoints backward.

    Args:
        drive: [B, O], (y - p) D / (tau_mem T B).
        weighting: [N], w(n/N).
        a, b, k, p, q: [O].
        adjoint_current: [B, N + 1, O], filled with lamI.
        adjoint_difference: [B, N + 1, O], filled with p lamV - q lamI.
    """
    samples, outputs = drive.shape
    for s in numba.prange(samples):
        lam_v = np.zeros(outputs, drive.dtype)
        lam_i = np.zeros(outputs, drive.dtype)
        adjoint_current[s, steps] = 0
        adjoint_difference[s, steps] = 0
        for n in range(steps - 1, -1, -1):
            for o in range(outputs):
                lam_i[o] = b[o] * lam_i[o] + k[o] * lam_v[o]
                lam_v[o] = a[o] * lam_v[o] + weighting[n] * drive[s, o]
                adjoint_current[s, n, o] = lam_i[o]
                adjoint_difference[s, n, o] = p[o] * lam_v[o] - q[o] * lam_i[o]


@njit(parallel=True, fastmath=FAST)
def adjoint_max(drive, peaks, shares, a, b, k, p, q, steps, adjoint_current, adjoint_difference):
    """Integrate the outputs' adjoints backward from the maxima of their voltages.

    Other arguments as in :func:`adjoint_output`.

    Args:
        drive: [B, O], (y - p) / (tau_mem B).
        peaks, shares: [B, O], as `forward.forward_max` returns them.
    """
    samples, outputs = drive.shape
    for s in numba.prange(samples):
        adjoint_current[s] = 0
        adjoint_difference[s] = 0
        for o in range(outputs):
            lam_v, lam_i = drive[s, o], drive.dtype.type(0)
            last = peaks[s, o]
            adjoint_difference[s, last, o] = p[o] * (shares[s, o] * lam_v)
            for n in range(last - 1, -1, -1):
                lam_i = b[o] * lam_i + k[o] * lam_v
                lam_v = a[o] * lam_v
                adjoint_current[s, n, o] = lam_i
                adjoint_difference[s, n, o] = p[o] * lam_v - q[o] * lam_i


@njit(parallel=True, fastmath=FAST)
def adjoint_hidden(
    spikes,
    denominators,
    spike_starts,
    restarts,
    weights_above,
    difference_above,
    recurrent_weights,
    count_penalty,
    timing,
    floor,
    a,
    b,
    k,
    p,
    q,
    refractory,
    adjoint_current,
    adjoint_difference,
):
    """Integrate a hidden layer's adjoints backward.

    Args:
        spikes, denominators, spike_starts, restarts: as `forward.forward_hidden` returns them.
        weights_above: [H, M], to the layer above, whose p lamV - q lamI is ``difference_above`` [B, N + 1, M].
        recurrent_weights: [H, H], or [0, H] without recurrence.
        count_penalty: [B, H], what the regulariser takes from lamV at each spike.
        timing: [B, capacity], added to R of each spike, or no samples.
        floor: lower bound of the denominators.
        a, b, k, p, q: [H].
        refractory: r, steps for which a neuron is held after the step of its spike.
        adjoint_current: [B, N + 1, H], filled with lamI.
        adjoint_difference: [B, N + 1, H] filled with p lamV - q lamI, or no samples if no layer below needs it.

    Returns:
        int64[B], how many denominators were bounded.
    """
    samples, steps = spike_starts.shape[0], spike_starts.shape[1] - 1
    neurons, above = weights_above.shape
    recurrent = recurrent_weights.shape[0] > 0
    keep_difference = adjoint_difference.shape[0] > 0
    floored = np.zeros(samples, np.int64)
    for s in numba.prange(samples):
        lam_v = np.zeros(neurons, weights_above.dtype)
        lam_i = np.zeros(neurons, weights_above.dtype)
        difference = np.zeros(neurons, weights_above.dtype)
        jumps = np.zeros(neurons, weights_above.dtype)
        carried = np.zeros(neurons, weights_above.dtype)  # lamV at the restart that follows
        adjoint_current[s, steps] = 0
        if keep_difference:
            adjoint_difference[s, steps] = 0
        for n in range(steps - 1, -1, -1):
            first, last = spike_starts[s, n], spike_starts[s, n + 1]
            if recurrent and last > first:
                for h in range(neurons):
                    difference[h] = p[h] * lam_v[h] - q[h] * lam_i[h]
            if refractory > 0 and n >= refractory:
                for e in range(spike_starts[s, n - refractory], spike_starts[s, n - refractory + 1]):
                    carried[spikes[s, e]] = lam_v[spikes[s, e]]
                    lam_v[spikes[s, e]] = 0
            for e in range(first, last):
                j = spikes[s, e]
                row = weights_above[j]
                target = difference_above[s, n + 1]
                flow = weights_above.dtype.type(0)
                for o in range(above):
                    flow += row[o] * target[o]
                if recurrent:
                    row = recurrent_weights[j]
                    for h in range(neurons):
                        flow += row[h] * difference[h]
                if timing.shape[0] > 0:
                    flow += timing[s, e]
                denominator = denominators[s, e]
                if denominator < floor:
                    denominator = floor
                    floored[s] += 1
                own = carried[j] * restarts[s, e] if refractory > 0 else lam_v[j]
                jumps[e - first] = (own + flow) / denominator - count_penalty[s, j]
            for e in range(first, last):
                lam_v[spikes[s, e]] += jumps[e - first]
            lam_i_now = adjoint_current[s, n]
            for h in range(neurons):
                lam_i[h] = b[h] * lam_i[h] + k[h] * lam_v[h]
                lam_v[h] = a[h] * lam_v[h]
                lam_i_now[h] = lam_i[h]
            if keep_difference:
                for h in range(neurons):
                    adjoint_difference[s, n, h] = p[h] * lam_v[h] - q[h] * lam_i[h]
    return floored

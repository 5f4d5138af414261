"""Forward pass: layers of leaky integrate-and-fire neurons, and leaky integrators at the end.

Legend: ``B`` samples, ``N`` steps, ``M`` presynaptic units, ``H`` neurons, ``K`` copies of the input. Presynaptic
events come as ``rows`` (int32[E], the unit) in compressed form: those of sample s and step n are
``rows[starts[s, n]:starts[s, n + 1]]``.
"""

import numba
import numpy as np

from eventspeech.compiled import njit

# no nnan or ninf: a network that diverges must show it
FAST = {"reassoc", "contract", "nsz", "arcp"}


@numba.njit(fastmath=FAST, inline="always")
def _add_rows(current, weights, chosen, count):
    """Add the rows ``chosen[:count]`` of weights to current, four at a time to spare loads and stores of current."""
    width = current.shape[0]
    whole = count - count % 4
    for e in range(0, whole, 4):
        w0 = weights[chosen[e]]
        w1 = weights[chosen[e + 1]]
        w2 = weights[chosen[e + 2]]
        w3 = weights[chosen[e + 3]]
        for h in range(width):
            current[h] += (w0[h] + w1[h]) + (w2[h] + w3[h])
    for e in range(whole, count):
        w0 = weights[chosen[e]]
        for h in range(width):
            current[h] += w0[h]


@numba.njit(inline="always")
def _arrivals(rows, starts, delays, units, step, chosen):
    """Collect in ``chosen`` the rows of weights that fired ``delay`` steps before ``step``; return their number."""
    count = 0
    for copy in range(delays.shape[0]):
        source = step - delays[copy]
        if source >= 0:
            for e in range(starts[source], starts[source + 1]):
                chosen[count] = copy * units + rows[e]
                count += 1
    return count


@njit(parallel=True, fastmath=FAST)
def forward_hidden(rows, starts, delays, units, input_weights, recurrent_weights, a, b, c, capacity, most, refractory):
    """Run a hidden layer.

    Args:
        rows, starts: int32[E], int64[B, N + 1], presynaptic events.
        delays: int64[K], in steps; row ``copy * units + unit`` of the weights belongs to a copy.
        input_weights: [K * units, H].
        recurrent_weights: [H, H], or [0, H] without recurrence.
        a, b, c: [H], decay of voltage and current over a step, and what a current adds to the voltage.
        capacity: spikes of a sample that can be stored.
        most: the largest number of rows that can arrive in one step.
        refractory: r, steps for which a neuron is held at 0 after the step of its spike.

    Returns:
        spikes: int32[B, capacity], the neuron, in order of time;
        denominators: [B, capacity], Z = I - V at the spike;
        spike_starts: int64[B, N + 1], spikes of step n are ``spike_starts[s, n]:spike_starts[s, n + 1]``. If the last
            entry is above ``capacity``, the surplus was not stored: call again with room for it;
        restarts: [B, capacity], the neuron's current in step n + r, of no samples if r is 0.
    """
    samples, steps = starts.shape[0], starts.shape[1] - 1
    neurons = input_weights.shape[1]
    recurrent = recurrent_weights.shape[0] > 0
    spikes = np.empty((samples, capacity), np.int32)
    denominators = np.empty((samples, capacity), input_weights.dtype)
    spike_starts = np.zeros((samples, steps + 1), np.int64)
    restarts = np.zeros((samples if refractory > 0 else 0, capacity), input_weights.dtype)
    for s in numba.prange(samples):
        voltage = np.zeros(neurons, input_weights.dtype)
        current = np.zeros(neurons, input_weights.dtype)
        chosen = np.empty(most, np.int64)
        fired = np.empty(neurons, np.int64)
        total = 0
        for n in range(steps):
            above = 0
            for h in range(neurons):
                voltage[h] = a[h] * voltage[h] + c[h] * current[h]
                above += voltage[h] >= 1
            if refractory > 0:
                for e in range(spike_starts[s, max(n - refractory, 0)], min(total, capacity)):
                    voltage[spikes[s, e]] = 0
                if n >= refractory:
                    for e in range(spike_starts[s, n - refractory], min(spike_starts[s, n - refractory + 1], capacity)):
                        restarts[s, e] = current[spikes[s, e]]
            count = 0
            if above > 0:
                for h in range(neurons):
                    if voltage[h] >= 1:
                        if total < capacity:
                            spikes[s, total] = h
                            denominators[s, total] = current[h] - voltage[h]
                        total += 1
                        voltage[h] = 0
                        fired[count] = h
                        count += 1
            spike_starts[s, n + 1] = total
            for h in range(neurons):
                current[h] *= b[h]
            _add_rows(current, input_weights, chosen, _arrivals(rows, starts[s], delays, units, n, chosen))
            if recurrent:
                _add_rows(current, recurrent_weights, fired, count)
    return spikes, denominators, spike_starts, restarts


@njit(parallel=True, fastmath=FAST)
def forward_max(rows, starts, weights, a, b, c, values, peaks, shares):
    """Run the outputs and find the maxima of their voltages; arguments as in :func:`forward_output`.

    Args:
        values, peaks, shares: [B, O], filled with S_o, m and r (see `engines.equations`).
    """
    samples, steps = starts.shape[0], starts.shape[1] - 1
    outputs = weights.shape[1]
    for s in numba.prange(samples):
        voltage = np.zeros(outputs, weights.dtype)
        current = np.zeros(outputs, weights.dtype)
        before = np.zeros(outputs, weights.dtype)  # the current without what has just arrived
        best = np.zeros(outputs, weights.dtype)
        rise = np.zeros(outputs, weights.dtype)  # of the voltage after the maximum, without what has just arrived
        fall = np.zeros(outputs, weights.dtype)
        peaks[s] = 0
        for n in range(steps):
            for o in range(outputs):
                after = a[o] * voltage[o] + c[o] * current[o]
                if voltage[o] > best[o]:
                    best[o] = voltage[o]
                    peaks[s, o] = n
                    rise[o] = a[o] * voltage[o] + c[o] * before[o] - voltage[o]
                    fall[o] = voltage[o] - after
                voltage[o] = after
                current[o] *= b[o]
                before[o] = current[o]
            for e in range(starts[s, n], starts[s, n + 1]):
                row = weights[rows[e]]
                for o in range(outputs):
                    current[o] += row[o]
        for o in range(outputs):
            values[s, o] = best[o]
            shares[s, o] = rise[o] / (rise[o] + fall[o]) if rise[o] > 0 and fall[o] >= 0 else 1


@njit(parallel=True, fastmath=FAST)
def forward_output(rows, starts, weights, a, b, c, weighting, trace):
    """Run the outputs and sum their voltages under ``weighting`` (float64[N], w(n/N) / N).

    Returns logits [B, O]; fills ``trace`` [B, N, O] with the voltage before each step, unless it has no samples.
    """
    samples, steps = starts.shape[0], starts.shape[1] - 1
    outputs = weights.shape[1]
    logits = np.zeros((samples, outputs), np.float64)
    for s in numba.prange(samples):
        voltage = np.zeros(outputs, weights.dtype)
        current = np.zeros(outputs, weights.dtype)
        for n in range(steps):
            for o in range(outputs):
                logits[s, o] += weighting[n] * voltage[o]
                if trace.shape[0] > 0:
                    trace[s, n, o] = voltage[o]
                voltage[o] = a[o] * voltage[o] + c[o] * current[o]
                current[o] *= b[o]
            for e in range(starts[s, n], starts[s, n + 1]):
                row = weights[rows[e]]
                for o in range(outputs):
                    current[o] += row[o]
    return logits

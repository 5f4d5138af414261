"""What the gradients of time constants are made of: products of adjoints with voltage and current, summed over steps.

The forward pass keeps spikes only, so voltage and current are computed once more, a sample at a time; which neurons
reset is read from the spikes. The backward pass keeps lamI only, but lamI[n] = b lamI[n+1] + k lamV[n+1] tells lamV
after the jumps of step n. Legend as in `forward`; only samples are shared out between threads, so the result does not
depend on their number.
"""

import numba
import numpy as np

from eventspeech.compiled import njit
from eventspeech.engines.event_driven.numba.forward import FAST, _add_rows, _arrivals


@njit(parallel=True, fastmath=FAST)
def products(
    rows,
    starts,
    delays,
    units,
    input_weights,
    recurrent_weights,
    a,
    b,
    c,
    most,
    spikes,
    spike_starts,
    refractory,
    inverse_k,
    adjoint_current,
):
    """Return lamV (V - I), lamV I and lamI I of each sample and neuron: float64[B, 3, H].

    Args:
        rows, starts, delays, units, input_weights, recurrent_weights, a, b, c, most: as in `forward.forward_hidden`;
            outputs have one delay of zero and no recurrence.
        spikes, spike_starts, refractory: as `forward.forward_hidden` returns and takes them; outputs have none. While
            a neuron is held lamV is 0, so that its voltage matters from the restart on.
        inverse_k: [H], 1 / k.
        adjoint_current: [B, N + 1, H], lamI.
    """
    samples, steps = starts.shape[0], starts.shape[1] - 1
    neurons = input_weights.shape[1]
    recurrent = recurrent_weights.shape[0] > 0
    sums = np.zeros((samples, 3, neurons), np.float64)
    for s in numba.prange(samples):
        voltage = np.zeros(neurons, input_weights.dtype)
        current = np.zeros(neurons, input_weights.dtype)
        chosen = np.empty(most, np.int64)
        for n in range(steps):
            for h in range(neurons):
                lam_i = adjoint_current[s, n + 1, h]
                lam_v = (adjoint_current[s, n, h] - b[h] * lam_i) * inverse_k[h]
                sums[s, 0, h] += lam_v * (voltage[h] - current[h])
                sums[s, 1, h] += lam_v * current[h]
                sums[s, 2, h] += lam_i * current[h]
                voltage[h] = a[h] * voltage[h] + c[h] * current[h]
                current[h] *= b[h]
            fired = spikes[s, spike_starts[s, n] : spike_starts[s, n + 1]]
            if n >= refractory:
                for j in spikes[s, spike_starts[s, n - refractory] : spike_starts[s, n - refractory + 1]]:
                    voltage[j] = 0
            _add_rows(current, input_weights, chosen, _arrivals(rows, starts[s], delays, units, n, chosen))
            if recurrent:
                _add_rows(current, recurrent_weights, fired, len(fired))
    return sums

"""The encoder's loops for numba: the readable reference of the C kernels (``kernels.c``), where these were not built.

What follows the membrane's velocity is in :mod:`.nerve`.
"""

from collections.abc import Iterator

import numba
import numpy as np

from eventspeech.compiled import njit
from eventspeech.data.cochlea import membrane, nerve
from eventspeech.data.cochlea.membrane import BLOCK, TAPS


class NumbaKernels:
    """Velocity and spikes of a recording; :class:`.native.NativeKernels` does the same.

    Args:
        stimulus: of one recording.
    """

    def __init__(self, stimulus: membrane.Spectrum):
        self._stimulus = stimulus

    def velocity(self, block: int) -> np.ndarray:
        """Return the membrane's velocity in a block of channels, float64[BLOCK, K]."""
        return velocity(self._stimulus, block)

    def spikes(self, steps: int, seed: int, fibres: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield steps and channels of the spikes, some channels after the others, see :func:`.nerve.block_spikes`."""
        for block in range(0, membrane.BLOCKS, 2):
            # twice the channels in a row take less time each
            velocity = np.concatenate([self.velocity(block), self.velocity(block + 1)])
            yield nerve.block_spikes(velocity, steps, np.uint64(seed), block * membrane.BLOCK, fibres)


def velocity(stimulus: membrane.Spectrum, block: int) -> np.ndarray:
    """Return the velocity of the channels of a block, float64[BLOCK, K], at 24 kHz.

    The reference takes the real part of the inverse transform of the K bins 0 .. Nyquist, as if they were a whole
    spectrum: half the rate, half the amplitude, and the bins above 12 kHz act as negative frequencies. Only the
    Hermitian part of such a spectrum has a real transform, so that a real inverse transform does.
    """
    bins, used = len(stimulus.values), membrane.used_bins(stimulus, block)
    folded = np.zeros((BLOCK, bins // 2 + 1), np.complex128)
    _apply(stimulus.values[:used], bins, stimulus.index, stimulus.weights, membrane.table().values[block], folded)
    return np.fft.irfft(folded, bins, axis=1)


@njit(nogil=True)
def _apply(
    values: np.ndarray, bins: int, index: np.ndarray, weights: np.ndarray, tabulated: np.ndarray, folded: np.ndarray
) -> None:
    """Multiply the spectrum by the interpolated transfer function and fold it to its Hermitian part."""
    response = np.empty(2 * BLOCK)
    for k in range(len(values)):
        row = index[k]
        _interpolate(tabulated[row : row + TAPS], weights[k], response)
        a, b = 0.5 * values[k].real, 0.5 * values[k].imag
        for channel in range(BLOCK):
            re = a * response[channel] - b * response[BLOCK + channel]
            im = a * response[BLOCK + channel] + b * response[channel]
            if k == 0:
                folded[channel, 0] = 2 * re
                continue
            if 2 * k <= bins:
                folded[channel, k] += complex(re, im)
            if 2 * k >= bins:
                folded[channel, bins - k] += complex(re, -im)


@numba.njit(nogil=True)
def _interpolate(rows: np.ndarray, weights: np.ndarray, response: np.ndarray) -> None:
    """Fill the weighted sum of six rows; rows of their own let the compiler vectorise the loop."""
    w0, w1, w2, w3, w4, w5 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    r0, r1, r2, r3, r4, r5 = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    for c in range(len(response)):
        response[c] = w0 * r0[c] + w1 * r1[c] + w2 * r2[c] + w3 * r3[c] + w4 * r4[c] + w5 * r5[c]

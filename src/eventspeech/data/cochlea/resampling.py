"""Resampling by a polyphase filter: what ``scipy.signal.resample_poly`` computes, without SciPy.

Importing ``scipy.signal`` takes longer than all else that a first answer to a short recording does. The filter is
SciPy's default, a Kaiser window of beta 5 and 20 zero crossings; sums go over the same terms in the same order.
"""

import functools

import numpy as np

HALF_CROSSINGS = 10
BETA = 5.0


def resample(audio: np.ndarray, up: int, down: int) -> np.ndarray:
    """Return ``audio`` (float64[n]) at ``up / down`` times its rate, float64[ceil(n up / down)]; both are coprime."""
    phases, half = _filter(up, down)
    taps = len(phases)
    count = -(-len(audio) * up // down)
    # output m is the sum over inputs j of h[half + m down - j up]: `last` is the last j of a term, `phase` its place
    last, phase = np.divmod(np.arange(count, dtype=np.int64) * down + half, up)
    padded = np.concatenate([np.zeros(taps), audio, np.zeros(taps)])
    out, first = np.zeros(count), last + 1  # with the padding in front, j = last - (taps - 1) stands here
    for tap in range(taps):
        out += phases[tap].take(phase) * padded.take(first + tap)
    return out


@functools.lru_cache(maxsize=16)
def _filter(up: int, down: int) -> tuple[np.ndarray, int]:
    """Return the coefficients, float64[taps, up], those of the earliest input first, and the filter's centre."""
    widest = max(up, down)
    half = HALF_CROSSINGS * widest
    kernel = np.sinc(np.arange(-half, half + 1) / widest) / widest * np.kaiser(2 * half + 1, BETA)
    kernel *= up / kernel.sum()
    taps = len(kernel) // up + 1
    return np.pad(kernel, (0, taps * up - len(kernel))).reshape(taps, up)[::-1].copy(), half

"""Basilar membrane: hydrodynamic shallow-water model of Sieroka, Dosch, Rupp, JASA 120(1), 297 (2006), cgs units.

Its transfer function (stimulus to velocity at a place) costs a Hankel function of a complex argument a value. As it
is smooth in frequency, it is tabulated once a process, uniformly in log(f + 30 Hz), and interpolated for the
frequencies of each recording; it falls so steeply above a place's own frequency that most of it may be skipped.

:func:`velocity` is the readable reference of the C kernels (``kernels.c``) and stands in where they were not built.
"""

import functools
from dataclasses import dataclass

import numba
import numpy as np
import scipy.fft
import scipy.special

from eventspeech.compiled import njit
from eventspeech.params import CHANNELS

AUDIO_RATE_HZ = 48_000
OUTPUT_RATE_HZ = AUDIO_RATE_HZ // 2

# Sieroka et al. 2006, with the values of Cramer et al. 2020
LENGTH_CM = 3.5
STIFFNESS = 1e9  # C0 and a in S(x) = C0 exp(-alpha x) - a, g / (s^2 cm^2)
STIFFNESS_OFFSET = 3500.0
ALPHA_PER_CM = 3.0
MASS = 0.05  # g / cm^2
DAMPING = 0.15 * np.sqrt(STIFFNESS * MASS)  # R(x) = DAMPING exp(-alpha x / 2)
HEIGHT_CM = 0.1  # of the cochlear duct
DENSITY = 1.0  # g / cm^3

LOWEST_HZ = 1.0
TABLE_OFFSET_HZ = 30.0
TABLE_SIZE = 5000
TAPS = 6  # of the Lagrange interpolation; 5000 points then give 1e-9 of a channel's largest response
NEGLIGIBLE = 1e-10  # of a channel's largest response
BLOCK = 16
"""Channels computed together, as many as the C kernels' vectors have lanes."""

BLOCKS = -(-CHANNELS // BLOCK)


def places_cm(channels: int = CHANNELS) -> np.ndarray:
    """Return the places of the channels, float64[channels], distance from the base (high frequencies) in cm."""
    return np.linspace(0.0, LENGTH_CM, channels)


def transfer(frequencies_hz: np.ndarray, x_cm: np.ndarray) -> np.ndarray:
    """Return the complex ratio of membrane velocity to stimulus; the arguments broadcast."""
    omega = 2 * np.pi * np.asarray(frequencies_hz, np.float64)
    x = np.asarray(x_cm, np.float64)
    pressure = _pressure(omega, x) / _pressure(omega, np.float64(0.0))
    return 2 * omega / _impedance(omega, x) * pressure * _input_impedance(omega)


def _impedance(omega: np.ndarray, x: np.ndarray | float) -> np.ndarray:
    """xi = S(x) - m omega^2 - i omega R(x)."""
    stiffness = STIFFNESS * np.exp(-ALPHA_PER_CM * x) - STIFFNESS_OFFSET
    return stiffness - MASS * omega**2 - 1j * omega * DAMPING * np.exp(-ALPHA_PER_CM * x / 2)


def _wave_number(omega: np.ndarray, x: np.ndarray | float) -> np.ndarray:
    return omega * np.sqrt(DENSITY / (HEIGHT_CM * _impedance(omega, x)))


def _phase(omega: np.ndarray, x: np.ndarray | float) -> np.ndarray:
    """Return 2 g(0) / alpha + integral of the wave number g from 0 to x, in closed form."""
    root = np.sqrt(STIFFNESS_OFFSET + MASS * omega**2)

    def antiderivative(place: np.ndarray | float) -> np.ndarray:
        damping = DAMPING * np.exp(-ALPHA_PER_CM * place / 2)
        drive = 2 * STIFFNESS_OFFSET + omega * (2 * MASS * omega + 1j * damping)
        return 1j * drive / (2 * root) - np.sqrt(_impedance(omega, place))

    ratio = antiderivative(np.float64(0.0)) / (np.exp(ALPHA_PER_CM * x / 2) * antiderivative(x))
    travelled = -2j * omega / (ALPHA_PER_CM * np.sqrt(HEIGHT_CM) * root) * np.log(ratio)
    return 2 * _wave_number(omega, 0.0) / ALPHA_PER_CM + travelled


def _pressure(omega: np.ndarray, x: np.ndarray | float) -> np.ndarray:
    phase = _phase(omega, x)
    return np.sqrt(phase / _wave_number(omega, x)) * scipy.special.hankel1(0, phase)


def _input_impedance(omega: np.ndarray) -> np.ndarray:
    z = 2 * omega / ALPHA_PER_CM * np.sqrt(2 / (HEIGHT_CM * STIFFNESS))
    bessel = scipy.special
    return np.sqrt(2 * STIFFNESS / HEIGHT_CM) * (1j * bessel.j0(z) + bessel.y0(z)) / (bessel.j1(z) - 1j * bessel.y1(z))


@dataclass(frozen=True)
class Table:
    """The transfer function at :data:`TABLE_SIZE` frequencies.

    Attributes:
        values: float64[BLOCKS, TABLE_SIZE, 2 BLOCK], for each block of channels the real parts, then the imaginary.
        highest_hz: float64[BLOCKS], above it the response of all the block's channels is negligible.
    """

    values: np.ndarray
    highest_hz: np.ndarray


def _table_axis() -> tuple[float, float]:
    """Return the first value and the step of log(f + offset) in the table."""
    first, last = np.log(np.array([LOWEST_HZ, AUDIO_RATE_HZ / 2]) + TABLE_OFFSET_HZ)
    return float(first), float(last - first) / (TABLE_SIZE - 1)


@functools.lru_cache(maxsize=1)
def table() -> Table:
    """Compute the table (about 2 s, once a process); values that are negligible stay zero."""
    first, step = _table_axis()
    frequencies = np.exp(first + step * np.arange(TABLE_SIZE)) - TABLE_OFFSET_HZ
    # the last block is filled up with copies of the last place
    places = np.pad(places_cm(), (0, BLOCKS * BLOCK - CHANNELS), mode="edge").reshape(BLOCKS, BLOCK)
    values = np.zeros((BLOCKS, TABLE_SIZE, 2 * BLOCK))
    highest = np.zeros(BLOCKS)
    for block, inside in enumerate(places):
        # the base's end of a block responds up to the highest frequencies: a coarse grid finds where that ends
        coarse = np.abs(transfer(frequencies[::16], inside[0]))
        stop = min(TABLE_SIZE, 16 * (np.flatnonzero(coarse > NEGLIGIBLE * coarse.max())[-1] + 1) + TAPS)
        response = transfer(frequencies[:stop, None], inside)
        values[block, :stop] = np.concatenate([response.real, response.imag], axis=1)
        highest[block] = AUDIO_RATE_HZ / 2 if stop == TABLE_SIZE else frequencies[stop - TAPS]
    return Table(values, highest)


def padded_length(samples: int) -> int:
    """Return the even length >= ``samples`` whose spectrum, 0 to Nyquist, has a length that transforms quickly."""
    return 2 * (scipy.fft.next_fast_len(max((samples + 1) // 2 + 1, 16), real=True) - 1)


@dataclass(frozen=True)
class Spectrum:
    """Spectrum of a stimulus, with what interpolating the table at its frequencies needs.

    Attributes:
        values: complex128[K], bins 0 .. Nyquist of the stimulus.
        frequencies_hz: float64[K], where the model is evaluated for each bin.
        index: int64[K], first table entry used for each bin.
        weights: float64[K, TAPS].
    """

    values: np.ndarray
    frequencies_hz: np.ndarray
    index: np.ndarray
    weights: np.ndarray


def spectrum(stimulus: np.ndarray) -> Spectrum:
    """Transform a stimulus (float64[n] at 48 kHz; n even, see :func:`padded_length`, or any)."""
    values = scipy.fft.rfft(stimulus)
    # the reference evaluates bin k at 1 Hz + k (24 kHz - 1 Hz) / (K - 1), which keeps clear of zero
    frequencies = np.linspace(LOWEST_HZ, AUDIO_RATE_HZ / 2, len(values))
    first, step = _table_axis()
    position = (np.log(frequencies + TABLE_OFFSET_HZ) - first) / step
    index = np.clip(np.floor(position).astype(np.int64) - TAPS // 2 + 1, 0, TABLE_SIZE - TAPS)
    distance = position - index
    weights = np.ones((len(values), TAPS))
    for tap in range(TAPS):
        for other in range(TAPS):
            if other != tap:
                weights[:, tap] *= (distance - other) / (tap - other)
    return Spectrum(values, frequencies, index, weights)


def velocity(stimulus: Spectrum, block: int) -> np.ndarray:
    """Return the velocity of the channels of a block, float64[BLOCK, K], at 24 kHz.

    The reference takes the real part of the inverse transform of the K bins 0 .. Nyquist, as if they were a whole
    spectrum: half the rate, half the amplitude, and the bins above 12 kHz act as negative frequencies. Only the
    Hermitian part of such a spectrum has a real transform, so that a real inverse transform does.
    """
    bins, used = len(stimulus.values), used_bins(stimulus, block)
    folded = np.zeros((BLOCK, bins // 2 + 1), np.complex128)
    _apply(stimulus.values[:used], bins, stimulus.index, stimulus.weights, table().values[block], folded)
    return scipy.fft.irfft(folded, bins, axis=1, overwrite_x=True)


def used_bins(stimulus: Spectrum, block: int) -> int:
    """Return how many bins, from the lowest on, the block's channels respond to."""
    return int(np.searchsorted(stimulus.frequencies_hz, table().highest_hz[block], side="right"))


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

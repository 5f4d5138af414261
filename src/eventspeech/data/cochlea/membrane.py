"""Basilar membrane: hydrodynamic shallow-water model of Sieroka, Dosch, Rupp, JASA 120(1), 297 (2006), cgs units.

Its transfer function (stimulus to velocity at a place) costs a Hankel function of a complex argument a value. As it
is smooth in frequency, it is tabulated once, uniformly in log(f + 30 Hz), and interpolated for the frequencies of each
recording; it falls so steeply above a place's own frequency that most of it may be skipped. The table is kept among
the user's cached files, since a short recording takes less time than the table does.

SciPy is imported where the table is made, and not before: that takes longer than encoding a word.
"""

import contextlib
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eventspeech import files, machine, paths
from eventspeech.errors import UserError
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
    import scipy.special

    phase = _phase(omega, x)
    return np.sqrt(phase / _wave_number(omega, x)) * scipy.special.hankel1(0, phase)


def _input_impedance(omega: np.ndarray) -> np.ndarray:
    from scipy import special as bessel

    z = 2 * omega / ALPHA_PER_CM * np.sqrt(2 / (HEIGHT_CM * STIFFNESS))
    return np.sqrt(2 * STIFFNESS / HEIGHT_CM) * (1j * bessel.j0(z) + bessel.y0(z)) / (bessel.j1(z) - 1j * bessel.y1(z))


@dataclass(frozen=True)
class Table:
    """The transfer function at up to :data:`TABLE_SIZE` frequencies.

    Attributes:
        values: of each block of channels float64[F, 2 BLOCK], the real parts, then the imaginary, from the lowest
            frequency to where the response becomes negligible.
        highest_hz: float64[BLOCKS], above it the response of all the block's channels is negligible.
    """

    values: Sequence[np.ndarray]
    highest_hz: np.ndarray


def _table_axis() -> tuple[float, float]:
    """Return the first value and the step of log(f + offset) in the table."""
    first, last = np.log(np.array([LOWEST_HZ, AUDIO_RATE_HZ / 2]) + TABLE_OFFSET_HZ)
    return float(first), float(last - first) / (TABLE_SIZE - 1)


@functools.lru_cache(maxsize=1)
def table() -> Table:
    """Return the table: the cached one, or one computed (about 2 s) and cached."""
    place = _cached()
    if place is not None and place.is_file():
        with contextlib.suppress(UserError, KeyError, ValueError):  # a damaged copy is made anew
            return _parted(files.read_npz(place))
    computed = _computed()
    if place is not None:
        with contextlib.suppress(UserError, OSError):  # no room, or a home that nobody may write to
            files.write_npz(place, _gathered(computed), compress=False)
    return computed


def _cached() -> Path | None:
    """Return where the table is kept: by the code that makes it, and by what may round otherwise."""
    folder = paths.cache()
    if folder is None:
        return None
    versions = [machine.version("numpy"), machine.version("scipy"), machine.cpu()]
    code = Path(__file__).read_bytes() + str([*versions, CHANNELS]).encode()
    return folder / f"membrane-{hashlib.sha256(code).hexdigest()[:16]}.npz"


def _gathered(found: Table) -> dict[str, np.ndarray]:
    """Return the table as the arrays of a file."""
    rows = np.array([len(block) for block in found.values])
    return {"rows": rows, "values": np.concatenate(found.values), "highest_hz": found.highest_hz}


def _parted(arrays: dict[str, np.ndarray]) -> Table:
    """Return the table of which :func:`_gathered` made arrays.

    Raises:
        KeyError, ValueError: it did not; compiled code would read beyond them.
    """
    values, rows, highest_hz = arrays["values"], arrays["rows"], arrays["highest_hz"]
    first, step = _table_axis()
    needed = np.round((np.log(highest_hz + TABLE_OFFSET_HZ) - first) / step) + TAPS
    if values.shape != (rows.sum(), 2 * BLOCK) or not np.array_equal(rows, np.minimum(needed, TABLE_SIZE)):
        raise ValueError("it is no table of the membrane")
    return Table(np.split(values, np.cumsum(rows)[:-1]), highest_hz)


def _computed() -> Table:
    """Compute the table."""
    first, step = _table_axis()
    frequencies = np.exp(first + step * np.arange(TABLE_SIZE)) - TABLE_OFFSET_HZ
    # the last block is filled up with copies of the last place
    places = np.pad(places_cm(), (0, BLOCKS * BLOCK - CHANNELS), mode="edge").reshape(BLOCKS, BLOCK)
    values = []
    highest = np.zeros(BLOCKS)
    for block, inside in enumerate(places):
        # the base's end of a block responds up to the highest frequencies: a coarse grid finds where that ends
        coarse = np.abs(transfer(frequencies[::16], inside[0]))
        stop = min(TABLE_SIZE, 16 * (np.flatnonzero(coarse > NEGLIGIBLE * coarse.max())[-1] + 1) + TAPS)
        response = transfer(frequencies[:stop, None], inside)
        values.append(np.concatenate([response.real, response.imag], axis=1))
        highest[block] = AUDIO_RATE_HZ / 2 if stop == TABLE_SIZE else frequencies[stop - TAPS]
    return Table(values, highest)


def padded_length(samples: int) -> int:
    """Return the even length >= ``samples`` whose spectrum, 0 to Nyquist, has a length that transforms quickly."""
    return 2 * (_next_smooth(max((samples + 1) // 2 + 1, 16)) - 1)


def _next_smooth(least: int) -> int:
    """Return the smallest product of powers of 2, 3 and 5 that is not below ``least``."""
    powers_of_5 = [5**n for n in range(least.bit_length()) if 5**n < 2 * least]
    odd = [five * 3**n for five in powers_of_5 for n in range(least.bit_length()) if five * 3**n < 2 * least]
    return min(factor << max(0, (-(-least // factor) - 1).bit_length()) for factor in odd)


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
    values = np.fft.rfft(stimulus)
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


def used_bins(stimulus: Spectrum, block: int) -> int:
    """Return how many bins, from the lowest on, the block's channels respond to."""
    return int(np.searchsorted(stimulus.frequencies_hz, table().highest_hz[block], side="right"))

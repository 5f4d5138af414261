"""The encoder's loops in C (``kernels.c``), built at installation; without a C compiler numba's are used."""

import ctypes
import functools
import math
from collections.abc import Iterator

import numpy as np

from eventspeech import compiled
from eventspeech.data.cochlea import membrane, physiology
from eventspeech.data.cochlea.membrane import BLOCK, Spectrum


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library, or None where the installation could not build it."""
    return compiled.library(__file__)


def _built() -> ctypes.CDLL:
    """Return the library; whoever comes here has seen that it is there."""
    found = library()
    assert found is not None
    return found


class NativeKernels:
    """Velocity and spikes of a recording, block by block.

    Args:
        stimulus: of the recording.
    """

    def __init__(self, stimulus: Spectrum):
        self._stimulus = stimulus
        bins = len(stimulus.values)
        # the transform is cut into rows and columns that are near to a square, so that each fits into a cache
        self._rows = next(size for size in range(math.isqrt(bins), 0, -1) if bins % size == 0)
        self._columns = bins // self._rows
        self._scaled = stimulus.values * (0.5 / bins)
        self._roots = np.exp(2j * np.pi / bins * np.arange(bins))
        space = compiled.Workspace()
        self._scratch = space.array("scratch", (2, self._columns, BLOCK), np.float64)
        self._velocity = space.array("velocity", (self._rows, self._columns, BLOCK), np.float64)

    def velocity(self, block: int) -> np.ndarray:
        """Return the membrane's velocity in a block of channels, float64[BLOCK, K]."""
        self._transform(block)
        return self._velocity.transpose(2, 1, 0).copy().reshape(BLOCK, -1)

    def spikes(self, steps: int, seed: int, fibres: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield steps and channels of the spikes, block by block, see :func:`.nerve.block_spikes`."""
        for block in range(membrane.BLOCKS):
            self._transform(block)
            yield _spikes(self._velocity, steps, seed, block * BLOCK, fibres)

    def _transform(self, block: int) -> None:
        stimulus = self._stimulus
        compiled.call(
            _built(), "membrane_velocity", self._scaled, len(self._scaled), membrane.used_bins(stimulus, block),
            stimulus.index, stimulus.weights, membrane.table().values[block], self._roots, self._rows, self._columns,
            self._scratch[0], self._scratch[1], self._velocity,
        )  # fmt: skip


def block_spikes(
    velocity: np.ndarray, steps: int, seed: int, first_channel: int, fibres: int
) -> tuple[np.ndarray, np.ndarray]:
    """Do what :func:`.nerve.block_spikes` does."""
    return _spikes(np.ascontiguousarray(velocity.T)[None], steps, seed, first_channel, fibres)


def _spikes(
    velocity: np.ndarray, steps: int, seed: int, first_channel: int, fibres: int
) -> tuple[np.ndarray, np.ndarray]:
    """``velocity``: float64[rows, columns, BLOCK], where row r and column c hold sample r + c rows."""
    rows, columns, _ = velocity.shape
    found = np.empty((2, physiology.most_spikes(BLOCK, steps)), np.int64)
    bushy = np.array(
        [physiology.BUSHY_WEIGHT / fibres / membrane.OUTPUT_RATE_HZ, physiology.DECAY_MEM, physiology.DECAY_SYN]
    )
    count = compiled.call(
        _built(), "nerve_spikes", velocity, rows, columns, steps, seed, first_channel, fibres,
        np.array(physiology.RESTING), bushy, found[0], found[1], returns=ctypes.c_int64,
    )  # fmt: skip
    return found[0, :count], found[1, :count]

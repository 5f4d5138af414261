"""The readable kernels: numba, float32 or float64; parallel over samples, and over presynaptic units in the gather."""

from typing import Any

import numba
import numpy as np
from numpy.typing import DTypeLike

from eventspeech.engines.equations import DENOMINATOR_FLOOR
from eventspeech.engines.event_driven.host import HostKernels
from eventspeech.engines.event_driven.kernels import Adjoint, Events, Layer, Peaks, Sorted, Source, Vectors
from eventspeech.engines.event_driven.numba import adjoint, forward, gather, products

ADJOINT_BYTES = 64 * 2**20
"""Adjoints kept at once; must not depend on the machine, since it decides the order of summation."""


class NumbaKernels(HostKernels):
    """See `kernels.Kernels`. Adjoints are [B, N + 1, H]."""

    name = "numba"

    def __init__(self, dtype: DTypeLike, threads: int):
        self._dtype: np.dtype[Any] = np.dtype(dtype)
        most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined] # numba sets it as it is imported
        self._threads = min(threads, most)

    def samples_at_once(self, steps: int, width: int) -> int:
        """Return how many samples the backward pass takes at once."""
        return max(1, ADJOINT_BYTES // ((steps + 1) * width * self._dtype.itemsize))

    def starts(self, steps_of: np.ndarray, offsets: np.ndarray, steps: int) -> np.ndarray:
        """Find where the events of each sample and step begin."""
        samples = len(offsets) - 1
        sample = np.repeat(np.arange(samples), np.diff(offsets))
        counts = np.bincount(sample * steps + steps_of, minlength=samples * steps).reshape(samples, steps)
        found = np.empty((samples, steps + 1), np.int64)
        found[:, 0] = offsets[:-1]
        found[:, 1:] = offsets[:-1, None] + np.cumsum(counts, axis=1)
        return found

    def forward_hidden(
        self, events, *, delays, weights, recurrent, vectors: Vectors, capacity: int, refractory: int,
        keep_drive: bool,
    ) -> Layer:  # fmt: skip
        """Run a hidden layer forward; the drive is never kept."""
        numba.set_num_threads(self._threads)
        units = weights.shape[0] // len(delays)
        arguments = (weights, self._or_none(recurrent, weights.shape[1]), vectors.a, vectors.b, vectors.c)
        most = _most(events, delays)
        return Layer(*forward.forward_hidden(*events, delays, units, *arguments, capacity, most, refractory))

    def forward_output(self, events, weights, vectors: Vectors, weighting, keep_trace: bool):
        """Run the outputs forward."""
        numba.set_num_threads(self._threads)
        samples, steps = events.starts.shape[0] if keep_trace else 0, events.starts.shape[1] - 1
        trace = np.zeros((samples, steps, weights.shape[1]), weights.dtype)
        arguments = (weights, vectors.a, vectors.b, vectors.c, weighting, trace)
        logits = forward.forward_output(*events, *arguments)
        return logits, trace

    def adjoint_output(self, drive, weighting, vectors: Vectors) -> Adjoint:
        """Integrate the outputs' adjoints backward."""
        numba.set_num_threads(self._threads)
        current = np.empty((drive.shape[0], len(weighting) + 1, drive.shape[1]), self._dtype)
        found = Adjoint(current, np.empty_like(current))
        arguments = (vectors.a, vectors.b, vectors.k, vectors.p, vectors.q, len(weighting))
        adjoint.adjoint_output(drive, weighting, *arguments, *found)
        return found

    def forward_max(self, events, weights, vectors: Vectors) -> Peaks:
        """Run the outputs forward and find their maxima."""
        numba.set_num_threads(self._threads)
        shape = events.starts.shape[0], weights.shape[1]
        found = Peaks(np.empty(shape), np.empty(shape, np.int32), np.empty(shape, self._dtype))
        forward.forward_max(events.rows, events.starts, weights, vectors.a, vectors.b, vectors.c, *found)
        return found

    def adjoint_max(self, drive, peaks: Peaks, steps: int, vectors: Vectors) -> Adjoint:
        """Integrate the outputs' adjoints backward from their maxima."""
        numba.set_num_threads(self._threads)
        current = np.empty((drive.shape[0], steps + 1, drive.shape[1]), self._dtype)
        found = Adjoint(current, np.empty_like(current))
        arguments = (vectors.a, vectors.b, vectors.k, vectors.p, vectors.q, steps)
        adjoint.adjoint_max(drive, peaks.steps, peaks.shares, *arguments, *found)
        return found

    def adjoint_hidden(
        self, layer: Layer, *, above, adjoint_above: Adjoint | None, recurrent, penalty, vectors: Vectors,
        refractory: int, keep_difference: bool, timing=None,
    ) -> tuple[Adjoint, int]:  # fmt: skip
        """Integrate a spiking layer's adjoints backward."""
        numba.set_num_threads(self._threads)
        size = penalty.shape[1]
        shape = (*layer.starts.shape, size)
        if above is None or adjoint_above is None:
            above, difference_above = np.zeros((size, 0), self._dtype), np.zeros((*layer.starts.shape, 0), self._dtype)
        else:
            difference_above = adjoint_above.difference
        found = Adjoint(
            np.empty(shape, self._dtype), np.empty(shape if keep_difference else (0, *shape[1:]), self._dtype)
        )
        floored = adjoint.adjoint_hidden(
            *layer[:4], above, difference_above, self._or_none(recurrent, size), penalty, self._or_none(timing, 0),
            self._dtype.type(DENOMINATOR_FLOOR), vectors.a, vectors.b, vectors.k, vectors.p, vectors.q, refractory,
            *found,
        )  # fmt: skip
        return found, int(floored.sum())

    def products(
        self, events: Events, *, delays, weights, recurrent, layer: Layer | None, vectors: Vectors, refractory: int,
        adjoint: Adjoint,
    ) -> np.ndarray:  # fmt: skip
        """Return what the gradients of time constants are made of."""
        numba.set_num_threads(self._threads)
        samples = len(events.starts)
        none = np.zeros((samples, 0), np.int32)
        spikes, spike_starts = (none, np.zeros_like(events.starts)) if layer is None else (layer.spikes, layer.starts)
        arguments = (weights, self._or_none(recurrent, weights.shape[1]), vectors.a, vectors.b, vectors.c)
        return products.products(
            *events, delays, weights.shape[0] // len(delays), *arguments, _most(events, delays),
            spikes, spike_starts, refractory, 1 / vectors.k, adjoint.current,
        )  # fmt: skip

    def sort(self, events: Events, units: int, adjoint: Adjoint) -> Sorted:
        """Sort events by sample, unit and time."""
        numba.set_num_threads(self._threads)
        return Sorted(*gather.sort(events.rows, events.starts, units))

    def gather(self, sources: list[Source], tau_syn_ms: np.ndarray, adjoint: Adjoint) -> None:
        """Add weight gradients to the totals."""
        numba.set_num_threads(self._threads)
        scale = (-tau_syn_ms).astype(self._dtype)
        for (steps, unit_starts), delays, total in sources:
            gather.gather(total, steps, unit_starts, delays, scale, adjoint.current)

    def _or_none(self, array, size: int) -> np.ndarray:
        return np.zeros((0, size), self._dtype) if array is None else array


def _most(events: Events, delays: np.ndarray) -> int:
    """Return a bound of what can arrive in one step: every copy brings the events of another step."""
    return max(1, int(np.diff(events.starts, axis=1).max(initial=0)) * len(delays))

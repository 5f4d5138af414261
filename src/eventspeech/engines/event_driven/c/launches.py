"""The fast kernels: C, compiled when the package is installed (any C compiler; without one, numba's are used).

Plain threads run them side by side. Weights and adjoints are cut into tiles of 32 columns: see the head of ``lanes.h``.
"""

import ctypes
import functools
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from eventspeech import compiled
from eventspeech.compiled import address
from eventspeech.engines.equations import DENOMINATOR_FLOOR
from eventspeech.engines.event_driven.host import HostKernels
from eventspeech.engines.event_driven.kernels import Adjoint, Events, Layer, Peaks, Sorted, Source, Vectors

TILE = 32
CACHE_BYTES = 2**19
"""Adjoints of a tile that are summed at once: a part of a second-level cache, which may be shared by two threads. Must
not depend on the machine, since it decides the order of summation."""

ADJOINT_BYTES = 2**27
"""Adjoints that are kept before they are summed; must not depend on the machine either."""

DRIVE_BYTES = 2**27
"""What arrives through a delay line and is computed at once. That of a batch that fits is kept for the gradients of
time constants: to write and read it takes a fraction of the time of a second projection, unless there are no copies."""

CHUNK = 256
"""Steps of a drive without delays that are computed at once: CHUNK of project.h."""

PARTS = 4
"""Ranges of samples whose projection is shared out between threads, beside the tiles."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library, or None where the installation could not build it."""
    return compiled.library(__file__)


def _block(rows: int) -> int:
    """Return how many samples are summed at once, for adjoints of ``rows`` rows."""
    return max(1, CACHE_BYTES // (4 * rows * TILE))


def _padded(size: int) -> int:
    return -(-size // TILE) * TILE


def _pad_columns(array: np.ndarray) -> np.ndarray:
    """Return [rows, P]: ``array`` with zero columns up to whole tiles."""
    if array.shape[1] % TILE == 0:
        return array
    wide = np.zeros((array.shape[0], _padded(array.shape[1])), array.dtype)
    wide[:, : array.shape[1]] = array
    return wide


class NativeKernels(HostKernels):
    """See `kernels.Kernels`. ``Adjoint.current`` is [P / TILE, B, R, TILE] with R = N + 1 + longest delay, rows from N
    on are zero; ``difference`` is [B, N + 1, P].

    Args:
        threads: at most this many.
        longest_delay: of all connections, in steps.
    """

    name = "native"

    def __init__(self, threads: int, longest_delay: int):
        found = library()
        assert found is not None
        self._library = found
        self._threads = threads
        self._tail = 1 + longest_delay
        self._space = compiled.Workspace()
        self._turn = 0
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None
        compiled.keep_freed_memory()

    def samples_at_once(self, steps: int, width: int) -> int:
        """Return how many samples the backward pass takes at once: whole blocks of `sort`."""
        block = _block(steps + self._tail)
        return block * max(1, ADJOINT_BYTES // (4 * (steps + self._tail) * width * block))

    def starts(self, steps_of: np.ndarray, offsets: np.ndarray, steps: int) -> np.ndarray:
        """Find where the events of each sample and step begin."""
        samples = len(offsets) - 1
        found = np.empty((samples, steps + 1), np.int64)
        self._share(
            samples, lambda first, last: self._call("find_starts", steps_of, offsets, first, last, steps, found)
        )
        return found

    def forward_hidden(
        self, events: Events, *, delays: np.ndarray, weights: np.ndarray, recurrent: np.ndarray | None,
        vectors: Vectors, capacity: int, refractory: int, keep_drive: bool,
    ) -> Layer:  # fmt: skip
        """Run a hidden layer forward."""
        samples, steps = events.starts.shape[0], events.starts.shape[1] - 1
        padded, units = _padded(weights.shape[1]), weights.shape[0] // len(delays)
        layer = Layer(
            np.empty((samples, capacity), np.int32),
            np.empty((samples, capacity), np.float32),
            np.empty((samples, steps + 1), np.int64),
            np.zeros((samples if refractory else 0, capacity), np.float32),
        )
        tiled, inside = self._tiled(weights, len(delays)), self._recurrent(recurrent)
        a, b, c, _, _, _ = self._vectors(vectors)

        def run(projected: np.ndarray | None, group: slice) -> None:
            part, to = events.part(group), layer.part(group)

            def work(first: int, last: int) -> None:
                drive = self._scratch("drive", (CHUNK, padded)) if projected is None else None
                state = self._scratch("state", (4 * padded + TILE,))
                self._call(
                    "forward_hidden", *part, first, last, steps, units, projected, tiled, inside, a, b, c, padded,
                    drive, state, capacity, refractory, *to[:4],
                )  # fmt: skip

            self._share(len(part.starts), work)

        if len(delays) == 1 and delays[0] == 0:
            run(None, slice(samples))
            return layer
        group = max(1, DRIVE_BYTES // (4 * steps * padded))
        for first in range(0, samples, group):
            some = slice(first, first + group)
            projected = self._project(events.part(some), delays, tiled, padded)
            run(projected, some)
        return layer._replace(drive=projected) if keep_drive and 0 < samples <= group else layer

    def _project(self, events: Events, delays: np.ndarray, tiled: np.ndarray, padded: int) -> np.ndarray:
        """Return what arrives through a delay line, float32[B, P / TILE, N, TILE], valid until the next call."""
        samples, steps = events.starts.shape[0], events.starts.shape[1] - 1
        drive = self._space.array("projected", (samples, padded // TILE, steps, TILE))
        parts = min(samples, PARTS)
        self._share(
            parts * padded // TILE,
            lambda first, last: self._call(
                "project_all", *events, samples, parts, first, last, steps, delays, len(delays), tiled.shape[1], tiled,
                padded, drive,
            ),
        )  # fmt: skip
        return drive

    def counts(self, layer: Layer, size: int) -> np.ndarray:
        """Return int64[B, H]: spikes of each neuron."""
        samples, steps = layer.starts.shape[0], layer.starts.shape[1] - 1
        found = np.zeros((samples, size), np.int64)
        self._share(
            samples,
            lambda first, last: self._call(
                "count_spikes", layer.spikes, layer.starts, layer.capacity, first, last, steps, size, found
            ),
        )
        return found

    def forward_output(
        self, events: Events, weights: np.ndarray, vectors: Vectors, weighting: np.ndarray, keep_trace: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the outputs forward."""
        samples, steps = events.starts.shape[0], events.starts.shape[1] - 1
        units, outputs = weights.shape
        padded = _padded(outputs)
        logits = np.zeros((samples, outputs), np.float64)
        trace = np.empty((samples if keep_trace else 0, steps, outputs), np.float32)
        tiled = self._tiled(weights)
        a, b, c, _, _, _ = self._vectors(vectors)

        def work(first: int, last: int) -> None:
            voltages = np.empty((steps, padded), np.float32) if keep_trace else None
            self._call(
                "forward_output", *events, first, last, steps, units, tiled, a, b, c, outputs, padded, weighting,
                voltages, logits, trace if keep_trace else None,
            )  # fmt: skip

        self._share(samples, work)
        return logits, trace

    def adjoint_output(self, drive: np.ndarray, weighting: np.ndarray, vectors: Vectors) -> Adjoint:
        """Integrate the outputs' adjoints backward."""
        push, steps = _pad_columns(drive), len(weighting)
        samples, padded = push.shape
        found = self._empty_adjoint(samples, steps, padded, True)
        a, b, _, k, p, q = self._vectors(vectors)

        def work(first: int, last: int) -> None:
            self._call(
                "adjoint_output", push, weighting, samples, first, last, steps, steps + self._tail, padded,
                a, b, k, p, q, *found,
            )  # fmt: skip

        self._share(samples, work)
        return found

    def forward_max(self, events: Events, weights: np.ndarray, vectors: Vectors) -> Peaks:
        """Run the outputs forward and find their maxima."""
        samples, steps = events.starts.shape[0], events.starts.shape[1] - 1
        units, outputs = weights.shape
        padded, shape = _padded(outputs), (samples, outputs)
        found = Peaks(np.empty(shape), np.empty(shape, np.int32), np.empty(shape, np.float32))
        tiled = self._tiled(weights)
        a, b, c, _, _, _ = self._vectors(vectors)

        def work(first: int, last: int) -> None:
            drive = self._scratch("output drive", (padded // TILE, steps, TILE))
            state, when = self._scratch("state", (6 * padded,)), np.empty(padded, np.int32)
            self._call(
                "forward_max", *events, first, last, steps, units, tiled, a, b, c, outputs, padded, drive, state, when,
                *found,
            )  # fmt: skip

        self._share(samples, work)
        return found

    def adjoint_max(self, drive: np.ndarray, peaks: Peaks, steps: int, vectors: Vectors) -> Adjoint:
        """Integrate the outputs' adjoints backward from their maxima."""
        push, shares, when = _pad_columns(drive), _pad_columns(peaks.shares), _pad_columns(peaks.steps)
        samples, padded = push.shape
        found = self._empty_adjoint(samples, steps, padded, True)
        a, b, _, k, p, q = self._vectors(vectors)

        def work(first: int, last: int) -> None:
            self._call(
                "adjoint_max", push, when, shares, samples, first, last, steps, steps + self._tail, padded,
                a, b, k, p, q, *found,
            )  # fmt: skip

        self._share(samples, work)
        return found

    def adjoint_hidden(
        self, layer: Layer, *, above: np.ndarray | None, adjoint_above: Adjoint | None, recurrent: np.ndarray | None,
        penalty: np.ndarray, vectors: Vectors, refractory: int, keep_difference: bool,
        timing: np.ndarray | None = None,
    ) -> tuple[Adjoint, int]:  # fmt: skip
        """Integrate a spiking layer's adjoints backward."""
        samples, steps = layer.starts.shape[0], layer.starts.shape[1] - 1
        neurons, capacity = penalty.shape[1], layer.spikes.shape[1]
        padded = _padded(neurons)
        wide = np.zeros((neurons, 0), np.float32) if above is None else self._aligned("above", above)
        difference_above = None if adjoint_above is None else adjoint_above.difference
        inside = self._recurrent(recurrent)
        found = self._empty_adjoint(samples, steps, padded, keep_difference)
        difference = found.difference if keep_difference else None
        floored = np.zeros(samples, np.int64)
        a, b, _, k, p, q = self._vectors(vectors)

        def work(first: int, last: int) -> None:
            state = self._scratch("state", (5 * padded,))
            self._call(
                "adjoint_hidden", *layer[:4], refractory, capacity, samples, first, last, steps, steps + self._tail,
                neurons, padded, wide, wide.shape[1], difference_above, inside, penalty, timing,
                float(DENOMINATOR_FLOOR), a, b, k, p, q, state, found.current, difference, floored,
            )  # fmt: skip

        self._share(samples, work)
        return found, int(floored.sum())

    def products(
        self, events: Events, *, delays: np.ndarray, weights: np.ndarray, recurrent: np.ndarray | None,
        layer: Layer | None, vectors: Vectors, refractory: int, adjoint: Adjoint,
    ) -> np.ndarray:  # fmt: skip
        """Return what the gradients of time constants are made of."""
        samples, steps = events.starts.shape[0], events.starts.shape[1] - 1
        neurons, units = weights.shape[1], weights.shape[0] // len(delays)
        padded, rows = _padded(neurons), adjoint.current.shape[2]
        kept = None if layer is None else layer.drive
        tiled = self._tiled(weights, len(delays)) if kept is None else None
        inside = self._recurrent(recurrent)
        spikes, spike_starts, capacity = (
            (layer.spikes, layer.starts, layer.spikes.shape[1]) if layer else (None, None, 0)
        )
        a, b, c, k, _, _ = self._vectors(vectors)
        inverse_k = np.divide(1, k, out=np.zeros_like(k), where=k > 0)
        found = np.empty((samples, 3, padded), np.float32)

        def work(first: int, last: int) -> None:
            drive = self._scratch("tile drive", (steps, TILE)) if kept is None else None
            self._call(
                "products", *events, samples, first, last, steps, delays, len(delays), units, tiled, inside,
                a, b, c, padded, spikes, spike_starts, capacity, refractory, inverse_k, adjoint.current, rows,
                kept, drive, found,
            )  # fmt: skip

        self._share(samples, work)
        return found[:, :, :neurons]

    def sort(self, events: Events, units: int, adjoint: Adjoint) -> Sorted:
        """Sort events by block of samples, unit, sample and time."""
        samples, steps = events.starts.shape[0], events.starts.shape[1] - 1
        rows = adjoint.current.shape[2]
        block = _block(rows)
        before = np.concatenate([[0], np.cumsum(events.starts[:, -1] - events.starts[:, 0])])
        blocks = -(-samples // block)
        found = Sorted(np.empty(before[-1], np.int32), np.empty((blocks, units + 1), np.int64))

        def work(first: int, last: int) -> None:
            place = np.empty(units + 1, np.int64)
            self._call(
                "sort", *events, samples, first, last, steps, units, rows, block, before, *found, place
            )  # fmt: skip

        self._share(blocks, work)
        return found

    def gather(self, sources: list[Source], tau_syn_ms: np.ndarray, adjoint: Adjoint) -> None:
        """Add weight gradients to the totals."""
        tiles, samples, rows, _ = adjoint.current.shape
        neurons = sources[0].total.shape[1]
        blocks = len(sources[0].events.unit_starts)
        scale = _pad_columns(-tau_syn_ms.astype(np.float32)[None, :])[0]
        parts = [_even_ranges(source.events.unit_starts, self._threads) for source in sources]

        def work(first: int, last: int) -> None:
            for part in range(first, last):
                # struct source of gather.c
                table = np.array([self._record((i, part), source, parts[i][part]) for i, source in enumerate(sources)])
                self._call(
                    "gather", table, len(table), blocks, _block(rows) * rows, samples * rows, adjoint.current,
                    tiles * TILE, scale, neurons,
                )  # fmt: skip

        self._share(self._threads, work)

    def _record(self, name: tuple[int, int], source: Source, units: tuple[int, int]) -> list[int]:
        """Return what `gather` needs to know of a connection and a range of its units, as 64-bit numbers."""
        (places, unit_starts), delays, total = source
        copies, (first, last) = len(delays), units
        sums = self._space.array(("sums", name), (copies, last - first, TILE))
        return [
            address(places), address(unit_starts), len(total) // copies, first, last, address(delays), copies,
            address(total), address(sums),
        ]  # fmt: skip

    def _vectors(self, vectors: Vectors) -> list[np.ndarray]:
        return list(self._aligned("vectors", np.stack(vectors)))

    def _empty_adjoint(self, samples: int, steps: int, padded: int, keep_difference: bool) -> Adjoint:
        # two buffers by turns: a layer's adjoint is written while the one of the layer above is read
        self._turn = 1 - self._turn
        current = self._space.array(("current", self._turn), (padded // TILE, samples, steps + self._tail, TILE))
        size = samples if keep_difference else 0
        return Adjoint(current, self._space.array(("difference", self._turn), (size, steps + 1, padded)))

    def _recurrent(self, weights: np.ndarray | None) -> np.ndarray | None:
        return None if weights is None else self._aligned("recurrent", weights)

    def _aligned(self, name: str, array: np.ndarray) -> np.ndarray:
        """Return float32[rows, P]: a copy with zero columns up to whole tiles, which begin where cache lines do."""
        found = self._space.array(name, (len(array), _padded(array.shape[1])))
        found[:, : array.shape[1]] = array
        found[:, array.shape[1] :] = 0
        return found

    def _tiled(self, weights: np.ndarray, copies: int = 1) -> np.ndarray:
        """Return [K * U, H] weights as float32[P / TILE, U, K, TILE]: all copies of a unit side by side."""
        wide = _pad_columns(weights)
        tiles = wide.shape[1] // TILE
        tiled = self._space.array("weights", (tiles, len(wide) // copies, copies, TILE))
        by_tile = wide.reshape(copies, -1, tiles, TILE).transpose(2, 1, 0, 3)
        self._share(tiles, lambda first, last: np.copyto(tiled[first:last], by_tile[first:last]))
        return tiled

    def _scratch(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of anything for the thread that asks."""
        return self._space.array((name, threading.get_ident()), shape)

    def _call(self, name: str, *arguments: Any) -> None:
        compiled.call(self._library, name, *arguments)

    def _share(self, count: int, work: Callable[[int, int], None]) -> None:
        """Call ``work(first, last)`` for ranges that make up ``count``; a thread that is done takes the next one."""
        ranges = _ranges(count, self._threads)
        left = iter(ranges)

        def take() -> None:
            for first, last in left:
                work(first, last)

        others = [self._pool.submit(take) for _ in ranges[1 : self._threads]] if self._pool else []
        try:
            take()
        finally:  # they write where the caller reads
            wait(others)
        for other in others:
            other.result()


@functools.cache
def _ranges(count: int, threads: int) -> list[tuple[int, int]]:
    """Cut ``count`` into one large range a thread, and small ones for threads that are done before the others."""
    large = np.linspace(0, 0.75 * count, threads + 1)
    small = np.linspace(0.75 * count, count, 4 * threads + 1)
    edges = np.unique(np.concatenate([large, small]).round().astype(int)).tolist()
    return list(itertools.pairwise(edges))


def _even_ranges(unit_starts: np.ndarray, parts: int) -> list[tuple[int, int]]:
    """Cut the units into ranges of about equally many events; where the cuts are does not change the result."""
    units = unit_starts.shape[1] - 1
    before = (unit_starts - unit_starts[:, :1]).sum(axis=0)
    edges = np.searchsorted(before, before[-1] * np.arange(1, parts) / parts)
    edges = [0, *np.minimum(edges, units).tolist(), units]
    return list(itertools.pairwise(edges))

"""The launches of ``kernels.cu``: see its head. What computes is a :class:`Device`, in tests the processor.

Matrices and vectors are padded with zero columns to whole quads of four. A batch and everything that follows from it
stays on the device; only what is read of the outputs, spike counts and gradients come back.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike

from eventspeech.data.batches import Batch
from eventspeech.engines.equations import DENOMINATOR_FLOOR
from eventspeech.engines.event_driven.kernels import Adjoint, Layer, Peaks, Sorted, Source, Vectors
from eventspeech.errors import UserError
from eventspeech.network import Network, Weights

QUAD = 4
WARP = 32
THREADS = 128
ADJOINT_WARPS = 4, 16
"""Least and most for a sample on its way back: with 16 all spikes of most steps at once, while few samples leave a
multiprocessor to each; with 4 several samples share one."""

MOST_NEURONS = 4096
"""Of a layer: a block has 1024 threads of four neurons."""

MOST_INPUTS = 12288
"""Cursors of `place_events` in the shared memory that every device has."""

NO_DELAY = np.zeros(1, np.int64)


class Device(Protocol):
    """What runs kernels; its arrays can be sliced along their first axis."""

    memory: int
    processors: int

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an array of anything."""

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an array of zeros."""

    def put(self, array: np.ndarray) -> Any:
        """Copy an array to the device."""

    def get(self, array: Any) -> np.ndarray:
        """Copy an array back, when all before is done."""

    def launch(
        self, kernel: str, lane_quads: int, grid: tuple[int, int], block: tuple[int, int], shared: int, *arguments: Any
    ) -> None:
        """Run a kernel, compiled for LANE_QUADS = ``lane_quads``, with so many bytes of shared memory.

        Arguments are the device's arrays, whole numbers (int), floats (float) or None for no array.
        """


class DeviceVectors(NamedTuple):
    """`kernels.Vectors` on a device, of ``size`` neurons."""

    a: Any
    b: Any
    c: Any
    k: Any
    p: Any
    q: Any
    size: int


class DeviceEvents(NamedTuple):
    """`kernels.Events` on a device: int32 all, and the step of each event; ``starts`` are [B, N + 1]."""

    rows: Any
    steps: Any
    starts: Any

    def part(self, group: slice) -> "DeviceEvents":
        """Return some of the samples."""
        return self._replace(starts=self.starts[group])


class DeviceLayer(NamedTuple):
    """`kernels.Layer` on a device: the spikes of sample s are from place ``s * capacity`` on, in ``starts``, too.

    Attributes:
        spikes, steps, denominators: [B * capacity].
        restarts: [B * capacity], None without a refractory period.
        starts: int32[B, N + 1].
        spike_counts: int32[B, P], on the host: of each neuron.
        capacity: spikes of a sample that can be stored.
    """

    spikes: Any
    steps: Any
    denominators: Any
    restarts: Any
    starts: Any
    spike_counts: np.ndarray
    capacity: int

    def most(self) -> int:
        """Return how many spikes the sample with the most of them has."""
        return int(self.spike_counts.sum(axis=1).max(initial=0))

    def part(self, group: slice) -> "DeviceLayer":
        """Return some of the samples."""
        return self._replace(starts=self.starts[group], spike_counts=self.spike_counts[group])

    def as_events(self) -> DeviceEvents:
        """View the spikes as presynaptic events of the layer above."""
        return DeviceEvents(self.spikes, self.steps, self.starts)


def check_size(network: Network) -> None:
    """Raise UserError if the kernels cannot hold a network."""
    widest = max(*network.hidden, network.outputs)
    if widest > MOST_NEURONS or network.inputs > MOST_INPUTS:
        raise UserError(
            f"The engine 'cuda' takes layers of at most {MOST_NEURONS} neurons and {MOST_INPUTS} inputs, not {widest} "
            f"and {network.inputs}; make the network smaller or set optimiser.engine and evaluate.engine to cpu."
        )


class DeviceKernels:
    """See `kernels.Kernels`; float32 alone."""

    name = "cuda"

    def __init__(self, device: Device):
        self.device = device
        self._delays: dict[bytes, Any] = {}

    def load(self, weights: Weights) -> Weights:
        """Copy connections to the device."""
        return {name: self._put(array) for name, array in weights.items()}

    def zeros(self, weights: Weights) -> Weights:
        """Return zero gradients."""
        return {name: self.device.zeros(array.shape, np.float32) for name, array in weights.items()}

    def fetch(self, gradients: Weights, weights: Weights) -> Weights:
        """Copy gradients back, without padding."""
        found = {name: self.device.get(array) for name, array in gradients.items()}
        return {name: np.ascontiguousarray(array[:, : weights[name].shape[1]]) for name, array in found.items()}

    def vectors(self, vectors: Vectors) -> DeviceVectors:
        """Copy coefficients to the device."""
        a, b, c, k, p, q = map(self._put, vectors)
        return DeviceVectors(a, b, c, k, p, q, len(vectors.a))

    def events(self, batch: Batch, steps: int) -> DeviceEvents:
        """Copy a batch to the device."""
        samples, device = len(batch), self.device
        _int32(len(batch.channels))
        arrays = (batch.channels, batch.steps, batch.offsets)
        rows, steps_of, offsets = (device.put(array.astype(np.int32, copy=False)) for array in arrays)
        starts = device.empty((samples, steps + 1), np.int32)
        self._each(samples * (steps + 1), "find_starts", steps_of, offsets, samples, steps, starts)
        return DeviceEvents(rows, steps_of, starts)

    def counts(self, layer: DeviceLayer, size: int) -> np.ndarray:
        """Return int64[B, H]: spikes of each neuron."""
        return layer.spike_counts[:, :size].astype(np.int64)

    def fetch_layer(self, layer: DeviceLayer) -> Layer:
        """Copy what a layer did."""
        shape = len(layer.spike_counts), layer.capacity
        spikes, denominators = (self.device.get(array).reshape(shape) for array in (layer.spikes, layer.denominators))
        starts = self.device.get(layer.starts).astype(np.int64)
        restarts = np.zeros((0, layer.capacity), np.float32)
        if layer.restarts is not None:
            restarts = self.device.get(layer.restarts).reshape(shape)
        return Layer(spikes, denominators, starts - starts[:, :1], restarts)

    def samples_at_once(self, steps: int, width: int) -> int:
        """Return how many samples the backward pass takes at once: a quarter of the memory, whatever is free of it.

        It decides the order of summation.
        """
        return max(1, self.device.memory // (4 * 4 * (steps + 1) * width))

    def forward_hidden(
        self, events: DeviceEvents, *, delays: np.ndarray, weights: Any, recurrent: Any, vectors: DeviceVectors,
        capacity: int, refractory: int, keep_drive: bool,
    ) -> DeviceLayer:  # fmt: skip
        """Run a spiking layer forward; the drive is never kept."""
        (samples, steps), quads, device = _grid(events), weights.shape[1] // QUAD, self.device
        room = _int32(samples * capacity)
        spikes, spike_steps, denominators = (device.empty((room,), kind) for kind in (np.int32, np.int32, np.float32))
        restarts = device.zeros((room,), np.float32) if refractory else None
        starts, counts = device.empty((samples, steps + 1), np.int32), device.empty((samples, 4 * quads), np.int32)
        threads = _up(quads, WARP)
        shared = 4 * (4 * quads + 2 * threads // WARP)
        for first, drive in self._drives(events, delays, weights):
            device.launch(
                "forward_hidden", _lane_quads(quads), (len(drive), 1), (threads, 1), shared,
                drive, recurrent, vectors.a, vectors.b, vectors.c, quads, steps, capacity, refractory, first,
                spikes, spike_steps, denominators, restarts, starts, counts,
            )  # fmt: skip
        return DeviceLayer(spikes, spike_steps, denominators, restarts, starts, device.get(counts), capacity)

    def forward_output(
        self, events: DeviceEvents, weights: Any, vectors: DeviceVectors, weighting: np.ndarray, keep_trace: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the outputs forward."""
        (samples, steps), outputs, device = _grid(events), vectors.size, self.device
        logits, weighting = device.empty((samples, outputs), np.float64), device.put(weighting)
        trace = device.empty((samples if keep_trace else 0, steps, outputs), np.float32)
        for first, drive in self._drives(events, NO_DELAY, weights):
            part = slice(first, first + len(drive))
            self._each(
                len(drive) * outputs, "forward_output", drive, vectors.a, vectors.b, vectors.c, weighting, outputs,
                weights.shape[1], len(drive), steps, logits[part], trace[part] if keep_trace else None,
            )  # fmt: skip
        return device.get(logits), device.get(trace)

    def adjoint_output(self, drive: np.ndarray, weighting: np.ndarray, vectors: DeviceVectors) -> Adjoint:
        """Integrate the outputs' adjoints backward."""
        pushed, steps, v = self._put(drive), len(weighting), vectors
        found = self._empty_adjoint(len(drive), steps, pushed.shape[1], True)
        self._each(
            pushed.size, "adjoint_output", pushed, self.device.put(weighting), v.a, v.b, v.k, v.p, v.q,
            pushed.shape[1], len(drive), steps, *found,
        )  # fmt: skip
        return found

    def forward_max(self, events: DeviceEvents, weights: Any, vectors: DeviceVectors) -> Peaks:
        """Run the outputs forward and find their maxima."""
        (samples, steps), stride, device = _grid(events), weights.shape[1], self.device
        values = device.empty((samples, vectors.size), np.float64)
        peaks, shares = device.zeros((samples, stride), np.int32), device.zeros((samples, stride), np.float32)
        for first, drive in self._drives(events, NO_DELAY, weights):
            part = slice(first, first + len(drive))
            self._each(
                len(drive) * vectors.size, "forward_max", drive, vectors.a, vectors.b, vectors.c, vectors.size, stride,
                len(drive), steps, values[part], peaks[part], shares[part],
            )  # fmt: skip
        return Peaks(device.get(values), peaks, shares)

    def adjoint_max(self, drive: np.ndarray, peaks: Peaks, steps: int, vectors: DeviceVectors) -> Adjoint:
        """Integrate the outputs' adjoints backward from their maxima."""
        pushed, v = self._put(drive), vectors
        found = self._empty_adjoint(len(drive), steps, pushed.shape[1], True)
        self._each(
            pushed.size, "adjoint_max", pushed, peaks.steps, peaks.shares, v.a, v.b, v.k, v.p, v.q, pushed.shape[1],
            len(drive), steps, *found,
        )  # fmt: skip
        return found

    def adjoint_hidden(
        self, layer: DeviceLayer, *, above: Any, adjoint_above: Adjoint | None, recurrent: Any, penalty: np.ndarray,
        vectors: DeviceVectors, refractory: int, keep_difference: bool, timing: np.ndarray | None = None,
    ) -> tuple[Adjoint, int]:  # fmt: skip
        """Integrate a spiking layer's adjoints backward."""
        (samples, steps), device, v, pushed = _grid(layer), self.device, vectors, self._put(penalty)
        quads = pushed.shape[1] // QUAD
        flow = self._flows(layer, above, adjoint_above, timing)
        found = self._empty_adjoint(samples, steps, pushed.shape[1], keep_difference)
        floored, least, most = device.zeros((samples,), np.int32), *ADJOINT_WARPS
        threads = max(_up(quads, WARP), WARP * min(most, max(least, most * device.processors // samples)))
        device.launch(
            "adjoint_hidden", _lane_quads(quads), (samples, 1), (threads, 1), (80 if refractory else 48) * quads,
            layer.spikes, layer.denominators, layer.starts, layer.restarts, flow, recurrent, pushed, DENOMINATOR_FLOOR,
            v.a, v.b, v.k, v.p, v.q, quads, steps, refractory, found.current,
            found.difference if keep_difference else None, floored,
        )  # fmt: skip
        return found, int(device.get(floored).sum())

    def products(
        self, events: DeviceEvents, *, delays: np.ndarray, weights: Any, recurrent: Any, layer: DeviceLayer | None,
        vectors: DeviceVectors, refractory: int, adjoint: Adjoint,
    ) -> np.ndarray:  # fmt: skip
        """Return what the gradients of time constants are made of."""
        (samples, steps), neurons, device, v = _grid(events), vectors.size, self.device, vectors
        sums = device.empty((samples, 3, neurons), np.float64)
        for first, drive in self._drives(events, delays, weights):
            part = slice(first, first + len(drive))
            if recurrent is not None and layer is not None:
                self._project(layer.as_events().part(part), NO_DELAY, recurrent, drive, True)
            device.launch(
                "products", 1, (len(drive), -(-neurons // THREADS)), (THREADS, 1), 8 * THREADS,
                drive, None if layer is None else layer.spikes, None if layer is None else layer.starts[part],
                v.a, v.b, v.c, v.k, adjoint.current[part], neurons, weights.shape[1], steps, refractory, sums[part],
            )  # fmt: skip
        return device.get(sums)

    def sort(self, events: DeviceEvents, units: int, adjoint: Adjoint) -> Sorted:
        """Sort events by unit, sample and time."""
        (samples, steps), device = _grid(events), self.device
        unit_starts = device.zeros((units * samples + 1,), np.int32)
        places = device.empty(events.rows.shape, np.int32)
        self._launch("count_units", samples, 8 * WARP, 0, events.rows, events.starts, samples, steps, unit_starts)
        self._launch("scan", 1, 32 * WARP, 4 * WARP, unit_starts, units * samples)
        self._launch(
            "place_events", samples, WARP, 4 * units, events.rows, events.steps, events.starts, unit_starts,
            units, samples, steps, places,
        )  # fmt: skip
        return Sorted(places, unit_starts)

    def gather(self, sources: list[Source], tau_syn_ms: np.ndarray, adjoint: Adjoint) -> None:
        """Add weight gradients to the totals."""
        samples, rows, stride = adjoint.current.shape
        quads, scale = stride // QUAD, self._put(-tau_syn_ms.astype(np.float32))
        side_by_side = max(1, THREADS // quads)
        for (places, unit_starts), delays, total in sources:
            units = len(total) // len(delays)
            self.device.launch(
                "gather", 1, (-(-units // side_by_side), len(delays)), (quads, side_by_side), 0,
                places, unit_starts, self._put_delays(delays), scale, adjoint.current, units, samples, quads, rows - 1,
                total,
            )  # fmt: skip

    def _flows(self, layer: DeviceLayer, above: Any, adjoint_above: Adjoint | None, timing: np.ndarray | None) -> Any:
        """Return what flows to each spike from outside its layer."""
        (samples, steps), device = _grid(layer), self.device
        flow, difference, quads = device.empty(layer.denominators.shape, np.float32), None, 0
        if above is not None and adjoint_above is not None:
            difference, quads = adjoint_above.difference, above.shape[1] // QUAD
        self._each(
            samples * steps * WARP, "flows", layer.spikes, layer.starts, above, difference, quads,
            None if timing is None else device.put(timing), samples, steps, flow,
        )  # fmt: skip
        return flow

    def _drives(self, events: DeviceEvents, delays: np.ndarray, weights: Any) -> Iterator[tuple[int, Any]]:
        """Yield what arrives, [G, N, P], for one group of samples after the other, and the first of each group."""
        samples, steps = _grid(events)
        at_once = min(samples, max(1, self.device.memory // (8 * 4 * steps * weights.shape[1])))
        drive = self.device.empty((at_once, steps, weights.shape[1]), np.float32)
        for first in range(0, samples, at_once):
            part = events.part(slice(first, first + at_once))
            self._project(part, delays, weights, drive[: len(part.starts)], False)
            yield first, drive[: len(part.starts)]

    def _project(self, events: DeviceEvents, delays: np.ndarray, weights: Any, drive: Any, accumulate: bool) -> None:
        (samples, steps), quads = _grid(events), weights.shape[1] // QUAD
        side_by_side = max(1, THREADS // quads)
        self.device.launch(
            "project", 1, (-(-samples * steps // side_by_side), 1), (quads, side_by_side), 0,
            events.rows, events.starts, self._put_delays(delays), len(delays), len(weights) // len(delays),
            weights, quads, samples, steps, int(accumulate), drive,
        )  # fmt: skip

    def _empty_adjoint(self, samples: int, steps: int, stride: int, keep_difference: bool) -> Adjoint:
        empty = self.device.empty
        return Adjoint(
            empty((samples, steps + 1, stride), np.float32),
            empty((samples if keep_difference else 0, steps + 1, stride), np.float32),
        )

    def _put(self, array: np.ndarray) -> Any:
        """Copy to the device with zeros up to whole quads."""
        gap = -array.shape[-1] % QUAD
        padding = [(0, 0)] * (array.ndim - 1) + [(0, gap)]
        return self.device.put(np.pad(array, padding) if gap else array)

    def _put_delays(self, delays: np.ndarray) -> Any:
        key = delays.tobytes()
        if key not in self._delays:  # a network has one or two kinds
            self._delays[key] = self.device.put(delays.astype(np.int32))
        return self._delays[key]

    def _each(self, threads: int, kernel: str, *arguments: Any) -> None:
        """Run a kernel with one thread for each of ``threads`` things."""
        self._launch(kernel, -(-threads // THREADS), THREADS, 0, *arguments)

    def _launch(self, kernel: str, blocks: int, threads: int, shared: int, *arguments: Any) -> None:
        self.device.launch(kernel, 1, (blocks, 1), (threads, 1), shared, *arguments)


def _grid(events: DeviceEvents | DeviceLayer) -> tuple[int, int]:
    """Return B and N."""
    samples, entries = events.starts.shape
    return samples, entries - 1


def _up(number: int, whole: int) -> int:
    return -(-number // whole) * whole


def _lane_quads(quads: int) -> int:
    """Return for how many quads of a row to compile: a power of two, so that few versions are."""
    return 1 << (-(-quads // WARP) - 1).bit_length()


def _int32(number: int) -> int:
    """Return a number of events, which the kernels count with 32 bits."""
    if number >= 2**31:
        raise UserError(
            f"The engine 'cuda' takes fewer than 2^31 events at once, not {number}; set smaller batch sizes."
        )
    return number

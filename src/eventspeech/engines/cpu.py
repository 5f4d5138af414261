"""The embedded engine: event-driven, multi-core, compiled by numba on first use and cached.

Forward and backward run in parallel over samples, the gather of gradients in parallel over presynaptic units; nothing
depends on the number of threads. Memory: the spikes of a batch, and adjoints [N + 1, H] of as many samples as fit
``ADJOINT_BYTES``.
"""

from typing import NamedTuple

import numba
import numpy as np

from eventspeech import losses
from eventspeech.data.batches import Batch
from eventspeech.engines.base import (
    DENOMINATOR_FLOOR,
    Gradients,
    Inference,
    Objective,
    Recording,
    coefficients,
)
from eventspeech.engines.kernels import adjoint, forward, gather
from eventspeech.network import Network, Weights, check

ADJOINT_BYTES = 64 * 2**20
"""Adjoints kept at once; must not depend on the machine, since it decides the order of summation."""


class _Events(NamedTuple):
    """Presynaptic events of a batch: rows int32[E], starts int64[B, N + 1] (see `kernels.forward`)."""

    rows: np.ndarray
    starts: np.ndarray


class _Layer(NamedTuple):
    """What a hidden layer did: see `kernels.forward.hidden`."""

    spikes: np.ndarray
    denominators: np.ndarray
    starts: np.ndarray


class _Forward(NamedTuple):
    inputs: _Events
    layers: list[_Layer]
    inference: Inference
    probabilities: np.ndarray
    trace: np.ndarray


class CpuEngine:
    """Engine `cpu`; see :class:`eventspeech.engines.base.Engine`.

    Args:
        network: the network.
        threads: at most this many (default: as numba decides).
        dtype: float32, or float64 for studies of convergence.
    """

    name = "cpu"

    def __init__(self, network: Network, threads: int | None = None, dtype: type = np.float32):
        self.network = network
        self._dtype = np.dtype(dtype)
        self._threads = min(threads or numba.config.NUMBA_NUM_THREADS, numba.config.NUMBA_NUM_THREADS)
        self._coefficients = coefficients(network.step_ms, network.tau_mem_ms, network.tau_syn_ms)
        self._delays = np.array(network.delay_steps, np.int64)
        self._no_delay = np.zeros(1, np.int64)
        # grows when a sample needs more; only a starting point, never a limit
        self._capacity = 16 * max(network.hidden)

    def infer(self, weights: Weights, batch: Batch, objective: Objective) -> Inference:
        """Run the batch forward."""
        return self._forward(self._cast(weights), batch, objective).inference

    def record(self, weights: Weights, batch: Batch, objective: Objective) -> Recording:
        """Run the batch forward and keep hidden spikes and output voltages."""
        run = self._forward(self._cast(weights), batch, objective, keep_trace=True)
        hidden = []
        for layer in run.layers:
            counts = layer.starts[:, -1]
            offsets = np.concatenate([[0], np.cumsum(counts)])
            steps = [np.repeat(np.arange(self.network.steps), np.diff(starts)) for starts in layer.starts]
            units = [layer.spikes[s, :count] for s, count in enumerate(counts)]
            hidden.append(Batch(offsets, np.concatenate(steps).astype(np.int32), np.concatenate(units), batch.labels))
        return Recording(run.inference, tuple(hidden), run.trace)

    def gradients(self, weights: Weights, batch: Batch, objective: Objective) -> Gradients:
        """Run the batch forward and backward."""
        weights = self._cast(weights)
        run = self._forward(weights, batch, objective)
        totals = {name: np.zeros_like(array) for name, array in weights.items()}
        widest = sum(self.network.hidden) * (2 if len(self.network.hidden) > 1 else 1) + 2 * self.network.outputs
        group = max(1, ADJOINT_BYTES // ((self.network.steps + 1) * widest * self._dtype.itemsize))
        floored = 0
        for first in range(0, len(batch), group):
            floored += self._backward(weights, run, batch, objective, slice(first, first + group), totals)
        return Gradients(run.inference, totals, floored)

    def _cast(self, weights: Weights) -> Weights:
        check(self.network, weights)
        numba.set_num_threads(self._threads)
        return {name: np.ascontiguousarray(array, self._dtype) for name, array in weights.items()}

    def _vectors(self, size: int) -> tuple[np.ndarray, ...]:
        return tuple(np.full(size, value, self._dtype) for value in self._coefficients)

    def _recurrent(self, weights: Weights, layer: int) -> np.ndarray:
        size = self.network.hidden[layer]
        name = f"hidden{layer + 1}_hidden{layer + 1}"
        return weights[name] if self.network.recurrent else np.zeros((0, size), self._dtype)

    def _names(self, layer: int) -> tuple[str, str]:
        """Return the names of the connections into and out of a hidden layer."""
        last = len(self.network.hidden) - 1
        below = f"hidden{layer}" if layer else "input"
        above = f"hidden{layer + 2}" if layer < last else "output"
        return f"{below}_hidden{layer + 1}", f"hidden{layer + 1}_{above}"

    def _forward(self, weights: Weights, batch: Batch, objective: Objective, keep_trace: bool = False) -> _Forward:
        network = self.network
        if len(objective.weighting) != network.steps:
            raise ValueError(f"weighting has {len(objective.weighting)} steps, the network {network.steps}")
        inputs = _Events(batch.channels, _starts(batch, network.steps))
        events, delays, layers = inputs, self._delays, []
        for number, size in enumerate(network.hidden):
            into = weights[self._names(number)[0]]
            layers.append(self._layer_forward(events, delays, into, self._recurrent(weights, number), size))
            events, delays = _as_events(layers[-1]), self._no_delay
        a, b, c, _ = self._vectors(network.outputs)
        trace = np.zeros((len(batch) if keep_trace else 0, network.steps, network.outputs), np.float32)
        scaled = np.asarray(objective.weighting, np.float64) / network.steps
        logits = forward.output(events.rows, events.starts, weights[self._names(number)[1]], a, b, c, scaled, trace)
        sample_losses, probabilities = losses.cross_entropy(logits, batch.labels)
        counts = tuple(_counts(layer, size) for layer, size in zip(layers, network.hidden, strict=True))
        inference = Inference(logits, sample_losses, logits.argmax(axis=1), counts)
        return _Forward(inputs, layers, inference, probabilities, trace)

    def _layer_forward(self, events: _Events, delays: np.ndarray, into: np.ndarray, recurrent: np.ndarray, size: int):
        a, b, c, _ = self._vectors(size)
        units = into.shape[0] // len(delays)
        # what can arrive in one step: every copy brings the events of another step
        most = max(1, int(np.diff(events.starts, axis=1).max(initial=0)) * len(delays))
        while True:
            layer = _Layer(
                *forward.hidden(
                    events.rows, events.starts, delays, units, into, recurrent, a, b, c, self._capacity, most
                )
            )
            needed = int(layer.starts[:, -1].max(initial=0))
            if needed <= self._capacity:
                return layer
            self._capacity = needed + needed // 4

    def _backward(
        self, weights: Weights, run: _Forward, batch: Batch, objective: Objective, group: slice, totals: Weights
    ) -> int:
        """Add the gradients of the samples ``group`` to ``totals``; return how many denominators were bounded."""
        network = self.network
        current, difference = self._output_adjoint(run, batch, objective, group)
        floored = 0
        for number in reversed(range(len(network.hidden))):
            into, out = self._names(number)
            layer = _Layer(*(array[group] for array in run.layers[number]))
            events = _as_events(layer)
            self._gather(totals[out], events, self._no_delay, current)
            _, b_, _, _ = vectors = self._vectors(network.hidden[number])
            shape = (len(layer.starts), network.steps + 1, network.hidden[number])
            current = np.empty(shape, self._dtype)
            below = np.empty(shape if number else (0, *shape[1:]), self._dtype)
            penalty = self._count_penalty(run.inference.spike_counts[number], objective, group)
            floored += adjoint.hidden(
                *layer, weights[out], difference, self._recurrent(weights, number), penalty,
                self._dtype.type(DENOMINATOR_FLOOR), vectors[0], b_, vectors[3], current, below,
            ).sum()  # fmt: skip
            difference = below
            if network.recurrent:
                self._gather(totals[f"hidden{number + 1}_hidden{number + 1}"], events, self._no_delay, current)
        self._gather(totals[into], _Events(run.inputs.rows, run.inputs.starts[group]), self._delays, current)
        return int(floored)

    def _output_adjoint(self, run: _Forward, batch: Batch, objective: Objective, group: slice):
        network = self.network
        targets = np.eye(network.outputs)[batch.labels[group]]
        # D / (tau_mem T B) with T = N D
        scale = 1.0 / (network.tau_mem_ms * network.steps * len(batch))
        drive = ((targets - run.probabilities[group]) * scale).astype(self._dtype)
        a, b, _, k = self._vectors(network.outputs)
        current = np.empty((len(drive), network.steps + 1, network.outputs), self._dtype)
        difference = np.empty_like(current)
        weighting = np.asarray(objective.weighting, self._dtype)
        adjoint.output(drive, weighting, a, b, k, network.steps, current, difference)
        return current, difference

    def _count_penalty(self, counts: np.ndarray, objective: Objective, group: slice) -> np.ndarray:
        seen = np.broadcast_to(counts.mean(axis=0), counts.shape) if objective.regulariser_batch else counts
        excess = seen[group] - objective.regulariser_target
        return (objective.regulariser_strength * excess / len(counts)).astype(self._dtype)

    def _gather(self, total: np.ndarray, events: _Events, delays: np.ndarray, current: np.ndarray) -> None:
        units = total.shape[0] // len(delays)
        steps, unit_starts = gather.sort_by_unit(events.rows, events.starts, units)
        scale = np.full(total.shape[1], -self.network.tau_syn_ms, self._dtype)
        gather.add(total, steps, unit_starts, delays, scale, current)


def _starts(batch: Batch, steps: int) -> np.ndarray:
    """Return int64[B, N + 1]: where the events of each sample and step start."""
    sample = np.repeat(np.arange(len(batch)), np.diff(batch.offsets))
    counts = np.bincount(sample * steps + batch.steps, minlength=len(batch) * steps).reshape(len(batch), steps)
    starts = np.empty((len(batch), steps + 1), np.int64)
    starts[:, 0] = batch.offsets[:-1]
    starts[:, 1:] = batch.offsets[:-1, None] + np.cumsum(counts, axis=1)
    return starts


def _as_events(layer: _Layer) -> _Events:
    """View a layer's spikes as presynaptic events of the layer above."""
    capacity = layer.spikes.shape[1]
    first = (np.arange(len(layer.starts)) * capacity)[:, None]
    return _Events(layer.spikes.reshape(-1), layer.starts + first)


def _counts(layer: _Layer, size: int) -> np.ndarray:
    """Return int64[B, H]: spikes of each neuron."""
    return np.stack(
        [np.bincount(s[:n], minlength=size) for s, n in zip(layer.spikes, layer.starts[:, -1], strict=True)]
    )

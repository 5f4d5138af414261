"""The embedded engine: event-driven, multi-core.

Forward and backward run in parallel over samples, the gather of gradients in parallel over presynaptic units; nothing
depends on the number of threads. Memory: the spikes of a batch, and adjoints [N + 1, H] of some samples. Two sets of
kernels give the same results to rounding: `native` (C, float32, compiled when the package is installed) and `kernels`
(numba, the readable reference, also float64).
"""

from typing import NamedTuple

import numpy as np

from eventspeech import losses, machine
from eventspeech.data.batches import Batch
from eventspeech.engines import native
from eventspeech.engines.base import (
    Gradients,
    Inference,
    Objective,
    Products,
    Recording,
    coefficients,
    time_constant_gradients,
)
from eventspeech.engines.kernels.types import Adjoint, Events, Kernels, Layer, Source, Vectors
from eventspeech.network import TIME_CONSTANTS, Network, Weights, check, populations, time_constants


class _Population(NamedTuple):
    """Time constants, float64[H], and what follows from them; ``learned`` if their gradients are wanted."""

    tau_mem_ms: np.ndarray
    tau_syn_ms: np.ndarray
    vectors: Vectors
    learned: bool


class _Forward(NamedTuple):
    populations: dict[str, _Population]
    inputs: Events
    layers: list[Layer]
    inference: Inference
    probabilities: np.ndarray
    trace: np.ndarray


class _Totals(NamedTuple):
    """Sums over samples: gradients of the weights, and for each population with time constants float64[3, H]."""

    weights: Weights
    products: dict[str, np.ndarray]


class CpuEngine:
    """Engine `cpu`; see :class:`eventspeech.engines.base.Engine`.

    Args:
        network: the network.
        threads: at most this many.
        dtype: float32, or float64 for studies of convergence.
        kernels: ``native`` or ``numba``; by default native where it was built and the type is float32.
    """

    name = "cpu"

    def __init__(
        self, network: Network, threads: int | None = None, dtype: type = np.float32, kernels: str | None = None
    ):
        self.network = network
        self._dtype = np.dtype(dtype)
        used = threads or machine.threads()
        fast = self._dtype == np.float32 and native.library() is not None
        self.kernels = _kernels(kernels or ("native" if fast else "numba"), used, self._dtype, max(network.delay_steps))
        self._delays = np.array(network.delay_steps, np.int64)
        self._no_delay = np.zeros(1, np.int64)
        self._homogeneous = {name: self._population({}, name) for name in populations(network)}
        # grows when a sample needs more; only a starting point, never a limit
        self._capacity = 16 * max(network.hidden)

    def infer(self, weights: Weights, batch: Batch, objective: Objective) -> Inference:
        """Run the batch forward."""
        return self._forward(self._cast(weights), batch, objective).inference

    def record(self, weights: Weights, batch: Batch, objective: Objective) -> Recording:
        """Run the batch forward and keep hidden spikes and output voltages."""
        run = self._forward(self._cast(weights), batch, objective, keep_trace=True)
        return Recording(run.inference, tuple(_spikes(layer, batch.labels) for layer in run.layers), run.trace)

    def gradients(self, weights: Weights, batch: Batch, objective: Objective) -> Gradients:
        """Run the batch forward and backward."""
        weights = self._cast(weights)
        run = self._forward(weights, batch, objective)
        totals = _Totals(
            {name: np.zeros_like(array) for name, array in weights.items()},
            {name: np.zeros((3, len(p.tau_mem_ms))) for name, p in run.populations.items() if p.learned},
        )
        widest = sum(self.network.hidden) * (2 if len(self.network.hidden) > 1 else 1) + 2 * self.network.outputs
        group = self.kernels.samples_at_once(self.network.steps, widest)
        floored = 0
        for first in range(0, len(batch), group):
            floored += self._backward(weights, run, batch, objective, slice(first, first + group), totals)
        for name, sums in totals.products.items():
            self._set_time_constants(name, run.populations[name], Products(*sums), totals.weights)
        return Gradients(run.inference, totals.weights, floored)

    def _cast(self, weights: Weights) -> Weights:
        check(self.network, weights)
        return {name: np.ascontiguousarray(array, self._dtype) for name, array in weights.items()}

    def _populations(self, weights: Weights) -> dict[str, _Population]:
        return {
            name: self._population(weights, name) if _learned(weights, name) else homogeneous
            for name, homogeneous in self._homogeneous.items()
        }

    def _population(self, weights: Weights, name: str) -> _Population:
        constants_ms = time_constants(self.network, weights, name)
        over = coefficients(self.network.step_ms, *constants_ms)
        return _Population(*constants_ms, Vectors(*(x.astype(self._dtype) for x in over)), _learned(weights, name))

    def _set_time_constants(self, name: str, population: _Population, sums: Products, totals: Weights) -> None:
        """Turn sums over samples and steps into the gradients of a population's time constants."""
        constants_ms = population.tau_mem_ms, population.tau_syn_ms
        found = time_constant_gradients(self.network.step_ms, *constants_ms, sums)
        for kind, gradient in zip(TIME_CONSTANTS, found, strict=True):
            total = totals.get(f"{name}_{kind}")
            if total is not None:
                total[:] = gradient if len(total) > 1 else gradient.sum()

    def _recurrent(self, weights: Weights, layer: int) -> np.ndarray | None:
        return weights[f"hidden{layer + 1}_hidden{layer + 1}"] if self.network.recurrent else None

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
        starts = self.kernels.starts(batch.steps, batch.offsets, network.steps)
        events = inputs = Events(batch.channels, starts)
        delays, layers, found = self._delays, [], self._populations(weights)
        for number in range(len(network.hidden)):
            into = weights[self._names(number)[0]]
            vectors = found[f"hidden{number + 1}"].vectors
            layers.append(self._run_layer(events, delays, into, self._recurrent(weights, number), vectors))
            events, delays = layers[-1].as_events(), self._no_delay
        out = weights[self._names(len(network.hidden) - 1)[1]]
        vectors = found["output"].vectors
        scaled = np.asarray(objective.weighting, np.float64) / network.steps
        logits, trace = self.kernels.forward_output(events, out, vectors, scaled, keep_trace)
        sample_losses, probabilities = losses.cross_entropy(logits, batch.labels)
        counts = tuple(_counts(layer, size) for layer, size in zip(layers, network.hidden, strict=True))
        inference = Inference(logits, sample_losses, logits.argmax(axis=1), counts)
        return _Forward(found, inputs, layers, inference, probabilities, trace)

    def _run_layer(
        self, events: Events, delays: np.ndarray, into: np.ndarray, recurrent: np.ndarray | None, vectors: Vectors
    ) -> Layer:
        while True:
            layer = self.kernels.forward_hidden(events, delays, into, recurrent, vectors, self._capacity)
            needed = int(layer.starts[:, -1].max(initial=0))
            if needed <= self._capacity:
                return layer
            self._capacity = needed + needed // 4

    def _backward(
        self, weights: Weights, run: _Forward, batch: Batch, objective: Objective, group: slice, totals: _Totals
    ) -> int:
        """Add the gradients of the samples ``group`` to ``totals``; return how many denominators were bounded."""
        network, gradients, floored = self.network, totals.weights, 0
        layers = [Layer(*(array[group] for array in layer)) for layer in run.layers]
        inputs, population = Events(run.inputs.rows, run.inputs.starts[group]), run.populations["output"]
        adjoint = self._output_adjoint(run, batch, objective, group)
        if population.learned:
            out = weights[self._names(len(layers) - 1)[1]]
            self._add_products(totals, "output", population, layers[-1].as_events(), out, None, None, adjoint)
        for number in reversed(range(len(layers))):
            layer, name, (into, out) = layers[number], f"hidden{number + 1}", self._names(number)
            events = self.kernels.sort(layer.as_events(), network.hidden[number], adjoint)
            self.kernels.gather([Source(events, self._no_delay, gradients[out])], population.tau_syn_ms, adjoint)
            penalty = self._count_penalty(run.inference.spike_counts[number], objective, group)
            population, recurrent = run.populations[name], self._recurrent(weights, number)
            adjoint, bounded = self.kernels.adjoint_hidden(
                layer, weights[out], adjoint, recurrent, penalty, population.vectors, number > 0
            )
            floored += bounded
            if population.learned:
                below = layers[number - 1].as_events() if number else inputs
                self._add_products(totals, name, population, below, weights[into], recurrent, layer, adjoint)
            sources = []
            if network.recurrent:
                sources.append(Source(events, self._no_delay, gradients[f"{name}_{name}"]))
            if number == 0:
                by_unit = self.kernels.sort(inputs, network.inputs, adjoint)
                sources.append(Source(by_unit, self._delays, gradients[into]))
            if sources:
                self.kernels.gather(sources, population.tau_syn_ms, adjoint)
        return floored

    def _add_products(
        self, totals: _Totals, name: str, population: _Population, events: Events, into: np.ndarray,
        recurrent: np.ndarray | None, layer: Layer | None, adjoint: Adjoint,
    ) -> None:  # fmt: skip
        """Add what the gradients of a population's time constants are made of."""
        delays = self._delays if name == "hidden1" else self._no_delay
        found = self.kernels.products(events, delays, into, recurrent, layer, population.vectors, adjoint)
        for sample in found:  # one by one: how many come at once depends on the number of threads
            totals.products[name] += sample

    def _output_adjoint(self, run: _Forward, batch: Batch, objective: Objective, group: slice) -> Adjoint:
        network, population = self.network, run.populations["output"]
        targets = np.eye(network.outputs)[batch.labels[group]]
        # D / (tau_mem T B) with T = N D
        scale = 1.0 / (population.tau_mem_ms * network.steps * len(batch))
        drive = ((targets - run.probabilities[group]) * scale).astype(self._dtype)
        weighting = np.asarray(objective.weighting, self._dtype)
        return self.kernels.adjoint_output(drive, weighting, population.vectors)

    def _count_penalty(self, counts: np.ndarray, objective: Objective, group: slice) -> np.ndarray:
        seen = np.broadcast_to(counts.mean(axis=0), counts.shape) if objective.regulariser_batch else counts
        excess = seen[group] - objective.regulariser_target
        return (objective.regulariser_strength * excess / len(counts)).astype(self._dtype)


def _learned(weights: Weights, population: str) -> bool:
    """Say whether a population has time constants among the weights, whose gradients are therefore wanted."""
    return any(f"{population}_{kind}" in weights for kind in TIME_CONSTANTS)


def _kernels(name: str, threads: int, dtype: np.dtype, longest_delay: int) -> Kernels:
    if name == "native":
        return native.NativeKernels(threads, longest_delay)
    # here, since numba takes a second to import
    from eventspeech.engines.kernels.reference import NumbaKernels

    return NumbaKernels(dtype, threads)


def _spikes(layer: Layer, labels: np.ndarray) -> Batch:
    """Return a layer's spikes in the form of a batch."""
    counts = layer.starts[:, -1]
    steps = [np.repeat(np.arange(layer.starts.shape[1] - 1), np.diff(starts)) for starts in layer.starts]
    units = [spikes[:count] for spikes, count in zip(layer.spikes, counts, strict=True)]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Batch(offsets, np.concatenate(steps).astype(np.int32), np.concatenate(units), labels)


def _counts(layer: Layer, size: int) -> np.ndarray:
    """Return int64[B, H]: spikes of each neuron."""
    return np.stack(
        [np.bincount(s[:n], minlength=size) for s, n in zip(layer.spikes, layer.starts[:, -1], strict=True)]
    )

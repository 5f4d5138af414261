"""What the event-driven engines share: the order of the passes, the readouts, the regulariser and the time constants.

All that is large (weights, spikes, adjoints, gradients) belongs to the kernels and stays where they keep it; what is
read of the outputs, spike counts and the derivatives of the loss pass through here.
"""

from typing import NamedTuple

import numpy as np

from eventspeech import losses
from eventspeech.data.batches import Batch
from eventspeech.engines import bounds
from eventspeech.engines.contract import Gradients, Inference, Recording
from eventspeech.engines.equations import (
    Products,
    coefficients,
    count_penalty,
    set_time_constant_gradients,
    weighting_gradient,
)
from eventspeech.engines.event_driven.kernels import Adjoint, Events, Kernels, Layer, Peaks, Source, Vectors
from eventspeech.losses import Objective
from eventspeech.network import (
    Network,
    Weights,
    has_time_constants,
    is_time_constant,
    populations,
    time_constants,
)


class _Population(NamedTuple):
    """Time constants, float64[H], and what follows from them; ``learned`` if their gradients are wanted."""

    tau_mem_ms: np.ndarray
    tau_syn_ms: np.ndarray
    vectors: Vectors
    learned: bool


class _Output(NamedTuple):
    """What the outputs did.

    Attributes:
        values: float64[B, O], what is read of them: S_o, or times of first spikes in ms.
        peaks: of readout `max`.
        layer: of readout `first_spike`, with
        first: int64[B, O], which of its sample's spikes is each output's first, -1 without one.
        voltages: [B, N, O], before each step, where the weight is learned.
    """

    values: np.ndarray
    peaks: Peaks | None = None
    layer: Layer | None = None
    first: np.ndarray | None = None
    voltages: np.ndarray | None = None


class _Forward(NamedTuple):
    """``weights``: the connections as the kernels have them; ``slopes``: float64[B, O], derivatives of each sample's
    loss by ``output.values``."""

    weights: Weights
    populations: dict[str, _Population]
    inputs: Events
    layers: list[Layer]
    output: _Output
    inference: Inference
    slopes: np.ndarray


class _Totals(NamedTuple):
    """Sums over samples: gradients of the weights, and for each population with time constants float64[3, H]."""

    weights: Weights
    products: dict[str, np.ndarray]


class EventDrivenEngine:
    """An engine of some kernels; see :class:`eventspeech.engines.contract.Engine`.

    Args:
        network: the network.
        kernels: what computes.
        dtype: of weights and gradients.
    """

    name: str

    def __init__(self, network: Network, kernels: Kernels, dtype: type | np.dtype = np.float32):
        self.network = network
        self.kernels = kernels
        self.computes = kernels.name
        self._dtype = np.dtype(dtype)
        self._delays = np.array(network.delay_steps, np.int64)
        self._no_delay = np.zeros(1, np.int64)
        self._homogeneous = {name: self._population({}, name) for name in populations(network)}
        # grows when a sample needs more; only a starting point, never a limit
        self._capacity = 16 * max(network.hidden)

    def infer(self, weights: Weights, batch: Batch, objective: Objective) -> Inference:
        """Run the batch forward."""
        return self._forward(weights, batch, objective).inference

    def record(self, weights: Weights, batch: Batch, objective: Objective) -> Recording:
        """Run the batch forward and keep hidden spikes and output voltages."""
        run, name = self._forward(weights, batch, objective), self._names(len(self.network.hidden) - 1)[1]
        output, layers = run.populations["output"], [self.kernels.fetch_layer(layer) for layer in run.layers]
        if run.output.layer is not None:
            fired = self.kernels.fetch_layer(run.output.layer)
            over = coefficients(self.network.step_ms, output.tau_mem_ms, output.tau_syn_ms)
            trace = _voltages(layers[-1].as_events(), weights[name], over, fired, self.network.refractory_steps)
        else:
            events, none = run.layers[-1].as_events(), np.zeros(self.network.steps)
            _, trace = self.kernels.forward_output(events, run.weights[name], output.vectors, none, True)
        hidden = tuple(_spikes(layer, batch.labels) for layer in layers)
        return Recording(run.inference, hidden, trace.astype(np.float32, copy=False))

    def gradients(self, weights: Weights, batch: Batch, objective: Objective) -> Gradients:
        """Run the batch forward and backward."""
        run = self._forward(weights, batch, objective, training=True)
        totals = _Totals(
            self.kernels.zeros(run.weights),
            {name: np.zeros((3, len(p.tau_mem_ms))) for name, p in run.populations.items() if p.learned},
        )
        widest = sum(self.network.hidden) * (2 if len(self.network.hidden) > 1 else 1) + 2 * self.network.outputs
        group = self.kernels.samples_at_once(self.network.steps, widest)
        floored = 0
        for first in range(0, len(batch), group):
            floored += self._backward(run, objective, slice(first, first + group), totals)
        fetched = self.kernels.fetch(totals.weights, weights)
        gradients = {name: fetched.get(name, np.zeros(array.shape, self._dtype)) for name, array in weights.items()}
        for name, sums in totals.products.items():
            constants_ms = run.populations[name].tau_mem_ms, run.populations[name].tau_syn_ms
            set_time_constant_gradients(gradients, name, self.network.step_ms, constants_ms, Products(*sums))
        voltages = run.output.voltages
        by_weight = None if voltages is None else weighting_gradient(run.slopes, voltages)
        return Gradients(run.inference, gradients, floored, by_weight)

    def _populations(self, weights: Weights) -> dict[str, _Population]:
        return {
            name: self._population(weights, name) if has_time_constants(weights, name) else homogeneous
            for name, homogeneous in self._homogeneous.items()
        }

    def _population(self, weights: Weights, name: str) -> _Population:
        constants_ms = time_constants(self.network, weights, name)
        over = coefficients(self.network.step_ms, *constants_ms)
        vectors = self.kernels.vectors(Vectors(*(x.astype(self._dtype) for x in over)))
        return _Population(*constants_ms, vectors, has_time_constants(weights, name))

    def _recurrent(self, weights: Weights, layer: int) -> np.ndarray | None:
        return weights[f"hidden{layer + 1}_hidden{layer + 1}"] if self.network.recurrent else None

    def _names(self, layer: int) -> tuple[str, str]:
        """Return the names of the connections into and out of a hidden layer."""
        last = len(self.network.hidden) - 1
        below = f"hidden{layer}" if layer else "input"
        above = f"hidden{layer + 2}" if layer < last else "output"
        return f"{below}_hidden{layer + 1}", f"hidden{layer + 1}_{above}"

    def _forward(self, weights: Weights, batch: Batch, objective: Objective, training: bool = False) -> _Forward:
        network = self.network
        bounds.check(network, weights, batch, objective)
        cast = {name: np.ascontiguousarray(array, self._dtype) for name, array in weights.items()}
        found = self._populations(cast)
        weights = self.kernels.load({name: array for name, array in cast.items() if not is_time_constant(name)})
        events = inputs = self.kernels.events(batch, network.steps)
        delays, layers = self._delays, []
        for number in range(len(network.hidden)):
            into = weights[self._names(number)[0]]
            recurrent, population = self._recurrent(weights, number), found[f"hidden{number + 1}"]
            keep = training and population.learned
            layers.append(self._run_layer(events, delays, into, recurrent, population.vectors, keep))
            events, delays = layers[-1].as_events(), self._no_delay
        out = weights[self._names(len(network.hidden) - 1)[1]]
        output = self._read(events, out, found["output"].vectors, objective, training and objective.learned)
        logits, sample_losses, slopes = losses.score(output.values, batch.labels, objective.first_spike)
        counts = tuple(self.kernels.counts(*pair) for pair in zip(layers, network.hidden, strict=True))
        inference = Inference(logits, sample_losses, logits.argmax(axis=1), counts)
        return _Forward(
            weights=weights, populations=found, inputs=inputs, layers=layers, output=output, inference=inference,
            slopes=slopes,
        )  # fmt: skip

    def _read(
        self, events: Events, weights: np.ndarray, vectors: Vectors, objective: Objective, keep_voltages: bool
    ) -> _Output:
        """Run the outputs and read them as the objective says; their voltages are kept of readout `sum` alone."""
        match objective.readout:
            case "max":
                peaks = self.kernels.forward_max(events, weights, vectors)
                return _Output(peaks.values, peaks=peaks)
            case "first_spike":
                layer = self._run_layer(events, self._no_delay, weights, None, vectors, False)
                first, steps = _first_spikes(self.kernels.fetch_layer(layer), self.network.outputs)
                return _Output(steps * self.network.step_ms, layer=layer, first=first)
        scaled = np.asarray(objective.weighting, np.float64) / self.network.steps
        logits, trace = self.kernels.forward_output(events, weights, vectors, scaled, keep_voltages)
        return _Output(logits, voltages=trace if keep_voltages else None)

    def _run_layer(
        self, events: Events, delays: np.ndarray, into: np.ndarray, recurrent: np.ndarray | None, vectors: Vectors,
        keep_drive: bool,
    ) -> Layer:  # fmt: skip
        while True:
            layer = self.kernels.forward_hidden(
                events, delays=delays, weights=into, recurrent=recurrent, vectors=vectors, capacity=self._capacity,
                refractory=self.network.refractory_steps, keep_drive=keep_drive,
            )  # fmt: skip
            needed = layer.most()
            if needed <= self._capacity:
                return layer
            self._capacity = needed + needed // 4

    def _backward(self, run: _Forward, objective: Objective, group: slice, totals: _Totals) -> int:
        """Add the gradients of the samples ``group`` to ``totals``; return how many denominators were bounded."""
        network, weights, gradients = self.network, run.weights, totals.weights
        layers = [layer.part(group) for layer in run.layers]
        inputs, population = run.inputs.part(group), run.populations["output"]
        fired = None if run.output.layer is None else run.output.layer.part(group)
        adjoint, floored = self._output_adjoint(run, fired, objective, group)
        if population.learned:
            leading, below = weights[self._names(len(layers) - 1)[1]], layers[-1].as_events()
            self._add_products(
                totals, "output", population, below, into=leading, recurrent=None, layer=fired, adjoint=adjoint
            )
        for number in reversed(range(len(layers))):
            layer, name, (into, out) = layers[number], f"hidden{number + 1}", self._names(number)
            events = self.kernels.sort(layer.as_events(), network.hidden[number], adjoint)
            self.kernels.gather([Source(events, self._no_delay, gradients[out])], population.tau_syn_ms, adjoint)
            penalty = count_penalty(run.inference.spike_counts[number], objective)[group].astype(self._dtype)
            population, recurrent = run.populations[name], self._recurrent(weights, number)
            adjoint, bounded = self.kernels.adjoint_hidden(
                layer, above=weights[out], adjoint_above=adjoint, recurrent=recurrent, penalty=penalty,
                vectors=population.vectors, refractory=network.refractory_steps, keep_difference=number > 0,
            )  # fmt: skip
            floored += bounded
            if population.learned:
                below = layers[number - 1].as_events() if number else inputs
                self._add_products(
                    totals, name, population, below, into=weights[into], recurrent=recurrent, layer=layer,
                    adjoint=adjoint,
                )  # fmt: skip
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
        self, totals: _Totals, name: str, population: _Population, events: Events, *, into: np.ndarray,
        recurrent: np.ndarray | None, layer: Layer | None, adjoint: Adjoint,
    ) -> None:  # fmt: skip
        """Add what the gradients of a population's time constants are made of."""
        delays = self._delays if name == "hidden1" else self._no_delay
        found = self.kernels.products(
            events, delays=delays, weights=into, recurrent=recurrent, layer=layer, vectors=population.vectors,
            refractory=self.network.refractory_steps, adjoint=adjoint,
        )  # fmt: skip
        for sample in found:  # in a fixed order
            totals.products[name] += sample

    def _output_adjoint(
        self, run: _Forward, fired: Layer | None, objective: Objective, group: slice
    ) -> tuple[Adjoint, int]:
        """Return the outputs' adjoints and how many denominators were bounded; ``fired`` are spiking outputs."""
        network, output, slopes, samples = self.network, run.output, run.slopes[group], len(run.slopes)
        tau_mem_ms, _, vectors, _ = run.populations["output"]
        if fired is not None and output.first is not None:
            timing = _timing(output.first[group], slopes / samples, fired.capacity).astype(self._dtype)
            penalty = np.zeros(slopes.shape, self._dtype)
            return self.kernels.adjoint_hidden(
                fired, above=None, adjoint_above=None, recurrent=None, penalty=penalty, vectors=vectors,
                refractory=network.refractory_steps, keep_difference=True, timing=timing,
            )  # fmt: skip
        if output.peaks is not None:
            drive = (-slopes / (tau_mem_ms * samples)).astype(self._dtype)
            return self.kernels.adjoint_max(drive, output.peaks.part(group), network.steps, vectors), 0
        # D / (tau_mem T B) with T = N D
        scale = 1.0 / (tau_mem_ms * network.steps * samples)
        drive = (-slopes * scale).astype(self._dtype)
        return self.kernels.adjoint_output(drive, np.asarray(objective.weighting, self._dtype), vectors), 0


def _spikes(layer: Layer, labels: np.ndarray) -> Batch:
    """Return a layer's spikes in the form of a batch."""
    counts = layer.starts[:, -1]
    steps = [np.repeat(np.arange(layer.starts.shape[1] - 1), np.diff(starts)) for starts in layer.starts]
    units = [spikes[:count] for spikes, count in zip(layer.spikes, counts, strict=True)]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Batch(offsets, np.concatenate(steps).astype(np.int32), np.concatenate(units), labels)


def _first_spikes(layer: Layer, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the index in ``layer.spikes`` and the step of each neuron's first spike, int64[B, H]; -1 and N if none."""
    index = np.full((len(layer.starts), size), -1)
    steps = np.full(index.shape, layer.starts.shape[1] - 1)
    for row, first, spikes, starts in zip(index, steps, layer.spikes, layer.starts, strict=True):
        units, places = np.unique(spikes[: starts[-1]], return_index=True)
        row[units], first[units] = places, np.searchsorted(starts, places, side="right") - 1
    return index, steps


def _timing(first: np.ndarray, slopes: np.ndarray, capacity: int) -> np.ndarray:
    """Return [B, capacity]: ``slopes`` [B, H] at the spikes of index ``first``, else 0."""
    timing = np.zeros((len(first), capacity))
    samples, units = np.nonzero(first >= 0)
    timing[samples, first[samples, units]] = slopes[samples, units]
    return timing


def _voltages(events: Events, weights: np.ndarray, vectors: Vectors, layer: Layer, refractory: int) -> np.ndarray:
    """Return float32[B, N, H], voltages of a layer without recurrence before each step, for figures."""
    samples, steps = events.starts.shape[0], events.starts.shape[1] - 1
    trace = np.zeros((samples, steps, weights.shape[1]), np.float32)
    for s, (starts, fired) in enumerate(zip(events.starts, layer.starts, strict=True)):
        voltage, current = np.zeros((2, weights.shape[1]), weights.dtype)
        for n in range(steps):
            trace[s, n] = voltage
            voltage = vectors.a * voltage + vectors.c * current
            voltage[layer.spikes[s, fired[max(n - refractory, 0)] : fired[n + 1]]] = 0
            current = vectors.b * current + weights[events.rows[starts[n] : starts[n + 1]]].sum(axis=0)
    return trace

r"""Engine `exact`: float64, event-driven, no time grid. Small networks only; it is what the tests trust.

Between events voltage and current have closed forms. A neuron below threshold with current I > 1 rises until either it
crosses or the current has decayed to 1, so the crossing is bracketed by [0, tau_syn ln I] and monotone in it: one
root by Brent's method, none missed. A spike acts on its targets at once (the limit of the grid's one step as D goes
to 0). Integrals over the output voltage and over its adjoint's drive use Gauss-Legendre quadrature on pieces short
against the time constants.

Eventprop: Wunderlich & Pehle, Sci. Rep. 11, 12829 (2021); loss shaping: Nowotny, Turner & Knight (2025).
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from eventspeech.engines.base import Gradients, Inference, coefficients
from eventspeech.losses import cross_entropy
from eventspeech.network import Network, Weights, check, connections

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_PIECE_MS = 2.0


class Sample(NamedTuple):
    """One spike train in continuous time: times_ms float64[E] in [0, T), channels int64[E]."""

    times_ms: np.ndarray
    channels: np.ndarray


class ExactObjective(NamedTuple):
    """What is minimised; ``weight`` maps x = t/T to w(x), the rest is as in `base.Objective`."""

    weight: Callable[[np.ndarray], np.ndarray]
    regulariser_strength: float = 0.0
    regulariser_target: float = 14.0
    regulariser_batch: bool = True


class _Event(NamedTuple):
    """Something that happened: an input (row of the input weights) or a spike (neuron, with I - 1 at the crossing)."""

    time_ms: float
    is_input: bool
    index: int
    denominator: float


class _Trial(NamedTuple):
    events: list[_Event]
    logits: np.ndarray
    counts: np.ndarray


class ExactEngine:
    """Exact loss and gradients of a small network, in continuous time. All hidden layers are one population here."""

    name = "exact"

    def __init__(self, network: Network):
        self.network = network
        ends = np.cumsum([0, *network.hidden])
        self._layers = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self._neurons = int(ends[-1])
        self._nearest = np.inf

    def infer(
        self, weights: Weights, samples: list[Sample], labels: np.ndarray, objective: ExactObjective
    ) -> Inference:
        """Return loss, logits and spike counts."""
        return self._inference(self._run(weights, samples, objective), labels)[0]

    def gradients(
        self, weights: Weights, samples: list[Sample], labels: np.ndarray, objective: ExactObjective
    ) -> Gradients:
        """Return the gradients of the mean loss, by the adjoint method."""
        trials = self._run(weights, samples, objective)
        inference, probabilities = self._inference(trials, labels)
        counts = np.stack([trial.counts for trial in trials]).astype(float)
        if objective.regulariser_batch:
            counts[:] = counts.mean(axis=0)
        penalty = objective.regulariser_strength * (counts - objective.regulariser_target) / len(samples)
        drive = (np.eye(self.network.outputs)[labels] - probabilities) / (self.network.trial_ms * len(samples))
        totals = {name: np.zeros(array.shape) for name, array in weights.items()}
        for index, trial in enumerate(trials):
            self._backward(weights, trial, drive[index], penalty[index], objective, totals)
        return Gradients(inference, totals, 0)

    def conditioning(self, weights: Weights, samples: list[Sample]) -> float:
        """Return how far the trials stay from where the loss jumps or its gradient diverges.

        The least of I - 1 over all crossings (0: the voltage grazes the threshold) and of |peak - 1| over all peaks of
        the voltage that were looked at, times 100 (a spike is about to appear or vanish).
        """
        self._nearest = np.inf
        trials = self._run(weights, samples, ExactObjective(np.ones_like))
        steepness = (event.denominator for trial in trials for event in trial.events if not event.is_input)
        return min(100 * self._nearest, min(steepness, default=np.inf))

    def _inference(self, trials: list[_Trial], labels: np.ndarray) -> tuple[Inference, np.ndarray]:
        logits = np.stack([trial.logits for trial in trials])
        sample_losses, probabilities = cross_entropy(logits, labels)
        counts = np.stack([trial.counts for trial in trials])
        by_layer = tuple(counts[:, layer] for layer in self._layers)
        return Inference(logits, sample_losses, logits.argmax(axis=1), by_layer), probabilities

    def _run(self, weights: Weights, samples: list[Sample], objective: ExactObjective) -> list[_Trial]:
        check(self.network, weights)
        matrices = self._matrices(weights)
        return [self._forward(matrices, sample, objective) for sample in samples]

    def _matrices(self, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return input [K C, J], hidden [J, J] and output [J, O] weights of the population of all J hidden neurons."""
        into = np.zeros((self.network.inputs * len(self.network.delay_steps), self._neurons))
        within = np.zeros((self._neurons, self._neurons))
        out = np.zeros((self._neurons, self.network.outputs))
        for name, view in self._views(into, within, out).items():
            view[:] = weights[name]
        return into, within, out

    def _views(self, into: np.ndarray, within: np.ndarray, out: np.ndarray) -> Weights:
        """Return the part of the population's matrices that each connection occupies."""
        layer = {f"hidden{number}": part for number, part in enumerate(self._layers, 1)}
        views = {}
        for connection in connections(self.network):
            pre, post = connection.name.split("_")
            if pre == "input":
                views[connection.name] = into[:, layer[post]]
            elif post == "output":
                views[connection.name] = out[layer[pre]]
            else:
                views[connection.name] = within[layer[pre], layer[post]]
        return views

    def _arrivals(self, sample: Sample) -> list[_Event]:
        delays_ms = np.array(self.network.delay_steps) * self.network.step_ms
        times = (sample.times_ms[None, :] + delays_ms[:, None]).ravel()
        rows = (sample.channels[None, :] + self.network.inputs * np.arange(len(delays_ms))[:, None]).ravel()
        order = np.argsort(times, kind="stable")
        return [_Event(times[i], True, int(rows[i]), 0.0) for i in order if times[i] < self.network.trial_ms]

    def _forward(self, matrices, sample: Sample, objective: ExactObjective) -> _Trial:
        into, within, out = matrices
        voltage, current = np.zeros(self._neurons), np.zeros(self._neurons)
        out_voltage, out_current = np.zeros(self.network.outputs), np.zeros(self.network.outputs)
        events, logits, now = [], np.zeros(self.network.outputs), 0.0
        counts = np.zeros(self._neurons, np.int64)
        arrivals = self._arrivals(sample)
        arrivals.reverse()
        while True:
            wait, neuron = self._next_spike(voltage, current)
            arrival = arrivals[-1].time_ms if arrivals else np.inf
            then = min(arrival, now + wait, self.network.trial_ms)
            logits += self._integrate_output(out_voltage, out_current, now, then, objective)
            voltage, current = self._advance(voltage, current, then - now)
            out_voltage, out_current = self._advance(out_voltage, out_current, then - now)
            now = then
            if now >= self.network.trial_ms:
                return _Trial(events, logits, counts)
            if arrivals and now == arrival:
                events.append(arrivals.pop())
                current = current + into[events[-1].index]
            else:
                events.append(_Event(now, False, neuron, current[neuron] - 1.0))
                counts[neuron] += 1
                voltage[neuron] = 0.0
                current = current + within[neuron]
                out_current = out_current + out[neuron]

    def _advance(self, voltage: np.ndarray, current: np.ndarray, duration_ms: float):
        over = coefficients(duration_ms, self.network.tau_mem_ms, self.network.tau_syn_ms)
        return over.a * voltage + over.c * current, over.b * current

    def _next_spike(self, voltage: np.ndarray, current: np.ndarray) -> tuple[float, int]:
        """Return how long until the next crossing (infinity if none) and which neuron crosses."""
        best, neuron = np.inf, -1
        tau_mem, tau_syn = self.network.tau_mem_ms, self.network.tau_syn_ms
        for j in np.flatnonzero(current > 1.0):
            latest = tau_syn * np.log(current[j])

            def above(duration_ms: float, v: float = voltage[j], i: float = current[j]) -> float:
                over = coefficients(duration_ms, tau_mem, tau_syn)
                return over.a * v + over.c * i - 1.0

            self._nearest = min(self._nearest, abs(above(latest)))
            if above(latest) >= 0:
                crossing = brentq(above, 0.0, latest, xtol=1e-14, rtol=1e-15)
                if crossing < best:
                    best, neuron = crossing, int(j)
        return best, neuron

    def _pieces(self, start_ms: float, end_ms: float) -> tuple[np.ndarray, np.ndarray]:
        """Return nodes and weights of a quadrature over [start, end]."""
        count = max(1, int(np.ceil((end_ms - start_ms) / _PIECE_MS)))
        edges = np.linspace(start_ms, end_ms, count + 1)
        half = 0.5 * np.diff(edges)[:, None]
        return (edges[:-1, None] + half * (1 + _NODES)).ravel(), (half * _WEIGHTS).ravel()

    def _integrate_output(self, voltage, current, start_ms: float, end_ms: float, objective: ExactObjective):
        """Return (1/T) times the integral of w V_o over [start, end]."""
        times, weights = self._pieces(start_ms, end_ms)
        a, c = self._responses(times - start_ms)
        traces = a[:, None] * voltage + c[:, None] * current
        return (weights * objective.weight(times / self.network.trial_ms)) @ traces / self.network.trial_ms

    def _responses(self, durations_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the voltage left of a unit voltage, and of a unit current, after each duration."""
        tau_mem, tau_syn = self.network.tau_mem_ms, self.network.tau_syn_ms
        a = np.exp(-durations_ms / tau_mem)
        if tau_mem == tau_syn:
            return a, durations_ms / tau_mem * a
        return a, tau_syn / (tau_mem - tau_syn) * (a - np.exp(-durations_ms / tau_syn))

    def _backward(self, weights, trial: _Trial, drive, penalty, objective: ExactObjective, totals: Weights) -> None:
        into, within, out = self._matrices(weights)
        gradients = np.zeros_like(into), np.zeros_like(within), np.zeros_like(out)
        tau_syn = self.network.tau_syn_ms
        lam_v, lam_i = np.zeros(self._neurons), np.zeros(self._neurons)
        out_v, out_i = np.zeros(self.network.outputs), np.zeros(self.network.outputs)
        now = self.network.trial_ms
        for event in reversed(trial.events):
            out_v, out_i = self._output_adjoint(out_v, out_i, drive, event.time_ms, now, objective)
            over = coefficients(now - event.time_ms, self.network.tau_mem_ms, tau_syn)
            lam_v, lam_i = over.a * lam_v, over.b * lam_i + over.k * lam_v
            now = event.time_ms
            if event.is_input:
                gradients[0][event.index] -= tau_syn * lam_i
                continue
            j = event.index
            gradients[1][j] -= tau_syn * lam_i
            gradients[2][j] -= tau_syn * out_i
            flow = within[j] @ (lam_v - lam_i) + out[j] @ (out_v - out_i)
            lam_v[j] += (lam_v[j] + flow) / event.denominator - penalty[j]
        for name, view in self._views(*gradients).items():
            totals[name] += view

    def _output_adjoint(self, lam_v, lam_i, drive, start_ms: float, end_ms: float, objective: ExactObjective):
        """Take the outputs' adjoints from ``end`` back to ``start`` under the drive w (y - p) / (T B)."""
        over = coefficients(end_ms - start_ms, self.network.tau_mem_ms, self.network.tau_syn_ms)
        times, weights = self._pieces(start_ms, end_ms)
        mem, response = self._responses(times - start_ms)
        shaped = weights * objective.weight(times / self.network.trial_ms)
        lam_i = over.b * lam_i + over.k * lam_v + drive * (shaped @ response) / self.network.tau_syn_ms
        return over.a * lam_v + drive * (shaped @ mem) / self.network.tau_mem_ms, lam_i

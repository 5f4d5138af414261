r"""Engine `exact`: float64, event-driven, no time grid. Small networks only; it is what the tests trust.

Between events voltage and current have closed forms. A neuron below threshold with current I > 1 rises until either it
crosses or the current has decayed to 1, so the crossing is bracketed by [0, tau_syn ln I] and monotone in it: one
root by Brent's method, none missed. A spike acts on its targets at once (the limit of the grid's one step as D goes
to 0). Integrals over the output voltage and over its adjoint's drive use Gauss-Legendre quadrature on pieces short
against the time constants.

Eventprop: Wunderlich & Pehle, Sci. Rep. 11, 12829 (2021); loss shaping: Nowotny, Turner & Knight (2025).
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from eventspeech.engines.base import (
    Gradients,
    Inference,
    Products,
    coefficients,
    derivatives,
    time_constant_gradients,
)
from eventspeech.losses import cross_entropy
from eventspeech.network import (
    TIME_CONSTANTS,
    Network,
    Weights,
    check,
    connections,
    is_time_constant,
    populations,
    time_constants,
)

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


class _State(NamedTuple):
    """Voltages and currents of the hidden neurons and of the outputs."""

    voltage: np.ndarray
    current: np.ndarray
    out_voltage: np.ndarray
    out_current: np.ndarray


class _Trial(NamedTuple):
    """``states`` has the state after each event."""

    events: list[_Event]
    states: list[_State]
    logits: np.ndarray
    counts: np.ndarray


class _Constants(NamedTuple):
    """Time constants of one population, float64[J]."""

    tau_mem_ms: np.ndarray
    tau_syn_ms: np.ndarray


class _Model(NamedTuple):
    """Input [K C, J], hidden [J, J] and output [J, O] weights, and time constants, of all J hidden neurons as one."""

    into: np.ndarray
    within: np.ndarray
    out: np.ndarray
    hidden: _Constants
    outputs: _Constants


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
        model = self._model(weights)
        return [self._forward(model, sample, objective) for sample in samples]

    def _model(self, weights: Weights) -> _Model:
        into = np.zeros((self.network.inputs * len(self.network.delay_steps), self._neurons))
        within = np.zeros((self._neurons, self._neurons))
        out = np.zeros((self._neurons, self.network.outputs))
        for name, view in self._views(into, within, out).items():
            view[:] = weights[name]
        *layers, outputs = (time_constants(self.network, weights, name) for name in populations(self.network))
        hidden = _Constants(*(np.concatenate(constants) for constants in zip(*layers, strict=True)))
        return _Model(into, within, out, hidden, _Constants(*outputs))

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

    def _forward(self, model: _Model, sample: Sample, objective: ExactObjective) -> _Trial:
        voltage, current = np.zeros(self._neurons), np.zeros(self._neurons)
        out_voltage, out_current = np.zeros(self.network.outputs), np.zeros(self.network.outputs)
        events, states, logits, now = [], [], np.zeros(self.network.outputs), 0.0
        counts = np.zeros(self._neurons, np.int64)
        arrivals = self._arrivals(sample)
        arrivals.reverse()
        while True:
            wait, neuron = self._next_spike(voltage, current, model.hidden)
            arrival = arrivals[-1].time_ms if arrivals else np.inf
            then = min(arrival, now + wait, self.network.trial_ms)
            logits += self._integrate_output(out_voltage, out_current, model.outputs, now, then, objective)
            voltage, current = _advance(voltage, current, then - now, model.hidden)
            out_voltage, out_current = _advance(out_voltage, out_current, then - now, model.outputs)
            now = then
            if now >= self.network.trial_ms:
                return _Trial(events, states, logits, counts)
            if arrivals and now == arrival:
                events.append(arrivals.pop())
                current = current + model.into[events[-1].index]
            else:
                events.append(_Event(now, False, neuron, current[neuron] - 1.0))
                counts[neuron] += 1
                voltage[neuron] = 0.0
                current = current + model.within[neuron]
                out_current = out_current + model.out[neuron]
            states.append(_State(voltage.copy(), current, out_voltage, out_current))

    def _next_spike(self, voltage: np.ndarray, current: np.ndarray, over: _Constants) -> tuple[float, int]:
        """Return how long until the next crossing (infinity if none) and which neuron crosses."""
        best, neuron = np.inf, -1
        for j in np.flatnonzero(current > 1.0):
            start = float(voltage[j]), float(current[j]), float(over.tau_mem_ms[j]), float(over.tau_syn_ms[j])
            latest = start[3] * math.log(start[1])
            highest = _above(latest, *start)
            self._nearest = min(self._nearest, abs(highest))
            if highest >= 0:
                crossing = brentq(_above, 0.0, latest, start, xtol=1e-14, rtol=1e-15)
                if crossing < best:
                    best, neuron = crossing, int(j)
        return best, neuron

    def _pieces(self, start_ms: float, end_ms: float) -> tuple[np.ndarray, np.ndarray]:
        """Return nodes and weights of a quadrature over [start, end]."""
        count = max(1, int(np.ceil((end_ms - start_ms) / _PIECE_MS)))
        edges = np.linspace(start_ms, end_ms, count + 1)
        half = 0.5 * np.diff(edges)[:, None]
        return (edges[:-1, None] + half * (1 + _NODES)).ravel(), (half * _WEIGHTS).ravel()

    def _shaped(self, start_ms: float, end_ms: float, objective: ExactObjective) -> tuple[np.ndarray, np.ndarray]:
        """Return durations since ``start`` [Q, 1], and quadrature weights times w [Q], for integrals up to ``end``."""
        times, weights = self._pieces(start_ms, end_ms)
        return (times - start_ms)[:, None], weights * objective.weight(times / self.network.trial_ms)

    def _integrate_output(self, voltage, current, over: _Constants, start_ms: float, end_ms: float, objective):
        """Return (1/T) times the integral of w V_o over [start, end]."""
        durations, shaped = self._shaped(start_ms, end_ms, objective)
        response = coefficients(durations, *over)
        return shaped @ (response.a * voltage + response.c * current) / self.network.trial_ms

    def _backward(self, weights, trial: _Trial, drive, penalty, objective: ExactObjective, totals: Weights) -> None:
        model = self._model(weights)
        gradients = np.zeros_like(model.into), np.zeros_like(model.within), np.zeros_like(model.out)
        by_hidden, by_outputs = np.zeros((2, self._neurons)), np.zeros((2, self.network.outputs))
        tau_syn, out_tau_syn = model.hidden.tau_syn_ms, model.outputs.tau_syn_ms
        lam_v, lam_i = np.zeros(self._neurons), np.zeros(self._neurons)
        out_v, out_i = np.zeros(self.network.outputs), np.zeros(self.network.outputs)
        now, learned = self.network.trial_ms, any(map(is_time_constant, weights))
        for event, state in zip(reversed(trial.events), reversed(trial.states), strict=True):
            duration = now - event.time_ms
            shaped = self._shaped(event.time_ms, now, objective)
            if learned:
                by_hidden += _by_constants(state.voltage, state.current, lam_v, lam_i, duration, model.hidden)
                by_outputs += _by_constants(state.out_voltage, state.out_current, out_v, out_i, duration, model.outputs)
                by_outputs += _by_constants_driven(state.out_voltage, state.out_current, drive, shaped, model.outputs)
            lam_v, lam_i = _retreat(lam_v, lam_i, duration, model.hidden)
            out_v, out_i = _retreat(out_v, out_i, duration, model.outputs)
            driven = coefficients(shaped[0], *model.outputs)
            out_v = out_v + drive * (shaped[1] @ driven.a) / model.outputs.tau_mem_ms
            out_i = out_i + drive * (shaped[1] @ driven.c) / out_tau_syn
            now = event.time_ms
            if event.is_input:
                gradients[0][event.index] -= tau_syn * lam_i
                continue
            j = event.index
            gradients[1][j] -= tau_syn * lam_i
            gradients[2][j] -= out_tau_syn * out_i
            flow = model.within[j] @ (lam_v - lam_i) + model.out[j] @ (out_v - out_i)
            lam_v[j] += (lam_v[j] + flow) / event.denominator - penalty[j]
        for name, view in self._views(*gradients).items():
            totals[name] += view
        self._add_time_constants(by_hidden, by_outputs, totals)

    def _add_time_constants(self, by_hidden: np.ndarray, by_outputs: np.ndarray, totals: Weights) -> None:
        """Add gradients of the time constants, [2, J] and [2, O], where they are among the weights."""
        parts = [by_hidden[:, layer] for layer in self._layers] + [by_outputs]
        for population, part in zip(populations(self.network), parts, strict=True):
            for kind, gradient in zip(TIME_CONSTANTS, part, strict=True):
                total = totals.get(f"{population}_{kind}", None)
                if total is not None:
                    total += gradient if len(total) > 1 else gradient.sum()


def _above(duration_ms: float, voltage: float, current: float, tau_mem_ms: float, tau_syn_ms: float) -> float:
    """Return how far the voltage is above threshold after ``duration_ms``; plain numbers, for the sake of speed."""
    u = duration_ms / tau_syn_ms - duration_ms / tau_mem_ms
    mean = 1.0 if u == 0 else -math.expm1(-u) / u
    return math.exp(-duration_ms / tau_mem_ms) * (voltage + duration_ms / tau_mem_ms * mean * current) - 1.0


def _advance(voltage: np.ndarray, current: np.ndarray, duration_ms: float, constants: _Constants):
    over = coefficients(duration_ms, *constants)
    return over.a * voltage + over.c * current, over.b * current


def _retreat(lam_v: np.ndarray, lam_i: np.ndarray, duration_ms: float, constants: _Constants):
    """Take adjoints back over a time without events or drive."""
    over = coefficients(duration_ms, *constants)
    return over.a * lam_v, over.b * lam_i + over.k * lam_v


def _by_constants(voltage, current, lam_v, lam_i, duration_ms: float, constants: _Constants) -> np.ndarray:
    """Return what a time between events adds to the gradients of tau_mem and tau_syn, [2, J].

    The propagator over the whole duration is exact, and so is its derivative: state at the start, adjoints at the end.
    """
    sums = Products(lam_v * (voltage - current), lam_v * current, lam_i * current)
    return np.stack(time_constant_gradients(duration_ms, *constants, sums))


def _by_constants_driven(voltage, current, drive, shaped, constants: _Constants) -> np.ndarray:
    """Return what the drive w (y - p) / (T B) in a time between events adds to those of the outputs, [2, O].

    dL/dV is minus the drive at every moment; ``shaped`` are durations and weights of the integral.
    """
    durations, weights = shaped
    moved = derivatives(durations, *constants)
    by_mem = weights @ (moved.a_mem * voltage + moved.c_mem * current)
    return -drive * np.stack([by_mem, weights @ (moved.c_syn * current)])

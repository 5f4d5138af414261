r"""Engine `exact`: float64, event-driven, no time grid. Small networks only; it is what the tests trust.

Between events voltage and current have closed forms. A neuron below threshold with current I > 1 rises until either it
crosses or the current has decayed to 1, so the crossing is bracketed by [0, tau_syn ln I] and monotone in it: one
root by Brent's method, none missed. A spike acts on its targets at once (the limit of the grid's one step as D goes
to 0). Integrals over the output voltage and over its adjoint's drive use Gauss-Legendre quadrature on pieces short
against the time constants. A maximum of an output's voltage lies where I = V (one root between two events, bracketed),
at the end of the trial, or at a spike that turns I - V from positive to negative: a kink, whose movement with the spike
is in R of that spike (`engines.equations`). Spiking outputs are neurons of the population like the hidden ones.

Eventprop: Wunderlich & Pehle, Sci. Rep. 11, 12829 (2021); loss shaping: Nowotny, Turner & Knight (2025).
"""

import itertools
import math
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import brentq

from eventspeech import losses
from eventspeech.engines.contract import Gradients, Inference
from eventspeech.engines.equations import Products, Values, coefficients, derivatives, time_constant_gradients
from eventspeech.losses import FirstSpike, Readout
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

_Pair = tuple[np.ndarray, np.ndarray]
"""Voltages and currents, their adjoints, or nodes and weights of a quadrature."""

_Weight = Callable[[np.ndarray], np.ndarray]
"""Of x = t/T."""


class Sample(NamedTuple):
    """One spike train in continuous time: times_ms float64[E] in [0, T), channels int64[E]."""

    times_ms: np.ndarray
    channels: np.ndarray


class ExactObjective(NamedTuple):
    """What is minimised; the rest is as in `losses.Objective`.

    Attributes:
        weight: maps x = t/T, float64[Q], to w(x).
        by_theta: maps x to dw(x)/dtheta_k, float64[K, Q], if the gradient of these K numbers is wanted.
    """

    weight: _Weight | None
    regulariser_strength: float = 0.0
    regulariser_target: float = 14.0
    regulariser_batch: bool = True
    readout: Readout = "sum"
    first_spike: FirstSpike | None = None
    by_theta: _Weight | None = None


class _Event(NamedTuple):
    """Something that happened.

    An input (row of the input weights), a spike (neuron, with I - 1 at the crossing) or the restart of a neuron at the
    end of its refractory period.
    """

    time_ms: float
    kind: Literal["input", "spike", "restart"]
    unit: int
    denominator: float = 0.0


class _State(NamedTuple):
    """Voltages and currents of the population and of the outputs outside it."""

    voltage: np.ndarray
    current: np.ndarray
    out_voltage: np.ndarray
    out_current: np.ndarray


class _Peak(NamedTuple):
    """A local maximum of an output's voltage; at a kink the event that made it (else -1), with I - V before and after.

    A kink whose event has ``rise`` near 0 is about to become a smooth maximum, one with ``fall`` near 0 to vanish.
    """

    value: float
    time_ms: float
    event: int = -1
    rise: float = np.inf
    fall: float = -np.inf


class _Trial(NamedTuple):
    """What happened.

    Attributes:
        states: the state after each event.
        values: float64[O], S_o or times of first spikes.
        counts: of every neuron of the population.
        peaks: of each output, for readout `max`.
        by_theta: float64[K, O], dS_o/dtheta_k; 0 unless the objective asks for it.
    """

    events: list[_Event]
    states: list[_State]
    values: np.ndarray
    counts: np.ndarray
    peaks: list[list[_Peak]]
    by_theta: np.ndarray


class _Constants(NamedTuple):
    """Time constants of one population, float64[J]."""

    tau_mem_ms: np.ndarray
    tau_syn_ms: np.ndarray


class _Model(NamedTuple):
    """Input [K C, J], inner [J, J] and output [J, O] weights, and time constants, of all J neurons as one population.

    These are the hidden ones; where outputs spike they are the last of them, and [J, 0] weights lead out.
    """

    into: np.ndarray
    within: np.ndarray
    out: np.ndarray
    inner: _Constants
    outputs: _Constants


class ExactEngine:
    """Exact loss and gradients of a small network, in continuous time. All that spike are one population here."""

    name = "exact"

    def __init__(self, network: Network):
        self.network = network
        ends = np.cumsum([0, *network.hidden])
        self._layers = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self._hidden = int(ends[-1])
        self._refractory_ms = network.refractory_steps * network.step_ms
        self._nearest = np.inf

    def infer(
        self, weights: Weights, samples: list[Sample], labels: np.ndarray, objective: ExactObjective
    ) -> Inference:
        """Return loss, logits and spike counts; ``labels`` are int64[B], one of each sample."""
        return self._inference(self._run(weights, samples, objective), labels, objective)[0]

    def gradients(
        self, weights: Weights, samples: list[Sample], labels: np.ndarray, objective: ExactObjective
    ) -> Gradients:
        """Return the gradients of the mean loss, float64, by the adjoint method; ``labels`` are int64[B].

        Their ``weighting`` is dL/dtheta, float64[K], of `ExactObjective`.
        """
        trials = self._run(weights, samples, objective)
        inference, slopes = self._inference(trials, labels, objective)
        counts = np.stack([trial.counts for trial in trials]).astype(float)
        if objective.regulariser_batch:
            counts[:] = counts.mean(axis=0)
        penalty = objective.regulariser_strength * (counts - objective.regulariser_target) / len(samples)
        penalty[:, self._hidden :] = 0
        totals = {name: np.zeros(array.shape) for name, array in weights.items()}
        for index, trial in enumerate(trials):
            self._backward(weights, trial, slopes[index] / len(samples), penalty[index], objective, totals)
        by_theta = None
        if objective.by_theta is not None:
            by_theta = np.einsum("sko,so->k", [trial.by_theta for trial in trials], slopes) / len(samples)
        return Gradients(inference, totals, 0, by_theta)

    def conditioning(self, weights: Weights, samples: list[Sample], objective: ExactObjective | None = None) -> float:
        """Return how far the trials stay from where the loss jumps or its gradient jumps or diverges.

        The least of I - 1 over all crossings (0: the voltage grazes the threshold) and of |peak - 1| over all peaks of
        the voltage that were looked at, times 100 (a spike is about to appear or vanish). With `max` also of the lead
        of each maximum over the next, times 50, and of |I - V| on both sides of a kink, times 100; with both `max` and
        `first_spike` of the ms between what is read of an output and the nearest hidden spike (but the one that makes
        a kink), times 10: their order decides what acts on what.
        """
        self._nearest = np.inf
        trials = self._run(weights, samples, objective or ExactObjective(np.ones_like))
        steepness = (event.denominator for trial in trials for event in trial.events if event.kind == "spike")
        leads = (_lead(peaks) for trial in trials for peaks in trial.peaks)
        gaps = (10 * _gap(trial, self._hidden) for trial in trials)
        return min(100 * self._nearest, *(min(found, default=np.inf) for found in (steepness, leads, gaps)))

    def kinks(self, weights: Weights, samples: list[Sample], objective: ExactObjective) -> int:
        """Return how many outputs have their maximum at a kink."""
        trials = self._run(weights, samples, objective)
        return sum(_highest(peaks).event >= 0 for trial in trials for peaks in trial.peaks)

    def _inference(
        self, trials: list[_Trial], labels: np.ndarray, objective: ExactObjective
    ) -> tuple[Inference, np.ndarray]:
        """Return the inference and the derivatives of each sample's loss by ``trial.values``."""
        values = np.stack([trial.values for trial in trials])
        logits, sample_losses, slopes = losses.score(values, labels, objective.first_spike)
        counts = np.stack([trial.counts for trial in trials])
        by_layer = tuple(counts[:, layer] for layer in self._layers)
        return Inference(logits, sample_losses, logits.argmax(axis=1), by_layer), slopes

    def _run(self, weights: Weights, samples: list[Sample], objective: ExactObjective) -> list[_Trial]:
        check(self.network, weights)
        model = self._model(weights, objective)
        return [self._forward(model, sample, objective) for sample in samples]

    def _model(self, weights: Weights, objective: ExactObjective) -> _Model:
        spiking = objective.readout == "first_spike"
        neurons = self._hidden + self.network.outputs * spiking
        into = np.zeros((self.network.inputs * len(self.network.delay_steps), neurons))
        within = np.zeros((neurons, neurons))
        out = np.zeros((neurons, self.network.outputs * (not spiking)))
        for name, view in self._views(into, within, out).items():
            view[:] = weights[name]
        layers = [time_constants(self.network, weights, name) for name in populations(self.network)]
        joined = (np.concatenate(constants) for constants in zip(*layers[: None if spiking else -1], strict=True))
        return _Model(into, within, out, _Constants(*joined), _Constants(*(x[: out.shape[1]] for x in layers[-1])))

    def _views(self, into: np.ndarray, within: np.ndarray, out: np.ndarray) -> Weights:
        """Return the part of the population's matrices that each connection occupies."""
        layer = {f"hidden{number}": part for number, part in enumerate(self._layers, 1)}
        layer["output"] = slice(self._hidden, None)
        views = {}
        for connection in connections(self.network):
            pre, post = connection.name.split("_")
            if pre == "input":
                views[connection.name] = into[:, layer[post]]
            elif post == "output" and out.shape[1]:
                views[connection.name] = out[layer[pre]]
            else:
                views[connection.name] = within[layer[pre], layer[post]]
        return views

    def _arrivals(self, sample: Sample) -> list[_Event]:
        delays_ms = np.array(self.network.delay_steps) * self.network.step_ms
        times = (sample.times_ms[None, :] + delays_ms[:, None]).ravel()
        rows = (sample.channels[None, :] + self.network.inputs * np.arange(len(delays_ms))[:, None]).ravel()
        order = np.argsort(times, kind="stable")
        return [_Event(times[i], "input", int(rows[i])) for i in order if times[i] < self.network.trial_ms]

    def _forward(self, model: _Model, sample: Sample, objective: ExactObjective) -> _Trial:
        voltage, current = np.zeros((2, len(model.within)))
        out_voltage, out_current = np.zeros((2, model.out.shape[1]))
        events: list[_Event] = []
        states: list[_State] = []
        logits, now = np.zeros(model.out.shape[1]), 0.0
        counts = np.zeros(len(model.within), np.int64)
        done, held = np.zeros((2, len(model.within)), bool)
        peaks = [[_Peak(0.0, 0.0)] for _ in logits] if objective.readout == "max" else []
        by_theta: list[np.ndarray] = []
        arrivals, restarts = self._arrivals(sample), deque[_Event]()
        arrivals.reverse()
        while True:
            wait, neuron = self._next_spike(voltage, np.where(done | held, 0.0, current), model.inner)
            arrival = arrivals[-1].time_ms if arrivals else np.inf
            restart = restarts[0].time_ms if restarts else np.inf
            then = min(arrival, restart, now + wait, self.network.trial_ms)
            if objective.readout == "sum":
                span = out_voltage, out_current, model.outputs, now, then
                logits += self._integrate_output(*span, objective.weight)
                if objective.by_theta is not None:
                    by_theta.append(self._integrate_output(*span, objective.by_theta))
            for o, found in enumerate(peaks):
                start = out_voltage[o], out_current[o], *(float(x[o]) for x in model.outputs)
                found += _smooth_peak(now, then, *start)
            voltage, current = _advance(voltage, current, then - now, model.inner)
            voltage[held] = 0.0
            out_voltage, out_current = _advance(out_voltage, out_current, then - now, model.outputs)
            now = then
            if now >= self.network.trial_ms:
                values = self._read(events, logits, peaks, (out_voltage, out_current), objective)
                return _Trial(events, states, values, counts, peaks, np.sum(by_theta, axis=0))
            if arrivals and now == arrival:
                events.append(arrivals.pop())
                current = current + model.into[events[-1].unit]
            elif restarts and now == restart:
                events.append(restarts.popleft())
                held[events[-1].unit] = False
            else:
                events.append(_Event(now, "spike", neuron, current[neuron] - 1.0))
                counts[neuron] += 1
                voltage[neuron] = 0.0
                done[neuron] = neuron >= self._hidden  # nothing depends on a second spike of an output
                if self._refractory_ms > 0:
                    held[neuron] = True
                    restarts.append(_Event(now + self._refractory_ms, "restart", neuron))
                current = current + model.within[neuron]
                for o, found in enumerate(peaks):
                    rise = out_current[o] - out_voltage[o]
                    if rise > 0 >= rise + model.out[neuron, o]:
                        found.append(_Peak(out_voltage[o], now, len(events) - 1, rise, rise + model.out[neuron, o]))
                out_current = out_current + model.out[neuron]
            states.append(_State(voltage.copy(), current, out_voltage, out_current))

    def _read(
        self,
        events: list[_Event],
        logits: np.ndarray,
        peaks: list[list[_Peak]],
        outputs: _Pair,
        objective: ExactObjective,
    ) -> np.ndarray:
        """Return what is read of the outputs at the end of the trial, where a maximum may lie, too."""
        if objective.readout == "max":
            for found, voltage, current in zip(peaks, *outputs, strict=True):
                if current > voltage:
                    found.append(_Peak(voltage, self.network.trial_ms))
            return np.array([_highest(found).value for found in peaks])
        if objective.readout == "first_spike":
            times = np.full(self.network.outputs, self.network.trial_ms)
            for place in _first_spikes(events, self._hidden):
                times[events[place].unit - self._hidden] = events[place].time_ms
            return times
        return logits

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

    def _shaped(self, start_ms: float, end_ms: float, weight: _Weight | None) -> tuple[np.ndarray, np.ndarray]:
        """Return durations since ``start`` [Q, 1], and quadrature weights times w [..., Q], of integrals to ``end``."""
        assert weight is not None
        times, weights = self._pieces(start_ms, end_ms)
        return (times - start_ms)[:, None], weights * weight(times / self.network.trial_ms)

    def _integrate_output(
        self, voltage: np.ndarray, current: np.ndarray, over: _Constants, start_ms: float, end_ms: float,
        weight: _Weight | None,
    ) -> np.ndarray:  # fmt: skip
        """Return (1/T) times the integral of w V_o over [start, end], [O]; or of several w, [K, O]."""
        durations, shaped = self._shaped(start_ms, end_ms, weight)
        response = coefficients(durations, *over)
        return shaped @ (response.a * voltage + response.c * current) / self.network.trial_ms

    def _backward(
        self, weights: Weights, trial: _Trial, slopes: np.ndarray, penalty: np.ndarray, objective: ExactObjective,
        totals: Weights,
    ) -> None:  # fmt: skip
        """Add the gradients of a trial; ``slopes`` are the derivatives of the mean loss by ``trial.values``."""
        model = self._model(weights, objective)
        gradients = np.zeros_like(model.into), np.zeros_like(model.within), np.zeros_like(model.out)
        by_inner, by_outputs = np.zeros((2, len(model.within))), np.zeros((2, model.out.shape[1]))
        tau_syn, out_tau_syn = model.inner.tau_syn_ms, model.outputs.tau_syn_ms
        lam_v, lam_i = np.zeros((2, len(model.within)))
        own = np.zeros(len(model.within))  # lamV I at the restart that follows
        out_v, out_i = np.zeros((2, model.out.shape[1]))
        now, learned = self.network.trial_ms, any(map(is_time_constant, weights))
        peaks = [_highest(found) for found in trial.peaks]
        timing = self._timing(trial, peaks, slopes, model, objective)
        for place, (event, state) in reversed(list(enumerate(zip(trial.events, trial.states, strict=True)))):
            duration, out_state = now - event.time_ms, (state.out_voltage, state.out_current)
            if learned:
                by_inner += _by_constants(state.voltage, state.current, lam_v, lam_i, duration, model.inner)
                by_outputs += _by_constants(*out_state, out_v, out_i, duration, model.outputs)
            lam_v, lam_i = _retreat(lam_v, lam_i, duration, model.inner)
            out_v, out_i = _retreat(out_v, out_i, duration, model.outputs)
            if objective.readout == "sum":
                drive = -slopes / self.network.trial_ms
                shaped = self._shaped(event.time_ms, now, objective.weight)
                driven = _driven(out_state, drive, shaped, model.outputs, learned)
            else:
                driven = _driven_by_peaks(out_state, slopes, event.time_ms, now, peaks, model.outputs)
            out_v, out_i, by_outputs = out_v + driven[0], out_i + driven[1], by_outputs + driven[2:]
            now = event.time_ms
            if event.kind == "input":
                gradients[0][event.unit] -= tau_syn * lam_i
                continue
            j = event.unit
            if event.kind == "restart":
                own[j], lam_v[j] = lam_v[j] * state.current[j], 0.0
                continue
            gradients[1][j] -= tau_syn * lam_i
            gradients[2][j] -= out_tau_syn * out_i
            flow = model.within[j] @ (lam_v - lam_i) + model.out[j] @ (out_v - out_i) + timing[place]
            if self._refractory_ms == 0:
                own[j] = lam_v[j] * (event.denominator + 1.0)
            lam_v[j] = (own[j] + flow) / event.denominator - penalty[j]
            for o, peak in enumerate(peaks):  # the maximum at a kink lies before what the spike does
                if peak.event == place:
                    out_v[o] -= slopes[o] / model.outputs.tau_mem_ms[o]
        for name, view in self._views(*gradients).items():
            totals[name] += view
        self._add_time_constants(np.hstack([by_inner, by_outputs]), totals)

    def _timing(
        self, trial: _Trial, peaks: list[_Peak], slopes: np.ndarray, model: _Model, objective: ExactObjective
    ) -> np.ndarray:
        """Return the derivative of the mean loss by the time of each event, beyond what flows through the adjoints."""
        timing = np.zeros(len(trial.events))
        if objective.readout == "max":
            for slope, peak, tau_mem_ms in zip(slopes, peaks, model.outputs.tau_mem_ms, strict=True):
                if peak.event >= 0:
                    timing[peak.event] += slope * peak.rise / tau_mem_ms
        if objective.readout == "first_spike":
            for place in _first_spikes(trial.events, self._hidden):
                timing[place] = slopes[trial.events[place].unit - self._hidden]
        return timing

    def _add_time_constants(self, by_neuron: np.ndarray, totals: Weights) -> None:
        """Add gradients of the time constants, [2, J + O], where they are among the weights."""
        parts = [by_neuron[:, layer] for layer in [*self._layers, slice(self._hidden, None)]]
        for population, part in zip(populations(self.network), parts, strict=True):
            for kind, gradient in zip(TIME_CONSTANTS, part, strict=True):
                total = totals.get(f"{population}_{kind}", None)
                if total is not None:
                    total += gradient if len(total) > 1 else gradient.sum()


def _voltage(duration_ms: float, voltage: float, current: float, tau_mem_ms: float, tau_syn_ms: float) -> float:
    """Return the voltage after ``duration_ms``: a V + c I of `equations`, in plain numbers, for the sake of speed."""
    u = duration_ms / tau_syn_ms - duration_ms / tau_mem_ms
    mean = 1.0 if u == 0 else -math.expm1(-u) / u
    return math.exp(-duration_ms / tau_mem_ms) * (voltage + duration_ms / tau_mem_ms * mean * current)


def _above(duration_ms: float, voltage: float, current: float, tau_mem_ms: float, tau_syn_ms: float) -> float:
    """Return how far the voltage is above threshold after ``duration_ms``."""
    return _voltage(duration_ms, voltage, current, tau_mem_ms, tau_syn_ms) - 1.0


def _advance(voltage: np.ndarray, current: np.ndarray, duration_ms: float, constants: _Constants) -> _Pair:
    over = coefficients(duration_ms, *constants)
    return over.a * voltage + over.c * current, over.b * current


def _smooth_peak(
    start_ms: float, end_ms: float, voltage: float, current: float, tau_mem_ms: float, tau_syn_ms: float
) -> list[_Peak]:
    """Return the maximum of an output's voltage between two events, if there is one: where I = V."""

    start = voltage, current, tau_mem_ms, tau_syn_ms

    def slope(duration_ms: float) -> float:
        return math.exp(-duration_ms / tau_syn_ms) * current - _voltage(duration_ms, *start)

    # (I - V) exp(t / tau_mem) is monotone: it changes its sign once at most
    if not (current > voltage and slope(end_ms - start_ms) < 0):
        return []
    duration = brentq(slope, 0.0, end_ms - start_ms, xtol=1e-14, rtol=1e-15)
    return [_Peak(_voltage(duration, *start), start_ms + duration)]


def _driven(out_state: _Pair, drive: np.ndarray, shaped: _Pair, over: _Constants, learned: bool) -> np.ndarray:
    """Return what the drive w (y - p) / (T B) between two events adds, float64[4, O].

    To the outputs' adjoints lamV and lamI at the first, and to the gradients of their time constants if ``learned``.
    """
    response = coefficients(shaped[0], *over)
    lam_v = drive * (shaped[1] @ response.a) / over.tau_mem_ms
    lam_i = drive * (shaped[1] @ response.c) / over.tau_syn_ms
    moved = _by_constants_driven(*out_state, drive, shaped, over) if learned else np.zeros((2, len(drive)))
    return np.vstack([lam_v, lam_i, moved])


def _driven_by_peaks(
    out_state: _Pair, slopes: np.ndarray, start_ms: float, end_ms: float, peaks: list[_Peak], over: _Constants
) -> np.ndarray:
    """Return what the maxima that lie between two events (kinks not: these are at events) add; see `_driven`."""
    added = np.zeros((4, len(over.tau_mem_ms)))
    for o, peak in enumerate(peaks):
        if peak.event < 0 and start_ms < peak.time_ms <= end_ms:
            constants, push = _Constants(*(x[o] for x in over)), -slopes[o] / over.tau_mem_ms[o]
            before = peak.time_ms - start_ms
            added[:2, o] = _retreat(push, 0.0, before, constants)
            added[2:, o] = _by_constants(out_state[0][o], out_state[1][o], push, 0.0, before, constants)
    return added


def _highest(peaks: list[_Peak]) -> _Peak:
    """Return the maximum, the first of equals."""
    return max(peaks, key=lambda peak: peak.value)


def _lead(peaks: list[_Peak]) -> float:
    """Return how far an output's maximum is from jumping to another, or from being a kink or none (`conditioning`)."""
    *others, best = sorted(peaks)
    return min(50 * (best.value - others[-1].value) if others else np.inf, 100 * best.rise, -100 * best.fall)


def _gap(trial: _Trial, first: int) -> float:
    """Return the least time between a hidden spike (neurons before ``first``) and what is read of an output."""
    read = [(event.time_ms, -1) for event in trial.events if event.kind == "spike" and event.unit >= first]
    read += [(peak.time_ms, peak.event) for peak in map(_highest, trial.peaks)]
    hidden = [(n, e.time_ms) for n, e in enumerate(trial.events) if e.kind == "spike" and e.unit < first]
    return min((abs(time - when) for time, own in read for n, when in hidden if n != own), default=np.inf)


def _first_spikes(events: list[_Event], first: int) -> list[int]:
    """Return which events are spikes of the neurons from ``first`` on, of which each fires once at most."""
    return [place for place, event in enumerate(events) if event.kind == "spike" and event.unit >= first]


def _retreat(lam_v: Values, lam_i: Values, duration_ms: float, constants: _Constants) -> _Pair:
    """Take adjoints back over a time without events or drive."""
    over = coefficients(duration_ms, *constants)
    return over.a * lam_v, over.b * lam_i + over.k * lam_v


def _by_constants(
    voltage: np.ndarray, current: np.ndarray, lam_v: Values, lam_i: Values, duration_ms: float, constants: _Constants
) -> np.ndarray:
    """Return what a time between events adds to the gradients of tau_mem and tau_syn, [2, J].

    The propagator over the whole duration is exact, and so is its derivative: state at the start, adjoints at the end.
    """
    sums = Products(lam_v * (voltage - current), lam_v * current, lam_i * current)
    return np.stack(time_constant_gradients(duration_ms, *constants, sums))


def _by_constants_driven(
    voltage: np.ndarray, current: np.ndarray, drive: np.ndarray, shaped: _Pair, constants: _Constants
) -> np.ndarray:
    """Return what the drive w (y - p) / (T B) in a time between events adds to those of the outputs, [2, O].

    dL/dV is minus the drive at every moment; ``shaped`` are durations and weights of the integral.
    """
    durations, weights = shaped
    moved = derivatives(durations, *constants)
    by_mem = weights @ (moved.a_mem * voltage + moved.c_mem * current)
    return -drive * np.stack([by_mem, weights @ (moved.c_syn * current)])

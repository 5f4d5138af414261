"""Neurons by themselves, for the background of the report: nothing that is trained uses them.

All are driven by a current that is constant piece by piece, given as ``[(from_ms, current), ...]``, and integrated by
SciPy between its steps and the neuron's own resets.

Hodgkin & Huxley 1952 (J. Physiol. 117, 500-544), in today's signs, squid axon at 6.3 degrees Celsius; V in mV, currents
in uA/cm^2, conductances in mS/cm^2:

    C V' = I - g_Na m^3 h (V - E_Na) - g_K n^4 (V - E_K) - g_L (V - E_L),    x' = alpha_x(V) (1 - x) - beta_x(V) x

Leaky integrate-and-fire:

    tau V' = V_rest - V + R I,    a spike and V = V_reset where V reaches V_threshold

Izhikevich 2003 (IEEE Trans. Neural Netw. 14, 1569-1572), dimensionless but for ms and mV:

    V' = 0.04 V^2 + 5 V + 140 - U + I,    U' = a (b V - U),    a spike, V = c and U = U + d where V reaches 30
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Steps = Sequence[tuple[float, float]]
"""A current by pieces: from when on (ms) it has which value, the first from 0 on."""

SAMPLES_PER_MS = 20


class Trace(NamedTuple):
    """What a neuron does.

    Attributes:
        times_ms: float64[n].
        voltage_mv: float64[n]; at a reset both values stand at one time.
        spikes_ms: float64[k], times of the spikes.
    """

    times_ms: np.ndarray
    voltage_mv: np.ndarray
    spikes_ms: np.ndarray


class LeakyIntegrateAndFire(NamedTuple):
    """Constants of a leaky integrate-and-fire neuron: ms, mV, and MOhm (currents in nA)."""

    tau_ms: float = 10.0
    rest_mv: float = -65.0
    reset_mv: float = -65.0
    threshold_mv: float = -50.0
    resistance_mohm: float = 10.0


class Izhikevich(NamedTuple):
    """Constants of Izhikevich's neuron, and the current that shows what they do."""

    a: float
    b: float
    c: float
    d: float
    current: Steps = ((0.0, 0.0), (20.0, 10.0))


PATTERNS = {
    "regular spiking": Izhikevich(0.02, 0.2, -65.0, 8.0),
    "intrinsically bursting": Izhikevich(0.02, 0.2, -55.0, 4.0),
    "chattering": Izhikevich(0.02, 0.2, -50.0, 2.0),
    "fast spiking": Izhikevich(0.1, 0.2, -65.0, 2.0),
    "low-threshold spiking": Izhikevich(0.02, 0.25, -65.0, 2.0),
    "thalamo-cortical, released": Izhikevich(0.02, 0.25, -65.0, 0.05, ((0.0, -10.0), (60.0, 0.0))),
}
"""The cortical and thalamic patterns of Izhikevich 2003, figure 2, by name."""

RESTING_MV = -65.0
SODIUM, POTASSIUM, LEAK = (120.0, 50.0), (36.0, -77.0), (0.3, -54.387)
"""Conductances (mS/cm^2) and reversal potentials (mV)."""

_PEAK_MV = 30.0


def gates(voltage_mv: float) -> tuple[np.ndarray, np.ndarray]:
    """Return opening and closing rates (1/ms) of the gates m, h and n: two float64[3]."""
    v = voltage_mv
    opening = [_rate(v + 40), 0.07 * math.exp(-(v + 65) / 20), 0.1 * _rate(v + 55)]
    closing = [4 * math.exp(-(v + 65) / 18), 1 / (1 + math.exp(-(v + 35) / 10)), 0.125 * math.exp(-(v + 65) / 80)]
    return np.array(opening), np.array(closing)


def _rate(x: float) -> float:
    """Return 0.1 x / (1 - exp(-x / 10)), 1 where it is 0 / 0."""
    return 0.1 * x / -math.expm1(-x / 10) if abs(x) > 1e-9 else 1.0


def hodgkin_huxley_flow(state: np.ndarray, current: float) -> np.ndarray:
    """Return the time derivative of (V, m, h, n): float64[4], per ms."""
    v, m, h, n = state
    opening, closing = gates(v)
    ionic = SODIUM[0] * m**3 * h * (v - SODIUM[1]) + POTASSIUM[0] * n**4 * (v - POTASSIUM[1]) + LEAK[0] * (v - LEAK[1])
    return np.array([current - ionic, *(opening * (1 - state[1:]) - closing * state[1:])])


def at_rest(current: float = 0.0) -> np.ndarray:
    """Return the state (V, m, h, n) in which a constant current leaves a Hodgkin-Huxley neuron: float64[4]."""
    from scipy.optimize import brentq

    def steady(voltage_mv: float) -> np.ndarray:
        opening, closing = gates(voltage_mv)
        return np.array([voltage_mv, *(opening / (opening + closing))])

    voltage_mv = brentq(lambda v: hodgkin_huxley_flow(steady(v), current)[0], -100.0, 30.0, xtol=1e-10)
    return steady(voltage_mv)


def hodgkin_huxley(current: Steps, duration_ms: float) -> Trace:
    """Return the response of a Hodgkin-Huxley neuron at rest to a current in uA/cm^2; spikes cross 0 mV upwards."""
    return _integrated(hodgkin_huxley_flow, at_rest(), current, duration_ms, 0.0, None)


def leaky_integrate_and_fire(
    current: Steps, duration_ms: float, constants: LeakyIntegrateAndFire | None = None
) -> Trace:
    """Return the response of a leaky integrate-and-fire neuron at rest to a current in nA."""
    own = constants or LeakyIntegrateAndFire()

    def flow(state: np.ndarray, current: float) -> np.ndarray:
        return (own.rest_mv - state + own.resistance_mohm * current) / own.tau_ms

    start = np.array([own.rest_mv])
    return _integrated(flow, start, current, duration_ms, own.threshold_mv, lambda _: np.array([own.reset_mv]))


def izhikevich(constants: Izhikevich, duration_ms: float, current: Steps | None = None) -> Trace:
    """Return the response of Izhikevich's neuron, at rest without current, to a current (its own if not given)."""
    a, b, c, d, own = constants

    def flow(state: np.ndarray, current: float) -> np.ndarray:
        v, u = state
        return np.array([0.04 * v**2 + 5 * v + 140 - u + current, a * (b * v - u)])

    def reset(state: np.ndarray) -> np.ndarray:
        return np.array([c, state[1] + d])

    rest_mv = (b - 5 - math.sqrt((5 - b) ** 2 - 0.16 * 140)) / 0.08  # the lower root of 0.04 v^2 + (5 - b) v + 140
    return _integrated(flow, np.array([rest_mv, b * rest_mv]), current or own, duration_ms, _PEAK_MV, reset)


def _integrated(
    flow: Callable[[np.ndarray, float], np.ndarray],
    state: np.ndarray,
    current: Steps,
    duration_ms: float,
    threshold_mv: float,
    reset: Callable[[np.ndarray], np.ndarray] | None,
) -> Trace:
    """Integrate piece by piece: up to a step of the current, a spike that resets the state, or the end."""
    from scipy.integrate import solve_ivp

    def crosses(_t: float, state: np.ndarray) -> float:
        return state[0] - threshold_mv

    crosses.terminal, crosses.direction = reset is not None, 1.0  # type: ignore[attr-defined]  # as SciPy has it
    ends = [*(start for start, _ in current[1:]), duration_ms]
    times, voltages, spikes, now = [], [], [], 0.0
    for end, (_, value) in zip(ends, current, strict=True):
        while now < end:
            samples = np.linspace(now, end, max(2, int((end - now) * SAMPLES_PER_MS)))
            found = solve_ivp(
                lambda _t, y, value=value: flow(y, value), (now, end), state, method="LSODA", t_eval=samples,
                events=crosses, rtol=1e-8, atol=1e-8,
            )  # fmt: skip
            at = found.t_events[0]
            spikes.extend(at)
            times.append(found.t)
            voltages.append(found.y[0])
            if reset is None or not len(at):
                now, state = end, found.y[:, -1]
                continue
            # the spike itself, then the state after it
            now, state = float(at[-1]), reset(found.y_events[0][-1])
            times.append(np.array([now, now]))
            voltages.append(np.array([threshold_mv, state[0]]))
    return Trace(np.concatenate(times), np.concatenate(voltages), np.array(spikes))

"""The equations that all engines compute.

The discrete dynamics, with
a = exp(-D/tau_mem), b = exp(-D/tau_syn), c = tau_syn / (tau_mem - tau_syn) (a - b), state before step n = 0..N-1:

    V' = a V[n] + c I[n];  spike s[n] if V' >= 1, with denominator Z = I[n] - V';  V[n+1] = 0 after a spike, else V'
    I[n+1] = b I[n] + sum of the weights of what fired in step n (inputs: in step n - delay)
    S_o = sum_n w(n/N) V_o[n] D/T

and backward, with k = tau_mem / (tau_mem - tau_syn) (a - b), from lamV[N] = lamI[N] = 0:

    at a spike s[n]:  lamV[n+1] += (lamV[n+1] + R) / Z - lambda (count - target)/B
                      R = sum_post w (p lamV_post[n+1] - q lamI_post[n+1]), values before the jumps of this step
    lamI[n] = b lamI[n+1] + k lamV[n+1];  lamV[n] = a lamV[n+1]
    outputs in addition: lamV_o[n] += w(n/N) (y_o - p_o) D / (tau_mem T B)
    dL/dw = -tau_syn sum over presynaptic spikes s[n] of lamI[n+1]

All coefficients and time constants are those of the neuron whose V, I, lamV and lamI stand beside them (in R, in the
drive and in dL/dw: the postsynaptic one). Where time constants are among the weights, their gradients are, with
lamV[n+1] after the jumps of step n,

    dL/dtau_mem = -sum_n tau_mem lamV[n+1] (V[n] da/dtau_mem + I[n] dc/dtau_mem)
    dL/dtau_syn = -sum_n (tau_mem lamV[n+1] I[n] dc/dtau_syn + tau_syn lamI[n+1] I[n] db/dtau_syn)

This is the chain rule: dL/dV' = -tau_mem lamV[n+1] and dL/dI[n+1] = -tau_syn lamI[n+1], and V' and I[n+1] move by what
the coefficients of the step move by. In a step with a spike the coefficients move V' before the reset, and the jump has
made lamV[n+1] the adjoint of just that; the next step starts from V = 0. As D goes to 0 these are the integrals of
lamV dV/dt (without the resets) and of -lamI I / tau_syn. A constant that a population shares has the sum of its
neurons' gradients.

Where the weight is learned, S_o being linear in it,

    dL/dw(n/N) = sum over samples and outputs of (p_o - y_o) V_o[n] D / (T B)

Between spikes this is the transpose of the forward step, so gradients of the output weights are those of the discrete
loss itself; the jump is Eventprop's (Wunderlich & Pehle 2021), exact as D goes to 0. In continuous time R has
lamV - lamI, which is -tau_syn dlamI/dt. Here it is what lamI changes by over a step, with p = k tau_syn / D and
q = (1 - b) tau_syn / D (both 1 as D goes to 0): under a weighting that hardly changes within tau_syn the two terms
nearly cancel, and p = q = 1 would leave a rest of 2.5 % of lamV at the published step, several times the gradient
itself. The published code divides the output drive by tau_mem once more; here gradients are the true ones.

With a refractory period of r steps, a neuron that fires in step n is held: V[n+1] = .. = V[n+1+r] = 0, while its
current goes on. Nothing flows from V while it is held, and the restart moves with the spike, by which V gains or loses
what the current brings in that time. In continuous time, with the spike at t and the restart at t + rho,

    lamV(t-) = (lamV(t + rho) I(t + rho) + R) / (I(t) - theta) - lambda (count - target)/B,  lamV = 0 in between

and on the grid, where lamV[n+1+r] has been taken away from the neuron by then,

    at a spike s[n]:  lamV[n+1] = (lamV[n+1+r] I[n+r] + R) / Z - lambda (count - target)/B,  lamV[n+1] .. lamV[n+r] = 0

(the R of other spikes sees lamV[n+1+r] still; where the trial ends before the restart, 0 stands for it). Without a
refractory period I[n] = Z + V', and V' is 1 but for the overshoot that the reset drops: the jump above.

The grid has a refractory period of its own: a crossing lies anywhere in its step and the restart at its end, half a
step later in the mean. What is trained at step D is therefore computed at finer steps by a network whose refractory
period is longer by D/2 (`network.at_step` with `dead_time`; measured in docs/measurements/time_step_causes.csv).

That is the readout `sum`. With `max`, S_o = max_n V_o[n], at the step m (the first of equals), and

    outputs:  lamV_o[m] += g_o,  g_o = (y_o - p_o) / (tau_mem B)             (published: divided by T)

again the gradient of the discrete loss in the output weights. R needs care where a spike makes the maximum: inhibition
that ends the rise of V_o puts a kink there, and moving the spike moves the maximum along the rise. By the definition of
S_o, dL/dt = -g_o (I_o - V_o) with the current before the arrival, and not w g_o, which R would take from lamV_o (the
spike acts after the maximum, not before it). Without the arrivals of step m - 1 the voltage would go on to
U = a V_o[m] + c b I_o[m-1]; if U > V_o[m] >= V_o[m+1] then g_o counts in R of these spikes only by the share

    r = (U - V_o[m]) / (U - V_o[m+1]),  lamV_o[m] in R: lamV_o[m] - (1 - r) g_o;  elsewhere r = 1.

As D goes to 0 a spike alone gets w r g = -g (I - V), exactly. Of several in one step those before the kink should get
w g, the others nothing: in unknown order, r is the part of them that comes before, and their sum is again the
derivative by moving all at once. The published code has no such term.

With `first_spike` the outputs are a layer like the hidden ones, without recurrence, regulariser or a layer above; for
the first spike of output o, in step n (its time is n D), R = dL/dt_o, that of the mean loss.
"""

from typing import NamedTuple

import numpy as np

from eventspeech.losses import Objective
from eventspeech.network import TIME_CONSTANTS, Weights

DENOMINATOR_FLOOR = 1e-2
"""Lower bound of Z in units of the threshold. On the grid Z >= (1 - a)/c - 1, about D / (2 tau_syn), which is 0.1 for
the published step and time constants, so the bound can act only where tau_syn is 50 steps or more; its uses are
counted."""


Values = np.ndarray | float
"""A number or an array of any shape."""


class Coefficients(NamedTuple):
    """The coefficients of the module's equations, float64, in the shape that step and time constants broadcast to."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    k: np.ndarray
    p: np.ndarray
    q: np.ndarray


class Derivatives(NamedTuple):
    """Derivatives of the coefficients, per ms: a and c by tau_mem, b and c by tau_syn."""

    a_mem: np.ndarray
    c_mem: np.ndarray
    b_syn: np.ndarray
    c_syn: np.ndarray


class Products(NamedTuple):
    """What the gradients of time constants are made of, summed over steps, of each neuron.

    V - I instead of V, since da/dtau_mem and dc/dtau_mem nearly cancel, which single precision would not survive.

    Attributes:
        drift: lamV (V - I).
        charge: lamV I.
        current: lamI I.
    """

    drift: np.ndarray
    charge: np.ndarray
    current: np.ndarray


def coefficients(step_ms: Values, tau_mem_ms: Values, tau_syn_ms: Values) -> Coefficients:
    """Return the coefficients for steps (also of zero) and time constants in ms, numbers or arrays."""
    a, b = np.exp(-step_ms / tau_mem_ms), np.exp(-step_ms / tau_syn_ms)
    # p = (a - b) / (D/tau_syn - D/tau_mem), without cancellation where the time constants are (nearly) equal
    p = a * _mean_of_exponential(step_ms / tau_syn_ms - step_ms / tau_mem_ms)
    q = _mean_of_exponential(step_ms / tau_syn_ms)
    return Coefficients(a, b, p * step_ms / tau_mem_ms, p * step_ms / tau_syn_ms, p, q)


def derivatives(step_ms: Values, tau_mem_ms: Values, tau_syn_ms: Values) -> Derivatives:
    """Return the derivatives of the coefficients by the time constants.

    With x = D/tau_mem, y = D/tau_syn and c = x p, p = integral of exp(-x (1 - s) - y s) over s in [0, 1]:
    dp/dx and dp/dy are minus the same integral with the factor 1 - s or s.
    """
    x, y = step_ms / tau_mem_ms, step_ms / tau_syn_ms
    a, b = np.exp(-x), np.exp(-y)
    mean, moment = a * _mean_of_exponential(y - x), a * _moment_of_exponential(y - x)
    c_by_x, c_by_y = mean - x * (mean - moment), -x * moment
    return Derivatives(a * x / tau_mem_ms, -c_by_x * x / tau_mem_ms, b * y / tau_syn_ms, -c_by_y * y / tau_syn_ms)


def time_constant_gradients(
    step_ms: Values, tau_mem_ms: Values, tau_syn_ms: Values, sums: Products
) -> tuple[np.ndarray, np.ndarray]:
    """Return dL/dtau_mem and dL/dtau_syn (per ms) of each neuron, [H], by the module's equations."""
    a_mem, c_mem, b_syn, c_syn = derivatives(step_ms, tau_mem_ms, tau_syn_ms)
    by_mem = -tau_mem_ms * (a_mem * sums.drift + (a_mem + c_mem) * sums.charge)
    return by_mem, -(tau_mem_ms * c_syn * sums.charge + tau_syn_ms * b_syn * sums.current)


def set_time_constant_gradients(
    gradients: Weights, population: str, step_ms: float, constants_ms: tuple[np.ndarray, np.ndarray], sums: Products
) -> None:
    """Turn sums over samples and steps into the gradients of those time constants that ``gradients`` has."""
    found = time_constant_gradients(step_ms, *constants_ms, sums)
    for kind, gradient in zip(TIME_CONSTANTS, found, strict=True):
        total = gradients.get(f"{population}_{kind}")
        if total is not None:
            total[:] = gradient if len(total) > 1 else gradient.sum()


def weighting_gradient(slopes: np.ndarray, voltages: np.ndarray) -> np.ndarray:
    """Return dL/dw(n/N), float64[N], of a batch.

    Args:
        slopes: float64[B, O], p - y, the derivatives of each sample's loss by S_o.
        voltages: float32 or float64[B, N, O], V_o before each step.
    """
    samples, steps, _ = voltages.shape
    return np.einsum("so,sno->n", slopes, voltages) / (steps * samples)  # in one order, whatever the threads


def count_penalty(counts: np.ndarray, objective: Objective) -> np.ndarray:
    """Return what the regulariser takes from lamV at each spike, [B, H], for the counts of a batch, int64[B, H]."""
    seen = np.broadcast_to(counts.mean(axis=0), counts.shape) if objective.regulariser_batch else counts
    return objective.regulariser_strength * (seen - objective.regulariser_target) / len(counts)


def _mean_of_exponential(u: Values) -> np.ndarray:
    """Return the integral of exp(-u s) over s in [0, 1]: (1 - exp(-u)) / u."""
    safe = np.where(u == 0, 1.0, u)
    return np.where(u == 0, 1.0, -np.expm1(-safe) / safe)


def _moment_of_exponential(u: Values) -> np.ndarray:
    """Return the integral of s exp(-u s) over s in [0, 1]: (1 - (1 + u) exp(-u)) / u^2."""
    u = np.asarray(u, np.float64)
    # where this cancels, its series: sum of (-u)^n / (n! (n + 2)); for |u| < 1 eighteen terms are exact
    small = np.abs(u) < 1
    near, series, term = np.where(small, u, 0.0), np.zeros_like(u), np.ones_like(u)
    for n in range(18):
        series += term / (n + 2)
        term = term * -near / (n + 1)
    far = np.where(small, 1.0, u)
    return np.where(small, series, (_mean_of_exponential(far) - np.exp(-far)) / far)

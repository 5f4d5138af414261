"""The contract of an engine: weights, a batch and an objective in; loss, logits and exact gradients out.

An engine is pure: its results depend on its arguments alone, nothing is left over from the batch before.
Optimiser, augmentation, schedule and checkpoints live outside. The discrete dynamics that all engines share, with
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

Between spikes this is the transpose of the forward step, so gradients of the output weights are those of the discrete
loss itself; the jump is Eventprop's (Wunderlich & Pehle 2021), exact as D goes to 0. In continuous time R has
lamV - lamI, which is -tau_syn dlamI/dt. Here it is what lamI changes by over a step, with p = k tau_syn / D and
q = (1 - b) tau_syn / D (both 1 as D goes to 0): under a weighting that hardly changes within tau_syn the two terms
nearly cancel, and p = q = 1 would leave a rest of 2.5 % of lamV at the published step, several times the gradient
itself. The published code divides the output drive by tau_mem once more; here gradients are the true ones.
"""

from typing import NamedTuple, Protocol

import numpy as np

from eventspeech.data.batches import Batch
from eventspeech.network import Network, Weights

DENOMINATOR_FLOOR = 1e-2
"""Lower bound of Z in units of the threshold. On the grid Z >= (1 - a)/c - 1, which is 0.1 for the published step and
time constants, so the bound can act only for steps of some tenth of a millisecond or less; its uses are counted."""


class Objective(NamedTuple):
    """What is minimised.

    Attributes:
        weighting: float64[N], w(n/N).
        regulariser_strength: lambda, of true gradients (published values times tau_mem in ms).
        regulariser_target: spikes per neuron and trial.
        regulariser_batch: the count is the mean over the batch (else the sample's own).
    """

    weighting: np.ndarray
    regulariser_strength: float = 0.0
    regulariser_target: float = 14.0
    regulariser_batch: bool = True


class Inference(NamedTuple):
    """Result of a forward pass of ``B`` samples.

    Attributes:
        logits: [B, O].
        losses: float64[B], cross-entropy of each sample.
        predictions: int64[B].
        spike_counts: one int64[B, H] per hidden layer.
    """

    logits: np.ndarray
    losses: np.ndarray
    predictions: np.ndarray
    spike_counts: tuple[np.ndarray, ...]


class Gradients(NamedTuple):
    """Result of a forward and a backward pass.

    Attributes:
        inference: of the same weights and batch.
        weights: gradient of the mean loss (and the regulariser) for every connection.
        floored: how many denominators were bounded from below.
    """

    inference: Inference
    weights: Weights
    floored: int


class Recording(NamedTuple):
    """Activity of a batch, for figures.

    Attributes:
        inference: as of `infer`.
        hidden: for each layer the spikes, in the form of a batch (``channels`` are the neurons).
        output_voltage: float32[B, N, O], before each step.
    """

    inference: Inference
    hidden: tuple[Batch, ...]
    output_voltage: np.ndarray


class Engine(Protocol):
    """What the stages need of an engine."""

    name: str
    network: Network

    def infer(self, weights: Weights, batch: Batch, objective: Objective) -> Inference:
        """Run the batch forward."""

    def gradients(self, weights: Weights, batch: Batch, objective: Objective) -> Gradients:
        """Run the batch forward and backward, with the same weights."""

    def record(self, weights: Weights, batch: Batch, objective: Objective) -> Recording:
        """Run the batch forward and keep what it did."""


class Coefficients(NamedTuple):
    """The coefficients of the module's equations."""

    a: float
    b: float
    c: float
    k: float
    p: float
    q: float


def coefficients(step_ms: float, tau_mem_ms: float, tau_syn_ms: float) -> Coefficients:
    """Return the coefficients for a step, with the limit for equal time constants."""
    a, b = float(np.exp(-step_ms / tau_mem_ms)), float(np.exp(-step_ms / tau_syn_ms))
    # (a - b) / (1/tau_syn - 1/tau_mem) without cancellation: D exp(-D/tau_mem) (1 - exp(-u)) / u
    u = step_ms * (1.0 / tau_syn_ms - 1.0 / tau_mem_ms)
    shared = step_ms * a * (1.0 if u == 0 else float(-np.expm1(-u) / u))
    k = shared / tau_syn_ms
    # for a step of zero (two events at once, in the exact solver) p = q = 1
    rate = tau_syn_ms / step_ms if step_ms > 0 else 0.0
    q = -rate * float(np.expm1(-step_ms / tau_syn_ms)) if step_ms > 0 else 1.0
    return Coefficients(a, b, shared / tau_mem_ms, k, rate * k if step_ms > 0 else 1.0, q)

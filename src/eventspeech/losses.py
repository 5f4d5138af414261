r"""The losses: what is read of the outputs, and the cross-entropy of it.

With x = t/T in [0, 1] and output voltages V_o(t), the logits are

    S_o = (1/T) \int_0^T w(t/T) V_o(t) dt,

the loss is the cross-entropy of softmax(S), mean over the batch, and the prediction is argmax S.

    sum          w(x) = 1
    exponential  w(x) = exp(-x)                                       (Nowotny, Turner & Knight 2025)
    linear       w(x) = 1 - x
    sigmoid      w(x) = 1 / (1 + exp((x - centre) / width))           (published: centre 0.5, width 0.2)
    gaussian     w(x) = gain [offset + slope (x - centre) exp(-(x - centre)^2 / (2 width^2))]
                 the study's bump; the thesis writes a - b x exp(-x^2 / (2 c^2))
    bell         w(x) = height exp(-(x - centre)^2 / (2 width^2))
    learned      w(x) = a cubic spline that is never negative, learned with the network (:mod:`eventspeech.spline`)

Each can be scaled to a given mean over [0, 1] (`mean_weight`): the mean weight sets how sharp the softmax is and how
strong the regulariser is beside it, so shapes of unequal mean differ by more than their shape. The learned weight keeps
its mean, given or that of its start, whatever it becomes: its free numbers theta decide when to listen, not how loud.
They follow the gradient of the same loss, dL/dtheta = (1/T) \int dw/dtheta \sum_o (p_o - y_o) V_o dt, mean over the
batch, and are kept as float32[K + 2] among a model's weights, under the name `learned_weight`.

Two losses weigh no voltage (both published beside the sums; neither takes `mean_weight`):

    max          S_o = max_t V_o(t), from V_o(0) = 0 on, then as above
    first_spike  outputs are spiking neurons like the hidden ones, t_o is the time of the first spike of output o, or T
                 if it has none; S_o = -t_o / tau0, and the loss of a sample with label l is the cross-entropy of
                 softmax(S) plus alpha (exp(t_l / tau1) - 1); published: tau0 1 ms, tau1 100 ms, alpha 5e-5.
                 The prediction is the output that spikes first.

Equal logits (outputs that spike in the same step, or not at all) predict the first class among them. An output without
a spike has no derivative; the published code gives that of the label a push of its own, which is left out here.
Published gradients of the sums are the true ones divided by tau_mem, those of `max` divided by T (both in ms), those of
`first_spike` are the true ones: strengths of the regulariser and Adam's epsilon belong to these scales.
"""

import functools
from typing import Literal, NamedTuple

import numpy as np

from eventspeech import spline
from eventspeech.errors import ParameterError
from eventspeech.params import SHAPE_DEFAULTS, WEIGHTED, Regulariser, Shape

_PANELS, _NODES = 256, 8

LEARNED = "learned_weight"
"""Name of theta among the weights that are learned."""

STARTS = {"exponential": Shape(kind="exponential"), "flat": Shape(kind="sum")}
"""The weights that a learned one may start from."""

Readout = Literal["sum", "max", "first_spike"]
"""What is read of the outputs."""


class FirstSpike(NamedTuple):
    """Constants of the readout `first_spike`: see the module's text."""

    tau0_ms: float
    tau1_ms: float
    alpha: float


class Objective(NamedTuple):
    """What is minimised; :func:`objective` makes it.

    Attributes:
        weighting: float64[N], w(n/N); None unless the readout is `sum`.
        regulariser_strength: lambda, of true gradients (published values times tau_mem in ms).
        regulariser_target: spikes per neuron and trial.
        regulariser_batch: the count is the mean over the batch (else the sample's own).
        readout: what is read of the outputs.
        first_spike: constants of that readout, None for others.
        learned: dL/dw(n/N) is wanted beside the gradients.
    """

    weighting: np.ndarray | None
    regulariser_strength: float = 0.0
    regulariser_target: float = 14.0
    regulariser_batch: bool = True
    readout: Readout = "sum"
    first_spike: FirstSpike | None = None
    learned: bool = False


def weight(shape: Shape, x: np.ndarray, theta: np.ndarray | None = None) -> np.ndarray:
    """Return w(x) as float64 for x = t/T in [0, 1], any array shape.

    Args:
        shape: the loss.
        x: where.
        theta: what a learned weight has become, [K + 2]; without it, its start.

    Raises:
        ParameterError: the weight's mean is not above zero, so that it cannot be scaled to ``mean_weight``.
    """
    if shape.kind == "learned":
        return spline.weight(*_spline(shape), _start(shape) if theta is None else theta, x)
    unscaled = _unscaled(shape, np.asarray(x, np.float64))
    if shape.mean_weight is None:
        return unscaled
    mean = _mean(shape)
    if mean <= 0:
        raise ParameterError(
            f"A weight of kind {shape.kind} whose mean over the trial is {mean:.3g} cannot be scaled to a mean of "
            f"{shape.mean_weight:g}; choose parameters that give a positive mean, or remove mean_weight."
        )
    return unscaled * (shape.mean_weight / mean)


def mean_weight(shape: Shape) -> float | None:
    """Return the mean of w over [0, 1], None for a loss that weighs no voltage."""
    if shape.kind not in WEIGHTED:
        return None
    if shape.mean_weight is not None:
        return shape.mean_weight
    return _mean(shape) if shape.start is None else _mean_of_start(shape.start)


def on_grid(shape: Shape, steps: int, theta: np.ndarray | None = None) -> np.ndarray:
    """Return w(n / N) for n = 0..N-1: float64[N], the weight of the voltage before step n; see :func:`weight`."""
    return weight(shape, _grid(steps), theta)


def learned_weight(shape: Shape) -> dict[str, np.ndarray]:
    """Return theta of the weight at its start, float32[K + 2] by name; nothing for a loss that learns none."""
    return {LEARNED: _start(shape).astype(np.float32)} if shape.kind == "learned" else {}


def by_theta(shape: Shape, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return dw(x)/dtheta_k of a learned weight, float64[K + 2, *x.shape]."""
    return spline.derivatives(*_spline(shape), theta, x)


def theta_gradient(shape: Shape, theta: np.ndarray, by_weight: np.ndarray) -> np.ndarray:
    """Return dL/dtheta, float64[K + 2], of dL/dw(n/N), float64[N]."""
    return by_theta(shape, theta, _grid(len(by_weight))) @ by_weight


def apart(weights: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Return the network's part of what is learned, and theta of the weight, None if that is not learned."""
    return {name: array for name, array in weights.items() if name != LEARNED}, weights.get(LEARNED)


def objective(
    shape: Shape, steps: int, regulariser: Regulariser | None = None, theta: np.ndarray | None = None
) -> Objective:
    """Return what an engine minimises for this loss, on a grid of ``steps``; by default without regulariser.

    ``theta`` is what a learned weight has become; by default it is at its start.
    """
    pull = regulariser or Regulariser()
    return Objective(
        on_grid(shape, steps, theta) if shape.kind in WEIGHTED else None,
        pull.strength,
        pull.target_spikes,
        pull.counts == "batch",
        readout(shape),
        first_spike_constants(shape),
        shape.kind == "learned",
    )


def readout(shape: Shape) -> Readout:
    """Return the name of what is read of the outputs: see :class:`Objective`."""
    if shape.kind == "max" or shape.kind == "first_spike":
        return shape.kind
    return "sum"


def first_spike_constants(shape: Shape) -> FirstSpike | None:
    """Return the constants of `first_spike`, None for other losses."""
    return FirstSpike(*_constants(shape)) if shape.kind == "first_spike" else None


def score(
    values: np.ndarray, labels: np.ndarray, constants: FirstSpike | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits [B, K], losses float64[B] and the derivative of each sample's loss by ``values``, float64[B, K].

    Args:
        values: [B, K], what was read of the outputs: logits, or with ``constants`` times of first spikes in ms.
        labels: int64[B].
        constants: of the readout `first_spike`.
    """
    if constants is not None:
        return -values / constants.tau0_ms, *first_spike(values, labels, constants)
    entropies, slopes = cross_entropy(values, labels)
    slopes[np.arange(len(labels)), labels] -= 1.0
    return values, entropies, slopes


def first_spike(times_ms: np.ndarray, labels: np.ndarray, constants: FirstSpike) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss of each sample, float64[B], and its derivatives by the times [B, K] of first spikes."""
    tau0_ms, tau1_ms, alpha = constants
    entropies, probabilities = cross_entropy(-times_ms / tau0_ms, labels)
    samples = np.arange(len(labels))
    late = times_ms[samples, labels] / tau1_ms
    slopes = -probabilities / tau0_ms
    slopes[samples, labels] += 1 / tau0_ms + alpha / tau1_ms * np.exp(late)
    return entropies + alpha * np.expm1(late), slopes


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss of each sample, float64[B], and the probabilities, float64[B, K], of logits [B, K]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    losses = normaliser - shifted[np.arange(len(labels)), labels]
    return losses, np.exp(shifted - normaliser[:, None])


def _constants(shape: Shape) -> list[float]:
    """Return the parameters that the kind takes, in the order of :data:`eventspeech.params.SHAPE_DEFAULTS`."""
    return [getattr(shape, name) for name in SHAPE_DEFAULTS[shape.kind]]


def _spline(shape: Shape) -> tuple[int, float]:
    """Return the knots of a learned weight and the mean that it keeps."""
    mean = mean_weight(shape)
    assert shape.knots is not None and mean is not None
    return shape.knots, mean


def _start(shape: Shape) -> np.ndarray:
    """Return theta of a learned weight before training, float64[K + 2]."""
    assert shape.knots is not None and shape.start is not None
    return spline.like(shape.knots, functools.partial(weight, STARTS[shape.start]))


def _grid(steps: int) -> np.ndarray:
    return np.arange(steps) / steps


def _unscaled(shape: Shape, x: np.ndarray) -> np.ndarray:
    match shape.kind:
        case "sum":
            return np.ones_like(x)
        case "exponential":
            return np.exp(-x)
        case "linear":
            return 1.0 - x
        case "sigmoid":
            centre, width = _constants(shape)
            # tanh instead of exp: no overflow for narrow widths
            return 0.5 * (1.0 - np.tanh(0.5 * (x - centre) / width))
        case "gaussian":
            gain, offset, slope, centre, width = _constants(shape)
            moved = x - centre
            return gain * (offset + slope * moved * np.exp(-0.5 * (moved / width) ** 2))
        case "bell":
            height, centre, width = _constants(shape)
            return height * np.exp(-0.5 * ((x - centre) / width) ** 2)
    raise AssertionError(shape.kind)


@functools.cache
def _mean_of_start(name: str) -> float:
    """Return the mean of one of `STARTS`; a learned weight asks for it in every batch."""
    return _mean(STARTS[name])


def _mean(shape: Shape) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    x = (np.arange(_PANELS)[:, None] + 0.5 * (nodes + 1)) / _PANELS
    return float(np.sum(_unscaled(shape, x) * (0.5 * weights / _PANELS)))

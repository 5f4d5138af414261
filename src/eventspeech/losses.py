r"""Loss shaping: the weight w(x) under which the output voltage is summed, and the cross-entropy of the sums.

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

Each can be scaled to a given mean over [0, 1] (`mean_weight`): the mean weight sets how sharp the softmax is and how
strong the regulariser is beside it, so shapes of unequal mean differ by more than their shape.
"""

import numpy as np

from eventspeech.errors import ParameterError
from eventspeech.params import Shape

_PANELS, _NODES = 256, 8


def weight(shape: Shape, x: np.ndarray) -> np.ndarray:
    """Return w(x) as float64 for x = t/T in [0, 1], any array shape."""
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


def mean_weight(shape: Shape) -> float:
    """Return the mean of w over [0, 1]."""
    return shape.mean_weight if shape.mean_weight is not None else _mean(shape)


def on_grid(shape: Shape, steps: int) -> np.ndarray:
    """Return w(n / N) for n = 0..N-1: float64[N], the weight of the voltage before step n."""
    return weight(shape, np.arange(steps) / steps)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the loss of each sample, float64[B], and the probabilities, float64[B, K], of logits [B, K]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    losses = normaliser - shifted[np.arange(len(labels)), labels]
    return losses, np.exp(shifted - normaliser[:, None])


def _unscaled(shape: Shape, x: np.ndarray) -> np.ndarray:
    match shape.kind:
        case "sum":
            return np.ones_like(x)
        case "exponential":
            return np.exp(-x)
        case "linear":
            return 1.0 - x
        case "sigmoid":
            # tanh instead of exp: no overflow for narrow widths
            return 0.5 * (1.0 - np.tanh(0.5 * (x - shape.centre) / shape.width))
        case "gaussian":
            moved = x - shape.centre
            return shape.gain * (shape.offset + shape.slope * moved * np.exp(-0.5 * (moved / shape.width) ** 2))
        case "bell":
            return shape.height * np.exp(-0.5 * ((x - shape.centre) / shape.width) ** 2)
    raise AssertionError(shape.kind)


def _mean(shape: Shape) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    x = (np.arange(_PANELS)[:, None] + 0.5 * (nodes + 1)) / _PANELS
    return float(np.sum(_unscaled(shape, x) * (0.5 * weights / _PANELS)))

r"""A weight with a few free numbers: a cubic spline that is never negative and whose mean is given.

With K knots at equal distances from 0 to 1, of which the outer ones count four times, there are K + 2 cubic B-splines
B_k (de Boor, A Practical Guide to Splines, 1978). Of any free numbers theta,

    w(x) = m \sum_k f_k b_k(x),   b_k = B_k / \int_0^1 B_k(x) dx,   f = softmax(theta)

is never negative, since no B_k is, and has the mean m, since each b_k has the mean 1 and the shares f_k add up to 1. So
neither has to be watched while theta is learned, and the scale is no free number. By theta,

    dw(x)/dtheta_k = f_k (m b_k(x) - w(x)).
"""

from collections.abc import Callable

import numpy as np

DEGREE = 3


def size(knots: int) -> int:
    """Return how many free numbers a spline of so many knots has."""
    return knots + DEGREE - 1


def weight(knots: int, mean: float, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return w(x), float64 in the shape of ``x``, which lies in [0, 1]; ``theta`` is [K + 2]."""
    return np.tensordot(mean * _shares(theta), _densities(knots, x), 1)


def derivatives(knots: int, mean: float, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return dw(x)/dtheta_k, float64[K + 2, *x.shape]; arguments as of :func:`weight`."""
    shares, densities = _shares(theta), _densities(knots, x)
    by_share = mean * (densities - np.tensordot(shares, densities, 1))
    return by_share * shares.reshape(-1, *np.ones(np.ndim(x), int))


def like(knots: int, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return theta, float64[K + 2], of the spline that equals ``function``, up to its scale, where each B_k is centred.

    ``function`` is of x in [0, 1], and far enough above 0 that the spline through it has no coefficient below.
    """
    edges = _edges(knots)
    centres = np.array([edges[k + 1 : k + 1 + DEGREE].mean() for k in range(size(knots))])
    coefficients = np.linalg.solve(_basis(knots, centres).T, function(centres))
    return np.log(coefficients * _integrals(knots))


def _edges(knots: int) -> np.ndarray:
    """Return the knots with the outer ones repeated, float64[K + 6]."""
    return np.concatenate([np.zeros(DEGREE), np.linspace(0, 1, knots), np.ones(DEGREE)])


def _integrals(knots: int) -> np.ndarray:
    edges = _edges(knots)
    return (edges[DEGREE + 1 :] - edges[: -DEGREE - 1]) / (DEGREE + 1)


def _basis(knots: int, x: np.ndarray) -> np.ndarray:
    """Return B_k(x), float64[K + 2, *x.shape], by the recursion of Cox and de Boor."""
    edges, flat = _edges(knots), np.asarray(x, np.float64).reshape(1, -1)
    # x = 1 belongs to the last interval that is not empty
    interval = np.clip(np.searchsorted(edges, flat, side="right") - 1, DEGREE, len(edges) - DEGREE - 2)
    found = (interval == np.arange(len(edges) - 1)[:, None]).astype(np.float64)
    for degree in range(1, DEGREE + 1):
        width = edges[degree:] - edges[:-degree]  # where it is 0, so is what it would divide
        rise = (flat - edges[:-degree, None]) / np.where(width > 0, width, 1.0)[:, None]
        found = rise[:-1] * found[:-1] + (1 - rise[1:]) * found[1:]
    return found.reshape(-1, *np.shape(x))


def _densities(knots: int, x: np.ndarray) -> np.ndarray:
    basis = _basis(knots, x)
    return basis / _integrals(knots).reshape(-1, *np.ones(basis.ndim - 1, int))


def _shares(theta: np.ndarray) -> np.ndarray:
    grown = np.exp(np.asarray(theta, np.float64) - np.max(theta))
    return grown / grown.sum()

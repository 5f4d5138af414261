"""The learned weight's spline: scipy's B-splines, and what holds whatever its free numbers are."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from eventspeech import spline

KNOTS = (2, 3, 8)
X = np.linspace(0, 1, 101)


def mean(knots: int, theta: np.ndarray) -> float:
    """Return the mean of a spline of mean 0.7 over [0, 1], by a quadrature that is exact for cubic pieces."""
    nodes, weights = np.polynomial.legendre.leggauss(2)
    pieces = knots - 1
    x = (np.arange(pieces)[:, None] + 0.5 * (nodes + 1)) / pieces
    return float(np.sum(spline.weight(knots, 0.7, theta, x) * weights) / (2 * pieces))


@pytest.mark.parametrize("knots", KNOTS)
def test_it_is_a_sum_of_the_b_splines_of_scipy(knots):
    theta = np.random.default_rng(0).normal(0, 1, spline.size(knots))
    edges = np.concatenate([[0, 0, 0], np.linspace(0, 1, knots), [1, 1, 1]])
    shares = np.exp(theta) / np.exp(theta).sum()
    integrals = np.array([BSpline(edges, one, 3).integrate(0, 1) for one in np.eye(len(theta))])
    expected = BSpline(edges, 0.7 * shares / integrals, 3)(X)
    np.testing.assert_allclose(spline.weight(knots, 0.7, theta, X), expected, rtol=1e-12)


@pytest.mark.parametrize("knots", KNOTS)
@pytest.mark.parametrize("spread", [0.1, 3, 300])
def test_it_is_never_negative_and_keeps_its_mean(knots, spread):
    theta = np.random.default_rng(1).normal(0, spread, spline.size(knots)).astype(np.float32)
    assert spline.weight(knots, 0.7, theta, X).min() >= 0
    assert mean(knots, theta) == pytest.approx(0.7, rel=1e-12)


@pytest.mark.parametrize("knots", KNOTS)
def test_derivatives_are_those_of_finite_differences(knots):
    theta = np.random.default_rng(2).normal(0, 1, spline.size(knots))
    found, step = spline.derivatives(knots, 0.7, theta, X.reshape(1, -1)), 1e-6
    for k, by_one in enumerate(np.eye(len(theta))):
        ends = [spline.weight(knots, 0.7, theta + sign * step * by_one, X) for sign in (1, -1)]
        np.testing.assert_allclose(found[k, 0], (ends[0] - ends[1]) / (2 * step), atol=1e-9)


def test_it_can_be_like_a_smooth_function():
    theta = spline.like(8, lambda x: np.exp(-x))
    np.testing.assert_allclose(spline.weight(8, 1 - np.exp(-1), theta, X), np.exp(-X), atol=1e-6)
    np.testing.assert_allclose(spline.weight(8, 1.0, spline.like(8, np.ones_like), X), 1.0, rtol=1e-12)

"""Loss shaping: closed forms and the published table of the bump's means and peaks."""

import numpy as np
import pytest
from scipy.special import log_softmax

from eventspeech import losses, params
from eventspeech.errors import ParameterError
from eventspeech.params import Shape

X = np.linspace(0, 1, 2001)


@pytest.mark.parametrize(
    ("shape", "mean"),
    [
        ({"kind": "sum"}, 1.0),
        ({"kind": "exponential"}, 1 - np.exp(-1)),
        ({"kind": "linear"}, 0.5),
        ({"kind": "sigmoid"}, 0.5),
        ({"kind": "bell", "height": 2.0, "centre": -1.9, "width": 1.6}, 0.662),
        ({"kind": "gaussian"}, 1.152),
        ({"kind": "gaussian", "width": 0.4, "slope": 5.0, "offset": 0.2}, 1.930),
        ({"kind": "gaussian", "centre": -0.1, "width": 0.4, "slope": 3.0, "offset": 0.2}, 1.309),
    ],
)
def test_mean_weight_is_the_published_one(shape, mean):
    assert losses.mean_weight(Shape(**shape)) == pytest.approx(mean, abs=6e-4)


def test_gaussian_has_the_published_peak_and_ends():
    w = losses.weight(Shape(kind="gaussian"), X)
    assert X[w.argmax()] == pytest.approx(0.20, abs=1e-3)
    assert w.max() == pytest.approx(1.87, abs=5e-3)
    assert w[0] == pytest.approx(0.80) and w[-1] == pytest.approx(0.80, abs=1e-3)


@pytest.mark.parametrize("kind", params.WEIGHTED)
def test_scaled_shapes_have_the_mean_that_was_asked_for(kind):
    w = losses.weight(Shape(kind=kind, mean_weight=0.6321), X)
    assert np.trapezoid(w, X) == pytest.approx(0.6321, rel=1e-4)
    plain = losses.weight(Shape(kind=kind), X)
    np.testing.assert_allclose(w / w.max(), plain / plain.max())


def test_grid_starts_at_zero_and_stays_below_one():
    np.testing.assert_allclose(losses.on_grid(Shape(kind="linear"), 4), [1, 0.75, 0.5, 0.25])


def test_a_shape_of_negative_mean_cannot_be_scaled():
    shape = Shape(kind="gaussian", offset=-5.0, mean_weight=0.5)
    with pytest.raises(ParameterError, match="remove mean_weight"):
        losses.weight(shape, X)


@pytest.mark.parametrize(("start", "expected"), [("exponential", np.exp(-X)), ("flat", np.ones_like(X))])
def test_a_learned_weight_starts_as_it_was_told(start, expected):
    shape = Shape(kind="learned", start=start)
    np.testing.assert_allclose(losses.weight(shape, X), expected, atol=1e-6)
    assert losses.mean_weight(shape) == pytest.approx(np.trapezoid(expected, X), rel=1e-6)
    scaled = losses.weight(shape.model_copy(update={"mean_weight": 0.4}), X)
    np.testing.assert_allclose(scaled / scaled[0], expected / expected[0], atol=1e-6)


def test_theta_moves_what_the_weights_of_the_steps_move():
    shape, steps = Shape(kind="learned", knots=4), 50
    theta = losses.learned_weight(shape)[losses.LEARNED] + np.random.default_rng(0).normal(0, 1, 6)
    by_weight, step = np.random.default_rng(1).normal(0, 1, steps), 1e-6
    found = losses.theta_gradient(shape, theta, by_weight)
    for k, by_one in enumerate(step * np.eye(6)):
        ends = [losses.on_grid(shape, steps, theta + sign * by_one) @ by_weight for sign in (1, -1)]
        assert found[k] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


def test_cross_entropy_is_that_of_scipy():
    logits = np.random.default_rng(0).normal(0, 30, (7, 5))
    labels = np.array([0, 1, 2, 3, 4, 0, 1])
    found, probabilities = losses.cross_entropy(logits, labels)
    expected = log_softmax(logits, axis=1)
    np.testing.assert_allclose(found, -expected[np.arange(7), labels], rtol=1e-12)
    np.testing.assert_allclose(probabilities, np.exp(expected), rtol=1e-9)


def test_no_overflow_at_extreme_values():
    assert np.isfinite(losses.weight(Shape(kind="sigmoid", width=1e-6), X)).all()
    assert np.isfinite(losses.cross_entropy(np.array([[1e6, -1e6]]), np.array([1]))[0]).all()

"""Adam against its paper's algorithm, written out in float64."""

import platform

import numpy as np
import pytest

from eventspeech.errors import DataError
from eventspeech.learning import adam as adam_module
from eventspeech.learning.adam import Adam

BETA1, BETA2, EPSILON, RATE = 0.9, 0.999, 1e-8, 1e-3


@pytest.fixture(params=["compiled", "numpy"], autouse=True)
def kernels(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setattr(adam_module, "library", lambda: None)
    elif adam_module.library() is None:
        pytest.skip("the C kernels were not built (no C compiler)")


def reference(weight, gradients, rates, epsilon=EPSILON):
    """Algorithm 1 of Kingma & Ba (2015), line by line; yields the weight after each update."""
    m = v = np.zeros_like(weight)
    for t, (g, alpha) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g**2
        m_hat = m / (1 - BETA1**t)
        v_hat = v / (1 - BETA2**t)
        weight = weight - alpha * m_hat / (np.sqrt(v_hat) + epsilon)
        yield weight


def adam(*arrays, epsilon=EPSILON):
    weights = {str(number): array.astype(np.float32) for number, array in enumerate(arrays)}
    return Adam(weights, BETA1, BETA2, epsilon), weights


# gradients of a network are some 1e-8: there epsilon weighs as much as they do
@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-8, 1e-10])
def test_thirty_updates_equal_the_paper(size):
    rng = np.random.default_rng(0)
    gradients = (size * rng.normal(1.0, 2.0, (30, 7, 5))).astype(np.float32)
    rates = np.where(np.arange(30) < 10, RATE, RATE / 3)
    optimiser, weights = adam(np.zeros((7, 5)))
    for gradient, rate, expected in zip(
        gradients, rates, reference(np.zeros((7, 5)), gradients.astype(np.float64), rates), strict=True
    ):
        optimiser.step(weights, {"0": gradient}, rate)
        np.testing.assert_allclose(weights["0"], expected, rtol=1e-4, atol=1e-5 * RATE * min(1.0, size / EPSILON))


def test_compiled_and_numpy_agree_to_the_bit(monkeypatch):
    rng = np.random.default_rng(0)
    gradients = [{"0": (1e-6 * rng.normal(size=(50, 33))).astype(np.float32)} for _ in range(5)]
    (compiled, fast), (plain, slow) = (adam(np.ones((50, 33))) for _ in range(2))
    for gradient in gradients:
        compiled.step(fast, gradient, RATE)
    monkeypatch.setattr(adam_module, "library", lambda: None)
    for gradient in gradients:
        plain.step(slow, gradient, RATE)
    assert fast["0"].tobytes() == slow["0"].tobytes() and np.all(fast["0"] != 1)
    assert all(compiled.state()[name].tobytes() == array.tobytes() for name, array in plain.state().items())


def test_averages_that_fade_away_become_zero_and_numpy_keeps_its_arithmetic():
    optimiser, weights = adam(np.zeros(40))
    for gradient in [np.full(40, 1e-30, np.float32), *[np.zeros(40, np.float32)] * 300]:
        optimiser.step(weights, {"0": gradient}, RATE)
    if adam_module.library() is not None and platform.machine() in ("x86_64", "AMD64"):
        assert np.all(optimiser.first["0"] == 0)  # else some 1e-45 for ever, at 15 times the cost
    assert np.all(np.full(40, 1e-39, np.float32) * np.float32(0.5) > 0)


def test_the_first_step_by_hand():
    # after bias correction m is g and v is g^2: a step of rate g / (|g| + epsilon); for the second gradient epsilon
    # under the root would give 3e-7, and epsilon added before the correction of v 8.7e-5
    optimiser, weights = adam(np.zeros(3))
    optimiser.step(weights, {"0": np.array([0.5, 3e-8, -1e-8], np.float32)}, RATE)
    np.testing.assert_allclose(weights["0"], [-0.001, -0.00075, 0.0005], rtol=1e-5)


def test_the_second_step_by_hand():
    optimiser, weights = adam(np.zeros(1))
    for gradient in (1.0, -1.0):
        optimiser.step(weights, {"0": np.array([gradient], np.float32)}, RATE)
    # m = (0.9 * 0.1 - 0.1) / 0.19 = -0.0526316, v = 1
    np.testing.assert_allclose(weights["0"], [-0.001 + 0.001 * 0.0526316], rtol=1e-5)


def test_damping_is_the_share_of_epsilon_in_what_divides_a_step():
    optimiser, weights = adam(np.zeros(4))
    assert optimiser.damping() == 0.0
    optimiser.step(weights, {"0": np.array([3e-8, 1e-8, 1.0, 0.0], np.float32)}, RATE)
    # epsilon / (|g| + epsilon); the last weight never had a gradient
    assert optimiser.damping() == pytest.approx((0.25 + 0.5 + 1e-8) / 3, rel=1e-4)


def test_weights_are_updated_in_place_and_gradients_left_alone():
    optimiser, weights = adam(np.ones((3, 2)), np.ones(4))
    arrays, gradients = dict(weights), {"0": np.ones((3, 2), np.float32), "1": np.zeros(4, np.float32)}
    optimiser.step(weights, gradients, RATE)
    assert all(weights[name] is array for name, array in arrays.items())
    np.testing.assert_allclose(weights["0"], 1 - RATE, rtol=1e-6)
    np.testing.assert_array_equal(weights["1"], 1)
    np.testing.assert_array_equal(gradients["0"], 1)


def test_arrays_of_any_shape_step_alike_and_others_stay():
    optimiser, weights = adam(np.ones(1), np.ones(3), np.ones((3, 1)))
    weights["fixed"] = np.ones(2, np.float32)
    gradients = {name: np.full_like(array, 0.5) for name, array in weights.items()}
    for _ in range(3):
        optimiser.step(weights, gradients, RATE)
    stepped = weights["0"][0]
    assert stepped == pytest.approx(1 - 3 * RATE, rel=1e-6)
    assert np.all(weights["1"] == stepped) and np.all(weights["2"] == stepped)
    assert np.all(weights["fixed"] == 1)


def test_a_restored_optimiser_goes_on_to_the_bit():
    rng = np.random.default_rng(1)
    gradients = [{"0": rng.normal(size=(4, 3)).astype(np.float32)} for _ in range(6)]
    whole, weights = adam(np.zeros((4, 3)))
    for gradient in gradients[:3]:
        whole.step(weights, gradient, RATE)
    kept = {name: np.copy(array) for name, array in whole.state().items()}
    resumed, copies = adam(np.zeros((4, 3)))
    resumed.restore(kept)
    copies["0"][:] = weights["0"]
    for gradient in gradients[3:]:
        whole.step(weights, gradient, RATE)
        resumed.step(copies, gradient, RATE)
    assert resumed.updates == whole.updates == 6
    assert copies["0"].tobytes() == weights["0"].tobytes()


def test_a_restored_optimiser_shares_no_memory_with_what_it_was_restored_from():
    first, weights = adam(np.zeros(3))
    first.step(weights, {"0": np.ones(3, np.float32)}, RATE)
    second, _ = adam(np.zeros(3))
    second.restore(first.state())
    second.step(weights, {"0": np.ones(3, np.float32)}, RATE)
    np.testing.assert_allclose(first.first["0"], 0.1, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first.0": np.zeros((2, 4), np.float32)}, "the weights need"),
        ({"second.0": np.zeros(7, np.float32)}, "the weights need"),
        ({"first.1": np.zeros(3, np.float32)}, "the weights need"),
        ({"first.0": np.zeros((4, 2))}, r"impossible numbers in first\.0"),
        ({"first.0": np.full((4, 2), np.nan, np.float32)}, r"impossible numbers in first\.0"),
        ({"second.0": np.full((4, 2), -1, np.float32)}, r"impossible numbers in second\.0"),
        ({"updates": np.int64(-1)}, "no number of updates"),
        ({"updates": np.float64(1.5)}, "no number of updates"),
    ],
)
def test_a_state_of_other_weights_is_refused(change, message):
    optimiser, _ = adam(np.zeros((4, 2)))
    with pytest.raises(DataError, match=f"{message}.*; remove the checkpoint, and training starts anew"):
        optimiser.restore(optimiser.state() | change)
    missing = optimiser.state()
    del missing["updates"]
    with pytest.raises(DataError, match="no number of updates"):
        optimiser.restore(missing)


@pytest.mark.parametrize("wrong", [np.zeros((2, 4), np.float32), np.zeros(4, np.float32), np.zeros((4, 2))])
def test_gradients_of_other_shapes_or_types_are_not_read(wrong):
    optimiser, weights = adam(np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"where Adam has float32\(4, 2\)"):
        optimiser.step(weights, {"0": wrong}, RATE)
    assert optimiser.updates == 0


def test_a_factor_is_of_the_learning_rate():
    gradients = {name: np.random.default_rng(0).normal(0, 1, 9).astype(np.float32) for name in ("slow", "other")}
    weights = {name: np.zeros(9, np.float32) for name in gradients}
    optimiser = Adam(weights, BETA1, BETA2, EPSILON, {"slow": 0.25})
    for _ in range(3):
        optimiser.step(weights, gradients, RATE)
    np.testing.assert_allclose(weights["slow"], 0.25 * weights["other"], rtol=1e-6)
    assert np.all(weights["other"] != 0)

"""The exact solver against closed forms and against finite differences of its own loss."""

import numpy as np
import pytest
from support.problems import SEEDS, problems

from eventspeech import check_gradients
from eventspeech.engines.exact import ExactEngine, ExactObjective, Sample
from eventspeech.network import Network

ONES = ExactObjective(np.ones_like)


def one_neuron(trial_ms=100, tau_mem_ms=10.0, tau_syn_ms=5.0, refractory_ms=0):
    return Network(1, (1,), 2, False, trial_ms, 1.0, tau_mem_ms, tau_syn_ms, refractory_steps=refractory_ms)


def trial(network, weight, times_ms):
    weights = {"input_hidden1": np.array([[weight]]), "hidden1_output": np.array([[1.0, -2.0]])}
    engine = ExactEngine(network)
    return engine._run(weights, [Sample(np.array(times_ms), np.zeros(len(times_ms), int))], ONES)[0]


@pytest.mark.parametrize("weight", [4.1, 5.0, 9.0, 30.0])
def test_first_spike_time_is_the_root_of_the_quadratic(weight):
    # tau_mem = 2 tau_syn and z = exp(-t / tau_mem): V = w (z - z^2) = 1
    expected = 3.0 - 10.0 * np.log(0.5 * (1 + np.sqrt(1 - 4 / weight)))
    spikes = [event for event in trial(one_neuron(), weight, [3.0]).events if event.kind == "spike"]
    assert spikes[0].time_ms == pytest.approx(expected, rel=1e-12)
    assert spikes[0].denominator == pytest.approx(weight * np.exp(-(expected - 3) / 5) - 1, rel=1e-9)


def test_a_neuron_restarts_from_0_with_what_is_left_of_its_current():
    first, second, *_ = [e.time_ms for e in trial(one_neuron(refractory_ms=4), 40.0, [3.0]).events if e.kind == "spike"]
    current = 40.0 * np.exp(-(first + 4 - 3) / 5)
    assert second == pytest.approx(first + 4 - 10.0 * np.log(0.5 * (1 + np.sqrt(1 - 4 / current))), rel=1e-12)


def test_a_peak_just_below_threshold_gives_no_spike():
    assert all(event.kind == "input" for event in trial(one_neuron(), 3.999999, [3.0]).events)
    assert any(event.kind == "spike" for event in trial(one_neuron(), 4.000001, [3.0]).events)


def test_logits_are_the_closed_integral_of_the_voltage():
    # one spike at t0 drives the outputs: integral of w tau_syn/(tau_mem - tau_syn) (exp(-u/tau_mem) - exp(-u/tau_syn))
    found = trial(one_neuron(), 4.2, [3.0])
    spike = next(event for event in found.events if event.kind == "spike")
    left = 100 - spike.time_ms
    integral = 10 * (1 - np.exp(-left / 10)) - 5 * (1 - np.exp(-left / 5))
    np.testing.assert_allclose(found.values, np.array([1.0, -2.0]) * integral / 100, rtol=1e-10)


@pytest.mark.parametrize("tau_syn_ms", [10.0, 9.999999, 10.000001])
def test_equal_time_constants_are_a_smooth_limit(tau_syn_ms):
    spikes = [e.time_ms for e in trial(one_neuron(tau_syn_ms=tau_syn_ms), 4.0, [3.0]).events if e.kind == "spike"]
    reference = [e.time_ms for e in trial(one_neuron(tau_syn_ms=10.0), 4.0, [3.0]).events if e.kind == "spike"]
    np.testing.assert_allclose(spikes, reference, rtol=1e-5)


QUICK = ("gaussian", "learned, two layers, delays", "refractory, long", "refractory, feed-forward")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if case.name in QUICK else pytest.mark.slow)
        for case in check_gradients.cases()
        if case.name in SEEDS
    ],
)
def test_the_search_finds_the_problems_of_the_tests(case):
    assert check_gradients.problems(case, 3) == list(SEEDS[case.name])


@pytest.mark.parametrize("case", check_gradients.cases(), ids=lambda case: case.name)
def test_gradient_is_that_of_finite_differences(case):
    seed = problems(case, 1)[0]
    assert check_gradients.exact_error(case, seed, directions=3) < check_gradients.TOLERANCE_EXACT


def test_silent_samples_have_no_gradient_but_a_loss():
    case = check_gradients.cases()[0]
    weights, _, _ = check_gradients.problem(case, 0)
    silent = [Sample(np.empty(0), np.empty(0, int))]
    engine = ExactEngine(check_gradients.network(case, 1.0))
    found = engine.gradients(weights, silent, np.array([1]), ONES)
    assert found.inference.losses[0] == pytest.approx(np.log(4))
    assert all(np.all(array == 0) for array in found.weights.values())

"""The network on its grid, its connections and initial weights."""

import dataclasses
import json

import numpy as np
import pytest

from eventspeech import network, params
from eventspeech.errors import DataError, ParameterError
from eventspeech.network import Connection


def build(trial_ms=100.0, **changes):
    return network.build(params.Network(**changes), 20, trial_ms)


def test_build_puts_times_on_the_grid():
    built = build(step_ms=0.5, delays={"copies": 4, "interval_ms": 7.5}, hidden=[64, 32], recurrent=False)
    assert (built.inputs, built.hidden, built.outputs, built.recurrent) == (700, (64, 32), 20, False)
    assert (built.steps, built.step_ms, built.trial_ms) == (200, 0.5, 100.0)
    assert built.delay_steps == (0, 15, 30, 45)
    assert (built.tau_mem_ms, built.tau_syn_ms) == (20.0, 5.0)


@pytest.mark.parametrize(("trial_ms", "step_ms", "steps"), [(0.3, 0.1, 3), (1000, 0.7, None), (1000, 1 / 3, 3000)])
def test_a_trial_is_a_whole_number_of_steps_up_to_rounding(trial_ms, step_ms, steps):
    if steps is None:
        with pytest.raises(ParameterError, match=r"trial_ms = 1000 is not a whole number of steps .* = 0\.7; change"):
            build(trial_ms, step_ms=step_ms)
    else:
        assert build(trial_ms, step_ms=step_ms).steps == steps


def test_a_delay_between_two_steps_is_refused():
    with pytest.raises(ParameterError, match=r"network\.delays\.interval_ms = 2\.5 is not a whole number"):
        build(delays={"copies": 2, "interval_ms": 2.5})
    assert build(delays={"copies": 1, "interval_ms": 2.5}).delay_steps == (0,), "one copy has no interval"


def test_a_copy_that_comes_after_the_trial_is_refused():
    with pytest.raises(ParameterError, match=r"the last of 5 copies would come 120 ms late, when the trial of 100 ms"):
        build(delays={"copies": 5, "interval_ms": 30.0})
    assert build(delays={"copies": 4, "interval_ms": 30.0}).delay_steps[-1] == 90


def test_on_another_grid_all_times_are_as_long():
    built = build(step_ms=0.5, delays={"copies": 4, "interval_ms": 7.5}, hidden=[64, 32])
    for step_ms in (2.5, 0.5, 0.1):
        other = network.at_step(built, step_ms)
        assert (other.step_ms, other.trial_ms) == (step_ms, pytest.approx(100.0))
        assert [delay * step_ms for delay in other.delay_steps] == pytest.approx([0, 7.5, 15, 22.5])
        grid = {"step_ms": 0.5, "steps": 200, "delay_steps": (0, 15, 30, 45)}
        assert dataclasses.replace(other, **grid) == built, "nothing else differs"
        assert network.at_step(other, 0.5) == built


def test_on_another_grid_the_refractory_period_is_as_long():
    assert network.at_step(build(refractory_ms=3.0), 0.5).refractory_steps == 6
    with pytest.raises(ParameterError, match=r"network\.refractory_ms = 3 is not a whole number .*steps_ms = 2;"):
        network.at_step(build(refractory_ms=3.0), 2.0)


@pytest.mark.parametrize(("step_ms", "steps"), [(2.0, 0), (1.0, 0), (0.5, 1), (0.25, 2), (0.2, 2), (0.1, 5)])
def test_the_dead_time_of_the_grid_is_half_a_step(step_ms, steps):
    assert network.at_step(build(), step_ms, dead_time=True).refractory_steps == steps
    assert network.at_step(build(refractory_ms=2.0), 0.2, dead_time=True).refractory_steps == 12


@pytest.mark.parametrize(("step_ms", "what"), [(0.3, r"preprocess\.trial_ms = 100"), (2, r"network\.delays = 7\.5")])
def test_a_grid_that_does_not_divide_a_time_is_refused(step_ms, what):
    built = build(step_ms=0.5, delays={"copies": 4, "interval_ms": 7.5})
    with pytest.raises(
        ParameterError, match=rf"{what} is not a whole number of steps of evaluate\.steps_ms = {step_ms}"
    ):
        network.at_step(built, step_ms)


def test_a_refractory_period_is_whole_steps_within_the_trial():
    assert build(step_ms=0.5, refractory_ms=1.5).refractory_steps == 3
    with pytest.raises(ParameterError, match=r"network\.refractory_ms = 0\.3 is not a whole number of steps"):
        build(refractory_ms=0.3)
    with pytest.raises(ParameterError, match=r"network\.refractory_ms = 100 is as long as the trial of 100 ms; take"):
        build(refractory_ms=100.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delay_steps": (0, -60)}, "delays of -60 to 0 steps in a trial of 100"),
        ({"delay_steps": (0, 100)}, "delays of 0 to 100 steps"),
        ({"delay_steps": ()}, "inputs of 0"),
        ({"refractory_steps": -1}, "refractory period of -1 steps in a trial of 100"),
        ({"refractory_steps": 100}, "refractory period of 100 steps"),
        ({"inputs": 0}, "inputs of 0"),
        ({"inputs": 2**31}, "inputs of 2147483648"),
        ({"hidden": (8, 0)}, "hidden of 0 to 8"),
        ({"hidden": ()}, "hidden of no number"),
        ({"outputs": -1}, "outputs of -1"),
        ({"steps": 0}, "steps of 0"),
        ({"step_ms": 0.0}, "step_ms is 0"),
        ({"tau_mem_ms": float("nan")}, "tau_mem_ms is nan"),
        ({"tau_syn_ms": float("inf")}, "tau_syn_ms is inf"),
    ],
)
def test_numbers_that_compiled_code_cannot_count_with_are_refused(changes, message):
    with pytest.raises(DataError, match=f"{message}.* cannot be computed; train the model again"):
        dataclasses.replace(build(), **changes)


def test_connections_of_a_recurrent_network_with_a_delay_line():
    parameters = params.Network(hidden=[8, 4], delays={"copies": 3}, input_mean=1, input_sd=2, recurrent_mean=3,
                                recurrent_sd=4, hidden_mean=5, hidden_sd=6, output_mean=7, output_sd=8)  # fmt: skip
    assert network.connections(network.build(parameters, 20, 100.0), parameters) == [
        Connection("input_hidden1", 2100, 8, 1, 2),
        Connection("hidden1_hidden1", 8, 8, 3, 4),
        Connection("hidden1_hidden2", 8, 4, 5, 6),
        Connection("hidden2_hidden2", 4, 4, 3, 4),
        Connection("hidden2_output", 4, 20, 7, 8),
    ]


def test_a_feed_forward_network_has_no_connection_to_itself():
    names = [connection.name for connection in network.connections(build(hidden=[8, 4], recurrent=False))]
    assert names == ["input_hidden1", "hidden1_hidden2", "hidden2_output"]


def test_initial_weights_are_as_described():
    parameters = params.Network(hidden=[200], input_mean=0.03, input_sd=0.01, output_sd=0.0, output_mean=0.5)
    weights = network.initial_weights(network.build(parameters, 20, 100.0), parameters, 0)
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    drawn = weights["input_hidden1"]
    assert abs(drawn.mean() - 0.03) < 5 * 0.01 / np.sqrt(drawn.size)
    assert abs(drawn.std() - 0.01) < 5 * 0.01 / np.sqrt(2 * drawn.size)
    np.testing.assert_array_equal(weights["hidden1_output"], np.float32(0.5))


def test_each_connection_is_drawn_by_itself():
    # what is added elsewhere in the network leaves a connection's weights alone
    unit = {"input_mean": 0, "input_sd": 1, "recurrent_sd": 1}
    one, two = (params.Network(hidden=hidden, recurrent=len(hidden) == 1, **unit) for hidden in ([8], [8, 4]))
    first, second = (network.initial_weights(network.build(p, 20, 100.0), p, 3) for p in (one, two))
    np.testing.assert_array_equal(first["input_hidden1"], second["input_hidden1"])
    other = network.initial_weights(network.build(one, 20, 100.0), one, 4)
    assert all(np.mean(first[name] != other[name]) > 0.9 for name in first)
    assert not np.array_equal(first["hidden1_hidden1"].ravel()[:8], first["input_hidden1"].ravel()[:8])


def test_a_network_survives_its_text():
    built = build(hidden=[8, 4], delays={"copies": 3, "interval_ms": 5})
    assert network.from_dict(json.loads(json.dumps(built.as_dict()))) == built


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("hidden1_output"), "the network needs"),
        (lambda w: w.update(extra=np.zeros(3)), "the network needs"),
        (lambda w: w.update(hidden1_hidden1=np.zeros((8, 7))), "the network needs"),
        (lambda w: w["input_hidden1"].__setitem__((0, 0), np.inf), "input_hidden1 hold NaN or infinity"),
    ],
    ids=["missing", "unknown", "another shape", "infinite"],
)
def test_check_refuses_weights_of_another_network(change, message):
    parameters = params.Network(hidden=[8])
    built = network.build(parameters, 20, 100.0)
    weights = network.initial_weights(built, parameters, 0)
    network.check(built, weights)
    change(weights)
    with pytest.raises(ValueError, match=message):
        network.check(built, weights)

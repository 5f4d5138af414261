"""What is wrong with the numbers of an epoch: each accident is found in its first epoch, told, marked or stopped."""

import numpy as np
import pytest
from support import tiny
from support.training import rows, run

from eventspeech import network
from eventspeech.errors import UserError
from eventspeech.files import read_json
from eventspeech.learning import accidents
from eventspeech.learning.trainer import require_finite
from eventspeech.params import Network
from eventspeech.records.history import Row
from eventspeech.records.run import ACCIDENTS

pytestmark = pytest.mark.usefixtures("quick")

STEPS = 100


def found(*epochs: tuple[float, float], refractory_ms: float = 0.0, **drawn) -> list[accidents.Accident]:
    """Return the accidents of epochs with these hidden spikes and largest weights, of a network of 10 neurons."""
    parameters = Network(hidden=[10], step_ms=1, refractory_ms=refractory_ms, **drawn)
    built = network.build(parameters, 4, float(STEPS))
    history = [
        Row(**dict.fromkeys(Row._fields, 0.5) | {"epoch": number, "hidden_spikes": spikes, "largest_weight": weight})
        for number, (spikes, weight) in enumerate(epochs, 1)
    ]
    return accidents.found(history, built, network.connections(built, parameters))


def test_a_healthy_training_has_none():
    assert found((14.0, 0.1), (20.0, 5.0), (0.2, 99.0)) == []


@pytest.mark.parametrize(
    ("epochs", "drawn", "kind", "first", "count", "remedy"),
    [
        ([(9, 1), (9, 101), (9, 102)], {}, "exploding", 2, 2, "lower optimiser.learning_rate"),
        ([(9, 900)], {"input_mean": 800.0}, "exploding", 1, 1, "lower network.input_mean and _sd"),
        ([(9, 900)], {"recurrent_sd": 300.0}, "exploding", 1, 1, "lower network.recurrent_mean and _sd"),
        ([(9, 900)], {"output_sd": 300.0}, "exploding", 1, 1, "lower network.output_mean and _sd"),
        ([(0, 1)], {}, "silent", 1, 1, "raise network.input_mean or input_sd"),
        ([(9, 1), (0.09, 1), (0.11, 1), (0, 1)], {}, "silent", 2, 2, "lower optimiser.learning_rate"),
        ([(51, 1)], {}, "saturated", 1, 1, "lower network.input_mean or input_sd"),
        ([(50, 1), (100, 1)], {}, "saturated", 2, 1, "lower optimiser.learning_rate"),
    ],
)
def test_each_accident_is_found_in_its_first_epoch(epochs, drawn, kind, first, count, remedy):
    (one,) = found(*epochs, **drawn)
    assert (one.kind, one.first_epoch, one.epochs, one.remedy) == (kind, first, count, remedy)
    spikes, weight = epochs[first - 1]
    assert one.value == (weight if kind == "exploding" else spikes)


def test_a_refractory_period_leaves_fewer_steps_to_fire_in():
    assert found((20.0, 1.0)) == []
    (one,) = found((20.0, 1.0), refractory_ms=2.0)
    assert one.kind == "saturated" and one.bound == pytest.approx(STEPS / 6)


def test_the_kinds_are_those_that_the_record_knows():
    kinds = [one.kind for one in found((0.0, 101.0), (60.0, 1.0))]
    assert tuple(kinds) == ACCIDENTS == tuple(accidents.WORDS)


REAL = {
    "exploding": {"optimiser": {"learning_rate": 1000.0}},
    "silent": {"network": {"input_mean": 0.0, "input_sd": 0.0}},
    "saturated": {"network": {"input_mean": 50.0, "recurrent_mean": 1.0}},
}


@pytest.mark.parametrize("kind", REAL)
def test_a_real_one_is_told_once_and_marked(tmp_path, spikes, caplog, kind):
    paths = run(tmp_path, spikes, train={"epochs": 3}, **REAL[kind])
    marked = {one["kind"]: one for one in read_json(paths.summary)["accidents"]}
    one = marked[kind]
    assert one["first_epoch"] == 1 and one["epochs"] >= 1
    said = [record.getMessage() for record in caplog.records if f"({kind})" in record.getMessage()]
    assert len(said) == 1 and said[0].startswith("train exponential/0  epoch 1: ") and one["remedy"] in said[0]
    column = "largest_weight" if kind == "exploding" else "hidden_spikes"
    assert float(rows(paths.history)[0][column]) == one["value"]


def test_one_that_shall_stop_does_in_its_epoch(tmp_path, spikes):
    with pytest.raises(
        UserError, match=r"accident in epoch 1 \(exploding: a weight is of .*more than 100\); lower opt"
    ):
        run(tmp_path, spikes, train={"epochs": 3, "on_accident": "stop"}, **REAL["exploding"])
    assert not (tmp_path / "weights.npz").exists()


def test_a_healthy_one_is_not_stopped(tmp_path, spikes):
    summary = read_json(run(tmp_path, spikes, train={"epochs": 1, "on_accident": "stop"}).summary)
    assert summary["accidents"] == []
    assert tiny.CONTENT["optimiser"]["learning_rate"] < 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_told_with_count_and_rate(value):
    arrays = {"the loss": np.zeros(3), "input_hidden1": np.array([[1.0, value, value]])}
    with pytest.raises(UserError, match=r"in epoch 4 \(2 of 3 numbers of input_hidden1 .* learning rate 0\.5\); lower"):
        require_finite(4, arrays, 0.5)
    require_finite(4, {"the loss": np.zeros(3)}, 0.5)

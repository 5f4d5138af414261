"""The file of a model: what it has to be before any kernel sees it."""

import copy
import json
import re

import numpy as np
import pytest
from support import tiny

from eventspeech import losses, network, params
from eventspeech.data import store
from eventspeech.errors import DataError
from eventspeech.files import write_npz
from eventspeech.learning.trainer import Trainer
from eventspeech.records import model
from eventspeech.stages import baseline

CHANGES = {"delays": {"copies": 2, "interval_ms": 10}}


def spiking(given=None, loss="exponential"):
    """Arrays and meta data of a network that has not learned anything."""
    given = given or tiny.make_params(network=CHANGES, optimiser={"learn_time_constants": "neuron"})
    trainer = Trainer(given, loss, 0, tiny.make_store(takes=1))
    meta = {
        "kind": "spiking", "loss": loss, "seed": 0, "fold": "held_out", "epoch": 1,
        "network": trainer.network.as_dict(), "shape": trainer.shape.model_dump(mode="json"),
        "class_names": list(tiny.CLASSES), "heard_speakers": ["s0"], "validation_speakers": ["s3"], "spike_count": None,
        "origin": {"source": "synthetic", "cochlea": {"seed": 3, "level": 0.3, "fibres": 40}},
    }  # fmt: skip
    return trainer.weights, meta


@pytest.fixture(scope="module")
def made():
    return spiking()


def test_a_model_comes_back_as_it_was_saved(tmp_path, made):
    model.save(tmp_path / "m.npz", *made)
    found = model.load(tmp_path / "m.npz")
    assert found.meta == made[1]
    assert {name: array.tobytes() for name, array in found.arrays.items()} == {
        name: array.tobytes() for name, array in made[0].items()
    }
    assert model.network_of(found).delay_steps == (0, 10)


def test_an_older_model_has_no_refractory_period(tmp_path, made):
    arrays, meta = made
    old = {name: value for name, value in meta["network"].items() if name != "refractory_steps"}
    model.save(tmp_path / "m.npz", arrays, meta | {"network": old})
    assert model.network_of(model.load(tmp_path / "m.npz")).refractory_steps == 0


def test_a_model_says_what_its_spikes_came_from(tmp_path, made):
    model.save(tmp_path / "m.npz", *made)
    assert model.origin(model.load(tmp_path / "m.npz")) == store.Origin("synthetic", params.Cochlea(seed=3))
    given = {"source": "shd", "cochlea": None}
    model.save(tmp_path / "m.npz", made[0], made[1] | {"origin": given})
    assert model.origin(model.load(tmp_path / "m.npz")) == store.Origin("shd")
    older = {name: value for name, value in made[1].items() if name != "origin"}
    model.save(tmp_path / "m.npz", made[0], older)
    assert model.origin(model.load(tmp_path / "m.npz")) is None


def test_a_model_that_was_altered_is_refused(tmp_path, made):
    arrays, meta = made
    stated = np.array(model.digest(arrays, meta))
    altered = arrays | {"hidden1_output": arrays["hidden1_output"] + np.float32(1e-6)}
    contents = {
        "weights": altered | {"meta": np.array(json.dumps(meta))},
        "words": arrays | {"meta": np.array(json.dumps(meta | {"class_names": ["a", "b", "c", "d"]}))},
    }
    for content in contents.values():
        write_npz(tmp_path / "m.npz", content | {"sha256": stated})
        with pytest.raises(DataError, match=r"m\.npz is damaged: its content is not what its digest says; train the"):
            model.load(tmp_path / "m.npz")
        write_npz(tmp_path / "m.npz", content)
        model.load(tmp_path / "m.npz")  # without a digest, as up to 0.2, nobody can tell


# what a field is set to (a dotted name reaches into objects), and what the sentence says of it
REFUSED = {
    "a negative delay": ("network.delay_steps", [0, -60], "network.delay_steps is [0, -60], not a list of whole"),
    "a delay beyond the trial": ("network.delay_steps", [0, 60], "network.delay_steps is [0, 60], not"),
    "no delay": ("network.delay_steps", [], "network.delay_steps is [], not"),
    "a delay that is no number": ("network.delay_steps", [0, "1"], "network.delay_steps is [0, '1'], not"),
    "half a step": ("network.delay_steps", [0, 0.5], "network.delay_steps is [0, 0.5], not"),
    "a delay too few": ("network.delay_steps", [0], "input_hidden1"),
    "a negative refractory period": ("network.refractory_steps", -1, "network.refractory_steps is -1, not a whole"),
    "a refractory period beyond the trial": ("network.refractory_steps", 60, "network.refractory_steps is 60, not"),
    "fewer inputs": ("network.inputs", 7, "network.inputs is 7, not the 700 channels of the cochlea"),
    "no inputs": ("network.inputs", 0, "network.inputs is 0, not a whole number"),
    "other outputs": ("network.outputs", 5, "network.outputs is 5, not the number of its 4 classes"),
    "no neurons": ("network.hidden", [0], "network.hidden is [0], not"),
    "another layer": ("network.hidden", [12, 12], "hidden1_hidden2"),
    "fewer neurons": ("network.hidden", [11], "the network needs"),
    "recurrent is text": ("network.recurrent", "no", "network.recurrent is 'no', not true or false"),
    "not recurrent": ("network.recurrent", False, "the network needs"),
    "no steps": ("network.steps", 0, "network.steps is 0, not"),
    "steps without end": ("network.steps", 2**40, "network.steps is 1099511627776, not"),
    "a step of nothing": ("network.step_ms", 0, "network.step_ms is 0, not"),
    "a step that is no number": ("network.step_ms", "1", "network.step_ms is '1', not a finite number"),
    "true is no number": ("network.tau_mem_ms", True, "network.tau_mem_ms is True, not a finite number"),
    "a negative time constant": ("network.tau_syn_ms", -5.0, "network.tau_syn_ms is -5.0, not"),
    "a network without end": ("network.tau_mem_ms", 10**400, "network.tau_mem_ms is 1000"),
    "a network that is none": ("network", [1], "network is no object of named fields"),
    "an unknown part": ("network.threshold", 2.0, "has the field network.threshold, which this version does not know"),
    "another version": ("format", 2, "has the field format, which this version does not know"),
    "an unknown kind": ("kind", "quantum", "kind is 'quantum', not one of spiking, logistic"),
    "a kind of kinds": ("kind", ["spiking"], "kind is ['spiking'], not a text"),
    "a class twice": ("class_names", ["eins", "zwei", "zwei", "vier"], "class_names is ['eins', 'zwei', 'zwei', 'vie"),
    "a class without a name": ("class_names", ["eins", "zwei", "", "vier"], "not a list of different texts"),
    "a class that is a number": ("class_names", ["eins", "zwei", 3, "vier"], "not a list of different texts"),
    "one class": ("class_names", ["eins"], "class_names is ['eins'], not"),
    "classes are a text": ("class_names", "eins", "class_names is 'eins', not"),
    "speakers are numbers": ("heard_speakers", [0], "heard_speakers is [0], not a list of different texts"),
    "a seed of text": ("seed", "0", "seed is '0', not a whole number"),
    "a negative count": ("spike_count", -1, "spike_count is -1, not"),
    "a source without a name": ("origin.source", "", "of its origin, its source has no name"),
    "half an origin": ("origin", {"source": "shd"}, "of its origin, it does not name source and cochlea"),
    "a cochlea of nothing": ("origin.cochlea.fibres", 0, "of its origin, its cochlea is none of this version"),
    "a cochlea of text": ("origin.cochlea", "shd", "of its origin, its cochlea is none of this version"),
    "no loss": ("shape.kind", "bump", "shape is no loss of this version"),
    "a loss that is none": ("shape.bump", 3, "shape is no loss of this version"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_model_says_of_itself_is_refused(tmp_path, made, case):
    name, value, sentence = REFUSED[case]
    meta = copy.deepcopy(made[1])
    *outer, last = name.split(".")
    place = meta
    for key in outer:
        place = place[key]
    place[last] = value
    model.save(tmp_path / "m.npz", made[0], meta)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        model.load(tmp_path / "m.npz")
    assert str(caught.value).startswith(str(tmp_path / "m.npz"))
    assert "train the model again." in str(caught.value)


@pytest.mark.parametrize("name", ["network", "class_names", "heard_speakers", "kind", "fold", "epoch", "shape"])
def test_a_missing_field_is_refused(tmp_path, made, name):
    model.save(tmp_path / "m.npz", made[0], {key: value for key, value in made[1].items() if key != name})
    with pytest.raises(DataError, match=rf"lacks the field {name}; train the model again\."):
        model.load(tmp_path / "m.npz")


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


ARRAYS = {
    "NaN": ("hidden1_output", lambda a: changed(a, (0, 0), np.nan), "hidden1_output hold NaN or infinity"),
    "infinity": ("hidden1_hidden1", lambda a: changed(a, (3, 3), np.inf), "hidden1_hidden1 hold NaN or infinity"),
    "another shape": ("hidden1_output", lambda a: a[:, :3], "the network needs"),
    "transposed": ("hidden1_output", lambda a: a.T, "the network needs"),
    "doubles": ("hidden1_output", lambda a: a.astype(float), "hidden1_output is of type float64, not float32"),
    "whole numbers": ("hidden1_output", lambda a: a.astype(int), "hidden1_output is of type int64, not float32"),
    "text": ("hidden1_output", lambda a: a.astype(str), "hidden1_output is of type <U"),
    "no time at all": ("hidden1_tau_mem_ms", lambda a: 0 * a, "hidden1_tau_mem_ms are not all positive"),
    "time runs back": ("hidden1_tau_syn_ms", lambda a: changed(a, 5, -1), "hidden1_tau_syn_ms are not all positive"),
    "too many constants": ("hidden1_tau_syn_ms", lambda a: np.tile(a, 2), "the network needs"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_are_not_the_networks_are_refused(tmp_path, made, case):
    name, change, sentence = ARRAYS[case]
    model.save(tmp_path / "m.npz", made[0] | {name: change(made[0][name])}, made[1])
    with pytest.raises(DataError, match=rf"{sentence}.*; train the model again\."):
        model.load(tmp_path / "m.npz")


@pytest.mark.parametrize("text", ["{", "", "nan", "[" * 100_000, '{"kind": ' + "9" * 5000 + "}"], ids=len)
def test_meta_data_that_is_no_json_is_no_model(tmp_path, made, text):
    write_npz(tmp_path / "m.npz", made[0] | {"meta": np.array(text)})
    with pytest.raises(DataError, match=r"m\.npz (is not a model of this program|is damaged)"):
        model.load(tmp_path / "m.npz")


# --- logistic regression ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logistic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baseline")
    store.save(tiny.make_store(takes=1), folder / "train.npz", "train")
    baseline.train(tiny.make_params(), folder / "train.npz", folder / "m.npz", folder / "s.json")
    return model.load(folder / "m.npz")


LOGISTIC = {
    "NaN": ("coefficients", lambda a: changed(a, (0, 0), np.nan), "coefficients are not all finite"),
    "single precision": ("mean", lambda a: a.astype(np.float32), "mean are not all finite numbers"),
    "features too few": ("mean", lambda a: a[1:], "arrays have shapes"),
    "a row too few": ("coefficients", lambda a: a[1:], "arrays have shapes"),
    "no scale": ("scale", lambda a: changed(a, 0, 0.0), "scale is not all positive"),
    "a class beyond": ("classes", lambda a: a + 1, "classes are no numbers of its 4 classes"),
    "a negative class": ("classes", lambda a: a - 1, "classes are no numbers"),
    "a class twice": ("classes", lambda a: changed(a, 1, 0), "classes are no numbers"),
    "classes are text": ("classes", lambda a: a.astype(str), "classes are no numbers"),
    "classes by the half": ("classes", lambda a: a / 2, "classes are no numbers"),
}


@pytest.mark.parametrize("case", LOGISTIC)
def test_arrays_that_are_no_regression_are_refused(tmp_path, logistic, case):
    name, change, sentence = LOGISTIC[case]
    model.save(tmp_path / "m.npz", logistic.arrays | {name: change(logistic.arrays[name])}, logistic.meta)
    with pytest.raises(DataError, match=rf"{sentence}.*; train the model again\."):
        model.load(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("name", "value"), [("time_bins", 0), ("channel_bins", 701), ("time_bins", 2**60), ("seed", 1)]
)
def test_bins_that_cannot_be_are_refused(tmp_path, logistic, name, value):
    model.save(tmp_path / "m.npz", logistic.arrays, logistic.meta | {name: value})
    with pytest.raises(DataError, match=rf"{name} is {value}, not"):
        model.load(tmp_path / "m.npz")


def test_a_network_goes_to_json_and_back(made):
    assert network.from_dict(made[1]["network"]).as_dict() == made[1]["network"]


@pytest.fixture(scope="module")
def learned():
    """Arrays and meta data of a network whose loss is learned."""
    return spiking(tiny.make_params(shape={"learned": {"kind": "learned", "knots": 4}}), "learned")


WEIGHTS = {
    "none": lambda weights: None,
    "of another spline": lambda weights: weights[:-1],
    "not finite": lambda weights: changed(weights, 0, np.nan),
    "of double precision": lambda weights: weights.astype(np.float64),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_a_learned_loss_comes_with_its_weight_and_others_with_none(tmp_path, learned, made, case):
    arrays, meta = learned
    model.save(tmp_path / "m.npz", arrays, meta)
    assert model.load(tmp_path / "m.npz").arrays[losses.LEARNED].tobytes() == arrays[losses.LEARNED].tobytes()
    wrong = {losses.LEARNED: WEIGHTS[case](arrays[losses.LEARNED])}
    kept = {name: array for name, array in (arrays | wrong).items() if array is not None}
    model.save(tmp_path / "m.npz", kept, meta)
    with pytest.raises(DataError, match=r"is damaged: learned_weight .*; train the model again\."):
        model.load(tmp_path / "m.npz")
    model.save(tmp_path / "m.npz", made[0] | {losses.LEARNED: arrays[losses.LEARNED]}, made[1])
    with pytest.raises(DataError, match="learned_weight is not what a loss of kind exponential learns"):
        model.load(tmp_path / "m.npz")

"""The search space is checked like everything else, before any work; what was found lies over a file."""

import copy

import pytest
from support import tiny

from eventspeech import params, presets
from eventspeech.errors import ParameterError
from eventspeech.params.study import laid_over
from eventspeech.params.tune import NOT_SEARCHED, SEARCHED

RATE = {"kind": "log", "low": 0.001, "high": 0.03}


def with_space(space, **tune):
    content = copy.deepcopy(tiny.CONTENT)
    content["tune"] = {"losses": ["exponential", "gaussian"], "space": space, **tune}
    return params.validate(content)


def one(key, **given):
    return {key: given}


REFUSED = {
    "crossed": (one("optimiser.learning_rate", kind="log", low=0.03, high=0.003),
                r"tune\.space\.optimiser\.learning_rate: low = 0\.03 is not below high = 0\.003; exchange them"),
    "equal": (one("optimiser.learning_rate", kind="log", low=0.03, high=0.03), "is not below .*take the key out"),
    "logarithm of nothing": (one("network.input_mean", kind="log", low=0, high=1), "low = 0 has no logarithm"),
    "half": (one("train.batch_size", kind="integer", low=1.5, high=4), "takes whole numbers as low and high"),
    "uneven steps": (one("train.batch_size", kind="integer", low=4, high=16, step=5), r"do not lead .* set it to 14"),
    "one choice": (one("network.recurrent", kind="choice", values=[True]), "list two or more"),
    "the same twice": (one("network.recurrent", kind="choice", values=[True, True]), "each once"),
    "no bound": (one("optimiser.learning_rate", kind="log", low=1), "kind log needs high; add it"),
    "another kind's": (one("network.recurrent", kind="choice", values=[1, 2], low=1), "kind choice takes no low"),
    "unknown kind": (one("optimiser.learning_rate", kind="normal", low=1, high=2), "kind = 'normal' is not valid"),
    "no loss": (one("optimiser.learning_rate", **RATE, losses=[]), "losses = .* at least 1 item"),
    "unknown loss": (one("optimiser.learning_rate", **RATE, losses=["bell"]), "losses names 'bell', which is not in"),
    "nothing for a loss": (one("optimiser.learning_rate", **RATE, losses=["gaussian"]),
                           "names 'exponential', but tune.space has no key for it"),
    "not read by train": (one("evaluate.batch_size", kind="integer", low=1, high=9), "`train` does not read"),
    "what judges": (one("validation.fraction", kind="continuous", low=0.1, high=0.2), "by which trials are judged"),
    "length": (one("train.epochs", kind="integer", low=1, high=9), r"is the length of a trial; set tune\.epochs"),
    "engine": (one("optimiser.engine", kind="choice", values=["cpu", "genn"]), "changes no result"),
    "a loss's own name": (one("shape.learning_rate", **RATE), r"write optimiser\.learning_rate"),
    "deep in what is fixed": (one("shape.changes.train.batch_size", kind="integer", low=1, high=9), "is no value"),
    "unknown key": (one("optimiser.rate", **RATE), r"unknown key optimiser\.rate; .*known there: engine"),
    "a group": (one("optimiser.regulariser", **RATE), r"regulariser = 0\.001 is not valid: .*dictionary"),
    "below a value": (one("optimiser.learning_rate.x", **RATE), "valid number"),
    "number for a count": (one("train.batch_size", kind="continuous", low=4, high=16), r"batch_size = 4\.0 is not"),
    "number for a word": (one("network.recurrent", kind="integer", low=0, high=1), "recurrent = 0 is not valid"),
    "word for a number": (one("network.input_mean", kind="choice", values=["a", "b"]), "input_mean = 'a' is not valid"),
    "its own bound": (one("optimiser.adam_beta1", kind="continuous", low=0.5, high=1), "should be less than 1"),
    "another kind of loss": (one("shape.width", kind="continuous", low=0.1, high=0.2), "exponential takes no width"),
    "no key": (one("learning_rate", **RATE), "string should match pattern"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_space_is_one_sentence(name):
    space, sentence = REFUSED[name]
    with pytest.raises(ParameterError, match=sentence) as caught:
        with_space(space)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_what_lies_between_the_ends_has_to_be_possible_too():
    content = copy.deepcopy(tiny.CONTENT) | {"evaluate": {"steps_ms": [1.0]}}
    content["network"] |= {"delays": {"copies": 2}}
    content["tune"] = {
        "losses": ["gaussian"], "space": one("network.delays.interval_ms", kind="continuous", low=10, high=20),
    }  # fmt: skip
    with pytest.raises(ParameterError, match=r"interval_ms = 13\.82 is no whole number"):
        params.validate(content)
    content["tune"]["space"]["network.delays.interval_ms"]["kind"] = "integer"
    assert params.validate(content).tune.space


def test_lists_hold_a_value_once():
    for name, values in {"losses": ["gaussian", "gaussian"], "seeds": [1, 1]}.items():
        with pytest.raises(ParameterError, match=f"tune: {name} lists a value twice"):
            with_space(one("optimiser.learning_rate", **RATE), **{name: values})
    with pytest.raises(ParameterError, match=r"tune\.losses names 'bell', which is not in shape"):
        with_space(one("optimiser.learning_rate", **RATE), losses=["bell"])


def test_what_is_searched_is_what_train_reads():
    read = {key.partition(".")[0] for key in params.READ_BY["train"]}
    assert set(SEARCHED) == read - {"validation"}
    assert {key.partition(".")[0] for key in NOT_SEARCHED} <= set(SEARCHED)
    assert read <= {key.partition(".")[0] for key in params.READ_BY["tune"]}


SPACE = {
    "optimiser.learning_rate": RATE,
    "network.delays.copies": {"kind": "integer", "low": 1, "high": 3},
    "shape.width": {"kind": "continuous", "low": 0.1, "high": 0.4, "losses": ["gaussian"]},
}
FOUND = {"optimiser": {"learning_rate": 0.002}, "network": {"delays": {"copies": 3}}, "shape": {"width": 0.3}}


def tuned(**shape):
    content = copy.deepcopy(tiny.CONTENT)
    content["shape"]["gaussian"] = {"kind": "gaussian", **shape}
    content["network"] |= {"delays": {"interval_ms": 10}}
    content["tune"] = {"losses": ["gaussian"], "space": SPACE}
    return params.validate(content)


def test_what_was_found_holds_for_its_loss_alone_and_lies_over_its_changes():
    found = tuned(tuned=FOUND, changes={"optimiser": {"learning_rate": 0.5, "adam_beta1": 0.8}})
    own, other = found.for_loss("gaussian"), found.for_loss("exponential")
    assert (own.optimiser.learning_rate, own.optimiser.adam_beta1) == (0.002, 0.8)
    assert (own.network.delays.copies, own.shape["gaussian"].width) == (3, 0.3)
    assert other == found and other.optimiser.learning_rate == tiny.CONTENT["optimiser"]["learning_rate"]
    assert own.for_loss("gaussian") == own and own.tune == found.tune


def test_a_loss_s_own_learning_rate_gives_way_to_what_was_found():
    found = tuned(tuned=FOUND, learning_rate=0.5)
    assert found.for_loss("gaussian").shape["gaussian"].learning_rate == 0.002
    assert found.value("gaussian", "optimiser.learning_rate") == 0.5, "of the file as it stands"
    tried = found.with_values("gaussian", {"optimiser.learning_rate": 0.01})
    assert tried.shape["gaussian"].learning_rate == 0.01


def test_tuning_does_not_read_what_it_found():
    plain, found = tuned(), tuned(tuned=FOUND)
    assert params.select(plain, "tune", "gaussian") == params.select(found, "tune", "gaussian")
    assert params.select(plain, "train", "gaussian") != params.select(found, "train", "gaussian")
    assert params.select(plain, "tune", "gaussian")["tune.space"].keys() == SPACE.keys()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"optimiser": {"rate": 1}}, r"unknown key shape\.gaussian\.tuned\.optimiser\.rate"),
        ({"optimiser": {"learning_rate": -1.0}}, r"shape\.gaussian\.tuned\.optimiser\.learning_rate = -1"),
        ({"shape": {"width": -1.0}}, r"shape\.gaussian\.width = -1"),
        ({"validation": {}}, r"unknown key shape\.gaussian\.tuned\.validation"),
    ],
)
def test_a_wrong_overlay_is_one_sentence(wrong, sentence):
    with pytest.raises(ParameterError, match=sentence):
        tuned(tuned=wrong)


def test_values_of_a_trial_are_laid_over_the_file():
    found = tuned(tuned=FOUND)
    tried = found.with_values("gaussian", {"network.delays.copies": 2, "shape.width": 0.15})
    assert (tried.network.delays.copies, tried.shape["gaussian"].width) == (2, 0.15)
    assert tried.optimiser.learning_rate == tiny.CONTENT["optimiser"]["learning_rate"], "what was found is left out"
    assert (found.value("gaussian", "shape.width"), found.value("gaussian", "network.delays.copies")) == (0.2, 1)


def test_the_preset_searches_what_the_default_study_has():
    preset = presets.load("tune")
    for loss in preset.tune.losses:
        for key, range_ in preset.tune.of(loss).items():
            low, high = range_.bounds()
            assert low <= preset.value(loss, key) <= high, f"{key} of the default study is not tried"
    assert set(preset.tune.seeds).isdisjoint(preset.study.seeds)
    assert params.validate(laid_over(preset.model_dump(), {"tune": {"losses": []}})).tune.trials == preset.tune.trials

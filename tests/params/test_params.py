"""The parameter file: each refusal is one sentence that names the key, the value and the remedy."""

import copy

import pytest
import yaml
from support import tiny

from eventspeech import cli, params, paths
from eventspeech.errors import ParameterError

DEFAULT = yaml.safe_load((paths.PRESETS / "default.yaml").read_text(encoding="utf-8"))


def changed(key, value):
    """Return the default parameters with one (dotted) key set, or removed if the value is None."""
    content = copy.deepcopy(DEFAULT)
    *groups, last = key.split(".")
    place = content
    for group in groups:
        place = place.setdefault(group, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return content


def _leaves(group, prefix=""):
    """Return the dotted key of every value."""
    found = []
    for key, value in group.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return found


REFUSED = {
    "unknown group": ("trian", {}, r"unknown key trian; remove it or correct its spelling \(known there: study, shape"),
    "unknown key": ("train.epoch", 3, r"unknown key train\.epoch; .*known there: epochs, batch_size"),
    "unknown deep key": ("optimiser.regulariser.lambda", 1, r"unknown key optimiser\.regulariser\.lambda; .*strength"),
    "unknown key of a loss": ("shape.exponential.tau", 1, r"unknown key shape\.exponential\.tau"),
    "missing group": ("study", None, "study is missing; add it"),
    "missing key": ("study.seeds", None, r"study\.seeds is missing; add it"),
    "missing kind": ("shape.exponential.kind", None, r"shape\.exponential\.kind is missing; add it"),
    "not a number": ("train.epochs", "many", r"train\.epochs = 'many' is not valid: .*valid integer, so write it"),
    "number as text": ("train.epochs", "3", r"train\.epochs = '3' is not valid: .*, so write it without quotes"),
    "number with a point": ("study.seeds", [1.0], r"study\.seeds\.0 = 1\.0 is not valid: .*valid integer"),
    "true for 1": ("train.epochs", True, r"train\.epochs = True is not valid: .*valid integer"),
    "true for 1.0": ("optimiser.learning_rate", True, r"optimiser\.learning_rate = True is not valid: .*valid number"),
    "word for true": ("network.recurrent", "yes", r"network\.recurrent = 'yes' is not valid: .*valid boolean"),
    "1 for true": ("network.recurrent", 1, r"network\.recurrent = 1 is not valid: .*valid boolean"),
    "half an epoch": ("train.epochs", 1.5, r"train\.epochs = 1\.5 is not valid"),
    "no epoch": ("train.epochs", 0, r"train\.epochs = 0 is not valid: input should be greater than 0"),
    "negative rate": ("optimiser.learning_rate", -1.0, r"optimiser\.learning_rate = -1\.0 is not valid"),
    "infinite": ("network.tau_mem_ms", float("inf"), r"network\.tau_mem_ms = inf is not valid: .*finite"),
    "not a number at all": ("network.input_mean", float("nan"), r"network\.input_mean = nan is not valid: .*finite"),
    "kind that is a list": ("shape.exponential.kind", [], r"shape\.exponential\.kind = \[\] is not valid"),
    "beyond single precision": (
        "network.input_mean", 1e30, r"network\.input_mean = 1e\+30 is not valid: input should be less than or equal to",
    ),
    "zero in single precision": (
        "optimiser.adam_epsilon", 1e-300, r"optimiser\.adam_epsilon = 1e-300 is not valid: input should be greater",
    ),
    "seed that no model file holds": (
        "study.seeds", [2**70], r"study\.seeds\.0 = 1180591620717411303424 is not valid: input should be less than",
    ),
    "step of nothing": ("network.step_ms", 5e-324, r"network\.step_ms = 5e-324 is not valid: input should be greater"),
    "steps beyond count": (
        "network.step_ms", 1e-6,
        r"preprocess\.trial_ms = 1000 takes 1e\+09 steps of network\.step_ms = 1e-06, of which at most 1000000 are",
    ),
    "epochs without end": ("train.epochs", 2**70, r"train\.epochs = .* is not valid: input should be less than"),
    "threshold twice": ("compare.thresholds", [0.5, 0.50000001], r"compare: thresholds lists 0\.5 twice \(to six"),
    "path with a zero byte": (
        "download.archives", "a\0b", r"download\.archives: it has a line break or control character; remove it",
    ),
    "heading of two lines": ("report.title", "a\n# b", r"report\.title: it has a line break or control character"),
    "rest without end": ("profile.idle_s", 1e9, r"profile\.idle_s = 1000000000\.0 is not valid: input should be less"),
    "beta": ("optimiser.adam_beta1", 1.0, r"optimiser\.adam_beta1 = 1\.0 is not valid: input should be less than 1"),
    "engine": ("optimiser.engine", "gpu", r"engine = 'gpu' is not valid: input should be 'cpu', 'cuda' or 'genn'"),
    "kind": ("shape.exponential.kind", "cosine", r"shape\.exponential\.kind = 'cosine' is not valid"),
    "source": ("download.source", "tape", r"download\.source = 'tape' is not valid"),
    "key of another kind": ("shape.exponential.width", 0.1, r"shape\.exponential: kind exponential takes no width"),
    "mean of no weight": (
        "shape.exponential", {"kind": "max", "mean_weight": 0.6},
        r"shape\.exponential: kind max has no weight that mean_weight could scale; remove it",
    ),
    "constant of another readout": (
        "shape.exponential", {"kind": "max", "tau0_ms": 1.0}, r"kind max takes no tau0_ms \(it takes: none\)",
    ),
    "width of a spike": (
        "shape.exponential", {"kind": "first_spike", "width": 1.0},
        r"kind first_spike takes no width \(it takes: tau0_ms, tau1_ms, alpha\); remove it",
    ),
    "unknown constant": (
        "shape.exponential", {"kind": "first_spike", "tau2_ms": 1.0}, r"unknown key shape\.exponential\.tau2_ms",
    ),
    "no time": (
        "shape.exponential", {"kind": "first_spike", "tau0_ms": 0.0},
        r"shape\.exponential\.tau0_ms = 0\.0 is not valid: input should be greater than",
    ),
    "negative push": (
        "shape.exponential", {"kind": "first_spike", "alpha": -1.0}, r"shape\.exponential\.alpha = -1\.0 is not valid",
    ),
    "overflow": (
        "shape.exponential", {"kind": "first_spike", "tau1_ms": 2.0},
        r"shape\.exponential\.tau1_ms = 2 makes exp\(T / tau1\) overflow .* = 1000; make it at least 20",
    ),
    "no knots": (
        "shape.exponential", {"kind": "learned", "knots": 0},
        r"shape\.exponential\.knots = 0 is not valid: .* greater than or equal to 2",
    ),
    "an unknown start": (
        "shape.exponential", {"kind": "learned", "start": "gaussian"},
        r"shape\.exponential\.start = 'gaussian' is not valid: .*'exponential' or 'flat'",
    ),
    "a negative mean": (
        "shape.exponential", {"kind": "learned", "mean_weight": -0.6},
        r"shape\.exponential\.mean_weight = -0\.6 is not valid",
    ),
    "knots of another kind": (
        "shape.exponential", {"kind": "exponential", "knots": 8}, r"kind exponential takes no knots .*; remove it",
    ),
    "negative spread": (
        "shape.exponential", {"kind": "max", "output_sd": -1.0}, r"shape\.exponential\.output_sd = -1\.0 is not valid",
    ),
    "name of a loss": ("shape.a b", {"kind": "sum"}, r"shape\.a b.* is not valid: string should match pattern"),
    "no loss": ("study.losses", [], r"study\.losses = \[\] is not valid: list should have at least 1 item"),
    "no hidden layer": ("network.hidden", [], r"network\.hidden = \[\] is not valid"),
    "empty hidden layer": ("network.hidden", [128, 0], r"network\.hidden\.1 = 0 is not valid"),
    "negative seed": ("study.seeds", [-1], r"study\.seeds\.0 = -1 is not valid"),
    "loss without shape": (
        "study.losses", ["exponential", "cosine"], r"study\.losses names 'cosine', which is not in shape \(exp",
    ),
    "reference": ("compare.reference", "cosine", r"compare\.reference names 'cosine', which is not in shape"),
    "profiled loss": ("profile.loss", "cosine", r"profile\.loss names 'cosine', which is not in shape"),
    "loss twice": ("study.losses", ["exponential", "exponential"], r"study\.losses lists a value twice"),
    "seed twice": ("study.seeds", [1, 1], r"study\.seeds lists a value twice"),
    "delays": ("network.delays.copies", 40, r"network\.delays reach \d+ ms, past the end .*; use fewer copies"),
    "step": ("network.step_ms", 6, r"network\.step_ms is longer than a time constant; make it shorter"),
    "takes": ("download.synthetic.test_takes", 3, r"test_takes leaves no take for training; raise takes"),
    "speakers": ("download.synthetic.test_speakers", 13, r"leaves fewer than two speakers .*; raise speakers"),
    "no folder": ("download.source", "recordings", "names neither a folder nor a manifest; set one"),
    "no file": ("download.source", "hdf5", r"download\.hdf5_train names no file; set it to a file in SHD's layout"),
    "number as name": (
        "validation.speakers", [0], r"validation\.speakers\.0 = 0 is not valid: .*valid string, so put it in quotes",
    ),
    "growth": ("optimiser.ease_in.growth", 1.0, r"optimiser\.ease_in\.growth = 1\.0 is not valid: .*greater than 1"),
    "start at nothing": ("optimiser.ease_in.start", 0.0, r"ease_in\.start = 0\.0 is not valid: .*greater than 0"),
    "start above the rate": ("optimiser.ease_in.start", 2.0, r"optimiser\.ease_in\.start = 2\.0 is not valid"),
    "no rate left": ("train.schedule.factor", 0.0, r"train\.schedule\.factor = 0\.0 is not valid"),
    "fast average": (
        "train.schedule.fast", 0.85,
        r"train\.schedule: fast = 0\.85 follows the accuracy no faster than slow = 0\.85; make it smaller",
    ),
    "schedule without validation": ("validation.speakers", [], r"validation.*speakers"),
    "negative lift": ("train.silent_lift.amount", -0.1, r"train\.silent_lift\.amount = -0\.1 is not valid"),
    "lift of some": ("train.silent_lift.neurons", "some", r"silent_lift\.neurons = 'some' .* be 'silent' or 'all'"),
    "select by the test": ("train.select", "test", r"train\.select = 'test' .*'validation', 'training' or 'last'"),
    "shift off the cochlea": ("augmentation.shift_channels", 700, r"shift_channels = 700 is not valid: .* less"),
    "blend of one": (
        "augmentation.blend.probabilities", [0.5],
        r"augmentation\.blend: probabilities names one sample, and blending takes two; add",
    ),
    "never kept": ("augmentation.blend.probabilities", [0.5, 0.0], r"blend\.probabilities\.1 = 0\.0 is not valid"),
    "kept twice": ("augmentation.blend.probabilities", [1.5, 0.5], r"blend\.probabilities\.0 = 1\.5 is not valid"),
    "blends of nothing": (
        "augmentation.blend.samples", 100,
        r"augmentation\.blend: samples is set, but probabilities is \[\], .*; set it or use null",
    ),
    "range of dilation": (
        "augmentation.dilation.shortest", 1.5,
        r"augmentation\.dilation: shortest = 1\.5 is above longest = 1; exchange them",
    ),
    "range of stretching": (
        "augmentation.stretch.narrowest", 1.5,
        r"augmentation\.stretch: narrowest = 1\.5 is above widest = 1; exchange them",
    ),
    "all events dropped": ("augmentation.drop_events", 1.0, r"augmentation\.drop_events = 1\.0 is not valid"),
    "a cosine that rises": ("train.schedule.cosine_to", 1.5, r"train\.schedule\.cosine_to = 1\.5 is not valid"),
    "no time left": ("augmentation.dilation.shortest", 0.0, r"dilation\.shortest = 0\.0 is not valid"),
    "negative jitter": ("augmentation.jitter_channels", -1.0, r"augmentation\.jitter_channels = -1\.0 is not valid"),
    "steps without the trained one": (
        "evaluate.steps_ms", [0.5, 0.1],
        r"evaluate\.steps_ms = \[0\.5, 0\.1\] lacks network\.step_ms = 1, .*; add it, or set evaluate\.steps_ms to",
    ),
    "another trained step": ("network.step_ms", 0.2, r"evaluate\.steps_ms = .* lacks network\.step_ms = 0\.2, at"),
    "no step": ("evaluate.steps_ms", [1, 0], r"evaluate\.steps_ms\.1 = 0 is not valid: .* greater than or equal"),
    "a step back": ("evaluate.steps_ms", [1, -0.5], r"evaluate\.steps_ms\.1 = -0\.5 is not valid"),
    "a step twice": ("evaluate.steps_ms", [1, 0.5, 1.0], r"evaluate: steps_ms lists 1 twice; remove one"),
    "a step beyond a learned constant": (
        "evaluate.steps_ms", [1, 2],
        r"evaluate\.steps_ms lists 2, longer than a time constant \(optimiser\.tau_syn_min_ms = 1\); take it out",
    ),
    "steps that do not divide the trial": (
        "evaluate.steps_ms", [1, 0.3],
        r"steps_ms lists 0\.3, of which preprocess\.trial_ms = 1000 is no whole number; take it out",
    ),
    "steps that do not divide a delay": (
        "evaluate.steps_ms", [1, 1000 / 1024],
        r"steps_ms lists 0\.976562, of which network\.delays\.interval_ms = 60 is no whole number; take it out",
    ),
    "steps that do not divide a refractory period": (
        "network.refractory_ms", 0.3, r"lists 1, of which network\.refractory_ms = 0\.3 is no .*; change network\.refr",
    ),
    "more steps than can be": (
        "evaluate.steps_ms", [1, 1e-6], r"steps_ms lists 1e-06, of which the trial .* more than 1000000; take it out",
    ),
    "group is a number": ("train", 3, r"train = 3 is not valid"),
}  # fmt: skip

# what a loss may not change, and what is said instead: the same as of the file's own values, at the place it stands
REFUSED_CHANGES = {
    "unknown group": ({"validation": {}}, r"unknown key CHANGES\.validation; .*known there: optimiser, train, netw"),
    "unknown key": ({"train": {"epoch": 3}}, r"unknown key CHANGES\.train\.epoch; .*known there: epochs, batch"),
    "unknown deep key": (
        {"augmentation": {"blend": {"sample": 9}}},
        r"unknown key CHANGES\.augmentation\.blend\.sample; .*\(known there: probabilities, samples\)",
    ),
    "bound": ({"train": {"epochs": 0}}, r"CHANGES\.train\.epochs = 0 is not valid: input should be greater than 0"),
    "bound of a list": ({"network": {"hidden": [8, 0]}}, r"CHANGES\.network\.hidden\.1 = 0 is not valid"),
    "group is a number": ({"network": {"delays": 5}}, r"CHANGES\.network\.delays = 5 is not valid"),
    "no group": ({"network": None}, r"CHANGES\.network = None is not valid"),
    "within a group": ({"train": {"schedule": {"fast": 0.9}}}, r"CHANGES\.train\.schedule: fast = 0\.9 follows the"),
    "delays": (
        {"network": {"delays": {"copies": 40}}}, r"CHANGES: network\.delays reach \d+ ms, past the end .* fewer copies",
    ),
    "two groups that do not fit": (
        {"network": {"time_constants": "heterogeneous"}, "optimiser": {"learn_time_constants": "population"}},
        r"CHANGES: network\.time_constants is heterogeneous, .* set it to neuron or none",
    ),
    "a refractory period that is no whole number of steps": (
        {"network": {"refractory_ms": 0.5}},
        r"CHANGES: evaluate\.steps_ms lists 1, of which network\.refractory_ms = 0\.5 is no .*; change network\.refr",
    ),
    "another step": ({"network": {"step_ms": 0.2}}, r"CHANGES: evaluate\.steps_ms = .* lacks network\.step_ms = 0\.2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_CHANGES)
def test_refusals_of_changes(name):
    changes, sentence = REFUSED_CHANGES[name]
    with pytest.raises(ParameterError, match=sentence.replace("CHANGES", r"shape\.gaussian\.changes")) as caught:
        params.validate(changed("shape.gaussian.changes", changes), "my.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_all_problems_of_all_changes_are_named_at_once():
    content = changed("shape.gaussian.changes", {"train": {"epochs": 0, "batch_size": 0}})
    content["shape"]["exponential"]["changes"] = {"network": {"step_ms": 6}}
    with pytest.raises(ParameterError) as caught:
        params.validate(content)
    for key in ("gaussian.changes.train.epochs", "gaussian.changes.train.batch_size", "exponential.changes: network."):
        assert f"shape.{key}" in str(caught.value)


def test_without_learned_constants_a_step_may_be_as_long_as_the_networks_own():
    content = changed("evaluate.steps_ms", [5, 1])
    content["optimiser"]["learn_time_constants"] = "none"
    assert params.validate(content).evaluate.steps_ms == [5, 1]
    content["evaluate"]["steps_ms"] = [5, 1, 10]
    with pytest.raises(ParameterError, match=r"lists 10, longer than a time constant \(network\.tau_syn_ms = 5\)"):
        params.validate(content)
    content["network"] |= {"delays": {"copies": 1, "interval_ms": 7}}
    content["evaluate"]["steps_ms"] = [2, 1]
    assert params.validate(content).evaluate.steps_ms == [2, 1], "one copy has no interval"


def test_a_step_of_the_test_divides_the_refractory_period():
    content = changed("network.refractory_ms", 1)
    content["evaluate"]["steps_ms"] = [1, 0.625]
    with pytest.raises(
        ParameterError, match=r"lists 0\.625, of which network\.refractory_ms = 1 is no .*; take it out"
    ):
        params.validate(content)


def test_a_rate_is_not_said_twice():
    shape = {"kind": "exponential", "learning_rate": 0.1, "changes": {"optimiser": {"learning_rate": 0.2}}}
    with pytest.raises(ParameterError, match=r"learning_rate stands here and in changes\.optimiser; remove one"):
        params.validate(changed("shape.exponential", shape))


def test_changes_are_made_for_their_loss_only_and_as_deep_as_they_lie():
    changes = {"network": {"delays": {"copies": 1}, "hidden": [8, 8]}, "train": {"epochs": 3}}
    study = params.validate(changed("shape.gaussian.changes", changes))
    plain, other = study.for_loss("exponential"), study.for_loss("gaussian")
    assert plain == study
    assert other.network == study.network.model_copy(
        update={"delays": study.network.delays.model_copy(update={"copies": 1}), "hidden": [8, 8]}
    )
    assert other.train == study.train.model_copy(update={"epochs": 3})
    assert other.augmentation == study.augmentation
    assert other.for_loss("gaussian") == other
    with pytest.raises(ParameterError, match="There is no loss 'cosine' in shape; choose from exponential, gaussian"):
        study.for_loss("cosine")


def test_what_a_verb_reads_holds_the_changes_of_its_loss():
    plain = params.validate(DEFAULT)
    study = params.validate(changed("shape.gaussian.changes", {"augmentation": {"shift_channels": 3}}))
    assert params.select(study, "train", "gaussian") == {
        **params.select(plain, "train", "gaussian"),
        "augmentation": {**params.select(plain, "train", "gaussian")["augmentation"], "shift_channels": 3},
        "shape.gaussian": study.for_loss("gaussian").shape["gaussian"].model_dump(mode="json"),
    }
    for verb in params.READ_BY:
        reads = "shape" in params.READ_BY[verb]
        assert (params.select(study, verb, "exponential") == params.select(plain, verb, "exponential")) != reads, verb
    assert params.select(study, "report", "gaussian") == params.select(study, "report", "exponential")
    profiled = study.model_copy(update={"profile": study.profile.model_copy(update={"loss": "gaussian"})})
    assert params.select(profiled, "profile")["augmentation"]["shift_channels"] == 3


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    key, value, sentence = REFUSED[name]
    with pytest.raises(ParameterError, match=sentence) as caught:
        params.validate(changed(key, value), "my.yaml")
    assert str(caught.value).startswith("my.yaml: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


# where the keys of 756470f stand that stand elsewhere now
MOVED = {
    **{f"train.{key}": f"optimiser.{key}" for key in (
        "engine", "accumulate", "learning_rate", "adam_beta1", "adam_beta2", "adam_epsilon", "learn_time_constants",
        "learn_output_time_constants", "tau_mem_min_ms", "tau_syn_min_ms", "regulariser", "ease_in",
    )},
}  # fmt: skip


def test_a_spline_has_at_most_a_knot_a_step():
    most = tiny.make_params(shape={"learned": {"kind": "learned", "knots": 60}})
    assert most.shape["learned"].knots == 60
    with pytest.raises(ParameterError, match=r"shape\.learned\.knots = 61 is more than the 60 steps of .*; take fewer"):
        tiny.make_params(shape={"learned": {"kind": "learned", "knots": 61}})


@pytest.mark.parametrize("key", MOVED)
def test_a_key_that_has_moved_is_refused_with_its_new_name(key):
    group, name = MOVED[key].split(".")
    value = params.validate(DEFAULT).model_dump(mode="json")[group][name]
    with pytest.raises(ParameterError, match=rf"^params\.yaml: {key} is now {group}\.{name}; move it\.$"):
        params.validate(changed(key, value))
    if key.startswith("train."):
        changes = changed("shape.gaussian.changes", {"train": {name: value}})
        place = "shape.gaussian.changes"
        with pytest.raises(ParameterError, match=rf"{place}\.{key} is now {place}\.{group}\.{name}; move it\.$"):
            params.validate(changes)


@pytest.mark.parametrize("protocol", ["held_out", "leave_one_out"])
def test_a_speaker_of_the_test_cannot_choose_the_epoch(protocol):
    content = changed("download", {"source": "recordings", "recordings": {"folder": "x", "test_speakers": ["b"]}})
    content["validation"], content["study"]["folds"], where = {
        "held_out": ({"protocol": protocol, "speakers": ["a", "b"]}, [protocol], r"validation\.speakers"),
        "leave_one_out": ({"protocol": protocol}, ["a", "b"], r"study\.folds"),
    }[protocol]
    with pytest.raises(ParameterError, match=rf"{where} names 'b', whom download\.recordings\.test_speakers keeps out"):
        params.validate(content)


def test_all_problems_are_named_at_once():
    content = changed("train.epochs", 0)
    content["study"]["sedes"] = [1]
    with pytest.raises(ParameterError, match=r"unknown key study\.sedes.*; train\.epochs = 0 is not valid"):
        params.validate(content)


IMPOSSIBLE = {
    "shared, yet each its own": (
        {"optimiser": {"learn_time_constants": "population"}, "network": {"time_constants": "heterogeneous"}},
        r"network\.time_constants is heterogeneous, .* optimiser\.learn_time_constants is population; set it to neuron",
    ),
    "bound below the step": (
        {"optimiser": {"learn_time_constants": "neuron"}, "network": {"step_ms": 2}},
        r"optimiser\.tau_syn_min_ms = 1 lets time constants fall below network\.step_ms = 2; raise it",
    ),
    "drawn below the step": (
        {
            "optimiser": {"tau_mem_min_ms": 0.5, "learn_time_constants": "none"},
            "network": {"time_constants": "heterogeneous"},
        },
        r"optimiser\.tau_mem_min_ms = 0\.5 lets time constants fall below network\.step_ms = 1; raise it",
    ),
    "bound above the start": (
        {"optimiser": {"learn_time_constants": "population", "tau_mem_min_ms": 21}},
        r"optimiser\.tau_mem_min_ms = 21 is above network\.tau_mem_ms = 20, where time constants start; lower it",
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_time_constants(name):
    groups, sentence = IMPOSSIBLE[name]
    content = copy.deepcopy(DEFAULT)
    for group, keys in groups.items():
        content[group] |= keys
    with pytest.raises(ParameterError, match=sentence) as caught:
        params.validate(content, "my.yaml")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_the_pieces_of_the_published_recipe_are_off_unless_asked_for():
    parameters = params.validate({key: DEFAULT[key] for key in ("study", "shape", "validation")})
    optimiser, train, augmentation = parameters.optimiser, parameters.train, parameters.augmentation
    assert (optimiser.ease_in.start, train.schedule.factor, train.silent_lift.amount) == (1, 1, 0)
    assert train.select == "validation"
    assert (
        augmentation == params.Augmentation() == params.validate(changed("augmentation.shift_channels", 0)).augmentation
    )
    assert not augmentation.balance_classes and not augmentation.normalise_spikes
    assert (augmentation.shift_channels, augmentation.blend.probabilities, augmentation.jitter_channels) == (0, [], 0)
    assert augmentation.dilation.shortest == augmentation.dilation.longest == 1
    default = params.validate(DEFAULT)
    assert default.optimiser.ease_in == optimiser.ease_in
    assert (default.train.schedule, default.train.silent_lift) == (train.schedule, train.silent_lift)


def test_bounds_of_time_constants_that_nobody_learns_do_not_matter():
    content = changed("network.step_ms", 2)
    content["evaluate"]["steps_ms"] = []
    content["optimiser"]["learn_time_constants"] = "none"
    assert params.validate(content).optimiser.tau_syn_min_ms == 1


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_file_without_groups(content):
    with pytest.raises(ParameterError, match="holds no groups of parameters; `eventspeech preset default` prints"):
        params.validate(content)


def test_unreadable_files(tmp_path):
    with pytest.raises(ParameterError, match=r"none\.yaml does not exist; `eventspeech preset default"):
        params.load(tmp_path / "none.yaml")
    with pytest.raises(ParameterError, match="cannot be read"):
        params.load(tmp_path)
    (tmp_path / "a.yaml").write_text("train: [1, 2\nother: }")
    with pytest.raises(ParameterError, match=r"is not valid YAML \(.*line 2.*\); correct it\."):
        params.load(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParameterError, match="is not valid YAML"):
        params.load(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("")
    with pytest.raises(ParameterError, match="holds no groups"):
        params.load(tmp_path / "a.yaml")


def test_command_exits_with_status_2_and_one_line(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(changed("train.epochs", 0)))
    assert cli.main(["download", "--params", str(path), "--raw", str(tmp_path / "raw")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "raw").exists()


def test_constants_left_out_or_empty_are_the_published_ones():
    for content in ({}, {"tau0_ms": None, "output_sd": None}):
        shape = params.validate(changed("shape.exponential", {"kind": "first_spike", **content})).shape["exponential"]
        assert (shape.tau0_ms, shape.tau1_ms, shape.alpha) == (1.0, 100.0, 5e-5)
        assert shape.output_weights() == {"output_mean": 1.2, "output_sd": 0.6}
    assert params.Shape(kind="max").output_weights() == {}
    assert params.Shape(kind="sum", output_mean=0.5).output_weights() == {"output_mean": 0.5}


def test_parameters_do_not_change():
    parameters = params.validate(DEFAULT)
    with pytest.raises(Exception, match="frozen"):
        parameters.train.epochs = 3


def test_a_dump_is_a_valid_file():
    parameters = params.validate(DEFAULT)
    assert params.validate(parameters.model_dump(mode="json")) == parameters


def test_each_verb_reads_existing_groups_and_not_more():
    parameters = params.validate(DEFAULT)
    for verb in params.READ_BY:
        params.select(parameters, verb, "gaussian")
    wider = params.validate(changed("shape.gaussian.width", 0.3))
    assert params.select(wider, "train", "gaussian") != params.select(parameters, "train", "gaussian")
    assert params.select(wider, "train", "exponential") == params.select(parameters, "train", "exponential")
    seeds = params.validate(changed("study.seeds", [0, 1, 2, 3]))
    assert params.select(seeds, "train", "gaussian") == params.select(parameters, "train", "gaussian")
    titled = params.validate(changed("report.formats", ["pdf"]))
    assert [
        v for v in params.READ_BY if params.select(titled, v, "gaussian") != params.select(parameters, v, "gaussian")
    ] == ["report"]


HOSTILE = (
    -1, 0, -0.0, 1e30, 2**70, 1e-300, 5e-324, float("nan"), float("-inf"), "", "x" * 10_000, "../x", "a\0b", "a\nb",
    "1", None, True, [], {}, [[]], ["x"], [-1], [2**70], [float("nan")], {"x": 1},
)  # fmt: skip


@pytest.mark.parametrize("key", _leaves(DEFAULT))
def test_any_value_is_taken_or_refused_in_one_sentence(key):
    for value in HOSTILE:
        content = copy.deepcopy(DEFAULT)
        *groups, last = key.split(".")
        place = content
        for group in groups:
            place = place[group]
        place[last] = value
        try:
            params.validate(content, "my.yaml")
        except ParameterError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 500

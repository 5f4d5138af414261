"""Protocols of validation: who chooses the epoch, fold by fold, and what is refused before anything is learned."""

import dataclasses

import numpy as np
import pytest
from support import tiny

from eventspeech import machine, params
from eventspeech.data import store
from eventspeech.errors import DataError, ParameterError
from eventspeech.files import read_json
from eventspeech.learning.folds import speakers, split
from eventspeech.records import model as model_file
from eventspeech.stages import baseline
from eventspeech.stages import train as training

EACH = list(tiny.SPEAKERS)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(machine, "facts", dict)


def of(protocol, folds=None, source="synthetic", **keys):
    """Return parameters with this protocol."""
    study = {"losses": ["exponential", "gaussian"], "seeds": [0]} | ({"folds": folds} if folds else {})
    content = tiny.CONTENT | {"study": study, "validation": {"protocol": protocol, **keys}}
    return params.validate(content | {"download": {"source": source}})


def tagged(samples, **fields):
    """Return the store with an extra spike-free identity: labels are replaced by the samples' numbers."""
    names = tuple(map(str, range(len(samples))))
    return dataclasses.replace(samples, labels=np.arange(len(samples)), class_names=names, **fields)


@pytest.fixture(scope="module")
def samples():
    return tagged(tiny.make_store())


def parts(chosen, samples, fold=None):
    """Return the numbers of the samples to learn from and of those that choose."""
    return tuple(set(part.labels.tolist()) for part in split(chosen, samples, fold))


def spoken_by(samples, *speakers):
    return set(np.flatnonzero(np.isin(samples.speakers, speakers)).tolist())


# --- who is held out --------------------------------------------------------------------------------------------------


def test_held_out_is_the_default_and_has_one_fold(samples):
    chosen = tiny.make_params(validation={"speakers": ["s1", "s3"]})
    assert (chosen.validation.protocol, chosen.study.folds) == ("held_out", ["held_out"])
    assert parts(chosen, samples) == (spoken_by(samples, 0, 2), spoken_by(samples, 1, 3))
    assert parts(chosen, samples, "held_out") == parts(chosen, samples)


def test_each_speaker_is_left_out_once(samples):
    chosen = of("leave_one_out", EACH)
    for index, name in enumerate(EACH):
        learned, held_out = parts(chosen, samples, name)
        assert held_out == spoken_by(samples, index)
        assert learned == spoken_by(samples, *({0, 1, 2, 3} - {index}))


def test_the_order_of_the_folds_changes_no_fold(samples):
    for name in EACH:
        assert parts(of("leave_one_out", EACH), samples, name) == parts(of("leave_one_out", EACH[::-1]), samples, name)


def test_a_random_split_has_its_share_and_its_own_seed(samples):
    folds = ["one", "two", "three"]
    chosen = of("random", folds, fraction=0.25)
    found = [parts(chosen, samples, fold) for fold in folds]
    for learned, held_out in found:
        assert len(held_out) == len(samples) // 4
        assert not learned & held_out and len(learned | held_out) == len(samples)
    assert len({frozenset(held_out) for _, held_out in found}) == 3, "each fold draws anew"
    assert parts(of("random", ["two"], fraction=0.25), samples, "two") == found[1], "whatever the other folds are"
    assert parts(of("random", folds, fraction=0.25, seed=1), samples, "one") != found[0]
    assert of("random", fraction=0.25).study.folds == ["random"]


def test_the_official_split_chooses_and_serves_no_other_protocol(samples):
    marked = tagged(samples, validation=np.arange(len(samples)) % 5 == 0)
    official = set(range(0, len(samples), 5))
    assert parts(of("official", source="ssc"), marked) == (set(range(len(samples))) - official, official)
    for chosen, fold in ((of("leave_one_out", EACH), "s1"), (of("random", fraction=0.5), "random")):
        assert not set.union(*parts(chosen, marked, fold)) & official


def test_both_splits_in_one_store_keep_their_spikes(tmp_path):
    one, other = tiny.make_store(takes=1), tiny.make_store(takes=2, seed=3)
    store.save(store.with_validation(one, other), tmp_path / "train.npz", "train")
    learned, held_out = split(of("official", source="ssc"), store.load(tmp_path / "train.npz"))
    for found, expected in ((learned, one), (held_out, other)):
        for name in ("offsets", "times_ms", "channels", "labels", "speakers"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_speakers_of_a_split():
    samples = tiny.make_store(takes=1)
    found = speakers(*split(of("leave_one_out", EACH), samples, "s1"))
    assert found == {"heard_speakers": ["s0", "s2", "s3"], "validation_speakers": ["s1"]}
    found = speakers(*split(of("random", fraction=0.5), samples))
    assert found == {"heard_speakers": EACH, "validation_speakers": []}, "heard, though they choose, too"


# --- the stages -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spikes(tmp_path_factory):
    path = tmp_path_factory.mktemp("spikes") / "train.npz"
    store.save(tiny.make_store(), path, "train")
    return path


def train(chosen, spikes, folder, fold):
    paths = training.Outputs(*(folder / name for name in ("weights.npz", "history.csv", "summary.json", "last.npz")))
    training.train(chosen, "exponential", 0, spikes, paths, fold)
    return paths


def test_a_fold_is_what_holding_its_speaker_out_is(tmp_path, spikes):
    short = tiny.CONTENT["train"] | {"epochs": 2}
    left_out = params.validate(of("leave_one_out", EACH).model_dump() | {"train": short})
    one = train(left_out, spikes, tmp_path / "fold", "s3")
    other = train(tiny.make_params(train=short), spikes, tmp_path / "held_out", None)
    (weights, meta), (expected, _) = (model_file.load(paths.weights) for paths in (one, other))
    for name, array in expected.items():
        assert weights[name].tobytes() == array.tobytes()
    assert (meta["fold"], meta["heard_speakers"], meta["validation_speakers"]) == ("s3", ["s0", "s1", "s2"], ["s3"])
    summary = read_json(one.summary)
    assert (summary["fold"], summary["protocol"]) == ("s3", "leave_one_out")
    baseline.train(left_out, spikes, tmp_path / "model.npz", tmp_path / "summary.json", "s3")
    assert model_file.load(tmp_path / "model.npz")[1]["validation_speakers"] == ["s3"]


@pytest.mark.parametrize("folds", [["s0", "s1", "s2"], [*EACH, "s4"]], ids=["one is missing", "one too many"])
def test_folds_that_are_not_all_speakers_are_refused_before_any_work(tmp_path, spikes, folds, monkeypatch):
    monkeypatch.setattr(training, "Trainer", lambda *_: pytest.fail("a training was set up"))
    sentence = r'study\.folds has to list exactly the speakers .*; set it to \["s0", "s1", "s2", "s3"\]\.'
    with pytest.raises(DataError, match=sentence):
        train(of("leave_one_out", folds), spikes, tmp_path, "s1")
    with pytest.raises(DataError, match=sentence):
        baseline.train(of("leave_one_out", folds), spikes, tmp_path / "m.npz", tmp_path / "s.json", "s1")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("chosen", "fold", "sentence"),
    [
        (of("leave_one_out", EACH), "s9", r"no fold 's9' in study\.folds; choose from s0, s1, s2, s3\."),
        (of("leave_one_out", EACH), None, r"several folds; choose one of s0, s1, s2, s3\."),
        (of("official", source="ssc"), None, r"without a validation split of its source; run `preprocess` again"),
        (of("random", fraction=1e-6), None, r"validation\.fraction = 1e-06 of 64 samples leaves none"),
        (of("random", fraction=1 - 1e-6), None, r"leaves none to learn from"),
    ],
    ids=["unknown fold", "which fold", "nothing official", "too small", "too large"],
)
def test_what_does_not_fit_the_data_is_refused(samples, chosen, fold, sentence):
    with pytest.raises(DataError, match=sentence):
        split(chosen, samples, fold)


# --- the parameter file -----------------------------------------------------------------------------------------------

REFUSED = {
    "one speaker": (("leave_one_out", ["s0"]), {}, r"names one speaker, which leaves nobody to learn from; list every"),
    "no list of speakers": (("leave_one_out", None), {}, r"study\.folds is missing; add it"),
    "nothing to hold out": (("held_out", None), {}, r"protocol held_out needs speakers; add it"),
    "speakers beside folds": (("leave_one_out", EACH), {"speakers": ["s0"]}, r"takes no speakers \(only held_out"),
    "no fraction": (("random", None), {}, r"protocol random needs fraction; add it"),
    "fraction 0": (("random", None), {"fraction": 0}, r"validation\.fraction = 0 is not valid: .*greater than 0"),
    "fraction 1": (("random", None), {"fraction": 1}, r"validation\.fraction = 1 is not valid: .*less than 1"),
    "no official split": (("official", None), {}, r"source synthetic has no validation split of its own \(ssc"),
    "two folds of one": (("official", ["a", "b"]), {}, r"has one fold; set study\.folds to \[official\]"),
    "a fold twice": (("random", ["a", "a"]), {"fraction": 0.5}, r"study\.folds lists a value twice"),
    "a fold that is no folder": (("random", ["a/b"]), {"fraction": 0.5}, r"study\.folds\.0 = 'a/b' is not valid"),
    "a fold above": (("random", [".."]), {"fraction": 0.5}, r"study\.folds\.0 = '\.\.' is not valid"),
    "a number": (("leave_one_out", [0, 1]), {}, r"study\.folds\.0 = 0 is not valid: .*put it in quotes"),
    "unknown": (("loso", None), {}, r"validation\.protocol = 'loso' is not valid"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_protocols_are_refused(name):
    (protocol, folds), keys, sentence = REFUSED[name]
    with pytest.raises(ParameterError, match=sentence):
        of(protocol, folds, **keys)

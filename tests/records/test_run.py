"""What a training and its test leave: only whole, possible results of the very run are read."""

import csv
import itertools
import json
import re

import numpy as np
import pytest
from support import fake_results

from eventspeech.errors import DataError
from eventspeech.files import sha256, write_csv, write_json, write_npz
from eventspeech.records import history, metrics, run

JOB = ("exponential", 0, "held_out")


@pytest.fixture
def study(tmp_path):
    """A run of three epochs and its test; returns what reads it, and their folders."""
    chosen = fake_results.params(losses=["exponential"], seeds=[0])
    model, tested = (tmp_path.joinpath(stage, *map(str, JOB)) for stage in ("train", "evaluate"))
    fake_results.training(model, "exponential", 0, np.array([0.25, 0.75, 0.5]))
    fake_results.evaluation(tested, {"loss": "exponential"}, 0.8, 0)
    return (lambda: run.read_all(chosen, tmp_path / "train", tmp_path / "evaluate")), model, tested


def edit(path, **changes):
    """Change fields of a JSON file; a name with / reaches into objects and lists, ``...`` takes the field away."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *outer, last = name.split("/")
        place = content
        for key in outer:
            place = place[int(key) if isinstance(place, list) else key]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    path.write_text(json.dumps(content))


def test_a_run_is_what_its_files_say(study):
    read, _, tested = study
    (found,) = read()
    assert (found.loss, found.seed, found.fold) == JOB
    assert found.validation.tolist() == [0.25, 0.75, 0.5]
    assert (found.best_epoch, found.best, found.final) == (2, 0.75, 0.5)
    assert (found.early(2), found.epochs_to(0.5), found.epochs_to(0.8)) == (0.5, 2, None)
    assert found.classes == fake_results.WORDS and found.chance == 1 / 20
    assert found.test == json.loads((tested / "metrics.json").read_text())["accuracy"]
    assert found.confusion.sum() == found.metrics["samples"]


THETAS = {
    "none": ({"learned_weight": ...}, "lacks the field learned_weight"),
    "of one moment": ({"learned_weight/last": ...}, "lacks the field learned_weight.last"),
    "of another spline": ({"learned_weight/chosen": [0.5] * 9}, "learned_weight.chosen is [0.5, 0.5, 0.5, 0.5, 0.5, 0"),
    "text": ({"learned_weight/chosen": "no"}, "learned_weight.chosen is 'no', not a list of 10 finite numbers"),
    "not a number": ({"learned_weight/last": [float("nan")] * 10}, "learned_weight.last is [nan, nan, nan"),
    "beyond all numbers": ({"learned_weight/last": [10**400] * 10}, "learned_weight.last is [1000"),
}


@pytest.mark.parametrize("case", THETAS)
def test_what_a_learned_weight_became_is_told(tmp_path, case):
    chosen = fake_results.params(losses=["exponential", "learned"], seeds=[0], shapes={"learned": {"kind": "learned"}})
    for loss in chosen.study.losses:
        job = loss, 0, "held_out"
        model, tested = (tmp_path.joinpath(stage, *map(str, job)) for stage in ("train", "evaluate"))
        fake_results.training(model, loss, 0, np.array([0.25, 0.75, 0.5]), chosen.shape[loss])
        fake_results.evaluation(tested, {"loss": loss}, 0.8, 0)
    _, found = run.read_all(chosen, tmp_path / "train", tmp_path / "evaluate")
    assert len(found.summary["learned_weight"]["last"]) == 10
    changes, sentence = THETAS[case]
    edit(tmp_path / "train" / "learned" / "0" / "held_out" / "summary.json", **changes)
    with pytest.raises(DataError, match=re.escape(sentence)):
        run.read_all(chosen, tmp_path / "train", tmp_path / "evaluate")


SUMMARY = {
    "an accuracy above one": ({"best_validation_accuracy": 1.7}, "best_validation_accuracy is 1.7, not a finite numb"),
    "an accuracy below zero": ({"final_validation_accuracy": -0.1}, "final_validation_accuracy is -0.1, not"),
    "an accuracy of another run": ({"best_validation_accuracy": 0.8}, "is 0.8, not the 0.75 that history.csv says of"),
    "not a number": ({"final_validation_accuracy": float("nan")}, "final_validation_accuracy is nan, not a finite"),
    "text": ({"best_validation_accuracy": "0.75"}, "best_validation_accuracy is '0.75', not a finite number"),
    "null": ({"best_validation_accuracy": None}, "best_validation_accuracy is None, not a finite number"),
    "epochs of another length": ({"epochs": 4}, "epochs is 4, not the 3 epochs of history.csv"),
    "half an epoch": ({"epochs": 3.0}, "epochs is 3.0, not a whole number"),
    "an epoch beyond": ({"best_epoch": 4}, "best_epoch is 4, not a whole number from 1 to 3"),
    "epoch zero": ({"best_epoch": 0}, "best_epoch is 0, not"),
    "true": ({"best_epoch": True}, "best_epoch is True, not a whole number"),
    "another epoch": ({"best_epoch": 3}, "best_validation_accuracy is 0.75, not the 0.5 that history.csv says of ep"),
    "a collapse beyond": ({"collapsed_at_epoch": 9}, "collapsed_at_epoch is 9, not"),
    "an accident of no kind": (
        {"accidents": [fake_results.ACCIDENT | {"kind": "sad"}]},
        "accidents[0].kind is 'sad', not one of exploding",
    ),
    "an accident beyond": (
        {"accidents": [fake_results.ACCIDENT | {"first_epoch": 4}]},
        "accidents[0].first_epoch is 4, not a whole number",
    ),
    "accidents that last beyond": (
        {"accidents": [fake_results.ACCIDENT]},
        "accidents[0].epochs is 2, not a whole number from 1 to 1",
    ),
    "an accident of no number": (
        {"accidents": [fake_results.ACCIDENT | {"epochs": 1, "value": "none"}]},
        "accidents[0].value is 'none', not a",
    ),
    "accidents of another form": ({"accidents": {}}, "accidents is {}, not a list of objects"),
    "another loss": ({"loss": "gaussian"}, "does not belong here: loss is 'gaussian', not 'expo"),
    "another seed": ({"seed": 1}, "does not belong here: seed is 1, not 0"),
    "a seed of text": ({"seed": "0"}, "does not belong here: seed is '0'"),
    "another fold": ({"fold": "s1"}, "does not belong here: fold is 's1', not 'held_out'"),
    "no samples": ({"training_samples": 0}, "training_samples is 0, not a whole number"),
    "a negative time": ({"duration_s": -1}, "duration_s is -1, not"),
    "speakers are a text": ({"heard_speakers": "s01"}, "heard_speakers is 's01', not a list of different texts"),
    "a field is missing": ({"best_epoch": ...}, "lacks the field best_epoch"),
}


@pytest.mark.parametrize("case", SUMMARY)
def test_a_summary_that_cannot_be_is_refused(study, case):
    read, model, _ = study
    changes, sentence = SUMMARY[case]
    edit(model / "summary.json", **changes)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        read()
    assert str(caught.value).startswith(str(model / "summary.json"))
    assert str(caught.value).endswith("; run the stage `train` again.")


METRICS = {
    "an accuracy above one": ({"accuracy": 1.7}, "accuracy is 1.7, not a finite number from 0 to 1"),
    "an accuracy of another test": ({"accuracy": 0.5}, "samples, as confusion.csv says"),
    "heard above one": ({"accuracy_heard": 1.01}, "accuracy_heard is 1.01, not"),
    "unheard is text": ({"accuracy_unheard": "high"}, "accuracy_unheard is 'high', not"),
    "samples by the half": ({"samples": 10.5}, "samples is 10.5, not a whole number"),
    "no samples": ({"samples": 0}, "samples is 0, not"),
    "samples of another test": ({"samples": 7}, "samples is 7, not the 380 samples of confusion.csv"),
    "negative spikes": ({"hidden_spikes": -1}, "hidden_spikes is -1, not"),
    "no loss": ({"loss": float("inf")}, "loss is inf, not a finite number"),
    "another loss": ({"model/loss": "gaussian"}, "does not belong here: model.loss is 'gaussian'"),
    "another seed": ({"model/seed": 7}, "does not belong here: model.seed is 7"),
    "another fold": ({"model/fold": "s1"}, "does not belong here: model.fold is 's1'"),
    "the baseline's": ({"model/loss": None}, "does not belong here: model.loss is None"),
    "no checksum": ({"model/sha256": ...}, "lacks the field model.sha256"),
    "a model that is none": ({"model": "m.npz"}, "model is no object of named fields"),
    "a speaker above one": (
        {"accuracy_by_speaker/s01/accuracy": 2},
        "accuracy_by_speaker.s01.accuracy is 2, not a finite number from 0 to 1",
    ),
    "a speaker of no samples": ({"accuracy_by_speaker/s01/samples": 0}, "accuracy_by_speaker.s01.samples is 0, not"),
    "a speaker too few": ({"accuracy_by_speaker/s01": ...}, "samples of its speakers"),
    "heard by the half": ({"accuracy_by_speaker/s01/heard": 1}, "accuracy_by_speaker.s01.heard is 1, not true or f"),
    "no speakers": ({"accuracy_by_speaker": []}, "accuracy_by_speaker is no object of named fields"),
}


@pytest.mark.parametrize("case", METRICS)
def test_metrics_that_cannot_be_are_refused(study, case):
    read, _, tested = study
    changes, sentence = METRICS[case]
    edit(tested / "metrics.json", **changes)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        read()
    assert str(caught.value).startswith(str(tested / "metrics.json"))
    assert str(caught.value).endswith("; run the stage `evaluate` again.")


def test_metrics_are_of_the_very_model_beside_them(study):
    read, model, tested = study
    write_npz(model / "weights.npz", {"w": np.zeros(3)})
    edit(tested / "metrics.json", **{"model/sha256": sha256(model / "weights.npz")})
    read()
    write_npz(model / "weights.npz", {"w": np.ones(3)})
    with pytest.raises(
        DataError, match=r"metrics\.json belongs to another model than .*weights\.npz; run the stage `e"
    ):
        read()


def test_results_of_another_seed_in_this_ones_folder_are_refused(tmp_path, study):
    read, model, tested = study
    for folder, stage in ((model, "train"), (tested, "evaluate")):
        other = tmp_path.joinpath("others", stage, "held_out")
        fake_results.training(other, "exponential", 1, np.array([0.5]))
        fake_results.evaluation(other, {"loss": "exponential"}, 0.8, 1)
        name = {"train": "summary.json", "evaluate": "metrics.json"}[stage]
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes((other / name).read_bytes())
        with pytest.raises(DataError, match=rf"{name} does not belong here: .*seed is 1, not 0"):
            read()
        (folder / name).write_bytes(kept)


# --- history.csv ------------------------------------------------------------------------------------------------------


def test_a_truncated_history_is_refused(study):
    read, model, _ = study
    lines = (model / "history.csv").read_text().splitlines(keepends=True)
    (model / "history.csv").write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=r"epochs is 3, not the 2 epochs of history\.csv; run the stage `train` again"):
        read()


HISTORY = {
    "a cell too few": (2, ["2", "0.1"], "row 2 has 2 cells, its header 11"),
    "a cell too many": (2, ["2", *["0.5"] * 11], "row 2 has 12 cells, its header 11"),
    "an epoch twice": (2, ["1", *["0.5"] * 10], "epoch of row 2 is 1"),
    "an empty cell": (2, ["2", *["0.5"] * 9, ""], "validation_s: could not convert"),
    "a word": (2, ["2", "low", *["0.5"] * 9], "training_loss: could not convert"),
    "not a number": (2, ["2", "nan", *["0.5"] * 9], "training_loss of row 2 is nan"),
    "infinity": (2, ["2", "0.5", "0.5", "inf", *["0.5"] * 7], "validation_loss of row 2 is inf"),
    "an accuracy of 1.7": (2, ["2", "0.5", "1.7", *["0.5"] * 8], "training_accuracy of row 2 is 1.7"),
    "a negative accuracy": (
        2,
        ["2", "0.5", "0.5", "0.5", "-0.1", *["0.5"] * 6],
        "validation_accuracy of row 2 is",
    ),
    "negative spikes": (2, ["2", *["0.5"] * 4, "-1", *["0.5"] * 5], "hidden_spikes of row 2 is -1"),
    "another column": (0, ["epoch", *"abcdefghij"], "has the columns epoch, a, b, c"),
}


@pytest.mark.parametrize("case", HISTORY)
def test_a_history_that_cannot_be_is_refused(study, case):
    read, model, _ = study
    place, cells, sentence = HISTORY[case]
    with (model / "history.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    rows[place] = cells
    write_csv(model / "history.csv", rows[0], rows[1:])
    with pytest.raises(DataError, match=rf"history\.csv .*{re.escape(sentence)}.*; run the stage `train` again"):
        read()


@pytest.mark.parametrize("text", [b"", b"\n", b"a\0b\n", b"\xff\xfe", b"x" * 200_000, b'a,"b'])
def test_a_history_that_is_no_table_is_refused(study, text):
    read, model, _ = study
    (model / "history.csv").write_bytes(text)
    with pytest.raises(DataError, match=r"history\.csv .*; run the stage `train` again"):
        read()


def test_a_history_that_nobody_may_read_is_not_called_damaged(study, monkeypatch):
    read, model, _ = study
    real = type(model).open

    def refused(self, *arguments, **options):
        if self.name == "history.csv":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *arguments, **options)

    monkeypatch.setattr(type(model), "open", refused)
    with pytest.raises(DataError, match=r"history\.csv cannot be read \(Permission denied\); make it readable\.$"):
        read()


def test_a_history_comes_back_as_it_was_written(tmp_path):
    rows = [history.Row(epoch, 0.1 * epoch, 1 / 3, 2.5, 0.5, 7.0, 1e-3, 0.0, 1.5, 0.1, 0.2) for epoch in (1, 2)]
    history.write(tmp_path / "history.csv", rows)
    found = history.read(tmp_path / "history.csv")
    assert [history.Row(*values) for values in zip(*found.values(), strict=True)] == rows


# --- confusion.csv and predictions.csv --------------------------------------------------------------------------------

HARD = ["yes, please", 'say "no"', "two\nlines", "None", "nan", "NA", "1e5", "true", "07", " ", "=1+1", "日本語", "a|b"]


def test_labels_are_text_whatever_they_look_like(tmp_path):
    counts = np.arange(len(HARD) ** 2).reshape(len(HARD), -1)
    metrics.write_confusion(tmp_path / "confusion.csv", HARD, counts)
    found, classes = metrics.read_confusion(tmp_path / "confusion.csv")
    assert classes == HARD
    np.testing.assert_array_equal(found, counts)
    metrics.write_predictions(tmp_path / "p.csv", HARD, np.ones(len(HARD), bool), HARD, HARD[::-1])
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[1:] == [[str(i), name, "1", name, HARD[-1 - i]] for i, name in enumerate(HARD)]


def test_a_label_with_a_comma_is_one_class(tmp_path):
    chosen = fake_results.params(losses=["exponential"], seeds=[0])
    model, tested = (tmp_path.joinpath(stage, *map(str, JOB)) for stage in ("train", "evaluate"))
    fake_results.training(model, "exponential", 0, np.array([0.5]))
    fake_results.evaluation(tested, {"loss": "exponential"}, 0.8, 0, ["no", "yes, please", "never, ever"])
    (found,) = run.read_all(chosen, tmp_path / "train", tmp_path / "evaluate")
    assert found.chance == 1 / 3


CONFUSION = {
    "no class": ("actual\n", "does not name two or more different classes"),
    "one class": ("actual,a\na,1\n", "does not name two or more different classes"),
    "a class twice": ("actual,a,a\na,1,0\na,0,1\n", "does not name two or more different classes"),
    "a row too few": ("actual,a,b\na,1,0\n", "its rows are not the classes of its header"),
    "other rows": ("actual,a,b\na,1,0\nc,0,1\n", "its rows are not the classes of its header"),
    "a cell too few": ("actual,a,b\na,1\nb,0,1\n", "row 1 has 2 cells"),
    "a negative count": ("actual,a,b\na,-1,0\nb,0,1\n", "'-1' is no count of samples"),
    "half a sample": ("actual,a,b\na,0.5,0\nb,0,1\n", "'0.5' is no count of samples"),
    "a bomb": ("actual,a,b\na," + "9" * 5000 + ",0\nb,0,1\n", "is no count of samples"),
    "nothing": ("", "it is empty"),
}


@pytest.mark.parametrize("case", CONFUSION)
def test_a_confusion_that_cannot_be_is_refused(study, case):
    read, _, tested = study
    text, sentence = CONFUSION[case]
    (tested / "confusion.csv").write_text(text)
    with pytest.raises(DataError, match=rf"confusion\.csv .*{re.escape(sentence)}.*; run the stage `evaluate` again"):
        read()


def test_tests_of_other_classes_are_refused(tmp_path):
    chosen = fake_results.params(losses=["exponential"], seeds=[0, 1])
    for seed, words in ((0, ["a", "b"]), (1, ["a", "c"])):
        fake_results.training(tmp_path / f"train/exponential/{seed}/held_out", "exponential", seed, np.array([0.5]))
        folder = tmp_path / f"evaluate/exponential/{seed}/held_out"
        fake_results.evaluation(folder, {"loss": "exponential"}, 0.8, seed, words)
    with pytest.raises(DataError, match=r"differ in their classes \(loss exponential, seed 1, fold held_out"):
        run.read_all(chosen, tmp_path / "train", tmp_path / "evaluate")


STEPS = {
    "no list": ({"steps": None}, "steps is None, not a list of objects"),
    "no objects": ({"steps": [1]}, "steps[0] is no object of named fields"),
    "no step": ({"steps/1/step_ms": 0}, "steps[1].step_ms is 0, not a finite number of at least 1e-06"),
    "a step twice": ({"steps/2/step_ms": 1.0}, "steps[2].step_ms is 1.0, not another step than those before"),
    "a dead time that is none": (
        {"steps/1/dead_time": "long"},
        "steps[1].dead_time is 'long', not one of of_step, kept",
    ),
    "a step under one dead time": (
        {"steps/3/step_ms": 0.25},
        "a test at each step with the dead times of_step, kept",
    ),
    "a negative refractory period": ({"steps/1/refractory_ms": -0.5}, "steps[1].refractory_ms is -0.5, not"),
    "no engine": ({"steps/1/engine": ""}, "steps[1].engine is '', not a text"),
    "negative spikes": ({"steps/2/hidden_spikes": -1}, "steps[2].hidden_spikes is -1, not"),
    "an accuracy above one": ({"steps/2/accuracy": 1.7}, "steps[2].accuracy is 1.7, not"),
    "as often right, but all other predictions": ({"steps/2/agreement": -0.1}, "steps[2].agreement is -0.1, not"),
    "the same predictions, less often right": (
        {"steps/2/agreement": 1.0},
        "steps[2].agreement is 1.0, not what the acc",
    ),
    "other spikes at the trained step": (
        {"steps/0/hidden_spikes": 9.0},
        "steps[0].hidden_spikes is 9.0, not the 9.5 of",
    ),
    "another prediction at it": ({"steps/0/agreement": 0.5}, "steps[0].agreement is 0.5, not 1, that of"),
    "steps without the trained one": ({"step_ms": 0.3}, "step_ms is 0.3, not among its steps"),
    "steps of no network": ({"step_ms": None}, "step_ms is None, not among its steps"),
    "a field is missing": ({"steps/1/engine": ...}, "lacks the field steps[1].engine"),
    "an older test": ({"steps": ...}, "lacks the field steps"),
}


@pytest.mark.parametrize("case", STEPS)
def test_a_test_at_several_steps_that_cannot_be_is_refused(study, case):
    read, _, tested = study
    changes, sentence = STEPS[case]
    edit(tested / "metrics.json", **changes)
    with pytest.raises(DataError, match=rf"metrics\.json .*{re.escape(sentence)}.*; run the stage `evaluate` again"):
        read()


def test_tests_at_other_steps_than_one_another_are_refused(tmp_path):
    chosen = fake_results.params(losses=["exponential"], seeds=[0, 1])
    for seed in (0, 1):
        fake_results.training(tmp_path / f"train/exponential/{seed}/held_out", "exponential", seed, np.array([0.5]))
        fake_results.evaluation(
            tmp_path / f"evaluate/exponential/{seed}/held_out", {"loss": "exponential", "seed": seed}, 0.8, seed
        )
    found = run.read_all(chosen, tmp_path / "train", tmp_path / "evaluate")
    assert [one.grids for one in found] == [list(itertools.product([1.0, 0.5, 0.1], ["of_step", "kept"]))] * 2
    changes = {f"steps/{place}/step_ms": 0.25 for place in (2, 3)}
    edit(tmp_path / "evaluate/exponential/1/held_out/metrics.json", **changes)
    with pytest.raises(DataError, match=r"differ in their time steps \(loss exponential, seed 1, fold held_out"):
        run.read_all(chosen, tmp_path / "train", tmp_path / "evaluate")


# --- the baseline -----------------------------------------------------------------------------------------------------


def test_a_baseline_of_another_fold_or_model_is_refused(tmp_path):
    chosen = fake_results.params(losses=["exponential"], seeds=[0])
    job = {"kind": "logistic", "loss": None, "seed": None}
    tested, summary = tmp_path / "evaluate/baseline/held_out", tmp_path / "baseline/held_out/summary.json"
    fake_results.evaluation(tested, job, 0.7, 0)
    facts = {"fold": "held_out", "training_accuracy": 1.0, "validation_accuracy": 0.7, "features": 9, "samples": 40}
    write_json(summary, facts)

    def read():
        return run.read_baseline(chosen, tmp_path / "baseline", tmp_path / "evaluate")["held_out"]

    assert read()["summary"] == facts
    for changes, sentence in (
        ({"validation_accuracy": 1.7}, "validation_accuracy is 1.7, not"),
        ({"features": 0}, "features is 0, not"),
        ({"fold": "s1"}, "does not belong here: fold is 's1'"),
    ):
        write_json(summary, facts | changes)
        with pytest.raises(DataError, match=sentence):
            read()
    write_json(summary, facts)
    edit(tested / "metrics.json", **{"model/kind": "spiking"})
    with pytest.raises(DataError, match=r"does not belong here: model\.kind is 'spiking'"):
        read()

"""What `tune` leaves is read as it was written, and damage is one sentence."""

import pytest

from eventspeech.errors import DataError
from eventspeech.params import yaml12
from eventspeech.records import tuning
from eventspeech.records.tuning import CurveRow, TrialRow

KEYS = ["optimiser.learning_rate", "network.hidden"]
VALUES = [{KEYS[0]: 1e-05, KEYS[1]: [64]}, {KEYS[0]: 0.02, KEYS[1]: [128]}, {}]


@pytest.fixture
def folder(tmp_path):
    rows = [
        TrialRow(0, "complete", 0.5, 4, 1.5, ""),
        TrialRow(1, "pruned", None, 1, 0.5, ""),
        TrialRow(2, "failed", None, 0, 0.0, "The training diverged, alas."),
    ]
    tuning.write_trials(tmp_path / "trials.csv", rows, KEYS, VALUES)
    curves = [CurveRow(0, seed, "held_out", epoch, 0.25 * epoch) for seed in (5, 6) for epoch in (1, 2)]
    tuning.write_curves(tmp_path / "curves.csv", [*curves, CurveRow(1, 5, "held_out", 1, 0.1)])
    tuning.write_summary(
        tmp_path / "summary.json",
        {
            "loss": "a", "trials": 3, "best_trial": 0, "importance": None, "importance_reason": "too few", "epochs": 5,
            "duration_s": 2.0, "validation_accuracy_as_it_stands": 0.5,
        },
    )  # fmt: skip
    return tmp_path


def test_it_is_read_as_it_was_written(folder):
    found = tuning.read(folder, "a")
    assert [row.state for row in found.trials] == list(tuning.STATES) and found.values == VALUES
    assert found.curves == {0: [0.25, 0.5], 1: [0.1]}, "of the first training"
    assert (found.best, found.accuracies, found.importance, found.reason) == (0, {0: 0.5}, {}, "too few")
    assert found.trials[2].remark == "The training diverged, alas."


DAMAGE = {
    "another loss": ("summary.json", '"loss": "a"', '"loss": "b"', "does not belong here: loss is 'b', not 'a'"),
    "no best": ("summary.json", '"best_trial": 0', '"best_trial": 1', "best_trial is 1, not a complete trial"),
    "count": ("summary.json", '"trials": 3', '"trials": 4', "does not belong to trials.csv, which has 3 trials"),
    "share": ("summary.json", '"importance": null', '"importance": {"k": 2}', r"importance\.k is 2, not a finite"),
    "no reason": ("summary.json", '"too few"', '""', "importance_reason is '', not a text"),
    "header": ("trials.csv", "trial,state", "trial,stat", "is no table of trials"),
    "number": ("trials.csv", "\n1,pruned", "\n7,pruned", "row 2 is no trial"),
    "state": ("trials.csv", "pruned", "lost", "row 2 is no trial"),
    "accuracy": ("trials.csv", "complete,0.5", "complete,1.5", "row 1 is no trial"),
    "accuracy of none": ("trials.csv", "pruned,,", "pruned,0.5,", "row 2 is no trial"),
    "nan": ("trials.csv", "complete,0.5", "complete,nan", "row 1 is no trial"),
    "value": ("trials.csv", "[128]", "[128", "row 2 holds a value that is none"),
    "epoch": ("curves.csv", "\n0,5,held_out,1", "\n0,5,held_out,x", "row 1 is no epoch of a trial"),
    "trial of a curve": ("curves.csv", "\n1,5", "\n9,5", "row 5 is no epoch of a trial"),
    "curves": ("curves.csv", "trial,seed", "seed,trial", "is no table of curves"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_sentence(folder, name):
    file, old, new, sentence = DAMAGE[name]
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=sentence + ".*run the stage `tune` again"):
        tuning.read(folder, "a")


def test_a_missing_file_names_its_stage(folder):
    (folder / "curves.csv").unlink()
    with pytest.raises(DataError, match=r"curves\.csv does not exist; run the stage `tune`"):
        tuning.read(folder, "a")


@pytest.mark.parametrize("loss", ["gaussian", "null", "1e5", "no", "007", "größe"])
def test_an_overlay_names_its_loss_whatever_that_is_called(tmp_path, loss):
    values = {"optimiser.learning_rate": 1e-05, "network.hidden": [64], "shape.width": 0.2, "network.recurrent": True}
    tuning.write_overlay(tmp_path / "best.yaml", loss, values, "Found.")
    assert yaml12.read(tmp_path / "best.yaml") == {
        "shape": {loss: {"tuned": {"optimiser": {"learning_rate": 1e-05}, "network": {"hidden": [64],
                                   "recurrent": True}, "shape": {"width": 0.2}}}}
    }  # fmt: skip
    assert "1.0e-05" in (tmp_path / "best.yaml").read_text(), "YAML 1.1 takes 1e-05 for a text"

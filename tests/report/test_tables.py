"""Tables of the report: what they show comes from the files, and what these lack is said."""

import json

from support import fake_results
from support.studies import compare, load

from eventspeech.report import tables, text, words


def test_a_changed_file_changes_the_number(own):
    root, chosen = own
    folder = root / "results" / "evaluate" / "gaussian" / "0" / "held_out"
    before = tables.runs(load(root, chosen)).set_index(["loss", "seed"]).loc[("gaussian", "0"), "test (%)"]
    metrics = fake_results.evaluation(folder, {"loss": "gaussian"}, 0.3, 0)
    compare(root, chosen)
    after = tables.runs(load(root, chosen)).set_index(["loss", "seed"]).loc[("gaussian", "0"), "test (%)"]
    assert (before != after, after) == (True, f"{100 * metrics['accuracy']:.1f}")


def test_an_ablation_tells_what_it_changes(ablated):
    _, study = ablated
    assert study.ablated == ["no_recurrence", "with_shift"]
    assert study.compared == ["exponential", "gaussian", "same"]
    assert study.changes("with_shift") == {
        "train.epochs": ("40", "20"), "augmentation.shift_channels": ("0", "40"),
    }  # fmt: skip
    shown = tables.ablation(study).set_index("entry")
    assert shown.loc["no recurrence", "change"] == "network.recurrent: true → false"
    assert shown.index[0] == "exponential" and set(shown.index[1:]) == {"no recurrence", "with shift"}
    assert "same" not in shown.index and "gaussian" not in shown.index
    assert not any(name.endswith("over folds") for name in shown)


def test_a_run_with_an_accident_is_named_beside_its_collapse(own):
    root, chosen = own
    path = root / "results" / "train" / "gaussian" / "1" / "held_out" / "summary.json"
    marks = {"collapsed_at_epoch": 9, "accidents": [fake_results.ACCIDENT]}
    assert "remark" not in tables.runs(load(root, chosen))
    path.write_text(json.dumps(json.loads(path.read_text()) | marks))
    compare(root, chosen)
    found = load(root, chosen)
    remarks = tables.runs(found)["remark"].tolist()
    assert remarks == ["", "", "", "silent from epoch 3; collapsed in epoch 9"]
    assert "Runs with numerical accidents: 1." in text.header(found)


def test_means_without_collapsed_runs_are_shown_where_one_collapsed(own, study):
    root, chosen = own
    for seed in chosen.study.seeds:
        path = root / "results" / "train" / "gaussian" / str(seed) / "held_out" / "summary.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"collapsed_at_epoch": 9}))
    path = root / "results" / "train" / "exponential" / "0" / "held_out" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"collapsed_at_epoch": 9}))
    compare(root, chosen)
    found = load(root, chosen)
    shown = tables.accuracies(found).set_index("model")["test without collapsed runs (%)"]
    left = found.runs["exponential", 1, "held_out"]["metrics"]["accuracy"]
    assert (shown["exponential"], shown["gaussian"]) == (words.percent(left), "every run collapsed")
    for table in (tables.accuracies(study), tables.differences(study)):
        assert not any("without collapsed" in name for name in table)


def test_one_fold_needs_no_words(study):
    assert "folds" not in tables.accuracies(study) and "fold" not in tables.runs(study)
    assert "interval over folds" not in tables.differences(study) and "fold" not in text.header(study)

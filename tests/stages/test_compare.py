"""Statistics over seeds: closed forms, and what is said when there is too little to say."""

import csv
import itertools
import json
import math
import shutil

import numpy as np
import pytest
from support import fake_results

from eventspeech import params
from eventspeech.errors import DataError, ParameterError
from eventspeech.records import comparison
from eventspeech.stages.compare import STANDING, compare
from eventspeech.statistics import ONE_SEED, estimate


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write(root, chosen, curves, tests=None):
    """Write trainings with these validation accuracies, (loss, seed) to a list, and their tests."""
    for (loss, seed), accuracy in curves.items():
        fake_results.training(root / "train" / loss / str(seed) / "held_out", loss, seed, np.array(accuracy, float))
        right = (tests or {}).get((loss, seed), 0.8)
        fake_results.evaluation(
            root / "evaluate" / loss / str(seed) / "held_out", {"loss": loss, "seed": seed}, right, seed
        )
    return lambda: compare(chosen, root / "train", root / "evaluate", root / "compare")


def two(seeds=(0, 1, 2)):
    return fake_results.params(losses=["exponential", "gaussian"], seeds=list(seeds))


def test_compare_by_hand(tmp_path):
    curves = {("exponential", 0): [0.2, 0.4, 0.6], ("exponential", 1): [0.3, 0.6, 0.8]}
    curves |= {("gaussian", 0): [0.4, 0.5, 0.55], ("gaussian", 1): [0.5, 0.8, 0.7]}
    write(tmp_path, None, curves)
    chosen = two([0, 1])
    compare(chosen, tmp_path / "train", tmp_path / "evaluate", tmp_path / "compare")

    curve = [row for row in rows(tmp_path / "compare" / "curves.csv") if row["loss"] == "exponential"]
    assert [float(row["mean"]) for row in curve] == pytest.approx([0.25, 0.5, 0.7])
    half = 12.7062 * (0.1 / math.sqrt(2)) / math.sqrt(2)
    assert float(curve[0]["high"]) == pytest.approx(0.25 + half, rel=1e-4)

    times = {(row["loss"], row["threshold"]): row for row in rows(tmp_path / "compare" / "time_to_accuracy.csv")}
    assert float(times["exponential", "0.5"]["mean_epoch_of_reached"]) == 2.5
    late = times["exponential", "0.7"]
    assert (late["reached"], late["never"], late["median_epoch"]) == ("1", "1", "")
    assert times["gaussian", "0.8"]["never"] == "1"

    differences = {row["measure"]: row for row in rows(tmp_path / "compare" / "differences.csv")}
    assert float(differences["best_validation"]["mean"]) == pytest.approx((-0.05 + 0.0) / 2)
    assert float(differences["early_validation"]["mean"]) == pytest.approx(((1.45 - 1.2) + (2.0 - 1.7)) / 6)
    assert float(differences["epochs_to_0.5"]["mean"]) == pytest.approx(((2 - 3) + (1 - 2)) / 2)
    assert differences["epochs_to_0.7"]["left_out"] == "1"

    summary = json.loads((tmp_path / "compare" / "summary.json").read_text())
    assert summary["early_epochs"] == 3
    assert summary["best_validation_gaussian_minus_exponential"] == pytest.approx(-0.025)
    assert all(isinstance(value, int | float) for value in summary.values())


def test_what_dvc_shows_is_small(tmp_path):
    curves = {("exponential", 0): [0.2, 0.4, 0.6], ("exponential", 1): [0.3, 0.6, 0.8]}
    curves |= {("gaussian", 0): [0.4, 0.5, 0.55], ("gaussian", 1): [0.5, 0.8, 0.7]}
    write(tmp_path, two([0, 1]), curves)()
    metrics = json.loads((tmp_path / "compare" / "metrics.json").read_text())
    assert metrics["validation"] == pytest.approx({"exponential": 0.7, "gaussian": 0.675})
    assert metrics["validation_first_3_epochs"]["gaussian"] == pytest.approx((1.45 + 2.0) / 6)
    summary = json.loads((tmp_path / "compare" / "summary.json").read_text())
    assert metrics["test"] == {loss: summary[f"test_{loss}"] for loss in ("exponential", "gaussian")}
    assert metrics["test_minus_exponential"] == {"gaussian": summary["test_gaussian_minus_exponential"]}
    assert sum(map(len, metrics.values())) == 7

    training = rows(tmp_path / "compare" / "training.csv")
    assert {
        (loss, seed): [
            float(row["validation_accuracy"]) for row in training if (row["loss"], row["seed"]) == (loss, str(seed))
        ]
        for loss, seed in curves
    } == curves
    assert [row["epoch"] for row in training[:4]] == ["1", "2", "3", "1"] and training[0]["fold"] == "held_out"


def test_no_interval_reaches_where_no_value_can_be(tmp_path):
    curves = {("exponential", 0): [0.0, 0.9, 1.0], ("exponential", 1): [0.2, 1.0, 0.9]}
    curves |= {("gaussian", 0): [0.9, 1.0, 1.0], ("gaussian", 1): [0.1, 0.2, 0.99]}
    write(tmp_path, None, curves)
    compare(two([0, 1]), tmp_path / "train", tmp_path / "evaluate", tmp_path / "compare")
    tables = {path.stem: rows(path) for path in (tmp_path / "compare").glob("*.csv")}
    losses = {row["loss"]: row for row in tables["losses"]}
    assert losses["gaussian"]["best_validation_high"] == "1.0"
    assert losses["exponential"]["final_validation_high"] == "1.0"
    first = next(row for row in tables["curves"] if (row["loss"], row["epoch"]) == ("gaussian", "1"))
    assert (first["low"], first["high"]) == ("0.0", "1.0")
    late = next(r for r in tables["time_to_accuracy"] if (r["loss"], r["threshold"]) == ("gaussian", "0.8"))
    assert (late["low"], late["high"]) == ("1.0", "3.0"), "an epoch of the run"
    early = next(r for r in tables["differences"] if r["measure"] == "early_validation")
    assert (early["low"], early["high"]) == ("-1.0", "1.0")
    epochs = next(r for r in tables["differences"] if r["measure"] == "epochs_to_0.8")
    assert -2 <= float(epochs["low"]) < float(epochs["high"]) <= 2


def test_steps_by_hand(tmp_path):
    curves = {(loss, seed): [0.5] for loss in ("exponential", "gaussian") for seed in (0, 1)}
    again = write(tmp_path, two([0, 1]), curves)
    folder = tmp_path / "evaluate" / "gaussian"
    spikes = {0: [9.5, 9.5, 20.0, 12.0, 30.0, 14.0], 1: [9.5, 9.5, 40.0, 13.0, 50.0, 15.0]}
    for seed, values in spikes.items():
        path = folder / str(seed) / "held_out" / "metrics.json"
        metrics = json.loads(path.read_text())
        for row, value in zip(metrics["steps"], values, strict=True):
            row["hidden_spikes"] = value
        path.write_text(json.dumps(metrics))
    again()
    keys = ("loss", "step_ms", "dead_time")
    found = {tuple(row[key] for key in keys): row for row in rows(tmp_path / "compare" / "steps.csv")}
    assert list(found) == list(
        itertools.product(("exponential", "gaussian"), ("1.0", "0.5", "0.1"), ("of_step", "kept"))
    )
    assert [row["trained"] for row in found.values()] == ["1", "1", "0", "0", "0", "0"] * 2
    assert float(found["gaussian", "0.1", "kept"]["hidden_spikes_mean"]) == 14.5
    finest = found["gaussian", "0.1", "of_step"]
    assert (finest["runs"], float(finest["hidden_spikes_mean"])) == ("2", 40.0)
    assert finest["reason"] == "all values are equal: their spread is unknown (agreement)"
    assert float(finest["hidden_spikes_high"]) == pytest.approx(40 + 12.7062 * 10, rel=1e-4)
    assert float(finest["hidden_spikes_low"]) == 0, "no neuron fires less than never"
    assert float(finest["agreement_mean"]) == pytest.approx(0.1**0.1, rel=1e-5)
    tests = [json.loads((folder / str(seed) / "held_out" / "metrics.json").read_text()) for seed in (0, 1)]
    assert float(finest["accuracy_mean"]) == pytest.approx(
        np.mean([t["steps"][4]["accuracy"] for t in tests]), rel=1e-5
    )


def test_without_other_steps_their_table_is_empty(tmp_path):
    chosen = fake_results.params(losses=["exponential"], seeds=[0])
    again = write(tmp_path, chosen, {("exponential", 0): [0.5]})
    path = tmp_path / "evaluate/exponential/0/held_out/metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"steps": []}))
    again()
    assert rows(tmp_path / "compare" / "steps.csv") == []
    assert comparison.read(tmp_path / "compare", chosen)["steps"].empty


def folded(root, folds, best, **study):
    """Compare made-up runs of these folds; ``best`` maps (loss, seed, fold) to an accuracy reached at once."""
    losses = list(dict.fromkeys(loss for loss, _, _ in best))
    seeds = list(dict.fromkeys(seed for _, seed, _ in best))
    protocol = {"protocol": "random", "fraction": 0.1}
    chosen = fake_results.params(protocol, losses=losses, seeds=seeds, folds=folds, **study)
    for (loss, seed, fold), accuracy in best.items():
        fake_results.training(root / "train" / loss / str(seed) / fold, loss, seed, np.array([accuracy, accuracy]))
        fake_results.evaluation(root / "evaluate" / loss / str(seed) / fold, {"loss": loss}, 0.8, seed)
    compare(chosen, root / "train", root / "evaluate", root / "compare")
    return {path.stem: rows(path) for path in (root / "compare").glob("*.csv")}


BEST = {
    ("exponential", 0): [0.5, 0.9], ("exponential", 1): [0.6, 0.8], ("gaussian", 0): [0.6, 0.9],
    ("gaussian", 1): [0.6, 0.9],
}  # fmt: skip


def test_folds_are_paired_and_averaged_within_each_seed_first(tmp_path):
    best = {(loss, seed, f"f{i}"): value for (loss, seed), values in BEST.items() for i, value in enumerate(values)}
    found = folded(tmp_path, ["f0", "f1"], best)
    (row,) = [row for row in found["differences"] if row["measure"] == "best_validation"]
    # seed 0: (0.1 + 0.0) / 2, seed 1: (0.0 + 0.1) / 2; the folds apart: (0.1 + 0.0) / 2 each
    assert float(row["mean"]) == pytest.approx(0.05) and (row["pairs"], row["left_out"]) == ("2", "0")
    exponential, gaussian = found["losses"]
    # seeds: (0.5 + 0.9) / 2 and (0.6 + 0.8) / 2: no spread over seeds, though folds differ by 0.3
    assert float(exponential["best_validation_mean"]) == pytest.approx(0.7)
    assert float(exponential["best_validation_sd"]) == pytest.approx(0, abs=1e-9)
    assert (exponential["runs"], exponential["seeds"], exponential["folds"]) == ("4", "2", "2")
    assert float(exponential["best_validation_sd_over_folds"]) == pytest.approx(0.3 / math.sqrt(2), rel=1e-5)
    assert float(gaussian["best_validation_mean"]) == pytest.approx(0.75)
    table = {(row["loss"], row["fold"]): row for row in found["folds"]}
    assert float(table["exponential", "f0"]["best_validation_mean"]) == pytest.approx(0.55)
    assert float(table["exponential", "f1"]["best_validation_sd"]) == pytest.approx(0.1 / math.sqrt(2), rel=1e-5)
    assert float(table["gaussian", "f1"]["minus_reference_mean"]) == pytest.approx(0.05)
    curve = [row for row in found["curves"] if row["loss"] == "exponential"]
    assert [row["runs"] for row in curve] == ["4", "4"] and float(curve[0]["mean"]) == pytest.approx(0.7)
    assert [row["fold"] for row in found["runs"]] == ["f0", "f1"] * 4


def test_the_interval_over_folds_is_that_of_the_means_over_seeds(tmp_path):
    best = {("exponential", 0, f"f{i}"): 0.5 for i in range(3)}
    best |= {("gaussian", 0, f"f{i}"): 0.6 + 0.1 * i for i in range(3)}
    (row,) = [r for r in folded(tmp_path, ["f0", "f1", "f2"], best)["differences"] if r["measure"] == "best_validation"]
    expected = estimate([0.1, 0.2, 0.3], 0.95)
    bounds = [float(row["low_over_folds"]), float(row["high_over_folds"])]
    assert bounds == pytest.approx([expected.low, expected.high], rel=1e-5)
    assert (row["pairs"], row["low"]) == ("1", "") and ONE_SEED in row["reason"]
    # equal differences in all folds: their spread is unknown, not zero
    best |= {("gaussian", 0, f"f{i}"): 0.6 for i in range(3)}
    (row,) = [r for r in folded(tmp_path, ["f0", "f1", "f2"], best)["differences"] if r["measure"] == "best_validation"]
    assert (row["low_over_folds"], row["high_over_folds"]) == ("", "")


def test_one_fold_says_nothing_over_folds(tmp_path):
    best = {(loss, seed, "f0"): values[0] for (loss, seed), values in BEST.items()}
    found = folded(tmp_path, ["f0"], best)
    assert {row["low_over_folds"] for row in found["differences"]} == {""}
    assert {row["best_validation_sd_over_folds"] for row in found["losses"]} == {""}


@pytest.mark.parametrize("heard", [["b"], ["b", "c", "d"]], ids=["one too many", "one is missing"])
def test_a_leave_one_out_of_some_speakers_is_refused(tmp_path, heard):
    study = {"losses": ["exponential"], "seeds": [0], "folds": ["a", "b", "c"]}
    chosen = fake_results.params({"protocol": "leave_one_out"}, **study)
    for fold in chosen.study.folds:
        folder = tmp_path / "train" / "exponential" / "0" / fold
        fake_results.training(folder, "exponential", 0, np.array([0.5]))
        facts = {"protocol": "leave_one_out", "heard_speakers": heard, "validation_speakers": ["a"]}
        path = folder / "summary.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | facts))
        fake_results.evaluation(tmp_path / "evaluate" / "exponential" / "0" / fold, {}, 0.8, 0)
    speakers = ", ".join(["a", *heard])
    with pytest.raises(DataError, match=rf"study\.folds has to list exactly the speakers .*: {speakers}\."):
        compare(chosen, tmp_path / "train", tmp_path / "evaluate", tmp_path / "compare")


def test_one_seed_gives_no_interval_but_a_reason(tmp_path):
    chosen = two([4])
    write(tmp_path, chosen, {("exponential", 4): [0.2, 0.9], ("gaussian", 4): [0.3, 0.8]})()
    row = rows(tmp_path / "compare" / "losses.csv")[0]
    assert float(row["best_validation_mean"]) == 0.9
    assert row["best_validation_low"] == "" and ONE_SEED in row["reason"]
    for difference in rows(tmp_path / "compare" / "differences.csv"):
        assert difference["verdict"] == "undecided"
        assert difference["p"] == "" and difference["reason"]


def test_unequal_lengths_leave_the_mean_when_they_end(tmp_path):
    chosen = two([0, 1])
    curves = {("exponential", 0): [0.1, 0.2, 0.9], ("exponential", 1): [0.3]}
    write(tmp_path, chosen, curves | {("gaussian", seed): [0.2, 0.4] for seed in (0, 1)})()
    curve = [row for row in rows(tmp_path / "compare" / "curves.csv") if row["loss"] == "exponential"]
    assert [row["runs"] for row in curve] == ["2", "1", "1"]
    assert curve[2]["low"] == ""
    assert json.loads((tmp_path / "compare" / "summary.json").read_text())["early_epochs"] == 1


def test_a_collapsed_run_is_flagged_and_stays_in_the_means(tmp_path):
    chosen = two([0, 1])
    curves = {("exponential", 0): [0.3, 0.88, 0.05, 0.9, 0.05, 0.06]}
    curves |= {("exponential", 1): [0.3, 0.5, 0.7, 0.8, 0.8, 0.8]}
    curves |= {("gaussian", 0): [0.05] * 6, ("gaussian", 1): [0.1, 0.5, 0.5, 0.5, 0.5, 0.2]}
    compare = write(tmp_path, chosen, curves)
    path = tmp_path / "train" / "exponential" / "0" / "held_out" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"collapsed_at_epoch": 5}))
    compare()
    epochs = [(row["loss"], row["collapse_epoch"]) for row in rows(tmp_path / "compare" / "runs.csv")]
    assert epochs == [("exponential", "5"), ("exponential", ""), ("gaussian", ""), ("gaussian", "")]
    losses = {row["loss"]: row for row in rows(tmp_path / "compare" / "losses.csv")}
    assert losses["exponential"]["collapsed"] == "1"
    assert float(losses["exponential"]["final_validation_mean"]) == pytest.approx(0.43)
    assert float(losses["exponential"]["final_validation_mean_without_collapsed"]) == pytest.approx(0.8)
    assert {losses["gaussian"][f"{name}_mean_without_collapsed"] for name in STANDING} == {""}
    differences = {row["measure"]: row for row in rows(tmp_path / "compare" / "differences.csv")}
    assert float(differences["final_validation"]["mean"]) == pytest.approx((0.05 - 0.06 + 0.2 - 0.8) / 2)
    assert float(differences["final_validation"]["mean_without_collapsed"]) == pytest.approx(0.2 - 0.8)
    assert json.loads((tmp_path / "compare" / "summary.json").read_text())["collapsed_runs"] == 1


def test_a_run_with_an_accident_is_flagged_told_and_stays(tmp_path, caplog):
    chosen = two([0, 1])
    curves = {(loss, seed): [0.3, 0.5, 0.7, 0.8] for loss in chosen.study.losses for seed in (0, 1)}
    compare = write(tmp_path, chosen, curves)
    path = tmp_path / "train" / "gaussian" / "1" / "held_out" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accidents": [fake_results.ACCIDENT]}))
    compare()
    found = [(row["loss"], row["accident"]) for row in rows(tmp_path / "compare" / "runs.csv")]
    assert found == [("exponential", "")] * 2 + [("gaussian", ""), ("gaussian", "silent from epoch 3")]
    assert "gaussian, seed 1: silent from epoch 3; lower optimiser.learning_rate" in caplog.messages
    assert json.loads((tmp_path / "compare" / "summary.json").read_text())["accident_runs"] == 1
    losses = {row["loss"]: row for row in rows(tmp_path / "compare" / "losses.csv")}
    assert losses["gaussian"]["runs"] == "2"


def test_where_every_run_collapsed_no_mean_is_left_and_the_reason_told(tmp_path):
    chosen = two([0, 1])
    compare = write(tmp_path, chosen, {(loss, seed): [0.5, 0.6] for loss in chosen.study.losses for seed in (0, 1)})
    for path in (tmp_path / "train" / "gaussian").rglob("summary.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"collapsed_at_epoch": 2}))
    compare()
    row = rows(tmp_path / "compare" / "losses.csv")[1]
    assert (row["collapsed"], row["test_mean_without_collapsed"]) == ("2", "")
    assert "every run collapsed" in row["reason"] and row["test_mean"]
    differences = rows(tmp_path / "compare" / "differences.csv")
    assert {row["mean_without_collapsed"] for row in differences} == {""}


def test_without_collapse_its_columns_are_empty(tmp_path):
    chosen = two([0, 1])
    write(tmp_path, chosen, {(loss, seed): [0.5, 0.6] for loss in chosen.study.losses for seed in (0, 1)})()
    for name in ("losses", "differences"):
        for row in rows(tmp_path / "compare" / f"{name}.csv"):
            assert {value for key, value in row.items() if key.endswith("without_collapsed")} == {""}


def test_only_the_runs_of_the_study_are_read(tmp_path):
    chosen = two([0])
    curves = {(loss, seed): [0.4, 0.6] for loss in ("exponential", "gaussian") for seed in (0, 9)}
    write(tmp_path, chosen, curves | {("other", 0): [0.1]})()
    assert {(row["loss"], row["seed"]) for row in rows(tmp_path / "compare" / "runs.csv")} == {
        ("exponential", "0"),
        ("gaussian", "0"),
    }


@pytest.mark.parametrize(
    "missing, stage",
    [("train/gaussian/0/held_out/history.csv", "train"), ("evaluate/gaussian/0/held_out/metrics.json", "evaluate")],
)
def test_a_missing_run_names_its_stage(tmp_path, missing, stage):
    run = write(tmp_path, two([0]), {("exponential", 0): [0.4], ("gaussian", 0): [0.5]})
    (tmp_path / missing).unlink()
    with pytest.raises(DataError, match=rf"stage `{stage}` for loss gaussian, seed 0 and fold held_out"):
        run()
    assert not (tmp_path / "compare").exists()


@pytest.mark.parametrize("text", [b"", b"epoch,validation_accuracy\n1,0.5\n", b"a\0b", b"\xff\xfe"])
def test_a_damaged_history_is_refused(tmp_path, text):
    run = write(tmp_path, two([0]), {("exponential", 0): [0.4], ("gaussian", 0): [0.5]})
    (tmp_path / "train/gaussian/0/held_out/history.csv").write_bytes(text)
    with pytest.raises(DataError, match="run the stage `train` again"):
        run()


def test_no_speaker_unheard_leaves_the_cells_empty(tmp_path):
    run = write(tmp_path, two([0]), {("exponential", 0): [0.4], ("gaussian", 0): [0.5]})
    for path in tmp_path.glob("evaluate/*/0/*/metrics.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy_unheard": None}))
    run()
    assert rows(tmp_path / "compare" / "losses.csv")[0]["test_unheard_mean"] == ""
    assert "test_unheard_gaussian" not in json.loads((tmp_path / "compare" / "summary.json").read_text())


def test_the_reference_must_be_in_the_study(tmp_path):
    with pytest.raises(ParameterError, match=r"study\.losses"):
        compare(fake_results.params(losses=["gaussian"]), tmp_path, tmp_path, tmp_path / "compare")


def test_a_single_loss_has_no_differences(tmp_path):
    chosen = fake_results.params(losses=["exponential"], seeds=[0])
    write(tmp_path, chosen, {("exponential", 0): [0.4]})()
    assert rows(tmp_path / "compare" / "differences.csv") == []


def test_equal_input_gives_equal_bytes(tmp_path):
    chosen = two()
    curves = {(loss, seed): fake_results.curve(loss, seed) for loss in chosen.study.losses for seed in range(3)}
    run = write(tmp_path, chosen, curves)
    run()
    first = {path.name: path.read_bytes() for path in (tmp_path / "compare").iterdir()}
    shutil.rmtree(tmp_path / "compare")
    run()
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "compare").iterdir()}


def test_names_of_losses_that_give_one_name_twice_are_refused(tmp_path):
    content = fake_results.params().model_dump()
    losses = ["exponential", "heard_exponential"]
    content["shape"] = {name: {"kind": "exponential"} for name in losses}
    content["study"] = {"losses": losses, "seeds": [0]}
    write(tmp_path, None, {(loss, 0): [0.5] for loss in losses})
    with pytest.raises(ParameterError, match=r"two numbers of summary\.json the name test_heard_exponential; rename"):
        compare(params.validate(content), tmp_path / "train", tmp_path / "evaluate", tmp_path / "compare")
    assert not (tmp_path / "compare").exists()

"""Studies of one seed, one loss, several folds: every figure, table and sentence of them."""

import dataclasses

import pytest
from support.studies import load, make

from eventspeech.report import claims, figures, published, tables, text

FIGURES = [
    "weightings", "inputs", "example", "training_curves", "mean_curves", "generalisation", "activity", "test_accuracy",
    "confusion_exponential", "confusion_gaussian", "speakers", "differences", "profile",
]  # fmt: skip


def test_what_was_not_measured_says_why(study):
    table = tables.profile(study)
    gpu = table[table["device"] == "GPU"]
    assert (gpu["status"] == "not measured").all()
    assert (gpu["reason"] == "no NVIDIA driver on this machine").all()
    assert (gpu["time of an epoch (s)"] == "").all()
    written = [entry.get_text() for axes in figures.profile(study).axes for entry in axes.texts]
    assert any("GPU: not measured" in entry for entry in written)
    finding, energy = (found for found in claims.findings(study) if found.claim in published.OF_DEVICES)
    assert finding.status == claims.UNTESTABLE
    assert "no NVIDIA driver on this machine" in finding.sentence
    assert "RAPL" in energy.sentence


def test_one_seed_renders_and_decides_nothing(tmp_path):
    study = load(tmp_path, make(tmp_path, seeds=[7]))
    for name in ("mean_curves", "test_accuracy", "differences"):
        getattr(figures, name)(study)
    assert {f.status for f in claims.findings(study)} <= {claims.UNDECIDED, claims.UNTESTABLE}
    assert "[" not in tables.accuracies(study).iloc[0]["test (%)"]
    assert "no interval" in text.interval_caption(study, "mean_curves")


def test_a_single_loss_renders(tmp_path):
    study = load(tmp_path, make(tmp_path, losses=["exponential"], seeds=[0, 1]))
    for name in ("weightings", "example", "mean_curves", "test_accuracy", "differences", "speakers"):
        getattr(figures, name)(study)
    assert "no loss of the study" in " ".join(f.sentence for f in claims.findings(study))
    assert tables.differences(study).empty


def test_entries_of_an_ablation_stay_out_of_what_is_about_losses(ablated):
    _, study = ablated
    flat = study.params.shape["with_shift"].model_copy(update={"kind": "sum"})
    other = study.params.model_copy(update={"shape": {**study.params.shape, "with_shift": flat}})
    for params, own in ((study.params, []), (other, ["with shift"])):
        legend = figures.weightings(dataclasses.replace(study, params=params)).legends[0]
        drawn = [entry.get_text().split(" (")[0] for entry in legend.get_texts()]
        assert drawn == ["exponential", "gaussian", *own, "same"]
    titles = [axes.get_title("left") for axes in figures.mean_curves(study).axes if axes.get_visible()]
    assert titles == ["weights as they are", "weights of equal mean", "no recurrence", "with shift"]
    told = {finding.loss for finding in claims.findings(study)}
    assert "gaussian" in told and not told & set(study.ablated)
    assert len(claims.against_baseline(study)) == 3
    panels = [axes.get_title("left") for axes in figures.differences(study).axes[::2]]
    assert panels == ["gaussian minus exponential", "same minus exponential"]
    for name in ("activity", "speakers", "training_curves", "generalisation", "test_accuracy", "example"):
        getattr(figures, name)(study)


@pytest.mark.parametrize("seeds", [[0, 1], [0]])
def test_folds_are_shown_and_break_nothing(tmp_path, seeds):
    protocol = {"protocol": "leave_one_out"}
    study = load(tmp_path, make(tmp_path, seeds=seeds, folds=["s01", "s02", "s03"], validation=protocol))
    for name in FIGURES:
        if not name.startswith("confusion"):
            getattr(figures, name)(study)
    assert len(figures.training_curves(study).axes[0].lines) == 3 * len(seeds) * 2 + 1, "a line and a dot a run"
    assert "3 folds" in figures.confusion(study, "gaussian").axes[0].get_title("left")
    assert "3 folds (each speaker held out in turn)" in text.header(study)
    assert set(tables.accuracies(study)["folds"]) == {"3", ""}
    shown = tables.folds(study)
    assert list(shown["fold"]) == ["s01", "s02", "s03", "all folds"] * 2
    best = study.compare["folds"].set_index(["loss", "fold"]).loc[("gaussian", "s02"), "best_validation_mean"]
    assert shown["best validation (%)"][5].split(" ")[0] == f"{100 * best:.1f}"
    assert "interval over folds" in tables.differences(study)
    assert (tables.runs(study)["fold"] == ["s01", "s02", "s03"] * 2 * len(seeds)).all()

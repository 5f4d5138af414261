"""Studies of one seed, one loss, several folds: every figure, table and sentence of them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from support import fake_results
from support.studies import compare, load, make

from eventspeech.report import captions, claims, closing, figures, formats, published, show, tables, text

OF_RUNS = [
    "example", "training_curves", "mean_curves", "generalisation", "activity", "test_accuracy", "speakers",
    "differences",
]  # fmt: skip
"""The figures that seeds, folds and epochs are in; every figure of a whole study is drawn in `tests/stages`."""


def test_what_was_not_measured_says_why(study):
    table = tables.profile(study)
    gpu = table[table["device"] == "GPU"]
    assert (gpu["status"] == "not measured").all()
    assert list(gpu["batch size"]) == ["1, 8, 32"], "rows that differ in nothing else are one"
    (reason,) = gpu["reason"]
    assert reason.startswith("no NVIDIA driver on this machine; to measure it, run `snakemake --forcerun profile_cuda`")
    assert (gpu["time of an epoch (s)"] == "").all()
    time, energy = figures.profile(study).axes
    assert time.get_title("left") == "GPU: not measured (see table)"
    (told,) = (entry.get_text().replace("\n", " ") for entry in energy.texts)
    assert told.startswith("The energy of an epoch was not measured here (CPU: RAPL counters") and not energy.axison
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
    assert "no interval" in captions.caption(study, captions.FIGURES["mean_curves"])


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
    drawn = {name: getattr(figures, name)(study) for name in OF_RUNS}
    assert len(drawn["training_curves"].axes[0].lines) == 3 * len(seeds) * 2 + 1, "a line and a dot a run"
    assert "3 folds" in figures.confusion(study, "gaussian").axes[0].get_title("left")
    assert "3 folds (each speaker held out in turn)" in text.header(study)
    assert set(tables.accuracies(study)["folds"]) == {"3", ""}
    shown = tables.folds(study)
    assert list(shown["fold"]) == ["s01", "s02", "s03", "all folds"] * 2
    best = study.compare["folds"].set_index(["loss", "fold"]).loc[("gaussian", "s02"), "best_validation_mean"]
    assert shown["best validation (%)"][5].split(" ")[0] == f"{100 * best:.1f}"
    assert "interval over folds" in tables.differences(study)
    assert (tables.runs(study)["fold"] == ["s01", "s02", "s03"] * 2 * len(seeds)).all()


def everything(study, drawn):
    """Make every table and sentence of a study and the figures of these names; return the texts of figures."""
    drawn = [getattr(figures, name)(study) for name in drawn]
    for name in ("accuracies", "runs", "time_to_accuracy", "differences", "profile", "machines", "data_set"):
        formats.as_html(getattr(tables, name)(study))
    found = claims.findings(study)
    assert text.header(study) and text.findings(found, *published.CLAIMS) and claims.against_baseline(study)
    assert len(closing.lines(study, found, Path())) <= 12
    return [entry.get_text() for figure in drawn for entry in figure.findobj(Text)]


def test_a_study_without_measurements_says_so(own):
    root, chosen = own
    profile = chosen.profile.model_copy(update={"cpu_batch_sizes": [], "cuda_batch_sizes": []})
    study = load(root, chosen.model_copy(update={"profile": profile}))
    assert any("nothing was to be measured" in entry for entry in everything(study, ["profile"]))
    costs = [found for found in claims.findings(study) if found.claim in published.OF_DEVICES]
    assert {found.status for found in costs} == {claims.UNTESTABLE}
    assert "not in the parameter file's" in costs[0].sentence


def test_a_study_of_collapsed_runs_and_one_of_single_epochs_render(own):
    root, chosen = own
    for path in (root / "results" / "train").rglob("summary.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"collapsed_at_epoch": 9}))
    compare(root, chosen)
    study = load(root, chosen)
    everything(study, drawn=[])  # no figure shows a collapse
    assert "Collapsed runs: 4." in text.header(study)
    for path in (root / "results" / "train").rglob("summary.json"):
        loss, seed = path.parts[-4:-2]
        fake_results.training(path.parent, loss, int(seed), np.array([0.25 + 0.01 * int(seed)]))
    compare(root, chosen)
    everything(load(root, chosen), OF_RUNS)


def test_an_empty_table_says_so(study, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(show, "display", lambda content, **_: shown.append(content))
    monkeypatch.setattr(show, "_log_to_standard_error", lambda: None)
    show.Shower(study, tmp_path, {}).table(lambda _: pd.DataFrame([]), name="differences")
    assert "Nothing in this study" in shown[-1]["text/html"]

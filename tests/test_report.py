"""The report: what it shows comes from the files, and what they lack is said."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from support import fake_results

from eventspeech import cli
from eventspeech.errors import DataError
from eventspeech.report import claims, figures, published, render, tables, text
from eventspeech.report import results as study_results
from eventspeech.stages.compare import compare as write_comparison

FIGURES = [
    "weightings", "inputs", "example", "training_curves", "mean_curves", "generalisation", "activity", "test_accuracy",
    "confusion_exponential", "confusion_gaussian", "speakers", "differences", "profile",
]  # fmt: skip
TABLES = [
    "claims", "data_set", "time_to_accuracy", "accuracies", "runs", "differences", "profile", "machines", "parameters",
]  # fmt: skip


def make(root, **options):
    """Write a made-up study and its comparison; return its parameters."""
    gpu = options.pop("gpu", False)
    chosen = fake_results.params(**{"losses": ["exponential", "gaussian"], **options})
    fake_results.study(root, chosen, gpu)
    compare(root, chosen)
    (root / "params.yaml").write_text(yaml.safe_dump(chosen.model_dump(mode="json", exclude_none=True)))
    return chosen


def compare(root, chosen):
    results = root / "results"
    write_comparison(chosen, results / "train", results / "evaluate", results / "compare")


def load(root, chosen):
    return study_results.load(chosen, root / "data" / "spikes", root / "results")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    return load(root, make(root))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    root = tmp_path_factory.mktemp("pristine")
    return root, make(root, seeds=[0, 1])


@pytest.fixture
def own(pristine, tmp_path):
    """A study of the test's own, to be changed: root and parameters."""
    shutil.copytree(pristine[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, pristine[1]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A folder after one run of the verb itself, by relative paths as the workflow gives them."""
    root = tmp_path_factory.mktemp("rendered")
    make(root)
    (root / "reports" / "figures").mkdir(parents=True)
    (root / "reports" / "figures" / "confusion_left.png").write_text("of a loss that left the study")
    before = os.getcwd()
    os.chdir(root)
    try:
        paths = ["--spikes", "data/spikes", "--results", "results", "--out", "reports"]
        status = cli.main(["report", "--params", "params.yaml", "--log", "logs/report.log", *paths])
    finally:
        os.chdir(before)
    assert status == 0, (root / "logs" / "report.log").read_text()
    return root


def test_every_output_is_there(rendered):
    written = {path.relative_to(rendered / "reports").as_posix() for path in (rendered / "reports").rglob("*.*")}
    expected = {"study.html", "study.ipynb"}
    expected |= {f"figures/{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg")}
    expected |= {f"tables/{name}.{suffix}" for name in TABLES for suffix in ("csv", "md", "tex")}
    assert written == expected


def test_the_page_stands_alone_and_names_no_folder_of_this_machine(rendered):
    page = (rendered / "reports" / "study.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "<script" not in page and "@import" not in page
    assert "SYNTHETIC SPEECH" in page
    assert "study_results.load" not in page  # the code is in the notebook
    assert page.count("<img") == len(FIGURES)
    assert all(alt for alt in re.findall(r'<img[^>]*alt="([^"]*)"', page))
    for path in (rendered / "reports").rglob("study.*"):
        assert str(rendered) not in path.read_text(encoding="utf-8")
        assert sys.prefix not in path.read_text(encoding="utf-8")


def test_the_notebook_was_executed_and_keeps_no_times(rendered):
    notebook = json.loads((rendered / "reports" / "study.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert "papermill" not in notebook["metadata"]
    assert not [cell for cell in code if {"papermill", "execution"} & set(cell["metadata"])]
    sentences = [line for line in code[0]["source"] if "=" in line]
    assert len(sentences) == 4


def test_the_page_shows_the_numbers_of_the_files(rendered):
    page = (rendered / "reports" / "study.html").read_text(encoding="utf-8")
    losses = pd.read_csv(rendered / "results" / "compare" / "losses.csv").set_index("loss")
    assert f"{100 * losses.loc['gaussian', 'test_mean']:.1f} [" in page
    baseline = json.loads((rendered / "results" / "evaluate" / "baseline" / "held_out" / "metrics.json").read_text())
    assert f'<td class="number">{100 * baseline["accuracy"]:.1f}</td>' in page


def test_a_changed_file_changes_the_number(own):
    root, chosen = own
    path = root / "results" / "evaluate" / "gaussian" / "0" / "held_out" / "metrics.json"
    before = tables.runs(load(root, chosen)).set_index(["loss", "seed"]).loc[("gaussian", "0"), "test (%)"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracy": 0.1234}))
    compare(root, chosen)
    after = tables.runs(load(root, chosen)).set_index(["loss", "seed"]).loc[("gaussian", "0"), "test (%)"]
    assert (before != after, after) == (True, "12.3")


def test_a_changed_history_moves_the_curve(own):
    root, chosen = own
    folder = root / "results" / "train" / "gaussian" / "1" / "held_out"
    fake_results.training(folder, "gaussian", 1, np.array([0.25, 0.5]))
    compare(root, chosen)
    figure = figures.training_curves(load(root, chosen))
    lines = [line.get_ydata() for line in figure.axes[1].lines]
    assert any(np.array_equal(line, [25.0, 50.0]) for line in lines)


def test_what_was_not_measured_says_why(study):
    table = tables.profile(study)
    gpu = table[table["device"] == "GPU"]
    assert (gpu["status"] == "not measured").all()
    assert (gpu["reason"] == "no NVIDIA driver on this machine").all()
    assert (gpu["time of an epoch (s)"] == "").all()
    written = [entry.get_text() for axes in figures.profile(study).axes for entry in axes.texts]
    assert any("GPU: not measured" in entry for entry in written)
    finding = claims.gpu_faster(study.profile)
    assert finding.status == claims.UNTESTABLE
    assert "no NVIDIA driver on this machine" in finding.sentence
    assert "RAPL" in claims.gpu_spares_energy(study.profile).sentence


def test_energy_stands_against_time_with_batch_sizes_along_the_curve(tmp_path):
    study = load(tmp_path, make(tmp_path, gpu=True))
    axes = figures.energy_by_time(study).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [entry.get_text() for entry in axes.texts] == ["1", "8", "32"]
    assert [entry.get_text() for entry in axes.get_legend().get_texts()] == ["GPU"], "energy of the CPU is unknown"
    rows = [row for row in study.profile if row["device"] == "cuda"]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [row["energy_per_epoch_j"] for row in rows])
    (bar,) = axes.containers[0].lines[2][1].get_segments()
    np.testing.assert_allclose(bar[:, 1], [240 * 0.05, 255 * 0.05])
    table = tables.profile(study).set_index(["device", "batch size"])
    row = table.loc[("GPU", "8")]
    assert (row["updates an epoch"], row["steps shortened by Adam's epsilon (%)"]) == ("16", "10")
    assert row["by power samples (J)"] and "estimate of it, by a model (J)" not in table


def measurement(device, size, time, energy=None, status="VALID"):
    row = {"device": device, "batch_size": size, "status": status, "reason": None, "epoch_time_s": time}
    return row | {"energy_per_epoch_j": energy, "energy_status": "VALID" if energy else "not measured"}


@pytest.mark.parametrize(
    "gpu, status", [([0.05, 0.01], claims.HOLDS), ([0.5, 0.2], claims.FAILS), ([0.5, 0.01], claims.UNDECIDED)]
)
def test_the_claim_of_speed_is_decided_by_the_numbers(gpu, status):
    rows = [measurement("cpu", 1, 1.0), measurement("cuda", 1, gpu[0]), measurement("cuda", 32, gpu[1])]
    finding = claims.gpu_faster(rows)
    assert finding.status == status
    assert f"{1 / gpu[1]:.3g} times" in finding.sentence


def test_energy_counts_only_if_it_is_valid():
    rows = [measurement("cpu", 1, 1.0, 30.0), measurement("cuda", 1, 0.1, 20.0)]
    assert claims.gpu_spares_energy(rows).status == claims.HOLDS
    rows[1]["energy_per_epoch_j"] = 40.0
    assert claims.gpu_spares_energy(rows).status == claims.FAILS
    rows[1] |= {"energy_status": "INVALID", "energy_reason": "shorter than the counter's period"}
    finding = claims.gpu_spares_energy(rows)
    assert finding.status == claims.UNTESTABLE and "counter's period" in finding.sentence


def with_curves(root, chosen, gaussian):
    """Replace the Gaussian's trainings by ones with these validation accuracies, a little apart by seed."""
    for seed in chosen.study.seeds:
        shift = 0.001 * seed**2
        for loss, values in {"gaussian": gaussian, "exponential": [0.2, 0.4, 0.6, 0.8]}.items():
            accuracy = np.array(values) + (shift if loss == "gaussian" else 0)
            fake_results.training(root / "results" / "train" / loss / str(seed) / "held_out", loss, seed, accuracy)
    compare(root, chosen)
    return load(root, chosen)


@pytest.mark.parametrize(
    "gaussian, faster, behind",
    [
        ([0.5, 0.6, 0.7, 0.75], claims.HOLDS, claims.HOLDS),
        ([0.1, 0.2, 0.3, 0.85], claims.FAILS, claims.FAILS),
    ],
)
def test_the_claims_about_learning_are_decided_by_the_numbers(tmp_path, gaussian, faster, behind):
    study = with_curves(tmp_path, make(tmp_path, seeds=[0, 1, 2]), gaussian)
    assert claims.faster(study, "gaussian").status == faster
    assert claims.behind(study, "gaussian").status == behind
    sentence = claims.faster(study, "gaussian").sentence
    assert sentence.startswith("With unequal mean weights")
    assert claims.signed(100 * study.difference("gaussian", "early_validation")["mean"]) in sentence


def test_levels_can_be_tested_on_shd_only(own):
    root, chosen = own
    found = [f for f in claims.findings(load(root, chosen)) if f.claim == published.ACCURACY_OF_EXPONENTIAL]
    assert [f.status for f in found] == [claims.UNTESTABLE]
    assert "not SHD" in found[0].sentence
    shd = chosen.model_copy(update={"download": chosen.download.model_copy(update={"source": "shd"})})
    table = pd.read_csv(root / "results" / "compare" / "losses.csv")
    for low, high, status in ((0.92, 0.94, claims.HOLDS), (0.8, 0.82, claims.FAILS)):
        for name, value in {"mean": (low + high) / 2, "low": low, "high": high}.items():
            table[f"test_{name}"] = value
        table.to_csv(root / "results" / "compare" / "losses.csv", index=False)
        study = load(root, shd)
        assert study.label is None
        found = [f for f in claims.findings(study) if f.claim == published.ACCURACY_OF_EXPONENTIAL]
        assert [f.status for f in found] == [status]


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


def test_losses_without_a_weight_are_named_and_not_drawn(tmp_path):
    chosen = fake_results.params(losses=["exponential", "max", "first_spike"], seeds=[0, 1])
    fake_results.study(tmp_path, chosen)
    compare(tmp_path, chosen)
    study = load(tmp_path, chosen)
    figure = figures.weightings(study)
    names = [entry.get_text() for entry in figure.legends[0].get_texts()]
    assert names == [
        "exponential (mean 0.632)",
        "max (no weight: maximum of the voltage)",
        "first spike (no weight: time of the first spike)",
    ]
    assert [len(line.get_xdata()) > 0 for line in figure.axes[0].lines] == [True, False, False]
    assert not study.same_mean_weight("max")
    for name in ("example", "mean_curves", "activity", "differences"):
        getattr(figures, name)(study)


def test_every_figure_is_labelled(study):
    for name in ("weightings", "inputs", "example", "mean_curves", "activity", "speakers", "profile"):
        figure = getattr(figures, name)(study)
        assert any("SYNTHETIC SPEECH, not SHD; 400 training samples" == entry.get_text() for entry in figure.texts)


def test_losses_keep_their_colours(study):
    looks = [figures.look(study, loss) for loss in study.losses]
    assert len({look["color"] for look in looks}) == len(looks) == len({look["linestyle"] for look in looks})


def test_matched_losses_are_drawn_apart(tmp_path):
    losses = ["exponential", "gaussian", "gaussian_matched"]
    study = load(tmp_path, make(tmp_path, losses=losses, seeds=[0, 1]))
    assert [study.same_mean_weight(loss) for loss in losses] == [True, False, True]
    assert [axes.get_title("left") for axes in figures.mean_curves(study).axes] == [
        "weights as they are",
        "weights of equal mean",
    ]


CHANGES = {
    "no_recurrence": {"network": {"recurrent": False}},
    "with_shift": {"augmentation": {"shift_channels": 40}, "train": {"epochs": 20}},
    "same": {"network": {"recurrent": True}},
}


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    """A study with entries of an ablation, one of which changes nothing: root and results."""
    root = tmp_path_factory.mktemp("ablated")
    losses = ["exponential", "gaussian", *CHANGES]
    return root, load(root, make(root, losses=losses, changes=CHANGES, seeds=[0, 1, 2]))


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


def test_an_ablation_is_sorted_and_judged_by_its_differences(ablated):
    root, study = ablated
    table = pd.read_csv(root / "results" / "compare" / "differences.csv").set_index(["loss", "measure"])
    means = [table.loc[(loss, "best_validation"), "mean"] for loss in figures.ablation_order(study)]
    assert means == sorted(means, reverse=True)
    shown = tables.ablation(study).set_index("entry")
    for loss in study.ablated:
        row = table.loc[(loss, "best_validation")]
        cell = shown.loc[figures.title(loss), "validation, best epoch (points)"]
        assert cell.startswith(claims.signed(100 * row["mean"]))
        assert cell.endswith({"higher": "helps", "lower": "harms"}.get(row["verdict"], "undecided"))
    drawn = figures.ablation(study)
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == list(shown.index[1:])
    dots = [line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_marker() == "o"]
    assert dots == pytest.approx([100 * mean for mean in means])
    for axes in drawn.axes:
        low, high = axes.get_xlim()
        assert low < 0 < high


def test_where_no_voice_is_unheard_an_ablation_shows_the_whole_test(ablated):
    root, study = ablated
    assert figures.ablation_measures(study)[-1] == "test_unheard"
    other = load(root, study.params)
    other.compare["differences"].loc[other.compare["differences"]["measure"] == "test_unheard", "mean"] = np.nan
    assert figures.ablation_measures(other)[-1] == "test"
    figures.ablation(other)


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


def test_an_ablation_has_a_section_of_its_own(ablated, monkeypatch):
    root, study = ablated
    monkeypatch.chdir(root)
    render.report(study.params, "params.yaml", "data/spikes", "results", "reports")
    page = (root / "reports" / "study.html").read_text(encoding="utf-8")
    assert len(re.findall("<h2[^>]*>Which pieces help: the ablation</h2>", page)) == 1
    assert (root / "reports" / "figures" / "ablation.png").exists()
    assert (root / "reports" / "tables" / "ablation.md").exists()
    assert (root / "reports" / "figures" / "confusion_same.png").exists()
    assert not (root / "reports" / "figures" / "confusion_with_shift.png").exists()
    assert "shape.same.changes.network.recurrent" in page and "shape.exponential.changes" not in page


def test_many_losses_look_each_their_own(tmp_path):
    changes = {f"other_{i}": {"train": {"epochs": 1 + i}} for i in range(20)}
    study = load(tmp_path, make(tmp_path, losses=["exponential", *changes], changes=changes, seeds=[0]))
    assert len({str(figures.look(study, loss)) for loss in study.losses}) == 21


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
    assert (shown["exponential"], shown["gaussian"]) == (tables.percent(left), "every run collapsed")
    for table in (tables.accuracies(study), tables.differences(study)):
        assert not any("without collapsed" in name for name in table)


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


def test_one_fold_needs_no_words(study):
    assert "folds" not in tables.accuracies(study) and "fold" not in tables.runs(study)
    assert "interval over folds" not in tables.differences(study) and "fold" not in text.header(study)


def test_a_speaker_counts_as_heard_in_the_folds_that_heard_it(tmp_path):
    chosen = make(tmp_path, seeds=[0], folds=["s01", "s02"], validation={"protocol": "leave_one_out"})
    for fold in chosen.study.folds:
        path = tmp_path / "results" / "evaluate" / "gaussian" / "0" / fold / "metrics.json"
        metrics = json.loads(path.read_text())
        entry = {"accuracy": 0.25, "samples": 20, "heard": False, "validation": True}
        metrics["accuracy_by_speaker"][fold] = entry
        path.write_text(json.dumps(metrics))
    study = load(tmp_path, chosen)
    assert (study.speaker_kinds()["s01"], study.speaker_kinds()["s11"]) == ("heard", "validation")
    other = study.runs["gaussian", 0, "s02"]["metrics"]["accuracy_by_speaker"]["s01"]["accuracy"]
    assert study.of_speaker("s01", study.of("gaussian")) == [other]


def test_confusion_is_in_percent_of_the_spoken_word(study):
    shown = figures.confusion(study, "gaussian").axes[0].collections[0].get_array()
    assert np.allclose(shown.reshape(len(study.classes), -1).sum(axis=1), 100)


@pytest.mark.parametrize(
    "missing, stage",
    [("results/profile/cpu/1.json", "profile"), ("results/compare/losses.csv", "compare"),
     ("results/evaluate/gaussian/0/held_out/examples.npz", "evaluate"), ("data/spikes/test.json", "preprocess")],
)  # fmt: skip
def test_a_missing_result_is_told_before_a_kernel_starts(own, monkeypatch, missing, stage):
    root, chosen = own
    (root / missing).unlink()
    monkeypatch.setattr(render, "_execute", lambda *_: pytest.fail("a kernel was started"))
    with pytest.raises(DataError, match=f"stage `{stage}`"):
        render.report(chosen, root / "params.yaml", root / "data/spikes", root / "results", root / "reports")


def test_a_failing_cell_gives_one_sentence_and_keeps_the_notebook(own, monkeypatch, tmp_path):
    root, chosen = own
    notebook = json.loads(render.NOTEBOOK.read_text())
    notebook["cells"] = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    failing = {"cell_type": "code", "id": "x", "metadata": {}, "outputs": [], "execution_count": None}
    source = "import sys\nprint(sys.executable)\nraise ValueError('no such luck')"
    notebook["cells"].append(failing | {"source": source})
    broken = tmp_path / "broken.ipynb"
    broken.write_text(json.dumps(notebook))
    monkeypatch.setattr(render, "NOTEBOOK", broken)
    with pytest.raises(render.CellError, match="ValueError: no such luck"):
        render.report(chosen, root / "params.yaml", root / "data/spikes", root / "results", root / "reports")
    kept = (root / "reports" / render.FAILED).read_text()
    assert "no such luck" in kept
    assert sys.executable in kept  # the kernel is this interpreter
    assert not (root / "reports" / "study.html").exists()


def test_misspelt_arguments_are_refused():
    with pytest.raises(render.CellError, match="oot"):
        render.check_arguments(render.NOTEBOOK, {"params_path": "", "spikes": "", "results": "", "oot": ""})


def test_tables_are_written_for_latex_and_markdown():
    table = pd.DataFrame({"a_b (%)": ["50 & more", "[−1.0, 2]"], "c|d": ["x", "y"]})
    assert tables.markdown(table).splitlines()[0] == "| a_b (%) | c\\|d |"
    latex = tables.latex(table)
    assert r"a\_b (\%) & c|d \\" in latex
    assert r"50 \& more" in latex and "{}[$-$1.0, 2]" in latex
    assert '<th class="number">' not in tables.as_html(table)
    assert '<td class="number">[−1.0, 2]</td>' in tables.as_html(pd.DataFrame({"x": ["[−1.0, 2]", ""]}))


def test_importing_the_package_loads_no_plotting():
    code = "import eventspeech.report, eventspeech.report.render, sys; print('pandas' in sys.modules or"
    code += " 'matplotlib' in sys.modules or 'seaborn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

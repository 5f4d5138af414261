"""The stage `report`: every file of it is written, and what goes wrong is one sentence."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
import yaml
from support.studies import make

from eventspeech import cli, workflow
from eventspeech.errors import DataError
from eventspeech.report import closing
from eventspeech.stages import report

FIGURES = [
    "hodgkin_huxley", "integrate_and_fire", "izhikevich", "shapes", "cut_off", "early_spikes", "weightings", "inputs",
    "example", "training_curves", "mean_curves", "generalisation", "activity", "test_accuracy",
    "confusion_exponential", "confusion_gaussian", "speakers", "time_steps", "differences", "profile",
    "graph", "stage_costs",
]  # fmt: skip


TABLES = [
    "claims", "data_set", "time_to_accuracy", "accuracies", "runs", "differences", "profile", "machines", "parameters",
    "checksums",
]  # fmt: skip


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A folder after one run of the verb itself, by relative paths as the workflow gives them."""
    root = tmp_path_factory.mktemp("rendered")
    make(root)
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["report"]["formats"] = ["png"]  # an ablation's are drawn as SVG, too
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    (root / "reports" / "figures" / "png").mkdir(parents=True)
    (root / "reports" / "figures" / "png" / "confusion_left.png").write_text("of a loss that left the study")
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
    expected |= {"tables/findings.txt", "tables/manifest.json"}
    expected |= {f"figures/png/{name}.png" for name in FIGURES}
    expected |= {f"tables/{name}.{suffix}" for name in TABLES for suffix in ("csv", "md", "tex")}
    assert written == expected


def test_the_page_stands_alone_and_names_no_folder_of_this_machine(rendered):
    page = (rendered / "reports" / "study.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|srcset)="(?!data:)', page)
    links = {link.split("#")[0] for link in re.findall(r'href="([^"]*)"', page)} - {""}
    assert len(links) > 30 and all((rendered / "reports" / link).resolve().exists() for link in links)
    assert all((rendered / "reports" / link).resolve().is_relative_to(rendered) for link in links)
    assert "<script" not in page and "@import" not in page
    assert "SYNTHETIC SPEECH" in page and "Nothing was tuned in this study" in page
    assert "study_results.load" not in page  # the code is in the notebook
    assert page.count("<img") == len(FIGURES)
    assert page.count('<audio controls preload="metadata" src="data:audio/wav;base64,') == 1
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
    assert len(sentences) == 5


def test_the_page_shows_the_numbers_of_the_files(rendered):
    page = (rendered / "reports" / "study.html").read_text(encoding="utf-8")
    losses = pd.read_csv(rendered / "results" / "compare" / "losses.csv").set_index("loss")
    assert f"{100 * losses.loc['gaussian', 'test_mean']:.1f} [" in page
    baseline = json.loads((rendered / "results" / "evaluate" / "baseline" / "held_out" / "metrics.json").read_text())
    assert f'data-column="test (%)" class="number"><span>{100 * baseline["accuracy"]:.1f}</span></td>' in page


def _notebook_of(path, *marks):
    """Write the report's notebook with the cell of its parameters and those in which one of ``marks`` stands."""
    notebook = json.loads(report.NOTEBOOK.read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert all(any(mark in source for source in sources) for mark in marks)
    wanted = ("params_path = ", *marks)
    notebook["cells"] = [
        cell for cell, source in zip(notebook["cells"], sources, strict=True) if any(mark in source for mark in wanted)
    ]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_an_ablation_has_a_section_of_its_own(ablated, monkeypatch):
    root, study = ablated
    monkeypatch.chdir(root)
    # the other cells are in `rendered`
    marks = ("study_results.load", "study.ablated", "study.tuning", "figures.confusion", "tables.parameters")
    monkeypatch.setattr(report, "NOTEBOOK", _notebook_of(root / "cut.ipynb", *marks))
    assert study.params.report.formats == ["png", "svg"]
    report.report(study.params, "params.yaml", "data/spikes", "results", "reports")
    page = (root / "reports" / "study.html").read_text(encoding="utf-8")
    assert len(re.findall("<h2[^>]*>Which pieces help: the ablation</h2>", page)) == 1
    drawn = [{path.name for path in (root / "reports/figures" / suffix).iterdir()} for suffix in ("png", "svg")]
    assert drawn[1] == {name.replace(".png", ".svg") for name in drawn[0]} and "ablation.png" in drawn[0]
    assert {f"figures/{path.parent.name}/{path.name}" for path in (root / "reports/figures").rglob("*.*")} <= set(
        re.findall(r'href="([^"]*)"', page)
    )
    assert (root / "reports" / "tables" / "ablation.md").exists()
    assert (root / "reports" / "figures" / "png" / "confusion_same.png").exists()
    assert not (root / "reports" / "figures" / "png" / "confusion_with_shift.png").exists()
    assert "shape.same.changes.network.recurrent" in page and "shape.exponential.changes" not in page
    # and one of its losses was tuned
    assert "in place of 70.0" in page and "Nothing was tuned" not in page
    assert (root / "reports" / "figures" / "png" / "tuning_slices.png").exists()
    assert (root / "reports" / "tables" / "tuned.md").exists() and ".tuned." not in page


@pytest.mark.parametrize(
    "missing, stage",
    [("results/profile/cpu/1.json", "profile"), ("results/compare/losses.csv", "compare"),
     ("results/evaluate/gaussian/0/held_out/examples.npz", "evaluate"), ("data/spikes/test.json", "preprocess")],
)  # fmt: skip
def test_a_missing_result_is_told_before_a_kernel_starts(own, monkeypatch, missing, stage):
    root, chosen = own
    (root / missing).unlink()
    monkeypatch.setattr(report, "execute", lambda *_: pytest.fail("a kernel was started"))
    with pytest.raises(DataError, match=f"stage `{stage}`"):
        report.report(chosen, root / "params.yaml", root / "data/spikes", root / "results", root / "reports")


def test_a_failing_cell_gives_one_sentence_and_keeps_the_notebook(own, monkeypatch, tmp_path):
    root, chosen = own
    notebook = json.loads(report.NOTEBOOK.read_text())
    notebook["cells"] = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    failing = {"cell_type": "code", "id": "x", "metadata": {}, "outputs": [], "execution_count": None}
    source = "import sys\nprint(sys.executable)\nraise ValueError('no such luck')"
    notebook["cells"].append(failing | {"source": source})
    broken = tmp_path / "broken.ipynb"
    broken.write_text(json.dumps(notebook))
    monkeypatch.setattr(report, "NOTEBOOK", broken)
    with pytest.raises(report.CellError, match="ValueError: no such luck"):
        report.report(chosen, root / "params.yaml", root / "data/spikes", root / "results", root / "reports")
    kept = (root / "reports" / report.FAILED).read_text()
    assert "no such luck" in kept
    assert sys.executable in kept  # the kernel is this interpreter
    assert not (root / "reports" / "study.html").exists()


def test_misspelt_arguments_are_refused():
    with pytest.raises(report.CellError, match="oot"):
        report.check_arguments(report.NOTEBOOK, {"params_path": "", "spikes": "", "results": "", "oot": ""})


def test_importing_the_package_loads_no_plotting():
    code = "import eventspeech.report, eventspeech.stages.report, sys; print('pandas' in sys.modules or"
    code += " 'matplotlib' in sys.modules or 'seaborn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_under_the_workflow_the_findings_are_told_at_its_end(own, monkeypatch, caplog):
    root, chosen = own
    monkeypatch.setenv(workflow.TOLD_LATER, "1")
    monkeypatch.setattr(report, "execute", lambda *_: nbformat.v4.new_notebook())
    with caplog.at_level("DEBUG", logger="eventspeech"):
        report.report(chosen, root / "params.yaml", root / "data/spikes", root / "results", root / "reports")
    told = (root / "reports" / "tables" / closing.NAME).read_text().splitlines()
    levels = {record.message: record.levelname for record in caplog.records}
    assert {levels[line] for line in told} == {"DEBUG"}


def test_what_a_user_keeps_beside_a_report_stays(tmp_path):
    own = ["figures/mine.png", "figures/paper/one.pdf", "tables/mine.csv", "tables/notes.txt", "study.md"]
    made = ["figures/png/a.png", "tables/a.csv", "tables/a.md", "tables/a.tex", "tables/findings.txt"]
    for name in (*own, *made):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    report._clear(report._earlier(tmp_path))
    assert sorted(path for path in tmp_path.rglob("*.*")) == sorted(tmp_path / name for name in own)


def test_an_interrupted_report_leaves_the_earlier_one(own, monkeypatch):
    root, chosen = own
    out = root / "reports"
    kept = [out / "study.html", out / "study.ipynb", out / "figures/png/a.png", out / "tables/findings.txt"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("earlier")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "execute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        report.report(chosen, root / "params.yaml", root / "data/spikes", root / "results", out)
    assert [path.read_text() for path in kept] == ["earlier"] * len(kept)

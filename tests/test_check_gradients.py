"""The verb `check-gradients`: its table and its verdict, on one case and one problem."""

import io
import json

import numpy as np
import pytest

from eventspeech import check_gradients, cli
from eventspeech.engines.cpu import CpuEngine
from eventspeech.engines.exact import ExactEngine


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    case = next(case for case in check_gradients.cases() if case.name == "gaussian")
    monkeypatch.setattr(check_gradients, "cases", lambda: [case])
    monkeypatch.setattr(check_gradients, "PROBLEMS", 1)


def scale(monkeypatch, engine, name, factor):
    """Make an engine's gradients of one connection wrong by a factor."""
    real = engine.gradients

    def wrong(self, *arguments):
        found = real(self, *arguments)
        found.weights[name] *= factor
        return found

    monkeypatch.setattr(engine, "gradients", wrong)


def check(engine):
    stream = io.StringIO()
    status = check_gradients.run(engine, None, stream)
    return status, stream.getvalue().splitlines()


def test_the_table_and_its_json(tmp_path, capsys):
    assert cli.main(["check-gradients", "--engine", "cpu", "--json", str(tmp_path / "table.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "`exact` against finite differences" in lines[0]
    assert lines[1].split()[0] == "case"
    assert [lines[2].split()[0], lines[2].split()[-1]] == ["gaussian", "PASS"]
    content = json.loads((tmp_path / "table.json").read_text())
    (row,) = content["rows"]
    assert content["engine"] == "cpu" and row["passed"]
    assert row["step_ms"] == list(check_gradients.STEPS_MS)
    assert np.all(np.diff(row["engine_vs_exact"]) < 0), "finer steps must be nearer"
    assert len(lines[2].split()) == 2 + 1 + len(row["step_ms"]) + 2, "name, verdict, a cell for each column"


def test_spiking_outputs_are_not_compared_with_differences_on_a_grid(monkeypatch):
    case = check_gradients.Case("first spike", check_gradients.FIRST_SPIKE, recurrent=False)
    monkeypatch.setattr(check_gradients, "cases", lambda: [case])
    status, lines = check("cpu")
    assert status == 0 and lines[2].split()[-2:] == ["-", "PASS"]


def test_exact_needs_no_grid_engine(monkeypatch):
    monkeypatch.setattr(check_gradients, "_engine", None)
    status, lines = check("exact")
    assert status == 0
    assert len(lines[2].split()) == 3


def test_a_wrong_exact_gradient_fails(monkeypatch):
    scale(monkeypatch, ExactEngine, "hidden1_hidden1", 1.001)
    status, lines = check("exact")
    assert status == 1 and lines[2].endswith("FAIL")


# output weights are exact at any step, so that a part in a hundred thousand tells
@pytest.mark.parametrize(("name", "factor"), [("input_hidden1", 1.05), ("hidden1_output", 1.00001)])
def test_a_wrong_engine_fails(monkeypatch, name, factor):
    scale(monkeypatch, CpuEngine, name, factor)
    status, lines = check("cpu")
    assert status == 1 and lines[2].endswith("FAIL")


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ((8e-3, 8e-3, 8e-3, 8e-3, 8e-3), "FAIL"),
        ((2e-1, 1e-1, 6e-2, 3e-2, 2e-2), "FAIL"),
        ((8e-3, 4e-3, 2e-3, 1e-3, 5e-4), "PASS"),
        ((1e-1, 1e-2, 3e-3, 2e-3, 5e-4), "PASS"),
    ],
    ids=["does not fall", "too large", "in proportion", "not in proportion at the longest steps"],
)
def test_the_error_on_the_grid_has_to_fall_and_to_be_small(monkeypatch, errors, verdict):
    monkeypatch.setattr(check_gradients, "grid_errors", lambda *_: list(errors))
    status, lines = check("cpu")
    assert lines[2].split()[-1] == verdict and status == (verdict == "FAIL")

"""What the verb `benchmark` takes and writes."""

import argparse
import functools
import importlib
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

from eventspeech import cli
from eventspeech.benchmarks.run import BENCHMARKS

GIVEN = {
    "encoder": {"seconds": 1.0, "repeats": 5},
    "engine": {"engine": "cpu", "hidden": 512, "samples": 128, "repeats": 5, "threads": None, "limit": True},
    "epoch": {"engine": "cpu", "hidden": 512, "samples": 8156, "repeats": 1, "evaluated": 816},
    "gpu": {"steps": 1000, "spikes": 8000, "rate": 14.0, "samples": 128, "repeats": 5},
    "growth": {"rounds": 3},
}


def module(name):
    return importlib.import_module(f"eventspeech.benchmarks.{name}")


@pytest.mark.parametrize("what", BENCHMARKS)
def test_benchmark_writes_json(what, monkeypatch, tmp_path, capsys):
    calls = []

    @functools.wraps(module(what).measure)
    def measure(**given):
        calls.append(given)
        return {"median_s": np.float32(0.5)}

    monkeypatch.setattr(module(what), "measure", measure)
    for target in ("-", str(tmp_path / "out.json")):
        assert cli.main(["benchmark", what, "--json", target]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out.json").read_text())
    assert (printed["benchmark"], printed["median_s"]) == (what, 0.5)
    assert printed["machine"]["cores"] >= 1
    assert {name: calls[0][name] for name in GIVEN[what]} == GIVEN[what]


@pytest.mark.parametrize("what", BENCHMARKS)
def test_every_option_is_an_argument_of_the_measurement(what):
    parser = argparse.ArgumentParser(add_help=False)
    module(what).add_options(parser)
    given = {action.dest for action in parser._actions} - {"plot"}
    assert given and given <= set(inspect.signature(module(what).measure).parameters)


def test_the_list_of_benchmarks_needs_none_of_them():
    code = "import sys; from eventspeech import cli; cli._parser(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

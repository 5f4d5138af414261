"""What the verb `benchmark` writes."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from eventspeech import cli


@pytest.mark.parametrize("what", ["encoder", "engine", "epoch", "growth"])
def test_benchmark_writes_json(what, monkeypatch, tmp_path, capsys):
    calls = []

    def measure(*args, **kwargs):
        calls.append((args, kwargs))
        return {"median_s": np.float32(0.5)}

    monkeypatch.setitem(sys.modules, f"eventspeech.benchmarks.{what}", SimpleNamespace(measure=measure))
    for target in ("-", str(tmp_path / "out.json")):
        assert cli.main(["benchmark", what, "--json", target]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out.json").read_text())
    assert (printed["benchmark"], printed["median_s"]) == (what, 0.5)
    assert printed["machine"]["cores"] >= 1
    if what == "encoder":
        assert calls[0] == ((), {"seconds": 1.0, "repeats": 5})
    elif what == "growth":
        assert calls[0] == ((), {"rounds": 3})
    else:
        assert calls[0][1]["hidden"] == 512

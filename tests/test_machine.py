"""Machine facts: how many threads, and what is written beside results."""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from eventspeech import cli, machine


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """An empty tree of cgroups, whose process file says this process is in /job/step."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "self")
    (tmp_path / "self").write_text("4:cpu,cpuacct:/job/step\n3:memory:/job\n0::/job/step\n")
    (tmp_path / "cgroup" / "job" / "step").mkdir(parents=True)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path / "cgroup"


def test_affinity_decides_without_limits(cgroups):
    assert machine.cores() == machine.threads() == 16


@pytest.mark.parametrize(
    ("text", "cores"), [("400000 100000", 4), ("150000 100000", 2), ("1000 100000", 1), ("max 100000", 16)]
)
def test_cgroup_limits_cores(cgroups, text, cores):
    (cgroups / "job" / "step" / "cpu.max").write_text(text)
    assert machine.cores() == cores


def test_least_limit_of_all_levels_counts(cgroups):
    (cgroups / "job" / "step" / "cpu.max").write_text("max 100000")
    (cgroups / "job" / "cpu.max").write_text("300000 100000")
    (cgroups / "cpu.max").write_text("800000 100000")
    assert machine.cores() == 3


def test_old_cgroups(cgroups):
    folder = cgroups / "cpu" / "job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_period_us").write_text("100000")
    (folder / "cpu.cfs_quota_us").write_text("-1")
    assert machine.cores() == 16
    (folder / "cpu.cfs_quota_us").write_text("200000")
    assert machine.cores() == 2


def test_memory_limit(cgroups):
    before = machine.memory_gib()
    (cgroups / "job" / "memory.max").write_text(str(2**28))
    assert machine.memory_gib() == 0.25 < before
    (cgroups / "job" / "memory.max").write_text("max")
    assert machine.memory_gib() == before


@pytest.mark.parametrize(
    ("value", "threads"), [("3", 3), ("3,2", 3), (" 5 ", 5), ("0", 16), ("-1", 16), ("x", 16), ("", 16)]
)
def test_threads_follow_openmp(cgroups, monkeypatch, value, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert machine.threads() == threads


def test_facts_are_plain_and_quick(monkeypatch):
    start = time.process_time()
    facts = machine.facts()
    assert time.process_time() - start < 0.5
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["cores"] >= 1
    assert facts["packages"]["numpy"]
    assert facts["memory_gib"] > 0


def test_unknown_facts_are_none(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine._git() == (None, None)
    assert machine.version("no-such-distribution") is None


def test_hidden_gpus_are_no_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.cuda_problem() == "CUDA_VISIBLE_DEVICES hides every GPU"


def test_import_is_light():
    code = "import sys, eventspeech.machine; sys.exit(any(m in sys.modules for m in ('numpy', 'numba', 'pynvml')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.gpu
def test_gpu_is_known():
    facts = machine.facts()
    assert facts["gpu"]
    assert facts["gpu_driver"]
    assert facts["gpu_memory_gib"] > 0


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

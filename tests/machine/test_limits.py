"""How many cores, threads and how much memory a process may use."""

import os

import pytest

from eventspeech import machine
from eventspeech.machine import limits


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """An empty tree of cgroups, whose process file says this process is in /job/step."""
    monkeypatch.setattr(limits, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "OWN_CGROUPS", tmp_path / "self")
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

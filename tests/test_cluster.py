"""What is read out of `sinfo`, and what jobs ask for by it."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from eventspeech import cluster

MIXED = """cpu*|64|(null)|idle
cpu*|48+|(null)|allocated
cpu*|8|(null)|down*
gpu|32|gpu:a100:4(S:0-1),craynetwork:2|mixed
old|16|gpu:2|drained
big|128|craynetwork:2,shard:gpu-like:3|idle
"""


@pytest.fixture
def sinfo(monkeypatch):
    """Let SLURM answer this."""
    return lambda text: monkeypatch.setattr(cluster, "_sinfo", lambda: text)


@pytest.mark.parametrize(
    ("partition", "cores", "gpu"),
    [
        (None, 48, False),  # the default partition; what is down gets no jobs
        ("cpu", 48, False),
        ("gpu", 32, True),
        ("cpu,gpu", 32, True),
        ("old", 16, False),  # it has GPUs, but takes no jobs
        ("big", 128, False),
        ("unheard-of", cluster.FEW_CORES, False),
    ],
)
def test_what_a_partition_offers(sinfo, partition, cores, gpu):
    sinfo(MIXED)
    assert (cluster.cores(partition), cluster.has_gpu(partition)) == (cores, gpu)


def test_without_a_default_partition_all_count(sinfo):
    sinfo(MIXED.replace("*|", "|"))
    assert (cluster.cores(), cluster.has_gpu()) == (32, True)


@pytest.mark.parametrize(
    "text", ["", "part\n", "slurm_load_partitions: Unable to contact slurm controller\n", "a|b|c|d"]
)
def test_where_nobody_says_what_there_is_little_is_asked_for(sinfo, text):
    sinfo(text)
    assert (cluster.cores(), cluster.has_gpu()) == (cluster.FEW_CORES, False)


@pytest.mark.parametrize("script", [None, "exit 1", "echo nonsense"])
def test_sinfo_that_is_missing_or_fails(monkeypatch, tmp_path, script):
    if script:
        (tmp_path / "sinfo").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin" if script else str(tmp_path))
    cluster._sinfo.cache_clear()
    assert cluster.nodes() == []
    cluster._sinfo.cache_clear()


def test_sinfo_that_hangs(monkeypatch):
    def hang(*arguments, **options):
        raise subprocess.TimeoutExpired("sinfo", options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    cluster._sinfo.cache_clear()
    assert cluster.nodes() == []
    cluster._sinfo.cache_clear()


@pytest.mark.parametrize(
    ("attempt", "submitted", "partition", "here", "gpus"),
    [
        (1, True, "gpu", False, 1),
        (2, True, "gpu", False, 1),
        (3, True, "gpu", False, 0),  # refused twice
        (1, True, None, True, 0),  # a GPU of the login node is not one of the cluster
        (1, False, "gpu", False, 0),  # nor the other way round
        (1, False, None, True, 1),
        (3, False, None, True, 0),
    ],
)
def test_a_measurement_asks_for_a_gpu_where_there_is_one(sinfo, attempt, submitted, partition, here, gpus):
    sinfo(MIXED)
    problem = None if here else "no driver"
    assert cluster.gpus_to_ask(attempt, submitted, partition, lambda: problem) == gpus


def named(raw):
    return {"slurm_partition": SimpleNamespace(raw=raw)}


@pytest.mark.parametrize(
    ("asked", "partition"),
    [
        ([{}, {}], None),
        ([{}, named("part")], "part"),
        ([named("'gpu-x,b.c'"), named("part")], "gpu-x,b.c"),
        ([named("input.size_mb > 5"), named("part")], "part"),
        ([named(None)], None),
    ],
)
def test_the_partition_that_is_named(asked, partition):
    assert cluster.named_partition(*asked) == partition

"""What is written beside results."""

import json
import subprocess
import sys
import time

import pytest

from eventspeech import machine


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
    facts = machine.facts()
    assert (facts["git_commit"], facts["git_modified"]) == (None, None)
    assert facts["doubts"]["git_commit"] == "git is not installed"


def test_import_is_light():
    code = "import sys, eventspeech.machine; sys.exit(any(m in sys.modules for m in ('numpy', 'numba', 'pynvml')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.gpu
def test_gpu_is_known():
    facts = machine.facts()
    assert facts["gpu"]
    assert facts["gpu_driver"]
    assert facts["gpu_memory_gib"] > 0

"""Who is taken for dead: by process on this machine, by the last sign of life on others."""

import os
import subprocess
import sys

import psutil
import pytest

from eventspeech.learning.search import workers
from eventspeech.learning.search.workers import SILENT_S, Workers


@pytest.fixture
def here(tmp_path):
    with Workers(tmp_path / "search.journal") as found:
        yield found


def test_a_worker_lives_as_long_as_its_process(here):
    assert here.lives(here.me)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = psutil.Process(process.pid).create_time()
    name = f"{workers.HOST}-{process.pid}-{began:.2f}"
    assert here.lives(name)
    assert not here.lives(f"{workers.HOST}-{process.pid}-{began - 100:.2f}"), "an earlier process of this number"
    process.kill()
    assert not here.lives(name) or psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE, "nobody waited for it"
    process.wait()
    here._sign(name).touch()
    assert not here.lives(name) and not here._sign(name).exists(), "what a killed worker left goes"
    process.stdin.close()


def test_on_another_machine_the_last_sign_tells(here):
    assert not here.lives("other-1-5.00"), "no sign at all"
    sign = here._sign("other-1-5.00")
    sign.touch()
    assert here.lives("other-1-5.00")
    now = sign.stat().st_mtime
    os.utime(sign, (now, now - SILENT_S - 5))
    assert not here.lives("other-1-5.00")


@pytest.mark.parametrize(
    "name", ["", "a", "a-b", f"{workers.HOST}-x-1", f"{workers.HOST}-1-x", f"{workers.HOST}-{2**70}-1"]
)
def test_a_name_that_is_none_is_nobody_s(here, name):
    assert not here.lives(name)


def test_a_worker_that_ends_leaves_no_sign(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "BEAT_S", 0.01)
    with Workers(tmp_path / "search.journal") as found:
        sign = found._sign(found.me)
        first = sign.stat().st_mtime_ns
        while sign.stat().st_mtime_ns == first:  # it goes on giving signs
            pass
    assert list(tmp_path.iterdir()) == []

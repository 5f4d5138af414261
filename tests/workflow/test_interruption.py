"""A Snakemake that was killed is followed by the plain command, and one that lives is not disturbed."""

import os
import signal
import subprocess
import time

import pytest
from support.project import Project

TARGET = "data/spikes/train.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("interruption"))


@pytest.mark.parametrize("whom", ["the group", "the leader"])
def test_after_a_kill_the_plain_command_goes_on_and_two_at_once_are_refused(project, whom):
    locks = project.folder / ".snakemake" / "locks"
    with subprocess.Popen(
        ["snakemake", "--cores", "1", "--forceall", TARGET], cwd=project.folder, env=project.environment,
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as first:  # fmt: skip
        deadline = time.monotonic() + 120
        while not list(locks.glob("*.lock")) and time.monotonic() < deadline and first.poll() is None:
            time.sleep(0.001)
        os.killpg(first.pid, signal.SIGSTOP)
        assert list(locks.glob("*.lock"))
        said = project.snakemake("--cores", "1", TARGET, status=1).strip().splitlines()
        assert said[-1].startswith(f"snakemake: another run is at work in this folder (process {first.pid}, since ")
        assert len(said) <= 2, "one sentence, after Snakemake's own line on its profile"
        if whom == "the group":
            os.killpg(first.pid, signal.SIGKILL)
        else:
            os.kill(first.pid, signal.SIGKILL)
            os.killpg(first.pid, signal.SIGCONT)
    said = project.snakemake("--cores", "1", TARGET)
    assert "the run before this one was killed; its lock is removed" in said
    assert (project.folder / TARGET).is_file() and not list(locks.glob("*.lock"))
    assert "is removed" not in project.snakemake("--cores", "1", TARGET)


def test_after_the_clock_was_set_back_the_plain_command_goes_on(project):
    project.snakemake("--cores", "1", TARGET)
    ahead = time.time() + 2 * 86400
    for path in (project.folder / "data").rglob("*"):
        os.utime(path, (ahead, ahead))
    # without, Snakemake would refuse what is older than its input, and delete it
    said = project.snakemake("--cores", "1", "results/baseline/s1/summary.json")
    assert "the clock was set back: " in said and "older modification time" not in said
    assert project.calls()[-1].startswith("baseline ")
    assert "Nothing to be done" in project.snakemake("--cores", "1", TARGET)

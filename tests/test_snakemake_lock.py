"""One run of Snakemake at a time in a folder, and none that a dead one stops."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventspeech import processes, snakemake_lock
from eventspeech.errors import UserError
from eventspeech.processes import Process
from eventspeech.snakemake_lock import LOCKS, OWNERS, take


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A folder that Snakemake has locked; who registers here leaves at the end of the test, not of all."""
    (tmp_path / LOCKS).mkdir(parents=True)
    for name in ("0.input.lock", "0.output.lock"):
        (tmp_path / LOCKS / name).write_text("results/a\n")
    (tmp_path / OWNERS).mkdir(parents=True)
    monkeypatch.setattr(snakemake_lock.atexit, "register", lambda function: None)
    return tmp_path


@pytest.fixture
def living():
    """A process that lives until the test ends."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate()


def owner(folder: Path, **changes) -> Process:
    """Register a process, by default one that has ended: its number is this one's, which started at another time."""
    found = processes.this()._replace(**{"started": 1} | changes)
    snakemake_lock._register(folder / OWNERS / f"{found.pid}-{found.started}.json", found)
    return found


def is_locked(folder: Path) -> bool:
    return len(list((folder / LOCKS).glob("*.lock"))) == 2


def registered(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / OWNERS).glob("*.json"))


def test_the_lock_of_a_dead_run_is_removed_and_said(folder, capsys):
    owner(folder)
    take([], folder)
    assert not is_locked(folder)
    assert capsys.readouterr().err.count("was killed; its lock is removed") == 1
    me = processes.this()
    assert registered(folder) == [f"{me.pid}-{me.started}.json"], "the dead one is forgotten"


def test_a_run_of_before_the_machine_started_anew_is_dead(folder):
    owner(folder, boot="another")
    if processes.this().machine:
        take([], folder)
        assert not is_locked(folder)


@pytest.mark.parametrize("arguments", [[], ["--cores", "2"], ["all"], ["--unlocked"]])
def test_two_at_once_are_refused_in_one_sentence(folder, living, arguments):
    owner(folder, pid=living, started=processes.started(living))
    with pytest.raises(UserError, match=rf"^another run is at work in this folder \(process {living}, since 20.*\.$"):
        take(arguments, folder)
    assert is_locked(folder)


def test_also_before_the_first_of_them_has_locked(folder, living):
    for path in (folder / LOCKS).iterdir():
        path.unlink()
    owner(folder, pid=living, started=processes.started(living))
    with pytest.raises(UserError, match="another run is at work"):
        take([], folder)


@pytest.mark.parametrize(
    "arguments", [["-n"], ["-np"], ["--dry-run"], ["--summary"], ["--report=a.html"], ["--unlock"], ["--nolock"]]
)
def test_who_only_asks_is_let_through_and_leaves_a_living_lock(folder, living, arguments):
    owner(folder, pid=living, started=processes.started(living))
    before = registered(folder)
    take(arguments, folder)
    assert is_locked(folder) and registered(folder) == before


@pytest.mark.parametrize("elsewhere", [{"host": "another"}, {"machine": "another"}, {"space": "pid:[1]"}])
def test_a_lock_of_another_machine_or_container_stays_until_somebody_unlocks(folder, elsewhere):
    one = owner(folder, **elsewhere)
    owner(folder, started=2)
    with pytest.raises(
        UserError, match=rf"^a run on {one.host} .*locked this folder.*`snakemake --unlock` and this ag"
    ):
        take([], folder)
    assert is_locked(folder)
    take(["--unlock"], folder)  # Snakemake itself then removes the lock
    assert is_locked(folder) and registered(folder) == []


def test_a_lock_that_nobody_signed_is_left_to_snakemake(folder):
    take([], folder)
    assert is_locked(folder)


def test_jobs_of_snakemake_neither_register_nor_look(folder):
    owner(folder)
    take(["--mode", "remote", "--nolock"], folder)
    assert is_locked(folder) and len(registered(folder)) == 1


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        ([], True),
        (["--cores", "2", "compare"], True),
        (["-n"], False),
        (["--mode=remote"], False),
        (["--nolock"], False),
    ],
)
def test_who_runs_jobs_may_change_the_times_of_files(arguments, runs):
    assert snakemake_lock.runs_jobs(arguments) == runs


def test_asked_twice_it_registers_once_and_leaves_its_own_lock(folder):
    for path in (folder / LOCKS).iterdir():
        path.unlink()
    take([], folder)
    for name in ("0.input.lock", "0.output.lock"):
        (folder / LOCKS / name).touch()
    owner(folder)
    take([], folder)
    assert is_locked(folder) and registered(folder) != []


def test_the_directory_of_the_command_line_counts(folder, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for arguments in (["--directory", str(folder)], [f"-d={folder}"]):
        owner(folder)
        (folder / LOCKS / "0.input.lock").touch()
        take(arguments)
        assert not list((folder / LOCKS).iterdir())
        (folder / OWNERS / registered(folder)[0]).unlink()


def test_a_half_written_name_is_none(folder):
    (folder / OWNERS / "1-1.json").write_text("{")
    take([], folder)
    assert is_locked(folder)


def test_a_disk_without_locks_leaves_it_to_snakemake(folder, monkeypatch):
    owner(folder)

    def refuse(*_):
        raise OSError("no locks")

    monkeypatch.setattr(snakemake_lock.fcntl, "flock", refuse)
    take([], folder)
    assert is_locked(folder)


def test_a_folder_that_cannot_be_written_is_told_in_one_sentence(folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "owners.lock")

    monkeypatch.setattr(snakemake_lock.fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"^owners.lock cannot be written \(Read-only file system\).*run this again\.$"):
        take([], folder)


RACER = """
import sys, time
from pathlib import Path
from eventspeech.errors import UserError
from eventspeech.snakemake_lock import take
print("ready", flush=True)
sys.stdin.readline()
try:
    take([], Path(sys.argv[1]))
    print("taken", flush=True)
except UserError:
    print("refused", flush=True)
sys.stdin.readline()
"""


def test_of_several_that_start_at_once_one_goes_on_and_its_name_goes_with_it(folder):
    owner(folder)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        assert {racer.stdout.readline() for racer in racers} == {"ready\n"}
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        said = sorted(racer.stdout.readline().strip() for racer in racers)
    finally:
        for racer in racers:
            racer.communicate("\n")
    assert said == ["refused"] * 3 + ["taken"]
    assert not is_locked(folder) and registered(folder) == []


def test_a_process_is_told_from_others_of_its_number(living):
    one = processes.this()._replace(pid=living, started=processes.started(living))
    assert one.lives() is True
    assert one._replace(started=one.started + 1).lives() is False
    assert one._replace(host="another").lives() is None
    assert processes.this().lives() is True and processes.this().pid == os.getpid()


def test_a_process_that_has_ended_but_was_not_waited_for_is_dead():
    with subprocess.Popen(["true"]) as process:
        deadline = time.monotonic() + 20
        while processes.started(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert processes.started(process.pid) is None

"""The boundary: what a person sees, and the status, when the screen, the log, the system or memory fails."""

import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventspeech import cli, console
from eventspeech.errors import UserError

PROGRAM = [sys.executable, "-m", "eventspeech.cli"]


def run(work, log=None):
    return console.run("verb", work, log)


def fail(error):
    def work():
        raise error

    return work


def shell(command, **environment):
    return subprocess.run(
        ["bash", "-c", command.replace("eventspeech", f"'{sys.executable}' -m eventspeech.cli")],
        env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_log_whose_disk_is_full_is_told_once_and_the_work_goes_on(capsys):
    def work():
        for number in range(3):
            logging.getLogger("eventspeech").info("line %d", number)

    assert run(work, Path("/dev/full")) == 0
    assert capsys.readouterr().err.splitlines() == [
        "line 0",
        "eventspeech verb: the log /dev/full cannot be written (No space left on device); the command goes on without "
        "it.",
        "line 1",
        "line 2",
    ]


def test_the_message_of_a_failure_reaches_the_screen_beside_a_full_log(capsys):
    assert run(fail(UserError("No.")), Path("/dev/full")) == 2
    said = capsys.readouterr().err
    assert said.count("the log /dev/full cannot be written") == 1 and "eventspeech verb: No.\n" in said
    assert "Traceback" not in said


def test_a_log_that_cannot_even_be_made_on_a_full_disk(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", full)
    assert run(lambda: 0, tmp_path / "logs" / "a.log") == 0
    assert capsys.readouterr().err.count("the command goes on without it") == 1


def test_names_in_another_encoding_do_not_stop_the_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(console.logger, "propagate", False)  # what pytest keeps of it, pytest-xdist could not send
    assert run(fail(UserError("f\udcfcnf is gone")), tmp_path / "a.log") == 2
    capsys.readouterr()
    assert r"f\udcfcnf is gone" in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed):
    done = shell(f"eventspeech preset default {closed}")
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_a_closed_screen_does_not_stop_the_work(tmp_path):
    done = shell(f"(eventspeech preset nonsense; echo $? > {tmp_path}/status) 2>&1 | true; cat {tmp_path}/status")
    assert done.stdout.strip() == "2"


@pytest.mark.parametrize("command", ["preset default", "--help"])
def test_a_reader_that_goes_is_no_fault(command):
    done = shell(f"(sleep 0; eventspeech {command}; echo $? >&2) | true; true")
    assert done.stderr.split()[-1] in ("141", "0") and "Error" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_standard_output_on_a_full_disk():
    done = shell("eventspeech preset default > /dev/full")
    assert done.returncode == 2
    assert "No space left on device" in done.stderr and done.stderr.count("\n") == 1


def test_a_screen_that_lacks_letters():
    code = "from eventspeech import console; console.run('verb', lambda: print('fünf 五'), None)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    assert (done.returncode, done.stdout) == (0, rb"f\xfcnf \u4e94" + b"\n")


STOPPED = """
import signal, sys, time, logging
from pathlib import Path
from eventspeech import console, files
# what runs in the background (nohup, &) inherits that these are ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
def work():
    with files.atomic_path(Path("result")):
        print("ready", flush=True)
        time.sleep(60)
sys.exit(console.run("verb", work, Path("a.log")))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_are_told_and_leave_nothing_half_written(tmp_path, number):
    with subprocess.Popen([sys.executable, "-c", STOPPED], cwd=tmp_path, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + number
    what = "interrupted" if number == signal.SIGINT else f"stopped by {number.name}"
    assert said == f"eventspeech verb: {what}; run the same command to go on.\n"
    assert what in (tmp_path / "a.log").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_processes_of_the_verb_end_at_a_signal_as_ever(tmp_path):
    """A pool ends its workers by SIGTERM: what the verb's own process makes of it is none of theirs."""

    def work():
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        time.sleep(0.2)
        os.kill(pid, signal.SIGTERM)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert run(work) == -signal.SIGTERM


def test_signals_that_are_ignored_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run(lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "memory ran out; lower the batch size or the number of neurons"),
        (
            OSError(errno.ENOSPC, "", "x"),
            "x: No space left on device; free some space on the disk of that path",
        ),
        (OSError(errno.ENOSPC, ""), "standard output or a temporary file (in "),
        (PermissionError(errno.EACCES, "", "/root/x"), "/root/x: Permission denied; change its permissions, or choose"),
        (OSError(errno.EMFILE, "", "x"), "x: Too many open files; raise the number of open files (`ulimit -n`)."),
        (BlockingIOError(errno.EAGAIN, ""), "Resource temporarily unavailable; raise the number of processes and thr"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "set TMPDIR to one that"),
        (UnicodeEncodeError("utf-8", "f\udcfc", 1, 2, "surrogates not allowed"), r"'f\udcfc' is a name in an encoding"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_the_system_refuses_is_one_sentence(capsys, tmp_path, error, sentence):
    assert run(fail(error), tmp_path / "a.log") == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert "Traceback" in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize("error", [RecursionError(), OSError(), UnicodeEncodeError("latin-1", "五", 0, 1, "no")])
def test_a_fault_of_this_program_is_called_so(capsys, error):
    assert run(fail(error)) == 3
    assert "fault of this program, please report it" in capsys.readouterr().err


def command(**paths):
    given = {"params": "p.yaml", "raw": "raw", "spikes": "s.npz", "statistics": "s.json"} | paths
    return ["preprocess", "--split", "train", *(item for name, path in given.items() for item in (f"--{name}", path))]


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        ({"log": "p.yaml"}, "--log and --params both name"),
        ({"log": "./raw/../s.json"}, "--log and --statistics both name"),
        ({"spikes": "link"}, "--params and --spikes both name"),
        ({"statistics": "s.npz"}, "--spikes and --statistics both name s.npz; give each a path of its own."),
    ],
)
def test_two_options_of_one_path_touch_nothing(tmp_path, monkeypatch, capsys, paths, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text("study: {}")
    (tmp_path / "link").symlink_to("p.yaml")
    assert cli.main(command(**paths)) == 2
    names = {name.removeprefix("--") for name in sentence.split() if name.startswith("--")}
    said = capsys.readouterr().err
    assert "both name" in said and all(f"--{name}" in said for name in names) and said.count("\n") == 1
    assert (tmp_path / "p.yaml").read_text() == "study: {}" and len(list(tmp_path.iterdir())) == 2


def test_nothing_lies_in_the_folder_that_download_makes_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["download", "--params", "raw/p.yaml", "--raw", "raw"]) == 2
    assert "--params lies in the folder raw, which --raw makes anew" in capsys.readouterr().err

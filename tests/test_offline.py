"""Nothing leaves this machine: not in the study, not in `doctor`, not in the report, nor by Snakemake or DVC."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import chaos
import pytest
from support import TESTS
from support.project import ROOT

WATCHED = TESTS / "support" / "watched"


@pytest.fixture
def watch(tmp_path):
    """Return the environment in which each Python writes down whom it asks, and a function that reads that."""
    file = tmp_path / "connections.txt"
    path = os.pathsep.join([str(WATCHED), str(ROOT / "src")])
    environment = {**os.environ, "EVENTSPEECH_CONNECTIONS": str(file), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return environment, lambda: file.read_text().splitlines() if file.exists() else []


def run(command: list[str], environment: dict[str, str], folder: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=1800)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("import socket; s = socket.socket(); s.settimeout(0); s.connect_ex(('192.0.2.1', 80))", 1),
        ("import urllib.request as u\ntry: u.urlopen('http://example.invalid')\nexcept OSError: pass", 1),
        ("import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9))", 0),
        ("import socket; socket.getaddrinfo('localhost', 80)", 0),
    ],
    ids=["an address", "a name", "this machine", "its name"],
)
def test_who_asks_outside_is_written_down(watch, code, count):
    environment, seen = watch
    done = run([sys.executable, "-c", code], environment)
    assert (done.returncode, len(seen())) == (0, count), done.stderr


def test_doctor_asks_nobody(watch):
    environment, seen = watch
    done = run([sys.executable, "-m", "eventspeech.cli", "doctor"], environment)
    assert "The default study can run here." in done.stdout, done.stdout
    assert seen() == []


def test_the_committed_configuration_tells_nobody():
    config = configparser.ConfigParser()
    config.read_string("\n".join(line.strip() for line in (ROOT / ".dvc" / "config").read_text().splitlines()))
    assert not config["core"].getboolean("analytics") and not config["core"].getboolean("check_update")
    for profile in (ROOT / "profiles").glob("*/config.yaml"):
        assert "panoptes" not in profile.read_text() and "report-to" not in profile.read_text()


WITHOUT_NETWORK = ["unshare", "--user", "--map-root-user", "--net"]
LOOPBACK = """
import fcntl, os, socket, struct, sys
request = struct.pack("16sh14x", b"lo", 1 | 64)  # IFF_UP and IFF_RUNNING, by SIOCSIFFLAGS
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, request)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def isolated() -> list[str]:
    """Return what a command is put behind to run where there is no network but the loopback; nothing if it cannot."""
    prefix = [*WITHOUT_NETWORK, sys.executable, "-c", LOOPBACK]
    able = shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    return prefix if able else []


@pytest.mark.slow
def test_a_study_asks_nobody_and_needs_no_network(watch, tmp_path):
    environment, seen = watch
    study = tmp_path / "study"
    chaos.small_study(study)
    for command in (["snakemake", "--cores", "2"], ["dvc", "commit", "--force", "--quiet"], ["dvc", "repro"]):
        done = run([*isolated(), *command], environment, study)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (study / "reports" / "study.html").exists()
    assert seen() == []

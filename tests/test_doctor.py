"""The doctor: never raises, fails only for what the default study needs, says the remedy."""

import dataclasses
import io
import itertools
import subprocess
import sys

import pytest

from eventspeech import doctor
from eventspeech.data.sources import shd
from eventspeech.doctor import Check


@pytest.fixture
def only(monkeypatch):
    """Replace all checks."""

    def replace(**checks):
        monkeypatch.setattr(doctor, "CHECKS", {name: (lambda check=check: check) for name, check in checks.items()})
        stream = io.StringIO()
        return doctor.run(stream), stream.getvalue()

    return replace


def test_runs_here():
    stream = io.StringIO()
    status = doctor.run(stream)
    lines = stream.getvalue().splitlines()
    rows = [line for line in lines if line.startswith(("PASS", "FAIL", "SKIP"))]
    assert len(rows) == len(doctor.CHECKS)
    assert status == any(row.startswith("FAIL") for row in rows)
    for row, after in itertools.pairwise(lines):
        if row.startswith("FAIL"):
            assert "->" in after


def test_says_which_c_kernels_are_missing(monkeypatch):
    monkeypatch.setattr("eventspeech.data.cochlea.native.library", lambda: None)
    check = doctor.CHECKS["C kernels"]()
    assert check.status == "SKIP" and "cochlea encoder" in check.detail and "C compiler" in check.remedy


def test_skip_is_no_failure(only):
    status, text = only(a=Check("PASS", "fine"), b=Check("SKIP", "missing", "install it"))
    assert status == 0
    assert "-> install it" in text
    assert text.endswith("The default study can run here.\n")


def test_failure_is_reported(only):
    status, text = only(a=Check("FAIL", "broken", "mend it"), b=Check("PASS", "fine"))
    assert status == 1
    assert "1 of 2 checks failed" in text


@pytest.mark.parametrize(("name", "expected"), [("numba", "FAIL"), ("engine genn", "SKIP")])
def test_crashing_check_hides_nothing(monkeypatch, name, expected):
    def crash():
        raise OSError("boom")

    monkeypatch.setattr(doctor, "CHECKS", {name: crash, "last": lambda: Check("PASS", "fine")})
    stream = io.StringIO()
    assert doctor.run(stream) == (expected == "FAIL")
    assert stream.getvalue().startswith(f"{expected}  {name}")
    assert "PASS  last" in stream.getvalue()


def test_required_checks_exist():
    assert set(doctor.REQUIRED) <= set(doctor.CHECKS)


def test_old_python_fails(monkeypatch):
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (99, 0))
    assert doctor._python().status == "FAIL"


def test_broken_import_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    check = doctor._imports()
    assert check.status == "FAIL"
    assert "h5py" in check.detail


def test_wrong_version_fails(monkeypatch):
    monkeypatch.setattr(doctor.machine, "version", lambda name: None if name == "dvc" else "999")
    check = doctor._packages()
    assert check.status == "FAIL"
    assert "dvc" in check.detail
    assert "missing" in check.detail


def test_full_disk_fails(monkeypatch):
    monkeypatch.setattr(doctor, "DISK_GIB", 1e12)
    assert doctor._disk().status == "FAIL"


def test_unwritable_cache_fails(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    check = doctor._writable()
    assert check.status == "FAIL"
    assert "XDG_CACHE_HOME" in check.remedy


def test_missing_espeak_fails(monkeypatch):
    monkeypatch.setattr(doctor, "ESPEAK", "raise OSError('libespeak-ng.so: cannot open')")
    check = doctor._espeak()
    assert check.status == "FAIL"
    assert "libespeak-ng.so" in check.detail


def test_archives(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert doctor._archives().status == "SKIP"
    folder = tmp_path / "data" / "archives" / "SHD"
    folder.mkdir(parents=True)
    listed = shd.catalogue("shd")
    for archive in listed:
        (folder / archive.name).write_bytes(b"")
    assert "checksum" in doctor._archives().detail
    of_nothing = [dataclasses.replace(archive, md5="d41d8cd98f00b204e9800998ecf8427e") for archive in listed]
    monkeypatch.setattr(shd, "catalogue", lambda source: of_nothing)
    assert doctor._archives().status == "PASS"


def test_says_what_of_genn_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygenn", None)
    check = doctor.CHECKS["engine genn"]()
    assert (check.status, check.detail) == ("SKIP", "PyGeNN is not installed") and "README" in check.remedy


@pytest.mark.parametrize(
    ("built", "gpu", "used", "remedy"),
    [
        (["single_threaded_cpu"], None, "single_threaded_cpu", "CUDA_PATH"),
        (["cuda", "single_threaded_cpu"], None, "cuda", ""),
        (["cuda", "single_threaded_cpu"], "no GPU", "single_threaded_cpu", ""),
    ],
)
def test_says_which_backend_of_genn_will_run(monkeypatch, built, gpu, used, remedy):
    from eventspeech.engines.genn import install

    monkeypatch.setattr(install, "problem", lambda: None)
    monkeypatch.setattr(install, "backends", lambda: built)
    monkeypatch.setattr(install.machine, "cuda_problem", lambda: gpu)
    check = doctor.CHECKS["engine genn"]()
    assert check.status == "PASS" and check.detail.endswith(f"it uses {used}") and remedy in check.remedy


def test_import_is_light():
    code = "import sys, eventspeech.doctor; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

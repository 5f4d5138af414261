"""Atomic writing: an interruption leaves the old file or the new one."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eventspeech import files
from eventspeech.errors import DataError, UserError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    files.write_json(path, {"value": 1})
    with pytest.raises(RuntimeError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert files.read_json(path) == {"value": 1}
    assert names(tmp_path) == ["result.json"]


def test_new_file_has_the_usual_mode(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    files.write_text(tmp_path / "deep" / "result", "text")
    assert (tmp_path / "deep" / "result").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("content", [{"value": float("nan")}, {"value": float("inf")}, {"value": object()}])
def test_unwritable_content_leaves_the_old_file(tmp_path, content):
    path = tmp_path / "result.json"
    files.write_json(path, {"value": 1})
    with pytest.raises((ValueError, TypeError)):
        files.write_json(path, content)
    assert files.read_json(path) == {"value": 1}


def test_json_takes_numpy_values_and_paths(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": np.float32(0.5), "b": np.arange(2), "c": Path("x"), "d": None})
    assert files.read_json(tmp_path / "a.json") == {"a": 0.5, "b": [0, 1], "c": "x", "d": None}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_sentence(tmp_path, code):
    path = tmp_path / "result.bin"
    path.write_text("old")
    with pytest.raises(UserError, match=r"No room left on the disk while writing .*result\.bin; free some space"):
        with files.atomic_path(path):
            raise OSError(code, os.strerror(code))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.bin"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_truly_full_device(tmp_path):
    with pytest.raises(UserError, match="No room left"), files.full_disk(tmp_path / "x"):
        Path("/dev/full").write_bytes(b"0" * 100_000)


def test_other_errors_of_the_system_pass_through(tmp_path):
    with pytest.raises(OSError, match="broken"), files.atomic_path(tmp_path / "x"):
        raise OSError(errno.EIO, "broken")


def test_a_file_where_a_folder_must_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written .*; make its folder writable or choose another path"):
        files.write_text(tmp_path / "file" / "result", "text")


def test_a_folder_where_the_file_must_be(tmp_path):
    (tmp_path / "result").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        files.write_text(tmp_path / "result", "text")
    assert names(tmp_path) == ["result"]


def test_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    program = (
        "import sys, time, pathlib\n"
        "from eventspeech.files import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
    assert path.read_text() == "old"
    files.write_text(path, "new")  # what the killed writer left is in nobody's way
    assert path.read_text() == "new"


def test_two_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "result.json"
    with files.atomic_path(path) as first:
        files.write_json(path, {"writer": 2})
        first.write_text(json.dumps({"writer": 1, "pad": "x" * 100_000}))
    assert files.read_json(path)["writer"] == 1
    assert names(tmp_path) == ["result.json"]


def test_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "raw"
    with files.atomic_folder(path) as new:
        (new / "a").write_text("1")
    with files.atomic_folder(path) as new:
        (new / "b").write_text("2")
    assert names(path) == ["b"]
    assert names(tmp_path) == ["raw"]


def test_failed_move_brings_the_old_folder_back(tmp_path, monkeypatch):
    path = tmp_path / "raw"
    path.mkdir()
    (path / "a").write_text("1")
    replace = Path.replace

    def busy(self, target):
        if self.suffix == ".part":
            raise OSError(errno.EBUSY, "busy")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    with pytest.raises(OSError, match="busy"), files.atomic_folder(path) as new:
        (new / "b").write_text("2")
    assert names(path) == ["a"]
    assert names(tmp_path) == ["raw"]


def test_a_file_in_the_folders_place(tmp_path):
    (tmp_path / "raw").touch()
    with pytest.raises(UserError, match="a file is in its place"), files.atomic_folder(tmp_path / "raw"):
        pass
    assert names(tmp_path) == ["raw"]


def test_relative_paths_survive_the_move(tmp_path):
    (tmp_path / "outside").write_text("1")
    with files.atomic_folder(tmp_path / "raw") as new:
        relative = os.path.relpath(tmp_path / "outside", new)
    assert (tmp_path / "raw" / relative).read_text() == "1"
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "raw").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_failure_leaves_the_old_folder(tmp_path):
    path = tmp_path / "raw"
    path.mkdir()
    (path / "a").write_text("1")
    with pytest.raises(RuntimeError), files.atomic_folder(path) as new:
        (new / "b").write_text("2")
        raise RuntimeError
    assert names(path) == ["a"]
    assert names(tmp_path) == ["raw"]


def test_folder_behind_a_link(tmp_path):
    (tmp_path / "big_disk").mkdir()
    (tmp_path / "raw").symlink_to(tmp_path / "big_disk")
    with files.atomic_folder(tmp_path / "raw") as new:
        (new / "a").write_text("1")
    assert (tmp_path / "raw").is_symlink()
    assert names(tmp_path / "big_disk") == ["a"]


def test_npz_is_reproducible_and_never_pickled(tmp_path):
    arrays = {"a": np.arange(5), "b": np.array(["x", "yz"])}
    files.write_npz(tmp_path / "1.npz", arrays)
    time.sleep(0.01)
    files.write_npz(tmp_path / "2.npz", arrays)
    assert files.sha256(tmp_path / "1.npz") == files.sha256(tmp_path / "2.npz")
    read = files.read_npz(tmp_path / "1.npz")
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)
    with pytest.raises(TypeError, match="pickled"):
        files.write_npz(tmp_path / "3.npz", {"a": np.array([None])})


def test_a_pickle_in_a_file_is_refused(tmp_path):
    np.savez(tmp_path / "evil.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        files.read_npz(tmp_path / "evil.npz")


@pytest.mark.parametrize("damage", [b"", b"no zip", None])
def test_damaged_npz(tmp_path, damage):
    path = tmp_path / "a.npz"
    files.write_npz(path, {"a": np.arange(1000)})
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    with pytest.raises(DataError, match=r"a\.npz cannot be read .*delete it and run its stage again\."):
        files.read_npz(path)


def test_missing_and_damaged_json(tmp_path):
    with pytest.raises(DataError, match="does not exist; run the stage that makes it first"):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="does not exist"):
        files.read_npz(tmp_path / "a.npz")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        files.read_json(tmp_path / "a.json")


def test_csv_empty_cells_and_line_ends(tmp_path):
    files.write_csv(tmp_path / "a.csv", ["x", "y"], [[1, None], ["a,b", 2.5]])
    assert (tmp_path / "a.csv").read_bytes() == b'x,y\n1,\n"a,b",2.5\n'

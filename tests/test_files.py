"""Atomic writing: an interruption leaves the old file or the new one."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from eventspeech import disk, files
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
    with pytest.raises(UserError, match="No room left"), disk.full_disk(tmp_path / "x"):
        Path("/dev/full").write_bytes(b"0" * 100_000)


def test_other_errors_of_the_system_pass_through(tmp_path):
    with pytest.raises(OSError, match="broken"), files.atomic_path(tmp_path / "x"):
        raise OSError(errno.EPIPE, "broken")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.EIO, "The disk failed while .*x was made .Input/output error.; see whether it answers"),
        (errno.ESTALE, "The disk failed while"),
        (errno.EFBIG, "x grows larger than its disk or this session allows; choose another disk, or raise `ulimit -f`"),
    ],
)
def test_a_broken_disk_is_one_sentence(tmp_path, code, sentence):
    with pytest.raises(UserError, match=sentence), files.atomic_path(tmp_path / "x"):
        raise OSError(code, os.strerror(code))
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError("System error."), OSError("12 requested and 0 written")])
def test_what_fails_on_a_full_disk_without_saying_so(tmp_path, monkeypatch, error):
    """As libsndfile and numpy do: the room that is left tells. It tells no more once the half-written file is gone."""
    real = os.statvfs(tmp_path)
    full = os.statvfs_result((real.f_bsize, real.f_frsize, real.f_blocks, 2, 2, real.f_files, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full if names(tmp_path) else real)
    for writing in (files.atomic_path, files.atomic_folder):
        with pytest.raises(UserError, match="No room left"), writing(tmp_path / "x"):
            raise error
    monkeypatch.setattr(os, "statvfs", lambda _: real)
    with pytest.raises(type(error)), files.atomic_path(tmp_path / "x"):
        raise error


def test_a_library_that_quotes_the_system(tmp_path):
    with pytest.raises(UserError, match="No room left"), files.atomic_path(tmp_path / "x"):
        raise RuntimeError("Can't close (errno = 28, error message = 'No space left on device')")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_disk_without_chmod_and_fsync_can_be_written_to(tmp_path, monkeypatch, code):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    for name in ("fsync", "chmod", "fchmod", "utime"):
        monkeypatch.setattr(os, name, refuse)
    files.write_text(tmp_path / "result", "text")
    with files.atomic_folder(tmp_path / "raw") as new:
        files.write_text(new / "a", "1")
    assert names(tmp_path) == ["raw", "result"]


def test_a_disk_that_fails_to_flush_is_told(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="The disk failed"):
        files.write_text(tmp_path / "result", "text")
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EEXIST, errno.EACCES, errno.EPERM])
def test_a_disk_that_renames_onto_nothing_only(tmp_path, monkeypatch, code):
    replace = Path.replace

    def onto_nothing(self, target):
        if target.exists():
            raise OSError(code, os.strerror(code))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", onto_nothing)
    for text in ("old", "new"):
        files.write_text(tmp_path / "result", text)
    assert (tmp_path / "result").read_text() == "new" and names(tmp_path) == ["result"]


def test_a_folder_of_a_lower_layer(tmp_path, monkeypatch):
    """Containers refuse to rename a folder that came with their image."""
    replace = Path.replace

    def layered(self, target):
        if self.name == "raw":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return replace(self, target)

    (tmp_path / "raw").mkdir()
    monkeypatch.setattr(Path, "replace", layered)
    with files.atomic_folder(tmp_path / "raw") as new:
        (new / "a").touch()
    assert names(tmp_path) == ["raw"] and names(tmp_path / "raw") == ["a"]


def test_names_as_long_as_they_may_be(tmp_path):
    for name in ("x" * 255, "ä" * 127):
        files.write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
    with pytest.raises(UserError, match=r"cannot be written .File name too long.; choose a shorter"):
        files.write_text(tmp_path / ("x" * 256), "text")


def test_a_text_that_is_none(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv cannot be written: .*f\\udcfcnf.* other than UTF-8; rename the file"):
        files.write_csv(tmp_path / "a.csv", ["x"], [["f\udcfcnf"]])
    assert names(tmp_path) == []


def test_a_folder_with_files_of_others_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds files that this program did not make .there is no source\.json."):
        with files.atomic_folder(tmp_path, made_by="source.json"):
            pass
    assert names(tmp_path) == ["thesis.tex"]
    (tmp_path / "raw").mkdir()
    for _ in range(2):  # an empty folder, then one of its own
        with files.atomic_folder(tmp_path / "raw", made_by="source.json") as new:
            (new / "source.json").touch()
    assert names(tmp_path / "raw") == ["source.json"]


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
    assert len(names(tmp_path)) == 2
    mine = tmp_path / names(tmp_path)[0].replace(f"-{writer.pid}-", f"-{os.getpid()}-")
    mine.touch()
    files.write_text(path, "new")  # what the killed writer left goes, what a living one writes stays
    assert path.read_text() == "new"
    assert names(tmp_path) == sorted([mine.name, "result.txt"])


def test_killed_maker_of_a_folder_leaves_the_old_one_and_nothing_after_the_next(tmp_path):
    path = tmp_path / "raw"
    with files.atomic_folder(path) as new:
        (new / "a").touch()
    pid = os.fork()
    if pid == 0:
        with files.atomic_folder(path) as new:
            (new / "b").touch()
            os._exit(1)
    os.waitpid(pid, 0)
    assert names(path) == ["a"] and len(names(tmp_path)) == 2
    with files.atomic_folder(path) as new:
        (new / "c").touch()
    assert names(path) == ["c"] and names(tmp_path) == ["raw"]


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


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return stream.getvalue()


def npy(shape, dtype="<i8", content=b""):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


DAMAGED_NPZ = {
    "empty": (lambda good: b"", "it is empty; delete it and run its stage again"),
    "no zip": (lambda good: b"train: {}", "it is no NPZ file; check the path"),
    "truncated": (lambda good: good[:-40], r"BadZipFile: .*; it is truncated or damaged: delete it and run its stage"),
    "a flipped byte": (
        lambda good: good[:400] + bytes([good[400] ^ 255]) + good[401:], "it is truncated or damaged: delete it"
    ),
    "a zip of texts": (lambda good: zipped(a_txt="hello"), "a zip of other files than arrays; check the path"),
    "no array": (lambda good: zipped(a_npy="hello"), "it is truncated or damaged"),
    "a header of 2^60 numbers": (lambda good: zipped(a_npy=npy((1 << 60,))), "a.npy is not as long as it says"),
    "a negative length": (lambda good: zipped(a_npy=npy((-1,))), "a.npy is not as long as it says"),
    "numbers beyond the end": (lambda good: zipped(a_npy=npy((1,), content=bytes(16))), "a.npy is not as long as"),
    "objects": (lambda good: zipped(a_npy=npy((1,), "|O", bytes(8))), "a.npy holds Python objects; check"),
    "a text of no letters": (
        lambda good: zipped(a_npy=npy((1,), "<U1", (0x110000).to_bytes(4, "little"))), "a.npy holds numbers that"
    ),
    "another order of no letters": (
        lambda good: zipped(a_npy=npy((1,), ">U1", (0x110000).to_bytes(4, "big"))), "a.npy holds numbers that stand for"
    ),
    "a bomb": (lambda good: zipped(a_npy=npy((300 << 17,), content=bytes(300 << 20))), "MiB would unpack to 300, more"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED_NPZ)
def test_damaged_npz(tmp_path, damage):
    path = tmp_path / "a.npz"
    files.write_npz(path, {"a": np.arange(1000)}, compress=False)
    make, sentence = DAMAGED_NPZ[damage]
    path.write_bytes(make(path.read_bytes()))
    tracemalloc.start()
    with pytest.raises(DataError, match=rf"a\.npz cannot be read.*{sentence}"):
        files.read_npz(path)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_a_bomb_of_another_packing(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", npy((0,)))
    with pytest.raises(DataError, match="packed in a way that this program does not use"):
        files.read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("read", [files.read_json, files.read_npz])
def test_what_is_no_damage_is_not_to_be_deleted(tmp_path, monkeypatch, read):
    with pytest.raises(DataError, match="cannot be read: it is a folder; check the path"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="cannot be read: it is no file; check the path"):
        read(tmp_path / "pipe")
    (tmp_path / "a").write_text("{}")

    def refuse(code):
        def opened(*_, **__):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(Path, "open", opened)

    refuse(errno.EACCES)
    with pytest.raises(DataError, match=r"a cannot be read .Permission denied.; change its permissions"):
        read(tmp_path / "a")
    refuse(errno.EIO)
    with pytest.raises(DataError, match=r"a cannot be read .Input/output error.; see whether path and disk"):
        read(tmp_path / "a")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not valid JSON"),
        ('{"a": 1, "a": 2}', "is not valid JSON .a key stands twice."),
        ("[" * 100_000, "is not valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "is not valid JSON"),
        ("", "is not valid JSON"),
    ],
    ids=["half", "twice", "deep", "long number", "empty"],
)
def test_json_that_no_stage_wrote(tmp_path, text, sentence):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=sentence):
        files.read_json(tmp_path / "a.json")


def test_json_of_gigabytes_is_not_read(tmp_path):
    with (tmp_path / "a.json").open("wb") as stream:
        stream.write(b"{")
        stream.truncate(1 << 31)
    with pytest.raises(DataError, match="has 2048 MiB, more than any JSON of this program; check the path"):
        files.read_json(tmp_path / "a.json")


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


@pytest.mark.parametrize("length_at", [30, 32])
def test_an_array_does_not_vanish_in_the_comment_of_another(tmp_path, length_at):
    """Length of the extra field (30) or of the comment (32) of the first entry: as long as the second entry."""
    path = tmp_path / "a.npz"
    files.write_npz(path, {"a": np.arange(3), "b": np.arange(3)})
    content = bytearray(path.read_bytes())
    first, second, end = (content.find(b"PK\1\2"), content.rfind(b"PK\1\2"), content.rfind(b"PK\5\6"))
    content[first + length_at] = end - second
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        files.read_npz(path)

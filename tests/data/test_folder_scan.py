"""Everything below a folder is found, or told."""

import os

import pytest

from eventspeech.data import folder_scan
from eventspeech.errors import DataError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def scan(folder):
    return folder_scan.scan(folder, {".wav"})


def test_files_by_kind(tmp_path):
    for name in ("b/two.WAV", "one.wav", "notes.txt", "LICENSE", "a/one.m4a"):
        touch(tmp_path / name)
    found = scan(tmp_path)
    assert found.recordings == [tmp_path / "b/two.WAV", tmp_path / "one.wav"]
    assert [path.name for path in found.others] == ["LICENSE", "one.m4a", "notes.txt"]
    assert not len(found.faults) and not found.hidden


def test_hidden_ones_are_left_out(tmp_path):
    names = (
        ".Trash-1000/files/a.wav",
        ".git/a.wav",
        "__MACOSX/._a.wav",
        "._b.wav",
        "$RECYCLE.BIN/a.wav",
        "@eaDir/a.wav",
    )
    for name in names:
        touch(tmp_path / name)
    assert scan(tmp_path).recordings == [] and len(scan(tmp_path).hidden) == len(names)
    touch(tmp_path / ".data" / "a.wav")
    assert scan(tmp_path / ".data").recordings == [tmp_path / ".data" / "a.wav"], "what the user names is not hidden"


def test_links_are_followed(tmp_path):
    outside = touch(tmp_path / "outside" / "s2" / "a.wav")
    folder = tmp_path / "speech"
    touch(folder / "s1" / "a.wav")
    (folder / "s2").symlink_to(outside.parent)
    (folder / "s3.wav").symlink_to(outside)
    assert scan(folder).recordings == [folder / "s1/a.wav", folder / "s2/a.wav", folder / "s3.wav"]


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_circles_are_refused(tmp_path, target):
    touch(tmp_path / "a" / "b" / "x.wav")
    (tmp_path / "a" / "b" / "back").symlink_to(target)
    if target == "../..":
        assert (tmp_path / "a" / "b" / "back").resolve() == tmp_path
    with pytest.raises(DataError, match=r"a/b/back leads back to .*, in a circle; remove the link"):
        scan(tmp_path)


def test_a_folder_reached_twice_is_refused(tmp_path):
    touch(tmp_path / "a" / "x.wav")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(DataError, match=r"b and .*/a are one folder .*remove the link"):
        scan(tmp_path)


def test_links_that_multiply_end_at_once(tmp_path):
    for level in range(40):
        (tmp_path / f"l{level}").mkdir()
        for name in "ab":
            (tmp_path / f"l{level}" / name).symlink_to(f"../l{level + 1}")
    (tmp_path / "l40").mkdir()
    with pytest.raises(DataError, match="remove the link"):
        scan(tmp_path / "l0")


def test_what_cannot_be_taken_is_counted(tmp_path):
    for name in ("a.wav", "folder", "b.wav"):
        (tmp_path / name).symlink_to(tmp_path / "nowhere" / name)
    (tmp_path / "self.wav").symlink_to("self.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    os.close(os.open(os.fsencode(tmp_path) + b"/f\xfcnf.wav", os.O_CREAT))
    found = scan(tmp_path)
    assert found.recordings == [] and len(found.faults) == 6
    text = str(found.faults)
    assert "4 links to nothing" in text and "(a.wav, b.wav, folder, ...)" in text
    assert "1 neither files nor folders (pipe.wav)" in text
    assert "1 with a name that is not UTF-8 (rename: convmv) (f\\xfcnf.wav)" in text


def test_a_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    touch(tmp_path / "s1" / "a.wav")
    touch(tmp_path / "s2" / "a.wav")
    listed = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("s2"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert str(scan(tmp_path).faults) == "1 not readable (s2)"

"""The journal of a search: nothing follows half a line, and what is damaged or full is one sentence."""

import errno
import json

import pytest

from eventspeech import disk
from eventspeech.errors import DataError, UserError
from eventspeech.learning.search.journal import Journal


def entries(count, first=0):
    return [{"op_code": 0, "number": number} for number in range(first, first + count)]


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "a" / "search.journal")
    made.append_logs(entries(3))
    return made


def numbers(journal, first=0):
    return [entry["number"] for entry in journal.read_logs(first)]


def test_entries_are_read_from_any_on_by_any_process(journal):
    assert numbers(journal) == [0, 1, 2] and numbers(journal, 2) == [2] and numbers(journal, 3) == []
    other = Journal(journal._path)
    assert numbers(other, 1) == [1, 2]
    other.append_logs(entries(1, 3))
    assert numbers(journal, 3) == [3]


@pytest.mark.parametrize("torn", [b'{"op_code": 0, "numb', b"\0" * 70_000, b"{}"])
def test_half_a_line_is_no_entry_and_nothing_follows_it(journal, torn):
    with journal._path.open("ab") as stream:
        stream.write(torn)
    assert numbers(journal) == [0, 1, 2]
    journal.append_logs(entries(2, 3))
    assert numbers(Journal(journal._path)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("line", [b"no entry\n", b"[]\n", b'{"a": 1}\n', b"[" * 100_000 + b"\n", b"\xff\n"])
def test_a_damaged_line_is_refused_by_its_number(journal, line):
    with journal._path.open("ab") as stream:
        stream.write(line + json.dumps(entries(1)[0]).encode() + b"\n")
    with pytest.raises(DataError, match=r"search\.journal is damaged: line 4 is no entry .* move it away [^.]*\.$"):
        numbers(journal)


def test_a_file_without_lines_is_not_read_whole(journal, monkeypatch):
    monkeypatch.setattr("eventspeech.learning.search.journal.MOST_LINE_BYTES", 1000)
    with journal._path.open("ab") as stream:
        stream.write(b"x" * 5000)
    with pytest.raises(DataError, match="line 4 is no entry"):
        numbers(journal)


def test_a_full_disk_leaves_the_entries_before(journal, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "flush", full)
        with pytest.raises(UserError, match=r"No room left on the disk while writing .*search\.journal; free some"):
            journal.append_logs(entries(2, 3))
    assert journal._path.read_bytes().endswith(b'"number":2}\n')
    assert not journal._path.with_name("search.journal.lock").exists()
    journal.append_logs(entries(1, 3))
    assert numbers(journal) == [0, 1, 2, 3]


def test_a_folder_in_its_place_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        Journal(tmp_path)

"""The index of recordings."""

import dataclasses

import pytest

from eventspeech.data import recordings_index
from eventspeech.data.recordings_index import COLUMNS, Entry, read_index
from eventspeech.errors import DataError

ENTRY = Entry("../a.wav", "None", "1e3", "train", 0, 0.5, 8000, "ab" * 32)


def test_what_is_written_is_read(tmp_path):
    entries = [ENTRY, dataclasses.replace(ENTRY, path='x, "y"\n.wav', label="fünf, 五", split="validation", take=10)]
    recordings_index.write_index(entries, tmp_path)
    assert read_index(tmp_path) == entries
    assert recordings_index.splits(tmp_path, {}) == ["train", "validation"]
    assert recordings_index.summary(tmp_path) == "1 train + 1 validation recordings, 2 words, 1 speakers"


HEADER = ",".join(COLUMNS)
BAD = {
    "path,label\na,b\n": "not an index",
    HEADER + "\n": "lists no recording",
    HEADER + "\na.wav,one,s1,train,0,0.5,8000\n": "not an index .*cut short",
    HEADER + "\na.wav,one,s1,train,first,0.5,8000,ab\n": "not an index .*'first'",
    HEADER + "\na.wav,one,s1,dev,0,0.5,8000,ab\n": "not an index .*the split 'dev'",
    HEADER + "\na.wav,one,s1,train,0,0.5,8000,ab,more\n": "not an index",
    HEADER + '\n"a.wav,one': "not an index",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_index(tmp_path, text):
    (tmp_path / "recordings.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=BAD[text] + ".* run `eventspeech download` again"):
        read_index(tmp_path)


def test_missing_index(tmp_path):
    with pytest.raises(DataError, match="is missing; run `eventspeech download` again"):
        read_index(tmp_path)


def test_order_of_names():
    names = ["10", "2", "a10", "a9", "", "9" * 5000]
    assert sorted(names, key=recordings_index.natural)[:2] == ["", "2"], "no number is too long"

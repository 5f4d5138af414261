"""Folders of recordings and manifests as a source."""

import csv

import pytest
from support import speech
from support.speech import RATE_HZ, write_tone

from eventspeech import files
from eventspeech.data.recordings_index import read_index
from eventspeech.data.sources import recordings
from eventspeech.errors import DataError, ParameterError
from eventspeech.params import Recordings


@pytest.fixture
def folder(tmp_path):
    """Two words by three speakers, two takes each."""
    return speech.make_folder(tmp_path / "speech")


def index(out, **parameters):
    recordings.index(Recordings(**{"test_speakers": ["cy"], **parameters}), out)
    return read_index(out)


def manifest(folder, text):
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_index_of_a_folder(folder, tmp_path):
    entries = index(tmp_path / "raw", folder=str(folder))
    assert len(entries) == 12
    assert list(dict.fromkeys(entry.label for entry in entries)) == ["2", "10"], "natural order"
    assert {entry.speaker for entry in entries if entry.split == "test"} == {"cy"}
    first = entries[0]
    assert (tmp_path / "raw" / first.path).resolve() == folder / "2_ann_0.wav"
    assert first.sha256 == files.sha256(folder / "2_ann_0.wav")
    assert (first.take, first.duration_s, first.rate_hz) == (0, 0.03, RATE_HZ)
    with (tmp_path / "raw" / "recordings.csv").open(encoding="utf-8") as stream:
        header = next(csv.reader(stream))
    assert header == ["path", "label", "speaker", "split", "take", "duration_s", "rate_hz", "sha256"]


def test_first_takes_of_training_speakers_are_tested(folder, tmp_path):
    entries = index(tmp_path / "raw", folder=str(folder), test_takes=1)
    assert {(entry.speaker, entry.take) for entry in entries if entry.split == "train"} == {("ann", 1), ("bob", 1)}


def test_manifest_with_split(folder, tmp_path):
    rows = "2_ann_0.wav,two,a,train\n10_ann_0.wav,ten,a,train\n2_bob_0.wav,two,b,test\n"
    path = manifest(folder, "path,label,speaker,split\n" + rows)
    entries = index(tmp_path / "raw", manifest=path, test_speakers=[])
    assert [(e.label, e.speaker, e.split) for e in entries] == [
        ("ten", "a", "train"),
        ("two", "a", "train"),
        ("two", "b", "test"),
    ]


BAD_MANIFESTS = {
    "path,label\na.wav,1\n": "has no column speaker",
    "path,label,speaker\n": "lists no recording",
    "path,label,speaker\nabsent.wav,1,ann\n": r"Line 2 of .* names .*absent\.wav, which does not exist",
    "path,label,speaker\n2_ann_0.wav,,ann\n": "empty label",
    "path,label,speaker\n2_ann_0.wav,2,ann\n2_ann_0.wav,2,bob\n": "Lines 2 and 3 .* same file",
    "path,label,speaker,split\n2_ann_0.wav,2,ann,dev\n": "split 'dev'; write train, validation or test",
    "path,label,speaker,split\n2_ann_0.wav,2,ann,train\n2_bob_0.wav,2,bob,\n": "for some recordings only",
    "path,label,speaker\n2_ann_0.wav,2,ann\n10_cy_0.wav,10,cy\n": "label '10' occurs in the test split but not",
}


@pytest.mark.parametrize("text", BAD_MANIFESTS)
def test_bad_manifests(folder, tmp_path, text):
    test_speakers = ["cy"] if "cy" in text else []
    with pytest.raises(DataError, match=BAD_MANIFESTS[text]):
        index(tmp_path / "raw", manifest=manifest(folder, text), test_speakers=test_speakers)
    assert not (tmp_path / "raw" / "recordings.csv").exists()


def test_bad_choices(folder, tmp_path):
    out = tmp_path / "raw"
    with pytest.raises(ParameterError, match=r"download\.recordings\.folder is not set"):
        index(out)
    with pytest.raises(DataError, match="nowhere does not exist"):
        index(out, folder=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"manifest .*gone\.csv does not exist"):
        index(out, folder=str(folder), manifest=str(tmp_path / "gone.csv"))
    with pytest.raises(ParameterError, match=r"names 'dora', who is not a speaker .* ann, bob, cy"):
        index(out, folder=str(folder), test_speakers=["dora"])
    with pytest.raises(DataError, match="No recording is left for the test split"):
        index(out, folder=str(folder), test_speakers=[])
    with pytest.raises(DataError, match="No recording is left for the train split"):
        index(out, folder=str(folder), test_takes=2)
    with pytest.raises(ParameterError, match="not a regular expression"):
        index(out, folder=str(folder), pattern="(")
    with pytest.raises(ParameterError, match="has no groups"):
        index(out, folder=str(folder), pattern=".*")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no wav or flac file"):
        index(out, folder=str(tmp_path / "empty"))


def test_names_that_do_not_match_are_named(folder, tmp_path):
    for number in range(5):
        write_tone(folder / f"odd{number}.wav", 900 + number)
    with pytest.raises(DataError, match=r"names of 5 files .*\(odd0\.wav, odd1\.wav, odd2\.wav, \.\.\.\); rename"):
        index(tmp_path / "raw", folder=str(folder))


def test_a_bad_file_is_reported_at_once(folder, tmp_path):
    (folder / "2_ann_7.wav").write_text("hello", encoding="utf-8")
    with pytest.raises(DataError, match=r"2_ann_7\.wav cannot be read"):
        index(tmp_path / "raw", folder=str(folder))


def test_copies_are_refused(folder, tmp_path):
    (folder / "2_cy_9.wav").write_bytes((folder / "2_ann_0.wav").read_bytes())
    with pytest.raises(DataError, match="copies of one recording"):
        index(tmp_path / "raw", folder=str(folder))

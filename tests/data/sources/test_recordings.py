"""Folders of recordings and manifests as a source."""

import csv
import itertools
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import speech
from support.speech import RATE_HZ, write_tone

from eventspeech import files, params, presets
from eventspeech.data import recordings_index
from eventspeech.data.recordings_index import read_index
from eventspeech.data.sources import recordings
from eventspeech.errors import DataError, ParameterError
from eventspeech.params import Recordings, yaml12


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
    "": "has no column path and label and speaker",
    "path;label;speaker\n2_ann_0.wav;2;ann\n": "is separated by ';'; save it with commas",
    "path\tlabel\tspeaker\n": "is separated by tabs; save it with commas",
    "path,label,speaker,label\n": "has the column label twice",
    "path,label,speaker\n": "lists no recording",
    "path,label,speaker\nabsent.wav,1,ann\n2_ann_0.wav,2,ann\ngone.wav,1,ann\n":
        r"2 files of the manifest .* 2 that do not exist .*\(line 2: absent\.wav, line 4: gone\.wav\)",
    "path,label,speaker\n2_ann_0.wav,,ann\n2_ann_1.wav,2, \n":
        r"1 with an empty label \(line 2\); 1 with an empty speaker",
    "path,label,speaker\n2_ann_0.wav,2,ann\n2_ann_0.wav,2,bob\n": r"lists 1 file more than once \(lines 2 and 3\)",
    "path,label,speaker\n2_ann_0.wav,2,ann\n./2_ann_0.wav,2,bob\n": r"lists 1 file more than once \(lines 2 and 3\)",
    "path,label,speaker\n../2_ann_0.wav,2,ann\n": "1 with a path that leaves the folder",
    "path,label,speaker\n2_ann_0.wav,left, right,ann\n":
        r"1 line whose cells are not as many .*\(line 2\); put a text",
    "path,label,speaker\n2_ann_0.wav,\u200b,ann\n": "1 with a label of invisible characters",
    'path,label,speaker\n2_ann_0.wav,"2\n2",ann\n': "1 with a line break or control character in the label",
    "path,label,speaker\n2_ann_0.wav,%s,ann\n" % ("x" * 101): "1 with a label of more than 100 characters",
    'path,label,speaker\n2_ann_0.wav,"2,ann\n': "is not a CSV file in UTF-8",
    "path,label,speaker,split\n2_ann_0.wav,2,ann,dev\n2_ann_1.wav,2,ann,dev\n":
        r"2 with the split 'dev' \(write train, validation or test\) \(line 2, line 3\)",
    "path,label,speaker,split\n2_ann_0.wav,2,ann,train\n2_bob_0.wav,2,bob,\n": "1 of 2 recordings have no split",
    "path,label,speaker\n2_ann_0.wav,2,ann\n2_ann_1.wav,3,ann\n10_cy_0.wav,10,cy\n":
        "label '10' occurs in the test split but not",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_MANIFESTS)
def test_bad_manifests(folder, tmp_path, text):
    test_speakers = ["cy"] if "cy" in text else []
    with pytest.raises(DataError, match=BAD_MANIFESTS[text]):
        index(tmp_path / "raw", manifest=manifest(folder, text), test_speakers=test_speakers)
    assert not (tmp_path / "raw" / "recordings.csv").exists()


def test_names_that_look_like_something_else_stay_text(folder, tmp_path):
    names = ["1", "None", "nan", "1e3", "yes", "NULL"]
    rows = [f"{w}_{s}_{t}.wav" for w in ("2", "10") for s in ("ann", "bob", "cy") for t in "01"]
    text = "Path , LABEL,speaker,split,age\n"  # as spreadsheets write it
    for row, file in enumerate(rows):
        text += f"{file},{names[row % 6]},{names[row // 6]},{'train' if row < 6 else ' Test'},33\n"
    entries = index(tmp_path / "raw", manifest=manifest(folder, "\ufeff" + text), test_speakers=[])
    assert {entry.label for entry in entries} == set(names) and {entry.speaker for entry in entries} == {"1", "None"}
    assert {entry.split for entry in entries} == {"train", "test"}


def test_manifest_with_all_three_splits(folder, tmp_path):
    splits = {"ann": "train", "bob": "validation", "cy": "test"}
    rows = "".join(f"{w}_{s}_{t}.wav,{w},{s},{splits[s]}\n" for w in ("2", "10") for s in splits for t in "01")
    path = manifest(folder, "path,label,speaker,split\n" + rows)
    entries = index(tmp_path / "raw", manifest=path, test_speakers=[])
    assert {(entry.speaker, entry.split) for entry in entries} == set(splits.items())
    assert recordings.SOURCE.splits(tmp_path / "raw", {}) == ["train", "validation", "test"]


def test_manifest_and_test_speakers_are_one_too_many(folder, tmp_path):
    text = "path,label,speaker,split\n2_ann_0.wav,2,ann,train\n2_bob_0.wav,2,bob,test\n"
    with pytest.raises(ParameterError, match=r"tell their split, and .* sets test_speakers"):
        index(tmp_path / "raw", manifest=manifest(folder, text), test_speakers=["bob"])


def test_what_spreadsheets_add_to_a_manifest_is_no_recording(folder, tmp_path, caplog):
    """A first line that names the separator, a column without a name, rows of empty cells."""
    text = (
        "sep=,\r\npath,label,speaker,\r\n2_ann_0.wav,2,ann,\r\n,,,\r\n10_ann_0.wav,10,ann,\r\n2_cy_0.wav,2,cy,\r\n \r\n"
    )
    assert len(index(tmp_path / "raw", manifest=manifest(folder, text))) == 3
    assert "not used" not in caplog.text
    with pytest.raises(DataError, match=r"has 1 line whose cells are not as many as the header's 4 \(line 4\)"):
        index(tmp_path / "raw", manifest=manifest(folder, text.replace(",,,", "2_ann_1.wav,2,ann")))


def test_manifest_of_other_systems(folder, tmp_path):
    """Paths with backslashes, and names in the form that Macs write."""
    (folder / "sub").mkdir()
    (folder / "2_ann_0.wav").rename(folder / "sub" / unicodedata.normalize("NFD", "fünf.wav"))
    text = "path,label,speaker\nsub\\fünf.wav,fünf,ann\n2_ann_1.wav,two,ann\n2_cy_0.wav,two,cy\n"
    entries = index(tmp_path / "raw", manifest=manifest(folder, text))
    assert {entry.label for entry in entries} == {"fünf", "two"}
    assert all((tmp_path / "raw" / entry.path).is_file() for entry in entries)


def test_recordings_beside_a_manifest_are_told(folder, tmp_path, caplog):
    rows = "2_ann_0.wav,2,ann\n10_ann_0.wav,10,ann\n2_cy_0.wav,2,cy\n"
    path = manifest(folder, "path,label,speaker\n" + rows)
    index(tmp_path / "raw", manifest=path)
    assert not caplog.messages, "what lies beside a manifest is not looked at unless the folder is named"
    index(tmp_path / "raw", manifest=path, folder=str(folder))
    assert "9 recordings in" in caplog.text and "are not in the manifest: 10_ann_1.wav, " in caplog.text


def test_manifest_with_absolute_paths(folder, tmp_path):
    rows = [f"{folder}/{name}" for name in ("2_ann_0.wav,2,ann", "10_ann_0.wav,10,ann", "2_cy_0.wav,2,cy")]
    entries = index(tmp_path / "raw", manifest=manifest(folder, "\n".join(["path,label,speaker", *rows])))
    assert (tmp_path / "raw" / entries[0].path).resolve().parent == folder


def test_missing_recordings_of_a_manifest_may_be_left_out(folder, tmp_path, caplog):
    rows = "2_ann_0.wav,2,ann\n10_ann_0.wav,10,ann\n2_cy_0.wav,2,cy\ngone.wav,2,cy\n"
    path = manifest(folder, "path,label,speaker\n" + rows)
    assert len(index(tmp_path / "raw", manifest=path, unusable="leave_out")) == 3
    assert "left out 1 file of the manifest" in caplog.text and "line 5: gone.wav" in caplog.text


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
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no recording .wav, flac, ogg, mp3"):
        index(out, folder=str(tmp_path / "empty"))


BAD_PATTERNS = {
    "(": r"download\.recordings\.pattern.* not a regular expression",
    ".*": r"has no group \(\?P<label>\.\.\.\) and \(\?P<speaker>",
    r"(?P<label>[^/]+)/.+_(?P<take>\d+)": r"has no group \(\?P<speaker>",
}


@pytest.mark.parametrize("pattern", BAD_PATTERNS)
def test_bad_patterns_are_refused_with_the_parameter_file(pattern):
    content = presets.load("recordings").model_dump(mode="json")
    content["download"]["recordings"]["pattern"] = pattern
    with pytest.raises(ParameterError, match=BAD_PATTERNS[pattern]):
        params.validate(content)


def test_names_that_do_not_match_are_named(folder, tmp_path):
    for number in range(5):
        write_tone(folder / f"odd{number}.wav", 900 + number)
    write_tone(folder / "_cy_0.wav", 990)
    write_tone(folder / "2\n3_cy_0.wav", 991)
    match = r"6 with names that do not match .* \(_cy_0\.wav, odd0\.wav, odd1\.wav, \.\.\.\).*; mend or remove them"
    with pytest.raises(DataError, match=match):
        index(tmp_path / "raw", folder=str(folder))
    with pytest.raises(DataError, match=r"1 with a line break or control character in the name \(2\\n3_cy_0\.wav\)"):
        index(tmp_path / "raw", folder=str(folder))
    assert len(index(tmp_path / "raw", folder=str(folder), unusable="leave_out")) == 12


@pytest.fixture
def words(folder):
    """The same recordings as Speech Commands lays them out."""
    for file in list(folder.iterdir()):
        word, speaker, take = file.stem.split("_")
        (folder / word).mkdir(exist_ok=True)
        file.rename(folder / word / f"{speaker}_nohash_{take}.wav")
    return folder


BELOW = r"(?P<label>[^/]+)/(?P<speaker>[^_]+)_nohash_(?P<take>\d+)"


def test_a_pattern_with_a_slash_matches_the_path_below_the_folder(words, tmp_path):
    entries = index(tmp_path / "raw", folder=str(words), pattern=BELOW)
    assert {(entry.label, entry.speaker) for entry in entries} == {
        (w, s) for w in ("2", "10") for s in ("ann", "bob", "cy")
    }
    write_tone(words / "_background_noise_" / "dog.wav", 99)
    with pytest.raises(DataError, match=r"1 with names that do not match .*\(_background_noise_/dog\.wav\)"):
        index(tmp_path / "raw", folder=str(words), pattern=BELOW)


def test_a_pattern_may_tell_the_split(words, tmp_path):
    for split, speakers in {"train": ("ann",), "validation": ("bob",), "test": ("cy",)}.items():
        for word in ("2", "10"):
            (words / split / word).mkdir(parents=True)
            for speaker in speakers:
                for take in "01":
                    name = f"{word}/{speaker}_nohash_{take}.wav"
                    (words / name).rename(words / split / name)
    pattern = "(?P<split>[^/]+)/" + BELOW
    entries = index(tmp_path / "raw", folder=str(words), pattern=pattern, test_speakers=[])
    assert {(e.speaker, e.split) for e in entries} == {("ann", "train"), ("bob", "validation"), ("cy", "test")}
    assert Recordings(folder=".", pattern=pattern).tells_splits and not Recordings(folder=".").tells_splits
    (words / "validation").rename(words / "dev")
    with pytest.raises(DataError, match="4 with a split that is not train, validation or test"):
        index(tmp_path / "raw", folder=str(words), pattern=pattern, test_speakers=[])


def test_both_unicode_forms_are_one_word(folder, tmp_path):
    for form, speaker in (("NFC", "ann"), ("NFD", "bob"), ("NFD", "cy")):
        write_tone(folder / unicodedata.normalize(form, f"fünf_{speaker}_0.wav"), 700 + ord(speaker[0]))
    write_tone(folder / unicodedata.normalize("NFD", "2_zoë_0.wav"), 1500)
    entries = index(tmp_path / "raw", folder=str(folder), test_speakers=["cy", unicodedata.normalize("NFC", "zoë")])
    assert {entry.label for entry in entries} == {"2", "10", "fünf"}
    assert {entry.speaker for entry in entries if entry.split == "test"} == {"cy", "zoë"}


def test_names_that_differ_in_capitals_only_are_told(folder, tmp_path, caplog):
    write_tone(folder / "2_Ann_0.wav", 1500)
    index(tmp_path / "raw", folder=str(folder))
    assert "speakers that differ in capitals or space only are taken for different ones: 'Ann' and 'ann'" in caplog.text


def test_a_pattern_that_takes_the_take_for_the_speaker_is_told(folder, tmp_path, caplog):
    pattern = "(?P<label>[0-9]+)(?P<speaker>.*)"
    for name in list(folder.glob("2_*")):
        name.rename(folder / name.name.replace("ann", "a").replace("bob", "b"))
    index(tmp_path / "raw", folder=str(folder), pattern=pattern, test_speakers=["_cy_0", "_cy_1"])
    assert "for itself" not in caplog.text, "two words by each"
    for file in folder.glob("10_*"):
        file.unlink()
    with pytest.raises(DataError, match="of one word"):
        index(tmp_path / "raw", folder=str(folder), pattern=pattern, test_speakers=["_cy_0"])
    assert "each of 6 recordings has one of the speakers for itself (_a_0, _a_1, _b_0, ...)" in caplog.text


def test_a_bad_file_is_reported_as_it_is(folder, tmp_path):
    (folder / "2_ann_7.wav").write_text("hello", encoding="utf-8")
    with pytest.raises(DataError, match=r"2_ann_7\.wav cannot be read as audio .*; replace it"):
        index(tmp_path / "raw", folder=str(folder))


def test_many_bad_files_are_one_sentence(folder, tmp_path, caplog):
    for number in range(300):
        (folder / f"2_ann_{number + 10}.wav").write_text("hello", encoding="utf-8")
    write_tone(folder / "2_bob_9.wav", 0.0)
    with pytest.raises(DataError) as error:
        index(tmp_path / "raw", folder=str(folder))
    text = str(error.value)
    assert "301 files" in text and "300 not readable as audio (2_ann_10.wav, 2_ann_11.wav, 2_ann_12.wav, ...)" in text
    assert "1 silent (2_bob_9.wav)" in text and len(text) < 400
    assert len(index(tmp_path / "raw", folder=str(folder), unusable="leave_out")) == 12
    assert "left out 301 files" in caplog.text


def test_files_of_other_formats_are_told_once(folder, tmp_path, caplog):
    for name in ("2_ann_5.m4a", "2_ann_6.M4A", "readme.txt", "LICENSE"):
        (folder / name).touch()
    index(tmp_path / "raw", folder=str(folder))
    told = [message for message in caplog.messages if "left out" in message]
    assert len(told) == 1 and "left out 4 files" in told[0]
    assert "2 .m4a (2_ann_5.m4a, 2_ann_6.M4A); 1 .txt (readme.txt); 1 without an ending (LICENSE)" in told[0]
    with pytest.raises(DataError, match=r"4 files .* convert or remove them"):
        index(tmp_path / "raw", folder=str(folder), other_files="refuse")


def test_copies_are_all_counted(folder, tmp_path, caplog):
    for number in range(5):
        (folder / f"2_cy_{number + 5}.wav").write_bytes((folder / "2_ann_0.wav").read_bytes())
    soundfile.write(folder / "10_bob_0.flac", *soundfile.read(folder / "10_bob_0.wav"))
    match = r"6 of 18 recordings in .* are copies of others \(2_cy_5\.wav of 2_ann_0\.wav, .*, \.\.\.\)"
    with pytest.raises(DataError, match=match):
        index(tmp_path / "raw", folder=str(folder))
    entries = index(tmp_path / "raw", folder=str(folder), copies="leave_out")
    assert len(entries) == 12 and "left out 6 of 18 recordings" in caplog.text
    assert {(e.speaker, e.split) for e in entries} == {("ann", "train"), ("bob", "train"), ("cy", "test")}


def test_channels_and_clipping_are_told_once(folder, tmp_path, caplog):
    for name in ("2_ann_0.wav", "2_bob_0.wav"):
        samples, rate_hz = soundfile.read(folder / name)
        soundfile.write(folder / name, np.stack([samples, samples / 2], 1), rate_hz)
    soundfile.write(folder / "2_cy_0.wav", np.clip(4 * soundfile.read(folder / "2_cy_0.wav")[0], -1, 1), RATE_HZ)
    index(tmp_path / "raw", folder=str(folder))
    told = [message for message in caplog.messages if "several channels" in message]
    assert len(told) == 1 and "of 12 recordings: 2 with several channels (their mean is taken)" in told[0]
    assert "1 clipped (more than 1% of the samples at full scale) (2_cy_0.wav)" in told[0]


def test_one_word_is_none_to_learn(folder, tmp_path):
    with pytest.raises(DataError, match=r"All recordings for training are of one word .'x'.; add another"):
        rows = "2_ann_0.wav,x,ann\n10_ann_0.wav,x,ann\n2_cy_0.wav,x,cy\n"
        index(tmp_path / "raw", manifest=manifest(folder, "path,label,speaker\n" + rows))


# what the protocol of the validation needs


def study(folder, text, validation, study=None):
    content = presets.load("recordings").model_dump(mode="json")
    listed = manifest(folder, "path,label,speaker,split\n" + text)
    content["download"] = {"source": "recordings", "recordings": {"manifest": listed}}
    content["study"]["folds"] = None
    content["study"] |= study or {}
    return params.validate(content | {"validation": validation})


def rows(**splits):
    return "".join(f"{w}_{s}_{t}.wav,{w},{s},{splits[s][int(t)]}\n" for w in ("2", "10") for s in splits for t in "01")


OWN = ("train", "train"), ("validation", "validation"), ("test", "test")
REFUSED_FOR_PROTOCOL = [
    (dict(ann=OWN[0], bob=("train", "test"), cy=OWN[2]), {"protocol": "held_out", "speakers": ["ann"]},
     r"held_out holds whole speakers out, but .* of 1 speaker are given several splits \(bob: train, test\)"),
    (dict(ann=OWN[0], bob=OWN[0], cy=OWN[2]), {"protocol": "official"}, "no recording has the split validation"),
    (dict(ann=OWN[0], bob=OWN[0], cy=OWN[2]), {"protocol": "held_out", "speakers": ["cy"]},
     r"validation\.speakers names 'cy', who is not a speaker of the training split; choose from ann, bob"),
    (dict(ann=OWN[0], bob=OWN[1], cy=OWN[2]), {"protocol": "held_out", "speakers": ["bob"]}, "names 'bob', who is not"),
]  # fmt: skip


@pytest.mark.parametrize(("splits", "validation", "match"), REFUSED_FOR_PROTOCOL)
def test_splits_that_the_protocol_cannot_use(folder, tmp_path, splits, validation, match):
    with pytest.raises(DataError, match=match):
        recordings.SOURCE.make(study(folder, rows(**splits), validation), tmp_path / "raw")
    assert not (tmp_path / "raw").exists(), "before any work"


@pytest.mark.parametrize("validation", [{"protocol": "official"}, {"protocol": "random", "fraction": 0.5}])
def test_speakers_in_several_splits_where_nobody_is_held_out(folder, tmp_path, validation):
    splits = dict(ann=OWN[0], bob=("train", "validation"), cy=("validation", "test"))
    made = recordings.SOURCE.make(study(folder, rows(**splits), validation), tmp_path / "raw")
    assert made.summary == "6 train + 4 validation + 2 test recordings, 2 words, 3 speakers"


def test_a_validation_split_that_no_protocol_uses_is_told(folder, tmp_path, caplog):
    splits = dict(ann=("train", "train"), bob=OWN[1], cy=OWN[2])
    recordings.SOURCE.make(study(folder, rows(**splits), {"protocol": "random", "fraction": 0.5}), tmp_path / "raw")
    assert (
        "4 recordings of the split validation are used under the protocol official only, not under random"
        in caplog.text
    )


# where the recordings lie


def test_relative_folders_stay_relative(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = index(tmp_path / "data" / "raw", folder="speech")
    assert entries[0].path == "../../speech/2_ann_0.wav"
    assert index(tmp_path / "data" / "raw", folder=str(folder))[0].path == str(folder / "2_ann_0.wav")


def test_inside_a_copy_made_by_dvc(folder, tmp_path, monkeypatch):
    """The copy lacks what git ignores; the index must mean the same in the repository, to which it is brought back."""
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    raw = copy / "data" / "raw"
    entries = index(raw, folder="speech")
    assert entries[0].path == "../../speech/2_ann_0.wav"
    assert recordings_index.file_of(raw, entries[0]) == folder / "2_ann_0.wav"


def test_a_pattern_that_takes_for_ever_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("eventspeech.data.naming.LONGEST_MATCH_S", 0.1)
    (folder / ("a" * 40 + "!.wav")).touch()
    with pytest.raises(
        DataError, match=r"pattern takes longer than 0\.1 s for the name 'a{20,}!'; write it without rep"
    ):
        index(tmp_path / "raw", folder=str(folder), pattern="(?P<label>(a+)+)(?P<speaker>(a|aa)+)")


def test_a_manifest_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    for name in ("list.csv", "."):
        with pytest.raises(DataError, match=r"is not a file; correct download\.recordings\.manifest"):
            index(tmp_path / "raw", folder=None, manifest=str(tmp_path / name))


SPEAKERS = {
    "0a7c2a8d": "test",
    "0b09edd3": "test",
    "0132a06d": "validation",
    "01b4757a": "validation",
    "0c2ca723": "train",
}


def test_the_page_on_data_keeps_its_word(tmp_path, monkeypatch):
    page = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, re.S)
    patterns, official = (yaml12.parse(block, "docs/data.md") for block in re.findall(r"```yaml\n(.*?)```", page, re.S))
    monkeypatch.chdir(tmp_path)
    folder = Path("data/recordings")
    for number, (word, speaker) in enumerate(itertools.product(("yes", "no"), SPEAKERS)):
        write_tone(folder / word / f"{speaker}_nohash_{number % 3}.wav", 300 + 40 * number)
    write_tone(folder / "_background_noise_" / "pink_noise.wav", 990)
    for name, split in {"validation_list.txt": "validation", "testing_list.txt": "test"}.items():
        chosen = [path.relative_to(folder).as_posix() for path in folder.glob("*/*_nohash_*")]
        chosen = [path for path in chosen if SPEAKERS[path.split("/")[1].split("_")[0]] == split]
        (folder / name).write_text("\n".join(chosen) + "\n", encoding="utf-8")
    exec(compile(script, "docs/data.md", "exec"), {})
    by_list = recordings.index(Recordings(**official["download"]["recordings"]), Path("list"))
    by_name = recordings.index(Recordings(**patterns["download"]["recordings"]), Path("name"))
    assert {(one.speaker, one.split) for one in by_list} == set(SPEAKERS.items())
    tested = {one.speaker for one in by_name if one.split == "test"}
    assert len(by_list) == len(by_name) == 10
    assert tested == {speaker for speaker, split in SPEAKERS.items() if split == "test"}

"""The stage `download`: what it refuses to replace, and what it says when the disk is full."""

import errno
import logging
from pathlib import Path

import pytest
from support import speech

from eventspeech import files, params, presets
from eventspeech.errors import ParameterError, UserError
from eventspeech.stages import download


def with_source(preset="recordings", **keys):
    content = presets.load(preset).model_dump(mode="json")
    return params.validate(content | {"download": keys})


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder of recordings beside the current study, and its parameters."""
    monkeypatch.chdir(tmp_path)
    speech.make_folder(tmp_path / "speech")
    content = presets.load("recordings").model_dump(mode="json")
    content["validation"] = {"protocol": "held_out", "speakers": ["bob"]}
    content["download"] = {"source": "recordings", "recordings": {"folder": "speech", "test_speakers": ["cy"]}}
    return params.validate(content)


def test_the_raw_folder_is_made_and_made_anew(study, caplog):
    for _ in "ab":
        with caplog.at_level(logging.INFO, "eventspeech"):
            download.download(study, Path("data/raw"))
        assert sorted(path.name for path in Path("data/raw").iterdir()) == ["recordings.csv", "source.json"]
    assert "download: recordings, 8 train + 4 test recordings, 2 words, 3 speakers, in data/raw" in caplog.messages


def test_a_folder_of_the_users_is_not_replaced(study):
    Path("mine").mkdir()
    download.download(study, Path("mine"))  # empty: nothing is lost
    Path("other").mkdir()
    Path("other/thesis.txt").touch()
    with pytest.raises(UserError, match=r"other holds files but no source\.json, .* choose another --raw"):
        download.download(study, Path("other"))
    assert Path("other/thesis.txt").exists()


@pytest.mark.parametrize("raw", ["speech", "."])
def test_the_recordings_themselves_are_not_replaced(study, raw):
    files.write_json(Path(raw, "source.json"), {})
    with pytest.raises(UserError, match=r"download\.recordings\.folder = speech lies in .*keep it elsewhere"):
        download.download(study, Path(raw))
    assert len(list(Path("speech").glob("*.wav"))) == 12


def test_recordings_are_not_looked_for_in_what_was_made(study):
    with pytest.raises(UserError, match=r"folder = speech holds speech/raw, .* recordings alone"):
        download.download(study, Path("speech/raw"))


SOURCES_IN_RAW = [
    {"source": "recordings", "recordings": {"folder": "data/raw"}},
    {"source": "recordings", "recordings": {"folder": "data/../data/raw/sub/"}},
    {"source": "recordings", "recordings": {"folder": "x", "manifest": "data/raw/list.csv"}},
    {"source": "hdf5", "hdf5_train": "data/raw/a.h5", "hdf5_test": "b.h5"},
    {"source": "shd", "archives": "data/raw/archives"},
]


@pytest.mark.parametrize("keys", SOURCES_IN_RAW)
def test_what_a_workflow_would_delete_is_refused_with_the_parameter_file(keys):
    with pytest.raises(ParameterError, match="lies in data/raw, which is made anew; keep it elsewhere"):
        with_source(**keys)


def test_other_sources_may_name_what_they_like():
    with_source(source="recordings", recordings={"folder": "data/raw2"}, hdf5_train="data/raw/a.h5")


def test_full_disk_while_speech_is_synthesised(tmp_path, monkeypatch):
    parameters = presets.load("default")

    def write_bytes(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(UserError, match="No room left on the disk"):
        download.download(parameters, tmp_path / "raw")
    assert not list(tmp_path.iterdir()), "nothing half made is left"

"""From indexed recordings to the store."""

import numpy as np
import pytest
from support import speech

from eventspeech.data import encoding
from eventspeech.data.sources import recordings
from eventspeech.errors import DataError
from eventspeech.params import Cochlea, Recordings


@pytest.fixture
def folder(tmp_path):
    """Two words by three speakers, two takes each."""
    return speech.make_folder(tmp_path / "speech")


def index(out, folder):
    recordings.index(Recordings(folder=str(folder), test_speakers=["cy"]), out)


def test_encoding_a_split(folder, tmp_path):
    raw = tmp_path / "raw"
    index(raw, folder=folder)
    train = encoding.encode_split(raw, "train", Cochlea(), 1000.0, 2)
    test = encoding.encode_split(raw, "test", Cochlea(), 1000.0, 1)
    assert (len(train), len(test)) == (8, 4)
    assert train.class_names == test.class_names == ("2", "10")
    assert train.speaker_names == test.speaker_names == ("ann", "bob", "cy")
    assert set(test.speakers) == {2} and np.all(np.diff(train.offsets) > 0)
    again = encoding.encode_split(raw, "train", Cochlea(), 1000.0, 1)
    np.testing.assert_array_equal(again.times_ms, train.times_ms)
    other = encoding.encode_split(raw, "train", Cochlea(seed=1), 1000.0, 2)
    assert len(other.times_ms) != len(train.times_ms) or np.any(other.times_ms != train.times_ms)
    cut = encoding.encode_split(raw, "train", Cochlea(), 10.0, 2)
    assert len(cut.times_ms) == np.sum(train.times_ms < 10)


def test_a_recording_is_encoded_alike_wherever_it_lies(folder, tmp_path):
    index(tmp_path / "raw", folder=folder)
    folder.rename(tmp_path / "moved")
    (tmp_path / "moved" / "2_bob_1.wav").unlink()
    index(tmp_path / "again", folder=tmp_path / "moved")
    after = encoding.encode_split(tmp_path / "again", "test", Cochlea(), 1000.0, 1)
    (tmp_path / "moved").rename(folder)
    before = encoding.encode_split(tmp_path / "raw", "test", Cochlea(), 1000.0, 1)
    np.testing.assert_array_equal(after.times_ms, before.times_ms)


def test_changed_and_missing_files(folder, tmp_path):
    raw = tmp_path / "raw"
    index(raw, folder=folder)
    speech.write_tone(folder / "2_ann_0.wav", 1234.0)
    with pytest.raises(DataError, match=r"2_ann_0\.wav has changed .* run `download` again"):
        encoding.encode_split(raw, "train", Cochlea(), 1000.0, 1)
    (folder / "2_ann_0.wav").unlink()
    with pytest.raises(DataError, match=r"2_ann_0\.wav does not exist any more"):
        encoding.encode_split(raw, "train", Cochlea(), 1000.0, 1)

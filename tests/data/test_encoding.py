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


def test_after_a_kill_encoding_goes_on_with_the_block_at_hand(folder, tmp_path, monkeypatch, caplog):
    raw, kept = tmp_path / "raw", tmp_path / "spikes" / ".train.npz.done"
    index(raw, folder=folder)
    whole = encoding.encode_split(raw, "train", Cochlea(), 1000.0, 1)
    monkeypatch.setattr(encoding, "BLOCK", 3)
    encoded, real = [], encoding._recordings

    def killed_after(count):
        def recordings(*given):
            for number, recording in enumerate(real(*given)):
                if number == count:
                    raise KeyboardInterrupt
                encoded.append(recording.seed)
                yield recording

        monkeypatch.setattr(encoding, "_recordings", recordings)

    killed_after(7)
    with pytest.raises(KeyboardInterrupt):
        encoding.encode_split(raw, "train", Cochlea(), 1000.0, 1, kept)
    assert len(list(kept.iterdir())) in (1, 2), "at most one block and what is under way are lost"
    (damaged, *_) = sorted(kept.iterdir())
    whole_blocks = len(list(kept.iterdir()))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    encoded.clear()
    killed_after(100)
    with caplog.at_level("INFO", "eventspeech"):
        again = encoding.encode_split(raw, "train", Cochlea(), 1000.0, 1, kept)
    assert len(encoded) == 8 - 3 * (whole_blocks - 1)
    for name in ("times_ms", "channels", "offsets", "labels", "speakers"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    encoded.clear()
    encoding.encode_split(raw, "train", Cochlea(), 1000.0, 1, kept)
    assert encoded == [], "nothing is left to do"
    other = encoding.encode_split(raw, "train", Cochlea(seed=1), 1000.0, 1, kept)
    assert len(encoded) == 8 and len(other) == 8, "other parameters find nothing"


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

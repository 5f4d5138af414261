"""Sources of audio: bad files and their messages, synthesis, folders of recordings, and the way into the store."""

import csv
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from eventspeech import files
from eventspeech.data import audio, audio_source
from eventspeech.data.index import read_index
from eventspeech.data.sources import recordings, synthetic
from eventspeech.errors import DataError, ParameterError
from eventspeech.params import Cochlea, Recordings, Synthetic

RATE_HZ = 8000


def write_tone(path, frequency_hz=500.0, seconds=0.03, rate_hz=RATE_HZ, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    soundfile.write(path, samples, rate_hz, **options)
    return samples


@pytest.fixture
def folder(tmp_path):
    """Two words by three speakers, two takes each."""
    for number, name in enumerate(f"{w}_{s}_{t}.wav" for w in ("2", "10") for s in ("ann", "bob", "cy") for t in "01"):
        write_tone(tmp_path / "speech" / name, 300.0 + 50 * number)
    return tmp_path / "speech"


def index(out, **parameters):
    recordings.index(Recordings(**{"test_speakers": ["cy"], **parameters}), out)
    return read_index(out)


def manifest(folder, text):
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


# reading


@pytest.mark.parametrize("rate_hz", [4000, 8000, 22_050, 192_000])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_reads_wav_and_flac_of_many_rates(tmp_path, rate_hz, suffix):
    written = write_tone(tmp_path / f"a{suffix}", rate_hz=rate_hz)
    samples, rate = audio.read(tmp_path / f"a{suffix}")
    assert rate == rate_hz and samples.dtype == np.float64
    np.testing.assert_allclose(samples, written, atol=2**-15)


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile([[0.5, 0.0], [0.0, 0.5]], (100, 1)) * [1, -1], 8000, subtype="DOUBLE")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], np.tile([0.25, -0.25], 100))


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.wav does not exist"):
        audio.read(tmp_path / "nowhere.wav")


def test_text_named_wav(tmp_path):
    (tmp_path / "a.wav").write_text("not audio at all", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.wav cannot be read as audio .*; replace"):
        audio.read(tmp_path / "a.wav")


def test_empty_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.empty(0), 8000)
    with pytest.raises(DataError, match=r"a\.wav is empty .*remove"):
        audio.read(tmp_path / "a.wav")


def test_very_short_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.1, -0.1]), 8000)
    with pytest.raises(DataError, match="shorter than 5 ms"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silent_recording(tmp_path, value):
    soundfile.write(tmp_path / "a.wav", np.full(800, value), 8000)
    with pytest.raises(DataError, match=r"a\.wav is silent"):
        audio.read(tmp_path / "a.wav")


def test_nan(tmp_path):
    samples = np.ones(800)
    samples[7] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav holds samples that are NaN"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_truncated_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 40_000), 8000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"truncated|cannot be read as audio"):
        audio.read(path)


def test_rate_out_of_range(tmp_path):
    write_tone(tmp_path / "a.wav", rate_hz=2000)
    with pytest.raises(DataError, match="2000 Hz; convert"):
        audio.read(tmp_path / "a.wav")


# a folder of recordings


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
    "path,label,speaker,split\n2_ann_0.wav,2,ann,dev\n": "split 'dev'; write train or test",
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


# into the store


def test_encoding_a_split(folder, tmp_path):
    raw = tmp_path / "raw"
    index(raw, folder=str(folder))
    train = audio_source.encode_split(raw, "train", Cochlea(), 1000.0, 2)
    test = audio_source.encode_split(raw, "test", Cochlea(), 1000.0, 1)
    assert (len(train), len(test)) == (8, 4)
    assert train.class_names == test.class_names == ("2", "10")
    assert train.speaker_names == test.speaker_names == ("ann", "bob", "cy")
    assert set(test.speakers) == {2} and np.all(np.diff(train.offsets) > 0)
    again = audio_source.encode_split(raw, "train", Cochlea(), 1000.0, 1)
    np.testing.assert_array_equal(again.times_ms, train.times_ms)
    other = audio_source.encode_split(raw, "train", Cochlea(seed=1), 1000.0, 2)
    assert len(other.times_ms) != len(train.times_ms) or np.any(other.times_ms != train.times_ms)
    cut = audio_source.encode_split(raw, "train", Cochlea(), 10.0, 2)
    assert len(cut.times_ms) == np.sum(train.times_ms < 10)


def test_a_recording_is_encoded_alike_wherever_it_lies(folder, tmp_path):
    index(tmp_path / "raw", folder=str(folder))
    folder.rename(tmp_path / "moved")
    (tmp_path / "moved" / "2_bob_1.wav").unlink()
    index(tmp_path / "again", folder=str(tmp_path / "moved"))
    after = audio_source.encode_split(tmp_path / "again", "test", Cochlea(), 1000.0, 1)
    (tmp_path / "moved").rename(folder)
    before = audio_source.encode_split(tmp_path / "raw", "test", Cochlea(), 1000.0, 1)
    np.testing.assert_array_equal(after.times_ms, before.times_ms)


def test_changed_and_missing_files(folder, tmp_path):
    raw = tmp_path / "raw"
    index(raw, folder=str(folder))
    write_tone(folder / "2_ann_0.wav", 1234.0)
    with pytest.raises(DataError, match=r"2_ann_0\.wav has changed .* run `download` again"):
        audio_source.encode_split(raw, "train", Cochlea(), 1000.0, 1)
    (folder / "2_ann_0.wav").unlink()
    with pytest.raises(DataError, match=r"2_ann_0\.wav does not exist any more"):
        audio_source.encode_split(raw, "train", Cochlea(), 1000.0, 1)


def test_bad_index(tmp_path):
    with pytest.raises(DataError, match="run `download` first"):
        read_index(tmp_path)
    (tmp_path / "recordings.csv").write_text("path,label\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="not an index of recordings"):
        read_index(tmp_path)


# synthesis


def test_synthetic_set(tmp_path):
    parameters = Synthetic(speakers=3, takes=2, test_speakers=1, test_takes=1)
    synthetic.make(parameters, tmp_path)
    entries = read_index(tmp_path)
    assert len(entries) == 3 * 20 * 2 == len(list((tmp_path / "audio").glob("*.wav")))
    assert tuple(dict.fromkeys(entry.label for entry in entries)) == synthetic.WORDS
    assert {(e.speaker, e.take) for e in entries if e.split == "train"} == {("s01", 1), ("s02", 1)}
    assert {e.speaker for e in entries} == {"s01", "s02", "s03"}
    durations = np.array([entry.duration_s for entry in entries])
    assert 0.15 < durations.min() and durations.max() < 1.2
    assert len({entry.sha256 for entry in entries}) == len(entries), "takes differ"
    # fewer takes: the same files, and none left over
    synthetic.make(Synthetic(speakers=3, takes=1, test_speakers=1, test_takes=0), tmp_path)
    fewer = {entry.path: entry.sha256 for entry in read_index(tmp_path)}
    assert len(fewer) == 60 == len(list((tmp_path / "audio").glob("*.wav")))
    assert fewer.items() <= {entry.path: entry.sha256 for entry in entries}.items()


def test_a_take_depends_on_its_own_names_alone():
    speaker = synthetic.speaker(4)
    first, _ = synthetic.say("sieben", speaker, 1, 5)
    synthetic.say("zero", synthetic.speaker(2), 0, 5)
    again, _ = synthetic.say("sieben", speaker, 1, 5)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, synthetic.say("sieben", speaker, 2, 5)[0])
    assert not np.array_equal(first, synthetic.say("sieben", speaker, 1, 6)[0])


def test_a_take_is_the_same_in_another_process():
    code = (
        "import hashlib; from eventspeech.data.sources import synthetic as s;"
        "print(hashlib.sha256(s.say('eight', s.speaker(2), 0, 3)[0].tobytes()).hexdigest())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(runs) == 1 and len(runs.pop()) == 65


def test_speakers_are_distinct_and_mixed():
    speakers = [synthetic.speaker(number) for number in range(1, 65)]
    assert len({(s.variant, s.rate_wpm, s.pitch) for s in speakers}) == 64
    assert all(s.variant in (synthetic.FEMALE if n % 2 == 0 else synthetic.MALE) for n, s in enumerate(speakers, 1))


def test_every_speaker_of_the_default_can_speak():
    for number in range(1, 2 * max(len(synthetic.MALE), len(synthetic.FEMALE)) + 1):
        for word in ("one", "fuenf"):
            samples, rate_hz = synthetic.say(word, synthetic.speaker(number), 0, 0)
            assert 0.15 < len(samples) / rate_hz < 1.2

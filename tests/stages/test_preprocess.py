"""From a source to spike stores and statistics, and the refusals of `download` and `preprocess`."""

import json
import logging
import math

import numpy as np
import pytest

from eventspeech import files, params, paths
from eventspeech.data import store
from eventspeech.data.sources import hdf5
from eventspeech.errors import DataError
from eventspeech.learning import folds
from eventspeech.stages import download, preprocess

SAMPLES = [([1.0, 500.0, 1250.0], [0, 699, 5]), ([], []), ([500.0], [7])]


def make_store(speakers=("0", "1", "2")):
    samples = [(np.array(times), np.array(channels, int)) for times, channels in SAMPLES]
    return store.from_samples(samples, [0, 1, 0], [0, 1, 0], ["zero", "eins"], list(speakers), math.inf)


@pytest.fixture
def parameters(tmp_path):
    hdf5.write(tmp_path / "train.h5", make_store())
    hdf5.write(tmp_path / "test.h5", make_store(("2", "5", "6")))
    given = {f"hdf5_{split}": str(tmp_path / f"{split}.h5") for split in ("train", "test")}
    return with_source({"source": "hdf5", **given})


def with_source(source, study=None, validation=None):
    content = params.load(paths.PRESETS / "default.yaml").model_dump(mode="json")
    content["study"] |= study or {}
    return params.validate(content | {"download": source, "validation": validation or content["validation"]})


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "spikes.npz", tmp_path / "statistics.json"


def test_hdf5_is_indexed_not_copied(parameters, raw, out, caplog):
    with caplog.at_level(logging.INFO, "eventspeech"):
        download.download(parameters, raw)
        preprocess.preprocess(parameters, raw, "train", *out)
    assert [path.name for path in raw.iterdir()] == ["source.json"]
    assert "3 train + 3 test samples, 2 classes, 4 speakers" in caplog.messages[0]
    assert "3 samples, 2 classes, 2 speakers, 1 spikes a sample, 25 % cut off at 1000 ms" in caplog.messages[-1]

    spikes = store.load(out[0])
    assert spikes.trial_ms == 1000.0
    assert spikes.origin == store.Origin("hdf5"), "whose encoder is not this program's"
    assert spikes.offsets.tolist() == [0, 2, 2, 3]
    assert spikes.channels.tolist() == [0, 699, 7]
    assert spikes.speaker_names == ("0", "1", "2", "5")  # those of the test split too


def test_statistics(parameters, raw, out):
    download.download(parameters, raw)
    preprocess.preprocess(parameters, raw, "train", *out)
    found = json.loads(out[1].read_text())
    assert found["source"] == "hdf5" and found["split"] == "train"
    assert found["samples"] == 3 and found["spikes"] == 3
    assert found["samples_per_class"] == {"zero": 2, "eins": 1}
    assert found["samples_per_speaker"] == {"0": 2, "1": 1}
    assert found["spikes_per_sample"] == {"mean": 1.0, "sd": pytest.approx(math.sqrt(2 / 3)), "min": 0.0, "max": 2.0}
    assert found["cut_off"] == {"spikes": 1, "fraction": 0.25, "samples": 1}
    assert found["duration_ms"]["max"] == 1250.0 and found["duration_ms"]["min"] == 500.0
    assert found["last_spike_ms"] == 500.0
    assert found["silent_channels"] == 697 and found["samples_without_spikes"] == 1
    assert found["spikes_per_channel_and_sample"]["max"] == pytest.approx(1 / 3)


def test_what_is_odd_is_logged_and_kept(parameters, raw, out, caplog):
    """Here: the same spikes in both splits, and a third of the samples silent."""
    download.download(parameters, raw)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "eventspeech"):
        preprocess.preprocess(parameters, raw, "train", *out)
    warnings = json.loads(out[1].read_text())["warnings"]
    assert "2 of 3 samples are spike for spike in the test split too: it tests what was learned." in warnings
    assert "1 of 3 samples have no spike within the trial." in warnings
    assert [message.removeprefix("preprocess: train: ") for message in caplog.messages] == warnings


def test_milliseconds_for_seconds_are_refused_and_nothing_is_written(tmp_path, parameters, raw, out):
    samples = [(np.linspace(20e3, 900e3, 50), np.arange(50)) for _ in range(4)]
    hdf5.write(tmp_path / "train.h5", store.from_samples(samples, [0, 1, 0, 1], [0, 0, 1, 1], "ab", "01", math.inf))
    download.download(parameters, raw)
    with pytest.raises(DataError, match="these look like milliseconds: divide them by 1000"):
        preprocess.preprocess(parameters, raw, "train", *out)
    assert not out[0].exists() and not out[1].exists()


def test_statistics_of_silence():
    silent = store.from_samples([([], [])], [0], [0], ["a"], ["s"], 1000.0)
    found = preprocess.describe(silent, silent)
    assert found["cut_off"]["fraction"] == 0.0
    assert found["duration_ms"] == {"mean": None, "sd": None, "min": None, "max": None}
    assert found["last_spike_ms"] is None


def test_same_input_gives_the_same_bytes(parameters, raw, out, tmp_path):
    download.download(parameters, raw)
    preprocess.preprocess(parameters, raw, "test", *out)
    before = [path.read_bytes() for path in (*out, raw / "source.json")]
    download.download(parameters, raw)
    preprocess.preprocess(parameters, raw, "test", *out)
    assert [path.read_bytes() for path in (*out, raw / "source.json")] == before


def test_every_store_says_which_split_it_holds(parameters, raw, out):
    download.download(parameters, raw)
    preprocess.preprocess(parameters, raw, "test", *out)
    with pytest.raises(DataError, match="holds the test split"):
        store.load(out[0])
    assert len(store.load_test(out[0])) == 3
    preprocess.preprocess(parameters, raw, "train", *out)
    with pytest.raises(DataError, match="holds the split 'train'"):
        store.load_test(out[0])


def test_a_store_that_does_not_say_it_is_refused(tmp_path):
    store.save(make_store().crop(1000.0), tmp_path / "a.npz", "test")
    arrays = files.read_npz(tmp_path / "a.npz")
    files.write_npz(tmp_path / "a.npz", {name: array for name, array in arrays.items() if name != "split"})
    for load in (store.load, store.load_test):
        with pytest.raises(DataError, match="'split' is missing; run `preprocess` again"):
            load(tmp_path / "a.npz")


def test_the_sources_own_validation_split_comes_marked(parameters, tmp_path, raw, out):
    hdf5.write(tmp_path / "valid.h5", make_store(("0", "7", "8")))
    source = parameters.download.model_dump(mode="json") | {"hdf5_validation": str(tmp_path / "valid.h5")}
    parameters = with_source(source, study={"folds": ["official"]}, validation={"protocol": "official"})
    download.download(parameters, raw)
    preprocess.preprocess(parameters, raw, "train", *out)
    spikes = store.load(out[0])
    assert spikes.validation.tolist() == [False] * 3 + [True] * 3
    assert [spikes.speaker_names[index] for index in spikes.speakers] == ["0", "1", "0", "0", "7", "0"]
    assert files.read_json(out[1])["samples_of_official_validation"] == 3
    learned, held_out = folds.split(parameters, spikes)
    assert (len(learned), len(held_out)) == (3, 3)
    preprocess.preprocess(parameters, raw, "test", *out)
    assert store.load_test(out[0]).validation is None


def test_split_that_the_source_lacks(parameters, raw, out):
    download.download(parameters, raw)
    with pytest.raises(DataError, match=r"source 'hdf5' in .* has no split 'validation'; it has train, test\."):
        preprocess.preprocess(parameters, raw, "validation", *out)
    assert not out[0].exists()


def test_changed_and_missing_files_are_noticed(parameters, raw, out, tmp_path):
    download.download(parameters, raw)
    hdf5.write(tmp_path / "test.h5", make_store(("2", "7", "8")))
    with pytest.raises(DataError, match=r"test\.h5 has changed since `download`"):
        preprocess.preprocess(parameters, raw, "train", *out)
    (tmp_path / "test.h5").unlink()
    with pytest.raises(DataError, match=r"test\.h5 is gone; put it back"):
        preprocess.preprocess(parameters, raw, "train", *out)


@pytest.mark.parametrize("content", ["{", "[]", '{"kind": "nonsense"}', '{"kind": "shd"}', '{"kind": "synthetic"}'])
def test_foreign_raw_folder(parameters, raw, out, content):
    with pytest.raises(DataError, match=r"raw folder .* does not exist; run `eventspeech download` first"):
        preprocess.preprocess(parameters, raw, "train", *out)
    raw.mkdir()
    with pytest.raises(DataError, match=r"has no source\.json, so it was not made by this program"):
        preprocess.preprocess(parameters, raw, "train", *out)
    (raw / "source.json").write_text(content)
    with pytest.raises(DataError, match=r"again\.$"):
        preprocess.preprocess(parameters, raw, "train", *out)


def test_failed_download_leaves_the_old_folder(parameters, raw, tmp_path):
    download.download(parameters, raw)
    before = (raw / "source.json").read_bytes()
    (tmp_path / "test.h5").write_bytes(b"")
    with pytest.raises(DataError, match="is not an HDF5 file"):
        download.download(parameters, raw)
    assert (raw / "source.json").read_bytes() == before


@pytest.fixture
def fake_audio(monkeypatch):
    """Stand in for the sources of audio: what they write and what the encoder is asked for."""
    from eventspeech.data import encoding, recordings_index
    from eventspeech.data.sources import recordings

    asked = []

    def index(_group, out, _params):
        rows = [
            ["a.wav", "zero", "ann", "train", 0, 0.5, 8000, "1"],
            ["b.wav", "zero", "ben", "test", 0, 0.5, 8000, "2"],
        ]
        files.write_csv(out / "recordings.csv", recordings_index.COLUMNS, rows)

    def encode_split(raw, split, cochlea, trial_ms, workers, kept):
        asked.append((raw, split, cochlea, workers))
        return make_store().crop(trial_ms)

    monkeypatch.setattr(recordings, "index", index)
    monkeypatch.setattr(encoding, "encode_split", encode_split)
    return asked


def test_audio_goes_through_the_cochlea_and_is_cropped_afterwards(fake_audio, raw, out, caplog, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    parameters = with_source({"source": "recordings", "recordings": {"folder": "somewhere"}})
    with caplog.at_level(logging.INFO, "eventspeech"):
        download.download(parameters, raw)
    assert "download: recordings, 1 train + 1 test recordings, 1 words, 2 speakers" in caplog.messages[-1]
    assert files.read_json(raw / "source.json")["parameters"]["folder"] == "somewhere"
    preprocess.preprocess(parameters, raw, "test", *out)
    assert fake_audio == [(raw, "test", parameters.cochlea, 3)]
    assert files.read_json(out[1])["cut_off"]["spikes"] == 1
    with pytest.raises(DataError, match="has no split 'validation'; it has train, test"):
        preprocess.preprocess(parameters, raw, "validation", *out)

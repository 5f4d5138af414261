"""The statistics of a split: only possible ones of this very split are read."""

import json
import re

import pytest
from support import fake_results

from eventspeech.data import store
from eventspeech.errors import DataError
from eventspeech.files import write_json
from eventspeech.records import statistics
from eventspeech.stages import preprocess


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spikes")
    fake_results.spikes(folder)
    samples = store.load(folder / "train.npz")
    facts = {"source": "synthetic", "split": "train", **preprocess.describe(samples, samples)}
    write_json(folder / "train.json", facts)
    return folder / "train.json"


def test_statistics_come_back_as_they_were_written(written):
    assert statistics.read(written, "train") == json.loads(written.read_text())


def test_another_splits_are_refused(written):
    with pytest.raises(DataError, match="does not belong here: split is 'train', not 'test'"):
        statistics.read(written, "test")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"samples": 0}, "samples is 0, not a whole number"),
        ({"samples": 7}, "samples is 7, not the 200 samples of its speakers"),
        ({"samples_per_speaker": {"s01": -1}}, "samples_per_speaker.s01 is -1, not a whole number"),
        ({"samples_per_speaker": {"nobody": 200}}, "not a tally of its speakers"),
        ({"trial_ms": "long"}, "trial_ms is 'long', not a finite number"),
        ({"classes": 20}, "classes is 20, not a list of different texts"),
        ({"speakers": ["a", "a"]}, "speakers is ['a', 'a'], not a list of different texts"),
        ({"spikes_per_sample": {"mean": float("nan")}}, "spikes_per_sample.mean is nan, not a finite number"),
        ({"cut_off": {"fraction": 1.7}}, "cut_off.fraction is 1.7, not a finite number from 0 to 1"),
        ({"silent_channels": -1}, "silent_channels is -1, not a finite number"),
    ],
)
def test_statistics_that_cannot_be_are_refused(tmp_path, written, changes, sentence):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(json.loads(written.read_text()) | changes))
    with pytest.raises(DataError, match=rf"train\.json is damaged: .*{re.escape(sentence)}.*; run the stage `preproc"):
        statistics.read(path, "train")

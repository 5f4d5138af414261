"""No file of any reader ends in anything but its content or one sentence: bytes of good files, changed at random.

`FUZZ_EXAMPLES=10000 pytest tests/test_fuzz.py` tries ten thousand of each kind, others every time.
"""

import json
import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import fake_results, tiny, trained
from support.forked_reader import ForkedReader

from eventspeech import files, params, presets
from eventspeech.data import audio, naming, recordings_index, sources, store
from eventspeech.data.sources import hdf5, hdf5_process
from eventspeech.errors import DataError, UserError
from eventspeech.learning.search.journal import Journal
from eventspeech.params.speech import Recordings
from eventspeech.records import examples, history, manifest, measurement, model, tuning
from eventspeech.records.run import read_all

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
some = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SPIKES = tiny.make_store(takes=1, spikes=3, noise=2)


def write_index(path):
    rows = [
        ["a.wav", "eins", "ann", "train", 0, 0.5, 16000, "0" * 64],
        ["b.wav", "zwei", "ben", "test", 1, 0.5, 8000, "1" * 64],
    ]
    files.write_csv(path, recordings_index.COLUMNS, rows)


def write_history(path):
    history.write(path, [history.Row(epoch, 2.0, 0.5, 2.1, 0.4, 3.0, 1e-3, 0.0, 1.2, 1.5, 0.5) for epoch in (1, 2)])


STUDY = fake_results.params(seeds=[0], losses=["exponential"])
RUN = ("exponential", "0", "held_out")
JOURNAL = [
    {"op_code": 0, "worker_id": "a-1", "study_name": "tune", "directions": [2]},
    {"op_code": 4, "worker_id": "a-1", "study_id": 0, "datetime_start": "2026-11-25T12:00:00.000000"},
    {"op_code": 5, "worker_id": "a-1", "trial_id": 0, "param_name": "x", "param_value_internal": 0.5},
    {"op_code": 6, "worker_id": "a-1", "trial_id": 0, "state": 1, "values": [0.7]},
]


def write_params(path):
    path.write_text(presets.text("default"), encoding="utf-8")


def write_manifest(path):
    stages = {stage: {f"results/{stage}/a": "0" * 64} for stage in manifest.STAGES}
    manifest.write(path, manifest.Manifest("0.2.0", {"train.epochs": 3, "study.losses": ["a"]}, stages))


def write_journal(path):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in JOURNAL), encoding="utf-8")


def write_listed(path):
    (path.parent / "a.wav").touch()
    path.write_text("path,label,speaker\na.wav,eins,ann\n", encoding="utf-8")


def read_listed(path):
    return naming.from_manifest(Recordings(folder=str(path.parent), manifest=str(path)), path.parent)


def write_sound(path):
    audio.soundfile.write(path, np.sin(np.arange(800) / 3), 8000)


def write_run(path):
    """Write one run and its test; the file that is changed stands for one of them."""
    root = path.parent / "results"
    trained_in, tested_in = root.joinpath("train", *RUN), root.joinpath("evaluate", *RUN)
    fake_results.training(trained_in, "exponential", 0, fake_results.curve("exponential", 0, 3))
    fake_results.evaluation(tested_in, {"kind": "spiking", "loss": "exponential", "seed": 0}, 0.8, 0)
    path.symlink_to({"summary.json": trained_in}.get(path.name, tested_in) / path.name)


def read_run(path):
    root = path.parent / "results"
    return [vars(run) for run in read_all(STUDY, root / "train", root / "evaluate")]


def write_trials(path):
    fake_results.searched(path.parent, "exponential")


def write_measurement(path):
    fake_results.profile(path.parent, STUDY)
    path.symlink_to(path.parent / "profile" / "cpu" / "1.json")


KINDS = {
    "model": (trained.make_model, lambda path: model.load(path)._asdict()),
    "params": (write_params, params.load),
    "manifest": (write_manifest, manifest.read),
    "journal": (write_journal, lambda path: list(Journal(path).read_logs(0))),
    "listed": (write_listed, read_listed),
    "wav": (write_sound, audio.read),
    "flac": (write_sound, audio.read),
    "summary": (write_run, read_run),
    "metrics": (write_run, read_run),
    "confusion": (write_run, read_run),
    "examples": (lambda path: fake_results.examples(path, 0), examples.read),
    "trials": (write_trials, lambda path: tuning.read(path.parent, "exponential")),
    "measurement": (write_measurement, lambda path: measurement.read(path, "cpu", 1)),
    "npz": (
        lambda path: files.write_npz(path, {"a": np.arange(30), "b": np.array(["x", "yz"])}),
        lambda path: {name: array.tolist() for name, array in files.read_npz(path).items()},
    ),
    "store": (lambda path: store.save(SPIKES, path, "train"), store.load),
    "json": (lambda path: files.write_json(path, {"a": [1, 2.5, None], "b": {"c": "d"}}), files.read_json),
    "index": (write_index, lambda path: recordings_index.read_index(path.parent)),
    "history": (write_history, history.read),
    "hdf5": (lambda path: hdf5.write(path, SPIKES), lambda path: hdf5.read({"train": path}, "train")),
}
NAMES = {
    "index": "recordings.csv", "wav": "file.wav", "flac": "file.flac", "summary": "summary.json",
    "metrics": "metrics.json", "confusion": "confusion.csv", "trials": "trials.csv",
}  # fmt: skip
CHECKSUMMED = ("npz", "store", "model", "examples")
"""Kinds in which no change of content goes unnoticed."""


@st.composite
def changes(draw, good: bytes) -> bytes:
    """Change bytes of ``good``: overwrite, cut out, insert, repeat or end early, some of it at once."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.sampled_from([1, 1, 2, 4, 8, 100]))
        kind = draw(st.sampled_from(["overwrite", "overwrite", "overwrite", "fill", "cut", "insert", "repeat", "end"]))
        if kind == "overwrite":
            content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "fill":
            content[place : place + length] = draw(st.sampled_from([b"\0", b"\xff"])) * length
        elif kind == "cut":
            del content[place : place + length]
        elif kind == "insert":
            content[place:place] = draw(st.binary(max_size=8))
        elif kind == "repeat":
            content[place:place] = content[place : place + length]
        else:
            del content[place:]
    return bytes(content)


@pytest.fixture
def forked(monkeypatch):
    monkeypatch.setattr(hdf5_process, "start", ForkedReader)
    monkeypatch.setattr(hdf5_process, "CPU_S", 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def plain(content):
    return content.__dict__ if isinstance(content, store.SpikeStore) else content


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_end_in_content_or_in_one_sentence(tmp_path, forked, kind):
    write, read = KINDS[kind]
    path = tmp_path / NAMES.get(kind, "file")
    write(path)
    good, content = path.read_bytes(), plain(read(path))

    @some
    @given(changes(good))
    def check(changed):
        path.write_bytes(changed)
        try:
            found = plain(read(path))
        except UserError as error:
            assert "\n" not in str(error)
        else:
            if kind in CHECKSUMMED:
                np.testing.assert_equal(found, content)

    check()


@some
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_json_in_place_of_an_object(tmp_path, content):
    (tmp_path / "source.json").write_text(json.dumps({"kind": "hdf5", "files": content}))
    description = sources.read_description(tmp_path)
    with pytest.raises(DataError):
        hdf5.read_listed(tmp_path, description, "train", None, tmp_path)

"""The examples of a test: only what a network can have done is read."""

import numpy as np
import pytest
from support import fake_results

from eventspeech.errors import DataError
from eventspeech.files import read_npz, write_npz
from eventspeech.records import examples


@pytest.fixture
def path(tmp_path):
    fake_results.examples(tmp_path / "examples.npz", 0)
    return tmp_path / "examples.npz"


def test_examples_come_back_as_they_were_written(path):
    found, kept = examples.read(path), read_npz(path)
    assert set(found) == set(examples.ARRAYS | examples.SOUND)
    assert all(found[name].tobytes() == array.tobytes() for name, array in kept.items())


def test_a_model_without_spikes_has_none(tmp_path):
    examples.write(tmp_path / "examples.npz", {})
    assert read_npz(tmp_path / "examples.npz") == {}
    with pytest.raises(DataError, match="does not hold the arrays of examples"):
        examples.read(tmp_path / "examples.npz")


def first(value):
    def change(array):
        array.ravel()[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("input_channels", first(-1)),
        ("input_channels", first(700)),
        ("input_channels", lambda array: array[1:]),
        ("hidden_units", first(-1)),
        ("input_times_ms", first(-1.0)),
        ("input_times_ms", first(np.nan)),
        ("hidden_times_ms", first(1001.0)),
        ("input_offsets", first(1)),
        ("hidden_offsets", lambda array: array[::-1]),
        ("hidden_offsets", lambda array: array[:2]),
        ("output_voltage", first(np.inf)),
        ("output_voltage", lambda array: array[:, :, 1:]),
        ("logits", lambda array: array[:1]),
        ("labels", first(20)),
        ("predictions", first(-1)),
        ("class_names", lambda array: array[:1]),
        ("speakers", lambda array: array[:1]),
        ("step_ms", first(0.0)),
        ("trial_ms", lambda array: np.array([1000.0])),
    ],
)
def test_an_array_that_cannot_be_is_refused(path, name, change):
    arrays = read_npz(path)
    write_npz(path, arrays | {name: change(arrays[name].copy())})
    with pytest.raises(DataError, match=r"examples\.npz is damaged: .*; run the stage `evaluate` again\.$"):
        examples.read(path)


@pytest.mark.parametrize("name", examples.ARRAYS)
def test_a_missing_array_or_one_of_another_kind_is_refused(path, name):
    arrays = read_npz(path)
    kept = arrays.pop(name)
    for damaged in (arrays, arrays | {name: kept.astype(complex) if kept.dtype.kind != "U" else np.zeros(20)}):
        write_npz(path, damaged)
        with pytest.raises(DataError, match="does not hold the arrays of examples"):
            examples.read(path)

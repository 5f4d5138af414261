"""Files in SHD's layout: what is read, and one clear sentence for each kind of bad input."""

import math
import os
import time
import warnings

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.forked_reader import ForkedReader

from eventspeech.data.sources import hdf5, hdf5_process
from eventspeech.data.store import from_samples
from eventspeech.errors import DataError

SAMPLES = [([0.001, 0.25, 1.25], [0, 699, 5]), ([], []), ([0.5], [7])]


@pytest.fixture(autouse=True)
def forked():
    """Read in forks, which spend no time on imports; `test_hdf5_process` reads as the program does."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: this one only reads a file
        patch.setattr(hdf5_process, "start", ForkedReader)
        yield


def make(path, samples=SAMPLES, **datasets):
    """Write a raw file; a dataset given as None is left out."""
    content = {
        "spikes/times": [times for times, _ in samples],
        "spikes/units": [units for _, units in samples],
        "labels": np.arange(len(samples), dtype=np.uint16) % 2,
        "extra/speaker": np.array([3, 10, 3][: len(samples)], dtype=np.uint16),
        "extra/keys": ["one", "zwei"],
    }
    content |= datasets
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values is None:
                continue
            if name.startswith("spikes") and isinstance(values, list):
                kind = np.float16 if name == "spikes/times" else np.int32
                data = file.create_dataset(name, len(values), h5py.vlen_dtype(kind))
                for index, row in enumerate(values):
                    data[index] = np.array(row, kind)
            else:
                file[name] = values
    return path


def read(path, trial_ms=math.inf):
    return hdf5.read({"train": path}, "train", trial_ms)


def test_reads_shds_layout(tmp_path):
    spikes = read(make(tmp_path / "a.h5"), 1000.0)
    assert spikes.offsets.tolist() == [0, 2, 2, 3]  # the spike at 1.25 s is cut off
    np.testing.assert_allclose(spikes.times_ms, np.array([0.001, 0.25, 0.5], np.float16).astype(float) * 1000)
    assert spikes.channels.tolist() == [0, 699, 7]
    assert spikes.labels.tolist() == [0, 1, 0]
    assert spikes.class_names == ("one", "zwei")
    assert spikes.speaker_names == ("3", "10")  # numbers sort as numbers
    assert spikes.speakers.tolist() == [0, 1, 0]


def test_times_are_scaled_beyond_float16s_range(tmp_path):
    path = make(tmp_path / "a.h5", [([100.0], [1]), ([1.0], [2])])
    assert read(path).times_ms.tolist() == [100_000.0, 1000.0]


def test_unsorted_times_are_sorted(tmp_path):
    spikes = read(make(tmp_path / "a.h5", [([0.75, 0.25, 0.25], [1, 3, 2])]))
    assert spikes.times_ms.tolist() == [250.0, 250.0, 750.0]
    assert spikes.channels.tolist() == [2, 3, 1]


def test_names_are_the_union_over_all_files(tmp_path):
    files = {
        "train": make(tmp_path / "train.h5"),
        "test": make(tmp_path / "test.h5", **{"extra/speaker": [4, 4, 3], "extra/keys": ["zwei", "drei"]}),
    }
    train, test = (hdf5.read(files, split) for split in files)
    assert train.speaker_names == test.speaker_names == ("3", "4", "10")
    assert train.class_names == test.class_names == ("one", "zwei", "drei")
    assert test.labels.tolist() == [1, 2, 1]
    assert test.speakers.tolist() == [1, 1, 0]


def test_without_keys_classes_are_numbers(tmp_path):
    files = {
        "train": make(tmp_path / "a.h5", **{"extra/keys": None}),
        "test": make(tmp_path / "b.h5", **{"extra/keys": None, "labels": [3, 0, 0]}),
    }
    assert hdf5.read(files, "train").class_names == ("0", "1", "2", "3")
    files["test"] = make(tmp_path / "b.h5")
    with pytest.raises(DataError, match=r"a\.h5 has no extra/keys .* but .*b\.h5 has; copy the dataset"):
        hdf5.read(files, "train")


def test_names_as_bytes_of_either_encoding(tmp_path):
    keys = np.array(["fünf".encode(), "zwölf".encode("latin-1")], dtype="S8")
    assert read(make(tmp_path / "a.h5", **{"extra/keys": keys})).class_names == ("fünf", "zwölf")


def test_speakers_may_be_texts(tmp_path):
    spikes = read(make(tmp_path / "a.h5", **{"extra/speaker": ["jackson", "ann", "jackson"]}))
    assert spikes.speaker_names == ("ann", "jackson")


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_a_foreign_order_of_bytes_is_read_right(tmp_path, kind):
    """As older machines write; h5py hands out variable-length rows with the bytes as they lie in the file."""
    times, units = [0.25, 0.5, 0.75], [1, 258, 699]
    with h5py.File(
        make(tmp_path / "a.h5", **{"spikes/times": None, "spikes/units": None, "labels": None}), "a"
    ) as file:
        for name, values, element in (("spikes/times", times, f">{kind}"), ("spikes/units", units, ">u2")):
            data = file.create_dataset(name, 3, h5py.vlen_dtype(np.dtype(element)))
            data[0] = np.array(values, element)
            data[2] = np.array(values[1:], element)
        file["labels"] = np.array([1, 0, 1], ">i4")
    assert np.array(times, f">{kind}").tobytes() in (tmp_path / "a.h5").read_bytes()
    spikes = read(tmp_path / "a.h5")
    assert spikes.times_ms.tolist() == [250.0, 500.0, 750.0, 500.0, 750.0]
    assert spikes.channels.tolist() == [1, 258, 699, 258, 699]
    assert spikes.labels.tolist() == [1, 0, 1]


def test_links_inside_the_file_are_followed(tmp_path):
    with h5py.File(make(tmp_path / "a.h5"), "a") as file:
        file.move("labels", "kept")
        file["labels"] = h5py.SoftLink("/extra/alias")
        file["extra/alias"] = h5py.SoftLink("/kept")
    assert read(tmp_path / "a.h5").labels.tolist() == [0, 1, 0]


def test_names_are_normalised_to_one_spelling(tmp_path):
    spikes = read(
        make(tmp_path / "a.h5", **{"extra/keys": ["fu\u0308nf", "zwei"], "extra/speaker": ["J\u00f6", "Jo\u0308", "a"]})
    )
    assert spikes.class_names == ("f\u00fcnf", "zwei")
    assert spikes.speaker_names == ("J\u00f6", "a")
    assert spikes.speakers.tolist() == [0, 0, 1]


BAD = {
    "no times": ({"spikes/times": None}, "has no dataset spikes/times; it is not in SHD's layout"),
    "no units": ({"spikes/units": None}, "has no dataset spikes/units"),
    "no labels": ({"labels": None}, "has no dataset labels"),
    "no speakers": ({"extra/speaker": None}, r"has no dataset extra/speaker; add it \(the speaker of each sample\)"),
    "flat times": ({"spikes/times": np.zeros((3, 2), np.float16)}, "spikes/times has 2 dimensions"),
    "text labels": ({"labels": ["a", "b", "c"]}, "labels has 1 dimensions and the type text; make it one row"),
    "label of 2^31 without keys": (
        {"labels": [0, 1, 2**31], "extra/keys": None},
        "sample 2 has the label 2147483648, and without extra/keys every",
    ),
    "label of 2^63": (
        {"labels": np.array([0, 0, 2**63], np.uint64)},
        "sample 2 has the label 9223372036854775808",
    ),
    "a speaker's name too long": ({"extra/speaker": ["a", "b", "1" * 5000]}, r"extra/speaker\[2\] has 5000 characters"),
    "fixed texts too long": ({"extra/keys": np.array([b"a", b"b" * 3000])}, "extra/keys holds texts of 3000 bytes"),
    "a speaker without a name": ({"extra/speaker": ["a", "b", " "]}, "extra/speaker holds ' ', which is empty"),
    "a name with a new line": ({"extra/keys": ["a\nb", "c"]}, r"extra/keys holds 'a\\nb', which holds a control char"),
    "compound labels": ({"labels": np.zeros(3, [("a", "i4")])}, "labels has 1 dimensions and the type"),
    "complex labels": ({"labels": np.zeros(3, complex)}, "labels has 1 dimensions and the type complex128"),
    "a single label": ({"labels": 3}, "labels has 0 dimensions"),
    "no labels at all": ({"labels": h5py.Empty("i4")}, "labels has no dimensions"),
    "a group": ({"labels/x": [1, 2, 3], "labels": None}, "has no dataset labels"),
    "texts as times": (
        {"spikes/times": np.array(["a", "b", "c"], object)},
        "spikes/times has 1 dim.* the type text; make",
    ),
    "whole numbers as times": (
        {"spikes/times": np.zeros(3, int)},
        "the type int64; make it one row of variable-length real numbers",
    ),
    "few labels": ({"labels": [0, 1]}, r"differ in their number of samples \(spikes/times 3, .*labels 2"),
    "few speakers": ({"extra/speaker": [0, 1]}, "differ in their number of samples"),
    "few rows": ({"spikes/times": [[0.5], [0.5]]}, "differ in their number of samples"),
    "label too high": ({"labels": [0, 2, 0]}, r"sample 1 has the label 2, but extra/keys names only 2"),
    "label negative": ({"labels": [0, 0, -1]}, "sample 2 has the label -1; labels count from 0"),
    "a class twice": ({"extra/keys": ["one", "one"]}, "names a class twice"),
    "no samples": (
        {"spikes/times": [], "spikes/units": [], "labels": np.zeros(0, int), "extra/speaker": np.zeros(0, int)},
        "holds no sample",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_datasets(tmp_path, name):
    datasets, sentence = BAD[name]
    path = make(tmp_path / "bad.h5", **datasets)
    with pytest.raises(DataError, match=sentence) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "sample, sentence",
    [
        (([0.5], [700]), r"Sample 1 has channel 700, outside 0\.\.699.* count from 1, subtract 1"),
        (([0.5], [-1]), "Sample 1 has channel -1, outside"),
        (([-0.5], [1]), "Sample 1 has a spike time that is negative, infinite or NaN"),
        (([math.nan], [1]), "negative, infinite or NaN"),
        (([math.inf], [1]), "negative, infinite or NaN"),
        (([0.5, 0.6], [1]), "Sample 1 has 2 spike times but 1 channels"),
    ],
)
def test_bad_samples(tmp_path, sample, sentence):
    path = make(tmp_path / "bad.h5", [SAMPLES[0], sample, SAMPLES[1]])
    with pytest.raises(DataError, match=sentence) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_missing_foreign_and_unreadable_files(tmp_path):
    with pytest.raises(DataError, match=r"none\.h5 does not exist"):
        read(tmp_path / "none.h5")
    with pytest.raises(DataError, match="is not a file"):
        read(tmp_path)
    (tmp_path / "text.h5").write_text("labels")
    with pytest.raises(DataError, match="is not an HDF5 file"):
        read(tmp_path / "text.h5")
    (tmp_path / "empty.h5").touch()
    with pytest.raises(DataError, match="is not an HDF5 file"):
        read(tmp_path / "empty.h5")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission(tmp_path):
    path = make(tmp_path / "a.h5")
    path.chmod(0)
    with pytest.raises(DataError, match="may not be read"):
        read(path)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.99])
def test_truncated_file(tmp_path, fraction):
    path = make(tmp_path / "a.h5", [([0.5] * 1000, [1] * 1000)] * 3)
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(DataError, match=r"is (truncated|damaged) .*; fetch or make it again\."):
        read(path)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.floats(0, 2, width=16), st.integers(0, 699)), max_size=12), min_size=1, max_size=5)
)
def test_what_is_written_is_read(tmp_path, rows):
    samples = [(np.array([t for t, _ in row]) * 1000.0, np.array([c for _, c in row], int)) for row in rows]
    numbers = np.arange(len(rows))
    names = [f"k{number}" for number in numbers]
    spikes = from_samples(samples, numbers, numbers, names, [str(number) for number in numbers], math.inf)
    hdf5.write(tmp_path / "a.h5", spikes)
    again = read(tmp_path / "a.h5")
    for field in ("offsets", "channels", "labels", "speakers"):
        np.testing.assert_array_equal(getattr(again, field), getattr(spikes, field))
    np.testing.assert_allclose(again.times_ms, spikes.times_ms, rtol=1e-6)
    assert (again.class_names, again.speaker_names) == (spikes.class_names, spikes.speaker_names)


def test_writer_keeps_names_of_speakers_and_the_layouts_types(tmp_path):
    spikes = from_samples([(np.array([1.0]), np.array([5]))], [0], [0], ["a"], ["ann"], 1000.0)
    hdf5.write(tmp_path / "a.h5", spikes)
    assert read(tmp_path / "a.h5").speaker_names == ("ann",)
    with h5py.File(tmp_path / "a.h5") as file:
        assert h5py.check_vlen_dtype(file["spikes/times"].dtype) == np.float16
        assert h5py.check_vlen_dtype(file["spikes/units"].dtype) == np.uint16


def test_speed(tmp_path):
    """8 million events in less than 5 s (0.5 s measured): all of SHD's training split in less than a minute."""
    rng = np.random.default_rng(0)
    samples = [(np.sort(rng.random(8000) * 900), rng.integers(0, 700, 8000)) for _ in range(1000)]
    zeros = np.zeros(1000, int)
    hdf5.write(tmp_path / "a.h5", from_samples(samples, zeros, zeros, ["a"], ["0"], 1000.0))
    start = time.process_time()
    assert len(read(tmp_path / "a.h5").times_ms) == 8_000_000
    assert time.process_time() - start < 5

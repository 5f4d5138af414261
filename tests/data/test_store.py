"""The spike store: order, crop, selection, round trip, refusals."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventspeech import files
from eventspeech.data import store
from eventspeech.errors import DataError
from eventspeech.params import Cochlea

TRIAL_MS = 100.0
events = st.tuples(st.floats(0, 150, width=32), st.integers(0, 699))
some = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
rows = st.lists(st.lists(events, max_size=15), min_size=1, max_size=8)


def build(samples, trial_ms=TRIAL_MS):
    pairs = [(np.array([t for t, _ in row], float), np.array([c for _, c in row], int)) for row in samples]
    numbers = np.arange(len(samples))
    names = [str(number) for number in numbers]
    return store.from_samples(pairs, numbers, numbers[::-1], names, names, trial_ms)


def rows_of(spikes):
    samples = (spikes.sample(index) for index in range(len(spikes)))
    return [list(zip(times.tolist(), channels.tolist(), strict=True)) for times, channels in samples]


def assert_equal(left, right):
    for field in dataclasses.fields(left):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name))


@some
@given(rows)
def test_samples_are_sorted_and_cropped(samples):
    expected = [sorted((t, c) for t, c in row if t < TRIAL_MS) for row in samples]
    spikes = build(samples)
    assert rows_of(spikes) == expected
    store.check(spikes, "here")
    assert (spikes.times_ms.dtype, spikes.channels.dtype, spikes.offsets.dtype) == (np.float32, np.uint16, np.int64)


@some
@given(rows, st.integers(1, 4))
def test_blocks_do_not_matter(samples, block):
    size, store.BLOCK_SAMPLES = store.BLOCK_SAMPLES, block
    try:
        blocked = build(samples)
    finally:
        store.BLOCK_SAMPLES = size
    assert_equal(blocked, build(samples))


@some
@given(rows)
def test_crop_after_is_crop_before(samples):
    assert_equal(build(samples, math.inf).crop(TRIAL_MS), build(samples))


@some
@given(rows, st.data())
def test_select_by_number_and_by_mask(samples, data):
    spikes = build(samples)
    chosen = data.draw(st.lists(st.integers(0, len(samples) - 1), max_size=10))
    taken = spikes.select(np.array(chosen, int))
    assert rows_of(taken) == [rows_of(spikes)[index] for index in chosen]
    assert taken.labels.tolist() == [spikes.labels[index] for index in chosen]
    assert taken.speakers.tolist() == [spikes.speakers[index] for index in chosen]

    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(samples), max_size=len(samples))))
    assert_equal(spikes.select(mask), spikes.select(np.flatnonzero(mask)))


@some
@given(rows)
def test_round_trip(tmp_path, samples):
    spikes = build(samples)
    store.save(spikes, tmp_path / "a.npz", "train")
    assert_equal(store.load(tmp_path / "a.npz"), spikes)


def test_a_time_that_rounds_to_the_end_is_not_before_the_end():
    assert rows_of(build([[(np.nextafter(TRIAL_MS, 0), 3), (99.9, 4)]])) == [[(pytest.approx(99.9), 4)]]


def test_negative_zero_sorts_as_zero():
    assert rows_of(build([[(0.5, 1), (-0.0, 2)]])) == [[(0.0, 2), (0.5, 1)]]


def test_samples_may_come_from_a_generator():
    pairs = ((np.array([float(index)]), np.array([index])) for index in range(3))
    spikes = store.from_samples(pairs, [0, 0, 0], [0, 0, 0], ["a"], ["s"], 1000.0)
    assert spikes.channels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "times, channels, sentence",
    [
        ([1.0, 2.0], [0], "Sample 1 has 2 spike times but 1 channels"),
        ([-1.0], [0], "Sample 1 has a spike time that is negative, infinite or NaN; remove or mend"),
        ([math.nan], [0], "negative, infinite or NaN"),
        ([math.inf], [0], "negative, infinite or NaN"),
        ([1.0], [700], r"Sample 1 has channel 700, outside 0\.\.699"),
        ([1.0], [-1], r"Sample 1 has channel -1, outside 0\.\.699"),
    ],
)
def test_impossible_events(times, channels, sentence):
    pairs = [(np.array([1.0]), np.array([0])), (np.array(times), np.array(channels))]
    with pytest.raises(DataError, match=sentence):
        store.from_samples(pairs, [0, 0], [0, 0], ["a"], ["s"], TRIAL_MS)


def test_no_sample_at_all():
    with pytest.raises(DataError, match="it holds no sample"):
        store.from_samples([], [], [], ["a"], ["s"], TRIAL_MS)


DAMAGE = {
    "labels, speakers and offsets differ in length": {"labels": np.zeros(3, int)},
    "times and channels differ in length": {"channels": np.zeros(1, np.uint16)},
    "a label is outside the list of classes": {"labels": np.array([0, 2])},
    "a speaker is outside the list of speakers": {"speakers": np.array([-1, 0])},
    "its offsets do not fit its events": {"offsets": np.array([0, 2, 9])},
    "its offsets do not fit its events ": {"offsets": np.array([0, 3, 2])},
    "its offsets do not fit its events  ": {"offsets": np.array([0, -(2**63), 3])},
    "its offsets do not fit its events   ": {"offsets": np.array([1, 2, 3])},
    r"a channel is outside 0\.\.699": {"channels": np.array([1, 700, 2], np.uint16)},
    "a time is outside the trial": {"times_ms": np.array([1.0, 2.0, 100.0], np.float32)},
    "a time is outside the trial ": {"times_ms": np.array([1.0, -2.0, 3.0], np.float32)},
    "a time is outside the trial  ": {"times_ms": np.array([1.0, math.nan, 3.0], np.float32)},
    "the times of a sample are not in order": {"times_ms": np.array([2.0, 1.0, 3.0], np.float32)},
    "its trial lasts nan ms": {"trial_ms": math.nan},
    "its trial lasts inf ms": {"trial_ms": math.inf},
    "its trial lasts 0 ms": {"trial_ms": 0.0},
    "samples and marks of validation differ in length": {"validation": np.zeros(3, bool)},
    "it has no class or more than 10000": {"class_names": ()},
    "it has no class or more than 10000 ": {"class_names": tuple(map(str, range(10_001)))},
    "a class is listed twice": {"class_names": ("a", "a")},
    "a speaker is listed twice": {"speaker_names": ("a", "a")},
    "the name of a class is not in Unicode's normal form": {"class_names": ("fu\u0308nf", "a")},
    "the name of a speaker, '', is empty": {"speaker_names": ("", "a")},
    r"the name of a class, 'a\\nb', holds a control character": {"class_names": ("a\nb", "a")},
    r"the name of a class, 'x+', has 201 characters .at most 200.": {"class_names": ("x" * 201, "a")},
}


def test_times_begin_anew_with_each_sample(tmp_path):
    """In order within a sample and across the blocks that are checked at once."""
    size, store.BLOCK_SAMPLES = store.BLOCK_SAMPLES, 2
    try:
        spikes = build([[(5.0, 1), (6.0, 2)], [], [(3.0, 3)], [(1.0, 0), (1.0, 1)], [(0.5, 3)]])
        store.save(spikes, tmp_path / "a.npz", "train")
        assert_equal(store.load(tmp_path / "a.npz"), spikes)
        for first in range(len(spikes.times_ms) - 1):
            times = spikes.times_ms.copy()
            times[first : first + 2] = 9.0, 8.0
            inside = first + 1 not in spikes.offsets
            store.save(dataclasses.replace(spikes, times_ms=times), tmp_path / "a.npz", "train")
            if inside:
                with pytest.raises(DataError, match="not in order"):
                    store.load(tmp_path / "a.npz")
    finally:
        store.BLOCK_SAMPLES = size


def saved(path, **arrays):
    store.save(build([[(1.0, 1), (2.0, 2)], [(3.0, 3)]]), path, "train")
    files.write_npz(path, files.read_npz(path) | arrays)
    return path


FOREIGN = {
    "channels": np.array([-1, 1, 2]),
    "times_ms": np.array([1.0, 2.0, 3.0]),
    "offsets": np.array([0.0, 2.0, 3.0]),
    "labels": np.array([[0, 1]]),
    "speakers": np.array([0, 1], np.uint64),
    "class_names": np.array([0, 1]),
    "speaker_names": np.array([b"a", b"b"]),
    "trial_ms": np.array([100.0]),
    "split": np.array(0),
    "validation": np.zeros(2),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_type_that_this_program_does_not_write(tmp_path, name):
    path = saved(tmp_path / "a.npz", **{name: FOREIGN[name]})
    with pytest.raises(DataError, match=rf"a\.npz is not a spike store: '{name}' has . dimensions of .*; run `preproc"):
        store.load(path)


@pytest.mark.parametrize("split", ["Test", "test ", "", "tra\x00in"])
def test_a_split_that_there_is_not(tmp_path, split):
    path = saved(tmp_path / "a.npz", split=np.str_(split))
    for load in (store.load, store.load_test):
        with pytest.raises(DataError, match=r"there is no split .*; run `preprocess` again"):
            load(path)


@pytest.mark.parametrize("sentence", DAMAGE)
def test_inconsistent_store(tmp_path, sentence):
    spikes = dataclasses.replace(build([[(1.0, 1), (2.0, 2)], [(3.0, 3)]]), **DAMAGE[sentence])
    store.save(spikes, tmp_path / "a.npz", "train")
    with pytest.raises(DataError, match=rf"a\.npz is not usable: {sentence.strip()}; run "):
        store.load(tmp_path / "a.npz")


def test_other_npz_is_no_store(tmp_path):
    np.savez(tmp_path / "a.npz", x=1)
    with pytest.raises(DataError, match="is not a spike store: 'offsets' is missing; run `preprocess` again"):
        store.load(tmp_path / "a.npz")


def test_a_store_says_what_made_it(tmp_path):
    origin = store.Origin("recordings", Cochlea(seed=5))
    spikes = dataclasses.replace(build([[(1.0, 1)], [(3.0, 3)]]), origin=origin)
    store.save(spikes, tmp_path / "a.npz", "train")
    assert store.load(tmp_path / "a.npz").origin == origin
    later = store.with_validation(spikes.crop(2.0).select([1]), spikes)
    assert later.origin == origin
    content = {name: array for name, array in files.read_npz(tmp_path / "a.npz").items() if name != "origin"}
    files.write_npz(tmp_path / "a.npz", content)
    assert store.load(tmp_path / "a.npz").origin is None, "as those of versions up to 0.2"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"source": "shd"}', '{"source": "shd", "cochlea": {"fibres": 0}}', "[" * 9999]
)
def test_an_origin_that_is_none_is_refused(tmp_path, text):
    path = saved(tmp_path / "a.npz", origin=np.array(text))
    with pytest.raises(DataError, match=r"a\.npz is not usable: its origin is unreadable .*; run `preprocess` again"):
        store.load(path)


def test_speakers_by_name():
    spikes = build([[], [], []])
    assert spikes.speakers_named(["2", "0"]).tolist() == [True, False, True]
    with pytest.raises(DataError, match="no speaker '9' in this split; choose from 0, 1, 2"):
        spikes.speakers_named(["9"])
    with pytest.raises(DataError, match="no speaker '2' in this split; choose from 0, 1 "):
        spikes.select(np.array([1, 2])).speakers_named(["2"])

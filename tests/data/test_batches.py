"""Binning, selecting and shifting."""

import numpy as np
import pytest

from eventspeech.data import batches, store


def make(samples, trial_ms=10.0):
    return store.from_samples(
        [(np.array(t, float), np.array(c)) for t, c in samples],
        np.zeros(len(samples), int), np.zeros(len(samples), int), ["a"], ["s"], trial_ms,
    )  # fmt: skip


def test_a_channel_counts_once_a_step():
    batch = batches.on_grid(make([([0.1, 0.9, 1.0, 0.5], [3, 3, 3, 4]), ([], []), ([9.99], [699])]), 1.0, 10)
    assert batch.offsets.tolist() == [0, 3, 3, 4]
    assert batch.steps.tolist() == [0, 0, 1, 9]
    assert batch.channels.tolist() == [3, 4, 3, 699]


def test_take_keeps_order_and_repeats():
    batch = batches.on_grid(make([([1], [1]), ([2, 3], [2, 3]), ([], [])]), 1.0, 10)
    taken = batches.take(batch, np.array([1, 2, 1, 0]))
    assert taken.offsets.tolist() == [0, 2, 2, 4, 5]
    assert taken.channels.tolist() == [2, 3, 2, 3, 1]


def test_shift_moves_whole_samples_and_drops_what_leaves():
    batch = batches.on_grid(make([([1, 2], [0, 699]), ([3], [5])]), 1.0, 10)
    shifted = batches.take(batch, np.arange(2), np.array([1, -2]))
    assert shifted.offsets.tolist() == [0, 1, 2]
    assert shifted.channels.tolist() == [1, 3]
    assert batch.channels.tolist() == [0, 699, 5]


def test_no_shift_changes_nothing():
    batch = batches.on_grid(make([([1, 2], [0, 699]), ([3], [5])]), 1.0, 10)
    for before, after in zip(batch, batches.take(batch, np.arange(2), np.zeros(2, int)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_batches_made_ahead_are_the_same_and_an_error_is_not_lost():
    made = []

    def presented():
        for size in (3, 1, 2):
            made.append(size)
            yield batches.Batch(np.zeros(size + 1, np.int64), *np.zeros((2, 0), np.int32), np.zeros(size, np.int64))
        raise OSError("no more")

    found = batches.ahead(presented())
    assert [len(next(found)) for _ in range(3)] == made == [3, 1, 2]
    with pytest.raises(OSError, match="no more"):
        next(found)

"""Splits that are right in form and cannot be speech, or hardly: each told with its numbers."""

import dataclasses

import numpy as np
import pytest

from eventspeech.data import plausibility
from eventspeech.data.plausibility import require_plausible
from eventspeech.data.store import from_samples
from eventspeech.errors import DataError

TRIAL_MS = 1000.0
SAMPLES = 24


def make(times_ms=None, channels=None, labels=None, speakers=None, classes="abc", empty=0, samples=SAMPLES):
    """Draw samples of 50 spikes between 20 and 900 ms over all channels."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(samples):
        size = 0 if index < empty else 50
        times = (times_ms or (lambda drawn: drawn))(rng.uniform(20, 900, size))
        rows.append((times, (channels or (lambda drawn: drawn))(rng.integers(0, 700, size))))
    numbers = np.arange(samples)
    labels = numbers % len(classes) if labels is None else labels
    return from_samples(rows, labels, numbers // 3 % 4 if speakers is None else speakers, classes, "0123", np.inf)


def said(store, split="train", in_seconds=True):
    return require_plausible(store, store.crop(TRIAL_MS), split, in_seconds)


def test_speech_is_nothing_to_speak_of():
    assert said(make()) == []


@pytest.mark.parametrize(
    ("factor", "unit"),
    [
        (1e3, "these look like milliseconds: divide them by 1000"),
        (1e6, "these look like microseconds: divide them by 1000000"),
        (1e9, "these look like nanoseconds: divide them by 1000000000"),
        (16_000, "these look like samples of a recording: divide them by its sampling rate"),
        (44_100, "these look like samples of a recording"),
        (5e7, "are times in seconds"),
    ],
)
def test_another_unit_of_time_is_refused(factor, unit):
    with pytest.raises(DataError, match=rf"100 % of the 1200 spikes of the test split lie beyond 1000 ms .*{unit}"):
        said(make(lambda drawn: drawn * factor), "test")


def test_recordings_that_are_no_words_are_refused_without_a_word_on_units():
    with pytest.raises(DataError, match=r"median sample ends at .* ms.; choose a longer preprocess\.trial_ms, or cut"):
        said(make(lambda drawn: drawn * 1000), in_seconds=False)


def test_a_trial_too_short_is_told():
    [warning] = said(make(lambda drawn: drawn * 1.5))
    assert warning.startswith("28.1 % of all spikes lie beyond 1000 ms and are cut off: is preprocess.trial_ms meant")


def test_times_too_small_are_told():
    [warning] = said(make(lambda drawn: drawn / 1000))
    assert warning == "The median sample ends at 0.889 ms, which is short for a word: are spikes/times in seconds?"


def test_no_spike_at_all_is_refused():
    with pytest.raises(DataError, match="None of the 24 samples of the train split has a spike"):
        said(make(empty=SAMPLES))


def test_empty_samples_are_told():
    assert said(make(empty=1)) == []
    assert said(make(empty=3)) == ["3 of 24 samples have no spike within the trial."]


def test_one_channel_is_refused():
    with pytest.raises(DataError, match="All 1200 spikes of the train split are in channel 5 of 700"):
        said(make(channels=lambda drawn: drawn * 0 + 5))


def test_a_map_of_other_channels_is_told():
    [warning] = said(make(channels=lambda drawn: drawn % 128))
    assert warning == (
        "All spikes are in channels 0 to 127, the other 572 of 700 are silent: do the channels of this source count to "
        "700?"
    )


def test_channels_left_out_are_told():
    [warning] = said(make(channels=lambda drawn: drawn // 4 * 4, samples=400))
    assert warning == "525 of 700 channels are silent."


def test_one_class_cannot_be_learned():
    one = make(labels=np.zeros(SAMPLES, int), classes="a")
    with pytest.raises(DataError, match="All 24 samples of the training split are of one class, 'a'"):
        said(one)
    assert said(one, "test") == []
    [warning] = said(make(labels=np.ones(SAMPLES, int)), "test")
    assert warning == "2 of 3 classes have no sample: a, c."


def test_a_class_without_samples_is_told():
    assert said(make(classes="abcdefghij", labels=np.arange(SAMPLES) % 2)) == [
        "8 of 10 classes have no sample: c, d, e, f, g, ...."
    ]


def test_one_speaker_is_told():
    [warning] = said(make(speakers=np.full(SAMPLES, 2)))
    assert warning.startswith(
        "All 24 samples of the training split are of one speaker, '2': no speaker can be held out"
    )
    assert said(make(speakers=np.full(SAMPLES, 2)), "test") == []


def test_copies_are_told_and_what_contradicts_them():
    store = make()
    assert said(store.select(np.r_[np.arange(SAMPLES), [3, 3, 5]])) == [
        "3 of 27 samples are spike for spike copies of another."
    ]
    copied = store.select(np.r_[np.arange(SAMPLES), [3]])
    copied.labels[-1] = 1
    assert said(copied) == ["1 of 25 samples are spike for spike copies of another, 1 of them under another label."]
    assert said(make(empty=2)) == ["2 of 24 samples have no spike within the trial."]  # which are no copies


def test_samples_of_another_split():
    train, test = make().select(np.arange(10)), make().select(np.arange(7, SAMPLES))
    assert plausibility.shared(train, plausibility.digests(test)) == 3
    silent = dataclasses.replace(make(empty=SAMPLES))
    assert plausibility.shared(silent, plausibility.digests(silent)) == 0


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0, "0"),
        (1, "100"),
        (0.25, "25"),
        (0.9999, "over 99.9"),
        (0.123456, "12.3"),
        (2e-4, "0.02"),
        (1e-9, "under 0.01"),
    ],
)
def test_shares_are_written_as_a_person_would(fraction, text):
    assert plausibility.percent(fraction) == text

"""Augmentation: each piece by hand on a few events, then what an epoch is made of."""

import numpy as np
import pytest

from eventspeech import params, seeds
from eventspeech.data import augmentation, batches
from eventspeech.data.augmentation import Augmentation
from eventspeech.data.batches import Batch
from eventspeech.errors import DataError
from eventspeech.params import CHANNELS

STEPS = 100


def make(*samples, labels=None) -> Batch:
    """Return a batch of samples given as lists of (step, channel)."""
    events = np.array([event for sample in samples for event in sample], np.int32).reshape(-1, 2)
    offsets = np.cumsum([0, *map(len, samples)])
    return Batch(offsets, events[:, 0].copy(), events[:, 1].copy(), np.array(labels or [0] * len(samples)))


def listed(batch: Batch) -> list[list[tuple[int, int]]]:
    events = list(zip(batch.steps.tolist(), batch.channels.tolist(), strict=True))
    return [events[start:stop] for start, stop in zip(batch.offsets[:-1], batch.offsets[1:], strict=True)]


def rng(seed=0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cloud(seed: int, count: int = 400, steps: int = STEPS) -> list[tuple[int, int]]:
    """Return many events, each once and in order."""
    drawn = rng(seed).integers(0, [steps, CHANNELS], (count, 2))
    return sorted({(int(s), int(c)) for s, c in drawn})


# --- the pieces, by hand ----------------------------------------------------------------------------------------------


def test_balance_takes_as_many_of_each_class_as_the_smallest_has():
    labels = np.array([2, 0, 0, 2, 0, 5, 2, 5, 0])
    chosen = augmentation.balance(labels, rng())
    assert np.bincount(labels[chosen]).tolist() == [2, 0, 2, 0, 0, 2]
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    others = {tuple(augmentation.balance(labels, rng(seed)).tolist()) for seed in range(50)}
    seen = np.unique(np.concatenate([list(indices) for indices in others]))
    assert seen.tolist() == list(range(9)), "each sample gets its turn"


def test_thinning_keeps_each_event_with_its_samples_probability():
    samples = [[(s, c) for s in range(100) for c in range(100)] for _ in range(3)]
    thinned = augmentation.thin(make(*samples), np.array([0.0, 0.3, 1.0]), rng())
    kept = np.diff(thinned.offsets)
    assert (kept[0], kept[2]) == (0, 10000)
    assert abs(kept[1] - 3000) < 4 * np.sqrt(10000 * 0.3 * 0.7)
    assert set(listed(thinned)[1]) < set(samples[1])
    assert listed(thinned)[1] == sorted(listed(thinned)[1])


def test_normalising_brings_counts_to_the_smallest():
    counts = [50, 5000, 10000, 20, 0]
    samples = [[(n // 100, n % 100) for n in range(count)] for count in counts]
    found = np.diff(augmentation.normalise(make(*samples), 50, rng()).offsets)
    assert (found[0], found[3], found[4]) == (50, 20, 0), "at or below the count nothing goes"
    for count, left in zip(counts[1:3], found[1:3], strict=True):
        assert abs(left - 50) < 4 * np.sqrt(50 * (1 - 50 / count))


def test_blending_aligns_mean_channel_and_mean_step():
    # means: steps 10 and 21, channels 100 and 203: to 15.5 and 151.5, by +5, -5 (5.5 is cut) and +51, -51 (51.5)
    one, two = [(8, 90), (12, 110)], [(20, 200), (22, 206)]
    blended = augmentation.blend(make(one, two), np.array([2]), [1.0, 1.0], STEPS, rng())
    assert listed(blended) == [[(13, 141), (15, 149), (17, 155), (17, 161)]]


def test_blending_three_moves_each_to_the_mean_of_the_means():
    # the mean of means 10, 20, 60 is 30, whatever the number of events
    parts = make([(10, 10)], [(20, 20)], [(59, 60), (60, 60), (61, 60)])
    found = listed(augmentation.blend(parts, np.array([3]), [1.0, 1.0, 1.0], STEPS, rng()))
    assert found == [[(29, 30), (30, 30), (31, 30)]], "three events at (30, 30) count once"


def test_blending_drops_what_leaves_the_trial_or_the_cochlea():
    # by 49 up and down in time, by 345 in channel: (0, 690) and (98, 0) meet at (49, 345); the outer ones leave
    one = [(0, 690), (0, 699), (0, 681)]
    two = [(97, 0), (98, 0), (99, 0)]
    found = listed(augmentation.blend(make(one, two), np.array([2]), [1.0, 1.0], STEPS, rng()))
    assert found == [[(48, 345), (49, 336), (49, 345), (49, 354), (50, 345)]]
    one = [(0, 0), (0, 600)]  # mean 300
    two = [(0, 500)]  # mean 500: first up by 100, second down by 100
    assert listed(augmentation.blend(make(one, two), np.array([2]), [1.0, 1.0], STEPS, rng())) == [
        [(0, 100), (0, 400)]
    ], "channel 700 is off the cochlea"
    one, two = [(0, 5), (90, 5)], [(75, 5)]  # means 45 and 75, to 60: 15 up, 15 down
    found = listed(augmentation.blend(make(one, two), np.array([2]), [1.0, 1.0], STEPS, rng()))
    assert found == [[(15, 5), (60, 5)]], "step 105 is after the trial"


def test_blending_keeps_events_of_each_part_with_its_probability():
    left = [(s, c) for s in range(100) for c in range(0, 100, 2)]
    right = [(s, c) for s in range(100) for c in range(0, 100, 2)]
    parts = make(left, [(s, c + 1) for s, c in right])  # means 49 and 50: moved by 0 (cut), so parity tells the part
    for probabilities in ([0.2, 0.9], [0.5, 0.5]):
        (found,) = listed(augmentation.blend(parts, np.array([2]), probabilities, STEPS, rng()))
        for part, probability in enumerate(probabilities):
            kept = sum(channel % 2 == part for _, channel in found)
            assert abs(kept - 5000 * probability) < 4 * np.sqrt(5000 * probability * (1 - probability))


def test_blending_leaves_single_samples_alone_and_takes_the_first_label():
    parts = make([(1, 2)], [(3, 4)], [(3, 4)], [(5, 6), (5, 9)], labels=[7, 8, 8, 9])
    found = augmentation.blend(parts, np.array([1, 2, 1]), [1.0, 1.0], STEPS, rng())
    assert listed(found) == [[(1, 2)], [(3, 4)], [(5, 6), (5, 9)]]
    assert found.labels.tolist() == [7, 8, 9]
    assert (found.steps.dtype, found.channels.dtype, found.offsets.dtype) == (np.int32, np.int32, np.int64)


@pytest.mark.filterwarnings("error")
def test_blending_with_an_empty_sample_moves_nothing():
    parts = make([], [(3, 4)], [], [], labels=[1, 1, 2, 2])
    assert listed(augmentation.blend(parts, np.array([2, 2]), [1.0, 1.0], STEPS, rng())) == [[(3, 4)], []]


def test_dilation_multiplies_the_middle_of_a_step():
    parts = make([(0, 1), (9, 2), (66, 3), (67, 4)], [(0, 7), (1, 3), (1, 7), (99, 5)], [(4, 4), (99, 9)])
    found = augmentation.dilate(parts, np.array([1.5, 0.5, 1.0]), STEPS)
    # 0.5 * 1.5 = 0.75, 9.5 * 1.5 = 14.25, 66.5 * 1.5 = 99.75, 67.5 * 1.5 = 101.25 is after the trial;
    # 0.25 and 0.75 fall into one step, where channel 7 counts once
    assert listed(found) == [[(0, 1), (14, 2), (99, 3)], [(0, 3), (0, 7), (49, 5)], [(4, 4), (99, 9)]]


def test_stretching_multiplies_channels_about_the_middle():
    # the middle is 349.5: 349 and 350 lie half a channel from it, at 1.5 times that they round to themselves
    parts = make([(0, 349), (0, 350), (1, 450), (2, 0), (2, 699)], [(3, 0), (3, 348), (3, 349)], [(4, 0), (4, 699)])
    found = augmentation.stretch(parts, np.array([1.5, 0.5, 1.0]))
    # 100.5 * 1.5 = 150.75; 349.5 * 1.5 leaves the cochlea; -349.5 / 2 = -174.75; -1.5 / 2 and -0.5 / 2 meet at 349
    assert listed(found) == [[(0, 349), (0, 350), (1, 500)], [(3, 175), (3, 349)], [(4, 0), (4, 699)]]


def test_dropping_leaves_out_another_share_of_each_sample():
    full = [[(s, c) for s in range(100) for c in range(50)] for _ in range(40)]
    made = make_augmentation(stored=make(*full), drop_events=0.4)
    kept = np.concatenate([np.diff(batch.offsets) for batch in epoch(made)]) / 5000
    assert 0.58 < kept.min() < 0.68 and 0.92 < kept.max() <= 1, "uniform up to the largest share"
    assert abs(kept.mean() - 0.8) < 4 * 0.4 / np.sqrt(12 * 40)


def test_jitter_moves_channels_by_a_rounded_normal_number():
    steps = [(s, c) for s in range(100) for c in range(100, 600, 5)]
    found = augmentation.jitter(make(steps), 1.0, rng())
    assert np.all(np.bincount(found.steps) > 80), "steps stay"
    far = make([(s, 350) for s in range(10000)])  # one event a step: none can meet another
    moved = augmentation.jitter(far, 20.0, rng()).channels - 350
    assert len(moved) == 10000
    assert abs(moved.mean()) < 4 * 20 / 100 and abs(moved.std() - 20) < 4 * 20 / np.sqrt(20000)
    small = augmentation.jitter(far, 1.0, rng()).channels - 350
    assert abs(np.mean(small == 0) - 0.3829) < 0.02, "within half a channel of 0: rounded, not cut"


def test_jitter_drops_what_leaves_the_cochlea_and_counts_doubles_once():
    edges = make([(s, 0) for s in range(5000)], [(s, 699) for s in range(5000)])
    low, high = listed(augmentation.jitter(edges, 10.0, rng()))
    assert min(c for _, c in low) == 0 and max(c for _, c in high) == 699
    assert abs(len(low) - 2600) < 200 and abs(len(high) - 2600) < 200
    crowd = augmentation.jitter(make([(5, c) for c in range(CHANNELS)]), 3.0, rng())
    (events,) = listed(crowd)
    assert events == sorted(set(events)) and 350 < len(events) < 550


# --- an epoch ---------------------------------------------------------------------------------------------------------

LABELS = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
EVERYTHING = {
    "balance_classes": True,
    "normalise_spikes": True,
    "shift_channels": 40,
    "stretch": {"narrowest": 0.9, "widest": 1.1},
    "blend": {"probabilities": [0.5, 0.5]},
    "dilation": {"shortest": 0.8, "longest": 1.25},
    "jitter_channels": 5.0,
    "drop_events": 0.3,
}


def samples() -> Batch:
    """Return ten samples of three classes; the channel modulo 10 names the sample, as long as only time changes."""
    made = [[(s, 10 * (c // 10) + i) for s, c in cloud(i, 300 + 20 * i)] for i in range(len(LABELS))]
    return make(*(sorted(set(sample)) for sample in made), labels=LABELS)


def make_augmentation(seed=0, stored=None, **settings) -> Augmentation:
    return Augmentation(params.Augmentation(**settings), stored or samples(), STEPS, seed)


def epoch(made: Augmentation, number=1, size=4) -> list[Batch]:
    return list(made.epoch(number, size))


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_nothing_set_changes_nothing_but_the_order():
    made = make_augmentation()
    assert (made.presented, made.spike_count) == (10, None)
    order = seeds.generator(0, "order", 1).permutation(10)
    expected = [batches.take(samples(), order[i : i + 4]) for i in (0, 4, 8)]
    assert same(epoch(made), expected)


PIECES = [{key: value} for key, value in EVERYTHING.items()] + [EVERYTHING]


@pytest.mark.parametrize("settings", PIECES, ids=lambda settings: "+".join(settings) if len(settings) < 2 else "all")
def test_epochs_repeat_themselves_differ_and_do_not_grow(settings):
    stored = samples()
    before = [array.copy() for array in stored]
    made = make_augmentation(stored=stored, **settings)
    first, second = epoch(made, 1), epoch(made, 2)
    assert not same(first, second)
    assert same(epoch(make_augmentation(**settings), 2), second), "an epoch does not need those before it"
    assert same(epoch(made, 1), first)
    assert not same(epoch(make_augmentation(seed=1, **settings), 1), first)
    for array, old in zip(stored, before, strict=True):
        np.testing.assert_array_equal(array, old)
    for number in range(1, 6):
        shown = epoch(made, number)
        assert sum(map(len, shown)) == made.presented
        for batch in shown:
            assert batch.offsets[-1] == len(batch.steps) == len(batch.channels)
            for events in listed(batch):
                assert events == sorted(events), "in order of time"
                assert len(events) == len(set(events)), "a channel fires once a step"
                assert all(0 <= s < STEPS and 0 <= c < CHANNELS for s, c in events)


@pytest.mark.parametrize("settings", PIECES, ids=lambda settings: "+".join(settings) if len(settings) < 2 else "all")
def test_the_size_of_batches_is_no_matter_of_which_samples_are_shown(settings):
    made = make_augmentation(**settings)
    labels = [np.concatenate([batch.labels for batch in epoch(made, 3, size)]).tolist() for size in (1, 3, 100)]
    assert labels[0] == labels[1] == labels[2]


def test_balanced_epochs_show_three_of_each_class():
    made = make_augmentation(balance_classes=True)
    assert made.presented == 9
    left_out = set()
    for number in range(1, 30):
        shown = epoch(made, number)
        assert np.bincount(np.concatenate([batch.labels for batch in shown])).tolist() == [3, 3, 3]
        names = {batch.channels[start] % 10 for batch in shown for start in batch.offsets[:-1]}
        left_out |= set(range(4)) - names
    assert left_out == {0, 1, 2, 3}


def test_normalised_epochs_bring_all_to_the_fewest():
    made = make_augmentation(normalise_spikes=True)
    counts = np.diff(samples().offsets)
    assert made.spike_count == counts.min()
    found = np.concatenate([np.diff(batch.offsets) for number in range(1, 21) for batch in epoch(made, number)])
    assert abs(found.mean() - counts.min()) < 4 * np.sqrt(counts.min() / len(found))


def test_counts_are_those_before_the_shift():
    # half of 200 events leave with a shift down; of the others, too, only 50 of 200 stay
    stored = make([(s, c) for s in range(STEPS) for c in (0, 300)], [(s, 200) for s in range(50)], labels=[0, 0])
    made = make_augmentation(stored=stored, normalise_spikes=True, shift_channels=40)
    shown = [events for number in range(1, 61) for batch in epoch(made, number) for events in listed(batch)]
    cut = [len(events) for events in shown if 240 < events[0][1] < 300 and events[0][1] == events[-1][1]]
    assert len(cut) > 15 and abs(np.mean(cut) - 25) < 4 * np.sqrt(100 * 0.25 * 0.75 / len(cut))


def test_blended_epochs_double_or_reach_the_stated_total():
    made = make_augmentation(blend={"probabilities": [1.0, 1.0]})
    assert made.presented == 20
    assert make_augmentation(blend={"probabilities": [0.5, 0.5], "samples": 13}).presented == 13
    assert make_augmentation(balance_classes=True, blend={"probabilities": [0.5, 0.5]}).presented == 18
    originals = {tuple(events): label for events, label in zip(listed(samples()), LABELS, strict=True)}
    shown = [(tuple(e), int(k)) for batch in epoch(made) for e, k in zip(listed(batch), batch.labels, strict=True)]
    unchanged = [pair for pair in shown if pair[0] in originals]
    assert {events for events, _ in unchanged} == set(originals), "each original is there"
    assert all(originals[events] == label for events, label in unchanged)
    assert len(shown) == 20


def test_blended_samples_are_made_of_their_own_class_with_replacement():
    # one sample in each tenth of the channels, so that means align within a class and the sample can be told
    stored = make(*([(s, 100 * label + 7) for s in range(i, i + 20)] for i, label in enumerate(LABELS)), labels=LABELS)
    made = make_augmentation(stored=stored, blend={"probabilities": [1.0, 1.0], "samples": 1010})
    shown = epoch(made, 1, 1010)[0]
    assert np.all(shown.channels == 100 * np.repeat(shown.labels, np.diff(shown.offsets)) + 7)
    blended = np.bincount(shown.labels) - np.bincount(LABELS)
    for count, share in zip(blended, (0.4, 0.3, 0.3), strict=True):  # classes keep their shares
        assert abs(count - 1000 * share) < 4 * np.sqrt(1000 * share * (1 - share))
    drawn = made._partners(np.arange(10), rng())
    assert np.all(np.array(LABELS)[drawn] == np.array(LABELS)[drawn[:, :1]])
    alike = np.mean(drawn[:, 0] == drawn[:, 1])
    assert abs(alike - (0.4 / 4 + 0.6 / 3)) < 0.06, "with replacement"
    assert np.unique(drawn).tolist() == list(range(10))


def test_blending_uses_the_shift_of_its_parts():
    # two alike samples, each shifted: a blended one lies at the mean of both shifts
    stored = make([(5, 350)], [(5, 350)], labels=[0, 0])
    made = make_augmentation(stored=stored, shift_channels=40, blend={"probabilities": [1.0, 1.0], "samples": 60})
    (shown,) = epoch(made, 1, 60)
    shifts = seeds.generator(0, "shift", 1).integers(-40, 41, 2)
    mean = 350 + shifts.mean()
    allowed = {350 + int(shifts[0]), 350 + int(shifts[1]), int(np.floor(mean)), int(np.ceil(mean))}
    assert set(shown.channels.tolist()) <= allowed and len(shown.channels) >= 60


def test_dilation_draws_the_logarithm_of_one_factor_a_sample():
    made = make_augmentation(
        stored=make(*[[(100, 3)] for _ in range(2000)]), dilation={"shortest": 0.5, "longest": 2.0}
    )
    made._steps = 1000
    factors = np.concatenate([batch.steps for batch in made.epoch(1, 64)]) / 100
    assert 0.5 <= factors.min() < 0.51 and 1.98 < factors.max() <= 2.01
    assert abs(np.mean(factors < 1) - 0.5) < 0.05, "halving is as likely as doubling"


def test_what_cannot_be_done_is_refused():
    blending, labels = params.Augmentation(blend={"probabilities": [0.5, 0.5]}), np.array([0, 0, 1])
    with pytest.raises(DataError, match=r"blend needs at least two training samples of a class, but 'b' has one; set"):
        augmentation.require_partners(blending, labels, ["a", "b", "c"])
    augmentation.require_partners(params.Augmentation(), labels, ["a", "b", "c"])
    augmentation.require_partners(blending, np.array([0, 0, 2, 2]), ["a", "b", "c"])
    with pytest.raises(DataError, match=r"blend\.samples = 10 adds nothing to 10 training samples; make it larger"):
        make_augmentation(blend={"probabilities": [0.5, 0.5], "samples": 10})
    with pytest.raises(DataError, match=r"normalise_spikes would leave nothing: training sample 1 has no spike; set"):
        make_augmentation(stored=make([(1, 1)], [], labels=[0, 0]), normalise_spikes=True)

"""The learning rate's way, by hand."""

import math

import pytest

from eventspeech import params
from eventspeech.learning import schedule

PUBLISHED = params.Schedule(factor=0.5)


def test_rate_eases_in_by_a_factor_each_batch():
    settings = params.EaseIn(start=1e-3, growth=1.05)
    assert schedule.ease_in(settings, 0) == 1e-3
    assert schedule.ease_in(settings, 2) == pytest.approx(1e-3 * 1.1025)
    reached = next(updates for updates in range(1000) if schedule.ease_in(settings, updates) == 1)
    assert reached == math.ceil(math.log(1000) / math.log(1.05)) == 142
    assert 0.95 < schedule.ease_in(settings, 141) < 1
    assert schedule.ease_in(settings, 10**9) == 1


def test_a_start_of_one_is_the_full_rate_at_once():
    assert [schedule.ease_in(params.EaseIn(), updates) for updates in (0, 1, 10**6)] == [1, 1, 1]


def test_averages_by_hand():
    # fast: 0.5 a + 0.5 x, slow: 0.75 a + 0.25 x
    settings = params.Schedule(factor=0.1, fast=0.5, slow=0.75, wait_epochs=0)
    # after 1: .5, .25; after 1, 0: .25, .1875; after 1, 0, 0: .125 <= .140625
    assert schedule.reduction(settings, [1.0]) == 1
    assert schedule.reduction(settings, [1.0, 0.0]) == 1
    assert schedule.reduction(settings, [1.0, 0.0, 0.0]) == pytest.approx(0.1)
    # an equal accuracy ever after comes to equal averages only in the limit, the fast one from above: no change
    assert schedule.reduction(settings, [0.5] * 30) == 1
    # equal averages count as stalled: nothing learned at all
    assert schedule.reduction(settings, [0.0, 0.0]) == pytest.approx(0.1)


def test_nothing_changes_within_the_wait():
    accuracies = [0.9] + [0.0] * 200
    rates = [schedule.reduction(PUBLISHED, accuracies[:epochs]) for epochs in range(len(accuracies) + 1)]
    changes = [epochs for epochs in range(1, len(rates)) if rates[epochs] != rates[epochs - 1]]
    # published: more than 50 epochs after the first, then after each change
    assert changes == [52, 103, 154]
    assert rates[-1] == 0.125


def test_a_rising_accuracy_keeps_the_rate_and_a_factor_of_one_too():
    assert schedule.reduction(PUBLISHED, [epoch / 200 for epoch in range(200)]) == 1
    assert schedule.reduction(params.Schedule(), [0.9] + [0.0] * 200) == 1


def test_a_cosine_falls_from_the_full_rate_to_its_share_in_the_last_epoch():
    settings = params.Schedule(cosine_to=0.2)
    rates = [schedule.cosine(settings, epoch, 5) for epoch in range(1, 6)]
    assert rates == pytest.approx([1, 0.2 + 0.8 * (1 + 0.5**0.5) / 2, 0.6, 0.2 + 0.8 * (1 - 0.5**0.5) / 2, 0.2])
    assert [schedule.cosine(params.Schedule(), epoch, 5) for epoch in range(1, 6)] == [1] * 5
    assert schedule.cosine(settings, 1, 1) == 1, "a single epoch learns at the full rate"

"""Means, paired differences and their intervals, by hand and against scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from eventspeech.statistics import DIFFERENCE, FRACTION, ONE_SEED, detectable_difference, estimate, paired, wilson


def test_interval_of_three_values_by_hand():
    result = estimate([0.8, 0.9, 1.0], 0.95)
    half = 4.302653 * 0.1 / math.sqrt(3)  # the 97.5 % point of Student's t with two degrees of freedom
    assert result.n == 3
    assert result.sd == pytest.approx(0.1)
    assert (result.low, result.mean, result.high) == pytest.approx((0.9 - half, 0.9, 0.9 + half), rel=1e-6)


def test_unknown_values_are_left_out_and_one_value_has_no_interval():
    assert estimate([None, None], 0.95).mean is None
    alone = estimate([None, 0.7], 0.95)
    assert (alone.n, alone.mean, alone.low) == (1, 0.7, None)
    assert alone.reason == ONE_SEED


@pytest.mark.parametrize("shift, verdict", [(0.3, "higher"), (-0.3, "lower"), (0.0, "undecided")])
def test_paired_difference_agrees_with_the_paired_t_test(shift, verdict):
    draws = np.random.default_rng(1)
    reference = draws.normal(0.5, 0.2, 6)
    values = reference + draws.normal(shift, 0.02, 6)
    result = paired(list(values), list(reference), 0.9)
    trusted = stats.ttest_rel(values, reference)
    interval = trusted.confidence_interval(0.9)
    assert result.p == pytest.approx(trusted.pvalue, rel=1e-9)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert result.verdict == verdict
    assert (result.verdict == "undecided") == (result.p > 0.1)


def test_pairing_matters():
    # equal spreads, yet every seed gains a little: an unpaired test would see nothing
    reference = [0.1, 0.5, 0.9]
    assert paired([0.12, 0.521, 0.919], reference, 0.95).verdict == "higher"
    assert stats.ttest_ind([0.12, 0.521, 0.919], reference).pvalue > 0.9


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_detectable_difference_has_the_promised_power(n):
    found = detectable_difference(sd=1.0, n=n, confidence=0.95)
    critical = stats.t.ppf(0.975, n - 1)
    assert stats.nct.sf(critical, n - 1, found * math.sqrt(n)) == pytest.approx(0.8, abs=1e-4)


def test_detectable_difference_scales_with_the_spread():
    assert detectable_difference(0.03, 5, 0.95) == pytest.approx(0.03 * detectable_difference(1.0, 5, 0.95))


def test_equal_values_have_no_interval():
    for values in ([0.05, 0.05, 0.05], [0.1 + 0.2, 0.3], [1.0, 1.0]):
        found = estimate(values, 0.95)
        assert (found.n, found.sd, found.low, found.high) == (len(values), 0.0, None, None)
        assert found.reason == "all values are equal: their spread is unknown"


def test_equal_differences_decide_nothing():
    result = paired([0.6, 0.7, 0.8], [0.5, 0.6, 0.7], 0.95)
    assert result.verdict == "undecided"
    assert result.p is None and "equal" in result.reason
    assert result.mean == pytest.approx(0.1)


def test_a_missing_value_is_told_and_decides_nothing():
    result = paired([3, 4, None], [13, 14.1, 15], 0.95)
    assert (result.n, result.verdict) == (2, "undecided")
    assert result.high < 0  # the pairs that are left would have decided
    assert "1 of 3 pairs" in result.reason


def test_a_fold_without_a_value_is_told():
    result = paired([3, None, 4, 5], [13, 14, 14.5, 15], 0.95, folds=2)
    assert (result.n, result.verdict) == (2, "undecided")
    assert result.mean == pytest.approx((-10 + (-10.5 - 10) / 2) / 2)
    assert "1 of 4 pairs" in result.reason


def test_an_interval_ends_where_no_mean_can_be():
    high = estimate([0.90, 1.0, 0.99], 0.95, FRACTION)
    free = estimate([0.90, 1.0, 0.99], 0.95)
    assert free.high > 1 and (high.low, high.high) == (free.low, 1.0)
    assert (high.mean, high.sd) == (free.mean, free.sd)
    low = estimate([0.0, 0.1, 0.01], 0.95, FRACTION)
    assert low.low == 0.0 < low.mean < low.high < 1
    inside = estimate([0.5, 0.51, 0.52], 0.95, FRACTION)
    assert inside == estimate([0.5, 0.51, 0.52], 0.95), "what lies inside stays"


def test_cutting_an_interval_loses_no_coverage():
    draws = np.random.default_rng(0)
    covered = {FRACTION: 0, None: 0}
    for _ in range(2000):
        values = draws.beta(19, 1, 3)  # mean 0.95: most intervals of three reach beyond 1
        for possible in covered:
            found = estimate(values, 0.9, *([possible] if possible else []))
            covered[possible] += found.low <= 0.95 <= found.high
    assert covered[FRACTION] == covered[None]


def test_a_difference_ends_at_one_and_its_verdict_stays():
    found = paired([0.9, 1.0, 0.7], [0.0, 0.1, 0.2], 0.95, 1, DIFFERENCE)
    free = paired([0.9, 1.0, 0.7], [0.0, 0.1, 0.2], 0.95)
    assert free.high > 1 and found.high == 1.0
    assert (found.low, found.p, found.verdict, found.detectable) == (free.low, free.p, free.verdict, free.detectable)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilsons_interval(hits, count, low, high):
    """The last: Newcombe 1998, table I."""
    assert wilson(hits, count, 0.95) == pytest.approx((low, high), abs=6e-5)

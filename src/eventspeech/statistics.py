"""Means, paired differences and their intervals.

An interval is cut to the values that can be: a true mean accuracy lies in [0, 1], so that what a Student-t interval has
beyond can be taken away without losing coverage, and the mean of the values stays inside. (Intervals on a transformed
scale, as of logits, stay inside by themselves, but bound another mean than the one shown, and have none at 0 and 1.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

POWER = 0.8
"""Chance of finding a difference that the `detectable` column belongs to."""


ONE_SEED = "one seed: no interval"
ALL_EQUAL = "all values are equal: their spread is unknown"


@dataclass(frozen=True)
class Estimate:
    """Mean of ``n`` values with its Student-t interval; ``None`` where ``reason`` says why it is unknown."""

    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Difference:
    """Mean difference of ``n`` pairs, its interval, the paired t-test's p, and what ``n`` pairs could have shown.

    ``verdict`` is 'higher' or 'lower' if the interval excludes zero, else 'undecided'; ``detectable`` is the smallest
    true difference that a test at this confidence finds with a probability of :data:`POWER`, at the spread seen.
    """

    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    p: float | None
    detectable: float | None
    verdict: str
    reason: str | None = None


ANY = (-math.inf, math.inf)
FRACTION = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)
"""The values that a mean of anything, of fractions, or of differences of fractions can have."""


def estimate(values: Sequence[float | None], confidence: float, possible: tuple[float, float] = ANY) -> Estimate:
    """Return the mean and the Student-t interval of the values that are known.

    Args:
        values: of independent runs; ``None`` is unknown.
        confidence: of the interval, in (0, 1).
        possible: least and largest mean that can be; the interval is cut to them.
    """
    known = np.array([value for value in values if value is not None], np.float64)
    if len(known) == 0:
        return Estimate(0, None, None, None, None, "no value")
    mean = float(known.mean())
    if len(known) == 1:
        return Estimate(1, mean, None, None, None, ONE_SEED)
    sd = float(known.std(ddof=1))
    if sd <= 1e-9 * max(1.0, abs(mean)):  # equal up to rounding: a spread of zero would make any value certain
        return Estimate(len(known), mean, 0.0, None, None, ALL_EQUAL)
    half = float(stats.t.ppf(0.5 + confidence / 2, len(known) - 1)) * sd / math.sqrt(len(known))
    low, high = possible
    return Estimate(len(known), mean, sd, max(low, mean - half), min(high, mean + half))


def paired(
    values: Sequence[float | None],
    reference: Sequence[float | None],
    confidence: float,
    folds: int = 1,
    possible: tuple[float, float] = ANY,
) -> Difference:
    """Compare two losses seed by seed; pairs with an unknown value are left out.

    Args:
        values: of the runs of a loss, in the order of seeds and, within each seed, of folds.
        reference: of the same runs of the other loss.
        confidence: of the interval.
        folds: of each seed; their differences are averaged first, so that the result counts seeds.
        possible: least and largest difference that can be; the interval is cut to them.
    """
    apart = differences_of(values, reference)
    left_out = sum(value is None for value in apart)
    missing = f"{left_out} of {len(values)} pairs lack a value" if left_out else None
    differences = [value for value in means_of(apart, folds) if value is not None]
    if not differences:
        return Difference(0, None, None, None, None, None, None, "undecided", missing or "no value")
    result = estimate(differences, confidence, possible)
    mean, sd, low, high = result.mean, result.sd, result.low, result.high
    if mean is None or sd is None or low is None or high is None:
        reason = "; ".join(filter(None, [missing, result.reason]))
        return Difference(result.n, mean, sd, None, None, None, None, "undecided", reason)
    p = float(2 * stats.t.sf(abs(mean) / (sd / math.sqrt(result.n)), result.n - 1))
    verdict = "higher" if low > 0 else "lower" if high < 0 else "undecided"
    if missing:  # runs that never get there are not missing at random
        verdict = "undecided"
    detectable = detectable_difference(sd, result.n, confidence)
    return Difference(result.n, mean, sd, low, high, p, detectable, verdict, missing)


def differences_of(values: Sequence[float | None], reference: Sequence[float | None]) -> list[float | None]:
    """Return the differences of pairs; ``None`` where one value is unknown."""
    pairs = zip(values, reference, strict=True)
    return [None if value is None or other is None else float(value) - float(other) for value, other in pairs]


def means_of(values: Sequence[float | None], folds: int) -> list[float | None]:
    """Return the mean of each ``folds`` consecutive values, of those that are known; ``None`` if none is."""
    groups = [[value for value in values[i : i + folds] if value is not None] for i in range(0, len(values), folds)]
    return [float(np.mean(group)) if group else None for group in groups]


def detectable_difference(sd: float, n: int, confidence: float, power: float = POWER) -> float:
    """Return the true mean difference that a two-sided paired t-test of ``n`` pairs finds with probability ``power``.

    Args:
        sd: standard deviation of the differences.
        n: pairs, at least 2.
        confidence: one minus the level of the test.
        power: probability of a result beyond the critical value.
    """
    critical = stats.t.ppf(0.5 + confidence / 2, n - 1)
    # quantiles of the estimated spread: given the spread, the test is a matter of the normal distribution. The
    # noncentral t of scipy 1.17 would say the same in one call, but is NaN far from its centre
    middles = (np.arange(4000) + 0.5) / 4000
    bounds = critical * np.sqrt(stats.chi2.ppf(middles, n - 1) / (n - 1))

    def lack(shift: float) -> float:
        return float(np.mean(stats.norm.sf(bounds - shift) + stats.norm.cdf(-bounds - shift))) - power

    highest = critical
    while lack(highest) < 0:
        highest *= 2
    return float(optimize.brentq(lack, 0.0, highest) * sd / math.sqrt(n))


def wilson(hits: int, count: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's interval (1927) of a share that was seen in ``hits`` of ``count`` independent trials."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share, spread = hits / count, z**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, centre - half), min(1.0, centre + half)

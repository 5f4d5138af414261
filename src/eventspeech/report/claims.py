"""Published claims held against the results: a verdict and a sentence computed from the numbers, for each part of each.

Every rule has one form. A part of a claim says that a quantity lies in a range (`published.Part`). It holds if the
quantity's whole interval lies within the range, does not hold if the whole interval lies outside, and is undecided
otherwise. With a range that has two ends this is a test of equivalence (two one-sided tests); with one end, of a
difference. What the study has no interval or no measurement of is undecided or cannot be tested, and the sentence says
why.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from eventspeech.params import Shape
from eventspeech.report import published
from eventspeech.report.published import Claim, Part
from eventspeech.report.quantities import QUANTITIES, Measured, Missing, data_of, no_interval
from eventspeech.report.results import Results
from eventspeech.report.words import capital, signed, title

HOLDS, FAILS, UNDECIDED, UNTESTABLE = "holds", "does not hold", "undecided", "cannot be tested here"
STATUSES = (HOLDS, FAILS, UNDECIDED, UNTESTABLE)


@dataclass(frozen=True)
class Finding:
    """What the results say about a part of a claim.

    Attributes:
        claim: the claim.
        part: the part of it.
        status: one of :data:`STATUSES`.
        rule: when the part holds, in words.
        sentence: the numbers, and why they decide nothing where they do not.
        data: what data the results are of.
        loss: the loss of the study it was tested with, if one.
    """

    claim: Claim
    part: Part
    status: str
    rule: str
    sentence: str
    data: str
    loss: str | None = None


def findings(results: Results) -> list[Finding]:
    """Hold every part of every published claim against the results, in the order of the report."""
    found: list[Finding] = []
    for claim in published.CLAIMS:
        losses = [None] if claim in published.OF_DEVICES else _tested_with(results, claim)
        if isinstance(losses, Missing):
            found += [_finding(results, claim, part, losses) for part in claim.parts]
            continue
        for loss in losses:
            for part in claim.parts:
                found.append(_finding(results, claim, part, QUANTITIES[part.quantity](results, loss, part), loss))
    return found


def _finding(
    results: Results, claim: Claim, part: Part, measured: Measured | Missing, loss: str | None = None
) -> Finding:
    status, sentence = judge(part, measured)
    rule = in_words(part, results.params.compare.confidence)
    return Finding(claim, part, status, rule, sentence, data_of(results), loss)


def judge(part: Part, measured: Measured | Missing) -> tuple[str, str]:
    """Return the verdict about a part of a claim, one of :data:`STATUSES`, and the sentence that gives the reason."""
    if isinstance(measured, Missing):
        return UNTESTABLE, f"{measured.why}."
    if not math.isfinite(measured.low):
        return UNDECIDED, f"{measured.told}; {measured.lack or 'there is no interval'}."
    if part.low < measured.low and measured.high < part.high:
        return HOLDS, f"{measured.told}."
    if measured.high < part.low or part.high < measured.low:
        return FAILS, f"{measured.told}."
    why = "the interval lies neither within that range nor outside it"
    return UNDECIDED, f"{measured.told}: {'; '.join(filter(None, [why, measured.lack]))}."


def in_words(part: Part, confidence: float) -> str:
    """Return when a part of a claim holds, with the margin and its reason."""
    interval = "the range over the trials" if part.unit == "times" else f"the {100 * confidence:g} % interval"
    low, high = (_number(value, part.unit) for value in (part.low, part.high))
    if math.isinf(part.high):
        where = f"above {low} {part.unit}"
    elif math.isinf(part.low):
        where = f"below {high} {part.unit}"
    else:
        where = f"between {low} and {high} {part.unit}: two one-sided tests"
    return f"{interval} lies wholly {where}" + (f" (margin {part.margin})" if part.margin else "")


def _number(value: float, unit: str) -> str:
    return signed(value).replace("+0.0", "0") if unit == "points" else f"{value:.4g}"


def summary(found: Iterable[Finding]) -> dict[str, int]:
    """Return how many parts of claims have each verdict."""
    statuses = [finding.status for finding in found]
    return {status: statuses.count(status) for status in STATUSES if status in statuses}


OVER = ("published claim", "source", "data")
"""What the parts of a claim share."""


def table(found: list[Finding]) -> pd.DataFrame:
    """Return the findings as a table."""
    rows = [
        {
            "published claim": finding.claim.text,
            "source": finding.claim.source,
            "data": finding.data,
            "part": finding.part.text,
            "tested with": title(finding.loss) if finding.loss else "",
            "holds if": finding.rule,
            "here": finding.status,
            "because": capital(finding.sentence),
        }
        for finding in found
    ]
    return pd.DataFrame(rows)


def _tested_with(results: Results, claim: Claim) -> list[str] | Missing:
    """Return the study's losses that a claim about losses is tested with, or why there is none."""
    shapes = results.params.shape
    if claim in published.OF_LEVELS:
        kind = published.OF_LEVELS[claim]
        published_shape = Shape(kind=kind)
        as_published = [
            loss for loss in results.compared
            if shapes[loss].model_copy(update={"learning_rate": None}) == published_shape
        ]  # fmt: skip
        return as_published or Missing(f"no loss of the study has the {kind} weight as published")
    reference = results.params.compare.reference
    if shapes[reference].kind != "exponential":
        return Missing(f"the losses are compared with {title(reference)}, not with the exponential weight")
    gaussians = [loss for loss in results.compared if shapes[loss].kind == "gaussian"]
    return gaussians or Missing("no loss of the study has the Gaussian weight")


def against_baseline(results: Results) -> list[str]:
    """Say for each loss whether its network does better than logistic regression on the same test set."""
    told = []
    for loss in results.compared:
        row = results.of_loss(loss)
        told.append(_beside_baseline(title(loss), row, "test", results.baseline["accuracy"]) + ".")
        unheard = results.baseline["accuracy_unheard"]
        if unheard is not None and math.isfinite(row["test_unheard_mean"]):
            never = _beside_baseline("on speakers never heard it", row, "test_unheard", unheard)
            told[-1] = f"{told[-1][:-1]}; {never}."
    return told


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _beside_baseline(who: str, row: Any, measure: str, baseline: float) -> str:
    mean, low, high = (row[f"{measure}_{name}"] for name in ("mean", "low", "high"))
    reached = f"{who} reaches {_percent(mean)}"
    if not math.isfinite(low):
        return f"{reached} against {_percent(baseline)}, and {no_interval(row)}"
    verdict = "above" if low > baseline else "below" if high < baseline else "around"
    return f"{reached}, its interval {verdict} the {_percent(baseline)} of logistic regression"

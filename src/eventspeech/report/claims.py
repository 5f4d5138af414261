"""Published claims held against the results: a status and a sentence computed from the numbers, for each.

The status is 'holds', 'does not hold', 'undecided' (the interval contains both) or 'cannot be tested here', and the
sentence gives the reason.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from eventspeech.records.measurement import is_valid
from eventspeech.report import published
from eventspeech.report.published import Claim
from eventspeech.report.results import Results
from eventspeech.report.words import capital, signed, title

HOLDS, FAILS, UNDECIDED, UNTESTABLE = "holds", "does not hold", "undecided", "cannot be tested here"


@dataclass(frozen=True)
class Finding:
    """What the results say about a claim; ``loss`` is the loss of the study it was tested with, if one."""

    claim: Claim
    status: str
    sentence: str
    loss: str | None = None


def findings(results: Results) -> list[Finding]:
    """Hold every published claim against the results, in the order of the report."""
    found = [*_levels(results)]
    for claim, measure in ((published.AS_GOOD, "test"), (published.FASTER, ""), (published.BEHIND, "")):
        gaussians = _gaussians(results)
        if isinstance(gaussians, str):
            found.append(Finding(claim, UNTESTABLE, gaussians))
            continue
        for loss in gaussians:
            if claim is published.AS_GOOD:
                found.append(as_good(results, loss, measure))
            else:
                found.append(faster(results, loss) if claim is published.FASTER else behind(results, loss))
    return [*found, gpu_faster(results.profile), gpu_spares_energy(results.profile)]


def table(found: list[Finding]) -> pd.DataFrame:
    """Return the findings as a table."""
    rows = [
        {
            "published claim": finding.claim.text,
            "source": finding.claim.source,
            "tested with": title(finding.loss) if finding.loss else "",
            "here": finding.status,
            "because": capital(finding.sentence),
        }
        for finding in found
    ]
    return pd.DataFrame(rows)


def _gaussians(results: Results) -> list[str] | str:
    """Return the study's Gaussian losses, or why there is nothing to compare."""
    reference = results.params.compare.reference
    if results.params.shape[reference].kind != "exponential":
        return f"the losses are compared with {title(reference)}, not with the exponential weight."
    found = [loss for loss in results.compared if results.params.shape[loss].kind == "gaussian"]
    return found or "no loss of the study has the Gaussian weight."


def _levels(results: Results) -> Iterator[Finding]:
    """The published accuracies on SHD, for each loss of the study that has their shape as published."""
    claims = {"exponential": published.ACCURACY_OF_EXPONENTIAL, "gaussian": published.ACCURACY_OF_GAUSSIAN}
    for entry in published.ACCURACIES:
        if entry.source != published.THESIS:
            continue
        claim = claims[entry.kind]
        fitting = [
            loss
            for loss in results.compared
            if results.params.shape[loss].kind == entry.kind and results.params.shape[loss].mean_weight is None
        ]
        if not fitting:
            yield Finding(claim, UNTESTABLE, f"no loss of the study has the {entry.kind} weight as published.")
        for loss in fitting:
            yield _level(results, loss, entry, claim)


def _level(results: Results, loss: str, entry: published.Accuracy, claim: Claim) -> Finding:
    row = results.of_loss(loss)
    here = f"{_percent(row['best_validation_mean'])} on validation and {_percent(row['test_mean'])} on the test set"
    if results.params.download.source != "shd":
        kind = {"ssc": "SSC"}.get(results.params.download.source, f"{results.params.download.source} speech")
        return Finding(claim, UNTESTABLE, f"the data is {kind}, not SHD; here the network reaches {here}.", loss)
    if not math.isfinite(row["test_low"]):
        return Finding(claim, UNDECIDED, f"one seed gives {here}, and no interval to judge the distance by.", loss)
    interval = f"[{_percent(row['test_low'])}, {_percent(row['test_high'])}]"
    if row["test_low"] <= entry.test <= row["test_high"]:
        return Finding(claim, HOLDS, f"{here}; the interval {interval} contains {_percent(entry.test)}.", loss)
    side = "below" if row["test_high"] < entry.test else "above"
    return Finding(claim, FAILS, f"{here}; the interval {interval} lies {side} {_percent(entry.test)}.", loss)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(row: pd.Series) -> str:
    low, high = (signed(100 * row[name]) for name in ("low", "high"))
    interval = f", interval [{low}, {high}]" if math.isfinite(row["low"]) else ""
    pairs = int(row["pairs"])
    return f"{signed(100 * row['mean'])} points ({pairs} seed{'s' if pairs != 1 else ''}{interval})"


def _scaled(results: Results, loss: str) -> str:
    if results.same_mean_weight(loss):
        return "At equal mean weight"
    return "With unequal mean weights"


def as_good(results: Results, loss: str, measure: str = "test") -> Finding:
    """Judge whether a Gaussian loss ends as good as the exponential, on best validation and test accuracy."""
    rows = {"best validation accuracy": results.difference(loss, "best_validation")}
    rows["test accuracy"] = results.difference(loss, measure)
    told = " and ".join(f"{_points(row)} in {name}" for name, row in rows.items())
    sentence = f"{_scaled(results, loss)} the difference from the exponential is {told}"
    verdicts = {name: row["verdict"] for name, row in rows.items()}
    decided = [f"{name} is {verdict}" for name, verdict in verdicts.items() if verdict != "undecided"]
    if decided:
        return Finding(published.AS_GOOD, FAILS, f"{sentence}: {' and '.join(decided)}.", loss)
    detectable = max(row["detectable"] for row in rows.values())
    if not math.isfinite(detectable):
        return Finding(published.AS_GOOD, UNDECIDED, f"{sentence}; {_reason(rows)}.", loss)
    return Finding(
        published.AS_GOOD,
        UNDECIDED,
        f"{sentence}: no difference is shown, but one below {100 * detectable:.1f} points would likely go unseen.",
        loss,
    )


def _reason(rows: dict[str, pd.Series]) -> str:
    reasons = dict.fromkeys(row["reason"] for row in rows.values() if isinstance(row["reason"], str))
    return " and ".join(reasons)


def faster(results: Results, loss: str) -> Finding:
    """Judge whether a Gaussian loss learns faster in the first epochs."""
    row = results.difference(loss, "early_validation")
    epochs = int(results.compare_summary["early_epochs"])
    sentence = (
        f"{_scaled(results, loss)} its mean validation accuracy over the first {epochs} epochs differs from the "
        f"exponential's by {_points(row)}"
    )
    times = _times(results, loss)
    status = {"higher": HOLDS, "lower": FAILS}.get(row["verdict"], UNDECIDED)
    if status == UNDECIDED:
        reason = row["reason"] if isinstance(row["reason"], str) else "the interval contains zero"
        sentence = f"{sentence}; {reason}"
    return Finding(published.FASTER, status, f"{sentence}{times}.", loss)


def _times(results: Results, loss: str) -> str:
    """Tell the median epochs at which both losses reach each threshold."""
    table = results.compare["time_to_accuracy"].set_index(["loss", "threshold"])["median_epoch"]
    told = []
    for threshold in results.params.compare.thresholds:
        own, other = table[loss, threshold], table[results.params.compare.reference, threshold]
        if math.isfinite(own) or math.isfinite(other):
            told.append(f"{100 * threshold:g} % {_epoch(own)}, exponential {_epoch(other)}")
    return f"; medians of the first epoch: {'; '.join(told)}" if told else ""


def _epoch(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else "not reached by half of the runs"


def behind(results: Results, loss: str) -> Finding:
    """Judge whether a Gaussian loss ends behind the exponential: the last epoch decides, the best is told."""
    last, best = (results.difference(loss, f"{which}_validation") for which in ("final", "best"))
    sentence = (
        f"{_scaled(results, loss)} the difference from the exponential is {_points(last)} in the last epoch and "
        f"{_points(best)} in the best"
    )
    status = {"lower": HOLDS, "higher": FAILS}.get(last["verdict"], UNDECIDED)
    if status == UNDECIDED:
        sentence += f"; {_reason({'last': last}) or 'the interval of the last epoch contains zero'}"
    return Finding(published.BEHIND, status, f"{sentence}.", loss)


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


def _beside_baseline(who: str, row: Any, measure: str, baseline: float) -> str:
    mean, low, high = (row[f"{measure}_{name}"] for name in ("mean", "low", "high"))
    reached = f"{who} reaches {_percent(mean)}"
    if not math.isfinite(low):
        return f"{reached} against {_percent(baseline)} with one seed, which gives no interval"
    verdict = "above" if low > baseline else "below" if high < baseline else "around"
    return f"{reached}, its interval {verdict} the {_percent(baseline)} of logistic regression"


def gpu_faster(profile: list[dict]) -> Finding:
    """Judge whether a CPU at batch size 1 takes over ten times as long as a GPU."""
    return _ratio(profile, published.GPU_FASTER, "epoch_time_s", "time", published.SLOWDOWN)


def gpu_spares_energy(profile: list[dict]) -> Finding:
    """Judge whether a CPU at batch size 1 takes more energy than a GPU."""
    return _ratio(profile, published.GPU_SPARES_ENERGY, "energy_per_epoch_j", "energy", 1.0)


def _ratio(profile: list[dict], claim: Claim, key: str, what: str, factor: float) -> Finding:
    """Compare the CPU at batch size 1 with the GPU's batch sizes; the claim must hold at all of them."""
    known = {
        device: {
            row["batch_size"]: row[key] for row in profile
            if row["device"] == device and is_valid(row, key) and row.get(key) is not None
        }
        for device in ("cpu", "cuda")
    }  # fmt: skip
    reasons = []
    if 1 not in known["cpu"]:
        reasons.append(f"the CPU's {what} at batch size 1 is unknown: {_why(profile, 'cpu', key, {1})}")
    if not known["cuda"]:
        reasons.append(f"the GPU's {what} is unknown: {_why(profile, 'cuda', key)}")
    if reasons:
        return Finding(claim, UNTESTABLE, f"{'; '.join(reasons)}.")
    ratios = {size: known["cpu"][1] / value for size, value in known["cuda"].items()}
    low, high = min(ratios, key=ratios.get), max(ratios, key=ratios.get)
    told = f"the CPU at batch size 1 takes {ratios[low]:.3g} times the {what} of the GPU at batch size {low}"
    if low != high:
        told += f" and {ratios[high]:.3g} times that at batch size {high}"
    above = [ratio > factor for ratio in ratios.values()]
    if all(above):
        return Finding(claim, HOLDS, f"{told}.")
    if not any(above):
        return Finding(claim, FAILS, f"{told}.")
    return Finding(claim, UNDECIDED, f"{told}: it depends on the GPU's batch size.")


def _why(profile: list[dict], device: str, key: str, sizes: set[int] | None = None) -> str:
    rows = [row for row in profile if row["device"] == device and (sizes is None or row["batch_size"] in sizes)]
    if not rows:
        return "it is not in the parameter file's profile"
    row = rows[0]
    reason = row.get("energy_reason") if key.startswith("energy") else None
    return str(reason or row.get("reason") or row["status"]).rstrip(".")

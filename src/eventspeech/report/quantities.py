"""What the parts of published claims are about, measured in the results: an interval in the part's unit, or why not."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from eventspeech.records.comparison import as_written
from eventspeech.records.measurement import is_valid
from eventspeech.report.published import Part
from eventspeech.report.results import Results
from eventspeech.report.words import beside, decimal, signed
from eventspeech.statistics import estimate


@dataclass(frozen=True)
class Measured:
    """A quantity of the results.

    Attributes:
        told: its numbers as a sentence without a full stop.
        low: lower end of its interval, in the unit of the part that asks for it; NaN if there is no interval.
        high: upper end.
        lack: why there is no interval, or what else bears on an undecided verdict; empty if nothing does.
    """

    told: str
    low: float = math.nan
    high: float = math.nan
    lack: str = ""


@dataclass(frozen=True)
class Missing:
    """Why the study cannot say anything about a quantity, as a sentence without a full stop."""

    why: str


def data_of(results: Results) -> str:
    """Return what data the results are of: the claims are about SHD."""
    called = results.source.called
    return called if called == "SHD" else f"{called}, not SHD" if "SHD" not in called else called


def _level(measure: str) -> Callable[[Results, str, Part], Measured | Missing]:
    """Return a quantity: the mean of an accuracy over seeds, in percent, on SHD only."""

    def measured(results: Results, loss: str, part: Part) -> Measured | Missing:
        row = results.of_loss(loss)
        mean, low, high = (100 * row[f"{measure}_{name}"] for name in ("mean", "low", "high"))
        if results.params.download.source != "shd":
            return Missing(f"the data is {data_of(results)}; here the network reaches {mean:.1f} %")
        if not math.isfinite(low):
            reached = "one seed reaches" if row["seeds"] == 1 else f"{_seeds(int(row['seeds']))} reach"
            return Measured(f"{reached} {mean:.1f} %", lack=no_interval(row))
        ends = ", ".join(decimal(end, part.low, part.high) for end in (low, high))
        return Measured(f"the network reaches {mean:.1f} %, interval [{ends}]", low, high)

    return measured


def no_interval(row: Any) -> str:
    """Return why a row of losses.csv has a mean without an interval."""
    return "one seed gives no interval" if row["seeds"] == 1 else "seeds that are all equal give no interval"


def _difference(measure: str) -> Callable[[Results, str, Part], Measured | Missing]:
    """Return a quantity: the mean difference of an accuracy from the exponential's, within seeds, in points."""

    def measured(results: Results, loss: str, part: Part) -> Measured | Missing:
        row = results.difference(loss, measure)
        told = f"{_scaled(results, loss)} the difference from the exponential is {_points(row, part)}"
        if measure == "early_validation":
            epochs = int(results.compare_summary["early_epochs"])
            told += f" in mean validation accuracy over the first {epochs} epochs{_times(results, loss)}"
        if not math.isfinite(row["low"]) or row["left_out"]:
            return Measured(told, lack=_text(row["reason"]))
        unseen = f"a difference below {100 * row['detectable']:.1f} points would likely go unseen"
        return Measured(told, 100 * row["low"], 100 * row["high"], unseen)

    return measured


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _points(row: pd.Series, part: Part) -> str:
    low, high = (signed(100 * row[name], part.low, part.high) for name in ("low", "high"))
    interval = f", interval [{low}, {high}]" if math.isfinite(row["low"]) else ""
    return f"{signed(100 * row['mean'])} points ({_seeds(int(row['pairs']))}{interval})"


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count != 1 else ''}"


def _scaled(results: Results, loss: str) -> str:
    return "at equal mean weight" if results.same_mean_weight(loss) else "with unequal mean weights"


def _times(results: Results, loss: str) -> str:
    """Tell the median epochs at which both losses reach each threshold."""
    table = results.compare["time_to_accuracy"].set_index(["loss", "threshold"])["median_epoch"]
    told = []
    for threshold in results.params.compare.thresholds:
        key = as_written(threshold)
        own, other = table[loss, key], table[results.params.compare.reference, key]
        if math.isfinite(own) or math.isfinite(other):
            told.append(f"{100 * threshold:g} % {_epoch(own)}, exponential {_epoch(other)}")
    return f" (medians of the first epoch that reaches {'; '.join(told)})" if told else ""


def _epoch(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else "not reached by half of the runs"


def _lead(results: Results, loss: str, part: Part) -> Measured | Missing:
    """Return for how many epochs a loss is ahead of the exponential in validation accuracy, mean over seeds."""
    apart = _differences_by_epoch(results, loss)
    shortest = min(map(len, apart))
    if shortest < part.high:
        return Missing(f"the runs end after {shortest} epochs, before a lead of about 30 could be seen to end")
    leads = [epochs_of_lead(difference) for difference in apart]
    result = estimate(leads, results.params.compare.confidence, (0.0, float(shortest)))
    told = f"{_scaled(results, loss)} its lead over the exponential lasts {result.mean:.3g} of {shortest} epochs"
    if result.low is None or result.high is None:
        return Measured(f"{told} ({_seeds(len(leads))})", lack=result.reason or "")
    interval = f"[{', '.join(decimal(end, part.low, part.high) for end in (result.low, result.high))}]"
    return Measured(f"{told} ({_seeds(len(leads))}, interval {interval})", result.low, result.high)


def _differences_by_epoch(results: Results, loss: str) -> list[np.ndarray]:
    """Return for each seed the validation accuracy minus the reference's by epoch, float64[E], mean over folds."""
    reference, found = results.params.compare.reference, []
    for seed in results.seeds:
        pairs = [
            [results.runs[name, seed, fold]["history"]["validation_accuracy"] for name in (loss, reference)]
            for fold in results.folds
        ]
        epochs = min(len(curve) for pair in pairs for curve in pair)
        found.append(np.mean([own[:epochs] - other[:epochs] for own, other in pairs], axis=0))
    return found


def epochs_of_lead(difference: np.ndarray) -> int:
    """Return after how many epochs the summed difference, float64[E], is greatest: where a lead has turned.

    The sum bears the noise of single epochs; 0 if the difference never sums to more than nothing.
    """
    return int(np.argmax(np.concatenate([[0.0], np.cumsum(difference)])))


def _ratio(key: str, what: str) -> Callable[[Results, str | None, Part], Measured | Missing]:
    """Return a quantity: the CPU's cost at batch size 1 over the GPU's, at all its batch sizes and in all trials."""

    def measured(results: Results, loss: str | None, part: Part) -> Measured | Missing:
        return cost_ratio(results.profile, key, what, part)

    return measured


def cost_ratio(profile: list[dict], key: str, what: str, part: Part) -> Measured | Missing:
    """Return the ratio of a cost on the CPU at batch size 1 to that on the GPU.

    Args:
        profile: rows of measurements.
        key: of the cost in a row.
        what: the cost in words.
        part: of the claim about it.
    """
    known = {
        device: {
            row["batch_size"]: row for row in profile
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
        return Missing("; ".join(reasons))
    cpu = known["cpu"][1]
    ratios = {size: cpu[key] / row[key] for size, row in known["cuda"].items()}
    low, high = min(ratios, key=lambda size: ratios[size]), max(ratios, key=lambda size: ratios[size])
    told = f"the CPU at batch size 1 takes {ratios[low]:.3g} times the {what} of the GPU at batch size {low}"
    if low != high:
        told += f" and {ratios[high]:.3g} times that at batch size {high}"
    least = min(_end(cpu, key, "low") / _end(row, key, "high") for row in known["cuda"].values())
    most = max(_end(cpu, key, "high") / _end(row, key, "low") for row in known["cuda"].values())
    if any(row.get("trials") == 1 for row in (cpu, *known["cuda"].values())):
        return Measured(told, lack="one trial gives no range; raise profile.trials")
    ends = ", ".join(_ratio_beside(end, part) for end in (least, most))
    told += f" (over all trials and batch sizes [{ends}])"
    return Measured(told, least, most, "it depends on the GPU's batch size or on the trial")


def _ratio_beside(value: float, part: Part) -> str:
    return beside(value, (part.low, part.high), lambda digits: f"{value:.{digits}g}", 3)


def _end(row: dict, key: str, end: str) -> float:
    """Return the least or the most of the trials, the value itself where there was one trial."""
    value = row.get(re.sub(r"_([sj])$", rf"_{end}_\1", key))
    return row[key] if value is None else value


def _why(profile: list[dict], device: str, key: str, sizes: set[int] | None = None) -> str:
    rows = [row for row in profile if row["device"] == device and (sizes is None or row["batch_size"] in sizes)]
    if not rows:
        return "it is not in the parameter file's profile"
    row = rows[0]
    reason = row.get("energy_reason") if key.startswith("energy") else None
    return str(reason or row.get("reason") or row["status"]).rstrip(".")


QUANTITIES: dict[str, Callable[[Results, Any, Part], Measured | Missing]] = {
    "validation_level": _level("best_validation"),
    "test_level": _level("test"),
    "best_validation": _difference("best_validation"),
    "test": _difference("test"),
    "early_validation": _difference("early_validation"),
    "final_validation": _difference("final_validation"),
    "lead": _lead,
    "time_ratio": _ratio("epoch_time_s", "time"),
    "energy_ratio": _ratio("energy_per_epoch_j", "energy"),
}
"""What parts of claims are about: the results, the loss if one, and the part to what is measured."""

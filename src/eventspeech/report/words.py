"""What the report calls things, and how it writes numbers."""

import math
from collections.abc import Callable, Iterable
from typing import Any

KINDS = {"heard": "heard in training", "validation": "validation", "unheard": "never heard"}
"""What a speaker of the test set was in training; nothing was learned from validation, but it chose the epoch."""

HELD_OUT = {
    "held_out": "speakers held out",
    "leave_one_out": "each speaker held out in turn",
    "random": "samples held out",
    "official": "the source's own split",
}
"""What chose the epoch, by protocol."""

MEASURES = {
    "early_validation": "validation, first {early} epochs",
    "best_validation": "validation, best epoch",
    "final_validation": "validation, last epoch",
    "test": "test, all speakers",
    "test_heard": "test, speakers heard in training",
    "test_unheard": "test, speakers never heard",
}

WITHOUT_WEIGHT = {"max": "maximum of the voltage", "first_spike": "time of the first spike"}


def title(loss: str) -> str:
    """Return a loss's name as a reader writes it; one that space alone would tell from another stays as it is.

    >>> title("gaussian_narrow"), title("_")
    ('gaussian narrow', '_')
    """
    words = loss.replace("_", " ")
    return words if words == " ".join(words.split()) else loss


def measure_name(measure: str, early: int) -> str:
    """Return a measure of differences.csv in words."""
    if measure.startswith("epochs_to_"):
        return f"epochs to {100 * float(measure.removeprefix('epochs_to_')):g} %"
    return MEASURES[measure].format(early=early)


def verdict(row: Any) -> str:
    """Return the word of a row of differences.csv: of epochs, fewer is sooner."""
    if row["unit"] == "epochs":
        return {"lower": "sooner", "higher": "later"}.get(row["verdict"], row["verdict"])
    return row["verdict"]


def device_name(device: str) -> str:
    """Return a device of the profile as a reader writes it."""
    return {"cpu": "CPU", "cuda": "GPU"}[device]


def percent(value: float | None, digits: int = 1) -> str:
    """Format a fraction in percent; unknown is empty."""
    return "" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f}".replace("-", "−")


def with_interval(row: Any, measure: str) -> str:
    """Format mean and interval of an accuracy of losses.csv, in percent; no accuracy is below 0 or above 100."""
    mean, low, high = (row[f"{measure}_{name}"] for name in ("mean", "low", "high"))
    if not math.isfinite(low):
        return percent(mean)
    return f"{percent(mean)} [{percent(max(0.0, low))}, {percent(min(1.0, high))}]"


def short(value: float | None, digits: int = 3) -> str:
    """Format a number with as many digits as mean something; unknown is empty."""
    if value is None or not math.isfinite(value):
        return ""
    # three digits, but never the e+ notation for numbers people read
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"


def signed(value: float, *bounds: float) -> str:
    """Format a difference with its sign, a true minus, with the digits that show on which side of bounds it lies."""
    return beside(value, bounds, lambda digits: f"{round(value, digits) + 0.0:+.{digits}f}")  # + 0.0: no minus zero


def decimal(value: float, *bounds: float) -> str:
    """Format a number likewise, without a plus."""
    return beside(value, bounds, lambda digits: f"{round(value, digits) + 0.0:.{digits}f}")


def beside(value: float, bounds: Iterable[float], write: Callable[[int], str], digits: int = 1) -> str:
    """Return a number as ``write`` has it, with more digits where it would seem to touch a bound that it does not."""
    for more in range(digits, digits + 6):
        text = write(more)
        if all((float(text) > bound, float(text) < bound) == (value > bound, value < bound) for bound in bounds):
            break
    return text.replace("-", "−")


def capital(text: str) -> str:
    """Return a sentence with its first letter large."""
    return text[:1].upper() + text[1:]


def shortened(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, its middle left out where it is longer."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"

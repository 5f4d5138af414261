"""Figures of the time and energy of an epoch."""

import itertools
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from eventspeech.records.measurement import is_valid
from eventspeech.report.figures.style import GREY, WIDTH, legend, panels, sentence, styled
from eventspeech.report.results import Results
from eventspeech.report.words import device_name

DEVICES = {"cpu": ("#444444", "s"), "cuda": ("#882255", "o")}


KEYS = {"epoch_time_s": ("time", "time of an epoch (s)"), "energy_per_epoch_j": ("energy", "energy of an epoch (J)")}


@styled
def profile(results: Results) -> Figure:
    """Draw time and energy of an epoch by device and batch size, logarithmic; what was not measured is a sentence."""
    rows = results.profile
    if not rows:
        return sentence("nothing was to be measured: profile.cpu_batch_sizes and profile.cuda_batch_sizes are empty")
    devices = list(dict.fromkeys(row["device"] for row in rows))
    figure, grid = panels(1, len(KEYS), 3.0)
    for axes, (key, (what, text)) in zip(grid[0], KEYS.items(), strict=True):
        missing = [device for device in devices if not _known(rows, device, key)]
        if missing == devices:
            _only_say(axes, unmeasured(rows, devices, key, what))
            continue
        for device in devices:
            _draw(axes, rows, device, key)
        axes.set(xlabel="batch size", ylabel=text)
        _batch_sizes(axes, sorted({row["batch_size"] for row in rows}))
        _log_values(axes)
        if missing:
            words = ", ".join(map(device_name, missing))
            axes.set_title(f"{words}: not measured (see table)", color=GREY, fontweight="normal", fontsize=7.5)
    known = [device for device in devices if any(_known(rows, device, key) for key in KEYS)]
    marks = [Line2D([], [], color=DEVICES[device][0], marker=DEVICES[device][1]) for device in known]
    texts = [device_name(device) for device in known]
    if any(not is_valid(row, key) for device in known for key in KEYS for row in _known(rows, device, key)):
        marks.append(Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle=""))
        texts.append("measured, but INVALID (see table)")
    if marks:
        legend(figure, marks, texts)
    return figure


def unmeasured(rows: Sequence[dict], devices: Sequence[str], key: str, what: str) -> str:
    """Return the sentence that stands in place of an empty panel: what was not measured, and why."""
    reasons = []
    for device in devices:
        of_device = [row for row in rows if row["device"] == device]
        energy = of_device[0].get("energy_reason") if key.startswith("energy") else None
        reason = str(energy or of_device[0].get("reason") or of_device[0]["status"]).rstrip(".")
        reasons.append(f"{device_name(device)}: {reason}")
    return f"The {what} of an epoch was not measured here ({'; '.join(reasons)})."


def _only_say(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    lines = textwrap.wrap(text, 46)
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", color=GREY, transform=axes.transAxes)


def _batch_sizes(axes: Axes, sizes: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    axes.xaxis.set_minor_locator(NullLocator())


@styled
def energy_by_time(results: Results) -> Figure:
    """Draw energy against time of an epoch, batch sizes along the curve; devices whose energy is known only."""
    figure, grid = panels(1, 1, 3.0, width=0.6 * WIDTH)
    axes = grid[0, 0]
    for device in dict.fromkeys(row["device"] for row in results.profile):
        known = _known(results.profile, device, "energy_per_epoch_j")
        colour, marker = DEVICES[device]
        for stretch in _valid_stretches(known, "energy_per_epoch_j"):
            values = ([row[key] for row in stretch] for key in ("epoch_time_s", "energy_per_epoch_j"))
            axes.plot(*values, color=colour, linewidth=1)
        for row in known:
            place = row["epoch_time_s"], row["energy_per_epoch_j"]
            bars: dict[str, Any] = {"xerr": _bars(row, "epoch_time_s"), "yerr": _bars(row, "energy_per_epoch_j")}
            filled = colour if is_valid(row, "energy_per_epoch_j") else "white"
            axes.errorbar([place[0]], [place[1]], **bars, fmt=marker, color=colour, markerfacecolor=filled,
                          capsize=2.5)  # fmt: skip
            axes.annotate(str(row["batch_size"]), place, (4, 4), textcoords="offset points", fontsize=6.5)
        if known:
            axes.plot([], [], color=colour, marker=marker, linewidth=1, label=device_name(device))
    axes.set(xlabel="time of an epoch (s)", ylabel="energy of an epoch (J)")
    for letter in "xy":
        _log_values(axes, letter)
    legend(figure, *axes.get_legend_handles_labels())
    return figure


def _log_values(axes: Axes, letter: str = "y") -> None:
    """Make an axis logarithmic, with round values on it even where it spans less than a decade."""
    axes.set(**{f"{letter}scale": "log"})
    axes.margins(x=0.25 if letter == "x" else None, y=0.25 if letter == "y" else None)
    low, high = getattr(axes, f"get_{letter}lim")()
    steps = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    axis = getattr(axes, f"{letter}axis")
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _draw(axes: Axes, rows: Sequence[dict], device: str, key: str) -> None:
    """Draw a device's measurements; those that are not valid stand alone."""
    colour, marker = DEVICES[device]
    known = _known(rows, device, key)
    for stretch in _valid_stretches(known, key):
        axes.plot([row["batch_size"] for row in stretch], [row[key] for row in stretch], color=colour, linewidth=1)
    for row in known:
        filled = colour if is_valid(row, key) else "white"
        axes.errorbar([row["batch_size"]], [row[key]], _bars(row, key), fmt=marker, color=colour,
                      markerfacecolor=filled, capsize=2.5)  # fmt: skip


def _valid_stretches(rows: Sequence[dict], key: str) -> list[list[dict]]:
    """Return the rows between those that are not valid: only these are joined by a line."""
    grouped = itertools.groupby(rows, key=lambda row: is_valid(row, key))
    return [list(stretch) for valid, stretch in grouped if valid]


def _known(rows: Sequence[dict], device: str, key: str) -> list[dict]:
    """Return a device's rows that have a value, by batch size."""
    known = [row for row in rows if row["device"] == device and row.get(key) is not None]
    return sorted(known, key=lambda row: row["batch_size"])


def _bars(row: dict, key: str) -> list[list[float]] | None:
    """Return the distances to the least and the most of the trials."""
    low, high = (row.get(re.sub(r"_([sj])$", rf"_{end}_\1", key)) for end in ("low", "high"))
    return None if low is None else [[row[key] - low], [high - row[key]]]

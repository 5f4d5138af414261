"""Figures of the time and energy of an epoch."""

import re
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from eventspeech.records.measurement import is_valid
from eventspeech.report.figures.style import GREY, WIDTH, legend, sentence, styled
from eventspeech.report.results import Results
from eventspeech.report.words import device_name

DEVICES = {"cpu": ("#444444", "s"), "cuda": ("#882255", "o")}


@styled
def profile(results: Results) -> Figure:
    """Draw time and energy of an epoch by device and batch size, logarithmic; what was not measured is named."""
    if not results.profile:
        return sentence(
            WIDTH, "nothing was to be measured: profile.cpu_batch_sizes and profile.cuda_batch_sizes are empty"
        )
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    grid = figure.subplots(1, 2, sharex=True)
    keys = {"epoch_time_s": "time of an epoch (s)", "energy_per_epoch_j": "energy of an epoch (J)"}
    devices = list(dict.fromkeys(row["device"] for row in results.profile))
    sizes = sorted({row["batch_size"] for row in results.profile})
    for axes, (key, text) in zip(grid, keys.items(), strict=True):
        unmeasured = [device for device in devices if not _measured(axes, results.profile, device, key)]
        axes.set(xlabel="batch size", ylabel=text)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
        axes.xaxis.set_minor_locator(NullLocator())
        _log_values(axes) if len(unmeasured) < len(devices) else axes.set_yticks([])
        if unmeasured:
            words = "\n".join(f"{device_name(device)}: not measured (see table)" for device in unmeasured)
            high = 0.5 if len(unmeasured) == len(devices) else 0.98
            axes.text(0.5, high, words, ha="center", va="center" if high == 0.5 else "top", fontsize=7.5, color=GREY,
                      backgroundcolor="white", transform=axes.transAxes)  # fmt: skip
    marks = [Line2D([], [], color=DEVICES[device][0], marker=DEVICES[device][1]) for device in devices]
    texts = [device_name(device) for device in devices]
    if any("INVALID" in (row["status"], row.get("energy_status")) for row in results.profile):
        marks.append(Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle=""))
        texts.append("measured, but INVALID (see table)")
    legend(figure, marks, texts)
    return figure


@styled
def energy_by_time(results: Results) -> Figure:
    """Draw energy against time of an epoch, batch sizes along the curve; devices whose energy is known only."""
    figure = Figure(figsize=(0.6 * WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    for device in dict.fromkeys(row["device"] for row in results.profile):
        known = _known(results.profile, device, "energy_per_epoch_j")
        colour, marker = DEVICES[device]
        axes.plot(*([row[key] for row in known] for key in ("epoch_time_s", "energy_per_epoch_j")), color=colour,
                  linewidth=1, label=device_name(device) if known else None, marker=marker, markersize=0)  # fmt: skip
        for row in known:
            place = row["epoch_time_s"], row["energy_per_epoch_j"]
            bars: dict[str, Any] = {"xerr": _bars(row, "epoch_time_s"), "yerr": _bars(row, "energy_per_epoch_j")}
            filled = colour if is_valid(row, "energy_per_epoch_j") else "white"
            axes.errorbar([place[0]], [place[1]], **bars, fmt=marker, color=colour, markerfacecolor=filled,
                          capsize=2.5)  # fmt: skip
            axes.annotate(str(row["batch_size"]), place, (4, 4), textcoords="offset points", fontsize=6.5)
    axes.set(xlabel="time of an epoch (s)", ylabel="energy of an epoch (J)")
    for letter in "xy":
        _log_values(axes, letter)
    axes.legend()
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


def _measured(axes: Axes, rows: Sequence[dict], device: str, key: str) -> bool:
    """Draw a device's measurements; return whether there was one."""
    colour, marker = DEVICES[device]
    known = _known(rows, device, key)
    if not known:
        return False
    axes.plot([row["batch_size"] for row in known], [row[key] for row in known], color=colour, linewidth=1)
    for row in known:
        filled = colour if is_valid(row, key) else "white"
        axes.errorbar([row["batch_size"]], [row[key]], _bars(row, key), fmt=marker, color=colour,
                      markerfacecolor=filled, capsize=2.5)  # fmt: skip
    return True


def _known(rows: Sequence[dict], device: str, key: str) -> list[dict]:
    """Return a device's rows that have a value, by batch size."""
    known = [row for row in rows if row["device"] == device and row.get(key) is not None]
    return sorted(known, key=lambda row: row["batch_size"])


def _bars(row: dict, key: str) -> list[list[float]] | None:
    """Return the distances to the least and the most of the trials."""
    low, high = (row.get(re.sub(r"_([sj])$", rf"_{end}_\1", key)) for end in ("low", "high"))
    return None if low is None else [[row[key] - low], [high - row[key]]]

"""`benchmark growth`: how the time of a training step grows with hidden size, spikes, steps, batch and threads.

One quantity at a time departs from the base point; all points are gone through in an order drawn anew in each round,
so that a slow minute of the machine does not fall on one curve. The slope is that of a straight line through the
larger half of the values in logarithmic axes: 1 means proportional. The hidden rate is the same at every point
(14 spikes per neuron and trial), so that hidden spikes grow with the hidden size.
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eventspeech import machine, seeds
from eventspeech.benchmarks import engine as benchmark_engine
from eventspeech.benchmarks import options
from eventspeech.benchmarks.load import spread
from eventspeech.files import atomic_path
from eventspeech.progress import track

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger("eventspeech")

BASE = {"hidden": 256, "spikes": 8000, "steps": 1000, "batch": 32}
AXES = {
    "hidden": (64, 128, 256, 512, 1024, 2048),
    "spikes": (1000, 2000, 4000, 8000, 16000, 32000, 64000),
    "steps": (250, 500, 1000, 2000, 4000),
    "batch": (1, 2, 4, 8, 16, 32, 64, 128, 256),
}
LABELS = {
    "hidden": "hidden neurons",
    "spikes": "input spikes per sample",
    "steps": "time steps",
    "batch": "batch size",
}
SAMPLES = 32


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `benchmark growth` takes."""
    parser.add_argument("--rounds", type=options.positive, default=3)
    parser.add_argument("--plot", type=options.figure, help="figure to draw (png, svg or pdf)")


def measure(rounds: int = 3) -> dict:
    """Measure all points, with one thread and with as many as the machine offers.

    Args:
        rounds: each point is measured once a round; medians and ranges are over rounds.

    Returns:
        ``points``: list of axis, value, threads, milliseconds per sample of a training step (median, low, high) and
        rate; ``slopes``: for each axis and number of threads; ``base``.
    """
    threads = sorted({1, machine.threads()})
    points = [(axis, value, count) for axis, values in AXES.items() for value in values for count in threads]
    found: dict[tuple, list[dict]] = {point: [] for point in points}
    for number in range(rounds):
        order = seeds.generator(0, "growth", number).permutation(len(points))
        for index in track(order, len(points), f"benchmark growth, round {number + 1} of {rounds}", "points"):
            axis, value, count = points[index]
            size = BASE | {axis: value}
            samples = max(SAMPLES, size["batch"])
            measured = benchmark_engine.measure(**size, samples=samples, threads=count, repeats=1, limit=False)
            found[points[index]].append(measured)
    rows = [_row(point, measured) for point, measured in found.items()]
    curves = {
        (axis, count): [row for row in rows if (row["axis"], row["threads"]) == (axis, count)]
        for axis in AXES
        for count in threads
    }
    slopes = [{"axis": axis, "threads": count, "slope": _slope(curve)} for (axis, count), curve in curves.items()]
    return {"base": BASE, "rounds": rounds, "points": rows, "slopes": slopes}


def _row(point: tuple, measured: list[dict]) -> dict:
    axis, value, count = point
    times = [entry["training_ms_per_sample"]["median"] for entry in measured]
    return {
        "axis": axis,
        "value": value,
        "threads": count,
        "training_ms_per_sample": spread(times),
        "input_spikes_per_sample": measured[-1]["input_spikes_per_sample"],
        "hidden_spikes_per_neuron": measured[-1]["hidden_spikes_per_neuron"],
    }


def _slope(rows: list[dict]) -> float:
    ordered = sorted(rows, key=lambda row: row["value"])
    upper = ordered[-max(2, len(ordered) // 2 + 1) :]
    times = [row["training_ms_per_sample"]["median"] for row in upper]
    return float(np.polyfit(np.log([row["value"] for row in upper]), np.log(times), 1)[0])


def plot(result: dict, path: Path) -> None:
    """Draw the points and slopes of :func:`measure`, a panel an axis; ``path`` ends in png, svg or pdf."""
    import matplotlib.pyplot as plt

    from eventspeech.report.figures.style import COLOURS, STYLE

    axes = list(dict.fromkeys(row["axis"] for row in result["points"]))
    counts = sorted({row["threads"] for row in result["points"]})
    with plt.style.context(STYLE):
        figure, panels = plt.subplots(
            1, len(axes), figsize=(2.6 * len(axes), 2.7), sharey=True, squeeze=False, layout="constrained"
        )
        for panel, axis in zip(panels[0], axes, strict=True):
            for count, colour in zip(counts, COLOURS, strict=False):
                rows = [row for row in result["points"] if (row["axis"], row["threads"]) == (axis, count)]
                slope = next(
                    entry["slope"] for entry in result["slopes"] if (entry["axis"], entry["threads"]) == (axis, count)
                )
                _curve(panel, rows, colour, f"{count} thread{'s' * (count > 1)}, slope {slope:.2f}")
            panel.set_xlabel(LABELS[axis])
            panel.legend(loc="upper left")
        panels[0][0].set_ylabel("training step (ms per sample)")
        with atomic_path(path) as part:
            figure.savefig(part, format=path.suffix[1:])
        plt.close(figure)


def _curve(panel: "Axes", rows: list[dict], colour: str, label: str) -> None:
    rows = sorted(rows, key=lambda row: row["value"])
    x = [row["value"] for row in rows]
    times = [row["training_ms_per_sample"] for row in rows]
    middle = np.array([entry["median"] for entry in times])
    below = middle - [entry["low"] for entry in times]
    above = [entry["high"] for entry in times] - middle
    panel.errorbar(x, middle, [below, above], color=colour, marker="o", markersize=3, capsize=2, label=label)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")

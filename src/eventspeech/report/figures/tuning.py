"""Figures of the search for better parameters."""

import json
import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from eventspeech.params import Range
from eventspeech.records.tuning import Tuning
from eventspeech.report.figures.style import (
    COLOURS,
    GREY,
    RED,
    label,
    legend,
    loss_label,
    panels,
    percent_axis,
    rule,
    styled,
)
from eventspeech.report.results import Results
from eventspeech.report.words import short

COMPLETE, BEST = COLOURS[0], COLOURS[1]
COLUMNS = 4
"""Keys beside one another."""


@styled
def tuning(results: Results) -> Figure:
    """Draw, a row a loss, the trials in their order with the best so far, and how much each key matters."""
    figure, grid = panels(len(results.tuning), 2, 2.1 * len(results.tuning) + 0.4, width_ratios=[1.6, 1])
    for (left, right), (loss, found) in zip(grid, results.tuning.items(), strict=True):
        _history(left, found)
        left.set_title(loss_label(loss))
        _importance(right, found)
    marks = [_mark("o", COMPLETE), _mark("x", GREY), _mark("v", RED), Line2D([], [], color=BEST), rule("--")]
    legend(figure, marks, ["complete", "given up (last accuracy)", "failed", "best so far", "the file as it stands"])
    return figure


def _mark(marker: str, colour: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4)


def _history(axes: Axes, found: Tuning) -> None:
    complete = sorted(found.accuracies.items())
    best = np.maximum.accumulate([accuracy for _, accuracy in complete])
    axes.step([number for number, _ in complete], 100 * best, where="post", color=BEST, linewidth=1.2)
    axes.plot([n for n, _ in complete], [100 * a for _, a in complete], "o", color=COMPLETE, markersize=3.5)
    given_up = [(row.trial, found.curves[row.trial]) for row in found.trials if row.state == "pruned"]
    axes.plot([n for n, _ in given_up], [100 * curve[-1] for _, curve in given_up], "x", color=GREY, markersize=4)
    failed = [row.trial for row in found.trials if row.state == "failed"]
    axes.plot(failed, [0.0] * len(failed), "v", color=RED, markersize=4)
    if found.as_it_stands is not None:
        axes.axhline(100 * found.as_it_stands, color=GREY, linestyle="--", linewidth=1)
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    percent_axis(axes, "validation accuracy (%)")


def _importance(axes: Axes, found: Tuning) -> None:
    if not found.importance:
        axes.set_axis_off()
        text = "\n".join(textwrap.wrap(f"importance is unknown: {found.reason}", 34))
        axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, fontsize=7.5, transform=axes.transAxes)
        return
    keys = sorted(found.importance, key=lambda key: found.importance[key])
    axes.barh(range(len(keys)), [100 * found.importance[key] for key in keys], color=COMPLETE)
    axes.set_yticks(range(len(keys)), [label(key.partition(".")[2], 26) for key in keys], fontsize=6.5)
    axes.set_xlabel("share of the variance (%)")
    axes.grid(False, axis="y")


@styled
def tuning_slices(results: Results) -> Figure:
    """Draw the accuracy of every complete trial against the value of each key, a panel a key, the best trial large."""
    wanted = [
        (loss, key, one) for loss in results.tuning for key, one in results.params.tune.of(loss).items()
    ]  # fmt: skip
    columns = min(COLUMNS, max(len(results.params.tune.of(loss)) for loss in results.tuning))
    places: list[tuple[str, str, Range] | None] = []
    for loss in results.tuning:
        own: list[tuple[str, str, Range] | None] = [entry for entry in wanted if entry[0] == loss]
        places += own + [None] * (-len(own) % columns)
    rows = len(places) // columns
    figure, grid = panels(rows, columns, 1.9 * rows + 0.4, sharey=True)
    for axes, place in zip(grid.flat, places, strict=True):
        if place is None:
            axes.set_axis_off()
            continue
        loss, key, one = place
        _slice(axes, results.tuning[loss], key, one)
        axes.set_title(loss_label(loss, 16))
        axes.set_xlabel(label(key.partition(".")[2], 26))
    for row in grid:
        percent_axis(row[0], "validation accuracy (%)")
    legend(figure, [_mark("o", COMPLETE), _mark("o", BEST)], ["a complete trial", "the best"])
    return figure


def _times(one: Range) -> float:
    """Return how many times the largest value of a range is its least."""
    low, high = one.bounds()
    return high / low


def _slice(axes: Axes, found: Tuning, key: str, one: Range) -> None:
    numbers = [number for number in sorted(found.accuracies) if key in found.values[number]]
    values: list[Any] = [found.values[number][key] for number in numbers]
    if one.values is not None:
        texts = [json.dumps(value) for value in one.values]
        values = [texts.index(json.dumps(value)) if json.dumps(value) in texts else np.nan for value in values]
        axes.set_xticks(range(len(texts)), [label(text, 12) for text in texts])
        axes.set_xlim(-0.5, len(texts) - 0.5)
    elif one.kind == "log":
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=4) if _times(one) > 30 else LogLocator(subs=(1, 3)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(3))
    if one.values is None:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    accuracies = [100 * found.accuracies[number] for number in numbers]
    axes.plot(values, accuracies, "o", color=COMPLETE, markersize=3)
    at = numbers.index(found.best)
    axes.plot(values[at], accuracies[at], "o", color=BEST, markersize=6, markeredgecolor="black", markeredgewidth=0.6)

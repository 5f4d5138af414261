"""Figures of the test: accuracies, confused words, speakers."""

import math
from typing import Any

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eventspeech.records.metrics import DEAD_TIMES, KEPT
from eventspeech.report.figures.style import (
    GREY,
    NARROW,
    WIDTH,
    dot,
    is_narrow,
    label,
    legend,
    look,
    loss_label,
    marker,
    page_width,
    panels,
    percent_axis,
    rule,
    styled,
)
from eventspeech.report.results import Results
from eventspeech.report.words import (
    KINDS,
)

DEAD_TIME_MARKS: dict[str, dict[str, Any]] = {
    kind: {"marker": "o", "markerfacecolor": "white", "markersize": 4.5} if kind == KEPT else {"marker": "."}
    for kind in DEAD_TIMES
}


@styled
def test_accuracy(results: Results) -> Figure:
    """Draw test accuracy of every seed with mean and interval, beside the logistic baseline and chance."""
    kinds = {"": ("accuracy", "all speakers"), "_heard": ("accuracy_heard", "speakers heard in training")}
    kinds["_unheard"] = ("accuracy_unheard", "speakers never heard")
    kinds = {key: value for key, value in kinds.items() if results.baseline.get(value[0]) is not None}
    crowded = len(results.losses) > 3
    names = [loss_label(loss) if crowded else loss_label(loss).replace(" ", "\n") for loss in results.losses]
    longest = max(map(len, names)) if crowded else 0
    height = 3.0 + 0.035 * max(0, longest - 12)  # inches; what slanted names beyond a dozen letters take
    figure, grid = panels(1, len(kinds), height, width=WIDTH if len(kinds) > 1 else 3.5, sharey=True)
    grid = grid[0]
    for axes, (suffix, (key, text)) in zip(grid, kinds.items(), strict=True):
        for place, loss in enumerate(results.losses):
            _dots_and_interval(axes, results, loss, place, key, f"test{suffix}")
        axes.axhline(100 * results.baseline[key], color="black", linestyle="--", linewidth=1)
        axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1)
        slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
        axes.set_xticks(range(len(results.losses)), names, **slanted)
        axes.set_xlim(-0.6, len(results.losses) - 0.4)
        axes.grid(False, axis="x")
        axes.set_title(text)
    percent_axis(grid[0], "test accuracy (%)")
    baseline = Line2D([], [], color="black", linestyle="--", linewidth=1)
    mean = Line2D([], [], color="black", marker="D", linestyle="-", markersize=4)
    interval = f"mean and {100 * results.params.compare.confidence:g} % interval"
    texts = [results.one_run, interval, "logistic regression", "chance"]
    legend(figure, [dot("#ffffff"), mean, baseline, rule(":")], texts)
    return figure


def _dots_and_interval(axes: Axes, results: Results, loss: str, place: int, key: str, measure: str) -> None:
    colour = look(results, loss)["color"]
    values = [run["metrics"][key] for run in results.of(loss)]
    known = [100 * value for value in values if value is not None]
    spread = np.linspace(-0.12, 0.12, len(known)) if len(known) > 1 else [0.0]
    axes.plot(place - 0.12 + np.array(spread), known, "o", color=colour, markeredgecolor="black", markeredgewidth=0.5)
    row = results.of_loss(loss)
    mean, low, high = (100 * row[f"{measure}_{name}"] for name in ("mean", "low", "high"))
    bars = [[mean - low], [high - mean]] if np.isfinite(low) else None
    axes.errorbar([place + 0.22], [mean], bars, fmt="D", color=colour, markersize=4, capsize=3, elinewidth=1.2)


@styled
def time_steps(results: Results) -> Figure:
    """Draw what the same weights do at other time steps: accuracy, spikes and predictions that stay.

    Each loss has a line for every kind of dead time.
    """
    shown = {
        "accuracy": "test accuracy (%)",
        "hidden_spikes": "hidden spikes\nper neuron and trial",
        "agreement": "predictions as at\nthe trained step (%)",
    }
    figure, grid = panels(1, len(shown), 2.9)
    for axes, (measure, text) in zip(grid[0], shown.items(), strict=True):
        scale = 1 if measure == "hidden_spikes" else 100
        for loss in results.compared:
            style = look(results, loss)
            for kind, mark in DEAD_TIME_MARKS.items():
                rows = results.at_steps(loss, kind)
                mean, low, high = (scale * rows[f"{measure}_{name}"] for name in ("mean", "low", "high"))
                axes.plot(rows["step_ms"], mean, **style, **mark)
                axes.fill_between(rows["step_ms"], low, high, color=style["color"], alpha=0.15, lw=0)
            at = rows["trained"] == 1
            axes.plot(rows["step_ms"][at], mean[at], "D", color=style["color"], markeredgecolor="black", markersize=5)
        if measure == "accuracy":
            axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1)
        axes.set_xscale("log")
        steps_ms = sorted(set(results.compare["steps"]["step_ms"]))
        axes.set_xticks(steps_ms, [f"{step_ms:g}" for step_ms in steps_ms])
        axes.set_xticks([], minor=True)
        axes.set(xlabel="time step (ms)", ylabel=text)
        axes.set_ylim(0, 102 if scale == 100 else None)
    marks = [*(Line2D([], [], **look(results, loss)) for loss in results.compared), rule(":")]
    trained = Line2D([], [], color="white", marker="D", linestyle="", markeredgecolor="black", markersize=5)
    kinds = [Line2D([], [], color="black", linestyle="", **mark) for mark in DEAD_TIME_MARKS.values()]
    texts = [f"dead time {words}" for words in DEAD_TIMES.values()]
    named = [*map(loss_label, results.compared), "chance", "trained step", *texts]
    legend(figure, [*marks, trained, *kinds], named, most=4)
    return figure


@styled
def confusion(results: Results, loss: str) -> Figure:
    """Draw the confusion matrix of a loss, counts summed over seeds, as percent of each spoken word."""
    counts = sum(run["confusion"] for run in results.of(loss))
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    side = float(np.clip(1.6 + 0.21 * len(counts), 3.0, NARROW if is_narrow() else 9.0))
    cell = 72 * 0.75 * side / len(counts)  # points
    numbers = [[f"{value:.0f}" if value >= 0.5 else "" for value in row] for row in percent]
    figure = Figure(figsize=(side if is_narrow() else side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    seaborn.heatmap(
        percent, ax=axes, cmap="Blues", vmin=0, vmax=100, square=True, annot=np.array(numbers) if cell > 6 else None,
        annot_kws={"fontsize": min(5.2, 0.45 * cell)}, fmt="", xticklabels=False, yticklabels=False,
        cbar_kws={"label": "share of the spoken word (%)", "shrink": 0.75},
    )  # fmt: skip
    every = max(1, math.ceil(5 / cell))  # beyond some hundred words only some can be named
    places, names = np.arange(len(counts))[::every] + 0.5, [label(name) for name in results.classes[::every]]
    size = float(np.clip(0.8 * cell, 4, 7))
    axes.set_xticks(places, names, rotation=90, fontsize=size)
    axes.set_yticks(places, names, rotation=0, fontsize=size)
    axes.set(xlabel="predicted word", ylabel="spoken word")
    seeds, folds = len(results.seeds), len(results.folds)
    jobs = f"{seeds} seed{'s' if seeds > 1 else ''}" + (f", {folds} folds" if folds > 1 else "")
    axes.set_title(f"{loss_label(loss)}: {counts.sum()} tests ({jobs})")
    return figure


@styled
def speakers(results: Results) -> Figure:
    """Draw test accuracy by speaker, a dot a loss (mean over seeds), those heard in training left of the others."""
    kinds = {name: KINDS[kind] for name, kind in results.speaker_kinds().items()}
    names = sorted(kinds, key=lambda name: (list(KINDS.values()).index(kinds[name]), _natural(name)))
    figure, grid = panels(1, 1, 2.9)
    axes = grid[0, 0]
    offsets = np.linspace(-0.2, 0.2, len(results.compared)) if len(results.compared) > 1 else [0.0]
    for loss, offset in zip(results.compared, offsets, strict=True):
        ranges = [[100 * value for value in results.of_speaker(name, results.of(loss))] for name in names]
        means = [np.mean(values) for values in ranges]
        places = np.arange(len(names)) + offset
        colour = look(results, loss)["color"]
        axes.vlines(places, [min(r) for r in ranges], [max(r) for r in ranges], color=colour, linewidth=1)
        axes.plot(
            places,
            means,
            marker(results, loss),
            color=colour,
            label=loss_label(loss),
            markeredgecolor="black",
            markeredgewidth=0.4,
        )
    bars = [100 * np.mean(results.of_speaker(name, list(results.baselines.values()))) for name in names]
    axes.plot(range(len(names)), bars, "_", color="black", markersize=18, label="logistic regression")
    axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1, label="chance")
    for kind, shade in zip(KINDS.values(), ("white", "#eef2f6", "#f3efe2"), strict=True):
        places = [place for place, name in enumerate(names) if kinds[name] == kind]
        if places:
            axes.axvspan(places[0] - 0.5, places[-1] + 0.5, color=shade, zorder=0)
            middle = (places[0] + places[-1]) / 2
            high = 1.08 if is_narrow() and kind == KINDS["validation"] else 1  # beside it there is no room
            axes.text(middle, high, kind, ha="center", va="bottom", fontsize=6.5, transform=axes.get_xaxis_transform())
    every = math.ceil(len(names) / 120)
    shown = [label(name, 16) for name in names[::every]]
    upright = len(shown) * (1 + max(map(len, shown))) > 15 * page_width()  # letters that a line has room for
    size = float(np.clip(57 * page_width() / len(shown), 4, 7.5))
    if upright:
        figure.set_size_inches(page_width(), 2.9 + 0.06 * max(map(len, shown)))
    axes.set_xticks(range(0, len(names), every), shown, rotation=90 if upright else 0, fontsize=size)
    axes.set(xlabel="speaker of the test split", xlim=(-0.5, len(names) - 0.5))
    axes.grid(False, axis="x")
    percent_axis(axes, "test accuracy (%)")
    legend(figure, *axes.get_legend_handles_labels())
    return figure


def _natural(name: str) -> tuple:
    digits = "".join(filter(str.isdigit, name))
    return (int(digits) if digits else math.inf, name)

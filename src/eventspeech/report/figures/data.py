"""Figures of what goes in and what comes out: weightings, input spikes, one sample through the trained networks."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from eventspeech import losses
from eventspeech.params import WEIGHTED
from eventspeech.report.figures.style import (
    GREY,
    RED,
    WIDTH,
    is_narrow,
    label,
    legend,
    look,
    loss_label,
    panels,
    raster,
    styled,
)
from eventspeech.report.results import Results
from eventspeech.report.words import (
    WITHOUT_WEIGHT,
)


@styled
def weightings(results: Results) -> Figure:
    """Draw w(x) of the study's losses, with the mean weight in the legend; losses without a weight are named there."""
    figure, grid = panels(1, 1, 2.8, width=4.6)
    axes = grid[0, 0]
    x = np.linspace(0, 1, 501)
    drawn = _with_own_shape(results)
    for loss in drawn:
        shape = results.params.shape[loss]
        mean = losses.mean_weight(shape)
        if mean is None:
            axes.plot([], [], " ", label=f"{loss_label(loss)} (no weight: {WITHOUT_WEIGHT[shape.kind]})")
        else:
            name = f"{loss_label(loss)}, at its start" if loss in results.learned else loss_label(loss)
            axes.plot(x, losses.weight(shape, x), label=f"{name} (mean {mean:.3f})", **look(results, loss))
    axes.set(xlabel="time in the trial, x = t / T", ylabel="weight w(x) of the output voltage", xlim=(0, 1))
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    # names of what has no weight are long
    short = all(results.params.shape[loss].kind in WEIGHTED for loss in drawn)
    marks, texts = axes.get_legend_handles_labels()
    legend(figure, marks, texts, most=2 if short else 1)
    return figure


@styled
def learned_weights(results: Results) -> Figure:
    """Draw what each learned weight became, a panel a loss, a line a run, beside its start and two fixed ones."""
    count = len(results.learned)
    columns = 1 if is_narrow() else min(2, count)
    rows = math.ceil(count / columns)
    figure, grid = panels(
        rows, columns, 2.2 * rows + 0.6, width=WIDTH if columns > 1 else 4.6, sharex=True, sharey=True
    )
    for axes in grid[:, 0]:
        axes.set_ylabel("weight w(x)")
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    x = np.linspace(0, 1, 501)
    fixed: dict[str, Literal["--", ":"]] = {"exponential": "--", "Gaussian": ":"}
    for axes, loss in zip(grid.flat, results.learned, strict=False):
        for w in results.weights_learned(loss, x):
            axes.plot(x, w, color=look(results, loss)["color"], linewidth=0.9, alpha=0.85)
        axes.plot(x, losses.weight(results.params.shape[loss], x), color="black", linewidth=1.4)
        for name, shape in results.fixed_weights(loss).items():
            axes.plot(x, losses.weight(shape, x), color=GREY, linestyle=fixed[name], linewidth=1.1)
        axes.set(title=loss_label(loss), xlabel="time in the trial, x = t / T", xlim=(0, 1))
    grid[0, 0].set_ylim(bottom=0)
    marks = [Line2D([], [], color=look(results, results.learned[0])["color"], linewidth=0.9)]
    marks += [Line2D([], [], color="black", linewidth=1.4)]
    marks += [Line2D([], [], color=GREY, linestyle=style, linewidth=1.1) for style in fixed.values()]
    texts = [results.one_run, "its start", *(f"{name} of the same mean" for name in fixed)]
    legend(figure, marks, texts, most=2)
    return figure


def _with_own_shape(results: Results) -> list[str]:
    """Return the losses but for entries of an ablation that have the weight of a loss before them."""
    shapes = {
        loss: results.params.shape[loss].model_copy(update={"changes": None, "tuned": None}) for loss in results.losses
    }
    return [
        loss
        for place, loss in enumerate(results.losses)
        if loss in results.compared or shapes[loss] not in list(shapes.values())[:place]
    ]


@styled
def inputs(results: Results) -> Figure:
    """Draw input spikes of several words (columns) and speakers (rows) of the training split."""
    data = results.training_store
    words = np.unique(data.labels)
    words = words[np.linspace(0, len(words) - 1, min(4, len(words))).astype(int)]
    speakers = np.unique(data.speakers)
    speakers = speakers[np.linspace(0, len(speakers) - 1, min(2, len(speakers))).astype(int)]
    figure, grid = panels(len(speakers), len(words), 1.5 * len(speakers) + 0.6, sharex=True, sharey=True)
    for row, speaker in zip(grid, speakers, strict=True):
        for axes, word in zip(row, words, strict=True):
            found = np.flatnonzero((data.labels == word) & (data.speakers == speaker))
            axes.set_title(
                f"{label(data.class_names[word], 14)}, speaker {label(data.speaker_names[speaker], 10)}", fontsize=7.5
            )
            axes.grid(False)
            if len(found):
                times, channels = data.sample(int(found[0]))
                raster(axes, times, channels)
            else:
                axes.text(0.5, 0.5, "no recording", transform=axes.transAxes, ha="center", color=GREY)
    grid[0, 0].set(xlim=(0, data.trial_ms), ylim=(0, 700))
    grid[0, 0].set_yticks([0, 350, 700])
    figure.supxlabel("time in the trial (ms)", fontsize=8)
    figure.supylabel("cochlea channel", fontsize=8)
    return figure


@styled
def example(results: Results) -> Figure:
    """Draw input, hidden spikes and output voltages of one test sample, a column a loss (seed: the first)."""
    shown = results.losses[:3]
    figure, grid = panels(3, len(shown), 4.6, by_columns=True, sharex=True, sharey="row", height_ratios=[1, 1, 1.3])
    trial = max(float(results.examples[loss]["trial_ms"]) for loss in shown)
    for column, loss in zip(grid.T, shown, strict=True):
        _example_column(column, results, loss)
        for axes in column:
            axes.axvline(trial, color="black", linewidth=0.8)
            axes.axvspan(trial, 1.07 * trial, color="#dddddd", linewidth=0)
            axes.grid(False)
    for axes, text in zip(grid[:, 0], ("input channel", "hidden neuron", "output voltage"), strict=True):
        axes.set_ylabel(text)
    for axes in grid[-1]:
        axes.set_xlabel("time in the trial (ms)")
    grid[0, 0].set_xlim(0, 1.07 * trial)
    marks: list[Artist] = [Line2D([], [], color="black"), Line2D([], [], color=RED, linestyle="--")]
    marks += [Line2D([], [], color="#c8c8c8"), Patch(color="#dddddd")]
    texts = ["output of the spoken word", "of the predicted word, if another", "other outputs", "after the trial"]
    legend(figure, marks, texts)
    return figure


def _example_column(column: Sequence[Axes], results: Results, loss: str) -> None:
    data = results.examples[loss]
    names, actual, predicted = data["class_names"], int(data["labels"][0]), int(data["predictions"][0])
    for axes, kind, unit in ((column[0], "input", "channels"), (column[1], "hidden", "units")):
        events = slice(*data[f"{kind}_offsets"][:2])
        raster(axes, data[f"{kind}_times_ms"][events], data[f"{kind}_{unit}"][events], "black")
    voltage = data["output_voltage"][0]
    times = np.arange(len(voltage)) * float(data["step_ms"])
    column[2].plot(times, np.delete(voltage, [actual, predicted], axis=1), color="#c8c8c8", linewidth=0.6,
                   rasterized=True)  # fmt: skip
    if predicted != actual:
        column[2].plot(times, voltage[:, predicted], color=RED, linewidth=1.1, linestyle="--")
    column[2].plot(times, voltage[:, actual], color="black", linewidth=1.2)
    spoken, heard = (label(names[place], 14) for place in (actual, predicted))
    column[0].set_title(f"{loss_label(loss)}\n“{spoken}”, predicted “{heard}”")

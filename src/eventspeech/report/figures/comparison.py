"""Figures of paired differences from the reference."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eventspeech.report.figures.style import (
    BETTER,
    GREY,
    WORSE,
    dot,
    is_narrow,
    legend,
    loss_label,
    panels,
    sentence,
    styled,
    verdict_colour,
)
from eventspeech.report.results import Results, ablation_measures, ablation_order
from eventspeech.report.words import measure_name, verdict

if TYPE_CHECKING:
    import pandas


@styled
def differences(results: Results) -> Figure:
    """Draw paired differences from the reference with intervals (a forest plot) and the verdict of each."""
    table = results.compare["differences"]
    early = int(results.compare_summary["early_epochs"])
    by_loss = {
        loss: table[table["loss"] == loss] for loss in results.compared if loss != results.params.compare.reference
    }
    if not by_loss:
        return sentence("one loss in the study: nothing to compare")
    rows = max(len(rows) for rows in by_loss.values())
    height = 0.26 * rows * len(by_loss) + 0.9
    figure, grid = panels(len(by_loss), 2, height, width_ratios=[1.6, 1], sharex="col", by_columns=True)
    for (left, right), (loss, rows_of_loss) in zip(grid, by_loss.items(), strict=True):
        points = rows_of_loss["unit"] == "fraction"
        _forest(left, rows_of_loss[points], 100.0, early)
        _forest(right, rows_of_loss[~points], 1.0, early)
        between = "\nminus " if is_narrow() else " minus "
        left.set_title(f"{loss_label(loss)}{between}{loss_label(results.params.compare.reference)}")
        right.set_title(left.get_title("left") if is_narrow() else "")
    if not np.isfinite(table.loc[table["unit"] == "epochs", "mean"]).any():
        grid[-1, 1].set_xticks([])
    grid[-1, 0].set_xlabel("difference (points)" if is_narrow() else "difference of accuracy (percentage points)")
    grid[-1, 1].set_xlabel("difference (epochs)")
    return figure


def _forest(axes: Axes, rows: "pandas.DataFrame", scale: float, early: int) -> None:
    names = []
    for place, (_, row) in enumerate(rows.iterrows()):
        names.append(measure_name(row["measure"], early))
        if not np.isfinite(row["mean"]):
            reason = "no pair reached it" if row["unit"] == "epochs" else "no such speakers in the test split"
            axes.text(0.5, place, reason, ha="center", va="center", fontsize=6.5, color=GREY,
                      transform=axes.get_yaxis_transform())  # fmt: skip
            continue
        mean, low, high = (scale * row[name] for name in ("mean", "low", "high"))
        bars = [[mean - low], [high - mean]] if np.isfinite(low) else None
        text = verdict(row)
        colour = verdict_colour(text)
        filled = "white" if row["verdict"] == "undecided" else colour
        axes.errorbar([mean], [place], xerr=bars, fmt="o", color=colour, markerfacecolor=filled, capsize=2.5,
                      elinewidth=1.2)  # fmt: skip
        axes.text(1.01, place, text, va="center", fontsize=6.5, color=colour, transform=axes.get_yaxis_transform())
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")


@styled
def ablation(results: Results) -> Figure:
    """Draw paired differences of an ablation's entries from the reference, a row an entry, a panel a measure.

    Thick intervals are over seeds, thin ones over folds; those over few folds may end outside the panel.
    """
    names, early = ablation_order(results), int(results.compare_summary["early_epochs"])
    measures = ablation_measures(results)
    figure, grid = panels(1, len(measures), 0.24 * len(names) + 1.2, sharey=True)
    for axes, measure in zip(grid[0], measures, strict=True):
        ends = []
        for place, loss in enumerate(names):
            row = results.difference(loss, measure)
            bounds = _ablation_row(axes, row, place)
            ends += [abs(value) for value in bounds if np.isfinite(value)]
        axes.axvline(0, color="black", linewidth=0.8, zorder=1)
        axes.set_title(measure_name(measure, early))
        unit = "points" if is_narrow() else "percentage points"
        axes.set_xlabel(f"minus {loss_label(results.params.compare.reference, 16)} ({unit})")
        axes.set_xlim(-1.12 * max(ends, default=1), 1.12 * max(ends, default=1))
        axes.grid(False, axis="y")
    grid[0, 0].set_yticks(range(len(names)), [loss_label(loss) for loss in names])
    grid[0, 0].set_ylim(len(names) - 0.4, -0.6)
    confidence = f"{100 * results.params.compare.confidence:g} % interval over"
    marks, texts = [Line2D([], [], color=GREY, linewidth=2.2)], [f"{confidence} seeds"]
    if len(results.folds) > 1:
        marks, texts = [*marks, Line2D([], [], color=GREY, linewidth=0.7)], [*texts, "over folds"]
    marks += [dot("white"), dot(BETTER), dot(WORSE)]
    legend(figure, marks, [*texts, "undecided", "helps", "harms"])
    return figure


def _ablation_row(axes: Axes, row: "pandas.Series", place: int) -> list[float]:
    """Draw one difference; return in percentage points what has to be seen of it."""
    mean, low, high, lowest, highest = (
        100 * row[name] for name in ("mean", "low", "high", "low_over_folds", "high_over_folds")
    )
    colour = verdict_colour(verdict(row))
    axes.hlines(place, lowest, highest, color=colour, linewidth=0.7)
    axes.hlines(place, low, high, color=colour, linewidth=2.2)
    filled = "white" if row["verdict"] == "undecided" else colour
    axes.plot(mean, place, "o", color=colour, markerfacecolor=filled, markersize=4.5)
    return [mean, low, high]

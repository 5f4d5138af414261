"""Figures of learning, epoch by epoch."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from eventspeech.report.figures.style import (
    GREY,
    WIDTH,
    dot,
    is_narrow,
    label,
    legend,
    look,
    loss_label,
    panels,
    percent_axis,
    rule,
    styled,
)  # fmt: skip
from eventspeech.report.results import Results
from eventspeech.report.words import HELD_OUT


@styled
def training_curves(results: Results) -> Figure:
    """Draw validation accuracy by epoch, a panel a loss, every seed a thin line, its maximum a dot."""
    figure, grid = _panels(results, len(results.losses))
    for axes, loss in zip(grid, results.losses, strict=True):
        colour = look(results, loss)["color"]
        for run in results.of(loss):
            accuracy = 100 * run["history"]["validation_accuracy"]
            axes.plot(run["history"]["epoch"], accuracy, color=colour, linewidth=0.8, alpha=0.75)
            best = run["summary"]["best_epoch"]
            axes.plot(best, accuracy[best - 1], "o", color=colour, markeredgecolor="black", markeredgewidth=0.6)
        axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1)
        axes.set_title(loss_label(loss))
        best = max((run["summary"] for run in results.of(loss)), key=_best_validation)
        where = f"seed {best['seed']}, " + (f"fold {label(best['fold'], 10)}, " if len(results.folds) > 1 else "")
        text = f"maximum {100 * _best_validation(best):.1f} %\n{where}epoch {best['best_epoch']}"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        axes.text(0.97, 0.12, text, ha="right", va="bottom", fontsize=7.5, bbox=box, transform=axes.transAxes)
    marks = [Line2D([], [], color="black", linewidth=0.8), dot("#ffffff"), rule(":")]
    legend(figure, marks, [results.one_run, "its best epoch", "chance"])
    return figure


def _best_validation(summary: dict) -> float:
    return summary["best_validation_accuracy"]


def _panels(results: Results, count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels of validation accuracy by epoch."""
    epochs = max(len(run["history"]["epoch"]) for run in results.runs.values())
    columns = min(3, count)
    rows = math.ceil(count / columns)
    if is_narrow():
        rows, columns = count, 1
    width = WIDTH if columns > 1 else 4.0
    figure, grid = panels(rows, columns, 2.3 * rows + 0.4, width=width, sharex=True, sharey=True)
    for axes, above in zip(grid.flat[count:], grid.flat[count - columns :], strict=False):
        axes.set_visible(False)
        above.tick_params(labelbottom=True)  # the lowest of its column
    for axes in grid[:, 0]:
        percent_axis(axes, "validation accuracy (%)")
    for axes in grid.flat[:count]:
        axes.set(xlabel="epoch", xlim=(0.5, epochs + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure, list(grid.flat[:count])


@styled
def mean_curves(results: Results) -> Figure:
    """Draw mean validation accuracy over seeds with intervals: losses as they are, and at equal mean weight."""
    reference = results.params.compare.reference
    others = [loss for loss in results.compared if loss != reference]
    matched = [loss for loss in others if results.same_mean_weight(loss)]
    raw = [loss for loss in others if loss not in matched]
    groups = {"weights as they are": raw, "weights of equal mean": matched}
    shown = [(text, [reference, *members]) for text, members in groups.items() if members]
    shown += [(loss_label(loss), [reference, loss]) for loss in results.ablated]
    shown = shown or [("", [reference])]
    figure, grid = _panels(results, len(shown))
    table = results.compare["curves"]
    for axes, (text, members) in zip(grid, shown, strict=True):
        for loss in members:
            rows = table[table["loss"] == loss]
            style = look(results, loss)
            axes.plot(rows["epoch"], 100 * rows["mean"], **style)
            low, high = 100 * rows["low"], 100 * rows["high"]
            axes.fill_between(rows["epoch"], low, high, color=style["color"], alpha=0.18, lw=0)
        axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1)
        axes.set_title(text)
    marks = [*(Line2D([], [], **look(results, loss)) for loss in results.compared), rule(":")]
    texts = [*map(loss_label, results.compared), "chance"]
    legend(figure, marks, texts)
    return figure


@styled
def generalisation(results: Results) -> Figure:
    """Draw training accuracy (dashed) against validation accuracy (solid), means over seeds, a panel a loss."""
    figure, grid = _panels(results, len(results.losses))
    for axes in grid:
        if axes.get_ylabel():
            axes.set_ylabel("accuracy (%)")
    table = results.compare["curves"]
    for axes, loss in zip(grid, results.losses, strict=True):
        rows = table[table["loss"] == loss]
        colour = look(results, loss)["color"]
        axes.plot(rows["epoch"], 100 * rows["mean"], color=colour)
        axes.plot(rows["epoch"], 100 * rows["training_mean"], color=colour, linestyle="--", linewidth=1.2)
        axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1)
        axes.set_title(loss_label(loss))
    marks = [Line2D([], [], color="black"), Line2D([], [], color="black", linestyle="--", linewidth=1.2), rule(":")]
    texts = [f"validation ({HELD_OUT[results.params.validation.protocol]})", "training", "chance"]
    legend(figure, marks, texts)
    return figure


@styled
def activity(results: Results) -> Figure:
    """Draw hidden spikes per neuron and trial, and mean training loss, by epoch, every seed a thin line."""
    figure, grid = panels(1, 2, 2.7)
    left, right = grid[0]
    for loss in results.compared:
        for run in results.of(loss):
            history = run["history"]
            style = look(results, loss) | {"linewidth": 0.9, "alpha": 0.85}
            left.plot(history["epoch"], history["hidden_spikes"], **style)
            right.plot(history["epoch"], history["training_loss"], **style)
    left.set(xlabel="epoch", ylabel="hidden spikes\nper neuron and trial")
    right.set(xlabel="epoch", ylabel="training loss (nats)")
    for axes in (left, right):
        axes.update_datalim([(1, 0)])  # from 0, with the margin above that belongs to such a range
        axes.autoscale_view()
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    marks = [Line2D([], [], **look(results, loss)) for loss in results.compared]
    legend(figure, marks, list(map(loss_label, results.compared)))
    return figure

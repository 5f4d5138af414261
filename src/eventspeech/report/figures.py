"""The figures of the report: plain functions from results to matplotlib figures, nothing computed that a file holds.

Every figure carries the data set's label when the data is not SHD or SSC. A loss has one colour and one line style
throughout (colours of Okabe and Ito, told apart by colour-blind readers and, by the line style, in black and white).
"""

import functools
import io
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from eventspeech import losses
from eventspeech.files import atomic_path
from eventspeech.params import WEIGHTED
from eventspeech.records.measurement import is_valid
from eventspeech.report.results import Results

STYLE = Path(__file__).with_name("study.mplstyle")
WIDTH = 7.0
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
DEVICES = {"cpu": ("#444444", "s"), "cuda": ("#882255", "o")}
GREY = "#777777"
RED = "#B00020"
BETTER, WORSE = "#009E73", "#D55E00"

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


def _figure(function: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the report's style and print the data set's label above the figure."""

    @functools.wraps(function)
    def styled(results: Results, *arguments: object) -> Figure:
        with matplotlib.rc_context(fname=STYLE):
            figure = function(results, *arguments)
            if results.label:
                height = figure.get_size_inches()[1]
                figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.2 / height))
                figure.text(0.995, 1 - 0.04 / height, results.label, ha="right", va="top", fontsize=6.5, color=RED)
            # one layout for all formats: it costs more than drawing
            figure.get_layout_engine().execute(figure)
            figure.set_layout_engine("none")
        return figure

    return styled


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write a figure in every format, without dates, so that equal results give equal files."""
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    written = []
    with matplotlib.rc_context(fname=STYLE):
        for suffix in formats:
            path = Path(folder) / f"{name}.{suffix}"
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=suffix, metadata=dates[suffix])
            written.append(path)
    return written


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, to be embedded in the page."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(fname=STYLE):
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def look(results: Results, loss: str) -> dict[str, object]:
    """Return colour and line style of a loss, by its place in the study; a colour that returns has another line."""
    again, place = divmod(results.losses.index(loss), len(COLOURS))
    return {"color": COLOURS[place], "linestyle": LINES[(place + again) % len(LINES)]}


def title(loss: str) -> str:
    """Return a loss's name as a reader writes it."""
    return loss.replace("_", " ")


def _percent_axis(axes: Axes, label: str, low: float = 0.0) -> None:
    axes.set(ylabel=label, ylim=(100 * low, 102))


WITHOUT_WEIGHT = {"max": "maximum of the voltage", "first_spike": "time of the first spike"}


@_figure
def weightings(results: Results) -> Figure:
    """Draw w(x) of the study's losses, with the mean weight in the legend; losses without a weight are named there."""
    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.subplots()
    x = np.linspace(0, 1, 501)
    drawn = _with_own_shape(results)
    for loss in drawn:
        shape = results.params.shape[loss]
        mean = losses.mean_weight(shape)
        if mean is None:
            axes.plot([], [], " ", label=f"{title(loss)} (no weight: {WITHOUT_WEIGHT[shape.kind]})")
        else:
            axes.plot(x, losses.weight(shape, x), label=f"{title(loss)} (mean {mean:.3f})", **look(results, loss))
    axes.set(xlabel="time in the trial, x = t / T", ylabel="weight w(x) of the output voltage", xlim=(0, 1))
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    # names of what has no weight are long
    short = all(results.params.shape[loss].kind in WEIGHTED for loss in drawn)
    figure.legend(loc="outside lower center", ncols=2 if short else 1)
    return figure


def _with_own_shape(results: Results) -> list[str]:
    """Return the losses but for entries of an ablation that have the weight of a loss before them."""
    shapes = {loss: results.params.shape[loss].model_copy(update={"changes": None}) for loss in results.losses}
    return [
        loss
        for place, loss in enumerate(results.losses)
        if loss in results.compared or shapes[loss] not in list(shapes.values())[:place]
    ]


@_figure
def inputs(results: Results) -> Figure:
    """Draw input spikes of several words (columns) and speakers (rows) of the training split."""
    data = results.training_store
    words = np.unique(data.labels)
    words = words[np.linspace(0, len(words) - 1, min(4, len(words))).astype(int)]
    speakers = np.unique(data.speakers)
    speakers = speakers[np.linspace(0, len(speakers) - 1, min(2, len(speakers))).astype(int)]
    size = (WIDTH, 1.5 * len(speakers) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(speakers), len(words), sharex=True, sharey=True, squeeze=False)
    for row, speaker in zip(grid, speakers, strict=True):
        for axes, word in zip(row, words, strict=True):
            found = np.flatnonzero((data.labels == word) & (data.speakers == speaker))
            axes.set_title(f"{data.class_names[word]}, speaker {data.speaker_names[speaker]}", fontsize=7.5)
            axes.grid(False)
            if len(found):
                times, channels = data.sample(int(found[0]))
                _raster(axes, times, channels)
            else:
                axes.text(0.5, 0.5, "no recording", transform=axes.transAxes, ha="center", color=GREY)
    grid[0, 0].set(xlim=(0, data.trial_ms), ylim=(0, 700))
    grid[0, 0].set_yticks([0, 350, 700])
    figure.supxlabel("time in the trial (ms)", fontsize=8)
    figure.supylabel("cochlea channel", fontsize=8)
    return figure


def _raster(axes: Axes, times: np.ndarray, units: np.ndarray, colour: str = "black") -> None:
    # drawn as pixels also in vector formats: ten thousand dots would make them slow to open
    size = float(np.clip(2500 / max(1, len(times)), 0.25, 3.0))
    axes.scatter(times, units, s=size, color=colour, linewidths=0, rasterized=True)


@_figure
def example(results: Results) -> Figure:
    """Draw input, hidden spikes and output voltages of one test sample, a column a loss (seed: the first)."""
    shown = results.losses[:3]
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    grid = figure.subplots(3, len(shown), sharex=True, sharey="row", squeeze=False, height_ratios=[1, 1, 1.3])
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
    marks = [Line2D([], [], color="black"), Line2D([], [], color=RED, linestyle="--")]
    marks += [Line2D([], [], color="#c8c8c8"), Patch(color="#dddddd")]
    texts = ["output of the spoken word", "of the predicted word, if another", "other outputs", "after the trial"]
    figure.legend(marks, texts, loc="outside lower center", ncols=4)
    return figure


def _example_column(column: Sequence[Axes], results: Results, loss: str) -> None:
    data = results.examples[loss]
    names, actual, predicted = data["class_names"], int(data["labels"][0]), int(data["predictions"][0])
    for axes, kind, unit in ((column[0], "input", "channels"), (column[1], "hidden", "units")):
        events = slice(*data[f"{kind}_offsets"][:2])
        _raster(axes, data[f"{kind}_times_ms"][events], data[f"{kind}_{unit}"][events], "black")
    voltage = data["output_voltage"][0]
    times = np.arange(len(voltage)) * float(data["step_ms"])
    column[2].plot(times, np.delete(voltage, [actual, predicted], axis=1), color="#c8c8c8", linewidth=0.6,
                   rasterized=True)  # fmt: skip
    if predicted != actual:
        column[2].plot(times, voltage[:, predicted], color=RED, linewidth=1.1, linestyle="--")
    column[2].plot(times, voltage[:, actual], color="black", linewidth=1.2)
    column[0].set_title(f"{title(loss)}\n“{names[actual]}”, predicted “{names[predicted]}”")


@_figure
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
        axes.set_title(title(loss))
        best = max((run["summary"] for run in results.of(loss)), key=_best_validation)
        where = f"seed {best['seed']}, " + (f"fold {best['fold']}, " if len(results.folds) > 1 else "")
        text = f"maximum {100 * _best_validation(best):.1f} %\n{where}epoch {best['best_epoch']}"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        axes.text(0.97, 0.12, text, ha="right", va="bottom", fontsize=7.5, bbox=box, transform=axes.transAxes)
    marks = [Line2D([], [], color="black", linewidth=0.8), _dot("#ffffff"), _rule(":")]
    figure.legend(marks, [results.one_run, "its best epoch", "chance"], loc="outside lower center", ncols=3)
    return figure


def _best_validation(summary: dict) -> float:
    return summary["best_validation_accuracy"]


def _dot(colour: str) -> Line2D:
    return Line2D([], [], color=colour, marker="o", linestyle="", markeredgecolor="black", markeredgewidth=0.6)


def _rule(style: str) -> Line2D:
    return Line2D([], [], color=GREY, linestyle=style, linewidth=1)


def _panels(results: Results, count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels of validation accuracy by epoch."""
    epochs = max(len(run["history"]["epoch"]) for run in results.runs.values())
    columns = min(3, count)
    rows = math.ceil(count / columns)
    width = WIDTH if columns > 1 else 4.0
    figure = Figure(figsize=(width, 2.3 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        _percent_axis(axes, "validation accuracy (%)")
    for axes in grid.flat[:count]:
        axes.set(xlabel="epoch", xlim=(0.5, epochs + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure, list(grid.flat[:count])


@_figure
def mean_curves(results: Results) -> Figure:
    """Draw mean validation accuracy over seeds with intervals: losses as they are, and at equal mean weight."""
    reference = results.params.compare.reference
    others = [loss for loss in results.compared if loss != reference]
    matched = [loss for loss in others if results.same_mean_weight(loss)]
    raw = [loss for loss in others if loss not in matched]
    groups = {"weights as they are": raw, "weights of equal mean": matched}
    groups = {text: [reference, *members] for text, members in groups.items() if members}
    groups |= {title(loss): [reference, loss] for loss in results.ablated}
    groups = groups or {"": [reference]}
    figure, grid = _panels(results, len(groups))
    table = results.compare["curves"]
    for axes, (text, members) in zip(grid, groups.items(), strict=True):
        for loss in members:
            rows = table[table["loss"] == loss]
            style = look(results, loss)
            axes.plot(rows["epoch"], 100 * rows["mean"], **style)
            low, high = 100 * rows["low"], 100 * rows["high"]
            axes.fill_between(rows["epoch"], low, high, color=style["color"], alpha=0.18, lw=0)
        axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1)
        axes.set_title(text)
    marks = [*(Line2D([], [], **look(results, loss)) for loss in results.compared), _rule(":")]
    texts = [*map(title, results.compared), "chance"]
    figure.legend(marks, texts, loc="outside lower center", ncols=min(5, len(marks)))
    return figure


@_figure
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
        axes.set_title(title(loss))
    marks = [Line2D([], [], color="black"), Line2D([], [], color="black", linestyle="--", linewidth=1.2), _rule(":")]
    texts = [f"validation ({HELD_OUT[results.params.validation.protocol]})", "training", "chance"]
    figure.legend(marks, texts, loc="outside lower center", ncols=3)
    return figure


@_figure
def activity(results: Results) -> Figure:
    """Draw hidden spikes per neuron and trial, and mean training loss, by epoch, every seed a thin line."""
    figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    for loss in results.compared:
        for run in results.of(loss):
            history = run["history"]
            style = look(results, loss) | {"linewidth": 0.9, "alpha": 0.85}
            left.plot(history["epoch"], history["hidden_spikes"], **style)
            right.plot(history["epoch"], history["training_loss"], **style)
    left.set(xlabel="epoch", ylabel="hidden spikes\nper neuron and trial")
    left.set_ylim(bottom=0)
    right.set(xlabel="epoch", ylabel="training loss (nats)")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlim(left=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    marks = [Line2D([], [], **look(results, loss)) for loss in results.compared]
    figure.legend(marks, [title(loss) for loss in results.compared], loc="outside lower center", ncols=4)
    return figure


@_figure
def test_accuracy(results: Results) -> Figure:
    """Draw test accuracy of every seed with mean and interval, beside the logistic baseline and chance."""
    kinds = {"": ("accuracy", "all speakers"), "_heard": ("accuracy_heard", "speakers heard in training")}
    kinds["_unheard"] = ("accuracy_unheard", "speakers never heard")
    kinds = {key: value for key, value in kinds.items() if results.baseline.get(value[0]) is not None}
    figure = Figure(figsize=(WIDTH if len(kinds) > 1 else 3.5, 3.0), layout="constrained")
    grid = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, (suffix, (key, text)) in zip(grid, kinds.items(), strict=True):
        for place, loss in enumerate(results.losses):
            _dots_and_interval(axes, results, loss, place, key, f"test{suffix}")
        axes.axhline(100 * results.baseline[key], color="black", linestyle="--", linewidth=1)
        axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1)
        crowded = len(results.losses) > 3
        names = [title(loss) if crowded else title(loss).replace(" ", "\n") for loss in results.losses]
        slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
        axes.set_xticks(range(len(results.losses)), names, **slanted)
        axes.set_xlim(-0.6, len(results.losses) - 0.4)
        axes.grid(False, axis="x")
        axes.set_title(text)
    _percent_axis(grid[0], "test accuracy (%)")
    baseline = Line2D([], [], color="black", linestyle="--", linewidth=1)
    mean = Line2D([], [], color="black", marker="D", linestyle="-", markersize=4)
    interval = f"mean and {100 * results.params.compare.confidence:g} % interval"
    texts = [results.one_run, interval, "logistic regression", "chance"]
    figure.legend([_dot("#ffffff"), mean, baseline, _rule(":")], texts, loc="outside lower center", ncols=4)
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


@_figure
def confusion(results: Results, loss: str) -> Figure:
    """Draw the confusion matrix of a loss, counts summed over seeds, as percent of each spoken word."""
    counts = sum(run["confusion"] for run in results.of(loss))
    totals = counts.sum(axis=1, keepdims=True)
    percent = 100 * np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    side = float(np.clip(1.6 + 0.21 * len(counts), 3.0, 7.0))
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    seaborn.heatmap(
        percent, ax=axes, cmap="Blues", vmin=0, vmax=100, square=True, annot_kws={"fontsize": 5.2},
        annot=np.array([[f"{value:.0f}" if value >= 0.5 else "" for value in row] for row in percent]),
        fmt="", xticklabels=results.classes, yticklabels=results.classes,
        cbar_kws={"label": "share of the spoken word (%)", "shrink": 0.75},
    )  # fmt: skip
    axes.tick_params(labelsize=7)
    axes.set(xlabel="predicted word", ylabel="spoken word")
    seeds, folds = len(results.seeds), len(results.folds)
    jobs = f"{seeds} seed{'s' if seeds > 1 else ''}" + (f", {folds} folds" if folds > 1 else "")
    axes.set_title(f"{title(loss)}: {counts.sum()} tests ({jobs})")
    return figure


@_figure
def speakers(results: Results) -> Figure:
    """Draw test accuracy by speaker, a dot a loss (mean over seeds), those heard in training left of the others."""
    kinds = {name: KINDS[kind] for name, kind in results.speaker_kinds().items()}
    names = sorted(kinds, key=lambda name: (list(KINDS.values()).index(kinds[name]), _natural(name)))
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    axes = figure.subplots()
    offsets = np.linspace(-0.2, 0.2, len(results.compared)) if len(results.compared) > 1 else [0.0]
    for loss, offset in zip(results.compared, offsets, strict=True):
        ranges = [[100 * value for value in results.of_speaker(name, results.of(loss))] for name in names]
        means = [np.mean(values) for values in ranges]
        places = np.arange(len(names)) + offset
        colour = look(results, loss)["color"]
        axes.vlines(places, [min(r) for r in ranges], [max(r) for r in ranges], color=colour, linewidth=1)
        axes.plot(places, means, "o", color=colour, label=title(loss), markeredgecolor="black", markeredgewidth=0.4)
    bars = [100 * np.mean(results.of_speaker(name, list(results.baselines.values()))) for name in names]
    axes.plot(range(len(names)), bars, "_", color="black", markersize=18, label="logistic regression")
    axes.axhline(100 * results.chance, color=GREY, linestyle=":", linewidth=1, label="chance")
    for kind, shade in zip(KINDS.values(), ("white", "#eef2f6", "#f3efe2"), strict=True):
        places = [place for place, name in enumerate(names) if kinds[name] == kind]
        if places:
            axes.axvspan(places[0] - 0.5, places[-1] + 0.5, color=shade, zorder=0)
            middle = (places[0] + places[-1]) / 2
            axes.text(middle, 1, kind, ha="center", va="bottom", fontsize=6.5, transform=axes.get_xaxis_transform())
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 20 else 0)
    axes.set(xlabel="speaker of the test split", xlim=(-0.5, len(names) - 0.5))
    axes.grid(False, axis="x")
    _percent_axis(axes, "test accuracy (%)")
    figure.legend(loc="outside lower center", ncols=5)
    return figure


def _natural(name: str) -> tuple:
    digits = "".join(filter(str.isdigit, name))
    return (int(digits) if digits else math.inf, name)


@_figure
def differences(results: Results) -> Figure:
    """Draw paired differences from the reference with intervals (a forest plot) and the verdict of each."""
    table = results.compare["differences"]
    early = int(results.compare_summary["early_epochs"])
    panels = {
        loss: table[table["loss"] == loss] for loss in results.compared if loss != results.params.compare.reference
    }
    rows = max((len(rows) for rows in panels.values()), default=1)
    figure = Figure(figsize=(WIDTH, 0.26 * rows * max(1, len(panels)) + 0.9), layout="constrained")
    if not panels:
        axes = figure.subplots()
        axes.set_axis_off()
        axes.text(0.5, 0.5, "one loss in the study: nothing to compare", ha="center", transform=axes.transAxes)
        return figure
    shape = {"width_ratios": [1.6, 1], "squeeze": False, "sharex": "col"}
    grid = figure.subplots(len(panels), 2, **shape)
    for (left, right), (loss, rows_of_loss) in zip(grid, panels.items(), strict=True):
        points = rows_of_loss["unit"] == "fraction"
        _forest(left, rows_of_loss[points], 100.0, early)
        _forest(right, rows_of_loss[~points], 1.0, early)
        left.set_title(f"{title(loss)} minus {title(results.params.compare.reference)}")
    if not np.isfinite(table.loc[table["unit"] == "epochs", "mean"]).any():
        grid[-1, 1].set_xticks([])
    grid[-1, 0].set_xlabel("difference of accuracy (percentage points)")
    grid[-1, 1].set_xlabel("difference (epochs)")
    return figure


def _forest(axes: Axes, rows, scale: float, early: int) -> None:
    names = []
    for place, (_, row) in enumerate(rows.iterrows()):
        names.append(measure_name(row["measure"], early))
        if not np.isfinite(row["mean"]):
            axes.text(0.5, place, "no pair reached it", ha="center", va="center", fontsize=6.5, color=GREY,
                      transform=axes.get_yaxis_transform())  # fmt: skip
            continue
        mean, low, high = (scale * row[name] for name in ("mean", "low", "high"))
        bars = [[mean - low], [high - mean]] if np.isfinite(low) else None
        colour, text = _verdict(row)
        filled = "white" if row["verdict"] == "undecided" else colour
        axes.errorbar([mean], [place], xerr=bars, fmt="o", color=colour, markerfacecolor=filled, capsize=2.5,
                      elinewidth=1.2)  # fmt: skip
        axes.text(1.01, place, text, va="center", fontsize=6.5, color=colour, transform=axes.get_yaxis_transform())
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")


@_figure
def ablation(results: Results) -> Figure:
    """Draw paired differences of an ablation's entries from the reference, a row an entry, a panel a measure.

    Thick intervals are over seeds, thin ones over folds; those over few folds may end outside the panel.
    """
    names, early = ablation_order(results), int(results.compare_summary["early_epochs"])
    measures = ablation_measures(results)
    figure = Figure(figsize=(WIDTH, 0.24 * len(names) + 1.2), layout="constrained")
    grid = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(grid, measures, strict=True):
        ends = []
        for place, loss in enumerate(names):
            row = results.difference(loss, measure)
            bounds = _ablation_row(axes, row, place)
            ends += [abs(value) for value in bounds if np.isfinite(value)]
        axes.axvline(0, color="black", linewidth=0.8, zorder=1)
        axes.set_title(measure_name(measure, early))
        axes.set_xlabel(f"minus {title(results.params.compare.reference)} (percentage points)")
        axes.set_xlim(-1.12 * max(ends, default=1), 1.12 * max(ends, default=1))
        axes.grid(False, axis="y")
    grid[0].set_yticks(range(len(names)), [title(loss) for loss in names])
    grid[0].set_ylim(len(names) - 0.4, -0.6)
    confidence = f"{100 * results.params.compare.confidence:g} % interval over"
    marks, texts = [Line2D([], [], color=GREY, linewidth=2.2)], [f"{confidence} seeds"]
    if len(results.folds) > 1:
        marks, texts = [*marks, Line2D([], [], color=GREY, linewidth=0.7)], [*texts, "over folds"]
    marks += [_dot("white"), _dot(BETTER), _dot(WORSE)]
    figure.legend(marks, [*texts, "undecided", "helps", "harms"], loc="outside lower center", ncols=5)
    return figure


def _ablation_row(axes: Axes, row, place: int) -> list[float]:
    """Draw one difference; return in percentage points what has to be seen of it."""
    mean, low, high, lowest, highest = (
        100 * row[name] for name in ("mean", "low", "high", "low_over_folds", "high_over_folds")
    )
    colour, _ = _verdict(row)
    axes.hlines(place, lowest, highest, color=colour, linewidth=0.7)
    axes.hlines(place, low, high, color=colour, linewidth=2.2)
    filled = "white" if row["verdict"] == "undecided" else colour
    axes.plot(mean, place, "o", color=colour, markerfacecolor=filled, markersize=4.5)
    return [mean, low, high]


def ablation_measures(results: Results) -> list[str]:
    """Return what an ablation is judged by: how well it generalises, how fast it learns, how new voices fare."""
    found = ["best_validation", "early_validation", "test_unheard"]
    known = [results.difference(loss, found[-1])["mean"] for loss in results.ablated]
    return found if np.isfinite(known).any() else [*found[:-1], "test"]


def ablation_order(results: Results) -> list[str]:
    """Return the entries of an ablation, that which helps most first."""
    return sorted(results.ablated, key=lambda loss: -results.difference(loss, "best_validation")["mean"])


def _verdict(row) -> tuple[str, str]:
    """Return colour and word of a verdict: fewer epochs are better, and so are higher accuracies."""
    if row["verdict"] == "undecided":
        return GREY, "undecided"
    if row["unit"] == "epochs":
        return (BETTER, "sooner") if row["verdict"] == "lower" else (WORSE, "later")
    return (BETTER if row["verdict"] == "higher" else WORSE), row["verdict"]


def measure_name(measure: str, early: int) -> str:
    """Return a measure of differences.csv in words."""
    if measure.startswith("epochs_to_"):
        return f"epochs to {100 * float(measure.removeprefix('epochs_to_')):g} %"
    return MEASURES[measure].format(early=early)


@_figure
def profile(results: Results) -> Figure:
    """Draw time and energy of an epoch by device and batch size, logarithmic; what was not measured is named."""
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
            words = "\n".join(f"{_device(device)}: not measured (see table)" for device in unmeasured)
            high = 0.5 if len(unmeasured) == len(devices) else 0.98
            axes.text(0.5, high, words, ha="center", va="center" if high == 0.5 else "top", fontsize=7.5, color=GREY,
                      backgroundcolor="white", transform=axes.transAxes)  # fmt: skip
    marks = [Line2D([], [], color=DEVICES[device][0], marker=DEVICES[device][1]) for device in devices]
    texts = [_device(device) for device in devices]
    if any("INVALID" in (row["status"], row.get("energy_status")) for row in results.profile):
        marks.append(Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle=""))
        texts.append("measured, but INVALID (see table)")
    figure.legend(marks, texts, loc="outside lower center", ncols=3)
    return figure


@_figure
def energy_by_time(results: Results) -> Figure:
    """Draw energy against time of an epoch, batch sizes along the curve; devices whose energy is known only."""
    figure = Figure(figsize=(0.6 * WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    for device in dict.fromkeys(row["device"] for row in results.profile):
        known = _known(results.profile, device, "energy_per_epoch_j")
        colour, marker = DEVICES[device]
        axes.plot(*([row[key] for row in known] for key in ("epoch_time_s", "energy_per_epoch_j")), color=colour,
                  linewidth=1, label=_device(device) if known else None, marker=marker, markersize=0)  # fmt: skip
        for row in known:
            place = row["epoch_time_s"], row["energy_per_epoch_j"]
            bars = {"xerr": _bars(row, "epoch_time_s"), "yerr": _bars(row, "energy_per_epoch_j")}
            filled = colour if is_valid(row, "energy_per_epoch_j") else "white"
            axes.errorbar(*([value] for value in place), **bars, fmt=marker, color=colour, markerfacecolor=filled,
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
    axes.margins(**{letter: 0.25})
    low, high = getattr(axes, f"get_{letter}lim")()
    steps = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    axis = getattr(axes, f"{letter}axis")
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _device(device: str) -> str:
    return {"cpu": "CPU", "cuda": "GPU"}[device]


def _measured(axes: Axes, rows: Sequence[dict], device: str, key: str) -> bool:
    """Draw a device's measurements; return whether there was one."""
    colour, marker = DEVICES[device]
    known = _known(rows, device, key)
    if not known:
        return False
    axes.plot([row["batch_size"] for row in known], [row[key] for row in known], color=colour, linewidth=1)
    for row in known:
        style = {"fmt": marker, "color": colour, "markerfacecolor": colour if is_valid(row, key) else "white"}
        axes.errorbar([row["batch_size"]], [row[key]], _bars(row, key), capsize=2.5, **style)
    return True


def _known(rows: Sequence[dict], device: str, key: str) -> list[dict]:
    """Return a device's rows that have a value, by batch size."""
    known = [row for row in rows if row["device"] == device and row.get(key) is not None]
    return sorted(known, key=lambda row: row["batch_size"])


def _bars(row: dict, key: str) -> list[list[float]] | None:
    """Return the distances to the least and the most of the trials."""
    low, high = (row.get(re.sub(r"_([sj])$", rf"_{end}_\1", key)) for end in ("low", "high"))
    return None if low is None else [[row[key] - low], [high - row[key]]]

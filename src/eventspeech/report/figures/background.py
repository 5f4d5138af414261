"""Figures of the background: neurons by themselves, all weights, what the end of a trial cuts off."""

from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eventspeech import losses, neurons
from eventspeech.params import WEIGHTED, Kind, Shape
from eventspeech.report.figures.style import (
    COLOURS,
    GREY,
    LINES,
    RED,
    background,
    label,
    legend,
    look,
    loss_label,
    panels,
    raster,
    styled,
)
from eventspeech.report.results import Results

PULSES_MS = (5.0, 10.0, 15.0)
PULSE = 20.0
"""Current of the pulses, in uA/cm^2: the third is long enough for a second spike."""

EARLY = 0.2
"""Share of the trial, from the first hidden spike on, that counts as early."""

NOTHING_CUT = 0.05
"""Share of its largest voltage that an output has at the end, below which the end cuts off next to nothing."""


@background
def hodgkin_huxley(_results: Results) -> Figure:
    """Draw current pulses of 5, 10 and 15 ms, and below each the voltage of a Hodgkin-Huxley neuron."""
    figure, grid = panels(2, len(PULSES_MS), 2.9, by_columns=True, sharex=True, sharey="row", height_ratios=[1, 2.4])
    for (above, below), pulse_ms in zip(grid.T, PULSES_MS, strict=True):
        current = [(0.0, 0.0), (5.0, PULSE), (5.0 + pulse_ms, 0.0)]
        _draw_current(above, current, 40.0)
        trace = neurons.hodgkin_huxley(current, 40.0)
        below.plot(trace.times_ms, trace.voltage_mv, color=COLOURS[0], linewidth=1.2)
        count = len(trace.spikes_ms)
        above.set_title(f"{pulse_ms:g} ms: {count} spike{'s' if count > 1 else ''}")
        below.set_xlabel("time (ms)")
    grid[0, 0].set_ylabel("current\n(µA/cm²)")
    grid[1, 0].set_ylabel("voltage (mV)")
    return figure


@background
def integrate_and_fire(_results: Results) -> Figure:
    """Draw a current in three steps and the voltage of a leaky integrate-and-fire neuron, its spikes marked."""
    own = neurons.LeakyIntegrateAndFire()
    current = [(0.0, 0.0), (20.0, 1.4), (70.0, 1.7), (130.0, 2.5), (190.0, 0.0)]
    figure, grid = panels(2, 1, 3.0, width=5.0, sharex=True, height_ratios=[1, 2.4])
    (above,), (below,) = grid
    _draw_current(above, current, 230.0)
    trace = neurons.leaky_integrate_and_fire(current, 230.0)
    below.plot(trace.times_ms, trace.voltage_mv, color=COLOURS[0], linewidth=1.2)
    below.axhline(own.threshold_mv, color=GREY, linestyle="--", linewidth=0.8)
    below.plot(trace.spikes_ms, np.full(len(trace.spikes_ms), own.threshold_mv + 2.5), "|", color=RED, markersize=9)
    above.set_ylabel("current (nA)")
    below.set(xlabel="time (ms)", ylabel="voltage (mV)")
    marks = [Line2D([], [], color=COLOURS[0]), Line2D([], [], color=RED, marker="|", linestyle="", markersize=9)]
    marks.append(Line2D([], [], color=GREY, linestyle="--", linewidth=0.8))
    legend(figure, marks, ["voltage", "spikes", "threshold"])
    return figure


@background
def izhikevich(_results: Results) -> Figure:
    """Draw the voltage of Izhikevich's neuron for each of his patterns, the current below it."""
    figure, grid = panels(2, 3, 3.4, sharex=True, sharey=True)
    for axes, (name, constants) in zip(grid.flat, neurons.PATTERNS.items(), strict=True):
        trace = neurons.izhikevich(constants, 200.0)
        axes.plot(trace.times_ms, trace.voltage_mv, color=COLOURS[0], linewidth=0.9)
        times, values = _stairs(constants.current, 200.0)
        axes.plot(times, values - 105, color=GREY, linewidth=1)
        axes.set_title(name)
    for axes in grid[-1]:
        axes.set_xlabel("time (ms)")
    for axes in grid[:, 0]:
        axes.set_ylabel("voltage (mV)")
    legend(figure, [Line2D([], [], color=COLOURS[0]), Line2D([], [], color=GREY)], ["voltage", "current, from −105 up"])
    return figure


def _stairs(current: neurons.Steps, end_ms: float) -> tuple[np.ndarray, np.ndarray]:
    starts = [start for start, _ in current]
    times = np.repeat([*starts, end_ms], 2)[1:-1]
    return times, np.repeat([value for _, value in current], 2)


def _draw_current(axes: Axes, current: neurons.Steps, end_ms: float) -> None:
    axes.plot(*_stairs(current, end_ms), color=GREY, linewidth=1.2)


@background
def shapes(results: Results) -> Figure:
    """Draw every kind of fixed weight against t/T with its own parameters; those of the study's losses are thick."""
    of_study = {results.params.shape[loss].kind: loss for loss in reversed(results.losses)}
    figure, grid = panels(1, 1, 3.0, width=5.0)
    axes, x = grid[0, 0], np.linspace(0, 1, 501)
    for place, kind in enumerate(kind for kind in WEIGHTED if kind != "learned"):
        shape = Shape(kind=cast(Kind, kind))
        style: dict[str, Any] = {"color": "#555555", "linestyle": LINES[place], "linewidth": 1.0}
        text = f"{kind} (mean {losses.mean_weight(shape):.2f})"
        if kind in of_study:
            style, text = look(results, of_study[kind]), f"{text[:-1]}, in this study)"
        axes.plot(x, losses.weight(shape, x), label=text, **style)
    axes.set(xlabel="time in the trial, x = t / T", ylabel="weight w(x)", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    marks, texts = axes.get_legend_handles_labels()
    legend(figure, marks, texts, most=2)
    return figure


@styled
def cut_off(results: Results) -> Figure:
    """Draw an output's voltage that the end of the trial cuts off: a computed one, and the most cut of the examples."""
    figure, grid = panels(1, 2, 2.6)
    _draw_computed(grid[0, 0], results)
    _draw_most_cut(grid[0, 1], results)
    grid[0, 0].set_ylabel("output voltage")
    for axes in grid[0]:
        axes.set_xlabel("time (ms)")
        axes.grid(False)
    marks = [Line2D([], [], color="black"), Line2D([], [], color=RED, linestyle="--"), Line2D([], [], color=GREY)]
    legend(figure, marks, ["within the trial", "after its end: counts for nothing", "end of the trial"])
    return figure


def _draw_computed(axes: Axes, results: Results) -> None:
    """Draw the closed form of an output neuron with the study's time constants, hit until the trial ends."""
    constants, trial_ms = results.params.network, results.params.preprocess.trial_ms
    hits_ms = trial_ms * np.array([0.35, 0.5, 0.6, 0.75, 0.9, 0.96, 0.985])
    times = np.linspace(0, trial_ms + 6 * constants.tau_mem_ms, 2000)
    voltage = response(times[:, None] - hits_ms, constants.tau_mem_ms, constants.tau_syn_ms).sum(axis=1)
    within = times <= trial_ms
    axes.plot(times[within], voltage[within], color="black", linewidth=1.2)
    axes.plot(times[~within], voltage[~within], color=RED, linestyle="--", linewidth=1.2)
    axes.plot(hits_ms, np.zeros(len(hits_ms)) - 0.08 * voltage.max(), "|", color="black", markersize=6)
    axes.axvline(trial_ms, color=GREY, linewidth=1)
    lost = voltage[~within].sum() / voltage.sum()
    axes.set_title(f"computed: {100 * lost:.0f} % are cut off")


def response(times_ms: np.ndarray, tau_mem_ms: float, tau_syn_ms: float) -> np.ndarray:
    """Return the voltage of an output neuron after one spike of weight 1 at time 0, float64 of any shape."""
    late = np.maximum(times_ms, 0.0)
    if abs(tau_mem_ms - tau_syn_ms) < 1e-6 * tau_mem_ms:
        return late / tau_mem_ms * np.exp(-late / tau_mem_ms)
    scale = tau_syn_ms / (tau_mem_ms - tau_syn_ms)
    return scale * (np.exp(-late / tau_mem_ms) - np.exp(-late / tau_syn_ms))


def _draw_most_cut(axes: Axes, results: Results) -> None:
    loss, sample, output, share = most_cut(results)
    data = results.examples[loss]
    voltage = data["output_voltage"][sample, :, output]
    times = np.arange(len(voltage)) * float(data["step_ms"])
    axes.plot(times, voltage, color="black", linewidth=1.2)
    axes.axvline(float(data["trial_ms"]), color=GREY, linewidth=1)
    axes.set_xlim(0, float(data["trial_ms"]) * 1.08)
    word = label(data["class_names"][data["labels"][sample]], 14)
    told = "the end cuts off next to nothing" if share < NOTHING_CUT else f"{100 * share:.0f} % of its peak at the end"
    axes.set_title(f"{loss_label(loss, 20)}, “{word}”:\n{told}")


def most_cut(results: Results) -> tuple[str, int, int, float]:
    """Return loss, sample, output and share of its largest voltage of the output that has most left at the end."""
    best = ("", 0, 0, -1.0)
    for loss in results.losses:
        voltage = np.abs(results.examples[loss]["output_voltage"])
        peaks = voltage.max(axis=1)
        # small outputs have large shares of nothing
        shares = np.where(peaks >= 0.2 * peaks.max(), voltage[:, -1] / np.maximum(peaks, 1e-12), 0.0)
        sample, output = (int(at) for at in np.unravel_index(np.argmax(shares), shares.shape))
        best = max(best, (loss, sample, output, float(shares[sample, output])), key=lambda found: found[3])
    return best


@styled
def early_spikes(results: Results) -> Figure:
    """Draw the hidden spikes of one test sample early in the trial, all that the outputs hear, and their number."""
    shown = results.losses[:3]
    figure, grid = panels(2, len(shown), 3.2, by_columns=True, sharex="col", sharey="row", height_ratios=[2, 1])
    for (above, below), loss in zip(grid.T, shown, strict=True):
        data = results.examples[loss]
        events = slice(*data["hidden_offsets"][:2])
        times, units = data["hidden_times_ms"][events], data["hidden_units"][events]
        length = EARLY * float(data["trial_ms"])
        start = float(times.min()) if len(times) else 0.0
        early = times <= start + length
        above.set_title(loss_label(loss))
        if not len(times):
            above.text(0.5, 0.5, "no hidden spike", ha="center", color=GREY, transform=above.transAxes)
        raster(above, times[early], units[early])
        below.hist(times[early], bins=40, range=(start, start + length), color=GREY)
        below.set(xlim=(start, start + length), xlabel="time in the trial (ms)")
        for axes in (above, below):
            axes.grid(False)
    grid[0, 0].set_ylabel("hidden neuron")
    grid[1, 0].set_ylabel("spikes")
    return figure

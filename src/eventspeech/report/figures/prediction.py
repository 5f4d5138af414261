"""Figure of one answer: the sound, what the cochlea and the hidden neurons made of it, and how the word unfolds."""

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eventspeech.inference import recogniser
from eventspeech.inference.answers import Answer
from eventspeech.inference.recogniser import Recogniser
from eventspeech.params import CHANNELS
from eventspeech.report.figures import glyphs
from eventspeech.report.figures.style import COLOURS, GREY, LINES, RED, WIDTH, in_style, label, raster

NAMED = 3
"""Outputs that are drawn in colour, the likeliest."""


def prediction(by: Recogniser, answer: Answer) -> Figure:
    """Draw what happened from sound to word: ``answer`` is one with a sound and spikes that were kept.

    The margin is the logit of the answer less the largest other one, as they are up to each instant; the softmax of the
    last ones is the answer.
    """
    assert answer.heard is not None and answer.probabilities is not None
    names = frozenset([*by.words, answer.piece.name])
    glyphs.tell_missing(names)
    with in_style(glyphs.families(names)):
        figure = Figure(figsize=(WIDTH, 7.2), layout="constrained")
        sound, cochlea, hidden, outputs, margin = figure.subplots(
            5, 1, sharex=True, height_ratios=[0.7, 1.2, 1.2, 1.2, 0.9]
        )
        activity = recogniser.record(by, answer.heard)
        order = [int(output) for output in np.argsort(-answer.probabilities, kind="stable")]
        _draw_sound(sound, by, answer)
        times_ms, channels = answer.heard.sample(0)
        _units(cochlea, times_ms, channels, CHANNELS, "cochlea channel")
        spikes = activity.hidden[-1]
        _units(hidden, spikes.steps * by.network.step_ms, spikes.channels, by.network.hidden[-1], "hidden neuron")
        _draw_outputs(outputs, by, activity.output_voltage[0], order)
        _draw_margin(margin, by, recogniser.unfolding(by, activity)[0], order)
        word, share = label(by.words[order[0]]), 100 * answer.probabilities[order[0]]
        name, steps = label(PurePath(answer.piece.name).name, 40), f"steps of {by.network.step_ms:g} ms"
        sound.set_title(f"{name}: “{word}”, {share:.1f} %  ({steps})")
        margin.set(xlabel="time in the trial (ms)", xlim=(0, by.trial_ms))
        figure.align_ylabels()
    return figure


def _draw_sound(axes: Axes, by: Recogniser, answer: Answer) -> None:
    samples, rate_hz = answer.piece.samples, answer.piece.rate_hz
    heard = samples[: round(by.trial_ms / 1000 * rate_hz)]
    axes.plot(1000 * np.arange(len(heard)) / rate_hz, heard, color="black", linewidth=0.4, rasterized=True)
    axes.set_ylabel("sound")
    if len(samples) > len(heard):
        text = f"{(len(samples) - len(heard)) / rate_hz:.2f} s more are not heard"
        axes.text(0.995, 0.92, text, transform=axes.transAxes, ha="right", va="top", fontsize=7, color=RED)


def _units(axes: Axes, times_ms: np.ndarray, units: np.ndarray, count: int, text: str) -> None:
    raster(axes, times_ms, units)
    axes.set(ylabel=text, ylim=(0, count))
    axes.grid(False)


def _draw_outputs(axes: Axes, by: Recogniser, voltage: np.ndarray, order: Sequence[int]) -> None:
    """Draw the outputs' voltages under the loss's weight, those of the likeliest words in colour."""
    weighting = by.objective.weighting
    drawn = voltage if weighting is None else voltage * np.asarray(weighting)[:, None]
    times_ms = by.network.step_ms * np.arange(len(drawn))
    axes.plot(times_ms, drawn[:, order[NAMED:]], color="#c8c8c8", linewidth=0.6, rasterized=True)
    for place, output in reversed(list(enumerate(order[:NAMED]))):
        axes.plot(times_ms, drawn[:, output], color=COLOURS[place], linestyle=LINES[place], linewidth=1.2,
                  label=label(by.words[output], 16))  # fmt: skip
    handles, texts = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], texts[::-1], loc="upper left", bbox_to_anchor=(1.0, 1.0), title="likeliest")
    axes.set_ylabel("output voltage" if weighting is None else "weighted output\nvoltage")


def _draw_margin(axes: Axes, by: Recogniser, logits: np.ndarray, order: Sequence[int]) -> None:
    margin = logits[:, order[0]] - np.delete(logits, order[0], axis=1).max(axis=1)
    times_ms = by.network.step_ms * np.arange(1, len(margin) + 1)
    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
    axes.plot(times_ms, margin, color="black", linewidth=1.2)
    axes.fill_between(times_ms, margin, 0, where=margin < 0, color=RED, alpha=0.25, linewidth=0)
    axes.set_ylabel("margin of\nthe answer")
    behind = np.flatnonzero(margin <= 0)
    if len(behind) and behind[-1] + 1 < len(margin):
        decided_ms = float(times_ms[behind[-1]])
        axes.axvline(decided_ms, color=GREY, linewidth=0.8)
        axes.text(
            decided_ms,
            0.04,
            f" ahead from {decided_ms:g} ms",
            transform=axes.get_xaxis_transform(),
            va="bottom",
            fontsize=7,
        )

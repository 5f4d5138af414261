"""Figures of the test."""

import numpy as np

from eventspeech.report import figures
from eventspeech.report.figures import style


def test_confusion_is_in_percent_of_the_spoken_word(study):
    shown = figures.confusion(study, "gaussian").axes[0].collections[0].get_array()
    assert np.allclose(shown.reshape(len(study.classes), -1).sum(axis=1), 100)


def test_time_steps_are_a_line_a_loss_and_dead_time_with_the_trained_step_marked(study):
    accuracy, spikes, agreement = figures.time_steps(study).axes
    for axes, measure, scale in (
        (accuracy, "accuracy", 100),
        (spikes, "hidden_spikes", 1),
        (agreement, "agreement", 100),
    ):
        assert axes.get_xscale() == "log"
        assert [entry.get_text() for entry in axes.get_xticklabels()] == ["0.1", "0.5", "1"]
        *lines, mark = axes.lines[3:6]  # of the second loss
        for line, (dead_time, marker) in zip(lines, (("of_step", "."), ("kept", "o")), strict=True):
            assert (line.get_xdata().tolist(), line.get_marker()) == ([0.1, 0.5, 1.0], marker)
            assert np.allclose(line.get_ydata(), scale * study.at_steps("gaussian", dead_time)[f"{measure}_mean"])
        assert (mark.get_xdata().tolist(), mark.get_marker()) == ([1.0], "D")


def test_losses_of_the_speakers_are_told_apart_without_their_colours(study):
    lines = {line.get_label(): line for line in figures.speakers(study).axes[0].lines}
    assert [lines[loss].get_marker() for loss in study.losses] == ["o", "s"]
    assert len(set(style.MARKERS)) == len(style.MARKERS) == 10

"""Figures of the test."""

import numpy as np

from eventspeech.report import figures


def test_confusion_is_in_percent_of_the_spoken_word(study):
    shown = figures.confusion(study, "gaussian").axes[0].collections[0].get_array()
    assert np.allclose(shown.reshape(len(study.classes), -1).sum(axis=1), 100)


def test_time_steps_are_a_line_a_loss_with_the_trained_step_marked(study):
    accuracy, spikes, agreement = figures.time_steps(study).axes
    rows = study.at_steps("gaussian")
    for axes, measure, scale in (
        (accuracy, "accuracy", 100),
        (spikes, "hidden_spikes", 1),
        (agreement, "agreement", 100),
    ):
        assert axes.get_xscale() == "log"
        assert [entry.get_text() for entry in axes.get_xticklabels()] == ["0.1", "0.5", "1"]
        line, mark = axes.lines[2:4]  # of the second loss
        assert line.get_xdata().tolist() == [0.1, 0.5, 1.0]
        assert np.allclose(line.get_ydata(), scale * rows[f"{measure}_mean"])
        assert (mark.get_xdata().tolist(), mark.get_marker()) == ([1.0], "D")

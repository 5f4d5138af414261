"""Figures of learning: curves come from the histories."""

import numpy as np
from support import fake_results
from support.studies import compare, load, make

from eventspeech.report import figures


def test_a_changed_history_moves_the_curve(own):
    root, chosen = own
    folder = root / "results" / "train" / "gaussian" / "1" / "held_out"
    fake_results.training(folder, "gaussian", 1, np.array([0.25, 0.5]))
    compare(root, chosen)
    figure = figures.training_curves(load(root, chosen))
    lines = [line.get_ydata() for line in figure.axes[1].lines]
    assert any(np.array_equal(line, [25.0, 50.0]) for line in lines)


def test_the_lowest_panel_of_each_column_has_numbers_below(tmp_path):
    losses = ["exponential", "gaussian", "gaussian_matched", "max"]
    study = load(tmp_path, make(tmp_path, losses=losses, seeds=[0]))
    panels = figures.training_curves(study).axes[:4]
    assert [axes.xaxis.get_tick_params()["labelbottom"] for axes in panels] == [False, True, True, True]


def test_losses_of_training_that_hardly_differ_lie_within_their_panel(own):
    root, chosen = own
    study = load(root, chosen)
    for run in study.runs.values():
        run["history"]["training_loss"] = np.full(len(run["history"]["epoch"]), 3.93)
    low, high = figures.activity(study).axes[1].get_ylim()
    assert low == 0 and high > 4.0


def test_matched_losses_are_drawn_apart(tmp_path):
    losses = ["exponential", "gaussian", "gaussian_matched"]
    study = load(tmp_path, make(tmp_path, losses=losses, seeds=[0, 1]))
    assert [study.same_mean_weight(loss) for loss in losses] == [True, False, True]
    assert [axes.get_title("left") for axes in figures.mean_curves(study).axes] == [
        "weights as they are",
        "weights of equal mean",
    ]

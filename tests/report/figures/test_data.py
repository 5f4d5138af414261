"""Figures of what goes in."""

import numpy as np
import pytest
from support import fake_results
from support.studies import compare, load

from eventspeech.report import figures, tables, text


def test_losses_without_a_weight_are_named_and_not_drawn(tmp_path):
    chosen = fake_results.params(losses=["exponential", "max", "first_spike"], seeds=[0, 1])
    fake_results.study(tmp_path, chosen)
    compare(tmp_path, chosen)
    study = load(tmp_path, chosen)
    figure = figures.weightings(study)
    names = [entry.get_text() for entry in figure.legends[0].get_texts()]
    assert names == [
        "exponential (mean 0.632)",
        "max (no weight: maximum of the voltage)",
        "first spike (no weight: time of the first spike)",
    ]
    assert [len(line.get_xdata()) > 0 for line in figure.axes[0].lines] == [True, False, False]
    assert not study.same_mean_weight("max")
    for name in ("example", "mean_curves", "activity", "differences"):
        getattr(figures, name)(study)


def test_learned_weights_are_drawn_by_seed_beside_their_start_and_fixed_ones(tmp_path):
    shapes = {"learned": {"kind": "learned", "mean_weight": 0.6}, "flat": {"kind": "learned", "start": "flat"}}
    chosen = fake_results.params(losses=["exponential", *shapes], seeds=[0, 1], shapes=shapes)
    fake_results.study(tmp_path, chosen)
    compare(tmp_path, chosen)
    study = load(tmp_path, chosen)
    assert study.learned == ["learned", "flat"]
    for axes, mean in zip(figures.learned_weights(study).axes, (0.6, 1.0), strict=True):
        drawn = [line.get_ydata() for line in axes.lines]
        assert len(drawn) == 2 + 1 + 2  # seeds, start, fixed
        assert [w.mean() for w in drawn] == pytest.approx([mean] * 5, rel=5e-3)
        assert np.ptp(drawn[0] - drawn[1]) > 0.1
    names = [entry.get_text() for entry in figures.weightings(study).legends[0].get_texts()]
    assert names[1:] == ["learned, at its start (mean 0.600)", "flat, at its start (mean 1.000)"]
    table = tables.learned_weights(study)
    assert list(table["weight"][:5]) == [
        "start", "exponential of the same mean", "Gaussian of the same mean", "seed 0", "seed 1",
    ]  # fmt: skip
    assert float(table.iloc[5]["x = 0.5"]) == 1 and len(table) == 10
    told = text.learned_weights(study)
    assert "Flat: at the start 33, 33 and 33 % of the weight lie in the first, second and last third" in told
    assert told.count("in the chosen epoch") == 2

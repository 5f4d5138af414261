"""Figures of time and energy."""

import numpy as np
from support.studies import load, make

from eventspeech.report import figures, tables


def test_energy_stands_against_time_with_batch_sizes_along_the_curve(tmp_path):
    study = load(tmp_path, make(tmp_path, gpu=True))
    axes = figures.energy_by_time(study).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [entry.get_text() for entry in axes.texts] == ["1", "8", "32"]
    shown = [entry.get_text() for entry in axes.figure.legends[0].get_texts()]
    assert shown == ["GPU"], "energy of the CPU is unknown"
    rows = [row for row in study.profile if row["device"] == "cuda"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [row["energy_per_epoch_j"] for row in rows])
    (bar,) = axes.containers[0].lines[2][1].get_segments()
    np.testing.assert_allclose(bar[:, 1], [240 * 0.05, 255 * 0.05])
    table = tables.profile(study).set_index(["device", "batch size"])
    row = table.loc[("GPU", "8")]
    assert (row["updates an epoch"], row["steps shortened by Adam's epsilon (%)"]) == ("16", "10")
    assert row["by power samples (J)"] and "estimate of it, by a model (J)" not in table

"""Figures of paired differences."""

import numpy as np
import pandas as pd
import pytest
from support.studies import load

from eventspeech.report import figures, tables, words
from eventspeech.report import results as study_results


def test_an_ablation_is_sorted_and_judged_by_its_differences(ablated):
    root, study = ablated
    table = pd.read_csv(root / "results" / "compare" / "differences.csv").set_index(["loss", "measure"])
    means = [table.loc[(loss, "best_validation"), "mean"] for loss in study_results.ablation_order(study)]
    assert means == sorted(means, reverse=True)
    shown = tables.ablation(study).set_index("entry")
    for loss in study.ablated:
        row = table.loc[(loss, "best_validation")]
        cell = shown.loc[words.title(loss), "validation, best epoch (points)"]
        assert cell.startswith(words.signed(100 * row["mean"]))
        assert cell.endswith({"higher": "helps", "lower": "harms"}.get(row["verdict"], "undecided"))
    drawn = figures.ablation(study)
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == list(shown.index[1:])
    dots = [line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_marker() == "o"]
    assert dots == pytest.approx([100 * mean for mean in means])
    for axes in drawn.axes:
        low, high = axes.get_xlim()
        assert low < 0 < high


def test_what_has_no_difference_says_why(own):
    root, chosen = own
    study = load(root, chosen)
    table = study.compare["differences"]
    table.loc[table["measure"].isin(["test_heard", "epochs_to_0.5"]), "mean"] = np.nan
    left, right = figures.differences(study).axes[:2]
    assert "no such speakers in the test split" in [text.get_text() for text in left.texts]
    assert "no pair reached it" in [text.get_text() for text in right.texts]
    assert "no pair reached it" not in [text.get_text() for text in left.texts]


def test_where_no_voice_is_unheard_an_ablation_shows_the_whole_test(ablated):
    root, study = ablated
    assert study_results.ablation_measures(study)[-1] == "test_unheard"
    other = load(root, study.params)
    other.compare["differences"].loc[other.compare["differences"]["measure"] == "test_unheard", "mean"] = np.nan
    assert study_results.ablation_measures(other)[-1] == "test"
    figures.ablation(other)

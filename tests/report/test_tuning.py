"""The section on tuning says what was found, whether budgets were equal, and that nothing was tuned."""

import dataclasses

import numpy as np
import pytest
from support import fake_results

from eventspeech import paths
from eventspeech.params import Tuned
from eventspeech.records import tuning as record
from eventspeech.report import figures, tuning


def with_found(study, **changed):
    """Return the study with other findings for the Gaussian."""
    found = dataclasses.replace(study.tuning["gaussian"], **changed)
    return dataclasses.replace(study, tuning=study.tuning | {"gaussian": found})


def test_what_was_found_is_told_in_numbers(study):
    text = tuning.section(study)
    assert "Gaussian: 80.0 % in validation in trial 5, in place of 70.0 % as the file stands" in text
    assert "`optimiser.learning_rate` 0.006; `network.recurrent` false" in text
    assert "equal in trials, 6 each" in text and "epochs: exponential 9, gaussian 9" in text
    assert tuning.NOTHING not in text


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"as_it_stands": 0.8}, "no trial was better than the file as it stands"),
        ({"as_it_stands": 0.79}, "80.0 % in validation in trial 5, in place of 79.0 %"),
        ({"as_it_stands": None}, "the file's own values lie outside of what was looked for"),
    ],
)
def test_each_verdict_is_reached(study, changed, sentence):
    assert sentence in tuning.section(with_found(study, **changed)).replace("\\", "")


def test_unequal_budgets_are_not_called_equal(study):
    fewer = with_found(study, trials=study.tuning["gaussian"].trials[:-1])
    assert "Budgets are equal" not in tuning.section(fewer)


def test_where_nothing_was_tuned_it_says_so_and_names_what_was_found_earlier(study):
    plain = dataclasses.replace(study, tuning={})
    assert tuning.NOTHING in tuning.section(plain) and "found earlier" not in tuning.section(plain)
    tuned = Tuned(optimiser={"learning_rate": 0.004}, shape={"width": 0.3})
    shapes = study.params.shape | {"gaussian": study.params.shape["gaussian"].model_copy(update={"tuned": tuned})}
    held = dataclasses.replace(plain, params=study.params.model_copy(update={"shape": shapes}))
    assert "Gaussian is trained here with values that were found earlier: `optimiser.learning_rate` 0.004" in (
        tuning.section(held)
    )
    assert held.ablated == [], "tuned values make no ablation"


def test_the_table_has_a_row_a_loss(study):
    table = tuning.tuned(study)
    assert list(table["loss"]) == ["exponential", "gaussian"]
    assert list(table.iloc[1])[1:9] == ["6", "1", "1", "9", "13.5", "70.0", "80.0", "+10.0"]


def test_the_figures_show_every_trial(study):
    history, importance = figures.tuning(study).axes[:2]
    complete, given_up, failed = history.lines[1:4]
    assert list(complete.get_xdata()) == [0, 1, 3, 5] and np.allclose(complete.get_ydata(), [70, 50, 60, 80])
    assert list(given_up.get_ydata()) == [30.0] and list(failed.get_xdata()) == [4]
    assert list(history.lines[0].get_ydata()) == pytest.approx([70, 70, 70, 80]), "the best so far"
    assert [bar.get_width() for bar in importance.patches] == pytest.approx([10, 90])
    slices = [axes for axes in figures.tuning_slices(study).axes if axes.axison]
    assert [axes.get_xscale() for axes in slices] == ["log", "linear"] * 2
    assert list(slices[1].lines[0].get_xdata()) == [0, 1, 1, 1]
    with figures.for_phones():
        assert len(figures.tuning(study).axes) == 4


def test_unknown_importance_says_why(study):
    unknown = with_found(study, importance={}, reason="fewer than 4 trials were completed")
    texts = [text.get_text() for text in figures.tuning(unknown).axes[3].texts]
    assert any("fewer than 4" in text.replace("\n", " ") for text in texts)


def test_a_search_that_found_nothing_better_is_read_too(tmp_path):
    fake_results.searched(paths.tuning(tmp_path, "a"), "a", best=0.65)
    assert record.read(paths.tuning(tmp_path, "a"), "a").best == 0

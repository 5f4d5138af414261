"""Sentences that are computed from the numbers of the results."""

import copy
import dataclasses
import re

import pytest

from eventspeech import statistics
from eventspeech.report import text


def with_steps(study, dead_time="of_step", **columns):
    """The results with these numbers at the finest step of the Gaussian."""
    found = dataclasses.replace(study, compare=copy.deepcopy(study.compare))
    table = found.compare["steps"]
    finest = (table["loss"] == "gaussian") & (table["step_ms"] == 0.1) & (table["dead_time"] == dead_time)
    for name, value in columns.items():
        table.loc[finest, name] = value
    return found


def test_another_time_step_is_told_in_numbers(study):
    trained = study.at_steps("gaussian", "of_step").iloc[-1]
    columns = {"accuracy_mean": 0.25, "accuracy_low": 0.2, "accuracy_high": 0.3, "agreement_mean": 0.275}
    told = text.time_steps(with_steps(study, **columns, hidden_spikes_mean=61.4))
    assert (
        f"Gaussian is another network at steps of 0.1 ms (25.0 \\[20.0, 30.0\\] % in place of "
        f"{100 * trained['accuracy_mean']:.1f} \\[" in told
    )
    assert (
        "at 1 ms, 61.4 in place of 9.5 spikes per neuron and trial, 27.5 % of the predictions are those of 1 ms); with "
        "the dead time of the trained step it computes the same at steps of 0.1 ms (" in told
    )


@pytest.mark.parametrize(
    ("points", "agreement", "same"), [(-1.9, 0.95, True), (1.9, 1.0, True), (-2.1, 1.0, False), (0.0, 0.949, False)]
)
@pytest.mark.parametrize(("dead_time", "subject"), [("of_step", "Gaussian"), ("kept", "trained step it")])
def test_a_network_is_the_same_within_two_points_and_95_percent_of_its_predictions(
    study, points, agreement, same, dead_time, subject
):
    accuracy = study.at_steps("gaussian", dead_time).iloc[-1]["accuracy_mean"] + points / 100
    told = text.time_steps(with_steps(study, dead_time, accuracy_mean=accuracy, agreement_mean=agreement))
    told = told[told.index("Gaussian ") :].split(").")[0]
    assert (f"{subject} computes the same at steps of 0.1 ms" in told) == same
    assert (f"{subject} is another network at steps of 0.1 ms" in told) != same


def test_where_no_step_is_finer_the_coarsest_is_told(study):
    found = dataclasses.replace(study, compare=copy.deepcopy(study.compare))
    found.compare["steps"]["trained"] = (found.compare["steps"]["step_ms"] == 0.1).astype(int)
    assert "at steps of 1 ms (" in text.time_steps(found)


def test_what_could_be_seen_is_told_with_the_seeds_that_a_point_takes(study):
    found = dataclasses.replace(study, compare=copy.deepcopy(study.compare))
    table = found.compare["differences"]
    row = (table["loss"] == "gaussian") & (table["measure"] == "test")
    table.loc[row, "detectable"] = 0.05
    told = text.power(found)
    assert "these 3 seeds" in told and "gaussian 5.0 points (one point would take " in told
    seeds = int(re.search(r"would take (\d+) seeds", told)[1])
    spread = 5.0 / statistics.detectable_difference(1.0, 3, 0.95)
    assert statistics.detectable_difference(spread, seeds, 0.95) <= 1.0
    assert statistics.detectable_difference(spread, seeds - 1, 0.95) > 1.0
    table.loc[row, "detectable"] = 20.0
    assert "would take more than 1000 seeds" in text.power(found)
    table["detectable"] = float("nan")
    assert "no difference, however large" in text.power(found)


def test_one_loss_has_no_difference_to_see(study):
    alone = study.params.study.model_copy(update={"losses": ["exponential"]})
    found = dataclasses.replace(study, params=study.params.model_copy(update={"study": alone}))
    assert "no difference to see" in text.power(found)


def test_the_date_is_that_of_the_source_where_it_is_given(study, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert ", 2 January 1970." in text.header(study)

"""Published claims: each part is decided by the numbers of the results; each verdict of each rule can be reached."""

import copy
import dataclasses
import math
import re

import numpy as np
import pytest

from eventspeech.params import Shape
from eventspeech.report import claims, published, quantities, text, words

PARTS = [(claim, part) for claim in published.CLAIMS for part in claim.parts]
NAMES = [part.text for _, part in PARTS]
TIMES, JOULES = published.GPU_FASTER.parts[0], published.GPU_SPARES_ENERGY.parts[0]


def shd(study):
    """The same results, as if they were of SHD."""
    download = study.params.download.model_copy(update={"source": "shd"})
    return dataclasses.replace(study, params=study.params.model_copy(update={"download": download}))


def with_interval(study, part, low, high):
    """Results in which the quantity of a part has this interval, in the part's unit; without one if ``low`` is NaN."""
    found = dataclasses.replace(shd(study), compare=copy.deepcopy(study.compare), runs=copy.deepcopy(study.runs))
    if part.quantity.endswith("_level"):
        table, name = found.compare["losses"], {"validation_level": "best_validation", "test_level": "test"}
        for end, value in {"low": low, "high": high, "mean": (low + high) / 2}.items():
            table[f"{name[part.quantity]}_{end}"] = value / 100
        return found
    if part.quantity.endswith("_ratio"):
        key = {"time_ratio": "epoch_time_s", "energy_ratio": "energy_per_epoch_j"}[part.quantity]
        rows = [] if math.isnan(low) else [measurement("cuda", 1, key, 1 / high), measurement("cuda", 8, key, 1 / low)]
        return dataclasses.replace(found, profile=[measurement("cpu", 1, key, 1.0), *rows])
    if part.quantity == "lead":
        return with_leads(found, low, high)
    table = found.compare["differences"]
    rows = table["measure"] == part.quantity
    for end, value in {"low": low, "high": high, "mean": (low + high) / 2}.items():
        table.loc[rows, end] = value / 100
    return found


def with_leads(study, low, high, epochs=60):
    """Give the seeds leads whose interval is close to this one; with NaN, runs too short to show one."""
    middle = 10 if math.isnan(low) else (low + high) / 2
    apart = 0 if math.isnan(low) else (high - low) / 5
    for place, seed in enumerate(study.seeds):
        ahead = np.arange(25 if math.isnan(low) else epochs) < middle + apart * (place - 1)
        for loss, values in {"gaussian": np.where(ahead, 0.6, 0.5), "exponential": np.where(ahead, 0.5, 0.6)}.items():
            study.runs[loss, seed, "held_out"]["history"]["validation_accuracy"] = values
    return study


def measurement(device, size, key, value):
    row = {"device": device, "batch_size": size, "status": "VALID", "reason": None, "energy_status": "VALID"}
    return row | {"epoch_time_s": None, "energy_per_epoch_j": None, key: value}


def verdicts(study, claim, part):
    return [found.status for found in claims.findings(study) if (found.claim, found.part) == (claim, part)]


@pytest.mark.parametrize("claim, part", PARTS, ids=NAMES)
def test_each_part_can_hold_fail_and_stay_undecided(study, claim, part):
    width = (part.high - part.low) / 10 if math.isfinite(part.high - part.low) else 0.4
    edge = part.low if math.isfinite(part.low) else part.high
    inward = 1 if math.isfinite(part.low) else -1
    spans = {
        claims.HOLDS: (edge + inward * 4 * width, edge + inward * 6 * width),
        claims.FAILS: (edge - inward * 2 * width, edge - inward * width),
        claims.UNDECIDED: (edge - 2 * width, edge + 2 * width),
    }
    for status, span in spans.items():
        found = with_interval(study, part, *sorted(span))
        assert verdicts(found, claim, part) == [status], status
    if math.isfinite(part.low) and math.isfinite(part.high):
        beyond = with_interval(study, part, part.high + width, part.high + 2 * width)
        assert verdicts(beyond, claim, part) == [claims.FAILS], "too much fails as well as too little"
        wide = with_interval(study, part, part.low - width, part.high + width)
        assert verdicts(wide, claim, part) == [claims.UNDECIDED], "containing the range is no equality"


@pytest.mark.parametrize("claim, part", PARTS, ids=NAMES)
def test_each_part_can_be_untestable_or_without_interval(study, claim, part):
    found = with_interval(study, part, math.nan, math.nan)
    unknown = claims.UNTESTABLE if part.quantity in ("lead", "time_ratio", "energy_ratio") else claims.UNDECIDED
    assert verdicts(found, claim, part) == [unknown]
    if claim not in published.OF_DEVICES:
        shapes = {name: shape.model_copy(update={"kind": "sum"}) for name, shape in study.params.shape.items()}
        other = dataclasses.replace(study, params=study.params.model_copy(update={"shape": shapes}))
        assert verdicts(other, claim, part) == [claims.UNTESTABLE]


def test_as_good_holds_where_the_numbers_are_those_claimed(study):
    same, less = published.AS_GOOD.parts
    found = with_interval(study, less, -0.5, -0.3)
    assert verdicts(found, published.AS_GOOD, less) == [claims.HOLDS]
    found = with_interval(study, same, -0.5, -0.3)
    assert verdicts(found, published.AS_GOOD, same) == [claims.HOLDS]
    assert verdicts(with_interval(study, less, 0.3, 0.5), published.AS_GOOD, less) == [claims.FAILS]


def test_a_range_that_is_touched_decides_nothing():
    part = published.FASTER.parts[0]
    for low, high in ((0.0, 2.0), (-2.0, 0.0)):
        assert claims.judge(part, quantities.Measured("it is so", low, high))[0] == claims.UNDECIDED


def test_a_lead_ends_where_its_sum_is_greatest():
    ahead = np.full(30, 0.1)
    assert quantities.epochs_of_lead(np.concatenate([ahead, -ahead])) == 30
    noisy = np.concatenate([ahead, -ahead])
    noisy[[5, 45]] *= -1
    assert quantities.epochs_of_lead(noisy) == 30, "single epochs do not end it"
    assert quantities.epochs_of_lead(-ahead) == 0


def test_pairs_that_lack_a_value_decide_nothing(study):
    part = published.FASTER.parts[0]
    found = with_interval(study, part, 2.0, 3.0)
    found.compare["differences"]["left_out"] = 1
    found.compare["differences"]["reason"] = "1 of 3 pairs lack a value"
    finding = next(f for f in claims.findings(found) if f.part == part)
    assert (finding.status, "1 of 3 pairs lack a value" in finding.sentence) == (claims.UNDECIDED, True)


def test_the_page_tells_rule_margin_numbers_and_data(study):
    part = published.AS_GOOD.parts[0]
    found = claims.findings(with_interval(study, part, -0.5, -0.3))
    shown = claims.table(found).set_index("part").loc[part.text]
    assert (
        "95 % interval lies wholly between −1.0 and +1.0 points: two one-sided tests (margin 1 point"
        in shown["holds if"]
    )
    assert "[−0.5, −0.3]" in shown["because"] and shown["data"] == "SHD"
    page = text.findings(found, published.AS_GOOD)
    assert "Holds if the 95 % interval lies wholly" in page and "[−0.5, −0.3]" in page


def test_results_of_other_data_are_labelled(study):
    found = claims.findings(study)
    assert {finding.data for finding in found} == {"synthesised speech, not SHD"}
    assert "synthesised speech, not SHD" in text.findings(found, published.FASTER)
    levels = [f for f in found if f.claim is published.ACCURACY_OF_EXPONENTIAL]
    assert {f.status for f in levels} == {claims.UNTESTABLE} and "not SHD" in levels[0].sentence


def test_the_sentence_tells_the_scale_and_the_difference(study):
    found = [f for f in claims.findings(study) if f.claim is published.FASTER]
    mean = 100 * study.difference("gaussian", "early_validation")["mean"]
    assert found[0].sentence.startswith("with unequal mean weights") and words.signed(mean) in found[0].sentence


def test_verdicts_are_counted(study):
    counts = claims.summary(claims.findings(study))
    assert sum(counts.values()) == len(claims.findings(study)) and counts[claims.UNTESTABLE] >= 4


def test_cost_is_compared_over_all_trials():
    cpu = measurement("cpu", 1, "epoch_time_s", 1.0) | {"epoch_time_low_s": 0.9, "epoch_time_high_s": 1.2}
    gpu = measurement("cuda", 8, "epoch_time_s", 0.08) | {"epoch_time_low_s": 0.06, "epoch_time_high_s": 0.095}
    found = quantities.cost_ratio([cpu, gpu], "epoch_time_s", "time", TIMES)
    assert (found.low, found.high) == (pytest.approx(0.9 / 0.095), pytest.approx(1.2 / 0.06))
    assert "12.5 times" in found.told
    assert claims.judge(published.GPU_FASTER.parts[0], found)[0] == claims.UNDECIDED


def test_energy_counts_only_if_it_is_valid():
    rows = [measurement(device, 1, "energy_per_epoch_j", value) for device, value in (("cpu", 30.0), ("cuda", 20.0))]
    assert quantities.cost_ratio(rows, "energy_per_epoch_j", "energy", JOULES).low == 1.5
    rows[1] |= {"energy_status": "INVALID", "energy_reason": "shorter than the counter's period"}
    found = quantities.cost_ratio(rows, "energy_per_epoch_j", "energy", JOULES)
    assert isinstance(found, quantities.Missing) and "counter's period" in found.why


def test_one_trial_has_no_range():
    rows = [
        measurement(device, 1, "epoch_time_s", value) | {"trials": 1} for device, value in (("cpu", 30.0), ("cuda", 1))
    ]
    status, sentence = claims.judge(TIMES, quantities.cost_ratio(rows, "epoch_time_s", "time", TIMES))
    assert status == claims.UNDECIDED
    assert sentence.endswith(
        "takes 30 times the time of the GPU at batch size 1; one trial gives no range; raise profile.trials."
    )


@pytest.mark.parametrize("claim, part", [pair for pair in PARTS if pair[1].quantity != "lead"])  # whole epochs
@pytest.mark.parametrize("side", [-1, 1])
def test_numbers_show_on_which_side_of_a_bound_they_lie(study, claim, part, side):
    bound = part.low if math.isfinite(part.low) else part.high
    inside = 1 if math.isfinite(part.low) else -1
    low, high = sorted([bound + side * 0.004, bound + side * 0.3])
    found = [f for f in claims.findings(with_interval(study, part, low, high)) if (f.claim, f.part) == (claim, part)]
    assert [f.status for f in found] == [claims.HOLDS if side == inside else claims.FAILS]
    shown = re.search(r"\[([^,]+), ([^]]+)\]", found[0].sentence)
    ends = [float(end.replace("−", "-")) for end in shown.groups()]
    assert all(end > bound for end in ends) if side > 0 else all(end < bound for end in ends), found[0].sentence


def test_equal_seeds_decide_nothing(study):
    part = published.BEHIND.parts[0]
    found = claims.findings(with_leads(shd(study), 30, 30))
    lead = next(f for f in found if f.part == part)
    assert (lead.status, lead.sentence.endswith("all values are equal: their spread is unknown.")) == (
        claims.UNDECIDED, True,
    )  # fmt: skip
    level = published.ACCURACY_OF_EXPONENTIAL.parts[0]
    same = next(f for f in claims.findings(with_interval(study, level, math.nan, math.nan)) if f.part == level)
    assert same.sentence.startswith("3 seeds reach") and "seeds that are all equal give no interval" in same.sentence


def test_levels_are_those_of_the_published_weight(study):
    shapes = study.params.shape | {"gaussian": Shape(kind="gaussian", width=0.9)}
    other = dataclasses.replace(study, params=study.params.model_copy(update={"shape": shapes}))
    found = [f for f in claims.findings(shd(other)) if f.claim is published.ACCURACY_OF_GAUSSIAN]
    assert {f.status for f in found} == {claims.UNTESTABLE}
    assert found[0].sentence == "no loss of the study has the gaussian weight as published."

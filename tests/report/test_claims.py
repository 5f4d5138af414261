"""Published claims: each is decided by the numbers of the results."""

import numpy as np
import pandas as pd
import pytest
from support import fake_results
from support.studies import compare, load, make

from eventspeech.report import claims, published, words


def measurement(device, size, time, energy=None, status="VALID"):
    row = {"device": device, "batch_size": size, "status": status, "reason": None, "epoch_time_s": time}
    return row | {"energy_per_epoch_j": energy, "energy_status": "VALID" if energy else "not measured"}


@pytest.mark.parametrize(
    "gpu, status", [([0.05, 0.01], claims.HOLDS), ([0.5, 0.2], claims.FAILS), ([0.5, 0.01], claims.UNDECIDED)]
)
def test_the_claim_of_speed_is_decided_by_the_numbers(gpu, status):
    rows = [measurement("cpu", 1, 1.0), measurement("cuda", 1, gpu[0]), measurement("cuda", 32, gpu[1])]
    finding = claims.gpu_faster(rows)
    assert finding.status == status
    assert f"{1 / gpu[1]:.3g} times" in finding.sentence


def test_energy_counts_only_if_it_is_valid():
    rows = [measurement("cpu", 1, 1.0, 30.0), measurement("cuda", 1, 0.1, 20.0)]
    assert claims.gpu_spares_energy(rows).status == claims.HOLDS
    rows[1]["energy_per_epoch_j"] = 40.0
    assert claims.gpu_spares_energy(rows).status == claims.FAILS
    rows[1] |= {"energy_status": "INVALID", "energy_reason": "shorter than the counter's period"}
    finding = claims.gpu_spares_energy(rows)
    assert finding.status == claims.UNTESTABLE and "counter's period" in finding.sentence


def with_curves(root, chosen, gaussian):
    """Replace the Gaussian's trainings by ones with these validation accuracies, a little apart by seed."""
    for seed in chosen.study.seeds:
        shift = 0.001 * seed**2
        for loss, values in {"gaussian": gaussian, "exponential": [0.2, 0.4, 0.6, 0.8]}.items():
            accuracy = np.array(values) + (shift if loss == "gaussian" else 0)
            fake_results.training(root / "results" / "train" / loss / str(seed) / "held_out", loss, seed, accuracy)
    compare(root, chosen)
    return load(root, chosen)


@pytest.mark.parametrize(
    "gaussian, faster, behind",
    [
        ([0.5, 0.6, 0.7, 0.75], claims.HOLDS, claims.HOLDS),
        ([0.1, 0.2, 0.3, 0.85], claims.FAILS, claims.FAILS),
    ],
)
def test_the_claims_about_learning_are_decided_by_the_numbers(tmp_path, gaussian, faster, behind):
    study = with_curves(tmp_path, make(tmp_path, seeds=[0, 1, 2]), gaussian)
    assert claims.faster(study, "gaussian").status == faster
    assert claims.behind(study, "gaussian").status == behind
    sentence = claims.faster(study, "gaussian").sentence
    assert sentence.startswith("With unequal mean weights")
    assert words.signed(100 * study.difference("gaussian", "early_validation")["mean"]) in sentence


def test_levels_can_be_tested_on_shd_only(own):
    root, chosen = own
    found = [f for f in claims.findings(load(root, chosen)) if f.claim == published.ACCURACY_OF_EXPONENTIAL]
    assert [f.status for f in found] == [claims.UNTESTABLE]
    assert "not SHD" in found[0].sentence
    shd = chosen.model_copy(update={"download": chosen.download.model_copy(update={"source": "shd"})})
    table = pd.read_csv(root / "results" / "compare" / "losses.csv")
    for low, high, status in ((0.92, 0.94, claims.HOLDS), (0.8, 0.82, claims.FAILS)):
        for name, value in {"mean": (low + high) / 2, "low": low, "high": high}.items():
            table[f"test_{name}"] = value
        table.to_csv(root / "results" / "compare" / "losses.csv", index=False)
        study = load(root, shd)
        assert study.label is None
        found = [f for f in claims.findings(study) if f.claim == published.ACCURACY_OF_EXPONENTIAL]
        assert [f.status for f in found] == [status]

"""The command that kills a small study: what it measures, and some kills of each tool."""

import random

import chaos
import pytest
from chaos import Outcome

from eventspeech.files import write_json

GOOD = Outcome(1.0, True, 1, False, 0, 0, 0, "")


@pytest.mark.parametrize(
    "change",
    [{"runs": 0}, {"mended": True}, {"lost": 1}, {"differing": 2}, {"left": 1}],
    ids=lambda change: next(iter(change)),
)
def test_each_loss_makes_a_trial_a_bad_one(change):
    assert GOOD.is_good() and GOOD._replace(runs=2).is_good()
    assert not GOOD._replace(**change).is_good()


@pytest.mark.parametrize(
    ("log", "anew"),
    [
        ("48 samples, 8592 weights\nepoch 1/6\nepoch 6/6\n", True),
        ("48 samples, 8592 weights\nGoing on after epoch 3\nepoch 4/6\n", False),
        ("finished before\n", False),
        (None, False),
    ],
)
def test_a_training_that_began_anew_is_told_by_its_log(tmp_path, log, anew):
    if log is not None:
        (tmp_path / "logs" / "train" / "gaussian" / "0").mkdir(parents=True)
        (tmp_path / "logs" / "train" / "gaussian" / "0" / "s1.log").write_text(log)
    assert chaos._began_anew(tmp_path, tmp_path / "results" / "checkpoints" / "gaussian" / "0" / "s1.npz") == anew


def test_the_table_adds_up_the_trials_of_each_kind(tmp_path):
    kinds = {"KILL to the group": [GOOD._asdict(), GOOD._replace(runs=2, hit=False)._asdict()]}
    for name in ("a.json", "b.json"):
        write_json(tmp_path / name, {"tool": "dvc", "kinds": kinds})
    assert chaos.table([tmp_path / "a.json", tmp_path / "b.json"]).splitlines()[2:] == [
        "| dvc | KILL to the group | 4 | 2 | 2 | 0 | 0 | 0 | 0 |"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["snakemake", "dvc"])
def test_killed_studies_end_with_the_bits_of_an_undisturbed_one(tmp_path, tool):
    draw = random.Random(0)
    whole_s = chaos.prepare(tmp_path, tool)
    for target in chaos.TARGETS:
        outcome = chaos.trial(tmp_path, tool, "KILL", target, draw.uniform(0, whole_s), draw)
        assert outcome.is_good() or (tool == "dvc" and outcome._replace(mended=False).is_good()), outcome

"""The end of a run: twelve lines at most that say what was found."""

import json
from pathlib import Path

from support import fake_results
from support.studies import compare, load, make

from eventspeech.report import claims, closing


def test_it_tells_accuracies_verdicts_page_and_time(study):
    told = closing.lines(study, claims.findings(study), Path("reports") / "study.html")
    row = study.of_loss("gaussian")
    assert told[0].startswith("Found on synthesised speech, not SHD (3 seeds)")
    shown = [f"{100 * row[f'test_{name}']:.1f}" for name in ("mean", "low", "high")]
    assert "  gaussian             {} [{}, {}], ".format(*shown) in told[2]
    counts = claims.summary(claims.findings(study))
    assert f"{counts[claims.UNTESTABLE]} cannot be tested" in told[-2] and "do not hold" in told[-2]
    assert told[-1] == "Report: reports/study.html (6 trainings of 900 s in all)."


def test_ten_losses_of_which_one_collapsed_fit_in_twelve_lines(tmp_path):
    shapes = {f"flat_{number}": {"kind": "sum"} for number in range(8)}
    chosen = make(tmp_path, losses=["exponential", "gaussian", *shapes], shapes=shapes, seeds=[0, 1])
    path = tmp_path / "results" / "train" / "flat_1" / "0" / "held_out" / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"collapsed_at_epoch": 9, "duration_s": None}))
    compare(tmp_path, chosen)
    study = load(tmp_path, chosen)
    told = closing.lines(study, claims.findings(study), Path("study.html"))
    assert len(told) == 12 and "and 4 more losses" in told[8] and told[-2].startswith("Collapsed runs: 1;")
    assert told[-1].endswith("(20 trainings, time unknown).")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accidents": [fake_results.ACCIDENT]}))
    compare(tmp_path, chosen)
    study = load(tmp_path, chosen)
    told = closing.lines(study, claims.findings(study), Path("study.html"))
    assert len(told) == 12
    assert told[-2] == "Collapsed runs: 1; Runs with numerical accidents: 1; the table of runs names them."

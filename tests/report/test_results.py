"""What the report reads: one finished study."""

import json

from support.studies import load, make


def test_a_speaker_counts_as_heard_in_the_folds_that_heard_it(tmp_path):
    chosen = make(tmp_path, seeds=[0], folds=["s01", "s02"], validation={"protocol": "leave_one_out"})
    for fold in chosen.study.folds:
        path = tmp_path / "results" / "evaluate" / "gaussian" / "0" / fold / "metrics.json"
        metrics = json.loads(path.read_text())
        entry = {"accuracy": 0.25, "samples": 20, "heard": False, "validation": True}
        metrics["accuracy_by_speaker"][fold] = entry
        path.write_text(json.dumps(metrics))
    study = load(tmp_path, chosen)
    assert (study.speaker_kinds()["s01"], study.speaker_kinds()["s11"]) == ("heard", "validation")
    other = study.runs["gaussian", 0, "s02"]["metrics"]["accuracy_by_speaker"]["s01"]["accuracy"]
    assert study.of_speaker("s01", study.of("gaussian")) == [other]

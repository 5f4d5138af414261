"""How a study was made: graph, time and memory, checksums."""

import dataclasses

from support.studies import load

from eventspeech.files import sha256
from eventspeech.records.costs import Cost
from eventspeech.report import figures, tables

COSTS = [
    Cost("train", "exponential/0/held_out", 40.0, 38.0, 150.0), Cost("train", "gaussian/0/held_out", 60.0, 55.0, 140.0),
    Cost("compare", "compare", 1.0, float("nan"), float("nan")), Cost("tune", "a", 5.0, 5.0, 90.0),
    Cost("report", "report", 9.0, 9.0, 300.0),
]  # fmt: skip


def test_the_graph_counts_the_jobs_of_the_study(study):
    shown = [entry.get_text().split("\n") for entry in figures.graph(study).axes[0].texts if entry.get_text()]
    counts = {" ".join(lines[:-1]): lines[-1] for lines in shown}
    assert counts["train"] == "6 jobs" and counts["profile cuda"] == "3 jobs" and counts["report"] == "1 job"
    without = study.params.profile.model_copy(update={"cuda_batch_sizes": []})
    less = dataclasses.replace(study, params=study.params.model_copy(update={"profile": without}))
    assert not any("cuda" in entry.get_text() for entry in figures.graph(less).axes[0].texts)


def test_time_and_memory_of_each_stage(study):
    found = dataclasses.replace(study, costs=COSTS)
    table = tables.steps_of_study(found).set_index("stage")
    assert list(table.index) == ["train", "compare", "tune"], "the report itself is not done"
    assert list(table.loc["train"]) == ["2", "100", "60", "gaussian/0/held_out", "93", "150"]
    assert table.loc["compare", "most memory (MiB)"] == ""
    time, memory = figures.stage_costs(found).axes
    assert [bar.get_width() for bar in time.patches] == [100.0, 1.0, 5.0]
    assert [entry.get_text() for entry in memory.texts] == ["150", "unknown", "90"]


def test_a_study_that_snakemake_did_not_run_says_so(study):
    (told,) = figures.stage_costs(study).axes[0].texts
    assert "Snakemake did not run this study" in told.get_text().replace("\n", " ")
    assert tables.steps_of_study(study).empty


def test_checksums_are_those_of_the_files(own):
    root, chosen = own
    study = load(root, chosen)
    study.statistics["test"]["spikes_sha256"] = "f" * 64
    table = tables.checksums(study).set_index("file")["SHA-256"]
    assert table["data/spikes/train.npz"] == sha256(root / "data/spikes/train.npz")
    assert table["data/spikes/test.npz"] == "f" * 64 and len(table) == 2 + len(study.runs)
    assert "spikes sha256" not in set(tables.data_set(study)["quantity"])

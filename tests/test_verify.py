"""A study is compared with the checksums of another: each verdict is reached, and names the first that differs."""

import csv
import json

import numpy as np
import pytest
import yaml
from support.studies import own, pristine  # noqa: F401

from eventspeech import cli, paths
from eventspeech.files import read_npz, write_npz
from eventspeech.records import manifest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def study(own, monkeypatch):  # noqa: F811
    """A finished study with a manifest of itself, as the working folder."""
    root, params = own
    monkeypatch.chdir(root)
    for job in ((loss, seed, "held_out") for loss in params.study.losses for seed in params.study.seeds):
        # of different compression, as other versions of a library write it
        write_npz(paths.model(root / "results", *job) / "weights.npz", {"a": np.arange(4.0), "meta": np.array("x")})
    manifest.write(root / "m.json", manifest.of_study(params, "9", root / "data" / "spikes", root / "results"))
    return root


def verified(capsys, *options: str) -> tuple[int, list[str]]:
    status = cli.main(["verify", "m.json", *options])
    return status, capsys.readouterr().out.splitlines()


def change_json(path, change):
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_a_study_is_equal_to_itself_whatever_time_machine_and_compression(study, capsys):
    model = paths.model(study / "results", "exponential", 0, "held_out")
    change_json(model / "summary.json", lambda found: found | {"machine": {"cpu": "other"}, "duration_s": 1.5})
    write_npz(model / "weights.npz", read_npz(model / "weights.npz"), compress=False)
    rows = list(csv.reader((model / "history.csv").open()))
    place = rows[0].index("training_s")
    rows[1][place] = "77"
    csv.writer((model / "history.csv").open("w"), lineterminator="\n").writerows(rows)
    status, said = verified(capsys)
    assert status == 0 and said[-1] == "Reproduced: bit by bit what m.json has, of version 9."
    assert [line.split()[0] for line in said[:-1]] == list(manifest.STAGES)
    assert all("differing" not in line and "missing" not in line for line in said)


def flip(path):
    arrays = read_npz(path)
    name = next(name for name, array in arrays.items() if array.dtype.kind == "f" and array.size)
    arrays[name] = arrays[name].copy()
    arrays[name].ravel()[0] = np.nextafter(arrays[name].ravel()[0], np.inf)
    write_npz(path, arrays)


def sed(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


DIFFERENCES = {
    "preprocess": lambda root: change_json(root / "data/spikes/test.json", lambda found: found | {"samples": 1}),
    "train": lambda root: flip(root / "results/train/gaussian/1/held_out/weights.npz"),
    "evaluate": lambda root: change_json(
        root / "results/evaluate/gaussian/0/held_out/metrics.json", lambda found: found | {"loss": 0.5}
    ),
    "compare": lambda root: sed(root / "results/compare/runs.csv", "exponential", "Exponential"),
}


@pytest.mark.parametrize("stage", DIFFERENCES)
def test_the_first_stage_that_differs_is_named(study, capsys, stage):
    for later in list(DIFFERENCES)[list(DIFFERENCES).index(stage) :]:
        DIFFERENCES[later](study)
    status, said = verified(capsys)
    assert status == 1 and said[-1].startswith(f"Not reproduced: {stage} is the first stage that differs (1: ")
    before = said[: list(manifest.STAGES).index(stage)]
    assert not any("differing" in line for line in before)


def test_the_last_bit_of_one_weight_counts(study, capsys):
    flip(study / "results/train/exponential/0/held_out/weights.npz")
    status, said = verified(capsys)
    assert status == 1 and "results/train/exponential/0/held_out/weights.npz" in said[-1]


def test_what_is_missing_or_damaged_is_told(study, capsys):
    (study / "results/evaluate/gaussian/1/held_out/predictions.csv").unlink()
    status, said = verified(capsys)
    assert status == 1
    assert said[-1].endswith("(1 missing: results/evaluate/gaussian/1/held_out/predictions.csv).")
    (study / "results/train/gaussian/1/held_out/weights.npz").write_bytes(b"PK")
    status, said = verified(capsys)
    assert status == 1 and said[-1].startswith("Not reproduced: train is the first stage that differs (1: ")


def test_what_is_here_alone_is_told_and_no_difference(study, capsys):
    known = json.loads((study / "m.json").read_text())
    del known["stages"]["train"]["results/train/gaussian/1/held_out/weights.npz"]
    (study / "m.json").write_text(json.dumps(known))
    status, said = verified(capsys)
    assert status == 0 and "1 more than there" in said[2]


def test_other_parameters_are_named_and_the_files_compared_all_the_same(study, capsys):
    content = yaml.safe_load((study / "params.yaml").read_text())
    content["train"]["epochs"] += 1
    content["report"]["title"] = "another"
    (study / "other.yaml").write_text(yaml.safe_dump(content))
    status, said = verified(capsys, "--params", "other.yaml")
    assert status == 1 and said[0] == "These are other parameters than those of m.json:"
    assert said[1].startswith("  train.epochs is ") and not any("title" in line for line in said)
    assert not any("Reproduced" in line for line in said)


@pytest.mark.parametrize(
    ("content", "sentence"), [("{", "is not valid JSON"), ("{}", "lacks the field"), ('{"a": 1}', "does not know")]
)
def test_a_manifest_that_is_none_is_refused(study, capsys, content, sentence):
    (study / "m.json").write_text(content)
    assert cli.main(["verify", "m.json"]) == 2
    assert sentence in capsys.readouterr().err


def test_every_file_of_a_stage_that_is_no_measurement_has_a_checksum(study):
    listed = {name for sums in json.loads((study / "m.json").read_text())["stages"].values() for name in sums}
    there = {path.relative_to(study).as_posix() for path in (study / "results").rglob("*") if path.is_file()}
    assert {name for name in there - listed if not name.startswith("results/profile/")} == set()

"""Runs for trackers: what their own readers find again."""

import sys

import pytest
from support import tiny, training

from eventspeech import cli, track
from eventspeech.data import store
from eventspeech.errors import DataError, UserError
from eventspeech.records import history

quick = training.quick


@pytest.fixture(scope="module")
def study(tmp_path_factory, quick):
    """Results of two trainings, without tests."""
    root = tmp_path_factory.mktemp("study")
    store.save(tiny.make_store(), root / "train.npz", "train")
    for seed in (0, 1):
        place = root / "results" / "train" / "gaussian" / str(seed) / "held_out"
        training.run(place, root / "train.npz", "gaussian", seed, train={"epochs": 2})
    return root / "results"


def test_what_a_run_is(study):
    first, second = track._runs(study)
    assert (first.name, second.name) == ("gaussian/0/held_out", "gaussian/1/held_out")
    columns = history.read(study / "train/gaussian/0/held_out/history.csv")
    assert first.curves["validation_accuracy"] == columns["validation_accuracy"].tolist()
    assert "epoch" not in first.curves
    assert [first.params[name] for name in ("network.hidden", "shape.kind", "seed")] == ["[12]", "gaussian", "0"]
    assert ("training_loss", 2, columns["training_loss"][1]) in list(first.points())
    assert ("best_validation_accuracy", 2, first.last["best_validation_accuracy"]) in list(first.points())


def test_mlflow_finds_each_run_once(study, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking", reason="MLflow is not installed")
    for _ in range(2):
        assert cli.main(["track", str(study), "--to", "mlflow", "--folder", str(tmp_path / "runs")]) == 0
    client = tracking.MlflowClient(tracking_uri=(tmp_path / "runs").as_uri())
    runs = client.search_runs([client.get_experiment_by_name("eventspeech").experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["gaussian/0/held_out", "gaussian/1/held_out"]
    curve = client.get_metric_history(runs[0].info.run_id, "training_loss")
    assert [one.step for one in curve] == [1, 2] and runs[0].data.params["network.step_ms"] == "1.0"


def test_tensorboard_finds_each_run_once(study, tmp_path, caplog):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    for _ in range(2):
        track.track(study, "tensorboard", tmp_path / "runs")
    files = sorted((tmp_path / "runs").rglob("events.*"))
    assert [file.parent.relative_to(tmp_path / "runs").as_posix() for file in files] == [
        "gaussian/0/held_out", "gaussian/1/held_out"
    ]  # fmt: skip
    assert all(name.encode() in files[0].read_bytes() for name in ("training_loss", "best_validation_accuracy"))


@pytest.mark.parametrize(("to", "module"), [("mlflow", "mlflow.tracking"), ("tensorboard", "tensorboardX")])
def test_a_tracker_that_is_not_installed(study, tmp_path, monkeypatch, to, module):
    monkeypatch.setitem(sys.modules, module.split(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"is not installed; run `pip install eventspeech\[track\]`"):
        track.track(study, to, tmp_path / "runs")


def test_a_folder_without_runs(tmp_path, monkeypatch):
    monkeypatch.setitem(track._WRITERS, "mlflow", lambda: None)
    with pytest.raises(DataError, match=r"holds no history\.csv of a training; give a study's folder"):
        track.track(tmp_path, "mlflow", tmp_path / "runs")

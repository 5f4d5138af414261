"""Checkpoints: an interruption costs one epoch and no bit, and what is not this training's is ignored."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import TESTS, tiny
from support.training import DRAWN, LEARNED_WEIGHT, OWN, RECIPE, SHARED, equal, interrupt, on_call, outputs, rows, run

from eventspeech import disk, machine
from eventspeech.data import store
from eventspeech.engines.cpu import CpuEngine
from eventspeech.errors import UserError
from eventspeech.files import read_json, read_npz, write_npz
from eventspeech.learning import checkpoint
from eventspeech.learning.trainer import Trainer
from eventspeech.records.history import Row
from eventspeech.stages import train

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    "groups",
    [{}, SHARED, OWN, DRAWN, RECIPE, LEARNED_WEIGHT],
    ids=["weights", "and shared constants", "and neurons' own", "drawn constants", "the recipe", "a learned weight"],
)
def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path, spikes, whole, monkeypatch, caplog, groups):
    if groups:
        whole = run(tmp_path / "whole", spikes, **groups)
    # in the middle of epoch 4: six batches an epoch, twelve with as many blended samples again
    batches_an_epoch = 12 if groups is RECIPE else 6
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CpuEngine, "gradients", on_call(3 * batches_an_epoch + 4, interrupt)(CpuEngine.gradients))
        run(tmp_path / "cut", spikes, **groups)
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["last.npz"]
    with caplog.at_level("INFO", "eventspeech"):
        resumed = run(tmp_path / "cut", spikes, **groups)
    assert "Going on after epoch 3" in caplog.text
    assert equal(resumed, whole)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import tiny
from eventspeech.records import history
from eventspeech.stages import train
from eventspeech.engines import cpu
from support.training import on_call, outputs

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def in_an_epoch():
    cpu.CpuEngine.gradients = on_call(3 * 6 + 4, kill)(cpu.CpuEngine.gradients)

def while_a_checkpoint_is_written():  # the temporary file is whole, but not yet in its place
    os.fsync = on_call(3, kill)(os.fsync)

def while_the_outputs_are_written():  # weights are in place, history is half done
    history.write = on_call(1, kill)(history.write)

for moment in (in_an_epoch, while_a_checkpoint_is_written, while_the_outputs_are_written):
    child = os.fork()
    if child == 0:
        moment()
        folder = Path({folder!r}) / moment.__name__
        train.train(tiny.make_params(), "exponential", 0, Path({spikes!r}), outputs(folder))
        os._exit(0)
    print(moment.__name__, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory, spikes) -> tuple[Path, dict[str, int]]:
    """Trainings killed at three moments, by forks of one process that has not computed anything itself."""
    folder = tmp_path_factory.mktemp("killed")
    script = KILLED.format(tests=str(TESTS), folder=str(folder), spikes=str(spikes))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return folder, {name: int(status) for name, status in (line.split() for line in done.stdout.splitlines())}


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("in_an_epoch", ["last.npz"]),
        ("while_a_checkpoint_is_written", ["last.npz"]),
        ("while_the_outputs_are_written", ["last.npz", "weights.npz"]),
    ],
)
def test_a_killed_training_leaves_whole_files_and_goes_on(spikes, whole, killed, caplog, moment, left):
    folder, statuses = killed[0] / moment, killed[1]
    assert statuses[moment] == -signal.SIGKILL
    assert sorted(path.name for path in folder.iterdir() if path.suffix not in (".part", ".lock")) == left
    for name in left:
        read_npz(folder / name)
    with caplog.at_level("INFO", "eventspeech"):
        resumed = run(folder, spikes)
    assert "Going on after epoch" in caplog.text
    assert equal(resumed, whole)
    assert sorted(path.name for path in folder.iterdir()) == ["history.csv", "last.npz", "summary.json", "weights.npz"]


# --- a finished training is found finished ----------------------------------------------------------------------------


def lost(paths: train.Outputs) -> dict[str, bytes]:
    """Remove the outputs of a training, as Snakemake does with those that it has taken no note of; return them."""
    content = {name: file.read_bytes() for name, file in paths.results().items()}
    for file in paths.results().values():
        file.unlink()
    return content


def test_a_finished_training_comes_back_byte_by_byte_without_an_epoch(tmp_path, spikes, monkeypatch, caplog):
    paths = run(tmp_path, spikes, train={"epochs": 2})
    before = lost(paths)
    monkeypatch.setattr(train, "Trainer", None)
    with caplog.at_level("INFO", "eventspeech"):
        run(tmp_path, spikes, train={"epochs": 2})
    assert "finished before with the same parameters, data and code: restored from" in caplog.text
    assert {name: file.read_bytes() for name, file in paths.results().items()} == before
    written = sum(map(len, before.values()))
    assert paths.checkpoint.stat().st_size < written + 2000, "it takes as much of the disk as the outputs"


@pytest.mark.parametrize("change", ["parameters", "data", "code", "a flipped byte", "an output less"])
def test_what_is_finished_is_this_very_training_or_none(tmp_path, spikes, monkeypatch, change):
    paths, groups = run(tmp_path, spikes, train={"epochs": 1}), {"train": {"epochs": 1}}
    before = lost(paths)
    if change == "parameters":
        groups["optimiser"] = {"learning_rate": 0.011}
    elif change == "data":
        spikes = tmp_path / "other.npz"
        store.save(tiny.make_store(seed=1), spikes, "train")
    elif change == "code":
        monkeypatch.setattr(machine, "code", lambda *names: "another")
    elif change == "a flipped byte":
        content = bytearray(paths.checkpoint.read_bytes())
        content[len(content) // 2] ^= 255
        paths.checkpoint.write_bytes(content)
    else:
        arrays = read_npz(paths.checkpoint)
        del arrays["output.summary"]
        write_npz(paths.checkpoint, arrays)
    epochs = []
    monkeypatch.setattr(train, "_run_epoch", lambda *given, real=train._run_epoch: epochs.append(1) or real(*given))
    run(tmp_path, spikes, **groups)
    assert epochs == [1], "it was trained"
    same = paths.weights.read_bytes() == before["weights"]
    assert same == (change not in ("parameters", "data"))


def test_the_code_that_counts_is_there():
    assert all((machine.provenance.PACKAGE / name).exists() for name in checkpoint.CODE if name != "compiled.h")


def test_other_kernels_do_not_go_on_and_lose_nothing(tmp_path, spikes, interrupted, monkeypatch):
    before = interrupted.checkpoint.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "__init__", other_kernels(Trainer.__init__))
        with pytest.raises(UserError, match=r"begun by other kernels \(engine \w+, optimiser \w+\) than this .*delete"):
            run(tmp_path, spikes)
    assert interrupted.checkpoint.read_bytes() == before
    summary = read_json(run(tmp_path, spikes).summary)
    assert set(summary["kernels"]) == {"engine", "optimiser"}


def other_kernels(init):
    def changed(self, *arguments):
        init(self, *arguments)
        self.kernels = {name: "of elsewhere" for name in self.kernels}

    return changed


def test_who_comes_second_waits_and_finds_it_finished(tmp_path, spikes, caplog):
    script = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        "from pathlib import Path\nfrom support.training import run\nfrom eventspeech.stages import train\n"
        "real = train._train\n"
        "def slow(*given):\n    print('begun', flush=True); sys.stdin.readline(); real(*given)\n"
        f"train._train = slow\nrun(Path({str(tmp_path)!r}), Path({str(spikes)!r}), train={{'epochs': 1}})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "begun\n"
        # it is let go as soon as the second one waits for it
        with caplog.at_level("INFO", "eventspeech"), pytest.MonkeyPatch.context() as patch:
            patch.setattr(disk.logger, "info", lambda *said: first.stdin.write("\n") and first.stdin.flush())
            patch.setattr(train, "_train", None)
            paths = run(tmp_path, spikes, train={"epochs": 1})
        assert first.wait() == 0
    assert paths.summary.exists()


@pytest.fixture
def interrupted(tmp_path, spikes, monkeypatch) -> train.Outputs:
    """A training that was interrupted in its second epoch."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train, "_run_epoch", on_call(2, interrupt)(train._run_epoch))
        run(tmp_path, spikes)
    return outputs(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"loss": "gaussian"},
        {"optimiser": {"learning_rate": 0.011}},
        {"train": {"epochs": 5}},
        {"network": {"hidden": [13]}},
        {"augmentation": {"shift_channels": 4}},
        {"train": {"select": "last"}},
        {"augmentation": {"blend": {"probabilities": [0.5, 0.5]}}},
        SHARED,
        {"validation": {"speakers": ["s2"]}},
        {"shape": {"exponential": {"kind": "exponential", "mean_weight": 0.5}}},
    ],
    ids=str,
)
def test_a_checkpoint_of_other_parameters_is_ignored(tmp_path, spikes, interrupted, caplog, change):
    with caplog.at_level("INFO", "eventspeech"):
        found = run(tmp_path, spikes, **change)
    assert "belongs to other parameters, data or code and is ignored" in caplog.text
    assert equal(found, run(tmp_path / "fresh", spikes, **change))


def test_a_checkpoint_of_other_data_is_ignored(tmp_path, interrupted, caplog):
    store.save(tiny.make_store(seed=1), tmp_path / "other.npz", "train")
    with caplog.at_level("INFO", "eventspeech"):
        run(tmp_path, tmp_path / "other.npz")
    assert "belongs to other parameters, data or code and is ignored" in caplog.text


@pytest.mark.parametrize("damage", ["truncated", "a flipped byte", "empty", "text", "another archive"])
def test_a_damaged_checkpoint_is_ignored(tmp_path, spikes, whole, interrupted, caplog, damage):
    content = bytearray(interrupted.checkpoint.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 255
    damaged = {"truncated": content[:middle], "a flipped byte": content, "empty": b"", "text": b"epoch 3"}
    if damage == "another archive":
        write_npz(interrupted.checkpoint, {"rows": np.zeros((3, 10))})
    else:
        interrupted.checkpoint.write_bytes(damaged[damage])
    with caplog.at_level("INFO", "eventspeech"):
        found = run(tmp_path, spikes)
    assert "ignored" in caplog.text
    assert equal(found, whole)


def rows_changed(change):
    def damage(arrays):
        arrays["rows"] = change(arrays["rows"].copy())

    return damage


def set_rows(column, value):
    def change(rows):
        rows[0, Row._fields.index(column)] = value
        return rows

    return rows_changed(change)


def set_array(name, value):
    def damage(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name].ravel()[0] = value

    return damage


DAMAGED = {
    "no rows": lambda arrays: arrays.pop("rows"),
    "rows of none": rows_changed(lambda rows: rows[:0]),
    "rows of another width": rows_changed(lambda rows: rows[:, :3]),
    "more rows than epochs": rows_changed(lambda rows: np.tile(rows, (9, 1))),
    "rows in no order": set_rows("epoch", 3),
    "rows of text": rows_changed(lambda rows: rows.astype(str)),
    "an accuracy above one": set_rows("validation_accuracy", 1.7),
    "no loss": set_rows("training_loss", np.nan),
    "no weights": lambda arrays: arrays.pop("weights.hidden1_output"),
    "weights of another shape": lambda arrays: arrays.update({"weights.hidden1_output": np.zeros((3, 3), np.float32)}),
    "weights of another type": lambda arrays: arrays.update(
        {"weights.hidden1_output": arrays["weights.hidden1_output"].astype(float)}
    ),
    "weights that are no numbers": set_array("weights.hidden1_output", np.nan),
    "best weights that are no numbers": set_array("best.input_hidden1", np.inf),
    "time runs back": set_array("weights.hidden1_tau_mem_ms", -1),
    "an optimiser without a state": lambda arrays: arrays.pop("adam.updates"),
    "an optimiser of another shape": lambda arrays: arrays.update({"adam.first.hidden1_output": np.zeros(1, "f4")}),
    "a negative square": set_array("adam.second.hidden1_output", -1),
    "a negative number of updates": lambda arrays: arrays.update({"adam.updates": np.int64(-1)}),
    "something else": lambda arrays: arrays.update(extra=np.zeros(1)),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_checkpoint_that_cannot_be_is_ignored(tmp_path, spikes, monkeypatch, caplog, case):
    groups = SHARED | {"train": {"epochs": 2}}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train, "_run_epoch", on_call(2, interrupt)(train._run_epoch))
        run(tmp_path, spikes, **groups)
    path = outputs(tmp_path).checkpoint
    arrays = read_npz(path)
    DAMAGED[case](arrays)
    write_npz(path, arrays)
    with caplog.at_level("INFO", "eventspeech"):
        found = run(tmp_path, spikes, **groups)
    assert "cannot be used and is ignored: training starts anew" in caplog.text
    assert [row["epoch"] for row in rows(found.history)] == ["1", "2"]


def test_the_checkpoint_is_plain_arrays(interrupted):
    kinds = {array.dtype.kind for array in read_npz(interrupted.checkpoint).values()}
    assert kinds <= set("fiU")


def test_a_collapse_of_training_accuracy_counts_too():
    progress = checkpoint.Progress()
    trainer = SimpleNamespace(network=SimpleNamespace(outputs=4), augmentation=SimpleNamespace(presented=100))
    for number, accuracy in enumerate([0.3, 0.9, 0.25, 0.25, 0.25], 1):
        row = dict.fromkeys(Row._fields, 0.5) | {"epoch": number, "training_accuracy": accuracy}
        progress.rows.append(Row(**row))
    assert progress.collapsed_at(100, trainer) == 3

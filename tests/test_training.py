"""Stage `train`: it learns, can be interrupted, repeats itself to the bit, and nothing leaks between its parts."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import tiny

from eventspeech import engines, machine, model_file, params, schedule, training
from eventspeech.data import batches, store
from eventspeech.engines.cpu import CpuEngine
from eventspeech.errors import DataError, ParameterError, UserError
from eventspeech.files import read_json, read_npz, write_npz
from eventspeech.network import Network, is_time_constant

TIMING = {"training_s", "validation_s"}

# time constants of populations, of neurons that start apart, and ones that differ but are not learned
SHARED = {"train": {"learn_time_constants": "population"}}
OWN = {"train": {"learn_time_constants": "neuron"}, "network": {"time_constants": "heterogeneous"}}
DRAWN = {"network": {"time_constants": "heterogeneous"}}

# every piece of the published recipe, so that each acts within six epochs: the rate falls when accuracy does not rise
RECIPE = {
    "train": {
        "ease_in": {"start": 0.01, "growth": 1.3},
        "schedule": {"factor": 0.5, "fast": 0.0, "slow": 1e-6, "wait_epochs": 0},
        "silent_lift": {"amount": 0.002, "neurons": "all"},
        "select": "training",
        "learning_rate": 1.0,
    },
    "augmentation": {
        "balance_classes": True,
        "normalise_spikes": True,
        "blend": {"probabilities": [0.5, 0.5]},
        "dilation": {"shortest": 0.8, "longest": 1.25},
        "jitter_channels": 3.0,
    },
}


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Use one thread, and do not ask git about this machine's state after each training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(machine, "facts", lambda: {"cpu": "fast"})
        yield


@pytest.fixture(scope="module")
def spikes(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("spikes") / "train.npz"
    store.save(tiny.make_store(), path, "train")
    return path


def outputs(folder: Path) -> training.Outputs:
    return training.Outputs(*(folder / name for name in ("weights.npz", "history.csv", "summary.json", "last.npz")))


def run(folder: Path, spikes: Path, loss: str = "exponential", seed: int = 0, **groups) -> training.Outputs:
    paths = outputs(folder)
    training.train(tiny.make_params(**groups), loss, seed, spikes, paths)
    return paths


def rows(path: Path, without=TIMING) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [{key: value for key, value in row.items() if key not in without} for row in csv.DictReader(stream)]


def equal(first: training.Outputs, second: training.Outputs) -> bool:
    """Say whether two trainings ended alike, to the bit."""
    same = first.weights.read_bytes() == second.weights.read_bytes()
    return same and rows(first.history) == rows(second.history)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, spikes) -> training.Outputs:
    """An uninterrupted training."""
    return run(tmp_path_factory.mktemp("whole"), spikes)


def test_a_loss_with_changes_is_trained_as_if_the_file_said_so(tmp_path, spikes):
    network = {"hidden": [7, 5], "recurrent": False, "delays": {"copies": 3, "interval_ms": 4}}
    shape = {"kind": "exponential", "changes": {**RECIPE, "network": network}}
    changed = run(tmp_path / "changed", spikes, loss="recipe", shape={"recipe": shape})
    # both are of one name: what the model file says of itself holds it
    merged = {group: {**tiny.CONTENT[group], **keys} for group, keys in (RECIPE | {"network": network}).items()}
    said = run(tmp_path / "said", spikes, loss="recipe", shape={"recipe": {"kind": "exponential"}}, **merged)
    assert equal(changed, said)
    assert read_json(changed.summary)["epochs"] == tiny.CONTENT["train"]["epochs"]
    alone = training.Trainer(tiny.make_params(shape={"recipe": shape}), "recipe", 0, store.load(spikes))
    assert alone.network.hidden == (7, 5)


class Spy(CpuEngine):
    """An engine that keeps what it is given."""

    seen: list[tuple[str, batches.Batch, dict]]

    def gradients(self, weights, batch, objective):
        self.seen.append(("gradients", batch, {name: array.copy() for name, array in weights.items()}))
        return super().gradients(weights, batch, objective)


@pytest.fixture
def spy(monkeypatch):
    """Let every trainer use a spying engine; return what it saw."""
    seen = []

    def create(name: str, network: Network, threads: int | None = None, *_):
        engine = Spy(network, threads)
        engine.seen = seen
        return engine

    monkeypatch.setattr(engines, "create", create)
    return seen


def on_call(number: int, action):
    """Return a wrapper that acts on the n-th call of a function, before it does anything."""

    def wrap(function):
        calls = iter(range(1, 10**6))

        def wrapped(*arguments, **options):
            if next(calls) == number:
                action()
            return function(*arguments, **options)

        return wrapped

    return wrap


def interrupt():
    raise KeyboardInterrupt


# --- it learns, and says so -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["exponential", "gaussian"])
def test_it_learns(tmp_path, spikes, loss):
    paths = run(tmp_path, spikes, loss, train={"epochs": 20})
    history = rows(paths.history)
    chance = 1 / len(tiny.CLASSES)
    assert float(history[0]["validation_accuracy"]) < 3 * chance - 0.1
    assert read_json(paths.summary)["best_validation_accuracy"] > 3 * chance + 0.1
    assert float(history[-1]["training_loss"]) < 0.7 * float(history[0]["training_loss"])


def test_history_has_one_complete_row_an_epoch(whole):
    history = rows(whole.history, without=())
    assert [row["epoch"] for row in history] == [str(number) for number in range(1, 7)]
    assert list(history[0]) == list(training.Row._fields)
    for row in history:
        assert float(row["training_s"]) > 0 and float(row["validation_s"]) > 0
        assert float(row["hidden_spikes"]) > 0
        assert float(row["learning_rate"]) == tiny.CONTENT["train"]["learning_rate"]


def test_summary_and_model_tell_what_history_tells(whole, spikes):
    history, summary = rows(whole.history, without=()), read_json(whole.summary)
    accuracies = [float(row["validation_accuracy"]) for row in history]
    best = history[summary["best_epoch"] - 1]
    assert float(best["validation_accuracy"]) == max(accuracies) == summary["best_validation_accuracy"]
    assert float(best["validation_loss"]) == summary["best_validation_loss"]
    assert summary["best_validation_loss"] == min(
        float(row["validation_loss"]) for row in history if float(row["validation_accuracy"]) == max(accuracies)
    )
    assert summary["final_validation_accuracy"] == accuracies[-1]
    assert summary["final_training_accuracy"] == float(history[-1]["training_accuracy"])
    seconds = sum(float(row["training_s"]) for row in history)
    assert summary["ms_per_sample"] == pytest.approx(1000 * seconds / (6 * summary["training_samples"]))
    arrays, meta = model_file.load(whole.weights)
    assert summary["weights"] == sum(array.size for array in arrays.values()) == 700 * 12 + 12 * 12 + 12 * 4
    samples = store.load(spikes)
    assert (summary["training_samples"], summary["validation_samples"]) == (len(samples) * 3 // 4, len(samples) // 4)
    assert summary["machine"] == {"cpu": "fast"}
    assert (meta["kind"], meta["loss"], meta["seed"]) == ("spiking", "exponential", 0)
    assert meta["epoch"] == summary["best_epoch"]
    assert meta["class_names"] == list(tiny.CLASSES)
    assert (meta["heard_speakers"], meta["validation_speakers"]) == (["s0", "s1", "s2"], ["s3"])


def test_the_weights_are_those_of_the_best_epoch(tmp_path, spikes):
    # a rate so high that the last epoch is not the best
    changes = {"learning_rate": 10.0, "epochs": 8}
    params = tiny.make_params(train=changes)
    paths = run(tmp_path, spikes, train=changes)
    summary = read_json(paths.summary)
    assert summary["best_epoch"] < 8
    learned, held_out = training.split(params, store.load(spikes))
    trainer = training.Trainer(params, "exponential", 0, learned)
    trainer.weights = model_file.load(paths.weights)[0]
    again = trainer.validate(trainer.on_grid(held_out))
    assert again.accuracy == summary["best_validation_accuracy"]
    assert again.loss == summary["best_validation_loss"]


@pytest.mark.parametrize(
    ("found", "best"),
    [
        ([(0.5, 1.0), (0.7, 2.0), (0.6, 0.1)], 2),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 2),
        ([(0.5, 1.0), (0.5, 1.0), (0.4, 0.5)], 1),
    ],
    ids=["accuracy first", "then the lower loss", "then the first"],
)
def test_the_epoch_is_chosen_by_accuracy_then_loss(tmp_path, spikes, monkeypatch, found, best):
    real, weights = training._run_epoch, []

    def pretend(trainer, number, validation):
        row = real(trainer, number, validation)
        weights.append({name: array.copy() for name, array in trainer.weights.items()})
        accuracy, loss = found[number - 1]
        return row._replace(validation_accuracy=accuracy, validation_loss=loss)

    monkeypatch.setattr(training, "_run_epoch", pretend)
    paths = run(tmp_path, spikes, train={"epochs": 3})
    assert read_json(paths.summary)["best_epoch"] == best
    for name, array in model_file.load(paths.weights)[0].items():
        assert array.tobytes() == weights[best - 1][name].tobytes()
        assert best == 3 or array.tobytes() != weights[2][name].tobytes()


def test_a_loss_may_have_its_own_learning_rate(tmp_path, spikes):
    shapes = {"gaussian": {"kind": "gaussian", "learning_rate": 0.002}}
    for loss, rate in (("gaussian", 0.002), ("exponential", 0.01)):
        paths = run(tmp_path / loss, spikes, loss, shape=shapes, train={"epochs": 1})
        assert float(rows(paths.history)[0]["learning_rate"]) == rate


# --- an interruption costs one epoch ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "groups",
    [{}, SHARED, OWN, DRAWN, RECIPE],
    ids=["weights", "and shared constants", "and neurons' own", "drawn constants", "the recipe"],
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
    assert not resumed.checkpoint.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import tiny
from eventspeech import files, model_file, training
from eventspeech.engines import cpu
from test_training import on_call, outputs

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def in_an_epoch():
    cpu.CpuEngine.gradients = on_call(3 * 6 + 4, kill)(cpu.CpuEngine.gradients)

def while_a_checkpoint_is_written():  # the temporary file is whole, but not yet in its place
    os.fsync = on_call(3, kill)(os.fsync)

def while_the_outputs_are_written():  # weights are in place, history is half done
    training.write_text = on_call(1, kill)(training.write_text)

for moment in (in_an_epoch, while_a_checkpoint_is_written, while_the_outputs_are_written):
    child = os.fork()
    if child == 0:
        moment()
        folder = Path({folder!r}) / moment.__name__
        training.train(tiny.make_params(), "exponential", 0, Path({spikes!r}), outputs(folder))
        os._exit(0)
    print(moment.__name__, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory, spikes) -> tuple[Path, dict[str, int]]:
    """Trainings killed at three moments, by forks of one process that has not computed anything itself."""
    folder = tmp_path_factory.mktemp("killed")
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder), spikes=str(spikes))
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
    assert sorted(path.name for path in folder.iterdir() if not path.name.endswith(".part")) == left
    for name in left:
        read_npz(folder / name)
    with caplog.at_level("INFO", "eventspeech"):
        resumed = run(folder, spikes)
    assert "Going on after epoch" in caplog.text
    assert equal(resumed, whole)
    assert not resumed.checkpoint.exists()


@pytest.fixture
def interrupted(tmp_path, spikes, monkeypatch) -> training.Outputs:
    """A training that was interrupted in its second epoch."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "_run_epoch", on_call(2, interrupt)(training._run_epoch))
        run(tmp_path, spikes)
    return outputs(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"loss": "gaussian"},
        {"train": {"learning_rate": 0.011}},
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
    assert "belongs to other parameters or data and is ignored" in caplog.text
    assert equal(found, run(tmp_path / "fresh", spikes, **change))


def test_a_checkpoint_of_other_data_is_ignored(tmp_path, interrupted, caplog):
    store.save(tiny.make_store(seed=1), tmp_path / "other.npz", "train")
    with caplog.at_level("INFO", "eventspeech"):
        run(tmp_path, tmp_path / "other.npz")
    assert "belongs to other parameters or data and is ignored" in caplog.text


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


# --- time constants ---------------------------------------------------------------------------------------------------


def constants_of(weights) -> dict[str, np.ndarray]:
    return {name: array for name, array in weights.items() if is_time_constant(name)}


@pytest.mark.parametrize("groups", [SHARED, OWN], ids=["shared", "neurons' own"])
def test_time_constants_are_learned_kept_and_summed_up(tmp_path, spikes, groups):
    params = tiny.make_params(**groups)
    learned, held_out = training.split(params, store.load(spikes))
    trainer = training.Trainer(params, "exponential", 0, learned)
    start = {name: array.copy() for name, array in constants_of(trainer.weights).items()}
    paths = run(tmp_path, spikes, **groups)
    found, summary = model_file.load(paths.weights)[0], read_json(paths.summary)
    assert {name: array.shape for name, array in constants_of(found).items()} == {k: v.shape for k, v in start.items()}
    assert all(np.any(found[name] != array) for name, array in start.items()), "each population has learned"
    means = {name: float(array.mean(dtype=np.float64)) for name, array in constants_of(found).items()}
    assert summary["time_constants"] == means and len(means) == 4
    trainer.weights = found
    again = trainer.validate(trainer.on_grid(held_out))
    assert (again.accuracy, again.loss) == (summary["best_validation_accuracy"], summary["best_validation_loss"])


def test_outputs_keep_their_time_constants_if_asked(tmp_path, spikes):
    changes = {"epochs": 2, "learn_time_constants": "neuron", "learn_output_time_constants": False}
    paths = run(tmp_path, spikes, train=changes)
    found = constants_of(model_file.load(paths.weights)[0])
    assert list(found) == ["hidden1_tau_mem_ms", "hidden1_tau_syn_ms"]
    assert np.any(found["hidden1_tau_mem_ms"] != 20)


def test_drawn_time_constants_stay_unless_they_are_learned(tmp_path, spikes):
    paths = run(tmp_path, spikes, train={"epochs": 3}, **DRAWN)
    learned, _ = training.split(tiny.make_params(**DRAWN), store.load(spikes))
    start = constants_of(training.Trainer(tiny.make_params(**DRAWN), "exponential", 0, learned).weights)
    found = constants_of(model_file.load(paths.weights)[0])
    assert list(found) == ["hidden1_tau_mem_ms", "hidden1_tau_syn_ms"]
    assert all(found[name].tobytes() == start[name].tobytes() and np.std(start[name]) > 1 for name in start)
    assert "time_constants" not in read_json(paths.summary)


def test_time_constants_do_not_fall_below_their_bounds(parts):
    bounds = {"tau_mem_ms": 6.0, "tau_syn_ms": 1.5}
    params = tiny.make_params(
        train={
            "learn_time_constants": "neuron",
            "learning_rate": 1e-6,
            **{f"{kind.removesuffix('_ms')}_min_ms": bound for kind, bound in bounds.items()},
        }
    )
    trainer = training.Trainer(params, "exponential", 0, parts.learned)
    for name, array in constants_of(trainer.weights).items():
        array[::2] = 0.9 * bounds[name.split("_", 1)[1]]  # as if a step had gone too far
    trainer.epoch(1)
    for name, array in constants_of(trainer.weights).items():
        kind = name.split("_", 1)[1]
        np.testing.assert_allclose(array[::2], bounds[kind], rtol=1e-5)
        np.testing.assert_allclose(array[1::2], getattr(trainer.network, kind), rtol=1e-5)
        assert array.min() >= bounds[kind]


def test_losses_share_initial_time_constants(parts):
    params = tiny.make_params(**OWN)
    one, other = (
        constants_of(training.Trainer(params, loss, 0, parts.learned).weights) for loss in ("exponential", "gaussian")
    )
    assert {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in other.items()}


# --- the published recipe ---------------------------------------------------------------------------------------------


def test_the_pieces_of_the_recipe_act_where_their_resumption_is_tested(tmp_path, spikes):
    paths = run(tmp_path, spikes, **RECIPE)
    history = rows(paths.history)
    rates = [float(row["learning_rate"]) for row in history]
    assert rates[0] == pytest.approx(0.01 * 1.3**11), "eased in up to the last of twelve batches"
    assert 1.0 in rates and rates[-1] < 1.0, f"the schedule acted: {rates}"
    summary = read_json(paths.summary)
    assert (summary["training_samples"], summary["presented_samples"]) == (48, 96)
    assert summary["selected_by"] == "training"


def test_the_rate_of_an_epoch_follows_from_the_accuracies_before_it(tmp_path, spikes):
    settings = {"factor": 0.5, "fast": 0.0, "slow": 1e-6, "wait_epochs": 0}
    history = rows(run(tmp_path, spikes, train={"epochs": 12, "learning_rate": 0.05, "schedule": settings}).history)
    accuracies = [float(row["validation_accuracy"]) for row in history]
    expected = [0.05 * schedule.reduction(params.Schedule(**settings), accuracies[:n]) for n in range(12)]
    assert [float(row["learning_rate"]) for row in history] == expected
    assert expected[0] == 0.05 > expected[-1]


def test_the_optimiser_is_given_the_eased_rate(parts, monkeypatch):
    given = []
    trainer = training.Trainer(
        tiny.make_params(train={"ease_in": {"start": 0.1, "growth": 2.0}}), "exponential", 0, parts.learned
    )
    monkeypatch.setattr(type(trainer.optimiser), "step", lambda self, w, g, rate: given.append(rate) or count(self))

    def count(optimiser):
        optimiser.updates += 1

    trainer.epoch(1)
    np.testing.assert_allclose(given, 0.01 * np.array([0.1, 0.2, 0.4, 0.8, 1.0, 1.0]), rtol=1e-12)
    assert trainer.last_rate == given[-1]


@pytest.mark.parametrize("neurons", ["silent", "all"])
def test_the_lift_raises_what_leads_to_silent_neurons(parts, neurons):
    changes = {"train": {"silent_lift": {"amount": 0.25, "neurons": neurons}}, "network": {"hidden": [12, 5]}}
    trainer = training.Trainer(tiny.make_params(**changes), "exponential", 0, parts.learned)
    trainer.weights["input_hidden1"][:, [2, 7]] = -1.0  # these cannot fire
    trainer.weights["hidden1_hidden1"][:, [2, 7]] = 0.0
    trainer.weights["hidden1_hidden2"][:] = 1.0
    trainer.weights["hidden1_hidden2"][:, 3] = -1.0
    trainer.learning_rate = 1e-12
    trainer.epoch(1)
    assert [np.flatnonzero(silent).tolist() for silent in trainer.silent] == [[2, 7], [3]]
    before = {name: array.copy() for name, array in trainer.weights.items()}
    trainer.lift_silent()
    silent = {"input_hidden1": [2, 7], "hidden1_hidden2": [3]}
    for name, array in trainer.weights.items():
        lifted = np.zeros(array.shape, np.float32)
        if name in silent:
            lifted[:, silent[name] if neurons == "silent" else slice(None)] = 0.25
        np.testing.assert_array_equal(array, before[name] + lifted, err_msg=name)
        assert array.dtype == np.float32


def test_a_neuron_that_fires_once_in_an_epoch_is_not_silent(parts):
    trainer = training.Trainer(parts.params, "exponential", 0, parts.learned)
    counts = [np.array([[0, 0, 1], [0, 0, 0]]), np.array([[0, 2, 0]])]
    tally = training.Tally()
    for one in counts:
        inference = SimpleNamespace(predictions=np.zeros(len(one)), losses=np.zeros(len(one)), spike_counts=[one])
        tally.add(inference, np.zeros(len(one)))
    assert [counts.tolist() for counts in tally.counts] == [[0, 2, 1]]
    assert tally.result().hidden_spikes == pytest.approx(3 / (3 * 3))
    before = bits(trainer)
    trainer.silent = [np.ones(12, bool)]
    trainer.lift_silent()
    assert bits(trainer) == before, "no amount, no lift"


def test_the_lift_comes_after_the_weights_were_judged(tmp_path, spikes):
    lifted = {"train": {"epochs": 2, "select": "last", "silent_lift": {"amount": 0.01, "neurons": "all"}}}
    paths = run(tmp_path, spikes, **lifted)
    learned, held_out = training.split(tiny.make_params(), store.load(spikes))
    trainer = training.Trainer(tiny.make_params(**lifted), "exponential", 0, learned)
    trainer.epoch(1)
    trainer.lift_silent()
    trainer.epoch(2)
    found = model_file.load(paths.weights)[0]
    assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in trainer.weights.items()}
    assert float(rows(paths.history)[1]["validation_loss"]) == trainer.validate(trainer.on_grid(held_out)).loss


# (training accuracy, training loss, validation accuracy, validation loss) of three epochs
JUDGED = [(0.5, 1.0, 0.9, 0.5), (0.8, 0.9, 0.6, 1.0), (0.8, 0.7, 0.7, 1.0), (0.6, 0.6, 0.8, 0.4)]


@pytest.mark.parametrize(("select", "best"), [("validation", 1), ("training", 3), ("last", 4)])
def test_the_epoch_is_chosen_as_asked(tmp_path, spikes, monkeypatch, select, best):
    real, weights = training._run_epoch, []

    def pretend(trainer, number, validation):
        row = real(trainer, number, validation)
        weights.append({name: array.copy() for name, array in trainer.weights.items()})
        names = ("training_accuracy", "training_loss", "validation_accuracy", "validation_loss")
        return row._replace(**dict(zip(names, JUDGED[number - 1], strict=True)))

    monkeypatch.setattr(training, "_run_epoch", pretend)
    paths = run(tmp_path, spikes, train={"epochs": 4, "select": select})
    summary = read_json(paths.summary)
    assert (summary["selected_by"], summary["best_epoch"]) == (select, best)
    assert summary["best_validation_accuracy"] == JUDGED[best - 1][2], "that of the chosen epoch"
    found, meta = model_file.load(paths.weights)
    assert meta["epoch"] == best
    assert all(array.tobytes() == weights[best - 1][name].tobytes() for name, array in found.items())


@pytest.mark.parametrize("stays", [True, False])
def test_a_collapse_is_marked_said_once_and_kept(tmp_path, spikes, monkeypatch, caplog, stays):
    real = training._run_epoch
    validation = [0.3, 0.95, 0.9, 0.25, 0.25, 0.25, 0.25, 0.25 if stays else 0.9]

    def pretend(trainer, number, held_out):
        row = real(trainer, number, held_out)
        return row._replace(validation_accuracy=validation[number - 1], training_accuracy=0.3)

    monkeypatch.setattr(training, "_run_epoch", pretend)
    with caplog.at_level("WARNING", "eventspeech"):
        paths = run(tmp_path, spikes, train={"epochs": 8})
    said = [record.getMessage() for record in caplog.records if "chance" in record.getMessage()]
    assert said == [
        "train exponential/0  accuracy has been at chance since epoch 4, after the network had learned; the run goes "
        "on and is marked as collapsed"
    ]
    summary = read_json(paths.summary)
    assert summary["collapsed_at_epoch"] == (4 if stays else None)
    assert summary["best_epoch"] == 2 and len(rows(paths.history)) == 8


def test_a_collapse_of_training_accuracy_counts_too():
    progress = training._Progress()
    trainer = SimpleNamespace(network=SimpleNamespace(outputs=4), augmentation=SimpleNamespace(presented=100))
    for number, accuracy in enumerate([0.3, 0.9, 0.25, 0.25, 0.25], 1):
        row = dict.fromkeys(training.Row._fields, 0.5) | {"epoch": number, "training_accuracy": accuracy}
        progress.rows.append(training.Row(**row))
    assert progress.collapsed_at(100, trainer) == 3


def test_a_training_that_learns_has_not_collapsed(whole):
    assert read_json(whole.summary)["collapsed_at_epoch"] is None


def test_normalised_training_brings_validation_to_the_same_count(parts, tmp_path, spikes):
    changed = tiny.make_params(augmentation={"normalise_spikes": True})
    trainer = training.Trainer(changed, "exponential", 0, parts.learned)
    fewest = int(np.diff(trainer.on_grid(parts.learned).offsets).min())
    first, second = (trainer.for_validation(parts.held_out) for _ in range(2))
    assert first.steps.tobytes() == second.steps.tobytes(), "drawn once, so that epochs compare"
    assert abs(np.diff(first.offsets).mean() - fewest) < 3 < np.diff(trainer.on_grid(parts.held_out).offsets).mean()
    assert trainer.augmentation.spike_count == fewest
    paths = run(tmp_path, spikes, augmentation={"normalise_spikes": True}, train={"epochs": 1})
    trainer.weights, meta = model_file.load(paths.weights)
    assert meta["spike_count"] == fewest
    assert float(rows(paths.history)[0]["validation_loss"]) == trainer.validate(first).loss
    plain = training.Trainer(parts.params, "exponential", 0, parts.learned)
    assert len(plain.for_validation(parts.held_out).steps) == len(plain.on_grid(parts.held_out).steps)


def test_losses_share_the_recipe(tmp_path, spikes, spy):
    for loss in ("exponential", "gaussian"):
        run(tmp_path / loss, spikes, loss, augmentation=RECIPE["augmentation"], train={"epochs": 1})
    seen = [batch for kind, batch, _ in spy if kind == "gradients"]
    for one, other in zip(seen[: len(seen) // 2], seen[len(seen) // 2 :], strict=True):
        assert [array.tobytes() for array in one] == [array.tobytes() for array in other]


# --- the same seed, the same bits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(tmp_path, spikes, whole, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    found = run(tmp_path, spikes)
    assert read_json(found.summary)["threads"] == int(threads)
    assert equal(found, whole)


def test_another_seed_gives_another_network(tmp_path, spikes, whole):
    other = run(tmp_path, spikes, seed=1)
    first, second = (model_file.load(paths.weights)[0] for paths in (whole, other))
    assert all(np.mean(first[name] != second[name]) > 0.9 for name in first)


def test_losses_share_initial_weights_order_and_augmentation(tmp_path, spikes, spy):
    for loss in ("exponential", "gaussian"):
        run(tmp_path / loss, spikes, loss, train={"epochs": 2})
    first, second = spy[: len(spy) // 2], spy[len(spy) // 2 :]
    for name, array in first[0][2].items():
        assert array.tobytes() == second[0][2][name].tobytes()
        assert np.any(first[-1][2][name] != second[-1][2][name]), "the losses must train differently"
    for (_, one, _), (_, other, _) in zip(first, second, strict=True):
        for expected, found in zip(one, other, strict=True):
            np.testing.assert_array_equal(expected, found)


def test_the_order_changes_with_epoch_and_seed(tmp_path, spikes, spy):
    for seed in (0, 1):
        run(tmp_path / str(seed), spikes, seed=seed, train={"epochs": 2, "batch_size": 1000})
    orders = [batch.offsets.tobytes() for _, batch, _ in spy]
    assert len(set(orders)) == len(orders) == 4


# --- nothing leaks ----------------------------------------------------------------------------------------------------


@pytest.fixture
def parts(spikes) -> SimpleNamespace:
    params = tiny.make_params()
    learned, held_out = training.split(params, store.load(spikes))
    return SimpleNamespace(params=params, learned=learned, held_out=held_out)


def bits(trainer: training.Trainer) -> bytes:
    return b"".join(array.tobytes() for array in trainer.weights.values())


def test_validation_between_epochs_changes_nothing(parts):
    plain, disturbed = (training.Trainer(parts.params, "exponential", 0, parts.learned) for _ in range(2))
    validation = disturbed.on_grid(parts.held_out)
    for number in (1, 2, 3):
        plain.epoch(number)
        disturbed.validate(validation)
        disturbed.epoch(number)
        before = bits(disturbed)
        first, second = disturbed.validate(validation), disturbed.validate(validation)
        assert first == second
        assert bits(disturbed) == before
    assert bits(plain) == bits(disturbed)


def test_a_training_is_nothing_but_its_epochs(parts, whole):
    trainer = training.Trainer(parts.params, "exponential", 0, parts.learned)
    arrays, meta = model_file.load(whole.weights)
    for number in range(1, meta["epoch"] + 1):
        trainer.epoch(number)
    assert meta["epoch"] > 1
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in trainer.weights.items()
    }


def test_validation_does_not_depend_on_the_batch_size(parts):
    found = []
    for size in (1, 5, 1000):
        trainer = training.Trainer(parts.params, "exponential", 0, parts.learned, batch_size=size)
        found.append(trainer.validate(trainer.on_grid(parts.held_out)))
    assert found[0].accuracy == found[1].accuracy == found[2].accuracy
    np.testing.assert_allclose([result.loss for result in found], found[0].loss, rtol=1e-12)


def test_trainers_share_no_state(parts):
    alone = training.Trainer(parts.params, "exponential", 0, parts.learned)
    for number in (1, 2, 3):
        alone.epoch(number)
    side_by_side = [training.Trainer(parts.params, "exponential", seed, parts.learned) for seed in (0, 1)]
    for number in (1, 2, 3):
        for trainer in side_by_side:
            trainer.epoch(number)
    assert bits(side_by_side[0]) == bits(alone) != bits(side_by_side[1])
    assert training.Trainer(parts.params, "exponential", 0, parts.learned).optimiser.updates == 0


def test_samples_neither_change_nor_grow_from_epoch_to_epoch(parts, spy):
    before = {key: np.copy(value) for key, value in vars(parts.learned).items()}
    trainer = training.Trainer(parts.params, "exponential", 0, parts.learned)
    stored = trainer.on_grid(parts.learned)
    for number in range(1, 9):
        spy.clear()
        trainer.epoch(number)
        # no class's channels come near the ends of the cochlea, so that augmentation drops nothing
        assert sum(len(batch.channels) for _, batch, _ in spy) == len(stored.channels)
        assert sum(len(batch) for _, batch, _ in spy) == len(parts.learned)
        seen = np.concatenate([batch.channels for _, batch, _ in spy])
        # shifts that added up would leave these bounds
        assert stored.channels.min() - 5 <= seen.min() and seen.max() <= stored.channels.max() + 5
    for key, value in vars(parts.learned).items():
        np.testing.assert_array_equal(value, before[key])


def test_every_sample_is_shown_once_an_epoch_and_shifted_as_a_whole(parts, spy):
    trainer = training.Trainer(parts.params, "exponential", 0, parts.learned)
    stored = trainer.on_grid(parts.learned)

    def events(batch, index):
        chosen = slice(batch.offsets[index], batch.offsets[index + 1])
        return batch.steps[chosen].tobytes(), batch.channels[chosen]

    originals = dict(events(stored, index) for index in range(len(stored)))  # spike times tell samples apart
    assert len(originals) == len(stored)
    trainer.epoch(1)
    shown = [events(batch, index) for _, batch, _ in spy for index in range(len(batch))]
    assert {steps for steps, _ in shown} == set(originals) and len(shown) == len(originals)
    moved = [np.unique(channels - originals[steps]) for steps, channels in shown]
    assert all(len(shift) == 1 for shift in moved)
    assert len({int(shift[0]) for shift in moved}) > 5
    assert max(abs(int(shift[0])) for shift in moved) <= 5


def test_the_workload_of_profile_is_this_training(parts):
    params = tiny.make_params(profile={"samples": 10})
    epoch = training.workload(params, "exponential", 4, parts.learned)
    first, second = epoch(), epoch()
    assert first.samples == second.samples == 10
    assert first.loss != second.loss


@pytest.mark.parametrize(("samples", "shown"), [(None, 20), (72, 15), (49, 11)])
def test_a_measured_epoch_blends_as_large_a_share(parts, samples, shown):
    # of 48 training samples 10 are measured, whichever classes they are of
    blend = {"probabilities": [0.5, 0.5], "samples": samples}
    params = tiny.make_params(profile={"samples": 10}, augmentation={"blend": blend})
    assert training.workload(params, "exponential", 4, parts.learned)().samples == shown


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1e38, 3e37])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_divergence_is_one_sentence(tmp_path, spikes, rate):
    with pytest.raises(UserError, match=r"^The training diverged in epoch 1 .*lower train\.learning_rate[^.]*\.$"):
        run(tmp_path, spikes, train={"learning_rate": rate, "epochs": 30})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("batch", [2, 6])
def test_a_gradient_that_is_not_a_number_is_divergence(parts, monkeypatch, batch):
    real, calls = CpuEngine.gradients, iter(range(1, 100))

    def poisoned(self, weights, samples, objective):
        found = real(self, weights, samples, objective)
        if next(calls) == batch:
            found.weights["hidden1_output"][0, 0] = np.nan
        return found

    monkeypatch.setattr(CpuEngine, "gradients", poisoned)
    trainer = training.Trainer(parts.params, "exponential", 0, parts.learned)
    with pytest.raises(UserError, match="diverged in epoch 1"):
        trainer.epoch(1)


def test_a_validation_that_overflows_is_divergence(parts, monkeypatch):
    monkeypatch.setattr(training.Trainer, "validate", lambda *_: training.EpochResult(np.inf, 0.5, 1.0, 0.0, 4))
    trainer = training.Trainer(parts.params, "exponential", 0, parts.learned)
    with pytest.raises(UserError, match="diverged in epoch 3"):
        training._run_epoch(trainer, 3, trainer.on_grid(parts.held_out))


BLENDED = {"augmentation": {"blend": {"probabilities": [0.5, 0.5]}}}


@pytest.mark.parametrize("groups", [BLENDED, {"shape": {"exponential": {"kind": "exponential", "changes": BLENDED}}}])
def test_blending_a_class_of_one_sample_is_refused_before_any_work(tmp_path, spikes, groups):
    samples = store.load(spikes)
    alone = (samples.labels != 2) | (samples.speakers == 3)
    alone[np.flatnonzero(~alone)[0]] = True
    store.save(samples.select(alone), tmp_path / "train.npz", "train")
    with pytest.raises(DataError, match=r"at least two training samples of a class, but 'drei' has one; set augm"):
        run(tmp_path / "out", tmp_path / "train.npz", **groups)
    assert not (tmp_path / "out").exists()


def test_an_unknown_loss_is_refused(tmp_path, spikes):
    with pytest.raises(ParameterError, match=r"no loss 'bell' in shape; choose from exponential, gaussian\."):
        run(tmp_path, spikes, "bell")


def test_unknown_validation_speakers_are_refused(tmp_path, spikes):
    with pytest.raises(DataError, match=r"no speaker 's9' in this split; choose from s0, s1, s2, s3"):
        run(tmp_path, spikes, validation={"speakers": ["s0", "s9"]})


def test_a_validation_speaker_without_samples_is_refused(tmp_path, spikes):
    samples = store.load(spikes)
    store.save(samples.select(samples.speakers != 3), tmp_path / "train.npz", "train")
    with pytest.raises(DataError, match=r"no speaker 's3' in this split; choose from s0, s1, s2 "):
        run(tmp_path, tmp_path / "train.npz")


def test_holding_out_every_speaker_is_refused(tmp_path, spikes):
    with pytest.raises(DataError, match="holds out every speaker"):
        run(tmp_path, spikes, validation={"speakers": list(tiny.SPEAKERS)})


def test_a_trial_that_is_no_whole_number_of_steps_is_refused(tmp_path, spikes):
    with pytest.raises(ParameterError, match=r"trial_ms = 60 is not a whole number of steps of .*step_ms = 0\.7"):
        run(tmp_path, spikes, network={"step_ms": 0.7})


def test_the_checkpoint_is_plain_arrays(interrupted):
    kinds = {array.dtype.kind for array in read_npz(interrupted.checkpoint).values()}
    assert kinds <= set("fiU")

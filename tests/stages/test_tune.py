"""Stage `tune`: better values by validation alone, as many trials for each loss, none lost and none counted twice."""

import csv
import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from support import tiny
from support.training import interrupt, on_call, outputs

from eventspeech import disk
from eventspeech.data import store
from eventspeech.errors import DataError, ParameterError, UserError
from eventspeech.files import read_json
from eventspeech.learning import checkpoint
from eventspeech.learning.search import trials as search
from eventspeech.learning.search.trials import Run
from eventspeech.learning.trainer import Diverged
from eventspeech.params import validate, yaml12
from eventspeech.params.study import laid_over
from eventspeech.records import tuning
from eventspeech.stages import train, tune

pytestmark = pytest.mark.usefixtures("quick")

SPACE = {
    "optimiser.learning_rate": {"kind": "log", "low": 0.0001, "high": 0.1},
    "train.batch_size": {"kind": "integer", "low": 4, "high": 16, "step": 4},
    "network.recurrent": {"kind": "choice", "values": [True, False]},
    "shape.width": {"kind": "continuous", "low": 0.1, "high": 0.4, "losses": ["gaussian"]},
}


def parameters(**changed):
    """Return the parameters of a small search, some keys of `tune` changed."""
    settings = {"losses": ["exponential", "gaussian"], "space": SPACE, "trials": 4, "seeds": [5], "epochs": 2}
    return tiny.make_params(tune=settings | {"startup_trials": 2, "warmup_epochs": 1} | changed)


def files(folder, loss="gaussian"):
    names = ("trials.csv", "curves.csv", "best.yaml", "summary.json")
    return tune.Outputs(*(folder / loss / name for name in names), folder / "checkpoints" / f"{loss}.journal")


def run(folder, spikes, loss="gaussian", workers=None, **changed):
    found = files(folder, loss)
    tune.tune(parameters(**changed), loss, spikes, found, workers)
    return found


def rows(paths):
    with paths.trials.open(newline="", encoding="utf-8") as stream:
        return [{key: value for key, value in row.items() if key != "duration_s"} for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def found(tmp_path_factory, spikes):
    """A search without an interruption."""
    return run(tmp_path_factory.mktemp("found"), spikes)


@pytest.fixture
def pretend(monkeypatch):
    """Let trainings take no time; return the curves by learning rate, which a test may change."""

    def curve(rate):
        return [min(1.0, 10 * rate) * epoch / 2 for epoch in (1, 2)]

    told = {"curve": curve, "seen": []}

    def pretended(self, trial, params, seed, fold):
        told["seen"].append((trial.number, seed, fold))
        accuracies = told["curve"](params.optimiser.learning_rate)
        first = not trial.runs
        for epoch, accuracy in enumerate(accuracies, 1):
            if first and trial.hopeless(epoch, accuracy) and epoch < len(accuracies):
                trial.give_up(Run(seed, fold, accuracy, 1.0, accuracies[:epoch], 0.5))
                raise tune._GivenUp
        return Run(seed, fold, accuracies[-1], 1.0, accuracies, 1.0)

    monkeypatch.setattr(tune._Job, "_train", pretended)
    return told


# --- what is found ----------------------------------------------------------------------------------------------------


def test_the_first_trial_is_the_file_as_it_stands(found):
    first, *others = rows(found)
    assert float(first["optimiser.learning_rate"]) == tiny.CONTENT["optimiser"]["learning_rate"]
    assert (first["train.batch_size"], first["network.recurrent"], first["shape.width"]) == ("8", "true", "0.2")
    for row in others:
        assert 0.0001 <= float(row["optimiser.learning_rate"]) <= 0.1 and row["train.batch_size"] in "481216"
        assert len(row["shape.width"].strip("0.")) <= 4, "four digits are trained and told"
    summary = read_json(found.summary)
    assert summary["validation_accuracy_as_it_stands"] == float(first["validation_accuracy"])
    assert summary["best_validation_accuracy"] == max(float(row["validation_accuracy"] or 0) for row in rows(found))


def test_what_was_found_lies_over_the_file_and_trains_as_it_was_found(found, spikes, tmp_path):
    overlay = yaml12.read(found.best)
    assert yaml.safe_load(found.best.read_text()) == overlay, "in YAML 1.1, too"
    content = laid_over(tiny.CONTENT | {"train": {"epochs": 2, "batch_size": 8}}, overlay)
    train.train(validate(content), "gaussian", 5, spikes, paths := outputs(tmp_path))
    assert read_json(paths.summary)["best_validation_accuracy"] == read_json(found.summary)["best_validation_accuracy"]
    head = found.best.read_text().splitlines()[:3]
    assert head[1].endswith("best.yaml") and "-S '++shape.gaussian.tuned.shape.width=" in head[2]


def test_what_was_written_is_read(found):
    read = tuning.read(found.trials.parent, "gaussian")
    assert [row.trial for row in read.trials] == [0, 1, 2, 3] and read.best in read.accuracies
    assert {len(curve) for curve in read.curves.values()} <= {1, 2}
    assert read.values[0]["network.recurrent"] is True


def test_a_second_run_tries_nothing_and_writes_the_same(found, spikes, monkeypatch):
    before = [path.read_bytes() for path in found[:3]]
    monkeypatch.setattr(tune._Job, "_train", lambda *_: pytest.fail("a trial was run again"))
    run(found.storage.parents[1], spikes)
    assert [path.read_bytes() for path in found[:3]] == before


def test_each_loss_gets_as_many_trials_and_what_is_looked_for_with_it(pretend, tmp_path, spikes):
    exponential, gaussian = (rows(run(tmp_path, spikes, loss, trials=5)) for loss in ("exponential", "gaussian"))
    assert len(exponential) == len(gaussian) == 5
    assert "shape.width" in gaussian[0] and "shape.width" not in exponential[0]


def test_a_trial_is_the_mean_over_seeds_and_folds_and_only_its_first_training_is_told(pretend, tmp_path, spikes):
    paths = run(tmp_path, spikes, seeds=[5, 6], prune="none")
    assert pretend["seen"] == list(itertools.product(range(4), [5, 6], ["held_out"]))
    assert [row["epochs"] for row in rows(paths)] == ["4"] * 4
    with paths.curves.open() as stream:
        assert [row["seed"] for row in csv.DictReader(stream)][:4] == ["5", "5", "6", "6"]


def test_what_falls_behind_is_given_up_and_what_does_not_is_not(pretend, tmp_path, spikes):
    pretend["curve"] = lambda rate: [0.1, 0.1, 0.9] if rate != 0.01 else [0.8, 0.8, 0.9]
    states = [row["state"] for row in rows(run(tmp_path, spikes, trials=4, startup_trials=1, epochs=3))]
    assert states == ["complete", "pruned", "pruned", "pruned"]
    pretend["curve"] = lambda rate: [0.8, 0.8, 0.9]
    assert {row["state"] for row in rows(run(tmp_path / "even", spikes, startup_trials=1))} == {"complete"}
    pretend["curve"] = lambda rate: [0.1, 0.1, 0.9] if rate != 0.01 else [0.8, 0.8, 0.9]
    for name, changed in {"off": {"prune": "none"}, "warm": {"warmup_epochs": 2}, "few": {"startup_trials": 9}}.items():
        kept = rows(run(tmp_path / name, spikes, **{"startup_trials": 1} | changed))
        assert {row["state"] for row in kept} == {"complete"}, name


def test_importance_tells_what_matters(pretend, tmp_path, spikes):
    summary = read_json(run(tmp_path, spikes, trials=12, prune="none").summary)
    assert max(summary["importance"], key=summary["importance"].get) == "optimiser.learning_rate"
    assert sum(summary["importance"].values()) == pytest.approx(1)
    assert summary["importance"]["optimiser.learning_rate"] > 0.8
    few = read_json(run(tmp_path / "few", spikes, trials=2).summary)
    assert few["importance"] is None and "fewer than 4" in few["importance_reason"]


def test_importance_sees_the_smallest_values(pretend, tmp_path, spikes, monkeypatch):
    real = tune._Job._train
    pretend["curve"] = lambda strength: [0.5 + 0.4 * (strength < 1e-10)] * 2

    def by_strength(self, trial, params, seed, fold):
        optimiser = params.optimiser.model_copy(update={"learning_rate": params.optimiser.regulariser.strength})
        return real(self, trial, params.model_copy(update={"optimiser": optimiser}), seed, fold)

    monkeypatch.setattr(tune._Job, "_train", by_strength)
    space = SPACE | {"optimiser.regulariser.strength": {"kind": "log", "low": 1e-12, "high": 1e-8}}
    importance = read_json(run(tmp_path, spikes, trials=12, prune="none", space=space).summary)["importance"]
    assert importance["optimiser.regulariser.strength"] > 0.8


def test_a_training_that_diverges_is_told_and_counts(monkeypatch, tmp_path, spikes):
    def diverge(self, trial, params, seed, fold):
        if trial.number != 1:
            raise Diverged("The training diverged in epoch 1.")
        return Run(seed, fold, 0.5, 1.0, [0.5], 1.0)

    monkeypatch.setattr(tune._Job, "_train", diverge)
    found = rows(run(tmp_path, spikes))
    assert [row["state"] for row in found] == ["failed", "complete", "failed", "failed"]
    assert found[0]["remark"] == "The training diverged in epoch 1." and found[0]["validation_accuracy"] == ""
    with pytest.raises(UserError, match=r"No trial of gaussian came to an end \(The training diverged in epoch 1\);"):
        run(tmp_path / "one", spikes, trials=1)


# --- nothing is lost, and nothing counted twice -----------------------------------------------------------------------


@pytest.mark.parametrize("save", [1, 3])
def test_an_interrupted_search_goes_on_with_the_same_trials(found, tmp_path, spikes, monkeypatch, save):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", on_call(save, interrupt)(checkpoint.save))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, spikes)
    assert not files(tmp_path).trials.exists()
    assert rows(run(tmp_path, spikes)) == rows(found)
    assert files(tmp_path).curves.read_bytes() == found.curves.read_bytes()
    assert [path.name for path in files(tmp_path).storage.parent.iterdir()] == ["gaussian.journal"]


def test_killed_at_any_time_and_gone_on_with_by_two_workers(tmp_path, spikes):
    params, paths = parameters(trials=6, epochs=3), files(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json", exclude_none=True)))
    options = {"params": tmp_path / "params.yaml", "loss": "gaussian", "spikes": spikes, **paths._asdict()}
    command = [sys.executable, "-m", "eventspeech.cli", "tune"]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (paths.storage.exists() and b'"step":2' in paths.storage.read_bytes()):  # within the first trial
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with paths.storage.open("ab") as stream:  # and the disk kept half of a line
        stream.write(b'{"op_code":8,"work')
    tune.tune(params, "gaussian", spikes, paths, workers=2)
    assert [row["trial"] for row in rows(paths)] == [str(number) for number in range(6)]
    with paths.curves.open() as stream:
        told = [(row["trial"], row["epoch"]) for row in csv.DictReader(stream)]
    assert len(set(told)) == len(told) == read_json(paths.summary)["epochs"]


def test_what_another_worker_has_is_left_to_it_and_taken_up_when_it_dies(tmp_path, monkeypatch):
    settings, storage = parameters().tune, tmp_path / "search.journal"

    class Place:
        def __init__(self, me):
            self.me, self.living = me, {"a", "b"}

        def lives(self, worker):
            return worker in self.living

    one, other = Place("a"), Place("b")
    searches = [search.Search(settings, settings.of("gaussian"), None, {}, storage, place) for place in (one, other)]
    claimed = [searches[number % 2].claim() for number in range(4)]
    assert [trial.number for trial in claimed] == [0, 1, 2, 3] and searches[0].claim() is None
    searches[1].give_back_of_dead()  # b itself is between two trials: what it began is interrupted
    assert [searches[1].claim().number, searches[1].claim().number] == [1, 3]
    other.living = {"b"}
    searches[1].give_back_of_dead()
    again = searches[1].claim()
    assert again.number == 0 and again.values == claimed[0].values
    again.keep(Run(5, "held_out", 0.5, 1.0, [0.5], 1.0))
    searches[1].finish(again, search.COMPLETE)
    # a was wrongly taken for dead: who is first counts
    claimed[0].runs.append(Run(5, "held_out", 0.5, 1.0, [0.5], 1.0))
    for late in (
        lambda: claimed[0].keep(Run(5, "held_out", 0.5, 1.0, [0.5], 1.0)),
        lambda: claimed[0].hopeless(1, 0.5),
        lambda: searches[0].finish(claimed[0], search.COMPLETE),
    ):
        with pytest.raises(search.Overtaken):
            late()
    assert [trial.number for trial in searches[0].trials()] == [0]


def test_a_trial_that_another_worker_finished_is_left_alone(pretend, tmp_path, spikes, monkeypatch):
    def overtaken(*_):
        monkeypatch.undo()
        raise search.Overtaken

    monkeypatch.setattr(search.Claimed, "keep", overtaken)
    with monkeypatch.context() as patch:
        patch.setattr(tune, "_tell", lambda *_: None)
        with pytest.raises(StopIteration):
            patch.setattr(search.Search, "give_back_of_dead", on_call(2, _stop)(search.Search.give_back_of_dead))
            run(tmp_path, spikes)
    assert not files(tmp_path).storage.with_name("gaussian-0.npz").exists()


def _stop():
    raise StopIteration


def test_a_budget_can_be_raised_and_lowered(pretend, tmp_path, spikes):
    first = rows(run(tmp_path, spikes, trials=3))
    more = rows(run(tmp_path, spikes, trials=5))
    assert more[:3] == first and len(more) == 5 and len(pretend["seen"]) == 5
    assert rows(run(tmp_path, spikes, trials=2)) == first[:2]


def test_a_full_disk_in_a_trial_is_one_sentence_and_nothing_is_lost(found, tmp_path, spikes, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(
            disk, "flush", lambda path, flush=disk.flush: full(path) if path.suffix == ".part" else flush(path)
        )
        with pytest.raises(UserError, match=r"^No room left on the disk while writing [^ ]*gaussian-0\.npz; free some"):
            run(tmp_path, spikes)
    with monkeypatch.context() as patch:
        patch.setattr(disk, "flush", on_call(20, lambda: full("x"))(disk.flush))
        with pytest.raises(UserError, match=r"^No room left on the disk while writing"):
            run(tmp_path, spikes)
    assert rows(run(tmp_path, spikes)) == rows(found)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_the_test_split_cannot_be_opened(tmp_path, spikes):
    store.save(store.load(spikes), tmp_path / "test.npz", "test")
    with pytest.raises(DataError, match="holds the test split, which the stage `evaluate` alone opens"):
        run(tmp_path / "out", tmp_path / "test.npz")
    assert not files(tmp_path / "out").storage.exists() and not files(tmp_path / "out").trials.exists()


@pytest.mark.parametrize("other", ["space", "data", "version", "seed of the draws"])
def test_the_storage_of_another_search_is_refused_and_kept(pretend, tmp_path, spikes, monkeypatch, other):
    paths = run(tmp_path, spikes)
    before = paths.storage.read_bytes()
    changed, sentence = {}, ""
    if other == "space":
        changed = {"space": SPACE | {"train.batch_size": SPACE["train.batch_size"] | {"high": 12}}}
        sentence = r"tune\.space\.train\.batch_size\.high was 16\.0 and is 12\.0"
    elif other == "data":
        store.save(tiny.make_store(seed=1), tmp_path / "train.npz", "train")
        spikes, sentence = tmp_path / "train.npz", "of other training samples"
    elif other == "version":
        monkeypatch.setattr(tune, "__version__", "9.0")
        sentence = r"eventspeech was [\d.]+ and is 9\.0"
    else:
        changed, sentence = {"seed": 1}, r"tune\.seed was 0 and is 1"
    with pytest.raises(
        DataError, match=rf"journal holds trials of another search, 4 of them over \({sentence}\); move"
    ):
        run(tmp_path, spikes, **changed)
    assert paths.storage.read_bytes() == before


def test_a_range_of_another_loss_is_no_other_search(pretend, tmp_path, spikes):
    run(tmp_path, spikes, "exponential")
    space = {key: value for key, value in SPACE.items() if key != "shape.width"}
    run(tmp_path, spikes, "exponential", space=space, losses=["exponential"], workers=1)
    assert len(pretend["seen"]) == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a text\n", "line 1 is no entry of a search"),
        ('{"op_code": 99}\n', "is no journal of a search"),
        ('{"op_code": 5, "trial_id": "x"}\n', "is no journal of a search"),
        ('{"op_code":0,"worker_id":"x","study_name":"mine","directions":[2]}\n', "holds a study of another program"),
    ],
)
def test_a_file_that_is_no_search_is_refused_and_kept(tmp_path, spikes, text, sentence):
    storage = files(tmp_path).storage
    storage.parent.mkdir()
    storage.write_text(text)
    with pytest.raises(DataError, match=sentence):
        run(tmp_path, spikes)
    assert storage.read_text() == text


def test_ends_that_do_not_go_together_are_refused_before_any_work(tmp_path, spikes):
    space = {
        "network.delays.copies": {"kind": "integer", "low": 1, "high": 2},
        "network.delays.interval_ms": {"kind": "integer", "low": 5, "high": 70},
    }
    with pytest.raises(ParameterError, match=r"leads to network\.delays\.copies = 2, .* = 70 .* past the end of the"):
        run(tmp_path, spikes, space=space)
    assert not files(tmp_path).storage.exists()
    many = {
        key: {"kind": "choice", "values": list(range(1, 90))}
        for key in ("train.batch_size", "network.delays.interval_ms")
    }
    with pytest.raises(ParameterError, match="past the end of the"):
        run(tmp_path, spikes, space=space | many)


def test_a_loss_that_is_not_tuned_is_refused(tmp_path, spikes):
    with pytest.raises(ParameterError, match=r"'gaussian' is not in tune\.losses \(exponential\); add it there"):
        run(tmp_path, spikes, losses=["exponential"])


def test_a_worker_whose_starter_was_killed_ends(monkeypatch):
    class Dead:
        def is_alive(self):
            return False

    tune._require_parent()
    monkeypatch.setattr(tune.multiprocessing, "parent_process", Dead)
    with pytest.raises(SystemExit):
        tune._require_parent()


def test_what_stops_a_worker_is_told_by_the_process_that_started_it(tmp_path, spikes, monkeypatch):
    def started(target, args, daemon):
        class Process:
            sentinel, exitcode = os.open(os.devnull, os.O_RDONLY), 0

            def start(self):
                target(*args)

            def is_alive(self):
                return True

            def terminate(self):
                ended.append(self)

        return Process()

    ended: list = []
    told: list = []
    context = type("Context", (), {"Process": staticmethod(started)})
    context.SimpleQueue = lambda: type(
        "Queue", (), {"put": told.append, "get": told.pop, "empty": lambda _: not told}
    )()
    monkeypatch.setattr(tune.multiprocessing, "get_context", lambda _: context)
    monkeypatch.setattr(tune.signal, "signal", lambda *_: None)
    monkeypatch.setattr(tune._Job, "work", lambda _: (_ for _ in ()).throw(UserError("The engine cannot be had.")))
    with pytest.raises(UserError, match="The engine cannot be had"):
        run(tmp_path, spikes, workers=2)
    assert len(ended) == 2
    json.loads(files(tmp_path).storage.read_text().splitlines()[0])

"""Stage `evaluate`: its numbers by hand, its files, what it refuses, and that it alone opens the test split."""

import ast
import csv
import dataclasses
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from support import ROOT, tiny

from eventspeech import losses, machine, seeds
from eventspeech.data import audio, augmentation, batches, recordings_index, store
from eventspeech.engines.cpu import CpuEngine
from eventspeech.errors import DataError, ParameterError, UserError
from eventspeech.files import read_json, read_npz, sha256, write_npz
from eventspeech.losses import Objective
from eventspeech.network import from_dict
from eventspeech.records import examples
from eventspeech.records import model as model_file
from eventspeech.report.results import Results
from eventspeech.stages import baseline, profile, train
from eventspeech.stages import evaluate as evaluation

FILES = ("metrics.json", "predictions.csv", "confusion.csv", "examples.npz")


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(machine, "facts", dict)
        yield


def test_a_network_of_another_shape_than_the_file_says_is_tested_as_it_was_trained(tmp_path):
    samples = tiny.make_store()
    for split in ("train", "test"):
        store.save(samples, tmp_path / f"{split}.npz", split)
    changes = {"network": {"hidden": [5], "recurrent": False, "delays": {"copies": 2, "interval_ms": 10}}}
    shape = {"small": {"kind": "exponential", "changes": changes}}
    paths = train.Outputs(*(tmp_path / name for name in ("model.npz", "history.csv", "summary.json", "last.npz")))
    train.train(tiny.make_params(shape=shape), "small", 0, tmp_path / "train.npz", paths)
    outputs = evaluate(paths.weights, tmp_path / "test.npz", tmp_path)
    assert read_npz(outputs.examples)["hidden_units"].max() < 5
    s3 = read_json(outputs.metrics)["accuracy_by_speaker"]["s3"]["accuracy"]
    assert s3 == read_json(paths.summary)["best_validation_accuracy"]  # the epoch was chosen on these very samples


def evaluate(model, spikes, folder, **groups) -> evaluation.Outputs:
    outputs = evaluation.Outputs(*(folder / name for name in FILES))
    evaluation.evaluate(tiny.make_params(**groups), model, spikes, outputs)
    return outputs


def table(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


# --- a logistic model that can be worked out by hand ------------------------------------------------------------------

# One feature a class: the square root of the spikes in a third of the channels. Samples: speaker, actual, predicted.
BY_HAND = [("anna", "a", "a"), ("anna", "b", "c"), ("bert", "c", "c"), ("bert", "c", "a"), ("bert", "a", "a"),
           ("carl", "b", "b"), ("carl", "b", "a"), ("carl", "c", "b"), ("dora", "a", "a"),
           ("dora", "a", "a")]  # fmt: skip
CLASSES, SPEAKERS, HEARD = ("a", "b", "c"), ("anna", "bert", "carl", "dora", "nobody"), ("anna", "bert")


@pytest.fixture
def by_hand(tmp_path):
    """Paths of a model that votes for the third of the channels with most spikes, and of a test split."""
    store.save(
        store.from_samples(
            [(np.arange(4.0), np.full(4, 300 * CLASSES.index(predicted))) for _, _, predicted in BY_HAND],
            np.array([CLASSES.index(actual) for _, actual, _ in BY_HAND]),
            np.array([SPEAKERS.index(speaker) for speaker, _, _ in BY_HAND]),
            CLASSES, SPEAKERS, 10.0,
        ),
        tmp_path / "test.npz", "test",
    )  # fmt: skip
    arrays = {"mean": np.zeros(3), "scale": np.full(3, 2.0), "coefficients": np.eye(3), "intercepts": np.zeros(3),
              "classes": np.arange(3)}  # fmt: skip
    meta = {"kind": "logistic", "loss": None, "seed": None, "fold": "held_out", "time_bins": 1, "channel_bins": 3,
            "class_names": list(CLASSES), "heard_speakers": list(HEARD), "validation_speakers": ["dora"]}  # fmt: skip
    model_file.save(tmp_path / "model.npz", arrays, meta)
    return tmp_path / "model.npz", tmp_path / "test.npz"


def test_metrics_by_hand(tmp_path, by_hand, caplog):
    with caplog.at_level("INFO", "eventspeech"):
        metrics = read_json(evaluate(*by_hand, tmp_path / "out").metrics)
    # 4 spikes: the root is 2, over a scale of 2, so the logits are 1 for the predicted class and 0 for the two others
    right, wrong = np.log(np.e + 2) - 1, np.log(np.e + 2)
    assert metrics.pop("loss") == pytest.approx((6 * right + 4 * wrong) / 10, rel=1e-12)
    assert metrics == {
        "model": {"kind": "logistic", "loss": None, "seed": None, "fold": "held_out", "sha256": sha256(by_hand[0])},
        "samples": 10,
        "accuracy": 6 / 10,
        "accuracy_heard": 3 / 5,
        "accuracy_unheard": 1 / 3,
        "accuracy_validation_speakers": 2 / 2,
        "accuracy_by_speaker": {
            "anna": {"accuracy": 1 / 2, "samples": 2, "heard": True, "validation": False},
            "bert": {"accuracy": 2 / 3, "samples": 3, "heard": True, "validation": False},
            "carl": {"accuracy": 1 / 3, "samples": 3, "heard": False, "validation": False},
            "dora": {"accuracy": 2 / 2, "samples": 2, "heard": False, "validation": True},
        },
        "hidden_spikes": None,
        "step_ms": None,
        "steps": [],
    }
    assert "evaluate logistic/held_out  test 60.0 %  unheard speakers 33.3 %" in caplog.text


def test_confusion_and_predictions_by_hand(tmp_path, by_hand):
    outputs = evaluate(*by_hand, tmp_path / "out")
    assert table(outputs.confusion) == [
        ["actual", "a", "b", "c"], ["a", "4", "0", "0"], ["b", "1", "1", "1"], ["c", "1", "1", "1"],
    ]  # fmt: skip
    assert table(outputs.predictions) == [
        ["sample", "speaker", "heard", "actual", "predicted"],
        *(
            [str(index), speaker, str(int(speaker in HEARD)), actual, predicted]
            for index, (speaker, actual, predicted) in enumerate(BY_HAND)
        ),
    ]
    assert read_npz(outputs.examples) == {}, "a logistic model has no spikes to show"


@pytest.mark.parametrize("whole", ["heard", "unheard", "validation_speakers"])
def test_the_accuracy_of_nobody_is_unknown(tmp_path, by_hand, whole):
    arrays, meta = model_file.load(by_hand[0])
    groups = {"heard_speakers": [], "validation_speakers": []}
    if whole != "unheard":
        groups[f"{whole.removesuffix('_speakers')}_speakers"] = list(SPEAKERS)
    model_file.save(by_hand[0], arrays, meta | groups)
    metrics = read_json(evaluate(*by_hand, tmp_path / "out").metrics)
    found = {name: metrics[f"accuracy_{name}"] for name in ("heard", "unheard", "validation_speakers")}
    assert found == {"heard": None, "unheard": None, "validation_speakers": None, whole: metrics["accuracy"]}


# --- a network --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Paths of a trained network and of a test split; s2 was not heard, and the epoch was chosen on s3."""
    folder = tmp_path_factory.mktemp("trained")
    samples = tiny.make_store()
    store.save(samples.select(samples.speakers != 2), folder / "train.npz", "train")
    samples = tiny.make_store(takes=2, seed=9)
    store.save(samples.select(np.random.default_rng(0).permutation(len(samples))), folder / "test.npz", "test")
    paths = train.Outputs(*(folder / name for name in ("model.npz", "history.csv", "summary.json", "last.npz")))
    train.train(tiny.make_params(train={"epochs": 12}), "gaussian", 1, folder / "train.npz", paths)
    return paths.weights, folder / "test.npz"


def test_a_network_is_tested_on_every_sample(tmp_path, trained):
    outputs = evaluate(*trained, tmp_path)
    metrics, samples = read_json(outputs.metrics), store.load_test(trained[1])
    weights, meta = model_file.load(trained[0])
    network = from_dict(meta["network"])
    objective = Objective(losses.on_grid(tiny.make_params().shape["gaussian"], network.steps))
    expected = CpuEngine(network).infer(weights, batches.on_grid(samples, 1.0, 60), objective)
    hits = expected.predictions == samples.labels
    assert 0.5 < metrics["accuracy"] == hits.mean()
    for name, speakers in {"heard": [0, 1], "unheard": [2], "validation_speakers": [3]}.items():
        assert metrics[f"accuracy_{name}"] == hits[np.isin(samples.speakers, speakers)].mean()
    assert metrics["loss"] == pytest.approx(expected.losses.mean(), rel=1e-12)
    assert metrics["hidden_spikes"] == pytest.approx(expected.spike_counts[0].mean(), rel=1e-12)
    assert metrics["model"] == {"kind": "spiking", "loss": "gaussian", "seed": 1, "fold": "held_out"} | {
        "sha256": sha256(trained[0])
    }
    predicted = [row[4] for row in table(outputs.predictions)[1:]]
    assert predicted == [tiny.CLASSES[index] for index in expected.predictions]
    confusion = np.array([row[1:] for row in table(outputs.confusion)[1:]], int)
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(samples.labels))
    np.testing.assert_array_equal(confusion.sum(axis=0), np.bincount(expected.predictions, minlength=4))
    assert confusion.trace() == hits.sum()


def test_a_networks_own_time_constants_count(tmp_path, trained):
    (weights, meta), samples = model_file.load(trained[0]), store.load_test(trained[1])
    weights |= {"hidden1_tau_mem_ms": np.linspace(8, 40, 12, dtype=np.float32), "output_tau_syn_ms": np.float32([9])}
    model_file.save(tmp_path / "model.npz", weights, meta)
    network = from_dict(meta["network"])
    objective = Objective(losses.on_grid(tiny.make_params().shape["gaussian"], network.steps))
    expected = CpuEngine(network).infer(weights, batches.on_grid(samples, 1.0, 60), objective)
    found = read_json(evaluate(tmp_path / "model.npz", trained[1], tmp_path).metrics)
    assert found["loss"] == pytest.approx(expected.losses.mean(), rel=1e-12)
    assert found["loss"] != read_json(evaluate(*trained, tmp_path / "plain").metrics)["loss"]


def test_a_network_of_normalised_samples_is_tested_on_such(tmp_path, trained):
    (weights, meta), samples = model_file.load(trained[0]), store.load_test(trained[1])
    model_file.save(tmp_path / "model.npz", weights, meta | {"spike_count": 30})
    network = from_dict(meta["network"])
    objective = Objective(losses.on_grid(tiny.make_params().shape["gaussian"], network.steps))
    thinned = augmentation.normalise(
        batches.on_grid(samples, 1.0, 60), 30, seeds.generator(meta["seed"], "normalise", "test")
    )
    assert abs(np.diff(thinned.offsets).mean() - 30) < 3
    expected = CpuEngine(network).infer(weights, thinned, objective)
    outputs = evaluate(tmp_path / "model.npz", trained[1], tmp_path)
    assert read_json(outputs.metrics)["loss"] == pytest.approx(expected.losses.mean(), rel=1e-12)
    first = outputs.predictions.read_bytes()
    assert evaluate(tmp_path / "model.npz", trained[1], tmp_path / "again").predictions.read_bytes() == first


def test_the_batch_size_changes_no_result(tmp_path, trained):
    found = [evaluate(*trained, tmp_path / str(size), evaluate={"batch_size": size}) for size in (1, 5, 1000)]
    for name in ("predictions", "confusion"):
        assert len({getattr(outputs, name).read_bytes() for outputs in found}) == 1
    first, *others = (read_json(outputs.metrics) for outputs in found)
    for other in others:
        assert other["loss"] == pytest.approx(first["loss"], rel=1e-12)


def test_a_second_test_gives_the_same_bytes(tmp_path, trained):
    first, second = (evaluate(*trained, tmp_path / name) for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_examples_show_what_the_network_did(tmp_path, trained):
    samples = store.load_test(trained[1])
    seen = read_npz(evaluate(*trained, tmp_path).examples)
    assert seen["labels"].tolist() == [0, 2, 3], "three of four classes, spread over all"
    assert seen["class_names"].tolist() == list(tiny.CLASSES)
    assert (float(seen["step_ms"]), float(seen["trial_ms"])) == (1.0, 60.0)
    assert seen["output_voltage"].shape == (3, 60, 4)
    assert len(set(seen["speakers"])) > 1
    for row, label in enumerate(seen["labels"]):
        index = np.flatnonzero(samples.labels == label)[0]
        times, channels = samples.sample(index)
        part = slice(*seen["input_offsets"][row : row + 2])
        shown = set(zip(seen["input_times_ms"][part], seen["input_channels"][part], strict=True))
        assert shown == set(zip(np.floor(times), channels, strict=True))
        assert seen["speakers"][row] == tiny.SPEAKERS[samples.speakers[index]]
    assert len(seen["hidden_times_ms"]) == len(seen["hidden_units"]) == seen["hidden_offsets"][-1] > 0
    assert seen["hidden_units"].max() < 12 and seen["hidden_times_ms"].max() < 60
    # the logits are the weighted means of the voltages shown
    weighting = losses.on_grid(tiny.make_params().shape["gaussian"], 60)
    found = np.einsum("n,sno->so", weighting, seen["output_voltage"]) / 60
    np.testing.assert_allclose(found, seen["logits"], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(seen["predictions"], seen["logits"].argmax(axis=1))


def test_more_examples_than_classes_show_every_class_once(tmp_path, trained):
    seen = read_npz(evaluate(*trained, tmp_path, evaluate={"examples": 100}).examples)
    assert seen["labels"].tolist() == [0, 1, 2, 3]


# --- other time steps -------------------------------------------------------------------------------------------------

STEPS = {"steps_ms": [1, 5, 0.25]}


def test_the_same_weights_and_events_are_tested_at_other_steps(tmp_path, trained, caplog):
    with caplog.at_level("INFO", "eventspeech"):
        metrics = read_json(evaluate(*trained, tmp_path, evaluate=STEPS).metrics)
    samples, (weights, meta) = store.load_test(trained[1]), model_file.load(trained[0])
    grids = [(row["step_ms"], row["dead_time"], row["refractory_ms"]) for row in metrics["steps"]]
    assert metrics["step_ms"] == 1 and grids == [
        (5, "of_step", 0), (5, "kept", 0), (1, "of_step", 0), (1, "kept", 0), (0.25, "of_step", 0), (0.25, "kept", 0.5),
    ]  # fmt: skip
    expected = {}
    for row in metrics["steps"]:
        steps = round(60 / row["step_ms"])
        there = dataclasses.replace(
            from_dict(meta["network"]), steps=steps, step_ms=float(row["step_ms"]),
            refractory_steps=round(row["refractory_ms"] / row["step_ms"]),
        )  # fmt: skip
        objective = Objective(losses.on_grid(tiny.make_params().shape["gaussian"], steps))
        found = CpuEngine(there).infer(weights, batches.on_grid(samples, row["step_ms"], steps), objective)
        assert row["accuracy"] == np.mean(found.predictions == samples.labels)
        assert row["hidden_spikes"] == pytest.approx(found.spike_counts[0].mean(), rel=1e-12)
        assert row["engine"] == "cpu"
        expected[row["step_ms"], row["dead_time"]] = found.predictions
    for row in metrics["steps"]:
        assert row["agreement"] == np.mean(expected[row["step_ms"], row["dead_time"]] == expected[1, "of_step"])
    assert 0 < metrics["steps"][0]["agreement"] < 1, "the steps make a difference"
    assert metrics["steps"][4]["hidden_spikes"] != metrics["steps"][5]["hidden_spikes"], "so does the dead time"
    for row in metrics["steps"][2:4]:
        assert row["accuracy"] == metrics["accuracy"]
    for words in ("each step's own", "the trained step"):
        assert re.search(rf"held_out  dead time of {words}: [\d.]+ % at 5 ms, .* % at 0\.25 ms", caplog.text)


def test_delays_are_as_long_at_other_steps(tmp_path, trained):
    """A network that hears everything 10 ms late does what one without delay does with events 10 ms later."""
    weights, meta = model_file.load(trained[0])
    model_file.save(tmp_path / "late.npz", weights, meta | {"network": meta["network"] | {"delay_steps": [10]}})
    samples = store.load_test(trained[1])
    later = [(times_ms + 10, channels) for times_ms, channels in map(samples.sample, range(len(samples)))]
    moved = store.from_samples(
        later, samples.labels, samples.speakers, samples.class_names, samples.speaker_names, samples.trial_ms
    )
    store.save(moved, tmp_path / "moved.npz", "test")
    late = read_json(evaluate(tmp_path / "late.npz", trained[1], tmp_path / "a", evaluate=STEPS).metrics)
    plain = read_json(evaluate(trained[0], tmp_path / "moved.npz", tmp_path / "b", evaluate=STEPS).metrics)
    assert late["steps"] == plain["steps"]
    assert late["steps"] != read_json(evaluate(*trained, tmp_path / "c", evaluate=STEPS).metrics)["steps"]


def test_other_steps_change_nothing_else(tmp_path, trained):
    several, one, none = (
        evaluate(*trained, tmp_path / name, evaluate={"steps_ms": steps_ms})
        for name, steps_ms in {"several": [1, 0.5], "one": [1], "none": []}.items()
    )
    assert one.metrics.read_bytes() == none.metrics.read_bytes()
    assert read_json(one.metrics)["steps"] == []
    for name in ("predictions", "confusion", "examples"):
        assert getattr(several, name).read_bytes() == getattr(none, name).read_bytes()
    assert read_json(several.metrics) | {"steps": []} == read_json(none.metrics)


def test_normalised_samples_have_as_many_spikes_at_every_step(tmp_path, trained, monkeypatch):
    weights, meta = model_file.load(trained[0])
    model_file.save(tmp_path / "model.npz", weights, meta | {"spike_count": 30})
    seen, real = {}, CpuEngine.infer

    def spy(self, weights, batch, objective):
        seen.setdefault(self.network.step_ms, []).extend(np.diff(batch.offsets))
        return real(self, weights, batch, objective)

    monkeypatch.setattr(CpuEngine, "infer", spy)
    evaluate(tmp_path / "model.npz", trained[1], tmp_path, evaluate=STEPS)
    assert {step_ms: abs(np.mean(events) - 30) < 3 for step_ms, events in seen.items()} == dict.fromkeys(
        (1, 5, 0.25), True
    )


def test_an_engine_that_cannot_compute_a_step_is_replaced_there(tmp_path, trained, monkeypatch, caplog):
    real = CpuEngine

    def create(name, network, *_):
        if name == "cuda" and network.step_ms < 1:
            raise UserError("The GPU has too little memory.")
        return real(network)

    monkeypatch.setattr(evaluation.engines, "create", create)
    chosen = STEPS | {"engine": "cuda"}
    with caplog.at_level("WARNING", "eventspeech"):
        found = read_json(evaluate(*trained, tmp_path, evaluate=chosen).metrics)
    used = [(row["step_ms"], row["engine"]) for row in found["steps"][::2]]
    assert used == [(5, "cuda"), (1, "cuda"), (0.25, "cpu")]
    assert "steps of 0.25 ms are computed by engine cpu: The GPU has too little memory." in caplog.text
    plain = read_json(evaluate(*trained, tmp_path, evaluate=STEPS).metrics)["steps"]
    assert [row | {"engine": "cpu"} for row in found["steps"]] == plain


def test_what_every_engine_would_refuse_is_no_reason_for_another(tmp_path, trained, monkeypatch):
    def create(name, network, *_):
        if network.step_ms < 1:
            raise DataError("The weights are no numbers.")
        return CpuEngine(network)

    monkeypatch.setattr(evaluation.engines, "create", create)
    with pytest.raises(DataError, match="The weights are no numbers"):
        evaluate(*trained, tmp_path, evaluate=STEPS | {"engine": "cuda"})


def test_a_model_of_another_step_is_refused_before_it_is_tested(tmp_path, trained):
    changed = {"network": {"step_ms": 0.5}, "evaluate": {"steps_ms": [0.5, 0.25]}}
    with pytest.raises(
        ParameterError, match=r"trained at steps of 1 ms, which evaluate\.steps_ms = \[0\.5, .* lacks; add"
    ):
        evaluation.evaluate(tiny.make_params(**changed), *trained, evaluation.Outputs(*(tmp_path / f for f in FILES)))
    assert not list(tmp_path.iterdir())
    weights, meta = model_file.load(trained[0])
    meta["network"] |= {"delay_steps": [1]}
    model_file.save(tmp_path / "model.npz", weights, meta)
    with pytest.raises(
        ParameterError, match=r"network\.delays = 1 is not a whole number of steps of evaluate\.steps_ms = 5"
    ):
        evaluate(tmp_path / "model.npz", trained[1], tmp_path / "out", evaluate=STEPS)
    assert not (tmp_path / "out").exists()


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [("eins", "zwei", "drei"), ("zwei", "eins", "drei", "vier")])
def test_other_classes_are_refused(tmp_path, trained, classes):
    store.save(tiny.make_store(takes=1, classes=classes), tmp_path / "test.npz", "test")
    with pytest.raises(DataError, match=r"was trained on the classes eins, zwei, drei, vier, but .*; train the model"):
        evaluate(trained[0], tmp_path / "test.npz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Trap:
    """What runs when it is unpickled makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_in_a_model_is_refused_and_not_run(tmp_path, trained):
    arrays = read_npz(trained[0])
    arrays["input_hidden1"] = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(DataError, match=r"model\.npz cannot be read: input_hidden1\.npy holds Python objects"):
        evaluate(tmp_path / "model.npz", trained[1], tmp_path / "out")
    assert not (tmp_path / "sprung").exists()
    with np.load(tmp_path / "model.npz", allow_pickle=True) as archive:  # the trap works
        archive["input_hidden1"]
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "does not exist; run the stage that makes it first"),
        ("truncated", "cannot be read"),
        ("a flipped byte", "cannot be read"),
        ("text", "cannot be read"),
        ("a spike store", "is not a model of this program; make it with `eventspeech train`"),
        ("meta is no JSON", "is not a model of this program"),
        ("NaN", "hidden1_output hold NaN or infinity; train the model again"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, trained, damage, message):
    path, content = tmp_path / "model.npz", bytearray(trained[0].read_bytes())
    arrays, meta = model_file.load(trained[0])
    match damage:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "a flipped byte":
            content[len(content) // 2] ^= 255
            path.write_bytes(content)
        case "text":
            path.write_text("weights")
        case "a spike store":
            path = trained[1]
        case "meta is no JSON":
            write_npz(path, {**arrays, "meta": np.array("{")})
        case "NaN":
            arrays["hidden1_output"][0, 0] = np.nan
            model_file.save(path, arrays, meta)
    with pytest.raises(DataError, match=re.escape(message)):
        evaluate(path, trained[1], tmp_path / "out")


def test_what_is_no_spike_store_is_refused(tmp_path, trained):
    with pytest.raises(DataError, match="is not a spike store: 'offsets' is missing"):
        evaluate(trained[0], trained[0], tmp_path / "out")


# --- the test split ---------------------------------------------------------------------------------------------------


def commands() -> list[list[str]]:
    """Return all commands of dvc.yaml, which tests/test_workflow.py holds in step with the Snakefile."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return [shlex.split(stage["cmd"]) for stage in stages.values()]


def test_only_evaluate_is_given_the_test_split():
    given = {command[1] for command in commands() if "data/spikes/test.npz" in command}
    assert given == {"evaluate"}
    # the folder goes to the report, which shows the training split's spikes and the test split's statistics
    assert {command[1] for command in commands() if "data/spikes" in command} == {"report"}
    for verb in ("baseline", "train", "profile"):
        for command in commands():
            if command[1] == verb:
                assert command[command.index("--spikes") + 1] == "data/spikes/train.npz"


def test_only_evaluate_can_open_the_test_split(tmp_path, monkeypatch):
    """Every other stage refuses it, under whatever path, before it does anything."""
    store.save(tiny.make_store(), tmp_path / "train.npz", "test")
    params = tiny.make_params(train={"epochs": 1}, profile={"idle_s": 0.001})
    given, out = tmp_path / "train.npz", tmp_path / "out"
    outputs = train.Outputs(*(out / name for name in ("w.npz", "h.csv", "s.json", "c.npz")))
    study = Results(params, tmp_path, {}, [], {}, {}, {}, [], {})
    stages = {
        "train": lambda: train.train(params, "exponential", 0, given, outputs),
        "baseline": lambda: baseline.train(params, given, out / "m.npz", out / "s.json"),
        "profile": lambda: profile.profile(params, "cpu", 1, given, out / "p.json"),
        "report": lambda: study.training_store,
    }
    for stage, run in stages.items():
        with pytest.raises(DataError, match=r"train\.npz holds the test split, which the stage `evaluate` alone opens"):
            run()
            pytest.fail(f"{stage} has opened the test split")
    assert not out.exists()
    assert len(store.load_test(given)) == len(tiny.make_store())


def test_no_other_module_asks_for_the_test_split():
    """`load_test` is called by the stage alone, and a store's file is read by nothing but the module of stores."""
    calls = {"load_test": set(), "_read": set(), "load": set()}
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "store" and node.attr in calls:
                calls[node.attr].add(file.stem)
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("data.store"):
                assert not {alias.name for alias in node.names} & set(calls), file
    others = {"train", "tune", "baseline", "profile", "results"}
    assert calls == {"load_test": {"evaluate"}, "_read": set(), "load": others}


def test_a_training_split_is_no_test(tmp_path, trained):
    with pytest.raises(DataError, match=r"holds the split 'train', on which nothing is tested; give the test split"):
        evaluate(trained[0], trained[1].with_name("train.npz"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_test_is_run_once_for_each_model():
    tested = [command[command.index("--model") + 1] for command in commands() if command[1] == "evaluate"]
    assert sorted(tested) == [
        "results/baseline/{fold}/model.npz",
        "results/train/{loss}/{seed}/{fold}/weights.npz",
    ]


def test_training_opens_no_store_but_the_one_it_is_given(tmp_path, monkeypatch):
    for split in ("train", "test"):
        store.save(tiny.make_store(), tmp_path / f"{split}.npz", split)
    opened, real = [], store.read_npz

    def spy(path):
        opened.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(store, "read_npz", spy)
    params = tiny.make_params(train={"epochs": 1})
    outputs = train.Outputs(*(tmp_path / "out" / name for name in ("w.npz", "h.csv", "s.json", "c.npz")))
    train.train(params, "exponential", 0, tmp_path / "train.npz", outputs)
    baseline.train(params, tmp_path / "train.npz", tmp_path / "out" / "m.npz", tmp_path / "out" / "b.json")
    assert opened == ["train.npz", "train.npz"]


def raw_folder(root, kind="synthetic", **changes):
    """A raw folder of four recordings of the test split and one of the training split, and the spikes they gave."""
    entries = []
    for place, (label, speaker) in enumerate([("a", "s1"), ("b", "s1"), ("a", "s2"), ("b", "s2"), ("a", "s1")]):
        file = root / f"{place}.wav"
        soundfile.write(file, 0.1 * (place + 1) * np.sin(np.arange(1000 + place) / 9), 8000, subtype="PCM_16")
        split = "train" if place == 0 else "test"
        entries.append(recordings_index.entry(file, file.name, audio.read(file), label, speaker, split, 0))
    recordings_index.write_index(entries, root)
    (root / "source.json").write_text(f'{{"kind": "{kind}"}}')
    labels, speakers = np.array([1, 0, 1, 0]), np.array([0, 1, 1, 0])
    return dataclasses.replace(
        store.from_samples([(np.array([1.0]), np.array([2]))] * 4, labels, speakers, ["a", "b"], ["s1", "s2"], 10.0),
        **changes,
    )


def test_the_recordings_of_the_examples_come_along_if_nobody_spoke_them(tmp_path):
    samples = raw_folder(tmp_path)
    found = evaluation._sound(tmp_path, samples, np.array([1, 3]))
    lengths, peaks = np.diff(found["sound_offsets"]), [np.abs(part).max() for part in np.split(found["sound"], [1002])]
    assert list(lengths) == [1002, 1004] and found["sound_rate_hz"] == 8000
    np.testing.assert_allclose(peaks, 32767 * np.array([0.3, 0.5]), rtol=1e-3)
    assert {name: array.dtype.kind for name, array in found.items()} == examples.SOUND
    raw_folder(tmp_path, kind="recordings")
    assert evaluation._sound(tmp_path, samples, np.array([1, 3])) == {}, "a voice of somebody"
    assert evaluation._sound(None, samples, np.array([1, 3])) == {}


def test_recordings_that_the_spikes_were_not_made_of_are_refused(tmp_path):
    samples = raw_folder(tmp_path, labels=np.array([1, 1, 1, 0]))
    with pytest.raises(DataError, match="other recordings than the spikes"):
        evaluation._sound(tmp_path, samples, np.array([0, 1]))
    with pytest.raises(DataError, match="other recordings than the spikes"):
        evaluation._sound(tmp_path, samples.select(np.array([0, 2, 3])), np.array([0, 1]))

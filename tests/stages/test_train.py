"""Stage `train`: it learns, says so, repeats itself to the bit, and refuses what cannot be trained."""

import numpy as np
import pytest
from support import tiny
from support.training import DRAWN, OWN, RECIPE, SHARED, constants_of, equal, rows, run

from eventspeech import params
from eventspeech.data import store
from eventspeech.errors import DataError, ParameterError, UserError
from eventspeech.files import read_json
from eventspeech.learning import schedule
from eventspeech.learning.folds import split
from eventspeech.learning.trainer import EpochResult, Trainer
from eventspeech.records import model
from eventspeech.records.history import Row
from eventspeech.stages import train

pytestmark = pytest.mark.usefixtures("quick")


def test_a_loss_with_changes_is_trained_as_if_the_file_said_so(tmp_path, spikes):
    network = {"hidden": [7, 5], "recurrent": False, "delays": {"copies": 3, "interval_ms": 4}}
    shape = {"kind": "exponential", "changes": {**RECIPE, "network": network}}
    changed = run(tmp_path / "changed", spikes, loss="recipe", shape={"recipe": shape})
    # both are of one name: what the model file says of itself holds it
    merged = {group: {**tiny.CONTENT[group], **keys} for group, keys in (RECIPE | {"network": network}).items()}
    said = run(tmp_path / "said", spikes, loss="recipe", shape={"recipe": {"kind": "exponential"}}, **merged)
    assert equal(changed, said)
    assert read_json(changed.summary)["epochs"] == tiny.CONTENT["train"]["epochs"]
    alone = Trainer(tiny.make_params(shape={"recipe": shape}), "recipe", 0, store.load(spikes))
    assert alone.network.hidden == (7, 5)


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
    assert list(history[0]) == list(Row._fields)
    for row in history:
        assert float(row["training_s"]) > 0 and float(row["validation_s"]) > 0
        assert float(row["hidden_spikes"]) > 0
        assert float(row["learning_rate"]) == tiny.CONTENT["optimiser"]["learning_rate"]


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
    arrays, meta = model.load(whole.weights)
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
    changes = {"optimiser": {"learning_rate": 10.0}, "train": {"epochs": 8}}
    params = tiny.make_params(**changes)
    paths = run(tmp_path, spikes, **changes)
    summary = read_json(paths.summary)
    assert summary["best_epoch"] < 8
    learned, held_out = split(params, store.load(spikes))
    trainer = Trainer(params, "exponential", 0, learned)
    trainer.weights = model.load(paths.weights)[0]
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
    real, weights = train._run_epoch, []

    def pretend(trainer, number, validation):
        row = real(trainer, number, validation)
        weights.append({name: array.copy() for name, array in trainer.weights.items()})
        accuracy, loss = found[number - 1]
        return row._replace(validation_accuracy=accuracy, validation_loss=loss)

    monkeypatch.setattr(train, "_run_epoch", pretend)
    paths = run(tmp_path, spikes, train={"epochs": 3})
    assert read_json(paths.summary)["best_epoch"] == best
    for name, array in model.load(paths.weights)[0].items():
        assert array.tobytes() == weights[best - 1][name].tobytes()
        assert best == 3 or array.tobytes() != weights[2][name].tobytes()


def test_a_loss_may_have_its_own_learning_rate(tmp_path, spikes):
    shapes = {"gaussian": {"kind": "gaussian", "learning_rate": 0.002}}
    for loss, rate in (("gaussian", 0.002), ("exponential", 0.01)):
        paths = run(tmp_path / loss, spikes, loss, shape=shapes, train={"epochs": 1})
        assert float(rows(paths.history)[0]["learning_rate"]) == rate


# --- time constants ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [SHARED, OWN], ids=["shared", "neurons' own"])
def test_time_constants_are_learned_kept_and_summed_up(tmp_path, spikes, groups):
    params = tiny.make_params(**groups)
    learned, held_out = split(params, store.load(spikes))
    trainer = Trainer(params, "exponential", 0, learned)
    start = {name: array.copy() for name, array in constants_of(trainer.weights).items()}
    paths = run(tmp_path, spikes, **groups)
    found, summary = model.load(paths.weights)[0], read_json(paths.summary)
    assert {name: array.shape for name, array in constants_of(found).items()} == {k: v.shape for k, v in start.items()}
    assert all(np.any(found[name] != array) for name, array in start.items()), "each population has learned"
    means = {name: float(array.mean(dtype=np.float64)) for name, array in constants_of(found).items()}
    assert summary["time_constants"] == means and len(means) == 4
    trainer.weights = found
    again = trainer.validate(trainer.on_grid(held_out))
    assert (again.accuracy, again.loss) == (summary["best_validation_accuracy"], summary["best_validation_loss"])


def test_outputs_keep_their_time_constants_if_asked(tmp_path, spikes):
    changes = {"learn_time_constants": "neuron", "learn_output_time_constants": False}
    paths = run(tmp_path, spikes, optimiser=changes, train={"epochs": 2})
    found = constants_of(model.load(paths.weights)[0])
    assert list(found) == ["hidden1_tau_mem_ms", "hidden1_tau_syn_ms"]
    assert np.any(found["hidden1_tau_mem_ms"] != 20)


def test_drawn_time_constants_stay_unless_they_are_learned(tmp_path, spikes):
    paths = run(tmp_path, spikes, train={"epochs": 3}, **DRAWN)
    learned, _ = split(tiny.make_params(**DRAWN), store.load(spikes))
    start = constants_of(Trainer(tiny.make_params(**DRAWN), "exponential", 0, learned).weights)
    found = constants_of(model.load(paths.weights)[0])
    assert list(found) == ["hidden1_tau_mem_ms", "hidden1_tau_syn_ms"]
    assert all(found[name].tobytes() == start[name].tobytes() and np.std(start[name]) > 1 for name in start)
    assert "time_constants" not in read_json(paths.summary)


# --- the published recipe ---------------------------------------------------------------------------------------------


def test_the_pieces_of_the_recipe_act_where_their_resumption_is_tested(tmp_path, spikes):
    paths = run(tmp_path, spikes, **RECIPE)
    history = rows(paths.history)
    rates = [float(row["learning_rate"]) for row in history]
    assert rates[0] == pytest.approx(0.01 * 1.3**11), "eased in up to the last of twelve batches"
    settings = params.Schedule(**RECIPE["train"]["schedule"])
    falls = [rate / schedule.cosine(settings, epoch, len(rates)) for epoch, rate in enumerate(rates, 1)]
    assert max(falls) == pytest.approx(1) and falls[-1] < 0.6, f"the schedule acted: {rates}"
    summary = read_json(paths.summary)
    assert (summary["training_samples"], summary["presented_samples"]) == (48, 96)
    assert summary["selected_by"] == "training"


def test_the_rate_of_an_epoch_follows_from_the_accuracies_before_it(tmp_path, spikes):
    settings = {"factor": 0.5, "fast": 0.0, "slow": 1e-6, "wait_epochs": 0}
    history = rows(
        run(tmp_path, spikes, optimiser={"learning_rate": 0.05}, train={"epochs": 12, "schedule": settings}).history
    )
    accuracies = [float(row["validation_accuracy"]) for row in history]
    expected = [0.05 * schedule.reduction(params.Schedule(**settings), accuracies[:n]) for n in range(12)]
    assert [float(row["learning_rate"]) for row in history] == expected
    assert expected[0] == 0.05 > expected[-1]


def test_the_lift_comes_after_the_weights_were_judged(tmp_path, spikes):
    lifted = {"train": {"epochs": 2, "select": "last", "silent_lift": {"amount": 0.01, "neurons": "all"}}}
    paths = run(tmp_path, spikes, **lifted)
    learned, held_out = split(tiny.make_params(), store.load(spikes))
    trainer = Trainer(tiny.make_params(**lifted), "exponential", 0, learned)
    trainer.epoch(1)
    trainer.lift_silent()
    trainer.epoch(2)
    found = model.load(paths.weights)[0]
    assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in trainer.weights.items()}
    assert float(rows(paths.history)[1]["validation_loss"]) == trainer.validate(trainer.on_grid(held_out)).loss


# (training accuracy, training loss, validation accuracy, validation loss) of three epochs
JUDGED = [(0.5, 1.0, 0.9, 0.5), (0.8, 0.9, 0.6, 1.0), (0.8, 0.7, 0.7, 1.0), (0.6, 0.6, 0.8, 0.4)]


@pytest.mark.parametrize(("select", "best"), [("validation", 1), ("training", 3), ("last", 4)])
def test_the_epoch_is_chosen_as_asked(tmp_path, spikes, monkeypatch, select, best):
    real, weights = train._run_epoch, []

    def pretend(trainer, number, validation):
        row = real(trainer, number, validation)
        weights.append({name: array.copy() for name, array in trainer.weights.items()})
        names = ("training_accuracy", "training_loss", "validation_accuracy", "validation_loss")
        return row._replace(**dict(zip(names, JUDGED[number - 1], strict=True)))

    monkeypatch.setattr(train, "_run_epoch", pretend)
    paths = run(tmp_path, spikes, train={"epochs": 4, "select": select})
    summary = read_json(paths.summary)
    assert (summary["selected_by"], summary["best_epoch"]) == (select, best)
    assert summary["best_validation_accuracy"] == JUDGED[best - 1][2], "that of the chosen epoch"
    found, meta = model.load(paths.weights)
    assert meta["epoch"] == best
    assert all(array.tobytes() == weights[best - 1][name].tobytes() for name, array in found.items())


@pytest.mark.parametrize("stays", [True, False])
def test_a_collapse_is_marked_said_once_and_kept(tmp_path, spikes, monkeypatch, caplog, stays):
    real = train._run_epoch
    validation = [0.3, 0.95, 0.9, 0.25, 0.25, 0.25, 0.25, 0.25 if stays else 0.9]

    def pretend(trainer, number, held_out):
        row = real(trainer, number, held_out)
        return row._replace(validation_accuracy=validation[number - 1], training_accuracy=0.3)

    monkeypatch.setattr(train, "_run_epoch", pretend)
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


def test_a_training_that_learns_has_not_collapsed(whole):
    assert read_json(whole.summary)["collapsed_at_epoch"] is None


def test_normalised_training_brings_validation_to_the_same_count(parts, tmp_path, spikes):
    changed = tiny.make_params(augmentation={"normalise_spikes": True})
    trainer = Trainer(changed, "exponential", 0, parts.learned)
    fewest = int(np.diff(trainer.on_grid(parts.learned).offsets).min())
    first, second = (trainer.for_validation(parts.held_out) for _ in range(2))
    assert first.steps.tobytes() == second.steps.tobytes(), "drawn once, so that epochs compare"
    assert abs(np.diff(first.offsets).mean() - fewest) < 3 < np.diff(trainer.on_grid(parts.held_out).offsets).mean()
    assert trainer.augmentation.spike_count == fewest
    paths = run(tmp_path, spikes, augmentation={"normalise_spikes": True}, train={"epochs": 1})
    trainer.weights, meta = model.load(paths.weights)
    assert meta["spike_count"] == fewest
    assert float(rows(paths.history)[0]["validation_loss"]) == trainer.validate(first).loss
    plain = Trainer(parts.params, "exponential", 0, parts.learned)
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
    first, second = (model.load(paths.weights)[0] for paths in (whole, other))
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


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1e38, 3e37])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_divergence_is_one_sentence(tmp_path, spikes, rate, monkeypatch):
    monkeypatch.setattr(schedule, "ease_in", lambda *_: rate)  # a file cannot ask for such a rate
    with pytest.raises(UserError, match=r"^The training diverged in epoch 1 .*lower optimiser\.learning_rate[^.]*\.$"):
        run(tmp_path, spikes, optimiser={"learning_rate": 1.0}, train={"epochs": 30})
    assert not any(tmp_path.iterdir())


def test_a_validation_that_overflows_is_divergence(parts, monkeypatch):
    monkeypatch.setattr(Trainer, "validate", lambda *_: EpochResult(np.inf, 0.5, 1.0, 0.0, 4))
    trainer = Trainer(parts.params, "exponential", 0, parts.learned)
    with pytest.raises(UserError, match="diverged in epoch 3"):
        train._run_epoch(trainer, 3, trainer.on_grid(parts.held_out))


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

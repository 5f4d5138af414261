"""The weight that is learned: its gradient in every engine, wrong formulas, and a study with it."""

import numpy as np
import pytest
from support import tiny
from support.cases import PRECISE, STEPS, built, make_batch, make_network, make_objective, make_weights
from support.training import bits, outputs

from eventspeech import check_gradients, losses, machine
from eventspeech.data import store
from eventspeech.engines.cpu import CpuEngine
from eventspeech.files import read_json
from eventspeech.learning.trainer import Trainer
from eventspeech.params import Shape
from eventspeech.records import model
from eventspeech.stages import evaluate, train

LEARNED = Shape(kind="learned", knots=5, mean_weight=0.8)


# --- its gradient: `exact` and the order of convergence are cases of `check_gradients` ----------------------------


def test_it_is_that_of_finite_differences_by_the_weight_of_every_step():
    network, batch, objective = make_network(delay_steps=(0, 7)), make_batch(), make_objective("learned")
    weights, engine, step = make_weights(network), CpuEngine(network, dtype=np.float64), 1e-4
    found = engine.gradients(weights, batch, objective).weighting
    assert found.shape == (STEPS,) and np.all(found[10:] != 0)
    for n in range(0, STEPS, 7):
        moved = [objective.weighting + sign * step * (np.arange(STEPS) == n) for sign in (1, -1)]
        ends = [engine.infer(weights, batch, objective._replace(weighting=w)).losses.mean() for w in moved]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(found[n], rel=1e-6, abs=1e-11)


@built
def test_native_kernels_equal_numba_and_any_number_of_threads_gives_the_same_bits():
    network, batch, objective = make_network(hidden=(15, 9)), make_batch(), make_objective("learned")
    numba, again, native, native_again = (
        CpuEngine(network, threads, PRECISE[kernels], kernels)
        .gradients(make_weights(network), batch, objective)
        .weighting
        for kernels, threads in (("numba", 1), ("numba", 2), ("native", 1), ("native", 2))
    )
    assert np.linalg.norm(native - numba) < 1e-5 * np.linalg.norm(numba)
    assert numba.tobytes() == again.tobytes() and native.tobytes() == native_again.tobytes()


def test_it_is_given_only_where_the_weight_is_learned():
    network, batch = make_network(), make_batch()
    for kind in ("exponential", "max", "first_spike"):
        assert CpuEngine(network).gradients(make_weights(network), batch, make_objective(kind)).weighting is None


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda shape, theta, x: losses.weight(shape, x, theta) * np.ones((len(theta), 1)), id="no spline"),
        pytest.param(lambda *of: RIGHT(*of) + losses.weight(of[0], of[2], of[1]) / len(of[1]), id="a mean that moves"),
    ],
)
def test_a_wrong_formula_is_no_gradient(monkeypatch, wrong):
    case = next(case for case in check_gradients.cases() if case.name == "learned weight")
    seed = check_gradients.problems(case, 1)[0]
    assert check_gradients.output_error(case, "cpu", seed) < 1e-6
    monkeypatch.setattr(losses, "by_theta", wrong)
    assert check_gradients.output_error(case, "cpu", seed) > 0.05


RIGHT = losses.by_theta


# --- a study with it --------------------------------------------------------------------------------------------------


@pytest.fixture
def chosen(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(machine, "facts", dict)
    shapes = {"learned": {"kind": "learned", "knots": 5, "start": "flat", "mean_weight": 0.8, "rate_factor": 1.0}}
    return tiny.make_params(study={"losses": ["exponential", "learned"]}, shape=shapes)


def test_it_stays_above_zero_and_keeps_its_mean_through_training(chosen):
    trainer, x = Trainer(chosen, "learned", 0, tiny.make_store()), np.linspace(0, 1, 1001)
    seen = []
    for number in range(1, 4):
        trainer.epoch(number)
        w = losses.weight(trainer.shape, x, trainer.weights[losses.LEARNED])
        assert w.min() >= 0 and np.trapezoid(w, x) == pytest.approx(0.8, rel=1e-5)
        weights, objective = trainer.given()
        np.testing.assert_allclose(objective.weighting, np.interp(np.arange(60) / 60, x, w), rtol=1e-4)
        assert losses.LEARNED not in weights
        seen.append(np.ptp(w))
    assert 0.02 < seen[0] < seen[1] < seen[2]


def test_its_learning_rate_is_a_share_of_the_networks(chosen):
    found = []
    for factor in (0.0, 0.1, 0.2):
        shape = chosen.shape["learned"].model_copy(update={"rate_factor": factor})
        slower = chosen.model_copy(update={"shape": chosen.shape | {"learned": shape}})
        trainer = Trainer(slower, "learned", 0, tiny.make_store(), batch_size=64)
        start = trainer.weights[losses.LEARNED].copy()
        trainer.epoch(1)  # one batch: Adam's first step is the learning rate
        found.append(np.abs(trainer.weights[losses.LEARNED] - start).max())
    assert found[0] == 0
    assert found[1:] == pytest.approx([0.001, 0.002], rel=1e-2)


def test_two_trainings_of_one_seed_are_equal_to_the_bit(chosen):
    spikes = tiny.make_store()
    first, second, other = (Trainer(chosen, "learned", seed, spikes) for seed in (0, 0, 1))
    for trainer in (first, second, other):
        trainer.epoch(1)
    assert bits(first) == bits(second) != bits(other)
    assert first.weights[losses.LEARNED].dtype == np.float32


def test_the_test_weighs_as_training_left_it(tmp_path, chosen):
    store.save(tiny.make_store(), tmp_path / "train.npz", "train")
    store.save(tiny.make_store(takes=2, seed=9), tmp_path / "test.npz", "test")
    paths = outputs(tmp_path)
    train.train(chosen, "learned", 0, tmp_path / "train.npz", paths)
    found, summary = model.load(paths.weights), read_json(paths.summary)
    assert (summary["kind"], summary["mean_weight"]) == ("learned", 0.8)
    assert summary[losses.LEARNED]["chosen"] == found.arrays[losses.LEARNED].tolist()
    assert len(summary[losses.LEARNED]["last"]) == 7
    tested = evaluate.Outputs(*(tmp_path / name for name in ("m.json", "p.csv", "c.csv", "e.npz")))
    evaluate.evaluate(chosen, paths.weights, tmp_path / "test.npz", tested)
    trainer = Trainer(chosen, "learned", 0, tiny.make_store())
    trainer.weights = found.arrays
    expected = trainer.validate(trainer.on_grid(tiny.make_store(takes=2, seed=9)))
    assert read_json(tested.metrics)["loss"] == pytest.approx(expected.loss, rel=1e-9)
    trainer.weights = found.arrays | losses.learned_weight(trainer.shape)
    assert trainer.validate(trainer.on_grid(tiny.make_store(takes=2, seed=9))).loss != pytest.approx(expected.loss)

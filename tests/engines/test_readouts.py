"""The losses that weigh no voltage, `max` and `first_spike`: all engines, wrong formulas, and a study with them."""

import csv

import numpy as np
import pytest
from support import cases, dense, tiny
from support.cases import PRECISE, READOUTS, built, make_objective, make_readout_weights
from support.problems import problems

from eventspeech import check_gradients, losses, machine
from eventspeech.data import store
from eventspeech.engines import exact
from eventspeech.engines.cpu import CpuEngine
from eventspeech.engines.event_driven.numba import launches
from eventspeech.engines.exact import ExactEngine, ExactObjective, Sample
from eventspeech.files import read_json, read_npz
from eventspeech.learning.trainer import Trainer
from eventspeech.losses import FirstSpike
from eventspeech.network import TIME_CONSTANTS, Network, populations
from eventspeech.stages import evaluate, train

CONSTANTS = FirstSpike(tau0_ms=4.0, tau1_ms=20.0, alpha=0.05)
MAX = ExactObjective(None, readout="max")
FIRST = ExactObjective(None, readout="first_spike", first_spike=CONSTANTS)


# --- the losses themselves --------------------------------------------------------------------------------------------


def test_first_spike_is_the_published_formula_and_its_derivative():
    times, labels = np.array([[3.0, 5.0, 40.0], [40.0, 40.0, 40.0], [7.0, 7.0, 2.0]]), np.array([1, 0, 2])
    likelihood = np.exp(-times / 4.0)
    own = times[np.arange(3), labels]
    expected = -np.log(likelihood[np.arange(3), labels] / likelihood.sum(axis=1)) + 0.05 * (np.exp(own / 20.0) - 1)
    found, slopes = losses.first_spike(times, labels, CONSTANTS)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for index in np.ndindex(times.shape):
        moved = np.zeros_like(times)
        moved[index] = 1e-5
        ahead, behind = (losses.first_spike(times + sign * moved, labels, CONSTANTS)[0].sum() for sign in (1, -1))
        assert slopes[index] == pytest.approx((ahead - behind) / 2e-5, rel=1e-6, abs=1e-9)


def test_late_spikes_far_apart_overflow_nothing():
    found, slopes = losses.first_spike(np.array([[1000.0, 0.0]]), np.array([0]), FirstSpike(1.0, 100.0, 5e-5))
    assert found[0] == pytest.approx(1000 + 5e-5 * np.expm1(10.0)) and np.isfinite(slopes).all()


@pytest.mark.parametrize("kind", READOUTS)
def test_no_weight_has_no_mean(kind):
    assert losses.mean_weight(READOUTS[kind]) is None
    assert losses.objective(READOUTS[kind], 10).weighting is None
    assert losses.objective(READOUTS[kind], 10).readout == kind


# --- `exact`: closed forms, and the kink ------------------------------------------------------------------------------


def pair(weights_out, trial_ms=100):
    """Two hidden neurons with an input each, one output that matters and one that never rises."""
    network = Network(2, (2,), 2, False, trial_ms, 1.0, 10.0, 5.0)
    weights = {"input_hidden1": np.diag([6.0, 6.0]), "hidden1_output": np.array([[w, -1.0] for w in weights_out])}
    return network, weights


def both(first_ms, second_ms):
    return Sample(np.array([first_ms, second_ms]), np.array([0, 1]))


def test_maximum_of_one_spike_is_that_of_the_response():
    # tau_mem = 2 tau_syn and z = exp(-t / tau_mem): V = w (z - z^2), at most w / 4
    network, weights = pair([3.0, 0.0])
    found = ExactEngine(network).infer(weights, [both(3.0, 200.0)], np.array([0]), MAX)
    np.testing.assert_allclose(found.logits, [[0.75, 0.0]], rtol=1e-12)
    assert found.predictions[0] == 0


def test_time_of_the_first_spike_is_the_root_of_the_quadratic():
    # the hidden spike comes late - 3 ms after its input, the output's as late after the hidden one's
    late = -10.0 * np.log(0.5 * (1 + np.sqrt(1 - 4 / 6)))
    network, weights = pair([6.0, 0.0])
    found = ExactEngine(network).infer(weights, [both(3.0, 200.0)], np.array([0]), FIRST)
    np.testing.assert_allclose(-4.0 * found.logits, [[3 + 2 * late, 100.0]], rtol=1e-12)


def test_a_kink_moves_with_the_spike_that_makes_it():
    """Excitation, then inhibition before the voltage has peaked: its height is w (z - z^2) at the time between them."""
    network, weights = pair([3.0, -6.0])
    samples, labels = [both(3.0, 5.0)], np.array([0])
    engine = ExactEngine(network)
    assert engine.kinks(weights, samples, MAX) == 1
    z = np.exp(-2.0 / 10.0)
    assert engine.infer(weights, samples, labels, MAX).logits[0, 0] == pytest.approx(3 * (z - z * z), rel=1e-12)


def _directional_error(weights, network, samples, labels, wanted):
    engine = ExactEngine(network)
    gradients = engine.gradients(weights, samples, labels, wanted).weights
    direction = {name: np.random.default_rng(0).normal(size=array.shape) for name, array in weights.items()}
    slope = sum(np.sum(gradients[name] * direction[name]) for name in weights)
    values = []
    for sign in (1, -1):
        moved = {name: array + sign * 1e-6 * direction[name] for name, array in weights.items()}
        values.append(engine.infer(moved, samples, labels, wanted).losses.mean())
    return abs((values[0] - values[1]) / 2e-6 - slope) / abs(slope)


def without_kink(monkeypatch):
    """Leave out what the movement of a kink adds; R takes w g of the maximum instead, as the published code does."""
    real = ExactEngine._run

    def smooth(self, *arguments):
        return [
            trial._replace(peaks=[[peak._replace(event=-1) for peak in found] for found in trial.peaks])
            for trial in real(self, *arguments)
        ]

    monkeypatch.setattr(ExactEngine, "_run", smooth)


def test_without_the_movement_of_the_kink_the_gradient_is_wrong(monkeypatch):
    network, weights = pair([3.0, -6.0])
    arguments = weights, network, [both(3.0, 5.0)], np.array([0]), MAX
    assert _directional_error(*arguments) < 1e-7
    without_kink(monkeypatch)
    assert _directional_error(*arguments) > 0.1


@pytest.mark.parametrize("name", ["max", "max, feed-forward"])
def test_problems_have_kinks_and_need_them(monkeypatch, name):
    case = next(case for case in check_gradients.cases() if case.name == name)
    seed = problems(case, 1)[0]
    weights, samples, _ = check_gradients.problem(case, seed)
    engine = ExactEngine(check_gradients.network(case, 1.0))
    assert engine.kinks(weights, samples, check_gradients.exact_objective(case)) > 0
    assert check_gradients.exact_error(case, seed) < check_gradients.TOLERANCE_EXACT
    without_kink(monkeypatch)
    assert check_gradients.exact_error(case, seed) > 0.01


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda timing, network: -timing, id="sign"),
        pytest.param(lambda timing, network: timing / network.tau_mem_ms, id="divided by tau_mem"),
        pytest.param(lambda timing, network: 0 * timing, id="left out"),
    ],
)
@pytest.mark.parametrize("kind", ["max", "first spike"])
def test_a_wrong_timing_is_no_gradient(monkeypatch, kind, change):
    case = next(case for case in check_gradients.cases() if case.name == kind)
    seed = problems(case, 1)[0]
    real = exact.ExactEngine._timing
    monkeypatch.setattr(ExactEngine, "_timing", lambda self, *rest: change(real(self, *rest), self.network))
    # without its drive the gradient of first_spike is zero, which the check divides by
    with np.errstate(divide="ignore"):
        assert check_gradients.exact_error(case, seed) > 0.01


# --- `cpu` ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", READOUTS)
@pytest.mark.parametrize("name", cases.NETWORKS)
@pytest.mark.parametrize(
    ("kernels", "dtype", "rtol"),
    [("numba", np.float64, 1e-10), pytest.param("native", np.float32, 1e-5, marks=built)],
)
def test_equals_the_dense_oracle(kind, name, kernels, dtype, rtol):
    network, batch = cases.make_network(**cases.NETWORKS[name]), cases.make_batch()
    wanted = make_objective(kind, regulariser_strength=1e-3, regulariser_target=3.0)
    weights = make_readout_weights(network, kind)
    expected_losses, expected, _ = dense.run(network, weights, batch, wanted)
    found = CpuEngine(network, dtype=dtype, kernels=kernels).gradients(weights, batch, wanted)
    np.testing.assert_allclose(found.inference.losses, expected_losses, rtol=min(1e-4, 10 * rtol))
    cases.assert_close(found.weights, expected, rtol)


@pytest.mark.parametrize("kind", READOUTS)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("kernels", "dtype", "rtol"),
    [("numba", np.float64, 1e-10), pytest.param("native", np.float32, 1e-4, marks=built)],
)
def test_time_constants_equal_the_dense_oracle(kind, shared, kernels, dtype, rtol):
    network, batch = cases.make_network(hidden=(15, 9)), cases.make_batch()
    weights, rng = make_readout_weights(network, kind), np.random.default_rng(2)
    for population, size in populations(network).items():
        for name in TIME_CONSTANTS:
            factors = np.exp(rng.normal(0, 0.2, 1 if shared else size))
            weights[f"{population}_{name}"] = getattr(network, name) * factors
    expected_losses, expected, _ = dense.run(network, weights, batch, make_objective(kind))
    found = CpuEngine(network, dtype=dtype, kernels=kernels).gradients(weights, batch, make_objective(kind))
    np.testing.assert_allclose(found.inference.losses, expected_losses, rtol=1e-4)
    cases.assert_close(found.weights, expected, rtol)


@built
def test_native_kernels_are_exact_to_single_precision():
    network, batch = cases.make_network(hidden=(40,), outputs=37), cases.make_batch()
    for kind in READOUTS:
        weights = make_readout_weights(network, kind)
        _, expected, _ = dense.run(network, weights, batch, make_objective(kind))
        found = CpuEngine(network, kernels="native").gradients(weights, batch, make_objective(kind))
        cases.assert_close(found.weights, expected, 2e-6)


def test_the_cases_have_kinks_smooth_maxima_and_silent_outputs():
    network, batch = cases.make_network(), cases.make_batch()
    engine = CpuEngine(network, dtype=np.float64)
    peaks = engine._forward(make_readout_weights(network, "max"), batch, make_objective("max")).output.peaks
    assert 2 < np.sum(peaks.shares < 1) < np.sum(peaks.steps > 0)
    first = engine._forward(
        make_readout_weights(network, "first_spike"), batch, make_objective("first_spike")
    ).output.first
    assert np.all(first[1] < 0), "a silent sample"
    assert 0 < np.sum(first[[0, 2, 3, 4, 5]] < 0) < first.size / 2


@pytest.mark.parametrize(
    ("kind", "kernel", "position", "alter"),
    [
        pytest.param("max", "adjoint_max", 2, np.ones_like, id="max: no share for kinks"),
        pytest.param("max", "adjoint_max", 0, lambda drive: -drive, id="max: sign"),
        pytest.param("max", "adjoint_max", 0, lambda drive: 20 * drive, id="max: 1/tau_mem missing"),
        pytest.param("first_spike", "adjoint_hidden", 8, lambda timing: -timing, id="first_spike: sign"),
        pytest.param("first_spike", "adjoint_hidden", 8, lambda timing: timing / 20, id="first_spike: by tau_mem"),
    ],
)
def test_a_wrong_formula_does_not_converge(monkeypatch, kind, kernel, position, alter):
    case = next(case for case in check_gradients.cases() if case.name == kind.replace("_", " "))
    seed = problems(case, 1)[0]
    right = check_gradients.grid_errors(case, "cpu", seed, (0.005,))[0]
    real = getattr(launches.adjoint, kernel)

    def altered(*arguments):
        arguments = list(arguments)
        arguments[position] = alter(arguments[position])
        return real(*arguments)

    monkeypatch.setattr(launches.adjoint, kernel, altered)
    assert check_gradients.grid_errors(case, "cpu", seed, (0.005,))[0] > max(0.05, 5 * right)


@pytest.mark.parametrize("kind", READOUTS)
@pytest.mark.parametrize("kernels", ["numba", pytest.param("native", marks=built)])
def test_results_do_not_depend_on_the_number_of_threads(kind, kernels):
    network, batch = cases.make_network(hidden=(40, 9), delay_steps=(0, 7)), cases.make_batch()
    weights = make_readout_weights(network, kind, np.float32)
    one, *others = (
        CpuEngine(network, threads=n, dtype=PRECISE[kernels], kernels=kernels).gradients(
            weights, batch, make_objective(kind)
        )
        for n in (1, 2, 5)
    )
    for other in others:
        assert one.inference.logits.tobytes() == other.inference.logits.tobytes()
        for name in weights:
            assert one.weights[name].tobytes() == other.weights[name].tobytes()


@pytest.mark.parametrize("kind", READOUTS)
def test_groups_of_samples_add_up(monkeypatch, kind):
    network, batch = cases.make_network(), cases.make_batch()
    weights = make_readout_weights(network, kind)
    whole = CpuEngine(network, dtype=np.float64).gradients(weights, batch, make_objective(kind))
    monkeypatch.setattr(launches, "ADJOINT_BYTES", 1)
    single = CpuEngine(network, dtype=np.float64).gradients(weights, batch, make_objective(kind))
    cases.assert_close(single.weights, whole.weights, 1e-12)


@pytest.mark.parametrize("kind", READOUTS)
def test_silent_samples_have_a_loss_but_no_gradient(kind):
    network, batch = cases.make_network(), cases.make_batch(counts=(0, 0))
    found = CpuEngine(network).gradients(make_readout_weights(network, kind), batch, make_objective(kind))
    late = CONSTANTS.alpha * np.expm1(cases.STEPS / CONSTANTS.tau1_ms) if kind == "first_spike" else 0
    np.testing.assert_allclose(found.inference.losses, np.log(cases.CLASSES) + late, rtol=1e-12)
    np.testing.assert_array_equal(found.inference.predictions, 0)
    assert all(np.all(array == 0) for array in found.weights.values())


def test_outputs_that_spike_together_predict_the_first_of_them():
    network, batch = cases.make_network(), cases.make_batch()
    weights = make_readout_weights(network, "first_spike")
    out = weights["hidden1_output"]
    out[:] = out[:, :1]
    out[:, 0] = -1.0
    found = CpuEngine(network).infer(weights, batch, make_objective("first_spike"))
    assert np.all(found.logits[0, 1:] == found.logits[0, 1]) and found.predictions[0] == 1
    assert found.logits[0, 0] == -cases.STEPS / CONSTANTS.tau0_ms


@pytest.mark.parametrize("kernels", ["numba", pytest.param("native", marks=built)])
def test_recording_shows_maxima_and_first_spikes(kernels):
    network, batch = cases.make_network(), cases.make_batch()
    engine = CpuEngine(network, dtype=PRECISE[kernels], kernels=kernels)
    seen = engine.record(make_readout_weights(network, "max", np.float32), batch, make_objective("max"))
    np.testing.assert_allclose(seen.output_voltage.max(axis=1), seen.inference.logits, rtol=1e-5, atol=1e-7)
    weights = make_readout_weights(network, "first_spike", np.float32)
    seen = engine.record(weights, batch, make_objective("first_spike"))
    steps = np.round(-CONSTANTS.tau0_ms * seen.inference.logits).astype(int)
    assert seen.output_voltage.max() < 1 and np.any(steps < cases.STEPS)
    for sample, output in np.argwhere(steps < cases.STEPS):
        before, after = seen.output_voltage[sample, steps[sample, output] :, output][:2]
        assert before > 0 and after == 0


# --- a study with them ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", READOUTS)
def test_training_learns_and_the_test_agrees(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(machine, "facts", dict)
    store.save(tiny.make_store(), tmp_path / "train.npz", "train")
    store.save(tiny.make_store(takes=2, seed=9), tmp_path / "test.npz", "test")
    chosen = tiny.make_params(
        study={"losses": ["exponential", kind]}, shape={kind: {"kind": kind}}, train={"epochs": 10}
    )
    paths = train.Outputs(*(tmp_path / name for name in ("model.npz", "history.csv", "summary.json", "last.npz")))
    train.train(chosen, kind, 0, tmp_path / "train.npz", paths)
    summary = read_json(paths.summary)
    assert (summary["kind"], summary["mean_weight"]) == (kind, None)
    assert summary["best_validation_accuracy"] > 0.8
    files = ("metrics.json", "predictions.csv", "confusion.csv", "examples.npz")
    outputs = evaluate.Outputs(*(tmp_path / name for name in files))
    evaluate.evaluate(chosen, paths.weights, tmp_path / "test.npz", outputs)
    assert read_json(outputs.metrics)["accuracy"] > 0.8
    examples = read_npz(outputs.examples)
    np.testing.assert_array_equal(examples["predictions"], examples["logits"].argmax(axis=1))
    assert examples["output_voltage"].shape == (3, 60, 4)
    with outputs.predictions.open(newline="", encoding="utf-8") as stream:
        assert len(list(csv.reader(stream))) == 33


def test_outputs_of_first_spike_start_strong_and_share_their_draws():
    spikes = tiny.make_store()
    shapes = {"first_spike": {"kind": "first_spike"}, "strong": {"kind": "max", "output_mean": 2.0, "output_sd": 0.0}}
    chosen = tiny.make_params(shape=shapes, study={"losses": ["exponential", "first_spike", "strong"]})
    plain, first, strong = (Trainer(chosen, loss, 0, spikes).weights for loss in chosen.study.losses)
    for name in ("input_hidden1", "hidden1_hidden1"):
        np.testing.assert_array_equal(plain[name], first[name])
    np.testing.assert_allclose((first["hidden1_output"] - 1.2) / 0.6, plain["hidden1_output"] / 0.1, atol=1e-5)
    np.testing.assert_array_equal(strong["hidden1_output"], 2.0)

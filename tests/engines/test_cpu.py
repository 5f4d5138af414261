"""Engine `cpu`: against the dense oracle, against `exact`, and the properties the contract promises.

Numba compiles its kernels for each type of numbers: tests of them count in float64, but for the one of float32.
"""

import functools

import numpy as np
import pytest
from support import dense, sequential
from support.cases import (
    KERNELS,
    NETWORKS,
    PRECISE,
    READOUTS,
    STEPS,
    assert_close,
    built,
    make_batch,
    make_constants,
    make_network,
    make_objective,
    make_readout_weights,
    make_weights,
)
from support.problems import problems

from eventspeech import check_gradients, losses
from eventspeech.benchmarks import load
from eventspeech.data import batches, store
from eventspeech.data.batches import Batch, take
from eventspeech.engines.cpu import CpuEngine
from eventspeech.engines.equations import coefficients
from eventspeech.engines.event_driven import engine as event_driven
from eventspeech.engines.event_driven.c import launches as c_launches
from eventspeech.engines.event_driven.numba import adjoint
from eventspeech.engines.event_driven.numba import launches as numba_launches
from eventspeech.engines.exact import ExactEngine, ExactObjective, Sample
from eventspeech.errors import DataError
from eventspeech.losses import Objective
from eventspeech.network import Network, initial_weights
from eventspeech.params import WEIGHTED, Shape
from eventspeech.params import Network as NetworkParams


@functools.cache
def dense_solution(name):
    """Return a problem and what the oracle says to it."""
    network, batch = make_network(**NETWORKS[name]), make_batch()
    objective = make_objective("gaussian", regulariser_strength=1e-3, regulariser_target=3.0)
    weights = make_weights(network)
    expected = dense.run(network, weights, batch, objective)
    assert all(count.sum() > 0 for count in expected[2]), "the case must have spikes in every layer"
    return network, weights, batch, objective, expected


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("kernels", "dtype", "rtol"), KERNELS)
def test_equals_the_dense_oracle(name, kernels, dtype, rtol):
    network, weights, batch, objective, (expected_losses, expected, counts) = dense_solution(name)
    found = CpuEngine(network, dtype=dtype, kernels=kernels).gradients(weights, batch, objective)
    for seen, count in zip(found.inference.spike_counts, counts, strict=True):
        np.testing.assert_array_equal(seen, count)
    np.testing.assert_allclose(found.inference.losses, expected_losses, rtol=min(1e-5, 10 * rtol))
    assert_close(found.weights, expected, rtol)


@pytest.mark.parametrize("compiled", ["one thread", pytest.param("many threads", marks=pytest.mark.slow)])
def test_numba_in_single_precision_equals_the_dense_oracle(monkeypatch, compiled):
    if compiled == "one thread":
        sequential.compile_anew(monkeypatch)
    network, batch = make_network(hidden=(15, 9), delay_steps=(0, 7, 30), refractory_steps=1), make_batch()
    for kind in ("gaussian", *READOUTS):
        weights = make_readout_weights(network, kind) | make_constants(network, "neuron")
        objective = make_objective(kind, regulariser_strength=1e-3, regulariser_target=3.0)
        _, expected, counts = dense.run(network, weights, batch, objective)
        found = CpuEngine(network, dtype=np.float32, kernels="numba").gradients(weights, batch, objective)
        for seen, count in zip(found.inference.spike_counts, counts, strict=True):
            np.testing.assert_array_equal(seen, count)
        assert all(array.dtype == np.float32 for array in found.weights.values())
        assert_close(found.weights, expected, 1e-4)


@pytest.mark.parametrize("kind", WEIGHTED)
@pytest.mark.parametrize("per_sample", [False, True])
def test_every_loss_and_regulariser_equals_the_dense_oracle(kind, per_sample):
    network, batch = make_network(), make_batch(seed=3)
    objective = make_objective(
        kind, regulariser_strength=1e-2, regulariser_target=2.0, regulariser_batch=not per_sample
    )
    weights = make_weights(network)
    _, expected, _ = dense.run(network, weights, batch, objective)
    assert_close(CpuEngine(network, dtype=np.float64).gradients(weights, batch, objective).weights, expected, 1e-10)


@pytest.mark.parametrize("case", check_gradients.cases()[:6] + check_gradients.cases()[12:], ids=lambda case: case.name)
def test_converges_to_the_exact_gradient(case):
    steps_ms = (0.04, 0.01, 0.0025)
    errors = [check_gradients.grid_errors(case, "cpu", seed, steps_ms) for seed in problems(case, 3)]
    median = np.median(errors, axis=0)
    assert median[-1] < check_gradients.TOLERANCE_FINEST
    assert check_gradients.order(steps_ms, median) == pytest.approx(1.0, abs=0.45)


def _wrong(monkeypatch, change):
    """Let the engine call a kernel of the backward pass with changed arguments."""
    name, position, alter = change
    kernel = getattr(adjoint, name)

    def altered(*arguments):
        arguments = list(arguments)
        arguments[position] = alter(arguments[position])
        return kernel(*arguments)

    monkeypatch.setattr(numba_launches.adjoint, name, altered)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("adjoint_output", 1, np.ones_like), id="drive without the weight, as the thesis prints it"),
        pytest.param(("adjoint_hidden", 1, lambda z: z + 1), id="denominator without the threshold"),
        pytest.param(("adjoint_hidden", 4, np.zeros_like), id="no flow from the outputs"),
        pytest.param(("adjoint_hidden", 6, np.zeros_like), id="no flow through the recurrence"),
        pytest.param(("adjoint_hidden", 6, lambda w: np.ascontiguousarray(w.T)), id="recurrent weights transposed"),
        pytest.param(("adjoint_hidden", 12, np.zeros_like), id="current's adjoint without the voltage's"),
    ],
)
def test_a_wrong_formula_does_not_converge(monkeypatch, change):
    case = check_gradients.cases()[2]
    seed = problems(case, 1)[0]
    right = check_gradients.grid_errors(case, "cpu", seed, (0.0025,))[0]
    _wrong(monkeypatch, change)
    assert check_gradients.grid_errors(case, "cpu", seed, (0.0025,))[0] > max(0.05, 5 * right)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("adjoint_hidden", 3, np.zeros_like), id="a restart that does not move with its spike"),
        pytest.param(("adjoint_hidden", 3, lambda current: current - 1), id="a restart from the threshold"),
        pytest.param(("adjoint_hidden", 15, lambda steps: 0), id="no restart"),
    ],
)
def test_a_wrong_restart_does_not_converge(monkeypatch, change):
    case = next(case for case in check_gradients.cases() if case.name == "refractory")
    seed = problems(case, 1)[0]
    right = check_gradients.grid_errors(case, "cpu", seed, (0.005,))[0]
    _wrong(monkeypatch, change)
    assert check_gradients.grid_errors(case, "cpu", seed, (0.005,))[0] > max(0.05, 5 * right)


def test_output_weights_are_exact_on_any_grid():
    case = check_gradients.cases()[2]
    assert check_gradients.output_error(case, "cpu", problems(case, 1)[0]) < 1e-6


@pytest.mark.parametrize("kernels", ["numba", pytest.param("native", marks=built)])
def test_results_do_not_depend_on_the_number_of_threads(kernels):
    network, batch = make_network(hidden=(40, 9), delay_steps=(0, 7)), make_batch()
    weights, objective = make_weights(network, np.float32), make_objective(regulariser_strength=1e-3)
    one, *others = (
        CpuEngine(network, threads=n, dtype=PRECISE[kernels], kernels=kernels).gradients(weights, batch, objective)
        for n in (1, 2, 5)
    )
    for other in others:
        for name in weights:
            assert one.weights[name].tobytes() == other.weights[name].tobytes()
        assert one.inference.logits.tobytes() == other.inference.logits.tobytes()


@built
def test_native_kernels_equal_numba_at_the_size_of_the_study():
    network = Network(700, (150,), 20, True, 200, 5.0, 20.0, 5.0, (0, 6, 12))
    batch = load.load(5, 200, 3000)
    objective = Objective(losses.on_grid(Shape(kind="gaussian"), 200), 1e-6)
    weights = initial_weights(network, NetworkParams(input_mean=0.02), 0)
    slow, fast = (
        CpuEngine(network, dtype=PRECISE[kernels], kernels=kernels).gradients(weights, batch, objective)
        for kernels in ("numba", "native")
    )
    assert slow.inference.spike_counts[0].sum() > 1000
    # a rounding may move a spike by a step; none moves here, and then everything agrees to rounding
    np.testing.assert_array_equal(fast.inference.spike_counts[0], slow.inference.spike_counts[0])
    np.testing.assert_allclose(fast.inference.losses, slow.inference.losses, rtol=1e-5)
    assert_close(fast.weights, slow.weights, 1e-4)


@built
def test_long_silence_changes_no_result_and_numpy_keeps_its_arithmetic():
    network = Network(20, (8,), 3, True, 2000, 1.0, 20.0, 5.0)
    rng = np.random.default_rng(0)
    steps = np.sort(rng.integers(0, 100, 300)).astype(np.int32)  # then currents decay to 1e-165 of what they were
    batch = Batch(np.array([0, 300]), steps, rng.integers(0, 20, 300).astype(np.int32), np.array([1]))
    objective = Objective(losses.on_grid(Shape(kind="exponential"), 2000), 1e-6)
    weights = initial_weights(network, NetworkParams(input_mean=0.3), 0)
    slow, fast = (
        CpuEngine(network, 1, PRECISE[k], k).gradients(weights, batch, objective) for k in ("numba", "native")
    )
    assert slow.inference.spike_counts[0].sum() > 0
    assert_close(fast.weights, slow.weights, 1e-5)
    assert np.all(np.full(40, 1e-39, np.float32) * np.float32(0.5) > 0)


def test_nothing_leaks_between_batches_or_from_inference_to_training():
    network = make_network()
    weights, objective = make_weights(network, np.float32), make_objective()
    first, second = make_batch(seed=1), make_batch(seed=2)
    fresh = CpuEngine(network).gradients(weights, second, objective)
    engine = CpuEngine(network)
    engine.gradients(weights, first, objective)
    engine.infer(weights, first, objective)
    used = engine.gradients(weights, second, objective)
    for name in weights:
        assert fresh.weights[name].tobytes() == used.weights[name].tobytes()


def test_arguments_are_left_alone():
    network, batch = make_network(), make_batch()
    weights, objective = make_weights(network, np.float32), make_objective()
    before = {name: array.copy() for name, array in weights.items()}
    CpuEngine(network).gradients(weights, batch, objective)
    for name, array in before.items():
        np.testing.assert_array_equal(weights[name], array)


def test_a_sample_does_not_see_the_others():
    network, batch = make_network(), make_batch()
    weights, objective = make_weights(network, np.float32), make_objective()
    together = CpuEngine(network).infer(weights, batch, objective)
    for index in range(len(batch)):
        alone = CpuEngine(network).infer(weights, take(batch, np.array([index])), objective)
        np.testing.assert_array_equal(alone.logits[0], together.logits[index])


def test_buffers_grow_and_drop_nothing():
    network, batch = make_network(), make_batch()
    weights, objective = make_weights(network, np.float32), make_objective()
    roomy, tight = CpuEngine(network), CpuEngine(network)
    tight._capacity = 1
    expected, found = (engine.gradients(weights, batch, objective) for engine in (roomy, tight))
    np.testing.assert_array_equal(found.inference.spike_counts[0], expected.inference.spike_counts[0])
    assert_close(found.weights, expected.weights, 1e-12)


@pytest.mark.parametrize(
    ("kernels", "module"),
    [("numba", numba_launches), pytest.param("native", c_launches, marks=built)],
    ids=["numba", "native"],
)
def test_groups_of_samples_add_up(monkeypatch, kernels, module):
    network, batch = make_network(), make_batch()
    weights, objective = make_weights(network), make_objective()
    whole = CpuEngine(network, dtype=PRECISE[kernels], kernels=kernels).gradients(weights, batch, objective)
    monkeypatch.setattr(module, "ADJOINT_BYTES", 1)
    monkeypatch.setattr(module, "CACHE_BYTES", 1, raising=False)
    single = CpuEngine(network, threads=1, dtype=PRECISE[kernels], kernels=kernels)
    assert single.kernels.samples_at_once(network.steps, 1) == 1
    assert_close(single.gradients(weights, batch, objective).weights, whole.weights, 1e-6)


@built
def test_what_arrives_through_a_delay_line_may_be_kept_or_computed_again(monkeypatch):
    network, batch = make_network(delay_steps=(0, 7, 30)), make_batch()
    weights = make_weights(network, np.float32) | make_constants(network, "neuron")
    monkeypatch.setattr(c_launches, "ADJOINT_BYTES", 1)  # several groups, each with its part
    engine, objective = CpuEngine(network, kernels="native"), make_objective()
    assert engine._forward(weights, batch, objective).layers[0].drive is None
    assert engine._forward(weights, batch, objective, training=True).layers[0].drive is not None
    kept = engine.gradients(weights, batch, objective).weights
    monkeypatch.setattr(c_launches, "DRIVE_BYTES", 0)  # one sample at once
    assert engine._forward(weights, batch, objective, training=True).layers[0].drive is None
    again = engine.gradients(weights, batch, objective).weights
    for name in weights:
        assert kept[name].tobytes() == again[name].tobytes()


@pytest.mark.parametrize(
    ("kernels", "module"),
    [("numba", numba_launches), pytest.param("native", c_launches, marks=built)],
    ids=["numba", "native"],
)
def test_small_denominators_are_bounded_and_counted(monkeypatch, kernels, module):
    network, batch = make_network(), make_batch()
    weights, objective = make_weights(network), make_objective()
    assert CpuEngine(network, dtype=PRECISE[kernels], kernels=kernels).gradients(weights, batch, objective).floored == 0
    monkeypatch.setattr(module, "DENOMINATOR_FLOOR", 1e6)
    found = CpuEngine(network, dtype=PRECISE[kernels], kernels=kernels).gradients(weights, batch, objective)
    assert found.floored == found.inference.spike_counts[0].sum()


def test_recording_shows_the_same_run():
    network, batch = make_network(), make_batch()
    weights, objective = make_weights(network, np.float32), make_objective()
    seen = CpuEngine(network).record(weights, batch, objective)
    assert len(seen.hidden[0].steps) == seen.inference.spike_counts[0].sum()
    summed = np.einsum("n,sno->so", objective.weighting, seen.output_voltage) / STEPS
    np.testing.assert_allclose(summed, seen.inference.logits, rtol=1e-5, atol=1e-7)


def test_wrong_weights_are_refused():
    network, batch = make_network(), make_batch()
    weights = make_weights(network)
    with pytest.raises(DataError, match=r"the network needs.*; train the model again\.$"):
        CpuEngine(network).infer({**weights, "hidden1_output": np.zeros((3, 3))}, batch, make_objective())
    weights["hidden1_output"][0, 0] = np.nan
    with pytest.raises(DataError, match="NaN"):
        CpuEngine(network).infer(weights, batch, make_objective())


def test_slow_weightings_leave_no_rest_at_the_step_of_the_study(monkeypatch):
    """Where the weight hardly changes within tau_syn, lamV and lamI nearly cancel; the grid must cancel them alike.

    A comparison with mlGeNN and the exact solver caught this: with p = q = 1 the gradient is several times too large.
    """
    rng, network = np.random.default_rng(3), Network(6, (8,), 4, False, 1000, 1.0, 20.0, 5.0)
    weights = {"input_hidden1": rng.normal(1.2, 0.5, (6, 8)), "hidden1_output": rng.normal(0, 1, (8, 4))}
    samples = [Sample(np.sort(rng.uniform(0, 500, 120)), rng.integers(0, 6, 120)) for _ in range(3)]
    labels, shape = np.array([0, 1, 2]), Shape(kind="exponential")
    smooth = ExactObjective(lambda x: losses.weight(shape, x))
    exact = np.linalg.norm(ExactEngine(network).gradients(weights, samples, labels, smooth).weights["input_hidden1"])
    spikes = store.from_samples(samples, labels, np.zeros(3, int), list("0123"), ["0"], 1000.0)
    batch, objective = batches.on_grid(spikes, 1.0, 1000), Objective(losses.on_grid(shape, 1000))
    engine = CpuEngine(network, dtype=np.float64)
    assert np.linalg.norm(engine.gradients(weights, batch, objective).weights["input_hidden1"]) < 1.5 * exact

    def plain(*given):
        over = coefficients(*given)
        return over._replace(p=np.ones_like(over.p), q=np.ones_like(over.q))

    monkeypatch.setattr(event_driven, "coefficients", plain)
    engine = CpuEngine(network, dtype=np.float64)
    assert np.linalg.norm(engine.gradients(weights, batch, objective).weights["input_hidden1"]) > 2 * exact

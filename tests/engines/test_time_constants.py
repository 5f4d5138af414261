"""Learned and heterogeneous time constants: their start, their place among the weights, and their gradients."""

import functools

import numpy as np
import pytest
from support import dense
from support.cases import (
    CLASSES,
    INPUTS,
    KERNELS,
    NETWORKS,
    PRECISE,
    assert_close,
    built,
    make_batch,
    make_constants,
    make_network,
    make_objective,
    make_weights,
)
from support.problems import problems

from eventspeech import check_gradients, losses, network
from eventspeech.benchmarks import load
from eventspeech.data.batches import Batch
from eventspeech.engines import equations
from eventspeech.engines.cpu import CpuEngine
from eventspeech.engines.event_driven.c import launches as c_launches
from eventspeech.engines.event_driven.numba import launches as numba_launches
from eventspeech.engines.event_driven.numba import products
from eventspeech.engines.exact import ExactEngine
from eventspeech.errors import DataError
from eventspeech.losses import Objective
from eventspeech.network import Network, initial_weights, is_time_constant, populations
from eventspeech.params import Network as NetworkParams
from eventspeech.params import Shape

KINDS = ("tau_mem_ms", "tau_syn_ms")
LEARNED = ("population", "neuron")
SHORTEST_MS = {"tau_mem_ms": 3.0, "tau_syn_ms": 1.0}


def only_constants(weights):
    return {name: array for name, array in weights.items() if is_time_constant(name)}


# --- the coefficients and their derivatives ---------------------------------------------------------------------------


@pytest.mark.parametrize("step_ms", [0.0025, 0.1, 1.0, 5.0, 40.0])
def test_derivatives_are_those_of_the_matrix_exponential(step_ms):
    # equal, nearly equal, on both sides of where the series ends, synapse slower than membrane, published bounds
    mem = np.array([20.0, 10.0, 10.0, 10.0, 3.0, 5.0, 3.0, 60.0, 20.0])
    syn = np.array([5.0, 10.0, 10.0 + 1e-9, 9.99, 15.0, 20.0, 1.0, 1.0, 19.0])
    by_mem, by_syn = dense.derivatives(step_ms, mem, syn)
    found = equations.derivatives(step_ms, mem, syn)
    np.testing.assert_allclose(np.stack([found.a_mem, found.c_mem]), by_mem[:2], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(np.stack([found.c_syn, found.b_syn]), by_syn[1:], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose([by_mem[2], by_syn[0]], 0, atol=1e-14)  # of b and of a by the other constant


def test_a_step_of_zero_moves_nothing():
    over, moved = equations.coefficients(0.0, 20.0, 5.0), equations.derivatives(0.0, 20.0, 5.0)
    assert [float(value) for value in over] == [1, 1, 0, 0, 1, 1]
    assert [float(value) for value in moved] == [0, 0, 0, 0]


# --- engine `cpu` -----------------------------------------------------------------------------------------------------


@functools.cache
def dense_solution(name, learned):
    """Return a problem and what the oracle says to it."""
    on, batch = make_network(**NETWORKS[name]), make_batch()
    objective = make_objective("gaussian", regulariser_strength=1e-3, regulariser_target=3.0)
    weights = make_weights(on) | make_constants(on, learned)
    expected = dense.run(on, weights, batch, objective)
    assert all(count.sum() > 0 for count in expected[2]), "the case must have spikes in every layer"
    return on, weights, batch, objective, expected


@pytest.mark.parametrize("learned", LEARNED)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("kernels", "dtype", "rtol"), KERNELS)
def test_equals_the_dense_oracle(name, learned, kernels, dtype, rtol):
    on, weights, batch, objective, (expected_losses, expected, counts) = dense_solution(name, learned)
    found = CpuEngine(on, dtype=dtype, kernels=kernels).gradients(weights, batch, objective)
    assert list(found.weights) == list(weights)
    for seen, count in zip(found.inference.spike_counts, counts, strict=True):
        np.testing.assert_array_equal(seen, count)
    np.testing.assert_allclose(found.inference.losses, expected_losses, rtol=min(1e-5, 10 * rtol))
    assert_close(found.weights, expected, min(rtol, 5e-6))


@pytest.mark.parametrize("step_ms", [0.1, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize(("kernels", "dtype", "rtol"), KERNELS)
def test_equals_the_dense_oracle_at_every_step(step_ms, kernels, dtype, rtol):
    # 60 steps each; input weights grow where the trial is too short for many spikes to sum up
    on, batch, objective = make_network(step_ms=step_ms), make_batch(), make_objective(regulariser_strength=1e-3)
    weights = make_weights(on) | make_constants(on, "neuron")
    weights["input_hidden1"] = weights["input_hidden1"] * {0.1: 6, 0.5: 2, 5.0: 1.5}.get(step_ms, 1)
    _, expected, counts = dense.run(on, weights, batch, objective)
    assert counts[0].sum() > 20
    found = CpuEngine(on, dtype=dtype, kernels=kernels).gradients(weights, batch, objective)
    np.testing.assert_array_equal(found.inference.spike_counts[0], counts[0])
    assert_close(found.weights, expected, min(rtol, 5e-6))


@pytest.mark.parametrize("kernels", ["numba", pytest.param("native", marks=built)])
def test_results_do_not_depend_on_the_number_of_threads(kernels):
    on, batch = make_network(hidden=(40, 9), delay_steps=(0, 7)), make_batch()
    weights = make_weights(on, np.float32) | make_constants(on, "neuron")
    objective = make_objective(regulariser_strength=1e-3)
    one, *others = (
        CpuEngine(on, threads=n, dtype=PRECISE[kernels], kernels=kernels).gradients(weights, batch, objective)
        for n in (1, 2, 5)
    )
    for other in others:
        assert {k: v.tobytes() for k, v in one.weights.items()} == {k: v.tobytes() for k, v in other.weights.items()}


@built
def test_native_kernels_equal_numba_at_the_size_of_the_study():
    on = Network(700, (150,), 20, True, 200, 5.0, 20.0, 6.0, (0, 6, 12))
    batch, objective = load.load(5, 200, 3000), Objective(losses.on_grid(Shape(kind="gaussian"), 200), 1e-6)
    weights = initial_weights(on, NetworkParams(input_mean=0.02), 0) | make_constants(on, "neuron", spread=0.1)
    slow, fast = (
        CpuEngine(on, dtype=PRECISE[kernels], kernels=kernels).gradients(weights, batch, objective)
        for kernels in ("numba", "native")
    )
    assert slow.inference.spike_counts[0].sum() > 1000
    np.testing.assert_array_equal(fast.inference.spike_counts[0], slow.inference.spike_counts[0])
    # a slow weighting hardly feels the outputs' tau_mem: its gradient is a small difference, 2e-5 of it is rounding
    assert_close(fast.weights, slow.weights, 1e-4)


def test_neurons_with_equal_constants_are_a_population():
    on, batch, objective = make_network(hidden=(15, 9)), make_batch(), make_objective(regulariser_strength=1e-3)
    weights, shared = make_weights(on), make_constants(on, "population")
    sizes = {name: populations(on)[name.split("_")[0]] for name in shared}
    apart = {name: np.full(sizes[name], array[0]) for name, array in shared.items()}
    engine = CpuEngine(on, dtype=np.float64)
    one, each = (engine.gradients(weights | constants, batch, objective) for constants in (shared, apart))
    assert one.inference.logits.tobytes() == each.inference.logits.tobytes()
    for name in shared:
        assert each.weights[name].shape == (sizes[name],)
        np.testing.assert_allclose(one.weights[name], each.weights[name].sum(keepdims=True), rtol=1e-12)
    assert_close({k: each.weights[k] for k in weights}, {k: one.weights[k] for k in weights}, 1e-15)


@pytest.mark.parametrize("kernels", ["numba", pytest.param("native", marks=built)])
def test_the_networks_own_constants_change_nothing(kernels):
    on, batch, objective = make_network(), make_batch(), make_objective(regulariser_strength=1e-3)
    weights = make_weights(on, np.float32)
    plain, spelt = (
        CpuEngine(on, dtype=PRECISE[kernels], kernels=kernels).gradients(weights | constants, batch, objective)
        for constants in ({}, make_constants(on, "neuron", spread=0.0))
    )
    assert list(plain.weights) == list(weights)
    assert {k: v.tobytes() for k, v in plain.weights.items()} == {k: spelt.weights[k].tobytes() for k in weights}


def test_gradients_are_of_the_constants_that_are_there():
    on, batch, objective = make_network(hidden=(15, 9)), make_batch(), make_objective()
    weights, constants = make_weights(on), make_constants(on, "neuron", spread=0.0)
    engine = CpuEngine(on, dtype=np.float64)
    whole = engine.gradients(weights | constants, batch, objective).weights
    for name in constants:
        found = engine.gradients(weights | {name: constants[name]}, batch, objective).weights
        assert set(found) == {*weights, name}
        np.testing.assert_array_equal(found[name], whole[name])


def test_every_constant_matters():
    on, batch, objective = make_network(hidden=(15, 9)), make_batch(), make_objective("gaussian")
    found = CpuEngine(on).gradients(make_weights(on) | make_constants(on, "neuron"), batch, objective).weights
    assert all(np.mean(array != 0) > 0.7 for array in only_constants(found).values())


def test_silent_samples_add_nothing():
    on, objective = make_network(), make_objective()
    weights = make_weights(on) | make_constants(on, "neuron")
    silent = Batch(np.zeros(4, np.int64), np.empty(0, np.int32), np.empty(0, np.int32), np.zeros(3, np.int64))
    for kernels, dtype in (("numba", np.float64), (None, np.float32)):
        found = CpuEngine(on, dtype=dtype, kernels=kernels).gradients(weights, silent, objective)
        assert all(np.all(array == 0) for array in found.weights.values())


@pytest.mark.parametrize(
    ("kernels", "module"),
    [("numba", numba_launches), pytest.param("native", c_launches, marks=built)],
    ids=["numba", "native"],
)
def test_groups_of_samples_add_up_to_the_bit(monkeypatch, kernels, module):
    # how many samples come at once depends on the number of threads
    on, batch, objective = make_network(), make_batch(), make_objective()
    weights = make_weights(on) | make_constants(on, "neuron")
    whole = CpuEngine(on, dtype=PRECISE[kernels], kernels=kernels).gradients(weights, batch, objective)
    monkeypatch.setattr(module, "ADJOINT_BYTES", 1)
    monkeypatch.setattr(module, "CACHE_BYTES", 1, raising=False)
    single = CpuEngine(on, threads=1, dtype=PRECISE[kernels], kernels=kernels)
    assert single.kernels.samples_at_once(on.steps, 1) == 1
    found = single.gradients(weights, batch, objective)
    for name, array in only_constants(whole.weights).items():
        assert found.weights[name].tobytes() == array.tobytes()


# --- against the exact solver -----------------------------------------------------------------------------------------

CASES = {case.name: case for case in check_gradients.cases() if case.learned != "none"}


def wrong_derivatives(**factors):
    """Return `equations.derivatives` with some of them scaled."""
    right = equations.derivatives

    def altered(*arguments):
        found = right(*arguments)
        return found._replace(**{name: getattr(found, name) * factor for name, factor in factors.items()})

    return altered


WRONG = {
    "no decay of the voltage": {"a_mem": 0},
    "no drive of the voltage": {"c_mem": 0},
    "drive's sign": {"c_syn": -1},
    "no decay of the current": {"b_syn": 0},
    "a part in five too much": {"a_mem": 1.2},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_formula_is_not_that_of_finite_differences(monkeypatch, name):
    case = CASES["learned, per neuron"]
    seed = problems(case, 1)[0]
    monkeypatch.setattr(equations, "derivatives", wrong_derivatives(**WRONG[name]))
    assert check_gradients.exact_error(case, seed, directions=3) > 1e4 * check_gradients.TOLERANCE_EXACT


def grid_error(case, seed, exact):
    """Return the engine's error in the time constants, at a fine step."""
    weights, samples, labels = check_gradients.problem(case, seed)
    batch, objective = check_gradients.on_grid(case, samples, labels, 0.0025)
    found = CpuEngine(check_gradients.network(case, 0.0025), dtype=np.float64).gradients(weights, batch, objective)
    return check_gradients.relative(found.weights, exact)


@pytest.fixture(scope="module")
def solved():
    """One problem, its exact gradients, and how near the engine is."""
    case = CASES["learned, per neuron"]
    seed = problems(case, 1)[0]
    weights, samples, labels = check_gradients.problem(case, seed)
    engine, objective = ExactEngine(check_gradients.network(case, 1.0)), check_gradients.exact_objective(case)
    exact = engine.gradients(weights, samples, labels, objective).weights
    right = grid_error(case, seed, exact)
    assert right < check_gradients.TOLERANCE_FINEST
    return case, seed, exact, right


# c_syn is of second order in the step, so that its sign shows only over the long steps of `exact`, and at 1 ms below
@pytest.mark.parametrize("name", [name for name in WRONG if "c_syn" not in WRONG[name]])
def test_a_wrong_formula_does_not_converge(monkeypatch, solved, name):
    case, seed, exact, right = solved
    monkeypatch.setattr(equations, "derivatives", wrong_derivatives(**WRONG[name]))
    assert grid_error(case, seed, exact) > max(0.05, 5 * right)


@pytest.mark.parametrize(
    ("position", "alter"),
    [
        pytest.param(11, np.zeros_like, id="voltage without resets"),
        pytest.param(5, np.zeros_like, id="current without recurrence"),
        pytest.param(13, lambda inverse_k: 0.5 * inverse_k, id="half of the voltage's adjoint"),
        pytest.param(7, np.ones_like, id="current without decay"),
    ],
)
def test_a_wrong_product_does_not_converge(monkeypatch, solved, position, alter):
    case, seed, exact, right = solved
    kernel = products.products

    def altered(*arguments):
        arguments = list(arguments)
        arguments[position] = alter(arguments[position])
        return kernel(*arguments)

    monkeypatch.setattr(numba_launches.products, "products", altered)
    assert grid_error(case, seed, exact) > max(0.05, 5 * right)


def test_outputs_are_exact_on_any_grid(monkeypatch):
    case = CASES["learned, per neuron"]
    seed = problems(case, 1)[0]
    assert check_gradients.output_error(case, "cpu", seed) < 1e-6
    monkeypatch.setattr(equations, "derivatives", wrong_derivatives(c_syn=1.0001))
    assert check_gradients.output_error(case, "cpu", seed) > 1e-6


# --- among the weights ------------------------------------------------------------------------------------------------


def start(on, learned="none", heterogeneous=False, seed=0):
    return network.initial_time_constants(on, seed, learned, heterogeneous, SHORTEST_MS)


def test_a_homogeneous_network_that_learns_none_has_none_among_its_weights():
    assert start(make_network()) == {}


@pytest.mark.parametrize(("learned", "sizes"), [("population", (1, 1, 1)), ("neuron", (15, 9, CLASSES))])
def test_learned_constants_start_at_the_networks(learned, sizes):
    on = make_network(hidden=(15, 9), tau_mem_ms=30.0, tau_syn_ms=7.0)
    found = start(on, learned)
    names = [f"{population}_{kind}" for population in ("hidden1", "hidden2", "output") for kind in KINDS]
    assert list(found) == names
    assert [array.shape for array in found.values()] == [(size,) for size in np.repeat(sizes, 2)]
    assert all(array.dtype == np.float32 for array in found.values())
    assert all(np.all(array == (30 if "mem" in name else 7)) for name, array in found.items())
    network.check(on, make_weights(on) | found)


def test_heterogeneous_constants_are_gamma_distributed_within_their_bounds():
    on = make_network(hidden=(4000, 2000))
    found = start(on, heterogeneous=True)
    assert set(found) == {f"{layer}_{kind}" for layer in ("hidden1", "hidden2") for kind in KINDS}, "hidden only"
    for name, mean_ms, shortest_ms in (("hidden1_tau_mem_ms", 20, 3), ("hidden1_tau_syn_ms", 5, 1)):
        constants = found[name]
        assert constants.min() == shortest_ms and constants.max() == 3 * mean_ms
        free = np.random.default_rng(0).gamma(3.0, mean_ms / 3, 10**6)
        expected = np.clip(free, shortest_ms, 3 * mean_ms)
        assert constants.mean() == pytest.approx(expected.mean(), rel=0.04)
        assert constants.std() == pytest.approx(expected.std(), rel=0.06)
    assert not np.array_equal(found["hidden1_tau_mem_ms"][:2000], found["hidden2_tau_mem_ms"])
    learned = start(on, "neuron", heterogeneous=True)
    assert all(np.array_equal(learned[name], array) for name, array in found.items())
    assert np.all(learned["output_tau_mem_ms"] == 20) and learned["output_tau_mem_ms"].shape == (CLASSES,)
    other = start(on, heterogeneous=True, seed=1)
    assert all(np.mean(other[name] != found[name]) > 0.8 for name in found)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"hidden1_tau_mem_ms": np.array([0.0])}, "hidden1_tau_mem_ms are not all positive"),
        ({"output_tau_syn_ms": np.full(CLASSES, -1.0)}, "output_tau_syn_ms are not all positive"),
        ({"hidden1_tau_mem_ms": np.array([np.nan])}, "hidden1_tau_mem_ms hold NaN or infinity"),
        ({"hidden1_tau_mem_ms": np.ones(14)}, "the network needs"),
        ({"hidden1_tau_mem_ms": np.ones((1, 15))}, "the network needs"),
        ({"hidden1_tau_mem_ms": np.float64(20.0)}, "the network needs"),
        ({"hidden2_tau_mem_ms": np.ones(1)}, "the network needs"),
        ({"input_tau_mem_ms": np.ones(INPUTS)}, "the network needs"),
    ],
)
def test_impossible_constants_are_refused(constants, message):
    on = make_network()
    with pytest.raises(DataError, match=message):
        CpuEngine(on).infer(make_weights(on) | constants, make_batch(), make_objective())


def test_slow_weightings_leave_no_rest_at_the_step_of_the_study():
    """As with weights: lamV and lamI nearly cancel where the weight hardly changes within tau_syn."""
    case = check_gradients.Case("slow", Shape(kind="exponential"), recurrent=False, learned="neuron")
    seed = problems(case, 1)[0]
    weights, samples, labels = check_gradients.problem(case, seed)
    engine, objective = ExactEngine(check_gradients.network(case, 1.0)), check_gradients.exact_objective(case)
    exact = engine.gradients(weights, samples, labels, objective).weights
    batch, on_grid = check_gradients.on_grid(case, samples, labels, 1.0)
    found = CpuEngine(check_gradients.network(case, 1.0), dtype=np.float64).gradients(weights, batch, on_grid).weights
    for name in only_constants(exact):
        assert np.linalg.norm(found[name]) < 2 * np.linalg.norm(exact[name]), name

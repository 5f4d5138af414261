"""Engine `cuda` against `cpu`: on a GPU where there is one, and everywhere the same kernels on the processor."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support import cases, cuda_on_host

from eventspeech import engines, losses, machine
from eventspeech.benchmarks import gpu as benchmark_gpu
from eventspeech.benchmarks import limit_cuda, load
from eventspeech.data.batches import Batch
from eventspeech.engines import create
from eventspeech.engines.cpu import CpuEngine
from eventspeech.engines.event_driven.cuda import device as cuda
from eventspeech.engines.event_driven.cuda import launches
from eventspeech.errors import UserError
from eventspeech.losses import Objective
from eventspeech.network import TIME_CONSTANTS, Network, initial_weights, populations
from eventspeech.params import WEIGHTED, Shape
from eventspeech.params import Network as NetworkParams

compiles = pytest.mark.skipif(cuda_on_host.COMPILER is None, reason="no C++ compiler to build the kernels for the host")
ENGINES = [
    pytest.param(cuda_on_host.Engine, id="host", marks=compiles),
    pytest.param(lambda network: create("cuda", network), id="gpu", marks=pytest.mark.gpu),
]
everywhere = pytest.mark.parametrize("make_engine", ENGINES)


def make_weights(network, kind="exponential", learned=None):
    """Draw weights, and time constants of each ``population`` or ``neuron``."""
    weights, rng = cases.make_readout_weights(network, kind, np.float32), np.random.default_rng(2)
    for population, size in populations(network).items() if learned else ():
        for name in TIME_CONSTANTS:
            factors = np.exp(rng.normal(0, 0.2, size if learned == "neuron" else 1))
            weights[f"{population}_{name}"] = (getattr(network, name) * factors).astype(np.float32)
    return weights


def assert_same(found, expected):
    """Compare with the bounds of the contract: equal spikes, losses and gradients to float32's rounding."""
    for seen, wanted in zip(found.inference.spike_counts, expected.inference.spike_counts, strict=True):
        np.testing.assert_array_equal(seen, wanted)
    np.testing.assert_allclose(found.inference.losses, expected.inference.losses, rtol=1e-5)
    np.testing.assert_array_equal(found.inference.predictions, expected.inference.predictions)
    assert list(found.weights) == list(expected.weights)
    assert found.floored == expected.floored
    cases.assert_close(found.weights, expected.weights, 1e-5)
    assert (found.weighting is None) == (expected.weighting is None)
    if expected.weighting is not None:
        cases.assert_close({"weighting": found.weighting}, {"weighting": expected.weighting}, 1e-5)


@everywhere
@pytest.mark.parametrize("name", cases.NETWORKS)
def test_equals_cpu_for_every_network(make_engine, name):
    network, batch = cases.make_network(**cases.NETWORKS[name]), cases.make_batch()
    objective = cases.make_objective("gaussian", regulariser_strength=1e-3, regulariser_target=3.0)
    weights = make_weights(network)
    found = make_engine(network).gradients(weights, batch, objective)
    assert all(count.sum() > 0 for count in found.inference.spike_counts)
    assert_same(found, CpuEngine(network).gradients(weights, batch, objective))


@everywhere
@pytest.mark.parametrize("kind", ["gaussian", *cases.READOUTS])
def test_equals_cpu_with_a_refractory_period(make_engine, kind):
    network, batch = cases.make_network(hidden=(15, 9), refractory_steps=2), cases.make_batch()
    weights, objective = make_weights(network, kind, "neuron"), cases.make_objective(kind)
    found = make_engine(network).gradients(weights, batch, objective)
    assert_same(found, CpuEngine(network).gradients(weights, batch, objective))


@everywhere
@pytest.mark.parametrize("learned", [None, "population", "neuron"])
@pytest.mark.parametrize("kind", [*WEIGHTED, *cases.READOUTS])
def test_equals_cpu_for_every_loss_and_kind_of_time_constants(make_engine, kind, learned):
    network, batch = cases.make_network(hidden=(15, 9), delay_steps=(0, 7)), cases.make_batch()
    objective = cases.make_objective(kind, regulariser_strength=1e-2, regulariser_target=2.0, regulariser_batch=False)
    weights = make_weights(network, kind, learned)
    found = make_engine(network).gradients(weights, batch, objective)
    assert_same(found, CpuEngine(network).gradients(weights, batch, objective))


@everywhere
def test_equals_cpu_where_a_layer_has_several_warps(make_engine):
    network = Network(700, (150,), 20, True, 200, 5.0, 20.0, 5.0, (0, 6, 12))
    batch = load.load(3, 200, 2000)
    objective = Objective(losses.on_grid(Shape(kind="gaussian"), 200), 1e-6)
    weights = initial_weights(network, NetworkParams(input_mean=0.02), 0)
    found = make_engine(network).gradients(weights, batch, objective)
    assert found.inference.spike_counts[0].sum() > 500
    assert_same(found, CpuEngine(network).gradients(weights, batch, objective))


@everywhere
def test_two_runs_are_identical(make_engine):
    network, batch = cases.make_network(hidden=(40, 9), delay_steps=(0, 7)), cases.make_batch()
    weights, objective = (
        make_weights(network, learned="neuron"),
        cases.make_objective("gaussian", regulariser_strength=1e-3),
    )
    engine = make_engine(network)
    first = engine.gradients(weights, batch, objective)
    engine.infer(weights, cases.make_batch(seed=5), objective)
    assert_identical(engine.gradients(weights, batch, objective), first)


def assert_identical(found, expected):
    for name, array in expected.weights.items():
        assert found.weights[name].tobytes() == array.tobytes(), name
    assert found.inference.logits.tobytes() == expected.inference.logits.tobytes()


@compiles
@pytest.mark.parametrize("kind", ["gaussian", *cases.READOUTS])
def test_results_do_not_depend_on_the_order_of_threads(kind):
    """A barrier that is missing, or sums in the order of arrival, would show."""
    network, batch = cases.make_network(hidden=(140, 9), delay_steps=(0, 7)), cases.make_batch((90, 0, 150))
    weights, objective = make_weights(network, kind, "neuron"), cases.make_objective(kind, regulariser_strength=1e-3)
    up, down, random = (cuda_on_host.Engine(network, order).gradients(weights, batch, objective) for order in (0, 1, 2))
    assert_identical(down, up)
    assert_identical(random, up)


@compiles
def test_results_do_not_depend_on_the_number_of_multiprocessors():
    network, batch = cases.make_network(hidden=(140,)), cases.make_batch((200, 100, 150, 120))
    weights, objective = make_weights(network), cases.make_objective("gaussian")
    weights["input_hidden1"] += np.float32(0.6)  # many spikes at once
    few, many = (cuda_on_host.Engine(network, processors=n).gradients(weights, batch, objective) for n in (1, 132))
    assert few.inference.spike_counts[0].sum() > 16 * cases.STEPS
    assert_identical(many, few)


@compiles
@pytest.mark.parametrize("order", [0, 1, 2])
def test_events_are_sorted_by_unit_sample_and_time(order):
    samples, steps, units = 5, 50, 700  # more counts than the sum over them takes at once
    rng = np.random.default_rng(0)
    step = [np.sort(rng.integers(0, steps, count)) for count in (300, 0, 33, 32, 1)]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in step])])
    unit = np.where(rng.random(offsets[-1]) < 0.3, 7, rng.integers(0, units, offsets[-1])).astype(np.int32)
    batch = Batch(offsets, np.concatenate(step).astype(np.int32), unit, np.zeros(samples, np.int64))
    found = launches.DeviceKernels(cuda_on_host.Device(order))
    places, unit_starts = found.sort(found.events(batch, steps), units, None)
    sample = np.repeat(np.arange(samples), np.diff(offsets))
    by_unit = np.argsort(unit, kind="stable")
    np.testing.assert_array_equal(places, (sample * (steps + 1) + batch.steps)[by_unit])
    counts = np.bincount(unit * samples + sample, minlength=units * samples)
    np.testing.assert_array_equal(unit_starts, np.concatenate([[0], np.cumsum(counts)]))


@compiles
@pytest.mark.parametrize("kind", ["gaussian", *cases.READOUTS])
def test_groups_of_samples_add_up(kind):
    network, batch = cases.make_network(hidden=(15, 9), delay_steps=(0, 7)), cases.make_batch()
    weights, objective = make_weights(network, kind, "neuron"), cases.make_objective(kind, regulariser_strength=1e-3)
    whole = cuda_on_host.Engine(network).gradients(weights, batch, objective)
    single = cuda_on_host.Engine(network, memory=1)
    assert single.kernels.samples_at_once(network.steps, 1) == 1
    assert_same(single.gradients(weights, batch, objective), whole)


@everywhere
def test_buffers_grow_and_drop_nothing(make_engine):
    network, batch = cases.make_network(), cases.make_batch()
    weights, objective = make_weights(network), cases.make_objective("exponential")
    tight = make_engine(network)
    tight._capacity = 1
    assert_identical(
        tight.gradients(weights, batch, objective), make_engine(network).gradients(weights, batch, objective)
    )


@everywhere
def test_small_denominators_are_bounded_and_counted(monkeypatch, make_engine):
    network, batch = cases.make_network(), cases.make_batch()
    weights, objective = make_weights(network), cases.make_objective("exponential")
    monkeypatch.setattr(launches, "DENOMINATOR_FLOOR", 1e6)
    found = make_engine(network).gradients(weights, batch, objective)
    assert found.floored == found.inference.spike_counts[0].sum()


@everywhere
@pytest.mark.parametrize("kind", ["exponential", *cases.READOUTS])
def test_recording_shows_the_run_of_cpu(make_engine, kind):
    network, batch = cases.make_network(hidden=(15, 9)), cases.make_batch()
    weights, objective = make_weights(network, kind), cases.make_objective(kind)
    found, expected = (make(network).record(weights, batch, objective) for make in (make_engine, CpuEngine))
    for seen, wanted in zip(found.hidden, expected.hidden, strict=True):
        for one, other in zip(seen, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(found.output_voltage, expected.output_voltage, rtol=1e-4, atol=1e-5)


@everywhere
def test_a_batch_without_any_event_has_losses_and_no_gradient(make_engine):
    network, batch = cases.make_network(), cases.make_batch((0, 0))
    found = make_engine(network).gradients(make_weights(network), batch, cases.make_objective("exponential"))
    np.testing.assert_allclose(found.inference.losses, np.log(cases.CLASSES))
    assert all(not array.any() for array in found.weights.values())


def test_limits_count_the_bytes_and_operations_of_every_event():
    network = Network(700, (64,), 20, True, 100, 1.0, 20.0, 5.0, (0, 30))
    needed = limit_cuda.work(network, input_spikes=10, hidden_spikes=3)
    assert needed["cache_bytes"] == (2 * (10 * 2 + 3) + 3) * 64 * 4
    assert needed["memory_bytes"] == 4 * 100 * 64 * 4
    assert needed["operations"] == (2 * (10 * 2 + 3) + 2 * 3 + 10 * 100) * 64
    rates = {"cache_bytes_per_s": 1e6, "memory_bytes_per_s": 1e5, "operations_per_s": 1e7}
    found = limit_cuda.distance(network, 10, 3, 1000.0, rates)
    assert found["bandwidth_limit_ms_per_sample"] == pytest.approx(1000 * (49 * 256 / 1e6 + 102400 / 1e5))
    assert found["times_the_arithmetic_limit"] == pytest.approx(1.0 / (needed["operations"] / 1e7))


@compiles
def test_probes_do_what_they_count():
    device = cuda_on_host.Device()
    table, sums = np.arange(40, dtype=np.float32).reshape(5, 8), device.zeros((2, 8), np.float32)
    chosen = np.array([3, 0, 4, 4], np.int32)
    device.launch("probe_rows", 1, (2, 1), (2, 1), 0, device.put(chosen), 2, device.put(table), 2, sums)
    np.testing.assert_array_equal(sums, [table[3] + table[0], 2 * table[4]])
    target, results = device.zeros((5, 8), np.float32), device.empty((2 * 3,), np.float32)
    device.launch("probe_memory", 1, (2, 1), (3, 1), 0, device.put(table), target, 5)
    np.testing.assert_array_equal(target, table)
    device.launch("probe_arithmetic", 1, (2, 1), (3, 1), 0, 0.5, 60, results)
    np.testing.assert_allclose(results, 16.0)
    assert all(rate > 0 for rate in limit_cuda.ceilings(device, scale=2**11).values())


@compiles
def test_the_benchmark_measures_all_of_it(monkeypatch, tmp_path):
    real = engines.create

    def made(name, on, *rest, **options):
        return cuda_on_host.Engine(on) if name == "cuda" else real(name, on, *rest, **options)

    monkeypatch.setattr(engines, "create", made)
    monkeypatch.setattr(benchmark_gpu, "BASE", {"hidden": 20, "batch": 2})
    monkeypatch.setattr(benchmark_gpu, "LOSSES", ("gaussian", "max"))
    rates = {"cache_bytes_per_s": 1e6, "memory_bytes_per_s": 1e5, "operations_per_s": 1e7}
    monkeypatch.setattr(limit_cuda, "ceilings", lambda device: rates)
    found = benchmark_gpu.measure(50, 300, 2.0, 2, 1, hidden=(20,), batch=(1, 2))
    assert [(row["loss"], row["identical"]) for row in found["parity"]] == [("gaussian", True), ("max", True)]
    assert all(row["samples_with_equal_spikes"] and row["gradient_error"] < 1e-5 for row in found["parity"])
    assert [row["batch"] for row in found["speed"]] == [1, 2]
    assert all(row["limit"]["times_the_bandwidth_limit"] > 0 for row in found["speed"])
    assert {"project", "forward_hidden", "adjoint_hidden", "gather"} <= set(found["kernels_ms"])


def test_too_little_memory_is_said_with_the_remedy():
    class OutOfMemoryError(Exception):
        pass

    def full(*arguments):
        raise OutOfMemoryError("out of memory allocating 512 bytes")

    device = object.__new__(cuda.CudaDevice)
    memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    device._cupy, device.memory = SimpleNamespace(empty=full, cuda=SimpleNamespace(memory=memory)), 2**34
    with pytest.raises(UserError, match=r"16 GiB is not enough.*smaller train\.batch_size"):
        device.empty((128,), np.float32)


def test_arguments_have_the_types_of_the_kernels():
    found = [cuda._argument(argument) for argument in (None, 3, 0.5)]
    assert [value.dtype for value in found] == [np.uint64, np.int32, np.float32] and found[0] == 0


@pytest.mark.parametrize("changes", [{"hidden": (4097,)}, {"outputs": 5000}, {"inputs": 20000}])
def test_a_network_that_the_kernels_cannot_hold_is_refused(changes):
    with pytest.raises(UserError, match=r"at most 4096 neurons.*make the network smaller"):
        create("cuda", cases.make_network(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cuda_problem": "CUDA_VISIBLE_DEVICES hides every GPU"}, "hides every GPU; run on a machine with"),
        ({"cuda_problem": None, "cupy": None}, r"CuPy is not installed; install eventspeech\[cuda\]"),
    ],
)
def test_what_is_missing_is_said_with_the_remedy(monkeypatch, changes, message):
    monkeypatch.setattr(machine, "cuda_problem", lambda: changes["cuda_problem"])
    if "cupy" in changes:
        monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(UserError, match=message):
        create("cuda", cases.make_network())

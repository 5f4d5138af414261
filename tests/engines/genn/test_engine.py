"""Engine `genn` equals engine `cpu`; nothing leaks from batch to batch; what is missing is said."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import tiny
from support.cases import (
    NETWORKS,
    READOUTS,
    STEPS,
    assert_close,
    make_batch,
    make_constants,
    make_network,
    make_objective,
    make_readout_weights,
    make_weights,
)

from eventspeech.data.batches import take
from eventspeech.engines import create
from eventspeech.engines.cpu import CpuEngine
from eventspeech.engines.genn import compose, definitions, install
from eventspeech.engines.genn import engine as engine_module
from eventspeech.engines.genn.engine import GennEngine
from eventspeech.engines.genn.model import Model
from eventspeech.errors import UserError
from eventspeech.learning import trainer as training
from eventspeech.params import WEIGHTED

genn = pytest.mark.genn


@pytest.fixture(scope="module", autouse=True)
def _own_code(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("study"))
        yield


BACKENDS = [install.CPU, pytest.param(install.CUDA, marks=pytest.mark.gpu)]


def engine_for(network, backend=install.CPU):
    """Return the engine; a GPU takes batches in parts of four, the last one filled up."""
    if problem := install.problem(backend):
        pytest.skip(problem)
    return GennEngine(network, backend, batch_size=4 if backend == install.CUDA else None, accumulate=True)


def assert_equal_to_cpu(network, weights, batch, objective, backend=install.CPU):
    """Compare loss, logits, predictions, spikes and gradients of all weights, within the bounds of the contract."""
    expected = CpuEngine(network).gradients(weights, batch, objective)
    found = engine_for(network, backend).gradients(weights, batch, objective)
    for seen, count in zip(found.inference.spike_counts, expected.inference.spike_counts, strict=True):
        assert count.sum() > 0, "the case must have spikes in every layer"
        np.testing.assert_array_equal(seen, count)
    np.testing.assert_allclose(found.inference.losses, expected.inference.losses, rtol=1e-5)
    np.testing.assert_allclose(found.inference.logits, expected.inference.logits, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.inference.predictions, expected.inference.predictions)
    assert found.floored == expected.floored
    assert list(found.weights) == list(expected.weights)
    assert_close(found.weights, expected.weights, 1e-4)
    assert (found.weighting is None) == (expected.weighting is None)
    if expected.weighting is not None:
        assert_close({"weighting": found.weighting}, {"weighting": expected.weighting}, 1e-4)
    return found


@genn
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_cpu_on_every_network(name, backend):
    network = make_network(**NETWORKS[name])
    objective = make_objective("gaussian", regulariser_strength=1e-3, regulariser_target=3.0)
    assert_equal_to_cpu(network, make_weights(network, np.float32), make_batch(), objective, backend)


@genn
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", WEIGHTED)
@pytest.mark.parametrize("per_sample", [False, True])
def test_equals_cpu_for_every_weighting_and_regulariser(kind, per_sample, backend):
    network = make_network()
    objective = make_objective(
        kind, regulariser_strength=1e-2, regulariser_target=2.0, regulariser_batch=not per_sample
    )
    assert_equal_to_cpu(network, make_weights(network, np.float32), make_batch(seed=3), objective, backend)


@genn
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("kind", "recurrent"), [("max", True), ("max", False), ("first_spike", True)])
def test_equals_cpu_for_losses_that_weigh_no_voltage(kind, recurrent, backend):
    network = make_network(recurrent=recurrent)
    objective = make_objective(kind, regulariser_strength=1e-3)
    for seed in (0, 1):
        found = assert_equal_to_cpu(
            network, make_readout_weights(network, kind, np.float32), make_batch(seed=seed), objective, backend
        )
        assert all(np.any(array) for array in found.weights.values())


@genn
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("learned", ["population", "neuron"])
@pytest.mark.parametrize("kind", ["gaussian", *READOUTS])
def test_equals_cpu_for_learned_time_constants(kind, learned, backend):
    network = make_network(hidden=(15, 9), delay_steps=(0, 7))
    objective = make_objective(kind)
    weights = make_readout_weights(network, kind, np.float32)
    constants = {name: array.astype(np.float32) for name, array in make_constants(network, learned).items()}
    assert_equal_to_cpu(
        network, weights | constants, make_batch(), objective._replace(regulariser_strength=1e-3), backend
    )


@genn
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["gaussian", *READOUTS])
def test_equals_cpu_with_a_refractory_period(kind, backend):
    network = make_network(hidden=(15, 9), refractory_steps=2)
    weights = make_readout_weights(network, kind, np.float32)
    constants = {name: array.astype(np.float32) for name, array in make_constants(network, "neuron").items()}
    assert_equal_to_cpu(network, weights | constants, make_batch(), make_objective(kind), backend)


@genn
@pytest.mark.parametrize("kind", ["gaussian", *READOUTS])
def test_recording_shows_the_same_run(kind):
    network, batch = make_network(), make_batch()
    weights = make_readout_weights(network, kind, np.float32)
    objective = make_objective(kind)
    engine = engine_for(network)
    found, expected = engine.record(weights, batch, objective), CpuEngine(network).record(weights, batch, objective)
    for layer, other in zip(found.hidden, expected.hidden, strict=True):
        np.testing.assert_array_equal(layer.offsets, other.offsets)
        np.testing.assert_array_equal(layer.steps, other.steps)
        np.testing.assert_array_equal(layer.channels, other.channels)
    np.testing.assert_allclose(found.output_voltage, expected.output_voltage, atol=1e-5)
    assert found.inference.logits.tobytes() == engine.infer(weights, batch, objective).logits.tobytes()


@genn
def test_small_denominators_are_bounded_and_counted(monkeypatch):
    network, batch, objective = make_network(), make_batch(), make_objective()
    weights = make_weights(network, np.float32)
    monkeypatch.setattr(compose, "DENOMINATOR_FLOOR", 0.5)
    monkeypatch.setattr("eventspeech.engines.event_driven.c.launches.DENOMINATOR_FLOOR", 0.5)
    monkeypatch.setattr("eventspeech.engines.event_driven.numba.launches.DENOMINATOR_FLOOR", 0.5)
    monkeypatch.setattr(engine_module, "shared_model", functools.cache(Model))
    assert assert_equal_to_cpu(network, weights, batch, objective).floored > 0


@genn
def test_every_neuron_may_fire_in_every_step():
    network = make_network()
    weights = make_weights(network, np.float32)
    weights["input_hidden1"][:] = 30.0
    weights["hidden1_hidden1"][:] = 3.0
    found = assert_equal_to_cpu(network, weights, make_batch(counts=(1200, 1200)), make_objective())
    assert found.inference.spike_counts[0].sum() > 0.9 * 2 * 15 * STEPS


# --- nothing leaks ----------------------------------------------------------------------------------------------------


def bits(found):
    """Return everything a result holds, to compare bit by bit."""
    arrays = [*found.inference[:3], *found.inference.spike_counts, *found.weights.values(), np.array(found.floored)]
    return b"".join(array.tobytes() for array in arrays)


def difference(found, expected):
    """Return the largest relative difference of losses, counts and gradients, in norm."""
    pairs = [(found.inference.losses, expected.inference.losses)]
    pairs += zip(found.inference.spike_counts, expected.inference.spike_counts, strict=True)
    pairs += [(found.weights[name], array) for name, array in expected.weights.items()]
    worst = max(np.linalg.norm(one - other) / np.linalg.norm(other) for one, other in pairs)
    return max(worst, abs(found.floored - expected.floored))


def after_others(engine, weights, batch, other, objective):
    """Return the gradients of a batch after training on and validation of another."""
    engine.gradients(weights, other, objective)
    engine.infer(weights, other, objective)
    return engine.gradients(weights, batch, objective)


@genn
def test_nothing_leaks_between_batches_or_from_validation_to_training():
    network, objective = make_network(), make_objective(regulariser_strength=1e-3)
    weights, batch, other = make_weights(network, np.float32), make_batch(seed=2), make_batch(seed=1)
    engine = engine_for(network)
    first, seen = engine.gradients(weights, batch, objective), engine.infer(weights, batch, objective)
    for _ in range(3):
        assert bits(after_others(engine, weights, batch, other, objective)) == bits(first)
    engine.gradients(weights, other, objective)
    assert engine.infer(weights, batch, objective).logits.tobytes() == seen.logits.tobytes()


@genn
def test_nothing_leaks_from_sample_to_sample():
    network, objective = make_network(), make_objective(regulariser_strength=1e-3)
    weights, batch = make_weights(network, np.float32), make_batch()
    together = engine_for(network).infer(weights, batch, objective)
    for index in reversed(range(len(batch))):
        alone = engine_for(network).infer(weights, take(batch, np.array([index])), objective)
        np.testing.assert_array_equal(alone.logits[0], together.logits[index])


@genn
@pytest.mark.parametrize("steps", [1, 30, 59, 60, 61, 90, 119])
def test_nothing_leaks_from_a_trial_that_was_interrupted(monkeypatch, steps):
    network, objective = make_network(), make_objective(regulariser_strength=1e-3)
    weights, batch = make_weights(network, np.float32), make_batch(counts=(200, 200))
    first = engine_for(network).gradients(weights, batch, objective)
    interrupt_after(monkeypatch, steps)
    with pytest.raises(KeyboardInterrupt):
        engine_for(network).gradients(weights, take(make_batch(seed=1), np.array([4])), objective)
    monkeypatch.undo()
    assert bits(engine_for(network).gradients(weights, batch, objective)) == bits(first)


def interrupt_after(monkeypatch, steps):
    from pygenn import GeNNModel

    real, left = GeNNModel.step_time, [steps]

    def interrupted(self):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(self)

    monkeypatch.setattr(GeNNModel, "step_time", interrupted)


LEAKS = {
    "voltage into the next trial": ("sum", "V = (n == 0) ? 0 : V;", ""),
    "spikes into the next trial": ("sum", "I = (n == 0) ? 0 : decayed + Isyn;", "I = decayed + Isyn;"),
    "spikes of the trial before": ("sum", "Z[place] = 0;", ""),
    "spike counts": ("sum", "Count[here] = 0;", ""),
    "logits": ("sum", "Value = (n == 0) ? 0 : Value +", "Value = Value +"),
    "adjoint of the voltage": ("sum", "LambdaV = (n == Steps - 1) ? 0 : LambdaV;", ""),
    "adjoint of the current": ("sum", "LambdaI = (n == Steps - 1) ? 0 : LambdaI;", ""),
    "maximum": ("max", "Value = 0;", ""),
    "time of the first spike": ("first_spike", "First[here] = (n == 0) ? Steps : First[here];", ""),
}


@genn
@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_in_the_model_shows(monkeypatch, name):
    kind, right, wrong = LEAKS[name]
    network = make_network()
    objective = make_objective(regulariser_strength=1e-3) if kind == "sum" else make_objective(kind)
    weights = make_readout_weights(network, kind, np.float32)
    batch, other = make_batch(seed=2), make_batch(counts=(400, 400), seed=1)
    expected = CpuEngine(network).gradients(weights, batch, objective)
    assert difference(after_others(engine_for(network), weights, batch, other, objective), expected) < 1e-4
    phases = definitions._phases
    monkeypatch.setattr(definitions, "_phases", lambda *codes: phases(*codes).replace(right, wrong))
    monkeypatch.setattr(engine_module, "shared_model", functools.cache(Model))
    assert difference(after_others(engine_for(network), weights, batch, other, objective), expected) > 1e-3


@genn
@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        pytest.param("clear_gradients", lambda self: None, id="gradients of the batch before"),
        pytest.param("set", lambda self, *arguments: None, id="what drives the adjoints"),
        pytest.param("restore", lambda self, arrays: None, id="spikes of the last sample of the batch"),
        pytest.param("set_inputs", None, id="input of the batch before"),
    ],
)
def test_a_leak_in_the_handling_shows(monkeypatch, name, replacement):
    network, objective = make_network(), make_objective(regulariser_strength=1e-3)
    weights, batch, other = make_weights(network, np.float32), make_batch(seed=2), make_batch(seed=1)
    expected = CpuEngine(network).gradients(weights, batch, objective)
    monkeypatch.setattr(Model, name, replacement or _without_clearing)
    found = after_others(engine_for(network), weights, batch, other, objective)
    monkeypatch.undo()
    assert difference(found, expected) > 1e-3
    assert difference(after_others(engine_for(network), weights, batch, other, objective), expected) < 1e-4


def _without_clearing(self, batch):
    spikes = self._array("input", "Spikes")
    dense = spikes.view.reshape(self.plan.samples, self.plan.network.steps, self.plan.network.inputs)
    dense[0, batch.steps, batch.channels] = 1
    spikes.push_to_device()


def trained(parameters, seed, batch_size):
    """Return a trainer after two epochs with a validation between them, and what it said."""
    parameters = parameters.model_copy(update={"train": parameters.train.model_copy(update={"batch_size": batch_size})})
    trainer = training.Trainer(parameters, "gaussian", seed, tiny.make_store(takes=1))
    held_out = trainer.for_validation(tiny.make_store(takes=1, seed=1))
    return trainer, [trainer.epoch(1), trainer.validate(held_out), trainer.epoch(2), trainer.validate(held_out)]


@genn
def test_training_equals_that_of_cpu_and_a_fold_knows_nothing_of_the_others(monkeypatch):
    monkeypatch.setattr(engine_module.install, "default_backend", lambda: install.CPU)
    on_genn = tiny.make_params(optimiser={"engine": "genn", "accumulate": True})
    first, results = trained(on_genn, 0, 8)
    trained(on_genn, 1, 5)
    again, repeated = trained(on_genn, 0, 8)
    expected, judged = trained(tiny.make_params(), 0, 8)
    assert first.optimiser.updates == again.optimiser.updates == 4
    for name, array in expected.weights.items():
        assert first.weights[name].tobytes() == again.weights[name].tobytes()
        np.testing.assert_allclose(first.weights[name], array, rtol=1e-3, atol=1e-4)
    for found, same, other in zip(results, repeated, judged, strict=True):
        assert (found.loss, found.accuracy) == (same.loss, same.accuracy)
        assert found.accuracy == other.accuracy and found.loss == pytest.approx(other.loss, rel=1e-4)


def test_an_optimiser_that_outlives_its_fold_shows(monkeypatch):
    made, adam = {}, training.Adam
    monkeypatch.setattr(training, "Adam", lambda *arguments: made.setdefault("first", adam(*arguments)))
    one, other = (trained(tiny.make_params(), 0, 8)[0] for _ in range(2))
    assert any(one.weights[name].tobytes() != array.tobytes() for name, array in other.weights.items())


# --- what is refused, and what is built -------------------------------------------------------------------------------


def test_without_pygenn_the_engine_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygenn", None)
    with pytest.raises(UserError, match=r"^Engine genn cannot run here: PyGeNN is not installed; .*README.*cpu\.$"):
        create("genn", make_network())


@genn
def test_batches_are_refused_where_genn_takes_one_sample_at_a_time():
    with pytest.raises(UserError, match=r"not a batch of 32: set train\.batch_size to 1, or optimiser\.accumulate"):
        GennEngine(make_network(), backend=install.CPU, batch_size=32)
    with pytest.raises(UserError, match="not a batch of 6"):
        network = make_network()
        engine = GennEngine(network, backend=install.CPU)
        engine.gradients(make_weights(network, np.float32), make_batch(), make_objective())


@genn
def test_a_batch_too_large_for_the_code_is_refused_with_the_largest():
    plan = compose.Plan(make_network(steps=100000, hidden=(1000,)), "sum", (), 30, install.CPU)
    with pytest.raises(UserError, match=r"arrays of 3000000000 places, .* to at most 21\.$"):
        Model(plan)


@genn
def test_a_missing_backend_is_named():
    with pytest.raises(UserError, match="PyGeNN was built without its backend abacus"):
        GennEngine(make_network(), backend="abacus")


@genn
def test_processes_that_need_the_same_code_build_it_once():
    code = f"""
import logging, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
logging.basicConfig(level=logging.INFO)
from support.cases import make_batch, make_network, make_objective, make_weights
from eventspeech.engines.genn.engine import GennEngine
network = make_network(hidden=(3,))
print(GennEngine(network).infer(make_weights(network), make_batch(), make_objective()).losses)
"""
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True) for _ in range(2)]
    (one, said), (other, answered) = [process.communicate() for process in both]
    assert one == other and one.startswith("[")  # and no word of the compiler
    assert (said + answered).count("Building the GeNN model (3 hidden, ") == 1


@genn
def test_a_missing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    with pytest.raises(UserError, match=r"does not compile .*build\.log says why"):
        Model(compose.Plan(make_network(hidden=(4,)), "sum", (), 1, install.CPU))


@genn
@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("build", r"does not compile \(no nvcc\).*CUDA_PATH"),
        ("load", r"cannot load .*no nvcc.*lower train\.batch_size"),
    ],
)
def test_errors_of_genn_become_a_sentence(monkeypatch, tmp_path, method, message):
    from pygenn import GeNNModel

    def fail(self, *_, **__):
        raise RuntimeError("no nvcc")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(GeNNModel, "build", lambda *_, **__: None)
    monkeypatch.setattr(GeNNModel, method, fail)
    with pytest.raises(UserError, match=message):
        Model(compose.Plan(make_network(hidden=(4,)), "sum", (), 1, install.CPU))

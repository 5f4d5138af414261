"""mlGeNN's Eventprop compiler as a witness: the same network, weights and samples, written by others.

Its discrete equations differ from those of `engines.equations` in terms of the order of the step D; `theirs` writes
them out (state before step n, a, b, k as there, s = (1 - b) tau_syn / D):

    V' = a V + (1 - a) s I;  S_o = (1/N) sum_n w(n/N) V_o[n+1]
    outputs:  d = w((n+1)/N) g_o / (tau_mem T);  lamV[n] = a lamV[n+1] + (1 - a) d
              lamI[n] = b lamI[n+1] + k lamV[n+1] + (1 - b - k) d
    hidden:   decay as here, and at a spike after it: lamV[n] += (a lamV[n+1] + R) / Z - lambda (count - target)
              with R = sum_post w (lamV_post[n+1] - lamI_post[n+1])

Adjoints, and with them lambda, are divided by tau_mem once more. So its gradients times tau_mem must be those of
`theirs` to float precision, and `theirs` must come to ours as D goes to 0.
"""

import contextlib

import numpy as np
import pytest
from support import dense
from support.cases import CLASSES, INPUTS, make_weights

from eventspeech import losses
from eventspeech.benchmarks import mlgenn as benchmark_mlgenn
from eventspeech.data.batches import Batch, take
from eventspeech.engines.equations import coefficients
from eventspeech.engines.genn.build import output_to
from eventspeech.engines.genn.engine import GennEngine
from eventspeech.losses import Objective
from eventspeech.network import Network
from eventspeech.params import Regulariser, Shape

TRIAL_MS, TAU_MEM_MS, TAU_SYN_MS = 60.0, 20.0, 5.0
STRENGTH, TARGET = 1e-3, 3


def make_network(step_ms):
    return Network(INPUTS, (15,), CLASSES, True, round(TRIAL_MS / step_ms), step_ms, TAU_MEM_MS, TAU_SYN_MS)


def make_batch(step_ms, samples=4):
    """Draw samples whose times are multiples of 1 ms, so that they lie on every grid."""
    rng = np.random.default_rng(5)
    keys = [np.unique(rng.integers(0, 50 * INPUTS, count)) for count in (90, 150, 120, 200)[:samples]]
    times, channels = np.divmod(np.concatenate(keys), INPUTS)
    offsets = np.concatenate([[0], np.cumsum([len(key) for key in keys])])
    steps = np.round(times / step_ms).astype(np.int32)
    return Batch(offsets, steps, channels.astype(np.int32), np.arange(samples) % CLASSES)


def make_objective(network):
    regulariser = Regulariser(strength=STRENGTH, target_spikes=TARGET)
    return losses.objective(Shape(kind="exponential"), network.steps, regulariser)


def theirs(network, weights, batch, objective: Objective):
    """Return the loss and the gradients of the only sample of a batch by mlGeNN's equations, and its hidden spikes."""
    a, b, _, k, _, _ = coefficients(network.step_ms, TAU_MEM_MS, TAU_SYN_MS)
    c = (1 - a) * (1 - b) * TAU_SYN_MS / network.step_ms
    inputs = dense._delayed_input(network, batch, 0)
    recurrent, out = weights["hidden1_hidden1"], weights["hidden1_output"]
    spikes, z, _ = dense._layer(inputs @ weights["input_hidden1"], recurrent, a, b, c, 0)
    voltage = dense._integrate(network, spikes @ out, (a, b, c))[0]
    w = np.exp(-np.arange(network.steps + 1) / network.steps)
    loss, probabilities = losses.cross_entropy((w[:-1] @ voltage[1:] / network.steps)[None], batch.labels)
    drive = np.outer(w[1:], np.eye(CLASSES)[batch.labels[0]] - probabilities[0]) / (TAU_MEM_MS * TRIAL_MS)
    penalty = objective.regulariser_strength / TAU_MEM_MS * (spikes.sum(axis=0) - objective.regulariser_target)
    above, own = (np.zeros((2, network.steps + 1, size)) for size in (CLASSES, 15))
    for n in reversed(range(network.steps)):
        flow = out @ (above[0, n + 1] - above[1, n + 1]) + recurrent @ (own[0, n + 1] - own[1, n + 1])
        own[:, n] = a * own[0, n + 1], b * own[1, n + 1] + k * own[0, n + 1]
        own[0, n] += np.where(spikes[n] > 0, (own[0, n] + flow) / np.where(spikes[n] > 0, z[n], 1) - penalty, 0)
        above[:, n] = a * above[0, n + 1], b * above[1, n + 1] + k * above[0, n + 1]
        above[:, n] += np.outer([1 - a, 1 - b - k], drive[n])
    events = {"input_hidden1": (inputs, own), "hidden1_hidden1": (spikes, own), "hidden1_output": (spikes, above)}
    gradients = {name: -TAU_SYN_MS * (fired.T @ lam[1, 1:]) for name, (fired, lam) in events.items()}
    return loss[0], gradients, spikes


def mlgenn_gradients(network, weights, batch, folder):
    """Return mlGeNN's gradients of each sample, which it has after the sample that follows."""
    from ml_genn.callbacks import Callback
    from ml_genn.compilers import EventPropCompiler
    from ml_genn.optimisers import Adam

    model, entry, _, outputs = benchmark_mlgenn._network(network, weights, int(np.diff(batch.offsets).max()))
    compiler = EventPropCompiler(
        example_timesteps=network.steps, losses="sparse_categorical_crossentropy", reg_nu_upper=TARGET,
        reg_lambda_upper=STRENGTH / TAU_MEM_MS, reg_lambda_lower=STRENGTH / TAU_MEM_MS, max_spikes=2 * network.steps,
        optimiser=Adam(0.0), dt=network.step_ms, batch_size=1, backend="single_threaded_cpu",
    )  # fmt: skip
    found = []

    class Reader(Callback):
        def on_batch_begin(self, batch):
            self.batch = batch

        def on_timestep_end(self, timestep):
            if self.batch and timestep == network.steps - 1:
                groups = compiled.connection_populations.values()
                found.append({name: read(group) for name, group in zip(weights, groups, strict=True)})

    def read(group):
        group.vars["Gradient"].pull_from_device()
        return group.vars["Gradient"].view.reshape(group.src.num_neurons, -1).copy()

    trains = benchmark_mlgenn._spike_trains(batch, network)
    with contextlib.chdir(folder), output_to(2):
        compiled = compiler.compile(model, "witness")
        with compiled:
            compiled.train(
                {entry: [*trains, trains[0]]}, {outputs: np.append(batch.labels, 0).astype(np.uint8)}, 1,
                shuffle=False, callbacks=[Reader()],
            )  # fmt: skip
    return found


def distance(found, expected):
    """Return the relative difference of all gradients together, in norm."""
    error = sum(np.sum((found[name] - array) ** 2) for name, array in expected.items())
    return np.sqrt(error / sum(np.sum(array**2) for array in expected.values()))


def scaled(gradients):
    return {name: TAU_MEM_MS * array for name, array in gradients.items()}


@pytest.mark.genn
def test_mlgenn_is_within_the_derived_difference(tmp_path, monkeypatch):
    pytest.importorskip("ml_genn")
    monkeypatch.chdir(tmp_path)
    network = make_network(1.0)
    weights, batch, objective = make_weights(network, np.float32), make_batch(1.0), make_objective(network)
    found = mlgenn_gradients(network, weights, batch, tmp_path)
    engine = GennEngine(network, backend="single_threaded_cpu")
    assert len(found) == len(batch)
    for index, gradients in enumerate(found):
        sample = take(batch, np.array([index]))
        _, expected, spikes = theirs(network, weights, sample, objective)
        assert spikes.sum() > 10
        assert distance(gradients, expected) < 1e-4
        ours = engine.gradients(weights, sample, objective).weights
        derived = distance(scaled(expected), ours)
        assert distance(scaled(gradients), ours) == pytest.approx(derived, rel=1e-3)


def test_the_derived_difference_vanishes_with_the_step():
    steps_ms, errors = (0.5, 0.1, 0.02), []
    for step_ms in steps_ms:
        network, batch = make_network(step_ms), make_batch(step_ms, samples=1)
        weights, objective = make_weights(network), make_objective(network)
        loss, gradients, spikes = theirs(network, weights, batch, objective)
        expected_loss, expected, counts = dense.run(network, weights, batch, objective)
        np.testing.assert_array_equal(spikes.sum(axis=0), counts[0][0])
        errors.append([abs(loss - expected_loss[0]) / expected_loss[0], distance(scaled(gradients), expected)])
    for error in np.array(errors).T:
        assert np.polyfit(np.log(steps_ms), np.log(error), 1)[0] == pytest.approx(1.0, abs=0.2)

"""`benchmark engine --engine mlgenn` or `mlgenn-optimised`: mlGeNN's Eventprop compiler on GeNN's CPU backend.

It gets the spike trains and weights that our engines get, which engine `cpu` scales to the hidden rate asked for; the
rate in the result is the one that mlGeNN counts. The network is written as in mlGeNN's examples/event_prop/shd.py:
LIF hidden neurons, recurrent, outputs read out with exponential weighting, spike-count regulariser, Adam.

What differs, because the backend is so: it takes batches of 1 on one thread, so ``batch`` and ``threads`` are not used;
a training step runs the backward pass of one sample together with the forward pass of the next. GeNN compiles without
optimisation unless told (`mlgenn`); `mlgenn-optimised` tells it (-O3 -ffast-math).
"""

import contextlib
import importlib.util
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from eventspeech import engines, losses, machine
from eventspeech.benchmarks import load
from eventspeech.data import batches
from eventspeech.data.batches import Batch
from eventspeech.engines.genn import install
from eventspeech.engines.genn.build import output_to
from eventspeech.errors import UserError
from eventspeech.losses import Objective
from eventspeech.network import Network, Weights
from eventspeech.params import Regulariser, Shape

REGULARISER = 1e-8
"""Strength, of true gradients; mlGeNN's differs by tau_mem in ms, see :class:`eventspeech.losses.Objective`."""


def measure(
    *, hidden: int, steps: int, spikes: int, rate: float, samples: int, repeats: int, search_batch: int = 32,
    optimised: bool = False,
) -> dict:  # fmt: skip
    """Measure mlGeNN; the keys are those of :func:`eventspeech.benchmarks.engine.measure`, with mlGeNN's version.

    Args:
        hidden, steps, spikes, rate, samples, repeats: as there.
        search_batch: how many samples the weights are scaled on; that harness takes its first batch.
        optimised: the backend compiles with -O3 -ffast-math.

    ``compile_s`` is the time to generate, compile and load the training model, without the search for the rate.

    Raises:
        UserError: mlGeNN or PyGeNN is not installed, or its CPU backend is not.
    """
    _require()
    on = load.network_of(hidden, steps)
    data = load.load(samples, steps, spikes)
    objective = losses.objective(Shape(kind="exponential"), steps, Regulariser(strength=REGULARISER))
    first = batches.take(data, np.arange(min(search_batch, samples)))
    weights = load.weights_for_rate(engines.create("cpu", on), first, objective, rate)
    inputs, labels = _spike_trains(data, on), data.labels.astype(np.uint8)
    # GeNN's `make` must not stand before the JSON
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), output_to(2):
        training, counted, prepared = _time_training(on, weights, objective, inputs, labels, repeats, optimised)
        inference = _time_inference(on, weights, inputs, labels, repeats, optimised)
    return {
        "engine": "mlgenn-optimised" if optimised else "mlgenn",
        "hidden": hidden,
        "steps": steps,
        "batch": 1,
        "samples": samples,
        "threads": 1,
        "repeats": repeats,
        "input_spikes_per_sample": len(data.steps) / samples,
        "hidden_spikes_per_neuron": counted,
        "inference_ms_per_sample": load.summary(inference, samples),
        "training_ms_per_sample": load.summary(training, samples),
        "compile_s": prepared,
        "peak_memory_mib": load.peak_memory_mib(),
        "mlgenn": machine.version("ml_genn"),
    }


def _require() -> None:
    install.require("Engine mlgenn", install.CPU)
    if importlib.util.find_spec("ml_genn") is None:
        raise UserError(
            "Engine mlgenn needs the package ml_genn, which is not installed in this environment; install mlGeNN "
            "(github.com/genn-team/ml_genn), or use --engine cpu."
        )


def _spike_trains(data: Batch, on: Network) -> list:
    from ml_genn.utils.data import preprocess_spikes

    bounds = zip(data.offsets[:-1], data.offsets[1:], strict=True)
    return [
        preprocess_spikes(data.steps[start:end] * np.float32(on.step_ms), data.channels[start:end], on.inputs)
        for start, end in bounds
    ]


def _network(on: Network, weights: Weights, spikes: int) -> tuple[Any, Any, Any, Any]:
    """Return mlGeNN's network and its input, hidden and output population.

    With both of its ``scale_i`` (mlGeNN's Eventprop default) V' = a V + (1 - a) (tau_syn / D) (1 - b) I, which differs
    from c I of :mod:`eventspeech.engines.equations` by 0.1 % at the published step and time constants.
    """
    from ml_genn import Connection, Population
    from ml_genn import Network as Model
    from ml_genn.compilers.event_prop_compiler import default_params
    from ml_genn.connectivity import Dense
    from ml_genn.neurons import LeakyIntegrate, LeakyIntegrateFire, SpikeInput
    from ml_genn.synapses import Exponential

    model = Model(default_params)
    with model:
        inputs = Population(SpikeInput(max_spikes=spikes), on.inputs)
        hidden = Population(LeakyIntegrateFire(v_thresh=1.0, tau_mem=on.tau_mem_ms, tau_refrac=None), on.hidden[0])
        outputs = Population(LeakyIntegrate(tau_mem=on.tau_mem_ms, readout="avg_var_exp_weight"), on.outputs)
        for pre, post, name in (
            (inputs, hidden, "input_hidden1"),
            (hidden, hidden, "hidden1_hidden1"),
            (hidden, outputs, "hidden1_output"),
        ):
            Connection(pre, post, Dense(weights[name]), Exponential(on.tau_syn_ms))
    return model, inputs, hidden, outputs


def _time_training(
    on: Network, weights: Weights, objective: Objective, inputs: list, labels: np.ndarray, repeats: int, optimised: bool
) -> tuple[list[float], float, float]:
    """Return the seconds of each pass over the samples, the spikes per hidden neuron and trial, and of preparation."""
    from ml_genn.compilers import EventPropCompiler
    from ml_genn.optimisers import Adam

    model, entry, hidden, outputs = _network(on, weights, max(len(train.spike_times) for train in inputs))
    strength = objective.regulariser_strength / on.tau_mem_ms
    start = time.perf_counter()
    compiled = EventPropCompiler(
        example_timesteps=on.steps,
        losses="sparse_categorical_crossentropy",
        reg_lambda_upper=strength,
        reg_lambda_lower=strength,
        reg_nu_upper=objective.regulariser_target,
        max_spikes=2 * on.steps + 2,  # holds two trials: no spike is ever dropped
        optimiser=Adam(0.0),  # keeps the operating point while Adam does all its work
        dt=on.step_ms,
        batch_size=1,
        backend=install.CPU,
        optimize_code=optimised,
    ).compile(model, "training")
    with compiled:
        prepared = time.perf_counter() - start
        counter = _counter(compiled.neuron_populations[hidden])

        def work(callbacks: Sequence[Any] = ()) -> None:
            compiled.train({entry: inputs}, {outputs: labels}, 1, shuffle=False, callbacks=list(callbacks))

        work([counter])
        seconds = [load.timed(work) for _ in range(repeats)]
    return seconds, float(np.mean(counter.means)), prepared


def _counter(population: Any) -> Any:
    """Return a callback that notes the mean spike count over ``population`` after each sample."""
    from ml_genn.callbacks import Callback

    class Counter(Callback):
        def __init__(self) -> None:
            self.means: list[float] = []

        def on_batch_end(self, batch: int, metrics: Any) -> None:
            count = population.vars["SpikeCount"]
            count.pull_from_device()
            self.means.append(float(np.mean(count.view)))

    return Counter()


def _time_inference(
    on: Network, weights: Weights, inputs: list, labels: np.ndarray, repeats: int, optimised: bool
) -> list[float]:
    from ml_genn.compilers import InferenceCompiler

    model, entry, _, outputs = _network(on, weights, max(len(train.spike_times) for train in inputs))
    compiled = InferenceCompiler(
        evaluate_timesteps=on.steps,
        dt=on.step_ms,
        batch_size=1,
        reset_in_syn_between_batches=True,
        backend=install.CPU,
        optimize_code=optimised,
    ).compile(model, "inference")

    def work(count: int | None = None) -> None:
        compiled.evaluate({entry: inputs[:count]}, {outputs: labels[:count]}, callbacks=[])

    with compiled:
        work(1)
        return [load.timed(work) for _ in range(repeats)]

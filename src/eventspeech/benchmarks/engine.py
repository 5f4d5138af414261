"""`benchmark engine`: milliseconds per sample of inference and of a training step, on a seeded load like SHD.

Compilation is timed apart; the figures are medians over repeats, with their range. `--against` measures a second engine
in the same run, the two taking turns, since machines are rarely as idle in one minute as in the next.
"""

import argparse
from typing import Any

import numpy as np

from eventspeech import engines, losses, machine, network
from eventspeech.benchmarks import options
from eventspeech.benchmarks.load import (
    hidden_rate,
    load,
    network_of,
    peak_memory_mib,
    spread,
    summary,
    timed,
    weights_for_rate,
)
from eventspeech.data import batches
from eventspeech.data.batches import Batch
from eventspeech.engines.contract import Engine
from eventspeech.learning.adam import Adam
from eventspeech.losses import Objective
from eventspeech.network import Weights
from eventspeech.params import Network as NetworkParams
from eventspeech.params import Regulariser, Shape

ENGINES = (*engines.ENGINES, "mlgenn", "mlgenn-optimised")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `benchmark engine` takes."""
    parser.add_argument("--engine", default="cpu", choices=ENGINES, help="mlgenn: to compare with")
    parser.add_argument("--against", choices=ENGINES, help="a second engine, measured by turns with the first")
    parser.add_argument("--threads", type=options.positive, default=None)
    parser.add_argument("--no-limit", dest="limit", action="store_false", help="do not measure the bandwidth")
    options.add_load(parser, 128)
    options.add_size(parser)
    options.add_repeats(parser, 5)


def measure(
    engine: str = "cpu",
    hidden: int = 512,
    steps: int = 1000,
    spikes: int = 8000,
    rate: float = 14.0,
    batch: int = 32,
    samples: int = 128,
    threads: int | None = None,
    repeats: int = 5,
    against: str | None = None,
    limit: bool = True,
) -> dict:
    """Measure an engine, or two by turns; see the module's text.

    Args:
        engine: out of :data:`ENGINES`. ``mlgenn`` and ``mlgenn-optimised`` are :mod:`eventspeech.benchmarks.mlgenn`'s;
            they take neither ``batch`` nor ``threads``.
        hidden: neurons of the recurrent layer.
        steps: of a trial of 1 s.
        spikes: input spikes of a sample, about.
        rate: hidden spikes per neuron and trial to aim at.
        batch: samples of a batch.
        samples: of a pass.
        threads: at most this many; by default as many as the machine offers.
        repeats: measured passes; with ``against`` of each engine, by turns.
        against: a second engine.
        limit: also measure the machine's bandwidth, and the distance to it (:mod:`eventspeech.benchmarks.limit_cpu`; of
            `cuda` :mod:`eventspeech.benchmarks.limit_cuda`).

    Returns:
        Plain values: what was asked for; ``input_spikes_per_sample`` and ``hidden_spikes_per_neuron`` as counted;
        ``inference_ms_per_sample`` and ``training_ms_per_sample`` (median, low, high); ``compile_s``;
        ``peak_memory_mib`` of the process; ``limit``; with a second engine ``against``, and ``ratio`` of its time of
        training to the first's (median, low, high).

    Raises:
        UserError: an engine cannot run here.
    """
    load_of: dict[str, Any] = {
        "hidden": hidden, "steps": steps, "spikes": spikes, "rate": rate, "batch": batch, "samples": samples,
        "limit": limit,
    }  # fmt: skip
    if against is None:
        return _measure_one(engine, **load_of, threads=threads, repeats=repeats)
    rounds: dict[str, list[dict]] = {engine: [], against: []}
    for _ in range(repeats):
        for name in rounds:
            rounds[name].append(_measure_one(name, **load_of, threads=threads, repeats=1))
    ratios = [
        theirs["training_ms_per_sample"]["median"] / ours["training_ms_per_sample"]["median"]
        for ours, theirs in zip(rounds[engine], rounds[against], strict=True)
    ]
    return {**_joined(rounds[engine]), "against": _joined(rounds[against]), "ratio": spread(ratios)}


def _joined(rounds: list[dict]) -> dict:
    """Return the last round's result with the times of all rounds."""
    joined = {**rounds[-1], "repeats": len(rounds)}
    for key in ("inference_ms_per_sample", "training_ms_per_sample"):
        joined[key] = spread(entry[key]["median"] for entry in rounds)
    return joined


def _measure_one(
    engine: str, *, hidden: int, steps: int, spikes: int, rate: float, batch: int, samples: int,
    limit: bool, threads: int | None, repeats: int,
) -> dict:  # fmt: skip
    if engine.startswith("mlgenn"):
        from eventspeech.benchmarks import mlgenn

        optimised = engine == "mlgenn-optimised"
        return mlgenn.measure(
            hidden=hidden, steps=steps, spikes=spikes, rate=rate, samples=samples, repeats=repeats, search_batch=batch,
            optimised=optimised,
        )  # fmt: skip
    on = network_of(hidden, steps)
    used = 1 if engine == "genn" else threads or machine.threads()
    runner = engines.create(engine, on, used, batch, accumulate=True)
    data = load(samples, steps, spikes)
    parts = [batches.take(data, np.arange(i, min(i + batch, samples))) for i in range(0, samples, batch)]
    objective = losses.objective(Shape(kind="exponential"), steps, Regulariser(strength=1e-8))
    compile_s = timed(lambda: _first_call(runner, load(1, steps, 10), objective))
    weights = weights_for_rate(runner, parts[0], objective, rate)
    optimiser = Adam(weights, 0.9, 0.999, 1e-8)
    _train(runner, weights, optimiser, parts[:1], objective)
    # a learning rate of zero keeps the operating point while Adam does all its work
    inference = [timed(lambda: [runner.infer(weights, part, objective) for part in parts]) for _ in range(repeats)]
    training = summary(
        [timed(lambda: _train(runner, weights, optimiser, parts, objective)) for _ in range(repeats)], samples
    )
    input_spikes, found_rate = len(data.steps) / samples, hidden_rate(runner, weights, data, objective)
    result = {
        "engine": engine,
        "hidden": hidden,
        "steps": steps,
        "batch": batch,
        "samples": samples,
        "threads": used,
        "repeats": repeats,
        "input_spikes_per_sample": input_spikes,
        "hidden_spikes_per_neuron": found_rate,
        "inference_ms_per_sample": summary(inference, samples),
        "training_ms_per_sample": training,
        "compile_s": compile_s,
        "peak_memory_mib": peak_memory_mib(),
    }
    if limit:
        result["limit"] = _limit(runner, input_spikes, found_rate * hidden, used, training["median"])
    return result


def _limit(runner: Engine, input_spikes: float, hidden_spikes: float, threads: int, ms_per_sample: float) -> dict:
    from eventspeech.benchmarks import limit_cpu, limit_cuda
    from eventspeech.engines.cuda import CudaEngine

    if not isinstance(runner, CudaEngine):
        return limit_cpu.distance(runner.network, input_spikes, hidden_spikes, threads, ms_per_sample)
    found = limit_cuda.ceilings(runner.device)
    return limit_cuda.distance(runner.network, input_spikes, hidden_spikes, ms_per_sample, found)


def _first_call(runner: Engine, batch: Batch, objective: Objective) -> None:
    """Make the engine compile what it compiles on first use."""
    runner.gradients(network.initial_weights(runner.network, NetworkParams(), 0), batch, objective)


def _train(runner: Engine, weights: Weights, optimiser: Adam, parts: list[Batch], objective: Objective) -> None:
    for part in parts:
        optimiser.step(weights, runner.gradients(weights, part, objective).weights, 0.0)

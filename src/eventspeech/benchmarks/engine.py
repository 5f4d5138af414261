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
    clocked,
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
from eventspeech.errors import UserError
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
    parser.add_argument("--copies", type=options.positive, default=1, help="delay line: how often a channel arrives")
    parser.add_argument("--interval-ms", type=options.above_zero, default=30.0, help="from one copy to the next")
    parser.add_argument("--learned", action="store_true", help="time constants of the hidden layer are learned, too")
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
    copies: int = 1,
    interval_ms: float = 30.0,
    learned: bool = False,
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
        copies: of each input channel, a delay line.
        interval_ms: from one copy to the next.
        learned: time constants of the hidden layer are learned, too.

    Returns:
        Plain values: what was asked for; ``input_spikes_per_sample`` and ``hidden_spikes_per_neuron`` as counted;
        ``inference_ms_per_sample`` and ``training_ms_per_sample`` (median, low, high);
        ``training_cpu_ms_per_sample``, of all threads together, which a busy machine hardly changes; ``compile_s``;
        ``peak_memory_mib`` of the process; ``limit``; with a second engine ``against``, and ``ratio`` of its time of
        training to the first's (median, low, high).

    Raises:
        UserError: an engine cannot run here or takes no delay line, or the delay line does not fit the grid.
    """
    if "mlgenn" in f"{engine} {against}" and (copies > 1 or learned):
        raise UserError(
            "mlGeNN is measured without a delay line and learned time constants; leave out --copies and --learned."
        )
    load_of: dict[str, Any] = {
        "hidden": hidden, "steps": steps, "spikes": spikes, "rate": rate, "batch": batch, "samples": samples,
        "limit": limit, "copies": copies, "interval_ms": interval_ms, "learned": learned,
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
    for key in ("inference_ms_per_sample", "training_ms_per_sample", "training_cpu_ms_per_sample"):
        if key in joined:
            joined[key] = spread(entry[key]["median"] for entry in rounds)
    return joined


def _measure_one(
    engine: str, *, hidden: int, steps: int, spikes: int, rate: float, batch: int, samples: int,
    limit: bool, threads: int | None, repeats: int, copies: int, interval_ms: float, learned: bool,
) -> dict:  # fmt: skip
    if engine.startswith("mlgenn"):
        from eventspeech.benchmarks import mlgenn

        optimised = engine == "mlgenn-optimised"
        return mlgenn.measure(
            hidden=hidden, steps=steps, spikes=spikes, rate=rate, samples=samples, repeats=repeats, search_batch=batch,
            optimised=optimised,
        )  # fmt: skip
    on = network_of(hidden, steps, copies, interval_ms)
    used = 1 if engine == "genn" else threads or machine.threads()
    runner = engines.create(engine, on, used, batch, accumulate=True)
    data = load(samples, steps, spikes)
    parts = [batches.take(data, np.arange(i, min(i + batch, samples))) for i in range(0, samples, batch)]
    objective = losses.objective(Shape(kind="exponential"), steps, Regulariser(strength=1e-8))
    compile_s = timed(lambda: _first_call(runner, load(1, steps, 10), objective))
    weights = weights_for_rate(runner, parts[0], objective, rate)
    if learned:
        weights |= {f"hidden1_{kind}": np.full(1, getattr(on, kind), np.float32) for kind in network.TIME_CONSTANTS}
    optimiser = Adam(weights, 0.9, 0.999, 1e-8)
    _train(runner, weights, optimiser, parts[:1], objective)
    # a learning rate of zero keeps the operating point while Adam does all its work
    inference = [timed(lambda: [runner.infer(weights, part, objective) for part in parts]) for _ in range(repeats)]
    rounds = [clocked(lambda: _train(runner, weights, optimiser, parts, objective)) for _ in range(repeats)]
    training, training_cpu = (summary(list(seconds), samples) for seconds in zip(*rounds, strict=True))
    input_spikes, found_rate = len(data.steps) / samples, hidden_rate(runner, weights, data, objective)
    result = {
        "engine": engine,
        "hidden": hidden,
        "steps": steps,
        "copies": copies,
        "interval_ms": interval_ms if copies > 1 else None,
        "learned_time_constants": learned,
        "batch": batch,
        "samples": samples,
        "threads": used,
        "repeats": repeats,
        "input_spikes_per_sample": input_spikes,
        "hidden_spikes_per_neuron": found_rate,
        "inference_ms_per_sample": summary(inference, samples),
        "training_ms_per_sample": training,
        "training_cpu_ms_per_sample": training_cpu,
        "compile_s": compile_s,
        "peak_memory_mib": peak_memory_mib(),
    }
    if limit:
        took = training["median"], training_cpu["median"]
        result["limit"] = _limit(runner, learned, input_spikes, found_rate * hidden, used, *took)
    return result


def _limit(
    runner: Engine, learned: bool, input_spikes: float, hidden_spikes: float, threads: int, ms_per_sample: float,
    cpu_ms_per_sample: float,
) -> dict:  # fmt: skip
    from eventspeech.benchmarks import limit_cpu, limit_cuda
    from eventspeech.engines.cuda import CudaEngine

    if not isinstance(runner, CudaEngine):
        moved = limit_cpu.bytes_moved(runner.network, input_spikes, hidden_spikes, learned)
        copies = len(runner.network.delay_steps)
        return limit_cpu.distance(
            moved, limit_cpu.bandwidth(threads, copies), threads, ms_per_sample, cpu_ms_per_sample
        )
    found = limit_cuda.ceilings(runner.device)
    return limit_cuda.distance(runner.network, input_spikes, hidden_spikes, ms_per_sample, found)


def _first_call(runner: Engine, batch: Batch, objective: Objective) -> None:
    """Make the engine compile what it compiles on first use."""
    runner.gradients(network.initial_weights(runner.network, NetworkParams(), 0), batch, objective)


def _train(runner: Engine, weights: Weights, optimiser: Adam, parts: list[Batch], objective: Objective) -> None:
    for part in parts:
        optimiser.step(weights, runner.gradients(weights, part, objective).weights, 0.0)

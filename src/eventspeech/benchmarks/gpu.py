"""`benchmark gpu`: all that is to be known of engine `cuda` on a GPU, in one run.

On the load of `benchmark engine`: equality with `cpu`, bits of two runs, the two limits, the time of a training step by
hidden size and batch size with its distance to them, and where the time of a step goes.

A rounding may move a spike of a large network by a step, and a recurrent one is then another: gradients are compared on
the samples whose neurons all fire as often on both engines, and their share is reported.
"""

import argparse
import logging
import time
from collections import defaultdict
from typing import Any

import numpy as np

from eventspeech import engines, losses
from eventspeech.benchmarks import engine as benchmark_engine
from eventspeech.benchmarks import limit_cuda, load, options
from eventspeech.data import batches
from eventspeech.data.batches import Batch
from eventspeech.engines.contract import Gradients
from eventspeech.engines.cuda import CudaEngine
from eventspeech.engines.event_driven.cuda.launches import Device
from eventspeech.losses import Objective
from eventspeech.network import Weights
from eventspeech.params import Kind, Regulariser, Shape

logger = logging.getLogger("eventspeech")

HIDDEN = (256, 512, 1024)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LOSSES: tuple[Kind, ...] = ("sum", "exponential", "gaussian", "bell", "linear", "sigmoid", "max", "first_spike")
BASE: dict[str, int] = {"hidden": 512, "batch": 32}
"""Where the parts of a step are timed one by one."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `benchmark gpu` takes."""
    options.add_load(parser, 128)
    options.add_repeats(parser, 5)


def measure(
    steps: int = 1000, spikes: int = 8000, rate: float = 14.0, samples: int = 128, repeats: int = 5,
    hidden: tuple[int, ...] = HIDDEN, batch: tuple[int, ...] = BATCHES,
) -> dict:  # fmt: skip
    """Measure; arguments as of :func:`eventspeech.benchmarks.engine.measure`.

    Returns:
        ``parity``: a row for each loss and hidden size; ``limits``; ``speed``: what `benchmark engine` reports for each
        hidden size and batch size, with ``limit``; ``kernels_ms`` of a training step at :data:`BASE`.
    """
    parity = [_parity(size, kind, steps, spikes, rate) for size in hidden for kind in LOSSES]
    ceilings = limit_cuda.ceilings(_engine(BASE["hidden"], steps).device)
    speed = []
    for size in hidden:
        for count in batch:
            asked: dict[str, Any] = {"hidden": size, "steps": steps, "spikes": spikes, "rate": rate, "batch": count}
            row = benchmark_engine.measure("cuda", **asked, samples=max(samples, count), repeats=repeats, limit=False)
            active = row["input_spikes_per_sample"], size * row["hidden_spikes_per_neuron"]
            took = row["training_ms_per_sample"]["median"]
            row["limit"] = limit_cuda.distance(load.network_of(size, steps), *active, took, ceilings)
            speed.append(row)
            logger.info("benchmark gpu: %d hidden, batch %d: %.4f ms a sample", size, count, took)
    parts = _kernels_ms(steps, spikes, rate)
    return {"parity": parity, "limits": ceilings, "speed": speed, "kernels_ms": parts}


def _engine(hidden: int, steps: int) -> CudaEngine:
    engine = engines.create("cuda", load.network_of(hidden, steps))
    assert isinstance(engine, CudaEngine)
    return engine


def _problem(
    hidden: int, kind: Kind, steps: int, spikes: int, rate: float, samples: int
) -> tuple[CudaEngine, Weights, Batch, Objective]:
    engine = _engine(hidden, steps)
    batch = load.load(samples, steps, spikes)
    objective = losses.objective(Shape(kind=kind), steps, Regulariser(strength=1e-8))
    return engine, load.weights_for_rate(engine, batch, objective, rate), batch, objective


def _parity(hidden: int, kind: Kind, steps: int, spikes: int, rate: float) -> dict:
    """Compare a training step with that of `cpu`, and with itself."""
    engine, weights, batch, objective = _problem(hidden, kind, steps, spikes, rate, 8)
    cpu = engines.create("cpu", engine.network)
    found, expected = (one.infer(weights, batch, objective).spike_counts[0] for one in (engine, cpu))
    equal = np.flatnonzero((found == expected).all(axis=1))
    row: dict[str, Any] = {
        "hidden": hidden,
        "loss": kind,
        "samples": len(batch),
        "samples_with_equal_spikes": len(equal),
    }
    if len(equal) == 0:
        return row | {"loss_error": None, "gradient_error": None, "identical": None}
    part = batches.take(batch, equal)
    first, again, wanted = (one.gradients(weights, part, objective) for one in (engine, engine, cpu))
    errors = [
        np.linalg.norm(first.weights[name] - array) / np.linalg.norm(array) for name, array in wanted.weights.items()
    ]
    row["loss_error"] = float(np.max(np.abs(first.inference.losses / wanted.inference.losses - 1)))
    row["gradient_error"] = float(max(errors))
    row["identical"] = _identical(first, again)
    logger.info("benchmark gpu: %(hidden)d hidden, %(loss)s: gradients differ by %(gradient_error).1e", row)
    return row


def _identical(one: Gradients, other: Gradients) -> bool:
    same = all(one.weights[name].tobytes() == array.tobytes() for name, array in other.weights.items())
    return same and one.inference.logits.tobytes() == other.inference.logits.tobytes()


class _Stopwatch:
    """A device that waits for each kernel and adds up the seconds of each name."""

    def __init__(self, device: Device):
        self._device = device
        self._tick = device.zeros((1,), np.float32)
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def wait_s(self) -> float:
        """Wait for the device; return the seconds that this takes."""
        start = time.perf_counter()
        self._device.get(self._tick)
        return time.perf_counter() - start

    def launch(self, kernel: str, *arguments: Any) -> None:
        """Run a kernel alone."""
        self.wait_s()
        overhead_s, start = self.wait_s(), time.perf_counter()
        self._device.launch(kernel, *arguments)
        self.wait_s()
        self.seconds[kernel] += time.perf_counter() - start - overhead_s


def _kernels_ms(steps: int, spikes: int, rate: float) -> dict[str, float]:
    """Return the milliseconds of each kernel in a training step, each run by itself; negative ones are noise."""
    size = BASE["batch"]
    engine, weights, batch, objective = _problem(BASE["hidden"], "exponential", steps, spikes, rate, size)
    watch = _Stopwatch(engine.device)
    watched = CudaEngine(engine.network, watch)
    for _ in range(2):  # the first compiles
        watch.seconds.clear()
        watched.gradients(weights, batch, objective)
    return {kernel: 1000 * seconds for kernel, seconds in watch.seconds.items()}

"""`benchmark epoch`: a whole training epoch as the stage `train` runs it, and what of it is not the engine's.

The load is that of `benchmark engine`; by default as many samples as SHD has to train on. Weights are scaled to the
hidden rate and kept there by a learning rate of zero. Batching and augmentation, evaluation and a checkpoint are timed
by themselves, once more, after the epoch.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np

from eventspeech import engines, files, losses, machine, params
from eventspeech.benchmarks import load, options
from eventspeech.benchmarks.load import CLASSES, TRIAL_MS, timed
from eventspeech.data import batches
from eventspeech.data.store import SpikeStore
from eventspeech.learning.trainer import Trainer

logger = logging.getLogger("eventspeech")

DISTINCT = 512
"""Samples drawn; more than these are repetitions, each with its own place in memory."""
SHIFT_CHANNELS = 40
"""The published augmentation."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what `benchmark epoch` takes."""
    parser.add_argument("--engine", default="cpu", choices=engines.ENGINES)
    parser.add_argument("--evaluated", type=options.positive, default=816, help="samples of the validation")
    options.add_load(parser, 8156)
    options.add_size(parser)
    options.add_repeats(parser, 1)


def measure(
    engine: str = "cpu",
    hidden: int = 512,
    steps: int = 1000,
    spikes: int = 8000,
    rate: float = 14.0,
    batch: int = 32,
    samples: int = 8156,
    evaluated: int = 816,
    repeats: int = 1,
) -> dict:
    """Measure; times in seconds, shares of the epoch's time without validation.

    Args:
        engine, hidden, steps, spikes, rate, batch, samples: as :func:`eventspeech.benchmarks.engine.measure`.
        evaluated: samples of the validation that follows an epoch.
        repeats: epochs; the median is reported.
    """
    logger.info("benchmark epoch: drawing %d samples", samples)
    store = _store(samples, steps, spikes)
    start = time.perf_counter()
    trainer = Trainer(_params(engine, hidden, steps, batch), "loss", 0, store)
    preparation_s = time.perf_counter() - start
    first = next(trainer.presented(1))
    trainer.weights.update(
        load.weights_for_rate(trainer.engine, first, losses.objective(trainer.shape, trainer.network.steps), rate)
    )
    trainer.learning_rate = 0.0
    results, seconds = [], []
    for number in range(1, repeats + 1):
        start = time.perf_counter()
        results.append(trainer.epoch(number))
        seconds.append(time.perf_counter() - start)
        logger.info("benchmark epoch: %d of %d, %.1f s", number, repeats, seconds[-1])
    epoch_s = float(np.median(seconds))
    batching_s = timed(lambda: sum(len(part) for part in trainer.presented(1)))
    held_out = trainer.on_grid(store.select(np.arange(min(evaluated, samples))))
    return {
        "engine": engine,
        "hidden": hidden,
        "steps": steps,
        "batch": batch,
        "samples": samples,
        "threads": machine.threads(),
        "repeats": repeats,
        "input_spikes_per_sample": len(store.times_ms) / samples,
        "hidden_spikes_per_neuron": results[-1].hidden_spikes,
        "epoch_s": epoch_s,
        "ms_per_sample": 1000 * epoch_s / samples,
        "batching_and_augmentation_s": batching_s,
        "batching_and_augmentation_share": batching_s / epoch_s,
        "optimiser_s": _optimiser_s(trainer) * -(-samples // batch),
        "evaluated_samples": len(held_out),
        "evaluation_s": timed(lambda: trainer.validate(held_out)),
        "checkpoint_s": _checkpoint_s(trainer),
        "preparation_s": preparation_s,
        "peak_memory_mib": load.peak_memory_mib(),
    }


def _params(engine: str, hidden: int, steps: int, batch: int) -> params.Params:
    return params.validate(
        {
            "study": {"losses": ["loss"], "seeds": [0]},
            "shape": {"loss": {"kind": "exponential"}},
            "validation": {"speakers": ["nobody"]},
            "network": {"hidden": [hidden], "step_ms": TRIAL_MS / steps},
            "preprocess": {"trial_ms": TRIAL_MS},
            "optimiser": {"engine": engine, "regulariser": {"strength": 1e-8}},
            "train": {"batch_size": batch},
            "augmentation": {"shift_channels": SHIFT_CHANNELS},
            "compare": {"reference": "loss"},
            "profile": {"loss": "loss"},
        }
    )


def _store(samples: int, steps: int, spikes: int) -> SpikeStore:
    # drawing them takes longer than learning from them
    drawn = load.load(min(samples, DISTINCT), steps, spikes)
    data = batches.take(drawn, np.arange(samples) % len(drawn))
    return SpikeStore(
        offsets=data.offsets,
        times_ms=(data.steps + np.float32(0.5)) * np.float32(TRIAL_MS / steps),
        channels=data.channels.astype(np.uint16),
        labels=data.labels,
        speakers=np.zeros(samples, np.int64),
        class_names=tuple(map(str, range(CLASSES))),
        speaker_names=("nobody",),
        trial_ms=TRIAL_MS,
    )


def _optimiser_s(trainer: Trainer) -> float:
    gradients = {name: np.zeros_like(array) for name, array in trainer.weights.items()}
    return float(np.median([timed(lambda: trainer.optimiser.step(trainer.weights, gradients, 0.0)) for _ in range(9)]))


def _checkpoint_s(trainer: Trainer) -> float:
    arrays = {**trainer.weights, **trainer.optimiser.state()}
    with tempfile.TemporaryDirectory() as folder:
        return timed(lambda: files.write_npz(Path(folder) / "checkpoint.npz", arrays, compress=False))

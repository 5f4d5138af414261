"""Tiny trainings: what the tests of `learning` and of `stages` share; their conftest.py files offer the fixtures."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from eventspeech import engines, machine
from eventspeech.data import batches, store
from eventspeech.engines.cpu import CpuEngine
from eventspeech.learning.folds import split
from eventspeech.learning.trainer import Trainer
from eventspeech.network import Network, is_time_constant
from eventspeech.stages import train
from support import tiny

TIMING = {"training_s", "validation_s"}


# time constants of populations, of neurons that start apart, and ones that differ but are not learned
SHARED = {"optimiser": {"learn_time_constants": "population"}}

OWN = {"optimiser": {"learn_time_constants": "neuron"}, "network": {"time_constants": "heterogeneous"}}

LEARNED_WEIGHT = {"loss": "learned", "shape": {"learned": {"kind": "learned", "knots": 5}}}

DRAWN = {"network": {"time_constants": "heterogeneous"}}


# every piece of the published recipe, so that each acts within six epochs: the rate falls when accuracy does not rise
RECIPE = {
    "optimiser": {"ease_in": {"start": 0.01, "growth": 1.3}, "learning_rate": 1.0},
    "train": {
        "schedule": {"factor": 0.5, "fast": 0.0, "slow": 1e-6, "wait_epochs": 0, "cosine_to": 0.1},
        "silent_lift": {"amount": 0.002, "neurons": "all"},
        "select": "training",
    },
    "augmentation": {
        "balance_classes": True,
        "normalise_spikes": True,
        "blend": {"probabilities": [0.5, 0.5]},
        "dilation": {"shortest": 0.8, "longest": 1.25},
        "stretch": {"narrowest": 0.9, "widest": 1.1},
        "jitter_channels": 3.0,
        "drop_events": 0.2,
    },
}


def outputs(folder: Path) -> train.Outputs:
    return train.Outputs(*(folder / name for name in ("weights.npz", "history.csv", "summary.json", "last.npz")))


def run(folder: Path, spikes: Path, loss: str = "exponential", seed: int = 0, **groups) -> train.Outputs:
    paths = outputs(folder)
    train.train(tiny.make_params(**groups), loss, seed, spikes, paths)
    return paths


def rows(path: Path, without=TIMING) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [{key: value for key, value in row.items() if key not in without} for row in csv.DictReader(stream)]


def equal(first: train.Outputs, second: train.Outputs) -> bool:
    """Say whether two trainings ended alike, to the bit."""
    same = first.weights.read_bytes() == second.weights.read_bytes()
    return same and rows(first.history) == rows(second.history)


def constants_of(weights) -> dict[str, np.ndarray]:
    return {name: array for name, array in weights.items() if is_time_constant(name)}


def bits(trainer: Trainer) -> bytes:
    return b"".join(array.tobytes() for array in trainer.weights.values())


def on_call(number: int, action):
    """Return a wrapper that acts on the n-th call of a function, before it does anything."""

    def wrap(function):
        calls = iter(range(1, 10**6))

        def wrapped(*arguments, **options):
            if next(calls) == number:
                action()
            return function(*arguments, **options)

        return wrapped

    return wrap


def interrupt():
    raise KeyboardInterrupt


class Spy(CpuEngine):
    """An engine that keeps what it is given."""

    seen: list[tuple[str, batches.Batch, dict]]

    def gradients(self, weights, batch, objective):
        self.seen.append(("gradients", batch, {name: array.copy() for name, array in weights.items()}))
        return super().gradients(weights, batch, objective)


@pytest.fixture(scope="module")
def quick():
    """Use one thread, and do not ask git about this machine's state after each training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(machine, "facts", lambda: {"cpu": "fast"})
        yield


@pytest.fixture(scope="module")
def spikes(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("spikes") / "train.npz"
    store.save(tiny.make_store(), path, "train")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory, spikes) -> train.Outputs:
    """An uninterrupted training."""
    return run(tmp_path_factory.mktemp("whole"), spikes)


@pytest.fixture
def spy(monkeypatch):
    """Let every trainer use a spying engine; return what it saw."""
    seen = []

    def create(name: str, network: Network, threads: int | None = None, *_):
        engine = Spy(network, threads)
        engine.seen = seen
        return engine

    monkeypatch.setattr(engines, "create", create)
    return seen


@pytest.fixture
def parts(spikes) -> SimpleNamespace:
    params = tiny.make_params()
    learned, held_out = split(params, store.load(spikes))
    return SimpleNamespace(params=params, learned=learned, held_out=held_out)

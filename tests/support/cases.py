"""What the tests of engines share: small networks, weights, batches and objectives with every feature among them."""

import numpy as np
import pytest

from eventspeech import losses
from eventspeech.data.batches import Batch
from eventspeech.engines.event_driven.c import launches
from eventspeech.network import TIME_CONSTANTS, Network, initial_weights, populations
from eventspeech.params import Network as NetworkParams
from eventspeech.params import Shape

STEPS, INPUTS, CLASSES = 60, 20, 5
NETWORKS = {
    "recurrent": {},
    "feed-forward": {"recurrent": False},
    "delay line": {"delay_steps": (0, 7, 30)},
    "two layers": {"hidden": (15, 9)},
    "three layers, feed-forward": {"hidden": (12, 9, 7), "recurrent": False},
    "equal time constants": {"tau_mem_ms": 10.0, "tau_syn_ms": 10.0},
    "coarse step": {"step_ms": 5.0},
    "one neuron": {"hidden": (1,)},
    "refractory": {"refractory_steps": 2},
    "refractory, two layers, delay line": {"hidden": (15, 9), "delay_steps": (0, 7, 30), "refractory_steps": 1},
    "refractory, longer than most pauses": {"refractory_steps": 10},
}

READOUTS = {
    "max": Shape(kind="max"),
    "first_spike": Shape(kind="first_spike", tau0_ms=4.0, tau1_ms=20.0, alpha=0.05),
}
"""The losses that weigh no voltage."""


def make_network(**changes):
    plain = {
        "inputs": INPUTS, "hidden": (15,), "outputs": CLASSES, "recurrent": True, "steps": STEPS, "step_ms": 1.0,
        "tau_mem_ms": 20.0, "tau_syn_ms": 5.0, "delay_steps": (0,),
    }  # fmt: skip
    return Network(**plain | changes)


def make_weights(network, dtype=np.float64, seed=1):
    drawn = NetworkParams(input_mean=0.2, input_sd=0.2, recurrent_sd=0.2, hidden_mean=0.3, hidden_sd=0.3, output_sd=0.5)
    return {name: array.astype(dtype) for name, array in initial_weights(network, drawn, seed).items()}


def make_readout_weights(network, kind, dtype=np.float64):
    """Draw weights with which most outputs fire, or with which maxima of either sign of rise occur."""
    weights = make_weights(network, dtype)
    if kind == "first_spike":
        weights[f"hidden{len(network.hidden)}_output"] += dtype(0.8)
    return weights


def make_constants(on, learned, seed=0, spread=0.3):
    """Draw time constants around the network's, of populations or of neurons."""
    rng = np.random.default_rng(seed)
    return {
        f"{population}_{kind}": getattr(on, kind) * np.exp(rng.normal(0, spread, size if learned == "neuron" else 1))
        for population, size in populations(on).items()
        for kind in TIME_CONSTANTS
    }


def make_batch(counts=(90, 0, 150, 40, 220, 100), seed=0):
    """Draw samples of unequal length, one of them silent."""
    rng = np.random.default_rng(seed)
    keys = [np.unique(rng.integers(0, STEPS * INPUTS, count)) for count in counts]
    steps, channels = np.divmod(np.concatenate(keys), INPUTS)
    offsets = np.concatenate([[0], np.cumsum([len(key) for key in keys])])
    return Batch(offsets, steps.astype(np.int32), channels.astype(np.int32), rng.integers(0, CLASSES, len(counts)))


def make_objective(kind="exponential", steps=STEPS, **changes):
    return losses.objective(READOUTS.get(kind) or Shape(kind=kind), steps)._replace(**changes)


def assert_close(found, expected, rtol):
    for name, array in expected.items():
        assert np.linalg.norm(found[name] - array) <= rtol * np.linalg.norm(array), name


built = pytest.mark.skipif(launches.library() is None, reason="the C kernels were not built (no C compiler)")
PRECISE = {"numba": np.float64, "native": np.float32}
"""The type of numbers with which each set of kernels is tested."""
KERNELS = [
    pytest.param("numba", np.float64, 1e-10, id="numba, float64"),
    pytest.param("native", np.float32, 1e-4, id="native, float32", marks=built),
]

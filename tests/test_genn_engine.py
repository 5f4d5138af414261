"""Engine `genn` equals engine `cpu`; nothing leaks from batch to batch; what is missing is said."""

import numpy as np
import pytest
from test_cpu_engine import (
    CLASSES,
    INPUTS,
    NETWORKS,
    STEPS,
    assert_close,
    make_batch,
    make_network,
    make_objective,
    make_weights,
)
from test_readouts import SHAPES
from test_readouts import make_weights as make_readout_weights
from test_readouts import objective as readout_objective
from test_time_constants import make_constants

from eventspeech.data.batches import Batch, take
from eventspeech.engines.cpu import CpuEngine
from eventspeech.engines.genn.engine import GennEngine
from eventspeech.params import WEIGHTED

genn = pytest.mark.genn


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def engine_for(network):
    return GennEngine(network, backend="single_threaded_cpu", accumulate=True)


def assert_equal_to_cpu(network, weights, batch, objective):
    """Compare loss, logits, predictions, spikes and gradients of all weights, within the bounds of the contract."""
    expected = CpuEngine(network).gradients(weights, batch, objective)
    found = engine_for(network).gradients(weights, batch, objective)
    for seen, count in zip(found.inference.spike_counts, expected.inference.spike_counts, strict=True):
        assert count.sum() > 0, "the case must have spikes in every layer"
        np.testing.assert_array_equal(seen, count)
    np.testing.assert_allclose(found.inference.losses, expected.inference.losses, rtol=1e-5)
    np.testing.assert_allclose(found.inference.logits, expected.inference.logits, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.inference.predictions, expected.inference.predictions)
    assert found.floored == expected.floored
    assert list(found.weights) == list(expected.weights)
    assert_close(found.weights, expected.weights, 1e-4)
    return found


@genn
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_cpu_on_every_network(name):
    network = make_network(**NETWORKS[name])
    objective = make_objective("gaussian", regulariser_strength=1e-3, regulariser_target=3.0)
    assert_equal_to_cpu(network, make_weights(network, np.float32), make_batch(), objective)


@genn
@pytest.mark.parametrize("kind", WEIGHTED)
@pytest.mark.parametrize("per_sample", [False, True])
def test_equals_cpu_for_every_weighting_and_regulariser(kind, per_sample):
    network = make_network()
    objective = make_objective(
        kind, regulariser_strength=1e-2, regulariser_target=2.0, regulariser_batch=not per_sample
    )
    assert_equal_to_cpu(network, make_weights(network, np.float32), make_batch(seed=3), objective)


@genn
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("recurrent", [True, False])
def test_equals_cpu_for_losses_that_weigh_no_voltage(kind, recurrent):
    network = make_network(recurrent=recurrent)
    objective = readout_objective(kind, regulariser_strength=1e-3)
    for seed in (0, 1):
        found = assert_equal_to_cpu(
            network, make_readout_weights(network, kind, np.float32), make_batch(seed=seed), objective
        )
        assert all(np.any(array) for array in found.weights.values())


@genn
@pytest.mark.parametrize("learned", ["population", "neuron"])
@pytest.mark.parametrize("kind", ["gaussian", *SHAPES])
def test_equals_cpu_for_learned_time_constants(kind, learned):
    network = make_network(hidden=(15, 9), delay_steps=(0, 7))
    objective = readout_objective(kind) if kind in SHAPES else make_objective(kind)
    weights = make_readout_weights(network, kind, np.float32)
    constants = {name: array.astype(np.float32) for name, array in make_constants(network, learned).items()}
    assert_equal_to_cpu(network, weights | constants, make_batch(), objective._replace(regulariser_strength=1e-3))

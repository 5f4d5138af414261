"""Nothing that an engine cannot count with reaches its compiled code: not through weights, batch or objective."""

import numpy as np
import pytest
from support.cases import CLASSES, INPUTS, STEPS, built, make_batch, make_network, make_objective, make_weights

from eventspeech.benchmarks.load import load, network_of, timed
from eventspeech.data.batches import Batch
from eventspeech.engines import bounds
from eventspeech.engines.cpu import CpuEngine
from eventspeech.engines.genn import engine as genn
from eventspeech.engines.genn import install
from eventspeech.errors import DataError
from eventspeech.losses import Objective, objective
from eventspeech.network import initial_weights
from eventspeech.params import Network as NetworkParams
from eventspeech.params import Shape

ENGINES = [pytest.param("numba", id="numba"), pytest.param("native", id="native", marks=built)]


def put(array, place, number):
    changed = array.copy()
    changed[place] = number
    return changed


def swapped(steps):
    return put(put(steps, 0, steps[89 - 1]), 89 - 1, steps[0])


WRONG = {
    "a channel of -1": ("channels", lambda a: put(a, 5, -1), f"channels are -1 to {INPUTS - 1}, not within"),
    "a channel too many": ("channels", lambda a: put(a, -1, INPUTS), f"channels are 0 to {INPUTS}, not within"),
    "a step of -1": ("steps", lambda a: put(a, 0, -1), "steps are -1 to"),
    "a step after the trial": ("steps", lambda a: put(a, -1, STEPS), f"steps are 0 to {STEPS}, not within 0 to 59"),
    "a label too many": ("labels", lambda a: put(a, 1, CLASSES), f"labels are . to {CLASSES}, not within"),
    "a negative label": ("labels", lambda a: put(a, 1, -1), "labels are -1 to"),
    "labels that are no numbers": ("labels", lambda a: a.astype(float), "type float64, not whole numbers"),
    "offsets that begin later": ("offsets", lambda a: put(a, 0, 1), "offsets do not ascend"),
    "offsets that end later": ("offsets", lambda a: put(a, -1, a[-1] + 7), "offsets do not ascend"),
    "offsets that descend": ("offsets", lambda a: put(a, 2, a[3] + 1), "offsets do not ascend"),
    "negative offsets": ("offsets", lambda a: put(a, 1, -3), "offsets do not ascend"),
    "offsets of other samples": ("offsets", lambda a: a[:-1], "do not belong together"),
    "events without channels": ("channels", lambda a: a[:-1], "do not belong together"),
    "unsorted times": ("steps", swapped, "not in order of time"),
    "wide channels": ("channels", lambda a: a.astype(np.int64), "type int64, not 1-dimensional of type int32"),
    "narrow offsets": ("offsets", lambda a: a.astype(np.int32), "offsets are 1-dimensional of type int32"),
    "steps in a table": ("steps", lambda a: a[None], "steps are 2-dimensional"),
}


@pytest.mark.parametrize("kernels", ENGINES)
@pytest.mark.parametrize("name", WRONG)
def test_a_batch_out_of_bounds_is_refused(name, kernels):
    field, change, message = WRONG[name]
    network, batch = make_network(), make_batch()
    wrong = Batch(**batch._asdict() | {field: change(getattr(batch, field))})
    engine, weights = CpuEngine(network, 1, kernels=kernels), make_weights(network, np.float32)
    for work in (engine.infer, engine.gradients, engine.record):
        with pytest.raises(DataError, match=rf"^A batch.*{message}.*; make the spikes again with [^.]*\.$"):
            work(weights, wrong, make_objective())


@pytest.mark.parametrize("name", WRONG)
def test_genn_looks_before_it_builds_anything(name, monkeypatch):
    monkeypatch.setattr(install, "require", lambda what, backend: None)
    monkeypatch.setattr(genn, "shared_model", lambda plan: pytest.fail("a model was built"))
    field, change, message = WRONG[name]
    network, batch = make_network(), make_batch()
    wrong = Batch(**batch._asdict() | {field: change(getattr(batch, field))})
    engine = genn.GennEngine(network, install.CPU, accumulate=True)
    for work in (engine.infer, engine.gradients, engine.record):
        with pytest.raises(DataError, match=message):
            work(make_weights(network, np.float32), wrong, make_objective())


def test_a_loss_of_another_trial_is_refused():
    network, weights = make_network(), make_weights(make_network(), np.float32)
    wrong = {"for 61 steps, the trial has 60": np.ones(STEPS + 1), "not all finite": np.full(STEPS, np.nan)}
    for message, weighting in wrong.items():
        with pytest.raises(DataError, match=message):
            CpuEngine(network).infer(weights, make_batch(), Objective(weighting))


def test_an_empty_batch_and_silent_samples_are_within_bounds():
    network, nothing = make_network(), np.empty(0, np.int32)
    for samples in (0, 3):
        silent = Batch(np.zeros(samples + 1, np.int64), nothing, nothing, np.zeros(samples, np.int64))
        bounds.check(network, make_weights(network, np.float32), silent, make_objective())


def test_the_look_is_a_small_part_of_a_training_step():
    network, batch = network_of(512, 1000), load(32, 1000, 8000)
    weights, loss = initial_weights(network, NetworkParams(), 0), objective(Shape(kind="exponential"), 1000)
    look_s = min(timed(lambda: bounds.check(network, weights, batch, loss)) for _ in range(5))
    engine = CpuEngine(network)
    engine.gradients(weights, batch, loss)
    step_s = min(timed(lambda: engine.gradients(weights, batch, loss)) for _ in range(3))
    print(f"look {1000 * look_s:.3f} ms of {1000 * step_s:.1f} ms")
    assert look_s < 0.05 * step_s  # measured: below 1 %; the rest is room for a busy machine

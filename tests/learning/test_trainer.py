"""A trainer: nothing leaks between its parts, and each piece of a step does what it says."""

from types import SimpleNamespace

import numpy as np
import pytest
from support import tiny
from support.training import OWN, bits, constants_of

from eventspeech.engines.cpu import CpuEngine
from eventspeech.errors import UserError
from eventspeech.learning.trainer import Tally, Trainer
from eventspeech.records import model

pytestmark = pytest.mark.usefixtures("quick")


# --- nothing leaks ----------------------------------------------------------------------------------------------------


def test_validation_between_epochs_changes_nothing(parts):
    plain, disturbed = (Trainer(parts.params, "exponential", 0, parts.learned) for _ in range(2))
    validation = disturbed.on_grid(parts.held_out)
    for number in (1, 2, 3):
        plain.epoch(number)
        disturbed.validate(validation)
        disturbed.epoch(number)
        before = bits(disturbed)
        first, second = disturbed.validate(validation), disturbed.validate(validation)
        assert first == second
        assert bits(disturbed) == before
    assert bits(plain) == bits(disturbed)


def test_a_training_is_nothing_but_its_epochs(parts, whole):
    trainer = Trainer(parts.params, "exponential", 0, parts.learned)
    arrays, meta = model.load(whole.weights)
    for number in range(1, meta["epoch"] + 1):
        trainer.epoch(number)
    assert meta["epoch"] > 1
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in trainer.weights.items()
    }


def test_validation_does_not_depend_on_the_batch_size(parts):
    found = []
    for size in (1, 5, 1000):
        trainer = Trainer(parts.params, "exponential", 0, parts.learned, batch_size=size)
        found.append(trainer.validate(trainer.on_grid(parts.held_out)))
    assert found[0].accuracy == found[1].accuracy == found[2].accuracy
    np.testing.assert_allclose([result.loss for result in found], found[0].loss, rtol=1e-12)


def test_trainers_share_no_state(parts):
    alone = Trainer(parts.params, "exponential", 0, parts.learned)
    for number in (1, 2, 3):
        alone.epoch(number)
    side_by_side = [Trainer(parts.params, "exponential", seed, parts.learned) for seed in (0, 1)]
    for number in (1, 2, 3):
        for trainer in side_by_side:
            trainer.epoch(number)
    assert bits(side_by_side[0]) == bits(alone) != bits(side_by_side[1])
    assert Trainer(parts.params, "exponential", 0, parts.learned).optimiser.updates == 0


def test_samples_neither_change_nor_grow_from_epoch_to_epoch(parts, spy):
    before = {key: np.copy(value) for key, value in vars(parts.learned).items()}
    trainer = Trainer(parts.params, "exponential", 0, parts.learned)
    stored = trainer.on_grid(parts.learned)
    for number in range(1, 9):
        spy.clear()
        trainer.epoch(number)
        # no class's channels come near the ends of the cochlea, so that augmentation drops nothing
        assert sum(len(batch.channels) for _, batch, _ in spy) == len(stored.channels)
        assert sum(len(batch) for _, batch, _ in spy) == len(parts.learned)
        seen = np.concatenate([batch.channels for _, batch, _ in spy])
        # shifts that added up would leave these bounds
        assert stored.channels.min() - 5 <= seen.min() and seen.max() <= stored.channels.max() + 5
    for key, value in vars(parts.learned).items():
        np.testing.assert_array_equal(value, before[key])


def test_every_sample_is_shown_once_an_epoch_and_shifted_as_a_whole(parts, spy):
    trainer = Trainer(parts.params, "exponential", 0, parts.learned)
    stored = trainer.on_grid(parts.learned)

    def events(batch, index):
        chosen = slice(batch.offsets[index], batch.offsets[index + 1])
        return batch.steps[chosen].tobytes(), batch.channels[chosen]

    originals = dict(events(stored, index) for index in range(len(stored)))  # spike times tell samples apart
    assert len(originals) == len(stored)
    trainer.epoch(1)
    shown = [events(batch, index) for _, batch, _ in spy for index in range(len(batch))]
    assert {steps for steps, _ in shown} == set(originals) and len(shown) == len(originals)
    moved = [np.unique(channels - originals[steps]) for steps, channels in shown]
    assert all(len(shift) == 1 for shift in moved)
    assert len({int(shift[0]) for shift in moved}) > 5
    assert max(abs(int(shift[0])) for shift in moved) <= 5


# --- time constants ---------------------------------------------------------------------------------------------------


def test_time_constants_do_not_fall_below_their_bounds(parts):
    bounds = {"tau_mem_ms": 6.0, "tau_syn_ms": 1.5}
    params = tiny.make_params(
        optimiser={
            "learn_time_constants": "neuron",
            "learning_rate": 1e-6,
            **{f"{kind.removesuffix('_ms')}_min_ms": bound for kind, bound in bounds.items()},
        }
    )
    trainer = Trainer(params, "exponential", 0, parts.learned)
    for name, array in constants_of(trainer.weights).items():
        array[::2] = 0.9 * bounds[name.split("_", 1)[1]]  # as if a step had gone too far
    trainer.epoch(1)
    for name, array in constants_of(trainer.weights).items():
        kind = name.split("_", 1)[1]
        np.testing.assert_allclose(array[::2], bounds[kind], rtol=1e-5)
        np.testing.assert_allclose(array[1::2], getattr(trainer.network, kind), rtol=1e-5)
        assert array.min() >= bounds[kind]


def test_losses_share_initial_time_constants(parts):
    params = tiny.make_params(**OWN)
    one, other = (constants_of(Trainer(params, loss, 0, parts.learned).weights) for loss in ("exponential", "gaussian"))
    assert {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in other.items()}


# --- the published recipe ---------------------------------------------------------------------------------------------


def test_the_optimiser_is_given_the_eased_rate(parts, monkeypatch):
    given = []
    trainer = Trainer(
        tiny.make_params(optimiser={"ease_in": {"start": 0.1, "growth": 2.0}}), "exponential", 0, parts.learned
    )
    monkeypatch.setattr(type(trainer.optimiser), "step", lambda self, w, g, rate: given.append(rate) or count(self))

    def count(optimiser):
        optimiser.updates += 1

    trainer.epoch(1)
    np.testing.assert_allclose(given, 0.01 * np.array([0.1, 0.2, 0.4, 0.8, 1.0, 1.0]), rtol=1e-12)
    assert trainer.last_rate == given[-1]


@pytest.mark.parametrize("neurons", ["silent", "all"])
def test_the_lift_raises_what_leads_to_silent_neurons(parts, neurons):
    changes = {"train": {"silent_lift": {"amount": 0.25, "neurons": neurons}}, "network": {"hidden": [12, 5]}}
    trainer = Trainer(tiny.make_params(**changes), "exponential", 0, parts.learned)
    trainer.weights["input_hidden1"][:, [2, 7]] = -1.0  # these cannot fire
    trainer.weights["hidden1_hidden1"][:, [2, 7]] = 0.0
    trainer.weights["hidden1_hidden2"][:] = 1.0
    trainer.weights["hidden1_hidden2"][:, 3] = -1.0
    trainer.learning_rate = 1e-12
    trainer.epoch(1)
    assert [np.flatnonzero(silent).tolist() for silent in trainer.silent] == [[2, 7], [3]]
    before = {name: array.copy() for name, array in trainer.weights.items()}
    trainer.lift_silent()
    silent = {"input_hidden1": [2, 7], "hidden1_hidden2": [3]}
    for name, array in trainer.weights.items():
        lifted = np.zeros(array.shape, np.float32)
        if name in silent:
            lifted[:, silent[name] if neurons == "silent" else slice(None)] = 0.25
        np.testing.assert_array_equal(array, before[name] + lifted, err_msg=name)
        assert array.dtype == np.float32


def test_a_neuron_that_fires_once_in_an_epoch_is_not_silent(parts):
    trainer = Trainer(parts.params, "exponential", 0, parts.learned)
    counts = [np.array([[0, 0, 1], [0, 0, 0]]), np.array([[0, 2, 0]])]
    tally = Tally()
    for one in counts:
        inference = SimpleNamespace(predictions=np.zeros(len(one)), losses=np.zeros(len(one)), spike_counts=[one])
        tally.add(inference, np.zeros(len(one)))
    assert [counts.tolist() for counts in tally.counts] == [[0, 2, 1]]
    assert tally.result().hidden_spikes == pytest.approx(3 / (3 * 3))
    before = bits(trainer)
    trainer.silent = [np.ones(12, bool)]
    trainer.lift_silent()
    assert bits(trainer) == before, "no amount, no lift"


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [2, 6])
def test_a_gradient_that_is_not_a_number_is_divergence(parts, monkeypatch, batch):
    real, calls = CpuEngine.gradients, iter(range(1, 100))

    def poisoned(self, weights, samples, objective):
        found = real(self, weights, samples, objective)
        if next(calls) == batch:
            found.weights["hidden1_output"][0, 0] = np.nan
        return found

    monkeypatch.setattr(CpuEngine, "gradients", poisoned)
    trainer = Trainer(parts.params, "exponential", 0, parts.learned)
    with pytest.raises(UserError, match="diverged in epoch 1"):
        trainer.epoch(1)


def test_a_network_beyond_the_machines_memory_is_refused_before_it_is_drawn(parts, monkeypatch):
    monkeypatch.setattr("eventspeech.machine.memory_gib", lambda: 1.0)
    Trainer(tiny.make_params(network={"hidden": [1000]}), "exponential", 0, parts.learned)
    with pytest.raises(
        UserError, match=r"weights need 47\.2 GiB of memory to be learned, and this machine has 1\.0 GiB"
    ):
        Trainer(tiny.make_params(network={"hidden": [50_000]}), "exponential", 0, parts.learned)

"""Weights, optimiser and data of one training; an epoch at a time."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from eventspeech import engines, losses, machine, network, seeds
from eventspeech.data import augmentation, batches
from eventspeech.data.store import SpikeStore
from eventspeech.engines.contract import Gradients, Inference
from eventspeech.errors import UserError
from eventspeech.learning import schedule
from eventspeech.learning.adam import Adam
from eventspeech.params import Optimiser, Params


class Diverged(UserError):
    """A loss or weight is no longer finite."""


BYTES_OF_A_WEIGHT = 20
"""In single precision: the weight, its gradient, Adam's two means, and its value in the best epoch."""


class EpochResult(NamedTuple):
    """Means over the samples of an epoch; ``hidden_spikes`` per neuron and trial."""

    loss: float
    accuracy: float
    hidden_spikes: float
    floored_fraction: float
    samples: int


class Tally:
    """Sums up the results of batches."""

    def __init__(self) -> None:
        self.samples = self.hits = self.floored = 0
        self.loss = self.spikes = 0.0
        self.neurons = 1
        self.counts: list[np.ndarray] = []

    def add(self, inference: Inference, labels: np.ndarray, floored: int = 0) -> None:
        """Count one batch in; ``labels`` are int64[B]."""
        self.samples += len(labels)
        self.hits += int(np.sum(inference.predictions == labels))
        self.loss += float(inference.losses.sum())
        found = [counts.sum(axis=0, dtype=np.int64) for counts in inference.spike_counts]
        self.counts = [one + more for one, more in zip(self.counts, found, strict=True)] if self.counts else found
        self.spikes += float(sum(counts.sum() for counts in found))
        self.neurons = sum(map(len, found))
        self.floored += floored

    def result(self) -> EpochResult:
        """Return the means."""
        return EpochResult(
            self.loss / self.samples,
            self.hits / self.samples,
            self.spikes / (self.samples * self.neurons),
            self.floored / max(1.0, self.spikes),
            self.samples,
        )


class Trainer:
    """Weights, optimiser and data of one training; an epoch at a time.

    Args:
        params: all parameters; network, optimiser, train and augmentation are used, with the changes of ``loss``.
        loss: an entry of ``params.shape``.
        seed: base of everything random.
        training: the samples to learn from.
        batch_size: overrides ``params.train.batch_size``.

    Attributes:
        weights: weights and time constants, as they are now, and what a learned loss has become
            (`losses.LEARNED`).
        learning_rate: the full one; :func:`eventspeech.learning.schedule.ease_in` lowers it for the first batches.
        last_rate: the one of the last batch.
        silent: bool[H] for each hidden layer, the neurons that did not fire in the last epoch.
        augmentation: what the network is shown of the training samples.
        drawn: the connections, with the distributions of their initial weights.
        kernels: names of the code that computes, of engine and optimiser: results of others differ in their last bits.
    """

    def __init__(self, params: Params, loss: str, seed: int, training: SpikeStore, batch_size: int | None = None):
        params = params.for_loss(loss)
        settings = params.optimiser
        self.shape = params.shape[loss]
        self.network = network.build(params.network, len(training.class_names), training.trial_ms)
        _require_room(self.network)
        self._objective = losses.objective(self.shape, self.network.steps, settings.regulariser)
        self.learning_rate = self.last_rate = self.shape.learning_rate or settings.learning_rate
        drawn = params.network.model_copy(update=self.shape.output_weights())
        self.drawn = network.connections(self.network, drawn)
        connections = network.initial_weights(self.network, drawn, seed)
        constants, theta = _initial_time_constants(self.network, params, seed), losses.learned_weight(self.shape)
        self.weights = connections | constants | theta
        # heterogeneous time constants are there without being learned, too
        self.learns_constants = settings.learn_time_constants != "none"
        learned = self.weights if self.learns_constants else connections | theta
        factors = dict.fromkeys(theta, self.shape.rate_factor or 0.0)
        self.optimiser = Adam(learned, settings.adam_beta1, settings.adam_beta2, settings.adam_epsilon, factors)
        self.silent: list[np.ndarray] = []
        self._settings, self._lift, self._seed = settings, params.train.silent_lift, seed
        self._batch_size = batch_size or params.train.batch_size
        self.engine = engines.create(
            settings.engine, self.network, machine.threads(), self._batch_size, settings.accumulate
        )
        self.kernels = {"engine": self.engine.computes, "optimiser": self.optimiser.computes}
        self.augmentation = augmentation.Augmentation(
            params.augmentation, self.on_grid(training), self.network.steps, seed
        )

    def on_grid(self, samples: SpikeStore) -> batches.Batch:
        """Put samples on the network's grid."""
        return batches.on_grid(samples, self.network.step_ms, self.network.steps)

    def for_validation(self, samples: SpikeStore) -> batches.Batch:
        """Put held-out samples on the grid, with as many spikes as training leaves, drawn once."""
        found, count = self.on_grid(samples), self.augmentation.spike_count
        if count is None:
            return found
        return augmentation.normalise(found, count, seeds.generator(self._seed, "normalise", "validation"))

    def presented(self, number: int) -> Iterator[batches.Batch]:
        """Yield the batches of an epoch: all training samples in new order, augmented."""
        return self.augmentation.epoch(number, self._batch_size)

    def epoch(self, number: int) -> EpochResult:
        """Learn from every training sample once."""
        tally = Tally()
        for batch in batches.ahead(self.presented(number)):
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below, in one sentence
                found = self._gradients(batch)
                self.last_rate = self.learning_rate * schedule.ease_in(self._settings.ease_in, self.optimiser.updates)
                self.optimiser.step(self.weights, found.weights, self.last_rate)
                self._bound_time_constants()
            tally.add(found.inference, batch.labels, found.floored)
            require_finite(number, {"the loss": found.inference.losses} | self.weights, self.last_rate)
        self.silent = [counts == 0 for counts in tally.counts]
        return tally.result()

    def given(self) -> tuple[network.Weights, losses.Objective]:
        """Return what the engine computes now: the network's weights, and the loss, which may be learned."""
        weights, theta = losses.apart(self.weights)
        if theta is None:
            return weights, self._objective
        return weights, self._objective._replace(weighting=losses.on_grid(self.shape, self.network.steps, theta))

    def _gradients(self, batch: batches.Batch) -> Gradients:
        weights, objective = self.given()
        found, theta = self.engine.gradients(weights, batch, objective), self.weights.get(losses.LEARNED)
        if theta is None or found.weighting is None:
            return found
        by_theta = losses.theta_gradient(self.shape, theta, found.weighting).astype(np.float32)
        return found._replace(weights=found.weights | {losses.LEARNED: by_theta})

    def lift_silent(self) -> None:
        """Raise the weights from the layer before to neurons that were silent in the last epoch, or to all.

        The published code says silent and raises all. Recurrent weights stay, there and here.
        """
        if not self._lift.amount:
            return
        for layer, silent in enumerate(self.silent, 1):
            before = f"hidden{layer - 1}" if layer > 1 else "input"
            lifted = silent if self._lift.neurons == "silent" else np.ones_like(silent)
            self.weights[f"{before}_hidden{layer}"] += np.float32(self._lift.amount) * lifted

    def largest_weight(self) -> float:
        """Return the largest weight of a connection (thresholds), without its sign."""
        return max(float(np.abs(self.weights[one.name]).max()) for one in self.drawn)

    def _bound_time_constants(self) -> None:
        for name, array in self.weights.items():
            for kind, shortest_ms in _shortest_ms(self._settings).items():
                if name.endswith(kind):
                    np.maximum(array, np.float32(shortest_ms), out=array)

    def validate(self, samples: batches.Batch) -> EpochResult:
        """Run samples forward, without augmentation."""
        tally, (weights, objective) = Tally(), self.given()
        for first in range(0, len(samples), self._batch_size):
            batch = batches.take(samples, np.arange(first, min(first + self._batch_size, len(samples))))
            with np.errstate(over="ignore", invalid="ignore"):
                tally.add(self.engine.infer(weights, batch, objective), batch.labels)
        return tally.result()


def _shortest_ms(settings: Optimiser) -> dict[str, float]:
    return {"tau_mem_ms": settings.tau_mem_min_ms, "tau_syn_ms": settings.tau_syn_min_ms}


def _initial_time_constants(on: network.Network, params: Params, seed: int) -> network.Weights:
    return network.initial_time_constants(
        on,
        seed,
        learned=params.optimiser.learn_time_constants,
        heterogeneous=params.network.time_constants == "heterogeneous",
        shortest_ms=_shortest_ms(params.optimiser),
        outputs=params.optimiser.learn_output_time_constants,
    )


def _require_room(network_: network.Network) -> None:
    """Refuse a network that this machine cannot hold: the system would end the process without a word.

    Raises:
        UserError: says how much memory it needs, and how much there is.
    """
    needed = BYTES_OF_A_WEIGHT * sum(c.rows * c.columns for c in network.connections(network_)) / 2**30
    there = machine.memory_gib()
    if there is not None and needed > there:
        raise UserError(
            f"The network's weights need {needed:.1f} GiB of memory to be learned, and this machine has {there:.1f} "
            "GiB; lower network.hidden or network.delays.copies."
        )


def require_finite(number: int, arrays: Mapping[str, np.ndarray], rate: float) -> None:
    """Refuse to go on with numbers that are none.

    Args:
        number: of the epoch.
        arrays: losses, weights and time constants, by name.
        rate: learning rate of the last step.

    Raises:
        Diverged: one of them holds NaN or infinity.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            wrong = int(np.sum(~np.isfinite(array)))
            raise Diverged(
                f"The training diverged in epoch {number} ({wrong} of {np.size(array)} numbers of {name} are NaN or "
                f"infinite, after a step at the learning rate {rate:g}); lower optimiser.learning_rate, or the "
                "initial weights in network."
            )

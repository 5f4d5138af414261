"""A trained network and all that it needs to hear a recording as it heard those it learned from."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eventspeech import engines, losses, machine, seeds
from eventspeech.data import augmentation, batches, cochlea, store
from eventspeech.data.batches import Batch
from eventspeech.data.store import SpikeStore
from eventspeech.engines.contract import Engine, Inference, Recording
from eventspeech.errors import DataError, UserError
from eventspeech.losses import Objective
from eventspeech.network import Network, Weights
from eventspeech.params import Cochlea, Shape
from eventspeech.records import model as model_file

SPEAKER = "unknown"
"""The speaker of a recording that nobody said anything about."""

AT_ONCE = 64
"""Samples in a batch: what a batch keeps in memory is its spikes; answers do not depend on it."""


@dataclass(frozen=True)
class Recogniser:
    """A trained network.

    Attributes:
        path: of its file.
        weights: weights and time constants, as :mod:`eventspeech.network` names and shapes them, float32.
        meta: what the file says of itself (:mod:`eventspeech.records.model`).
        network: on the time grid that it was trained on; at other steps it would give other answers.
        heard_through: parameters of the cochlea model; ``None`` if neither its file nor anybody else says them.
        digest: SHA-256 of weights and meta data.
        engine_name: of the engine that computes it.
        theta: what the weight of a learned loss became, float32[K + 2] (`losses.apart`).
    """

    path: Path
    weights: Weights
    meta: dict[str, Any]
    network: Network
    heard_through: Cochlea | None
    digest: str
    engine_name: str = "cpu"
    theta: np.ndarray | None = None

    @property
    def words(self) -> list[str]:
        """The K words it tells apart, in the order of its outputs."""
        return self.meta["class_names"]

    @property
    def trial_ms(self) -> float:
        """How much of a recording it hears."""
        return self.network.trial_ms

    @property
    def cochlea(self) -> Cochlea:
        """Parameters of the cochlea model that it hears through.

        Raises:
            UserError: they are unknown.
        """
        if self.heard_through is None:
            raise UserError(
                f"{self.path} does not say how its speech became spikes, as models up to version 0.2; give the "
                "parameter file of its study (--params), or train the model again."
            )
        return self.heard_through

    @property
    def source(self) -> str | None:
        """The source of the speech that it learned from, ``None`` if its file does not say."""
        origin = self.meta.get("origin")
        return None if origin is None else origin["source"]

    @cached_property
    def shape(self) -> Shape:
        """The loss it was trained with."""
        return Shape(**self.meta["shape"])

    @cached_property
    def objective(self) -> Objective:
        """What is read of its outputs."""
        return losses.objective(self.shape, self.network.steps, theta=self.theta)

    @cached_property
    def engine(self) -> Engine:
        """What computes it."""
        return engines.create(self.engine_name, self.network, machine.threads())


def load_model(path: Path | str, cochlea: Cochlea | None = None, engine: str = "cpu") -> Recogniser:
    """Return the trained network in a file.

    Args:
        path: ``weights.npz`` made by `train`.
        cochlea: through which it hears, if the file does not say it, as those of versions up to 0.2; else it is not
            asked for.
        engine: that computes it.

    Raises:
        DataError: the file is missing, damaged or of logistic regression.
    """
    path = Path(path)
    model = model_file.load(path)
    if model.meta["kind"] != "spiking":
        raise DataError(f"{path} holds logistic regression, the baseline; give the weights.npz of a trained network.")
    found = _cochlea(model) or cochlea
    digest = model_file.digest(model.arrays, model.meta)
    weights, theta = losses.apart(model.arrays)
    return Recogniser(path, weights, model.meta, model_file.network_of(model), found, digest, engine, theta)


def _cochlea(model: model_file.Model) -> Cochlea | None:
    origin = model_file.origin(model)
    if origin is None:
        return None
    # SHD and SSC were made by the published cochlea, which the defaults are
    return Cochlea() if origin.cochlea is None else origin.cochlea


def encode(recogniser: Recogniser, audio: np.ndarray, rate_hz: int, seed: int | None = None) -> SpikeStore:
    """Turn a waveform into the spikes that the network hears.

    Args:
        recogniser: the network.
        audio: float[n], mono, of any level.
        rate_hz: its sampling rate.
        seed: of the hair cells' randomness, 0 .. 2^64 - 1; by default derived from the waveform.

    Returns:
        A store of one sample; its label means nothing.

    Raises:
        DataError: the audio is silent, too short, or holds NaN or infinity.
        UserError: nobody says through which cochlea the network hears.
    """
    audio = np.asarray(audio, np.float64)
    if seed is None:
        seed = seeds.derive_seed(
            recogniser.cochlea.seed, "waveform", rate_hz, hashlib.sha256(audio.tobytes()).hexdigest()
        )
    return cropped(recogniser, [cochlea.encode(audio, rate_hz, recogniser.cochlea, seed)])


def whole(recogniser: Recogniser, samples: list[tuple[np.ndarray, np.ndarray]]) -> SpikeStore:
    """Return encoded recordings, at least one, as a store; spikes after the trial are still there.

    Args:
        recogniser: the network.
        samples: of each recording the times in ms and the channels of its spikes.
    """
    nothing = np.zeros(len(samples), np.int64)
    return store.from_samples(samples, nothing, nothing, recogniser.words, [SPEAKER], np.inf)


def cropped(recogniser: Recogniser, samples: list[tuple[np.ndarray, np.ndarray]]) -> SpikeStore:
    """Return encoded recordings, at least one, as `preprocess` leaves them to a network: cut off after the trial."""
    return whole(recogniser, samples).crop(recogniser.trial_ms)


def infer(recogniser: Recogniser, spikes: SpikeStore) -> tuple[np.ndarray, np.ndarray]:
    """Return what the network says of each sample.

    Args:
        recogniser: the network.
        spikes: S samples.

    Returns:
        Probabilities of the words, the softmax of the logits, float64[S, K], and the hidden spikes of each sample per
        neuron, float64[S].

    Raises:
        DataError: the outputs are not finite numbers.
    """
    logits, counts = [], []
    for first in range(0, len(spikes), AT_ONCE):
        batch = _on_grid(recogniser, spikes.select(np.arange(first, min(first + AT_ONCE, len(spikes)))))
        found: Inference = recogniser.engine.infer(recogniser.weights, batch, recogniser.objective)
        logits.append(np.asarray(found.logits, np.float64))
        counts.append(sum(layer.sum(axis=1) for layer in found.spike_counts))
    together = np.concatenate(logits)
    if not np.isfinite(together).all():
        raise DataError(f"The outputs of {recogniser.path} are not finite numbers; train the model again.")
    return probabilities(together), np.concatenate(counts) / sum(recogniser.network.hidden)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits [S, K], float64[S, K]."""
    return losses.cross_entropy(logits, np.zeros(len(logits), np.int64))[1]


def record(recogniser: Recogniser, spikes: SpikeStore) -> Recording:
    """Run the network and keep what it did: spikes of all hidden layers and voltages of the outputs.

    Args:
        recogniser: the network.
        spikes: S samples, few: voltages of all steps are kept.
    """
    return recogniser.engine.record(recogniser.weights, _on_grid(recogniser, spikes), recogniser.objective)


def unfolding(recogniser: Recogniser, activity: Recording) -> np.ndarray:
    """Return the logits as they are after each step, float64[S, N, K]; the last ones decide.

    Sums and maxima are those up to then. Of first spikes, an output that has not fired yet counts as if it fired then.
    """
    voltage = activity.output_voltage.astype(np.float64)
    objective, steps = recogniser.objective, recogniser.network.steps
    if objective.readout == "max":
        return np.maximum.accumulate(voltage, axis=1)
    if objective.first_spike is not None:
        now_ms = recogniser.network.step_ms * np.arange(1, steps + 1)[None, :, None]
        fired_ms = -np.asarray(activity.inference.logits, np.float64)[:, None] * objective.first_spike.tau0_ms
        return -np.minimum(now_ms, fired_ms) / objective.first_spike.tau0_ms
    weighting = np.asarray(objective.weighting)
    return np.cumsum(voltage * weighting[None, :, None], axis=1) / steps


def _on_grid(recogniser: Recogniser, spikes: SpikeStore) -> Batch:
    """Put samples on the network's grid.

    A network that learned from samples of as many spikes hears such ones only; each sample is thinned as if it stood
    alone, so that no other recording has a part in its answer.
    """
    binned = batches.on_grid(spikes, recogniser.network.step_ms, recogniser.network.steps)
    count = recogniser.meta["spike_count"]
    if count is None:
        return binned
    alone = (batches.take(binned, np.array([sample])) for sample in range(len(binned)))
    rng = (seeds.generator(recogniser.meta["seed"], "normalise", "test") for _ in range(len(binned)))
    return _joined([augmentation.normalise(one, count, draws) for one, draws in zip(alone, rng, strict=True)])


def _joined(parts: list[Batch]) -> Batch:
    """Return batches as one, in their order."""
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    steps, channels, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in Batch._fields[1:])
    return Batch(np.concatenate([[0], np.cumsum(counts)]), steps, channels, labels)

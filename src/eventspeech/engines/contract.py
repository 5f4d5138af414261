"""The contract of an engine: weights, a batch and an objective in; loss, logits and exact gradients out.

An engine is pure: its results depend on its arguments alone, nothing is left over from the batch before.
Optimiser, augmentation, schedule and checkpoints live outside. What engines compute is in `engines.equations`.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from eventspeech.data.batches import Batch
from eventspeech.losses import Objective
from eventspeech.network import Network, Weights


class Inference(NamedTuple):
    """Result of a forward pass of ``B`` samples.

    Attributes:
        logits: [B, O], S_o: the prediction is their argmax (the first of equals).
        losses: float64[B], of each sample.
        predictions: int64[B].
        spike_counts: one int64[B, H] per hidden layer.
    """

    logits: np.ndarray
    losses: np.ndarray
    predictions: np.ndarray
    spike_counts: tuple[np.ndarray, ...]


class Gradients(NamedTuple):
    """Result of a forward and a backward pass.

    Attributes:
        inference: of the same weights and batch.
        weights: gradient of the mean loss (and the regulariser) for every connection, and for the time constants
            that the weights hold.
        floored: how many denominators were bounded from below.
        weighting: dL/dw(n/N), float64[N], if the objective says that the weight is learned.
    """

    inference: Inference
    weights: Weights
    floored: int
    weighting: np.ndarray | None = None


class Recording(NamedTuple):
    """Activity of a batch, for figures.

    Attributes:
        inference: as of `infer`.
        hidden: for each layer the spikes, in the form of a batch (``channels`` are the neurons).
        output_voltage: float32[B, N, O], before each step; that of a spiking output is 0 after each of its spikes.
    """

    inference: Inference
    hidden: tuple[Batch, ...]
    output_voltage: np.ndarray


class Engine(Protocol):
    """What the stages need of an engine.

    Its methods take weights of the network's connections (shapes: :mod:`eventspeech.network`; gradients come back in
    the same), a batch of ``B`` samples on the network's grid, and what is minimised. They raise DataError where one of
    these is out of bounds (`engines.bounds`), and UserError where the machine cannot hold the batch.

    Attributes:
        name: by which `optimiser.engine` chooses it.
        network: for which it was made.
        computes: name of the code that does: other code for the same gives other last bits.
    """

    name: str
    network: Network
    computes: str

    def infer(self, weights: Weights, batch: Batch, objective: Objective) -> Inference:
        """Run the batch forward."""

    def gradients(self, weights: Weights, batch: Batch, objective: Objective) -> Gradients:
        """Run the batch forward and backward, with the same weights."""

    def record(self, weights: Weights, batch: Batch, objective: Objective) -> Recording:
        """Run the batch forward and keep what it did."""


class Finding(NamedTuple):
    """What an examination of an engine found.

    Attributes:
        problem: why it cannot run here, as a clause; None if it can.
        detail: what is there: versions, backends.
        remedy: what would help, or make it better; empty if nothing would.
    """

    problem: str | None
    detail: str = ""
    remedy: str = ""


class Entry(NamedTuple):
    """An engine as the rest of the package knows it.

    Attributes:
        make: given network, threads, batch size and whether to accumulate, as of `engines.create`, the engine.
        problem: given a device out of ``devices``, why the engine cannot run on it here, as a clause; None if it can.
            Quick, and touches no device: what a GPU draws when idle is measured after it.
        examine: as ``problem``, but thorough; for `doctor`.
        devices: where training with it is measured, ``cpu`` or ``cuda``; a job of an engine of ``cuda`` holds a GPU.
    """

    make: Callable[[Network, int | None, int | None, bool], Engine]
    problem: Callable[[str], str | None]
    examine: Callable[[], Finding]
    devices: tuple[str, ...]

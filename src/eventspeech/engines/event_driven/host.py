"""What the kernels of engine `cpu` have in common: they compute on numpy's arrays, where these are."""

import numpy as np

from eventspeech.data.batches import Batch
from eventspeech.engines.event_driven.kernels import Events, Layer, Vectors
from eventspeech.network import Weights


class HostKernels:
    """The parts of `kernels.Kernels` that move nothing."""

    def load(self, weights: Weights) -> Weights:
        """Return the weights."""
        return weights

    def zeros(self, weights: Weights) -> Weights:
        """Return zero gradients."""
        return {name: np.zeros_like(array) for name, array in weights.items()}

    def fetch(self, gradients: Weights, weights: Weights) -> Weights:
        """Return the gradients."""
        return gradients

    def vectors(self, vectors: Vectors) -> Vectors:
        """Return the coefficients."""
        return vectors

    def events(self, batch: Batch, steps: int) -> Events:
        """View the batch as events."""
        return Events(batch.channels, self.starts(batch.steps, batch.offsets, steps))

    def starts(self, steps_of: np.ndarray, offsets: np.ndarray, steps: int) -> np.ndarray:
        """Return int64[B, N + 1]: where the events of each sample and step begin (see `Events`).

        ``steps_of`` are int32[E], in order of time within each sample, whose events begin at ``offsets``, int64[B + 1].
        """
        raise NotImplementedError

    def counts(self, layer: Layer, size: int) -> np.ndarray:
        """Return int64[B, H]: spikes of each neuron."""
        return np.stack(
            [np.bincount(s[:n], minlength=size) for s, n in zip(layer.spikes, layer.starts[:, -1], strict=True)]
        )

    def fetch_layer(self, layer: Layer) -> Layer:
        """Return the layer."""
        return layer

"""From a spike store to batches on the time grid.

An event of a channel at time t falls into step floor(t / step_ms); a channel that fires more than once in a step counts
once, as in the published simulations.
"""

from typing import NamedTuple

import numpy as np

from eventspeech.data.store import SpikeStore
from eventspeech.params import CHANNELS


class Batch(NamedTuple):
    """Spike trains of ``B`` samples on the grid, in compressed rows.

    Attributes:
        offsets: int64[B + 1], events of sample ``i`` are ``offsets[i]:offsets[i + 1]``.
        steps: int32[E], ascending within a sample.
        channels: int32[E].
        labels: int64[B].
    """

    offsets: np.ndarray
    steps: np.ndarray
    channels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.labels)


def on_grid(store: SpikeStore, step_ms: float, steps: int) -> Batch:
    """Put a whole store on the grid; events at or after ``steps`` are cut off."""
    sample = np.repeat(np.arange(len(store)), np.diff(store.offsets))
    step = np.floor(store.times_ms.astype(np.float64) / step_ms).astype(np.int64)
    kept = step < steps
    # one sort key per (sample, step, channel) both orders the events and finds the doubles
    key = np.unique((sample[kept] * steps + step[kept]) * CHANNELS + store.channels[kept])
    row, channel = np.divmod(key, CHANNELS)
    sample, step = np.divmod(row, steps)
    offsets = np.searchsorted(sample, np.arange(len(store) + 1))
    return Batch(offsets.astype(np.int64), step.astype(np.int32), channel.astype(np.int32), store.labels)


def take(batch: Batch, indices: np.ndarray) -> Batch:
    """Return the samples ``indices`` (int64[...]), in that order."""
    counts = np.diff(batch.offsets)[indices]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    events = np.repeat(batch.offsets[indices] - offsets[:-1], counts) + np.arange(offsets[-1])
    return Batch(offsets, batch.steps[events], batch.channels[events], batch.labels[indices])


def shift(batch: Batch, shifts: np.ndarray) -> Batch:
    """Move all channels of sample ``i`` by ``shifts[i]`` (int64[B]); events that leave the cochlea are dropped."""
    moved = batch.channels + np.repeat(shifts, np.diff(batch.offsets)).astype(np.int32)
    kept = (moved >= 0) & (moved < CHANNELS)
    before = np.concatenate([[0], np.cumsum(kept)])
    return Batch(before[batch.offsets].astype(np.int64), batch.steps[kept], moved[kept], batch.labels)

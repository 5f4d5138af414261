"""From a spike store to batches on the time grid.

An event of a channel at time t falls into step floor(t / step_ms); a channel that fires more than once in a step counts
once, as in the published simulations.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from eventspeech.data.store import BLOCK_SAMPLES, SpikeStore
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

    def __len__(self) -> int:
        return len(self.labels)


def on_grid(store: SpikeStore, step_ms: float, steps: int) -> Batch:
    """Put a whole store on the grid; events at or after ``steps`` are cut off."""
    blocks = range(0, len(store), BLOCK_SAMPLES)
    parts = [_block_on_grid(store, slice(i, min(i + BLOCK_SAMPLES, len(store))), step_ms, steps) for i in blocks]
    counts = np.concatenate([np.zeros(1, np.int64), *(part[0] for part in parts)])
    step, channel = (np.concatenate([np.empty(0, np.int32), *(part[i] for part in parts)]) for i in (1, 2))
    return Batch(np.cumsum(counts), step, channel, store.labels)


def _block_on_grid(
    store: SpikeStore, block: slice, step_ms: float, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many events each sample of a block has, their steps and channels."""
    offsets = store.offsets[block.start : block.stop + 1]
    events = slice(offsets[0], offsets[-1])
    sample = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    step = np.floor(store.times_ms[events].astype(np.float64) / step_ms).astype(np.int64)
    kept = step < steps
    # one sort key per (sample, step, channel) both orders the events and finds the doubles
    key = sorted_once((sample[kept] * steps + step[kept]) * CHANNELS + store.channels[events][kept])
    row, channel = np.divmod(key, CHANNELS)
    sample, step = np.divmod(row, steps)
    return np.bincount(sample, minlength=len(offsets) - 1), step.astype(np.int32), channel.astype(np.int32)


def sorted_once(events: np.ndarray) -> np.ndarray:
    """Return the events, whole numbers [E], in ascending order and each once."""
    # numpy.unique would do, but since it hashes integers (numpy 2.3) it takes up to ninety times as long
    events = np.sort(events)
    new = np.empty(len(events), bool)
    new[:1] = True
    np.not_equal(events[1:], events[:-1], out=new[1:])
    return events if new.all() else np.compress(new, events)


def ahead(presented: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the same batches; each is made by another thread while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, presented, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, presented, None)
            yield batch


def take(batch: Batch, indices: np.ndarray, shifts: np.ndarray | None = None) -> Batch:
    """Return the samples ``indices`` (int64[B]) in that order, all channels of sample ``i`` moved by ``shifts[i]``.

    Events that are moved off the cochlea are dropped.
    """
    # samples are copied as wholes: indexing event by event takes several times as long
    spans = [slice(batch.offsets[i], batch.offsets[i + 1]) for i in indices]
    offsets = np.zeros(len(spans) + 1, np.int64)
    room = sum(span.stop - span.start for span in spans)
    steps, channels = np.empty(room, np.int32), np.empty(room, np.int32)
    for place, span in enumerate(spans):
        found = batch.steps[span], batch.channels[span]
        if shifts is not None and shifts[place]:
            found = _moved(*found, shifts[place])
        offsets[place + 1] = offsets[place] + len(found[0])
        events = slice(offsets[place], offsets[place + 1])
        steps[events], channels[events] = found
    return Batch(offsets, steps[: offsets[-1]], channels[: offsets[-1]], batch.labels[indices])


def _moved(steps: np.ndarray, channels: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Shift the channels of one sample and drop the events that leave the cochlea."""
    channels = channels + np.int32(shift)
    kept = channels.view(np.uint32) < CHANNELS  # negative ones are large without their sign
    return (steps, channels) if kept.all() else (np.compress(kept, steps), np.compress(kept, channels))


def keep(batch: Batch, kept: np.ndarray) -> Batch:
    """Return the batch with those events only that ``kept`` (bool[E]) names."""
    if kept.all():
        return batch
    left = [np.count_nonzero(kept[start:stop]) for start, stop in itertools.pairwise(batch.offsets)]
    offsets = np.concatenate([[0], np.cumsum(left)]).astype(np.int64)
    # a third of the time of batch.steps[kept]
    return Batch(offsets, np.compress(kept, batch.steps), np.compress(kept, batch.channels), batch.labels)

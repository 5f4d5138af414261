"""Changes to the training samples, drawn anew every epoch, in the order of Nowotny, Turner & Knight (2025).

`stretch` and `drop_events` are not theirs: for voices that were never heard.

1. `balance_classes`: of each class as many samples as the smallest class has.
2. `normalise_spikes`: each event stays with probability n / (events of its sample), n the fewest of a training sample.
   It belongs to the network's input, so that validation and test see it, too (:func:`normalise`).
3. `shift_channels`: all channels of a sample move by the same number (:func:`eventspeech.data.batches.take`).
4. `stretch`: all channels of a sample are multiplied about the middle one (:func:`stretch`).
5. `blend`: further samples, each made of several of one class (:func:`blend`), from the shifted samples.
6. `dilation`: all times of a sample times one factor (:func:`dilate`), of blended samples, too.
7. `jitter_channels`: each event's channel moves by itself (:func:`jitter`).
8. `drop_events`: of each sample a share of the events, drawn for it, is left out (:func:`thin`).

Batches are made one by one from the samples as they were read: nothing of an epoch is left for the next one, so that
nothing grows or adds up. All works on the time grid: what the published code moves by whole milliseconds moves by whole
steps here. Random numbers belong to the seed, the piece and the epoch, never to the loss.
"""

import functools
import statistics
from collections.abc import Iterator, Sequence

import numpy as np

from eventspeech import params, seeds
from eventspeech.data import batches
from eventspeech.data.batches import Batch
from eventspeech.errors import DataError
from eventspeech.params import CHANNELS

CHANNEL_BITS = 10
"""An event as one number, step * 1024 + channel, sorts and compares in one go."""

DRAWS = 2**16
"""Random numbers about single events are one of so many."""


def balance(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return indices, ascending, of as many samples of each class as the smallest class that is there has.

    ``labels`` are int[S], the indices int64[n].
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    smallest = min(map(len, members))
    return np.sort(np.concatenate([rng.permutation(indices)[:smallest] for indices in members]))


def normalise(batch: Batch, count: int, rng: np.random.Generator) -> Batch:
    """Keep each event with probability ``count`` / (events of its sample); at or below ``count`` all stay."""
    events = np.diff(batch.offsets)
    return thin(batch, count / np.maximum(events, 1), rng)


def thin(batch: Batch, probabilities: np.ndarray, rng: np.random.Generator) -> Batch:
    """Keep each event of sample ``i`` with probability ``probabilities[i]``."""
    kept = np.empty(len(batch.steps), bool)
    for i, probability in enumerate(probabilities):
        events = slice(batch.offsets[i], batch.offsets[i + 1])
        kept[events] = _chosen(events.stop - events.start, probability, rng)
    return batches.keep(batch, kept)


def blend(
    parts: Batch, sizes: np.ndarray, probabilities: Sequence[float], steps: int, rng: np.random.Generator
) -> Batch:
    """Make one sample of each ``sizes[i]`` consecutive ``parts``, of the first one's label; a single part stays.

    Each part is moved in channel and time by whole numbers (cut, not rounded, as published) so that its mean channel
    and mean step come to the mean of the parts' means. Then each event of part ``j`` stays with ``probabilities[j]``,
    the parts are laid over one another, and what lies outside the trial or the cochlea is dropped. Events of two parts
    at one step and channel count once. An empty part moves nothing.
    """
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    made = []
    for start, size in zip(first[:-1], sizes, strict=True):
        spans = [slice(parts.offsets[i], parts.offsets[i + 1]) for i in range(start, start + size)]
        if size == 1:
            made.append(_events(parts.steps[spans[0]], parts.channels[spans[0]]))
        else:
            trains = [(parts.steps[span], parts.channels[span]) for span in spans]
            made.append(_blended(trains, probabilities, steps, rng))
    return _batch(made, parts.labels[first[:-1]])


def _blended(
    trains: Sequence[tuple[np.ndarray, np.ndarray]], probabilities: Sequence[float], steps: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return the events of several (steps, channels) laid over one another."""
    parts = [(*train, probability) for train, probability in zip(trains, probabilities, strict=True) if len(train[0])]
    means = [[int(axis.sum(dtype=np.int64)) / len(axis) for axis in part[:2]] for part in parts]
    middle = [sum(axis) / len(axis) for axis in zip(*means, strict=True)]
    found = [np.empty(0, np.int32)]
    for (step, channel, probability), mean in zip(parts, means, strict=True):
        kept = _chosen(len(step), probability, rng)
        step = step + np.int32(middle[0] - mean[0])  # the conversion cuts
        channel = channel + np.int32(middle[1] - mean[1])
        kept &= step.view(np.uint32) < steps
        kept &= channel.view(np.uint32) < CHANNELS
        found.append(np.compress(kept, _events(step, channel)))
    return batches.sorted_once(np.concatenate(found))


def stretch(batch: Batch, factors: np.ndarray) -> Batch:
    """Multiply the channels of sample ``i`` by ``factors[i]``, seen from the middle of the cochlea, and round them.

    Along the cochlea frequencies lie nearly as their logarithms, the formants of vocal tracts of two lengths at equal
    distances: that is what a shift does. A factor changes their distances, too (vocal tract length perturbation,
    Jaitly & Hinton 2013). What leaves the cochlea is dropped; of events that fall together one stays.
    """
    made, middle = [], np.float32((CHANNELS - 1) / 2)
    for i, factor in enumerate(factors):
        events = slice(batch.offsets[i], batch.offsets[i + 1])
        channel = np.rint((batch.channels[events] - middle) * np.float32(factor) + middle).astype(np.int32)
        moved = np.compress(channel.view(np.uint32) < CHANNELS, _events(batch.steps[events], channel))
        made.append(batches.sorted_once(moved))
    return _batch(made, batch.labels)


def dilate(batch: Batch, factors: np.ndarray, steps: int) -> Batch:
    """Multiply the times of sample ``i`` by ``factors[i]``; what comes to lie after the trial is dropped.

    An event lies in the middle of its step: step n becomes floor((n + 1/2) factor).
    """
    made = []
    for i, factor in enumerate(factors):
        events = slice(batch.offsets[i], batch.offsets[i + 1])
        step = ((batch.steps[events] + np.float32(0.5)) * np.float32(factor)).astype(np.int32)
        left = slice(0, np.searchsorted(step, steps))
        moved = _events(step[left], batch.channels[events][left])
        made.append(batches.sorted_once(moved) if factor < 1 else moved)  # steps that fall together hold doubles
    return _batch(made, batch.labels)


def jitter(batch: Batch, sd: float, rng: np.random.Generator) -> Batch:
    """Move the channel of each event by a normally distributed number, rounded; what leaves the cochlea is dropped."""
    made, moves = [], _rounded_normal(sd)
    for start, stop in zip(batch.offsets[:-1], batch.offsets[1:], strict=True):
        channel = batch.channels[start:stop] + moves[_draws(stop - start, rng)]
        moved = _events(batch.steps[start:stop], channel)
        made.append(batches.sorted_once(np.compress(channel.view(np.uint32) < CHANNELS, moved)))
    return _batch(made, batch.labels)


def _draws(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return uint16[count], uniform: a third of the time of floats, and fine enough to choose events."""
    return rng.bit_generator.random_raw(-(-count // 4)).view(np.uint16)[:count]


def _chosen(count: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    return _draws(count, rng) < round(probability * DRAWS)


@functools.cache
def _rounded_normal(sd: float) -> np.ndarray:
    """Return int32[DRAWS]: quantiles of a normal distribution, rounded, which equally likely draws choose from."""
    normal = statistics.NormalDist(0, sd)
    return np.rint([normal.inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS)]).astype(np.int32)


def _events(steps: np.ndarray, channels: np.ndarray) -> np.ndarray:
    return (steps << CHANNEL_BITS) + channels


def _batch(samples: list[np.ndarray], labels: np.ndarray) -> Batch:
    offsets = np.zeros(len(samples) + 1, np.int64)
    np.cumsum([len(events) for events in samples], out=offsets[1:])
    events = np.concatenate([np.empty(0, np.int32), *samples])
    return Batch(offsets, events >> CHANNEL_BITS, events & ((1 << CHANNEL_BITS) - 1), labels)


def require_partners(settings: params.Augmentation, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Raise :class:`DataError` if samples shall be blended but a class has a single one: it could only meet itself."""
    counts = np.bincount(labels, minlength=len(class_names))
    alone = [name for name, count in zip(class_names, counts, strict=True) if count == 1]
    if settings.blend.probabilities and alone:
        raise DataError(
            f"augmentation.blend needs at least two training samples of a class, but '{alone[0]}' has one; set "
            "augmentation.blend.probabilities to [] or add samples."
        )


class Augmentation:
    """The batches of each epoch of one training.

    Args:
        settings: the group of parameters.
        samples: the training samples on the grid; they are only read.
        steps: of the trial.
        seed: base of everything random.

    Attributes:
        presented: samples of one epoch.
        spike_count: what :func:`normalise` brings the spike counts to; None without it.
    """

    def __init__(self, settings: params.Augmentation, samples: Batch, steps: int, seed: int):
        self._settings, self._samples, self._steps, self._seed = settings, samples, steps, seed
        _, counts = np.unique(samples.labels, return_counts=True)
        kept = int(counts.min()) * len(counts) if settings.balance_classes else len(samples)
        self._blended = self._count_blended(kept)
        self.presented = kept + self._blended
        self.spike_count: int | None = None
        if settings.normalise_spikes:
            self.spike_count = int(np.diff(samples.offsets).min())
            if self.spike_count == 0:
                raise DataError(
                    f"augmentation.normalise_spikes would leave nothing: training sample "
                    f"{int(np.argmin(np.diff(samples.offsets)))} has no spike; set it to false or remove the sample."
                )

    def _count_blended(self, kept: int) -> int:
        wanted = self._settings.blend
        if not wanted.probabilities:
            return 0
        total = 2 * kept if wanted.samples is None else wanted.samples
        if total <= kept:
            raise DataError(
                f"augmentation.blend.samples = {total} adds nothing to {kept} training samples; make it larger, or "
                "null for twice as many."
            )
        return total - kept

    def epoch(self, number: int, batch_size: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, in an order of its own."""
        settings, labels = self._settings, self._samples.labels
        kept = balance(labels, self._rng("balance", number)) if settings.balance_classes else np.arange(len(labels))
        partners = self._partners(kept, self._rng("blend", number))
        order = self._rng("order", number).permutation(self.presented)
        shift = settings.shift_channels
        shifts = self._rng("shift", number).integers(-shift, shift + 1, len(labels))
        stretching = self._factors("stretch", number, settings.stretch.narrowest, settings.stretch.widest, len(labels))
        dilating = self._factors(
            "dilation", number, settings.dilation.shortest, settings.dilation.longest, self.presented
        )
        shares = self._rng("drop", number).uniform(0, settings.drop_events, self.presented)
        rngs = {piece: self._rng(piece, number) for piece in ("normalise", "blend events", "jitter", "drop events")}
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            groups = [kept[[i]] if i < len(kept) else partners[i - len(kept)] for i in chosen]
            indices = np.concatenate(groups)
            batch = batches.take(self._samples, indices, shifts[indices])
            if self.spike_count is not None:
                counts = (self._samples.offsets[1:] - self._samples.offsets[:-1])[indices]
                batch = thin(batch, self.spike_count / counts, rngs["normalise"])
            if stretching is not None:
                batch = stretch(batch, stretching[indices])
            if len(indices) > len(chosen):
                sizes = np.array([len(group) for group in groups])
                batch = blend(batch, sizes, settings.blend.probabilities, self._steps, rngs["blend events"])
            if dilating is not None:
                batch = dilate(batch, dilating[chosen], self._steps)
            if settings.jitter_channels:
                batch = jitter(batch, settings.jitter_channels, rngs["jitter"])
            if settings.drop_events:
                batch = thin(batch, 1 - shares[chosen], rngs["drop events"])
            yield batch

    def _partners(self, kept: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return int64[blended, k]: which samples each blended one is made of, drawn with replacement.

        Its class is that of a sample drawn at random, so that classes keep their shares.
        """
        labels = self._samples.labels[kept]
        grouped = kept[np.argsort(labels, kind="stable")]
        counts = np.bincount(labels)
        starts = np.cumsum(counts) - counts
        drawn = labels[rng.integers(0, len(kept), self._blended)]
        size = (self._blended, len(self._settings.blend.probabilities))
        return grouped[starts[drawn][:, None] + rng.integers(0, counts[drawn][:, None], size)]

    def _factors(self, piece: str, number: int, low: float, high: float, size: int) -> np.ndarray | None:
        if low == high == 1:
            return None
        # published of dilation: uniform in the logarithm, so that halving is as likely as doubling
        return np.exp(self._rng(piece, number).uniform(np.log(low), np.log(high), size))

    def _rng(self, piece: str, number: int) -> np.random.Generator:
        return seeds.generator(self._seed, piece, number)

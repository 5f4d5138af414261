"""The load that `profile` measures: epochs of a true training."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

from eventspeech import seeds
from eventspeech.data.store import SpikeStore
from eventspeech.learning.trainer import Trainer
from eventspeech.params import Params


class ProfiledEpoch(NamedTuple):
    """What `profile` wants of an epoch: see `stages.profile.EpochResult`."""

    accuracy: float
    loss: float
    samples: int
    adam_damping: Callable[[], float]


def workload(params: Params, loss: str, batch_size: int, training: SpikeStore) -> Callable[[], ProfiledEpoch]:
    """Return a function that trains one epoch on ``profile.samples`` of the samples: what `profile` measures.

    A stated number of samples with the blended ones is brought down to as large a share. ``params`` are those of the
    loss (:meth:`.params.Params.for_loss`), so that what `profile` sets for its measurement stays.
    """
    count = min(params.profile.samples, len(training))
    blend = params.augmentation.blend
    if blend.samples is not None:
        fewer = blend.model_copy(update={"samples": max(count + 1, round(blend.samples * count / len(training)))})
        changed = params.augmentation.model_copy(update={"blend": fewer})
        params = params.model_copy(update={"augmentation": changed})
    chosen = seeds.generator(0, "profile").choice(len(training), count, replace=False)
    trainer = Trainer(params, loss, 0, training.select(chosen), batch_size)
    epochs = itertools.count(1)

    def epoch() -> ProfiledEpoch:
        result = trainer.epoch(next(epochs))
        return ProfiledEpoch(result.accuracy, result.loss, result.samples, trainer.optimiser.damping)

    return epoch

"""The load that `profile` measures: epochs of a true training."""

import itertools

from eventspeech import seeds
from eventspeech.data.store import SpikeStore
from eventspeech.learning.trainer import EpochResult, Trainer
from eventspeech.params import Params


class Workload:
    """Epochs on ``profile.samples`` of the samples, drawn once; a batch size of its own.

    A stated number of samples with the blended ones is brought down to as large a share. ``params`` are those of the
    loss (:meth:`.params.Params.for_loss`), so that what `profile` sets for its measurement stays.
    """

    def __init__(self, params: Params, loss: str, batch_size: int, training: SpikeStore):
        count = min(params.profile.samples, len(training))
        blend = params.augmentation.blend
        if blend.samples is not None:
            fewer = blend.model_copy(update={"samples": max(count + 1, round(blend.samples * count / len(training)))})
            changed = params.augmentation.model_copy(update={"blend": fewer})
            params = params.model_copy(update={"augmentation": changed})
        chosen = seeds.generator(0, "profile").choice(len(training), count, replace=False)
        self._trainer = Trainer(params, loss, 0, training.select(chosen), batch_size)
        self._epochs = itertools.count(1)

    def epoch(self) -> EpochResult:
        """Train one epoch; the device has finished when it returns."""
        return self._trainer.epoch(next(self._epochs))

    def adam_damping(self) -> float:
        """Return by how much Adam's epsilon shortened the last step, 0 to 1."""
        return self._trainer.optimiser.damping()

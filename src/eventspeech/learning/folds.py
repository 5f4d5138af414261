"""Which samples of the training split a network learns from, and which ones choose its epoch: the protocols.

- `held_out`: the speakers `validation.speakers` choose; one fold.
- `leave_one_out`: each training speaker chooses in turn; `study.folds` lists them all.
- `random`: a share `validation.fraction` of the samples chooses; each name in `study.folds` draws anew.
- `official`: the source's own validation split chooses; one fold. Under the other protocols that split is not used.

The test split has no part in this.
"""

import numpy as np

from eventspeech import seeds
from eventspeech.data.store import SpikeStore
from eventspeech.errors import DataError
from eventspeech.params import Params


def only(params: Params) -> str:
    """Return the fold of a study that has one only.

    Raises:
        DataError: it has several; lists them.
    """
    if len(params.study.folds) > 1:
        raise DataError(f"The study has several folds; choose one of {', '.join(params.study.folds)}.")
    return params.study.folds[0]


def speakers(learned: SpikeStore, held_out: SpikeStore) -> dict[str, list[str]]:
    """Return the names of those that were learned from, and of the others that chose the epoch."""
    heard = np.unique(learned.speakers)
    others = np.setdiff1d(held_out.speakers, heard)
    groups = {"heard_speakers": heard, "validation_speakers": others}
    return {key: [learned.speaker_names[index] for index in found] for key, found in groups.items()}


def split(params: Params, samples: SpikeStore, fold: str | None = None) -> tuple[SpikeStore, SpikeStore]:
    """Return the samples to learn from and those that choose the epoch.

    Args:
        params: ``validation`` and ``study.folds`` are used.
        samples: the training split.
        fold: one of ``study.folds``; may be left out where there is one only.

    Raises:
        DataError: the fold or the protocol does not fit the data; names what does.
    """
    fold = only(params) if fold is None else fold
    if fold not in params.study.folds:
        raise DataError(f"There is no fold '{fold}' in study.folds; choose from {', '.join(params.study.folds)}.")
    official = np.zeros(len(samples), bool) if samples.validation is None else samples.validation
    if params.validation.protocol == "official":
        if not official.any():
            raise DataError(
                "validation.protocol is official, but the training split was preprocessed without a validation split "
                "of its source; run `preprocess` again, or choose another protocol."
            )
        return samples.select(~official), samples.select(official)
    own = samples if samples.validation is None else samples.select(~official)
    chosen = _chosen(params, own, fold)
    return own.select(~chosen), own.select(chosen)


def _chosen(params: Params, samples: SpikeStore, fold: str) -> np.ndarray:
    """Return bool[S]: the samples that choose the epoch."""
    if params.validation.protocol == "random":
        return _drawn(params, len(samples), fold)
    if params.validation.protocol == "leave_one_out":
        _require_all_speakers(params, samples)
        return samples.speakers_named([fold])
    held_out = samples.speakers_named(params.validation.speakers)
    if held_out.all():
        raise DataError(
            "validation.speakers holds out every speaker of the training split; leave at least one to learn from."
        )
    return held_out


def _drawn(params: Params, size: int, fold: str) -> np.ndarray:
    fraction = params.validation.fraction
    assert fraction is not None, "the protocol random has one"
    count = round(fraction * size)
    if not 0 < count < size:
        raise DataError(
            f"validation.fraction = {fraction:g} of {size} samples leaves none to learn from or none to choose by; "
            "set it nearer to one half."
        )
    chosen = np.zeros(size, bool)
    chosen[seeds.generator(params.validation.seed, "validation", fold).permutation(size)[:count]] = True
    return chosen


def _require_all_speakers(params: Params, samples: SpikeStore) -> None:
    """Refuse folds that are not exactly the training speakers: a mean over some of them is no leave-one-out.

    The other folds decide no result of this one, hence `study.folds` is not among what a training reads; a fold that
    leaves the study later is noticed by `compare`.
    """
    present = [samples.speaker_names[index] for index in np.unique(samples.speakers)]
    if set(present) != set(params.study.folds):
        quoted = ", ".join(f'"{name}"' for name in present)
        raise DataError(
            f"validation.protocol is leave_one_out, so study.folds has to list exactly the speakers of the training "
            f"split; set it to [{quoted}]."
        )

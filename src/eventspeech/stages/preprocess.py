"""The verb `preprocess`: from the raw folder to the spike store of one split, with statistics."""

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from eventspeech import files
from eventspeech.data import encoding, plausibility, sources, store
from eventspeech.data.store import SpikeStore
from eventspeech.errors import DataError
from eventspeech.params import CHANNELS, Params

logger = logging.getLogger("eventspeech")


def preprocess(params: Params, raw: Path, split: str, spikes: Path, statistics: Path) -> None:
    """Write the spike store of ``split``, cropped to ``preprocess.trial_ms``, and its statistics (:func:`describe`).

    Args:
        raw: folder made by `download`.
        split: ``train`` (with the source's own validation split, if it has one, marked), ``validation`` or ``test``.
        spikes: spike store to write.
        statistics: JSON to write.

    Recordings that were encoded before a kill are found in a hidden folder beside the spike store, which goes when the
    store is written.

    What is odd about the split without making it useless is logged and listed in the statistics, as ``warnings``.

    Raises:
        DataError: the folder is missing, foreign or damaged, its source has no such split, or nothing can be learned
            from it (:func:`.plausibility.require_plausible`).
    """
    raw = Path(raw)
    description = sources.read_description(raw)
    kind = description["kind"]
    source = sources.named(kind)
    present = source.splits(raw, description)
    if split not in present:
        raise DataError(f"The source '{kind}' in {raw} has no split '{split}'; it has {', '.join(present)}.")
    kept = spikes.with_name(f".{spikes.name}.done")
    # nobody vouches for own files as the authors of SHD do for theirs; recordings are compared by their bytes
    tested = split == "train" and kind == "hdf5" and source.read(raw, description, store.TEST, params, kept)
    tested = plausibility.digests(tested) if tested else set()
    whole = source.read(raw, description, split, params, kept)
    origin = store.Origin(kind, params.cochlea if source.audio else None)
    cropped = dataclasses.replace(whole.crop(params.preprocess.trial_ms), origin=origin)
    warnings = plausibility.require_plausible(whole, cropped, split, in_seconds="files" in description)
    if copies := plausibility.shared(whole, tested):
        warnings.append(
            f"{copies} of {len(whole)} samples are spike for spike in the test split too: it tests what was learned."
        )
    for warning in warnings:
        logger.warning("preprocess: %s: %s", split, warning)
    facts = {"source": kind, "split": split, **describe(whole, cropped)}
    facts |= {"warnings": warnings} if warnings else {}
    facts |= {"kernels": encoding.kernels()} if source.audio else {}
    store.save(cropped, spikes, split)
    files.write_json(statistics, facts | {"spikes_sha256": files.sha256(spikes)})
    shutil.rmtree(kept, ignore_errors=True)
    logger.info(
        "preprocess: %s, %d samples, %d classes, %d speakers, %.0f spikes a sample, %s %% cut off at %g ms, in %s",
        split, len(cropped), len(facts["samples_per_class"]), len(facts["samples_per_speaker"]),
        facts["spikes_per_sample"]["mean"], plausibility.percent(facts["cut_off"]["fraction"]), cropped.trial_ms,
        spikes,
    )  # fmt: skip


def describe(whole: SpikeStore, cropped: SpikeStore) -> dict[str, Any]:
    """Return the statistics of a split: ``whole`` as it came, ``cropped`` to the trial.

    Counts are of the cropped spikes; ``duration_ms`` (the last spike of each sample) and ``cut_off`` tell what the crop
    took away. Samples without a spike count as 0 spikes and are left out of ``duration_ms``.
    """
    counts, all_counts = np.diff(cropped.offsets), np.diff(whole.offsets)
    last_ms = whole.times_ms[whole.offsets[1:][all_counts > 0] - 1]
    per_channel = np.bincount(cropped.channels, minlength=CHANNELS) / len(cropped)
    lost = len(whole.times_ms) - len(cropped.times_ms)
    return {
        "samples": len(cropped),
        **({} if cropped.validation is None else {"samples_of_official_validation": int(cropped.validation.sum())}),
        "trial_ms": cropped.trial_ms,
        "classes": list(cropped.class_names),
        "speakers": list(cropped.speaker_names),
        "samples_per_class": _tally(cropped.labels, cropped.class_names),
        "samples_per_speaker": _tally(cropped.speakers, cropped.speaker_names),
        "spikes": len(cropped.times_ms),
        "spikes_per_sample": _spread(counts),
        "samples_without_spikes": int(np.sum(counts == 0)),
        "spikes_per_channel_and_sample": _spread(per_channel),
        "silent_channels": int(np.sum(per_channel == 0)),
        "duration_ms": _spread(last_ms),
        "cut_off": {
            "spikes": lost,
            "fraction": lost / len(whole.times_ms) if len(whole.times_ms) else 0.0,
            "samples": int(np.sum(counts < all_counts)),
        },
        "last_spike_ms": float(cropped.times_ms.max()) if len(cropped.times_ms) else None,
    }


def _tally(indices: np.ndarray, names: tuple[str, ...]) -> dict[str, int]:
    counts = np.bincount(indices, minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


def _spread(values: np.ndarray) -> dict[str, float | None]:
    """Return mean, standard deviation (of the population), least and most; all None without values."""
    if len(values) == 0:
        return dict.fromkeys(("mean", "sd", "min", "max"))
    values = values.astype(np.float64)
    return {"mean": values.mean(), "sd": values.std(), "min": values.min(), "max": values.max()}

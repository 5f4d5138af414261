"""Stage `baseline`: logistic regression (:mod:`eventspeech.learning.logistic`), for each fold."""

import logging
from pathlib import Path

import numpy as np

from eventspeech.data import store
from eventspeech.files import write_json
from eventspeech.learning import folds, logistic
from eventspeech.params import Params
from eventspeech.records import model as model_file

logger = logging.getLogger("eventspeech")


def train(params: Params, spikes: Path, model: Path, summary: Path, fold: str | None = None) -> None:
    """Fit on the samples a network of this fold learns from, and write model and summary.

    Args:
        params: ``baseline``, ``validation`` and ``study.folds`` are read.
        spikes: training split.
        model: NPZ to write, see :mod:`eventspeech.records.model`.
        summary: JSON to write: accuracies (fractions) in training and validation, number of features and samples.
        fold: one of ``study.folds``; it may be left out where there is one only.

    Raises:
        DataError: the split cannot be read, or the fold does not fit it.
    """
    fold = folds.only(params) if fold is None else fold
    learned, held_out = folds.split(params, store.load(spikes), fold)
    arrays = logistic.fit(params.baseline, learned)
    meta = {
        "kind": "logistic",
        "loss": None,
        "seed": None,
        "fold": fold,
        "time_bins": params.baseline.time_bins,
        "channel_bins": params.baseline.channel_bins,
        "class_names": list(learned.class_names),
        **folds.speakers(learned, held_out),
    }
    model_file.save(model, arrays, meta)
    seen = {
        f"{name}_accuracy": float(np.mean(logistic.predict(arrays, meta, part)[1] == part.labels))
        for name, part in (("training", learned), ("validation", held_out))
    }
    write_json(summary, {"fold": fold, **seen, "features": len(arrays["mean"]), "samples": len(learned)})
    logger.info(
        "baseline  training %.1f %%  validation %.1f %%",
        100 * seen["training_accuracy"],
        100 * seen["validation_accuracy"],
    )

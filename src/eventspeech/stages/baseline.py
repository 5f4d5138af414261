"""Stage `baseline`, for each fold: logistic regression on spike counts binned in time and channel.

It knows nothing of spikes' exact times and is cheap: what a spiking network has to beat. scikit-learn does the fit.
"""

import logging
from pathlib import Path

import numpy as np

from eventspeech.data import store
from eventspeech.data.store import SpikeStore
from eventspeech.files import write_json
from eventspeech.learning import folds
from eventspeech.params import CHANNELS, Params
from eventspeech.records import model as model_file

logger = logging.getLogger("eventspeech")


def features(samples: SpikeStore, time_bins: int, channel_bins: int) -> np.ndarray:
    """Return square roots of binned counts, float64[S, time_bins * channel_bins].

    The square root evens out the variance of counts.
    """
    sample = np.repeat(np.arange(len(samples)), np.diff(samples.offsets))
    time = np.minimum((samples.times_ms / samples.trial_ms * time_bins).astype(np.int64), time_bins - 1)
    channel = samples.channels.astype(np.int64) * channel_bins // CHANNELS
    bins = time_bins * channel_bins
    counts = np.bincount((sample * time_bins + time) * channel_bins + channel, minlength=len(samples) * bins)
    return np.sqrt(counts.reshape(len(samples), bins))


def train(params: Params, spikes: Path, model: Path, summary: Path, fold: str | None = None) -> None:
    """Fit on the samples a network of this fold learns from, and write model and summary."""
    # here, since scikit-learn takes seconds to import
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    fold = folds.only(params) if fold is None else fold
    learned, held_out = folds.split(params, store.load(spikes), fold)
    settings = params.baseline
    inputs = features(learned, settings.time_bins, settings.channel_bins)
    scaler = StandardScaler().fit(inputs)
    regression = LogisticRegression(C=settings.inverse_regularisation, max_iter=2000)
    regression.fit(scaler.transform(inputs), learned.labels)
    arrays = {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "coefficients": regression.coef_,
        "intercepts": regression.intercept_,
        "classes": regression.classes_,
    }
    meta = {
        "kind": "logistic",
        "loss": None,
        "seed": None,
        "fold": fold,
        "time_bins": settings.time_bins,
        "channel_bins": settings.channel_bins,
        "class_names": list(learned.class_names),
        **folds.speakers(learned, held_out),
    }
    model_file.save(model, arrays, meta)
    seen = {name: float(np.mean(predict(arrays, meta, part)[1] == part.labels)) for name, part in
            (("training", learned), ("validation", held_out))}  # fmt: skip
    write_json(
        summary,
        {
            "fold": fold,
            "training_accuracy": seen["training"],
            "validation_accuracy": seen["validation"],
            "features": inputs.shape[1],
            "samples": len(learned),
        },
    )
    logger.info("baseline  training %.1f %%  validation %.1f %%", 100 * seen["training"], 100 * seen["validation"])


def predict(arrays: dict[str, np.ndarray], meta: dict, samples: SpikeStore) -> tuple[np.ndarray, np.ndarray]:
    """Return logits [S, K] over the classes of the samples, and predictions int64[S]."""
    inputs = (features(samples, meta["time_bins"], meta["channel_bins"]) - arrays["mean"]) / arrays["scale"]
    scores = inputs @ arrays["coefficients"].T + arrays["intercepts"]
    if scores.shape[1] == 1:  # two classes: scikit-learn keeps one score
        scores = np.hstack([-scores, scores]) / 2
    # a class without a training sample can never be predicted
    logits = np.full((len(samples), len(samples.class_names)), -1e9)
    logits[:, arrays["classes"]] = scores
    return logits, logits.argmax(axis=1)

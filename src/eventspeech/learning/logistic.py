"""Logistic regression on spike counts binned in time and channel: what a spiking network has to beat.

It knows nothing of spikes' exact times and is cheap. scikit-learn does the fit.
"""

import numpy as np

from eventspeech.data.store import SpikeStore
from eventspeech.params import CHANNELS, Baseline

UNSEEN = -1e9
"""Logit of a class without a training sample: it is never predicted."""


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


def fit(settings: Baseline, samples: SpikeStore) -> dict[str, np.ndarray]:
    """Return the arrays of a fitted model; their shapes are those of :class:`eventspeech.records.model.Model`."""
    # here, since scikit-learn takes seconds to import
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    inputs = features(samples, settings.time_bins, settings.channel_bins)
    scaler = StandardScaler().fit(inputs)
    regression = LogisticRegression(C=settings.inverse_regularisation, max_iter=2000)
    regression.fit(scaler.transform(inputs), samples.labels)
    return {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "coefficients": regression.coef_,
        "intercepts": regression.intercept_,
        "classes": regression.classes_,
    }


def predict(arrays: dict[str, np.ndarray], meta: dict, samples: SpikeStore) -> tuple[np.ndarray, np.ndarray]:
    """Return logits float64[S, K] over the classes of the samples, and predictions int64[S].

    Args:
        arrays: as :func:`fit` returned them.
        meta: ``time_bins`` and ``channel_bins`` of the fit.
        samples: S samples of K classes.
    """
    inputs = (features(samples, meta["time_bins"], meta["channel_bins"]) - arrays["mean"]) / arrays["scale"]
    scores = inputs @ arrays["coefficients"].T + arrays["intercepts"]
    if scores.shape[1] == 1:  # two classes: scikit-learn keeps one score
        scores = np.hstack([-scores, scores]) / 2
    logits = np.full((len(samples), len(samples.class_names)), UNSEEN)
    logits[:, arrays["classes"]] = scores
    return logits, logits.argmax(axis=1)

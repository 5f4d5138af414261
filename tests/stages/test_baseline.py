"""The baseline: binned counts, its fit, and its model as `evaluate` reads it."""

import numpy as np
import pytest
from support import tiny

from eventspeech.data import store
from eventspeech.errors import DataError
from eventspeech.files import read_json
from eventspeech.learning import folds, logistic
from eventspeech.records import model as model_file
from eventspeech.stages import baseline


def of(samples, trial_ms=100.0):
    return store.from_samples(
        [(np.array(times, float), np.array(channels, int)) for times, channels in samples],
        np.zeros(len(samples), int), np.zeros(len(samples), int), ["a"], ["s"], trial_ms,
    )  # fmt: skip


def fit(folder, samples, **groups):
    store.save(samples, folder / "train.npz", "train")
    params = tiny.make_params(**groups)
    baseline.train(params, folder / "train.npz", folder / "model.npz", folder / "summary.json")
    return params, *model_file.load(folder / "model.npz"), read_json(folder / "summary.json")


def test_features_count_spikes_by_time_and_channel():
    samples = of([([0, 49.9, 50, 99.9, 99.9], [0, 349, 350, 699, 699]), ([], []), ([1, 2, 3, 4], [5] * 4)])
    expected = [[2, 0, 0, 3], [0, 0, 0, 0], [4, 0, 0, 0]]  # two halves of the trial, each of two halves of the channels
    np.testing.assert_allclose(logistic.features(samples, 2, 2) ** 2, expected)


def test_no_spike_is_lost_whatever_the_bins():
    samples = tiny.make_store(takes=1)
    for time_bins, channel_bins in ((1, 1), (7, 13), (60, 700)):
        found = logistic.features(samples, time_bins, channel_bins)
        assert found.shape == (len(samples), time_bins * channel_bins)
        np.testing.assert_allclose((found**2).sum(axis=1), np.diff(samples.offsets))


def test_it_learns_from_the_training_speakers_alone(tmp_path):
    samples = tiny.make_store()
    params, arrays, meta, summary = fit(tmp_path, samples)
    learned, held_out = folds.split(params, samples)
    assert summary["validation_accuracy"] > 0.9
    assert summary["samples"] == len(learned)
    for name, part in (("training", learned), ("validation", held_out)):
        assert summary[f"{name}_accuracy"] == np.mean(logistic.predict(arrays, meta, part)[1] == part.labels)
    assert (meta["heard_speakers"], meta["validation_speakers"]) == (["s0", "s1", "s2"], ["s3"])
    assert meta["class_names"] == list(tiny.CLASSES)
    # other validation samples, same model: they have no part in the fit, not even in its scaling
    other = tiny.make_store(seed=5)
    parts = [learned.sample(i) for i in range(len(learned))]  # speakers come in order, s3 last
    parts += [other.sample(i) for i in range(len(learned), len(other))]
    mixed = store.from_samples(parts, samples.labels, samples.speakers, tiny.CLASSES, tiny.SPEAKERS, tiny.TRIAL_MS)
    _, again, _, seen = fit(tmp_path, mixed)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
    assert seen["training_accuracy"] == summary["training_accuracy"]


def test_logits_are_those_of_scikit_learn(tmp_path):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    samples = tiny.make_store(takes=2)
    bins = {"time_bins": 3, "channel_bins": 4}
    params, arrays, meta, summary = fit(tmp_path, samples, baseline={**bins, "inverse_regularisation": 0.3})
    assert summary["features"] == 12
    learned, held_out = folds.split(params, samples)
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    expected.fit(logistic.features(learned, 3, 4), learned.labels)
    logits, predictions = logistic.predict(arrays, meta, held_out)
    np.testing.assert_allclose(logits, expected.decision_function(logistic.features(held_out, 3, 4)), atol=1e-10)
    np.testing.assert_array_equal(predictions, logits.argmax(axis=1))


def test_two_classes_get_two_logits(tmp_path):
    samples = tiny.make_store(classes=tiny.CLASSES[:2])
    _, arrays, meta, summary = fit(tmp_path, samples)
    logits, predictions = logistic.predict(arrays, meta, samples)
    assert logits.shape == (len(samples), 2)
    np.testing.assert_allclose(logits.sum(axis=1), 0, atol=1e-12)
    assert np.mean(predictions == samples.labels) > 0.9 and summary["validation_accuracy"] > 0.9


def test_a_class_without_a_training_sample_is_never_predicted(tmp_path):
    samples = tiny.make_store()
    known = samples.select((samples.labels != 1) | (samples.speakers == 3))
    _, arrays, meta, _ = fit(tmp_path, known)
    logits, predictions = logistic.predict(arrays, meta, samples)
    assert logits.shape == (len(samples), 4)
    assert set(predictions) == {0, 2, 3} and logits[:, 1].max() < -1e6
    assert np.mean((predictions == samples.labels)[samples.labels != 1]) > 0.9


def test_the_same_fit_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fit(tmp_path / name, tiny.make_store())
    for file in ("model.npz", "summary.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_holding_out_every_speaker_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds out every speaker"):
        fit(tmp_path, tiny.make_store(takes=1), validation={"speakers": list(tiny.SPEAKERS)})

"""A network out of its file: it hears what it would hear in the study, and only that."""

import dataclasses

import numpy as np
import pytest
from support import speech, tiny, trained

from eventspeech import losses
from eventspeech.data import encoding, store
from eventspeech.data.sources import recordings
from eventspeech.errors import DataError, UserError
from eventspeech.inference import answers, recogniser, sounds
from eventspeech.params import Cochlea, Recordings
from eventspeech.records import model
from eventspeech.stages import baseline


@pytest.fixture
def loaded(tmp_path):
    return recogniser.load_model(trained.make_model(tmp_path / "weights.npz"))


@pytest.fixture
def folder(tmp_path):
    return speech.make_folder(tmp_path / "speech")


def test_what_a_file_carries(loaded):
    assert (loaded.words, loaded.trial_ms, loaded.network.step_ms) == (trained.WORDS, 40.0, 1.0)
    assert (loaded.cochlea, loaded.source) == (trained.COCHLEA, "recordings")
    assert loaded.digest == model.digest(loaded.weights, loaded.meta)


def test_spikes_that_came_as_spikes_were_made_by_the_published_cochlea(tmp_path):
    path = trained.make_model(tmp_path / "weights.npz", origin={"source": "shd", "cochlea": None})
    assert recogniser.load_model(path).cochlea == Cochlea()


def test_an_older_file_needs_its_cochlea(tmp_path):
    path = trained.make_model(tmp_path / "weights.npz", origin=None)
    with pytest.raises(UserError, match=r"weights\.npz does not say how its speech .* \(--params\), or train"):
        recogniser.encode(recogniser.load_model(path), np.sin(np.arange(400.0)), 8000)
    assert recogniser.load_model(path, Cochlea(seed=9)).cochlea == Cochlea(seed=9)


def test_a_file_that_says_its_cochlea_is_believed(tmp_path):
    path = trained.make_model(tmp_path / "weights.npz")
    assert recogniser.load_model(path, Cochlea(seed=9)).cochlea == trained.COCHLEA


def test_logistic_regression_is_no_network(tmp_path):
    store.save(tiny.make_store(takes=1), tmp_path / "train.npz", "train")
    baseline.train(tiny.make_params(), tmp_path / "train.npz", tmp_path / "m.npz", tmp_path / "s.json")
    with pytest.raises(DataError, match=r"m\.npz holds logistic regression, the baseline; give the weights\.npz"):
        recogniser.load_model(tmp_path / "m.npz")


def test_a_learned_loss_weighs_as_it_was_left(tmp_path):
    learned = recogniser.load_model(trained.make_model(tmp_path / "weights.npz", kind="learned"))
    expected = losses.on_grid(learned.shape, 40, model.load(learned.path).arrays[losses.LEARNED])
    np.testing.assert_array_equal(learned.objective.weighting, expected)
    assert np.ptp(expected / losses.on_grid(learned.shape, 40)) > 0.5


@pytest.mark.parametrize("kind", ["gaussian", "learned", "max", "first_spike"])
def test_the_same_answers_file_by_file_as_through_the_source(tmp_path, folder, kind):
    by = recogniser.load_model(trained.make_model(tmp_path / "weights.npz", kind=kind, trial_ms=20.0))
    recordings.index(Recordings(folder=str(folder), test_speakers=["cy"]), tmp_path / "raw")
    study = encoding.encode_split(tmp_path / "raw", "test", by.cochlea, np.inf, 2).crop(by.trial_ms)
    expected, _ = recogniser.infer(by, study)
    files = [folder / f"{word}_cy_{take}.wav" for word in ("2", "10") for take in "01"]
    together = answers.answer(sounds.pieces(files, None, by.cochlea.seed), len(files), by)
    alone = [answers.answer(sounds.pieces([file], None, by.cochlea.seed), 1, by)[0] for file in files]
    for found in (together, alone):
        assert trained.bits(one.probabilities for one in found) == trained.bits(expected)
        assert [one.spikes for one in found] == np.diff(study.offsets).tolist()
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-12)
    assert together[0].missed > 0
    if kind != "first_spike":  # so early in the trial no output has fired
        assert len({one.probabilities.tobytes() for one in together}) == 4


def test_a_network_of_equal_spike_counts_hears_each_recording_by_itself(tmp_path, folder):
    by = recogniser.load_model(trained.make_model(tmp_path / "weights.npz", spike_count=200))
    files = sounds.listed([folder])[:4]
    found = answers.answer(sounds.pieces(files, None, by.cochlea.seed), 4, by)
    backwards = answers.answer(sounds.pieces(files[::-1], None, by.cochlea.seed), 4, by)[::-1]
    assert trained.bits(one.probabilities for one in found) == trained.bits(one.probabilities for one in backwards)
    free = recogniser.load_model(trained.make_model(tmp_path / "weights.npz"))
    assert found[0].spikes > 400, "of which about half are taken away"
    louder = answers.answer(sounds.pieces(files, None, by.cochlea.seed), 4, free)
    assert trained.bits(one.probabilities for one in found) != trained.bits(one.probabilities for one in louder)


def test_more_samples_than_a_batch_takes(loaded, monkeypatch):
    samples = tiny.make_store(takes=1, classes=tuple(trained.WORDS))
    monkeypatch.setattr(recogniser, "AT_ONCE", 5)
    in_parts = recogniser.infer(loaded, samples)
    monkeypatch.undo()
    assert trained.bits(in_parts) == trained.bits(recogniser.infer(loaded, samples))


def test_a_waveform_decides_its_own_randomness(loaded):
    wave = np.sin(np.arange(400.0))
    first, again = (recogniser.encode(loaded, wave, 8000) for _ in range(2))
    assert trained.bits(first.sample(0)) == trained.bits(again.sample(0))
    other = recogniser.encode(loaded, wave, 8000, seed=1)
    assert trained.bits(first.sample(0)) != trained.bits(other.sample(0))
    assert first.times_ms.max() < loaded.trial_ms and first.class_names == tuple(trained.WORDS)


@pytest.mark.parametrize("kind", ["exponential", "max", "first_spike"])
def test_the_word_unfolds_to_the_answer(tmp_path, kind):
    by = recogniser.load_model(trained.make_model(tmp_path / "weights.npz", kind=kind))
    heard = recogniser.encode(by, np.sin(np.arange(400.0)), 8000)
    activity = recogniser.record(by, heard)
    logits = recogniser.unfolding(by, activity)
    assert logits.shape == (1, 40, 4)
    np.testing.assert_allclose(logits[:, -1], activity.inference.logits, rtol=1e-4, atol=1e-5)
    assert np.ptp(logits[0, 5:], axis=0).max() > 0
    likely, hidden = recogniser.infer(by, heard)
    np.testing.assert_allclose(recogniser.probabilities(logits[:, -1]), likely, atol=1e-5)
    assert hidden[0] == len(activity.hidden[0].steps) / 24 > 0


def test_outputs_that_are_no_numbers_are_refused(loaded):
    loud = {name: array * np.float32(1e38) for name, array in loaded.weights.items()}
    samples = tiny.make_store(takes=1, classes=tuple(trained.WORDS))
    with pytest.raises(DataError, match=r"weights\.npz are not finite numbers; train"), np.errstate(all="ignore"):
        recogniser.infer(dataclasses.replace(loaded, weights=loud), samples)

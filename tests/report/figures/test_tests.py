"""Figures of the test."""

import numpy as np

from eventspeech.report import figures


def test_confusion_is_in_percent_of_the_spoken_word(study):
    shown = figures.confusion(study, "gaussian").axes[0].collections[0].get_array()
    assert np.allclose(shown.reshape(len(study.classes), -1).sum(axis=1), 100)

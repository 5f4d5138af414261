"""The figures of the report: plain functions from results to matplotlib figures, nothing computed that a file holds."""

from eventspeech.report.figures.comparison import ablation, differences
from eventspeech.report.figures.cost import energy_by_time, profile
from eventspeech.report.figures.data import example, inputs, weightings
from eventspeech.report.figures.learning import activity, generalisation, mean_curves, training_curves
from eventspeech.report.figures.style import for_phones, look, png, save
from eventspeech.report.figures.tests import confusion, speakers, test_accuracy, time_steps

__all__ = [
    "ablation", "activity", "confusion", "differences", "energy_by_time", "example", "for_phones", "generalisation",
    "inputs", "look", "mean_curves", "png", "profile", "save", "speakers", "test_accuracy", "time_steps",
    "training_curves", "weightings",
]  # fmt: skip

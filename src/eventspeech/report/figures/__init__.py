"""The figures of the report: plain functions from results to matplotlib figures, nothing computed that a file holds."""

from eventspeech.report.figures.background import (
    cut_off,
    early_spikes,
    hodgkin_huxley,
    integrate_and_fire,
    izhikevich,
    shapes,
)
from eventspeech.report.figures.comparison import ablation, differences
from eventspeech.report.figures.cost import energy_by_time, profile
from eventspeech.report.figures.data import example, inputs, learned_weights, weightings
from eventspeech.report.figures.learning import activity, generalisation, mean_curves, training_curves
from eventspeech.report.figures.provenance import graph, stage_costs
from eventspeech.report.figures.style import for_phones, look, png, save
from eventspeech.report.figures.tests import confusion, speakers, test_accuracy, time_steps
from eventspeech.report.figures.tuning import tuning, tuning_slices

__all__ = [
    "ablation", "activity", "confusion", "cut_off", "differences", "early_spikes", "energy_by_time", "example",
    "for_phones", "generalisation", "graph", "hodgkin_huxley", "inputs", "integrate_and_fire", "izhikevich",
    "learned_weights", "look", "mean_curves", "png", "profile", "save", "shapes", "speakers", "stage_costs",
    "test_accuracy", "time_steps", "training_curves", "tuning", "tuning_slices", "weightings",
]  # fmt: skip

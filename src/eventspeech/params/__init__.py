"""The parameter file: every group, key, unit, default and bound, and errors that say what to do.

Groups are named like the stages that read them (:data:`READ_BY`), so that a changed key tells which stages rerun.
"""

from eventspeech.params.after import Baseline, Compare, Evaluate, Profile, Report
from eventspeech.params.file import load, validate
from eventspeech.params.groups import CHANNELS, Group, steps_in
from eventspeech.params.losses import SHAPE_DEFAULTS, WEIGHTED, Changes, Kind, Shape, Tuned
from eventspeech.params.network import Delays, Network
from eventspeech.params.reads import READ_BY, select
from eventspeech.params.speech import Cochlea, Download, Preprocess, Recordings, Synthetic
from eventspeech.params.study import Params, Study
from eventspeech.params.training import (
    Augmentation,
    Blend,
    Dilation,
    EaseIn,
    Optimiser,
    Regulariser,
    Schedule,
    SilentLift,
    Train,
    Validation,
)
from eventspeech.params.tune import Range, Tune

__all__ = [
    "CHANNELS",
    "READ_BY",
    "SHAPE_DEFAULTS",
    "WEIGHTED",
    "Augmentation",
    "Baseline",
    "Blend",
    "Changes",
    "Cochlea",
    "Compare",
    "Delays",
    "Dilation",
    "Download",
    "EaseIn",
    "Evaluate",
    "Group",
    "Kind",
    "Network",
    "Optimiser",
    "Params",
    "Preprocess",
    "Profile",
    "Range",
    "Recordings",
    "Regulariser",
    "Report",
    "Schedule",
    "Shape",
    "SilentLift",
    "Study",
    "Synthetic",
    "Train",
    "Tune",
    "Tuned",
    "Validation",
    "load",
    "select",
    "steps_in",
    "validate",
]

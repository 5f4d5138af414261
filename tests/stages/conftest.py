"""Fixtures of tiny trainings and of made-up studies."""

from support.studies import ablated, own, pristine  # noqa: F401
from support.training import parts, quick, spikes, spy, whole  # noqa: F401

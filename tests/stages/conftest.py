"""Fixtures of tiny trainings."""

from support.training import parts, quick, spikes, spy, whole  # noqa: F401

"""Fixtures of made-up studies."""

from support.studies import ablated, own, pristine, study  # noqa: F401

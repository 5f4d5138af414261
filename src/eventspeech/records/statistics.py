"""train.json and test.json: what `preprocess` says of a split."""

from pathlib import Path
from typing import Any

from eventspeech.records.reading import Fields, fields


def read(path: Path, split: str) -> dict[str, Any]:
    """Read the statistics of a split; :func:`eventspeech.stages.preprocess.describe` says what they are.

    Raises:
        DataError: the file is missing, damaged or another split's, or holds a number that cannot be.
    """
    found = fields(path, "preprocess")
    found.belongs(split=split)
    found.text("source")
    found.number("trial_ms", low=0)
    samples, speakers = found.count("samples", least=1), found.names("speakers", least=1)
    found.names("classes", least=1)
    spoken = found.object("samples_per_speaker")
    for name in spoken.content:
        spoken.count(name)
    told = sum(spoken.content.values())
    found.require("samples", told == samples, f"the {told} samples of its speakers")
    found.require("samples_per_speaker", set(spoken.content) <= set(speakers), "a tally of its speakers")
    _require_possible(found)
    return found.content


def _require_possible(found: Fields) -> None:
    """Refuse numbers below zero, or that are none, and fractions above one, however deep they stand."""
    for name, value in found.content.items():
        if isinstance(value, dict):
            _require_possible(found.object(name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.number(name, 0, 1 if name == "fraction" else float("inf"))

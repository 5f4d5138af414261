"""The verb ``benchmark``: speed on a synthetic load, as JSON."""

import argparse
import importlib
import json
import sys
from pathlib import Path

from eventspeech import files, machine

OPTIONS = {
    "encoder": ("seconds", "repeats"),
    "engine": (
        "engine", "hidden", "steps", "spikes", "rate", "batch", "samples", "threads", "repeats", "against", "limit",
    ),
    "epoch": ("engine", "hidden", "steps", "spikes", "rate", "batch", "samples", "evaluated", "repeats"),
    "gpu": ("steps", "spikes", "rate", "samples", "repeats"),
    "growth": ("rounds",),
}  # fmt: skip
"""What each benchmark takes."""


def run(arguments: argparse.Namespace) -> None:
    """Measure ``arguments.what`` and write the result, with the machine's facts.

    Args:
        arguments: the verb's options; ``json`` is the file to write, ``-`` for standard output.
    """
    # each module compiles on import or on call: only the one asked for is touched
    module = importlib.import_module(f"eventspeech.benchmarks.{arguments.what}")
    result = module.measure(**{name: getattr(arguments, name) for name in OPTIONS[arguments.what]})
    content = {"benchmark": arguments.what, **result, "machine": machine.facts()}
    if arguments.json == "-":
        sys.stdout.write(json.dumps(content, indent=2, allow_nan=False, default=_plain) + "\n")
    else:
        files.write_json(Path(arguments.json), content)
    if getattr(arguments, "plot", None) is not None:
        module.plot(result, arguments.plot)


def _plain(value):
    """Turn numpy's scalars and arrays into what JSON knows."""
    return value.tolist()

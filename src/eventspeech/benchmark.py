"""The verb ``benchmark``: speed on a synthetic load, as JSON."""

import argparse
import importlib
import json
import sys
from pathlib import Path

from eventspeech import files, machine

ENGINE_OPTIONS = ("engine", "hidden", "steps", "spikes", "rate", "batch", "samples", "threads", "repeats")


def run(arguments: argparse.Namespace) -> None:
    """Measure ``arguments.what`` (``encoder`` or ``engine``) and write the result, with the machine's facts.

    Args:
        arguments: the verb's options; ``json`` is the file to write, ``-`` for standard output.
    """
    # each module compiles on import or on call: only the one asked for is touched
    module = importlib.import_module(f"eventspeech.benchmark_{arguments.what}")
    if arguments.what == "encoder":
        result = module.measure(arguments.seconds, arguments.repeats)
    else:
        result = module.measure(**{name: getattr(arguments, name) for name in ENGINE_OPTIONS})
    content = {"benchmark": arguments.what, **result, "machine": machine.facts()}
    if arguments.json == "-":
        sys.stdout.write(json.dumps(content, indent=2, allow_nan=False, default=_plain) + "\n")
    else:
        files.write_json(Path(arguments.json), content)


def _plain(value):
    """Turn numpy's scalars and arrays into what JSON knows."""
    return value.tolist()

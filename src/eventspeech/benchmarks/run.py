"""The verb ``benchmark``: speed on a synthetic load, as JSON.

A benchmark is a module of this package, named in :data:`BENCHMARKS`, with ``add_options(parser)``, and ``measure``,
whose arguments these options are; one with an option ``plot`` has ``plot(result, path)``, too.
"""

import argparse
import importlib
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

BENCHMARKS = {
    "encoder": "Cochlea encoder, in CPU seconds per second of audio.",
    "engine": "Milliseconds per sample of inference and of a training step.",
    "epoch": "A whole training epoch, and the share of all that is not the engine.",
    "gpu": "Engine cuda: equality with cpu, determinism, limits, speed by size and batch.",
    "growth": "How the time of a training step grows with each size of the problem.",
}
"""What there is to measure: its module and what it says of itself."""


class _Parser(argparse.ArgumentParser):
    """The parser of one benchmark, whose module is imported and declares its options when it is asked for."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, with the benchmark's own options."""
        _module(self.get_default("what")).add_options(self)
        return super().parse_known_args(args, namespace)


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser("benchmark", help="Measure speed on a synthetic load.")
    what = verb.add_subparsers(dest="what", required=True, metavar="WHAT", parser_class=_Parser)
    for name, text in BENCHMARKS.items():
        one = what.add_parser(name, help=text, description=text)
        one.add_argument("--json", default="-", help="file to write, - for standard output")
        one.set_defaults(what=name)
    verb.set_defaults(function=run)


def run(arguments: argparse.Namespace) -> None:
    """Measure ``arguments.what`` and write the result, with the machine's facts.

    Args:
        arguments: the verb's options; ``json`` is the file to write, ``-`` for standard output.
    """
    from eventspeech import files, machine

    module = _module(arguments.what)
    taken = inspect.signature(module.measure).parameters
    result = module.measure(**{name: value for name, value in vars(arguments).items() if name in taken})
    content = {"benchmark": arguments.what, **result, "machine": machine.facts()}
    if arguments.json == "-":
        sys.stdout.write(json.dumps(content, indent=2, allow_nan=False, default=_plain) + "\n")
    else:
        files.write_json(Path(arguments.json), content)
    if getattr(arguments, "plot", None) is not None:
        module.plot(result, arguments.plot)


def _module(name: str) -> ModuleType:
    """Return the module of a benchmark; the others stay untouched, for each compiles on import or on call."""
    return importlib.import_module(f"eventspeech.benchmarks.{name}")


def _plain(value: Any) -> Any:
    """Turn numpy's scalars and arrays into what JSON knows."""
    return value.tolist()

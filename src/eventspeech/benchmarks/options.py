"""Options that benchmarks share."""

import argparse
import math
from pathlib import Path

FORMATS = (".png", ".svg", ".pdf")


def positive(text: str) -> int:
    """Return a number of things, of which there is at least one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def above_zero(text: str) -> float:
    """Return a finite number above zero."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def figure(text: str) -> Path:
    """Return the path of a figure; a format that cannot be drawn is refused before anything is measured."""
    if Path(text).suffix not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text} does not end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    return Path(text)


def add_repeats(parser: argparse.ArgumentParser, repeats: int) -> None:
    """Declare how often to measure."""
    parser.add_argument("--repeats", type=positive, default=repeats, help="measured runs; the median counts")


def add_load(parser: argparse.ArgumentParser, samples: int) -> None:
    """Declare the sizes of `benchmarks.load`."""
    parser.add_argument("--steps", type=positive, default=1000)
    parser.add_argument("--spikes", type=positive, default=8000, help="input spikes per sample")
    parser.add_argument("--rate", type=above_zero, default=14.0, help="hidden spikes per neuron and trial to aim at")
    parser.add_argument("--samples", type=positive, default=samples)


def add_size(parser: argparse.ArgumentParser) -> None:
    """Declare the sizes of a network and of a batch."""
    parser.add_argument("--hidden", type=positive, default=512)
    parser.add_argument("--batch", type=positive, default=32)

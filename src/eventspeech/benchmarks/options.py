"""Options that benchmarks share."""

import argparse


def positive(text: str) -> int:
    """Return a number of things, of which there is at least one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def add_repeats(parser: argparse.ArgumentParser, repeats: int) -> None:
    """Declare how often to measure."""
    parser.add_argument("--repeats", type=positive, default=repeats, help="measured runs; the median counts")


def add_load(parser: argparse.ArgumentParser, samples: int) -> None:
    """Declare the sizes of `benchmarks.load`."""
    parser.add_argument("--steps", type=positive, default=1000)
    parser.add_argument("--spikes", type=positive, default=8000, help="input spikes per sample")
    parser.add_argument("--rate", type=float, default=14.0, help="hidden spikes per neuron and trial to aim at")
    parser.add_argument("--samples", type=positive, default=samples)


def add_size(parser: argparse.ArgumentParser) -> None:
    """Declare the sizes of a network and of a batch."""
    parser.add_argument("--hidden", type=positive, default=512)
    parser.add_argument("--batch", type=positive, default=32)

"""What the refractory period costs: CPU time of a gradient by this code and by another version, taken by turns.

    python docs/measurements/refractory_speed.py OTHER/src rounds refractory_speed.csv

OTHER is a checkout with its C kernels built; 756470f is the last one without a refractory period. One recurrent layer,
700 inputs, 8000 input spikes, 1000 steps, batches of 32, one thread; equal weights and spike trains. Each version has a
process of its own; in a round each case is timed once, all in new order. Rows: hidden neurons, case, spikes per neuron
and trial, median, least and most milliseconds of CPU time a sample, and of the ratio to the other version in a round.
"""

import csv
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = 128, 512
CASES = {"before": None, "no refractory period": 0, "refractory period of 1 step": 1}
RATE, SAMPLES = 14.0, 32
COLUMNS = (
    "hidden", "case", "spikes_per_neuron", "ms_median", "ms_low", "ms_high", "ratio_median", "ratio_low", "ratio_high",
)  # fmt: skip


def answer(work: Path, hidden: int) -> None:
    """Time a gradient whenever a line asks for it: the refractory period in steps, or an empty line for none."""
    from eventspeech import losses, network
    from eventspeech.data.batches import Batch
    from eventspeech.engines.cpu import CpuEngine
    from eventspeech.params import Regulariser, Shape

    arrays = dict(np.load(work))
    batch = Batch(*(arrays.pop(name) for name in Batch._fields))
    objective = losses.objective(Shape(kind="exponential"), 1000, Regulariser(strength=1e-8))
    engines = {}
    for line in sys.stdin:
        held = line.strip()
        if held not in engines:
            extra = {"refractory_steps": int(held)} if held else {}
            on = network.Network(700, (hidden,), 20, True, 1000, 1.0, 20.0, 5.0, **extra)
            engines[held] = CpuEngine(on, 1)
            engines[held].gradients(arrays, batch, objective)
        began = time.process_time()
        found = engines[held].gradients(arrays, batch, objective)
        took = time.process_time() - began
        print(took, found.inference.spike_counts[0].mean(), flush=True)


def start(source: Path, work: Path, hidden: int) -> subprocess.Popen:
    """Start a process of a version."""
    command = [sys.executable, __file__, "answer", str(work), str(hidden)]
    there = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=there, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def ask(process: subprocess.Popen, held: int | None) -> tuple[float, float]:
    """Return the seconds of one gradient, and spikes per neuron and trial."""
    process.stdin.write(f"{'' if held is None else held}\n")
    took, spikes = process.stdout.readline().split()
    return float(took), float(spikes)


def load(path: Path, hidden: int) -> None:
    """Write weights and a batch."""
    from eventspeech import losses
    from eventspeech.benchmarks import load
    from eventspeech.engines.cpu import CpuEngine
    from eventspeech.params import Shape

    engine, batch = CpuEngine(load.network_of(hidden, 1000), 1), load.load(SAMPLES, 1000, 8000)
    weights = load.weights_for_rate(engine, batch, losses.objective(Shape(kind="exponential"), 1000), RATE)
    np.savez(path, **weights, **batch._asdict())


def spread(values: list[float]) -> list[str]:
    """Return median, least and most as text."""
    return [f"{value:.3f}" for value in (statistics.median(values), min(values), max(values))]


def main(other: str, rounds: str, table: str) -> None:
    """Measure every size and case."""
    rows = []
    for hidden in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / "work.npz"
            load(work, hidden)
            here = Path(__import__("eventspeech").__file__).parents[1]
            asked = {name: start(Path(other) if held is None else here, work, hidden) for name, held in CASES.items()}
            spikes = {name: ask(asked[name], held)[1] for name, held in CASES.items()}
            seconds = {name: [] for name in CASES}
            for _ in range(int(rounds)):
                for name in random.sample(list(CASES), len(CASES)):
                    seconds[name].append(ask(asked[name], CASES[name])[0])
            for process in asked.values():
                process.stdin.close()
                process.wait()
        for name in CASES:
            ratios = [one / before for one, before in zip(seconds[name], seconds["before"], strict=True)]
            milliseconds = [1000 * one / SAMPLES for one in seconds[name]]
            rows.append([hidden, name, f"{spikes[name]:.2f}", *spread(milliseconds), *spread(ratios)])
    with open(table, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    if sys.argv[1] == "answer":
        answer(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(*sys.argv[1:])

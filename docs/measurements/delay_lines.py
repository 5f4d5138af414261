"""Time of a training step by the number of copies of the input, of two versions that take turns, on recorded spikes.

    python docs/measurements/delay_lines.py BEFORE AFTER SPIKES.npz OUT.json
    python docs/measurements/delay_lines.py limits OUT.json

BEFORE and AFTER are checkouts with compiled kernels. The recipe is that of the preset `arabic-commands`: steps of 2 ms,
copies 30 ms apart, batches of 32, learned time constants, a recurrent layer whose input weights are scaled to 14 spikes
per neuron. CPU seconds of one thread, since the machine has other work; of each point the median over rounds.
`limits` runs `benchmark engine` at the same points and at that of its defaults (512 hidden, 1000 steps, one copy), each
with the machine's limit from the same minute.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from eventspeech import losses, machine, network, params
from eventspeech.benchmarks import engine as engine_benchmark
from eventspeech.benchmarks import load
from eventspeech.data import batches, store
from eventspeech.data.batches import Batch
from eventspeech.engines.cpu import CpuEngine
from eventspeech.learning.adam import Adam
from eventspeech.learning.trainer import Trainer
from eventspeech.params import Delays, Regulariser, Shape
from eventspeech.params import Network as NetworkParams

STEP_MS, INTERVAL_MS, BATCH, BATCHES, TRIAL_MS = 2.0, 30.0, 32, 3, 1000.0
POINTS = [(hidden, copies) for hidden in (256, 512) for copies in (1, 5, 10)]
ROUNDS, EPOCHS, LIMITS = 5, 2, 9
EPOCH = (256, 10)
"""Hidden neurons and copies of the epoch that is measured, too."""
HELD_OUT = ("a02", "a07", "a08", "a12", "a21", "a25")


def main(before: str, after: str, spikes: str, out: str) -> None:
    """Measure all points by turns and write medians, ranges and the ratio within a round."""
    trees = {"before": Path(before), "after": Path(after)}
    rows = []
    for what, rounds in (("steps", ROUNDS), ("epoch", EPOCHS)):
        found: dict[str, list[list[dict]]] = {name: [] for name in trees}
        for _ in range(rounds):
            for name, tree in trees.items():
                command = [sys.executable, str(Path(__file__).resolve()), what, str(Path(spikes).resolve())]
                environment = os.environ | {"PYTHONPATH": str(tree.resolve() / "src")}
                answer = subprocess.check_output(command, text=True, cwd=tree, env=environment)
                found[name].append(json.loads(answer))
                print(what, name, answer, file=sys.stderr, flush=True)
        rows += [joined(*point) for point in zip(*(zip(*found[name], strict=True) for name in trees), strict=True)]
    commits = {name: commit(tree) for name, tree in trees.items()}
    content = {"unit": "CPU ms per sample", "rounds": ROUNDS, "epochs": EPOCHS, "commits": commits, "rows": rows}
    Path(out).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def joined(before: tuple[dict, ...], after: tuple[dict, ...]) -> dict:
    """Return the rounds of one point in one row."""
    row = {key: value for key, value in after[-1].items() if key not in ("cpu_ms_per_sample", "bits")}
    row["same_bits"] = len({one["bits"] for one in before + after}) == 1
    times = {
        name: [one["cpu_ms_per_sample"] for one in found] for name, found in (("before", before), ("after", after))
    }
    times["ratio"] = [old / new for old, new in zip(times["before"], times["after"], strict=True)]
    return row | {
        name: {"median": statistics.median(values), "low": min(values), "high": max(values)}
        for name, values in times.items()
    }


def limits(out: str) -> None:
    """Measure the distance of each point to the limit that `benchmark engine` counts."""
    line = {"steps": round(TRIAL_MS / STEP_MS), "interval_ms": INTERVAL_MS, "learned": True}
    points = [{"hidden": hidden, "copies": copies, **line} for hidden, copies in POINTS]
    rows = [engine_benchmark.measure(**point, threads=1, samples=2 * BATCH, repeats=LIMITS) for point in [*points, {}]]
    Path(out).write_text(json.dumps({"rows": rows, "machine": machine.facts()}, indent=2) + "\n", encoding="utf-8")


def commit(tree: Path) -> str:
    """Return what a checkout holds."""
    return subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=tree, text=True).strip()


def steps(spikes: str) -> list[dict]:
    """Measure training steps without augmentation at all points: gradients and Adam."""
    samples = store.load(Path(spikes))
    samples = samples.select(np.random.default_rng(0).permutation(len(samples))[: BATCH * BATCHES])
    data = batches.on_grid(samples, STEP_MS, round(TRIAL_MS / STEP_MS))
    return [step(data, *point) for point in POINTS]


def step(data: Batch, hidden: int, copies: int) -> dict:
    """Measure steps of one network."""
    delays = Delays(copies=copies, interval_ms=INTERVAL_MS)
    on = network.build(NetworkParams(hidden=[hidden], step_ms=STEP_MS, delays=delays), load.CLASSES, TRIAL_MS)
    engine = CpuEngine(on, 1)
    objective = losses.objective(Shape(kind="exponential"), on.steps, Regulariser(strength=1e-8))
    parts = [batches.take(data, np.arange(i * BATCH, (i + 1) * BATCH)) for i in range(BATCHES)]
    weights = load.weights_for_rate(engine, parts[0], objective, 14.0)
    weights |= {f"hidden1_{kind}": np.full(1, getattr(on, kind), np.float32) for kind in network.TIME_CONSTANTS}
    optimiser = Adam(weights, 0.9, 0.999, 1e-8)
    seconds = []
    for part in [parts[0], *parts]:  # the first warms up
        start = time.process_time()
        found = engine.gradients(weights, part, objective)
        optimiser.step(weights, found.weights, 0.0)
        seconds.append(time.process_time() - start)
    digest = hashlib.sha256(b"".join(found.weights[name].tobytes() for name in sorted(found.weights))).hexdigest()
    return {
        "what": "step",
        "hidden": hidden,
        "copies": copies,
        "input_spikes_per_sample": len(data.steps) / len(data),
        "hidden_spikes_per_neuron": float(np.mean(found.inference.spike_counts[0])),
        "cpu_ms_per_sample": 1000 * statistics.median(seconds[1:]) / BATCH,
        "bits": digest,
    }


def epoch(spikes: str) -> list[dict]:
    """Measure an epoch as the stage `train` runs it, on the voices to learn from."""
    samples = store.load(Path(spikes))
    held_out = [samples.speaker_names.index(name) for name in HELD_OUT]
    samples = samples.select(np.flatnonzero(~np.isin(samples.speakers, held_out)))
    hidden, copies = EPOCH
    delays = {"copies": copies, "interval_ms": INTERVAL_MS}
    content = {
        "study": {"losses": ["loss"], "seeds": [0]},
        "shape": {"loss": {"kind": "exponential"}},
        "validation": {"speakers": ["nobody"]},
        "network": {"hidden": [hidden], "step_ms": STEP_MS, "delays": delays, "input_mean": 0.003, "input_sd": 0.001},
        "preprocess": {"trial_ms": TRIAL_MS},
        "optimiser": {"learning_rate": 0.003, "tau_syn_min_ms": 2, "learn_time_constants": "population"},
        "train": {"batch_size": BATCH},
        "augmentation": {"shift_channels": 40},
        "compare": {"reference": "loss"},
        "profile": {"loss": "loss"},
    }
    trainer = Trainer(params.validate(content), "loss", 0, samples)
    start = time.process_time()
    result = trainer.epoch(1)
    seconds = time.process_time() - start
    return [
        {
            "what": "epoch",
            "hidden": hidden,
            "copies": copies,
            "samples": len(samples),
            "hidden_spikes_per_neuron": float(result.hidden_spikes),
            "cpu_ms_per_sample": 1000 * seconds / len(samples),
            "bits": result.loss,
        }
    ]


if __name__ == "__main__":
    if sys.argv[1] in ("steps", "epoch"):
        print(json.dumps({"steps": steps, "epoch": epoch}[sys.argv[1]](sys.argv[2])))
    elif sys.argv[1] == "limits":
        limits(sys.argv[2])
    else:
        main(*sys.argv[1:])

"""What makes trained networks hold at other time steps, and how refractory periods train.

    python docs/measurements/time_step_training.py train NAME LOSS SEED params.yaml data/spikes/train.npz fresh.npz \\
        time_step_training.csv CHANGES
    python docs/measurements/time_step_training.py restart NAME LOSS SEED params.yaml data/spikes/train.npz - \\
        time_step_restart.csv CHANGES

CHANGES is JSON laid over the parameters; beside their groups it may hold `mixed` (epochs drawn at random, half of them,
run at half the step with a refractory period of that length), `epochs` and `published_jump` (the adjoint of a neuron
with a refractory period jumps by the published factor (Z + 1) / Z in place of I at the restart over Z). `train` trains
as the stage does and reads the chosen epoch on ``fresh.npz`` (`time_step_holds.py`); `restart` writes a row an epoch:
loss, accuracies, spikes per neuron, neurons that were silent in the whole epoch, median Z, and of the norm of each
gradient the median over the batches and the largest in units of it. Rows are added to the table.
"""

import csv
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np
import yaml

from eventspeech import losses, network, params
from eventspeech.data import augmentation, batches, store
from eventspeech.engines.cpu import CpuEngine
from eventspeech.learning import folds
from eventspeech.learning.trainer import Trainer

READ = (1.0, 0), (0.5, 0), (0.25, 0), (0.1, 0), (0.5, 1), (0.25, 1), (0.25, 2), (0.1, 4), (0.1, 5)
"""Step in ms, refractory period in steps."""

BATCH = 32

GRADIENTS = "input", "recurrent", "output"
COLUMNS = {
    "train": (
        "name", "loss", "seed", "epoch", "best_validation", "training_cpu_s", "step_ms", "refractory_steps", "accuracy",
        "agreement", "spikes_per_neuron",
    ),
    "restart": (
        "name", "loss", "seed", "epoch", "training_loss", "training", "validation", "spikes_per_neuron",
        "silent_neurons", "bounded_denominators", "z_median", *(f"norm_{name}" for name in GRADIENTS),
        *(f"largest_{name}" for name in GRADIENTS),
    ),
}  # fmt: skip


def laid_over(content: dict, changes: dict) -> dict:
    """Return parameters with others laid over them."""
    both = {name: laid_over(content[name], changes[name]) for name in changes if isinstance(changes[name], dict)}
    return content | changes | both


class Study:
    """A training and its data, with the changes made."""

    def __init__(self, loss: str, seed: int, parameters: str, spikes: str, changes: dict):
        self.changes = {name: changes.pop(name, None) for name in ("mixed", "epochs", "published_jump")}
        content = yaml.safe_load(Path(parameters).read_text(encoding="utf-8"))
        content["evaluate"]["steps_ms"] = []
        self.params = params.validate(laid_over(content, changes))
        self.training, held_out = folds.split(self.params, store.load(Path(spikes)))
        self.trainer = Trainer(self.params, loss, seed, self.training)
        self.held_out = self.trainer.for_validation(held_out)
        self.epochs = self.changes["epochs"] or self.params.train.epochs
        if self.changes["published_jump"]:
            self.wrap("adjoint_hidden", lambda layer: layer._replace(restarts=layer.denominators + 1))

    def wrap(self, name: str, change) -> None:
        """Let a kernel take another layer."""
        kernels = self.trainer.engine.kernels
        real = getattr(kernels, name)
        setattr(kernels, name, lambda layer, **others: real(change(layer), **others))

    def half_step(self, seed: int) -> tuple:
        """Return engine, objective and samples at half the step, with a refractory period of one such step."""
        on = self.trainer.network
        there = dataclasses.replace(network.at_step(on, on.step_ms / 2), refractory_steps=2 * on.refractory_steps + 1)
        objective = losses.objective(self.trainer.shape, there.steps, self.params.optimiser.regulariser)
        binned = batches.on_grid(self.training, there.step_ms, there.steps)
        shown = augmentation.Augmentation(self.params.augmentation, binned, there.steps, seed)
        return CpuEngine(there), objective, shown


def train(study: Study, name: str, loss: str, seed: int, fresh: str) -> list[list]:
    """Train, choose the epoch, and return rows of what it does at other steps."""
    trainer, rng = study.trainer, np.random.default_rng(seed)
    home = trainer.engine, trainer._objective, trainer.augmentation
    half = study.half_step(seed) if study.changes["mixed"] else home
    best, kept, began = (-1.0, 0.0), (0, {}), time.process_time()
    for number in range(1, study.epochs + 1):
        chosen = half if rng.random() < 0.5 else home
        trainer.engine, trainer._objective, trainer.augmentation = chosen
        trainer.epoch(number)
        trainer.engine, trainer._objective, trainer.augmentation = home
        found = trainer.validate(study.held_out)
        if (found.accuracy, -found.loss) > best:
            best = found.accuracy, -found.loss
            kept = number, {key: array.copy() for key, array in trainer.weights.items()}
    took, samples, rows, trained = time.process_time() - began, store.load_test(Path(fresh)), [], None
    for step_ms, held in READ:
        there = dataclasses.replace(network.at_step(trainer.network, step_ms), refractory_steps=held)
        predictions, spikes = read(study, there, kept[1], samples)
        trained = predictions if trained is None else trained
        shares = np.mean(predictions == samples.labels), np.mean(predictions == trained)
        job = name, loss, seed, kept[0], f"{best[0]:.4f}", f"{took:.1f}", f"{step_ms:g}", held
        rows.append([*job, *(f"{share:.4f}" for share in shares), f"{spikes:.2f}"])
    return rows


def read(study: Study, on: network.Network, weights: network.Weights, samples: store.SpikeStore):
    """Return predictions int64[S] and spikes per neuron and trial."""
    engine, objective = CpuEngine(on), losses.objective(study.trainer.shape, on.steps)
    binned, found, spikes = batches.on_grid(samples, on.step_ms, on.steps), [], 0.0
    for first in range(0, len(binned), BATCH):
        part = batches.take(binned, np.arange(first, min(first + BATCH, len(binned))))
        one = engine.infer(weights, part, objective)
        found.append(one.predictions)
        spikes += sum(float(counts.sum()) for counts in one.spike_counts)
    return np.concatenate(found), spikes / (len(binned) * sum(on.hidden))


def restart(study: Study, name: str, loss: str, seed: int, _: str) -> list[list]:
    """Train, and return a row an epoch."""
    trainer, norms, denominators, rows = study.trainer, [], [], []
    real = trainer.engine.gradients

    def seen(weights, batch, objective):
        found = real(weights, batch, objective)
        norms.append([float(np.linalg.norm(array)) for key, array in found.weights.items() if "tau" not in key])
        return found

    def watched(layer):
        used = (row[: starts[-1]] for row, starts in zip(layer.denominators, layer.starts, strict=True))
        denominators.append(float(np.median(np.concatenate(list(used)))))
        return layer

    trainer.engine.gradients = seen
    study.wrap("adjoint_hidden", watched)
    for number in range(1, study.epochs + 1):
        norms.clear()
        denominators.clear()
        learned, held_out = trainer.epoch(number), trainer.validate(study.held_out)
        medians = np.median(norms, axis=0)
        told = learned.loss, learned.accuracy, held_out.accuracy, learned.hidden_spikes, int(trainer.silent[0].sum())
        ratios = np.max(norms, axis=0) / medians
        numbers = [*told, learned.floored_fraction, np.median(denominators), *medians, *ratios]
        rows.append([name, loss, seed, number, *(f"{value:.4g}" for value in numbers)])
    return rows


def main(
    what: str, name: str, loss: str, seed: str, parameters: str, spikes: str, fresh: str, table: str, changes: str
):
    """Make the rows and add them to the table."""
    study = Study(loss, int(seed), parameters, spikes, json.loads(changes))
    rows = {"train": train, "restart": restart}[what](study, name, loss, int(seed), fresh)
    new = not Path(table).exists()
    with open(table, "a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS[what]] * new + rows)


if __name__ == "__main__":
    main(*sys.argv[1:])

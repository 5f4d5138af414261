"""Train one network on the same recordings with engine `genn` and with mlGeNN: the same weights, the same order.

    python docs/measurements/mlgenn_training.py data/spikes/train.npz mlgenn_training.csv

Needs PyGeNN and mlGeNN (CPU backends, hence batches of 1). One recurrent layer, exponential weighting, spike-count
regulariser, Adam; one sample in five is held out. After each epoch both sets of weights are judged by engine `cpu`.
mlGeNN's gradients are ours divided by tau_mem, and so are its strength and epsilon. It runs the backward pass of a
sample with the forward pass of the next, and never that of an epoch's last.
"""

import contextlib
import csv
import sys
import tempfile
from pathlib import Path

import numpy as np

from eventspeech import engines, losses, seeds
from eventspeech.benchmarks import load
from eventspeech.benchmarks import mlgenn as benchmark_mlgenn
from eventspeech.data import batches, store
from eventspeech.engines.genn import install
from eventspeech.engines.genn.build import output_to
from eventspeech.learning.adam import Adam
from eventspeech.losses import Objective
from eventspeech.network import Network, Weights
from eventspeech.params import CHANNELS, Regulariser, Shape

HIDDEN, STEPS, STEP_MS, TAU_MEM_MS, TAU_SYN_MS = 64, 500, 2.0, 20.0, 5.0
EPOCHS, LEARNING_RATE, EPSILON, STRENGTH, RATE = 20, 4e-3, 1e-8, 2e-9, 8.0


def orders(samples: int):
    """Yield the order of each epoch."""
    for epoch in range(EPOCHS):
        yield seeds.generator(0, "order", epoch).permutation(samples)


def train_ours(on: Network, weights: Weights, data: batches.Batch, objective: Objective):
    """Yield the weights after each epoch of engine `genn`."""
    weights = {name: array.copy() for name, array in weights.items()}
    engine = engines.create("genn", on, batch_size=1)
    optimiser = Adam(weights, 0.9, 0.999, EPSILON * TAU_MEM_MS)
    for order in orders(len(data)):
        for index in order:
            gradients = engine.gradients(weights, batches.take(data, np.array([index])), objective)
            optimiser.step(weights, gradients.weights, LEARNING_RATE)
        yield weights


def train_theirs(on: Network, weights: Weights, data: batches.Batch, objective: Objective):
    """Yield the weights after each epoch of mlGeNN."""
    from ml_genn.compilers import EventPropCompiler
    from ml_genn.optimisers import Adam as TheirAdam

    inputs, labels = benchmark_mlgenn._spike_trains(data, on), data.labels.astype(np.uint8)
    model, entry, _, outputs = benchmark_mlgenn._network(on, weights, max(len(one.spike_times) for one in inputs))
    compiled = EventPropCompiler(
        example_timesteps=on.steps, losses="sparse_categorical_crossentropy", max_spikes=2 * on.steps + 2,
        reg_lambda_upper=STRENGTH / TAU_MEM_MS, reg_lambda_lower=STRENGTH / TAU_MEM_MS,
        reg_nu_upper=objective.regulariser_target, optimiser=TheirAdam(LEARNING_RATE, epsilon=EPSILON),
        dt=on.step_ms, batch_size=1, backend=install.CPU, optimize_code=True,
    ).compile(model, "training")  # fmt: skip
    with compiled:
        for epoch, order in enumerate(orders(len(data))):
            shown = {entry: [inputs[i] for i in order]}, {outputs: labels[order]}
            compiled.train(*shown, 1, start_epoch=epoch, shuffle=False, callbacks=[])
            yield {name: _pulled(g) for name, g in zip(weights, compiled.connection_populations.values(), strict=True)}


def _pulled(group) -> np.ndarray:
    group.vars["g"].pull_from_device()
    return group.vars["g"].view.reshape(group.src.num_neurons, -1).copy()


def draw(table: Path) -> None:
    """Draw the curves of a table that :func:`main` wrote, as a PNG beside it."""
    import matplotlib.pyplot as plt
    import pandas as pd

    from eventspeech.report.figures.style import COLOURS, STYLE

    rows = pd.read_csv(table)
    with plt.style.context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(6.4, 2.6), layout="constrained")
        for (name, unit), panel in zip({"loss": 1, "accuracy": 100}.items(), panels, strict=True):
            for (engine, curve), colour in zip(rows.groupby("engine"), COLOURS, strict=False):
                for part, line in {"training": "-", "validation": "--"}.items():
                    label = f"{engine}, {'held out' if part == 'validation' else part}"
                    panel.plot(curve["epoch"], unit * curve[f"{part}_{name}"], line, color=colour, label=label)
            panel.set(xlabel="epoch", ylabel="accuracy (%)" if unit == 100 else "mean loss")
            panel.xaxis.get_major_locator().set_params(integer=True)
        panels[0].legend()
        figure.savefig(table.with_suffix(".png"))


def main(spikes: Path, out: Path) -> None:
    """Train both, write the curves and draw them."""
    samples = store.load(spikes)
    on = Network(CHANNELS, (HIDDEN,), len(samples.class_names), True, STEPS, STEP_MS, TAU_MEM_MS, TAU_SYN_MS)
    data = batches.on_grid(samples, STEP_MS, STEPS)
    chosen = seeds.generator(0, "held out").permutation(len(data))
    cut = len(data) // 5
    parts = {"validation": batches.take(data, chosen[:cut]), "training": batches.take(data, chosen[cut:])}
    objective = losses.objective(Shape(kind="exponential"), STEPS, Regulariser(strength=STRENGTH))
    judge = engines.create("cpu", on)
    weights = load.weights_for_rate(judge, batches.take(data, chosen[:32]), objective, RATE)
    rows = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), output_to(2):
        for engine, train in {"genn": train_ours, "mlgenn": train_theirs}.items():
            for epoch, found in enumerate(train(on, weights, parts["training"], objective), 1):
                row = {"engine": engine, "epoch": epoch}
                for name, part in parts.items():
                    seen = judge.infer(found, part, objective)
                    row[f"{name}_loss"] = round(float(seen.losses.mean()), 4)
                    row[f"{name}_accuracy"] = round(float(np.mean(seen.predictions == part.labels)), 4)
                row["spikes_per_neuron"] = round(float(seen.spike_counts[0].mean()), 2)
                rows.append(row)
    with out.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    draw(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())

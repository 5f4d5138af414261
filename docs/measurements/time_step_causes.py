"""Why a trained network does not compute the same at a finer step: each suspected cause alone, on the same weights.

    python docs/measurements/time_step_causes.py params.yaml data/spikes/train.npz results/train time_step_causes.csv

Every model of a study (one hidden layer, losses that weigh the voltage) runs on the speakers that chose its epoch, at
finer steps and under changed dynamics; nothing is trained anew. Accuracy, spikes per neuron and trial, and the share of
predictions as at the trained step under the published dynamics.
"""

import csv
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from eventspeech import losses, network, params
from eventspeech.data import batches, store
from eventspeech.data.batches import Batch
from eventspeech.engines.equations import coefficients
from eventspeech.engines.event_driven.numba.launches import NumbaKernels
from eventspeech.learning import folds
from eventspeech.params import Shape
from eventspeech.records import model as model_file

STEPS_MS = 1.0, 0.5, 0.25, 0.2, 0.1
COLUMNS = "loss", "seed", "dynamics", "step_ms", "accuracy", "spikes_per_neuron", "agreement"


class Dynamics(NamedTuple):
    """What differs from the published dynamics.

    Attributes:
        refractory_ms: the voltage is held for so long after the step of a spike; None for none.
        delay_ms: from a spike to its targets; None for one step.
        interpolated: a spike lies where a straight line crosses the threshold; what is left of its step counts after
            the reset, and its arrival is shared out between two steps.
        overshoot_kept: the reset subtracts the threshold.
        trained_inputs: events stay on the grid of the training.
    """

    refractory_ms: float | None = None
    delay_ms: float | None = None
    interpolated: bool = False
    overshoot_kept: bool = False
    trained_inputs: bool = False


VARIANTS = {
    "published": Dynamics(),
    "inputs on the trained grid": Dynamics(trained_inputs=True),
    "synaptic delay 1 ms": Dynamics(delay_ms=1.0),
    "overshoot kept": Dynamics(overshoot_kept=True),
    "interpolated crossing": Dynamics(interpolated=True),
    "refractory period 0.5 ms": Dynamics(refractory_ms=0.5),
    "refractory period 0.5 ms, synaptic delay 1 ms": Dynamics(refractory_ms=0.5, delay_ms=1.0),
    "refractory period 0.5 ms, interpolated crossing": Dynamics(refractory_ms=0.5, interpolated=True),
    "refractory period 1 ms": Dynamics(refractory_ms=1.0),
}


@numba.njit(parallel=True)
def simulate(events, inputs, delays, into, within, out, hidden, output, weighting, held, delay, interpolated, kept):
    """Return logits [S, O] and hidden spikes int64[S]; ``events`` and ``delays`` as in `engines.event_driven.numba`.

    ``hidden`` and ``output`` are a, b and c of `engines.equations`; ``held`` and ``delay`` are in steps.
    """
    rows, starts = events
    (a, b, c), (a_out, b_out, c_out) = hidden, output
    samples, steps = starts.shape[0], starts.shape[1] - 1
    logits, spikes = np.zeros((samples, out.shape[1])), np.zeros(samples, np.int64)
    for s in numba.prange(samples):
        voltage, current = np.zeros((2, within.shape[0]), np.float32)
        out_voltage, out_current = np.zeros((2, out.shape[1]), np.float32)
        free = np.zeros(within.shape[0], np.int64)
        part = np.ones(within.shape[0], np.float32)  # of the step of the last spike, before it
        coming = np.zeros((delay + 2, within.shape[0]), np.float32)
        out_coming = np.zeros((delay + 2, out.shape[1]), np.float32)
        for n in range(steps):
            logits[s] += weighting[n] * out_voltage
            out_voltage = a_out * out_voltage + c_out * out_current
            out_current = b_out * out_current
            for j in range(within.shape[0]):
                before = voltage[j]
                voltage[j] = 0 if n < free[j] else a * before + c * current[j]
                if voltage[j] >= 1:
                    spikes[s] += 1
                    free[j] = n + 1 + held
                    part[j] = (1 - before) / (voltage[j] - before) if interpolated else 1
                    early, late = (n + delay) % (delay + 2), (n + delay + 1) % (delay + 2)
                    share = 1 - part[j] if interpolated else np.float32(1)
                    coming[early] += share * within[j]
                    coming[late] += (1 - share) * within[j]
                    out_coming[early] += share * out[j]
                    out_coming[late] += (1 - share) * out[j]
                    voltage[j] = voltage[j] - 1 if kept else np.float32(0)
                if free[j] == n + 1 and interpolated:
                    voltage[j] = (1 - part[j]) * c * current[j]
            current = b * current
            for copy in range(len(delays)):
                if n >= delays[copy]:
                    for e in range(starts[s, n - delays[copy]], starts[s, n - delays[copy] + 1]):
                        current += into[copy * inputs + rows[e]]
            place = (n + 1) % (delay + 2)
            current += coming[place]
            out_current += out_coming[place]
            coming[place] = 0
            out_coming[place] = 0
    return logits, spikes


def run(model: model_file.Model, samples: store.SpikeStore, step_ms: float, dynamics: Dynamics):
    """Return predictions int64[S] and spikes per neuron."""
    weights, on = model.arrays, model_file.network_of(model)
    there = network.at_step(on, step_ms)
    batch = batches.on_grid(samples, *((on if dynamics.trained_inputs else there).step_ms, there.steps))
    if dynamics.trained_inputs:
        ratio = round(on.step_ms / step_ms)
        batch = Batch(batch.offsets, (batch.steps * ratio + ratio - 1).astype(np.int32), batch.channels, batch.labels)
    starts = NumbaKernels(np.float32, 1).starts(batch.steps, batch.offsets, there.steps)
    constants = (network.time_constants(there, weights, name) for name in ("hidden1", "output"))
    hidden, output = (coefficients(step_ms, *(found.astype(np.float32) for found in pair)) for pair in constants)
    weighting = losses.on_grid(Shape(**model.meta["shape"]), there.steps) / there.steps
    logits, spikes = simulate(
        (batch.channels, starts), there.inputs, np.array(there.delay_steps), weights["input_hidden1"],
        weights["hidden1_hidden1"], weights["hidden1_output"],
        tuple(np.float32(x[0]) for x in hidden[:3]), tuple(np.float32(x[0]) for x in output[:3]), weighting,
        round((dynamics.refractory_ms or 0) / step_ms), round((dynamics.delay_ms or step_ms) / step_ms),
        dynamics.interpolated, dynamics.overshoot_kept,
    )  # fmt: skip
    return logits.argmax(axis=1), spikes.mean() / sum(on.hidden)


def measure(path: Path, samples: store.SpikeStore):
    """Yield a row for each kind of dynamics and step."""
    model = model_file.load(path)
    trained = run(model, samples, model_file.network_of(model).step_ms, Dynamics())[0]
    for name, dynamics in VARIANTS.items():
        for step_ms in STEPS_MS:
            held = (dynamics.refractory_ms or 0) / step_ms
            if held == round(held):
                found, spikes = run(model, samples, step_ms, dynamics)
                accuracy, agreement = np.mean(found == samples.labels), np.mean(found == trained)
                yield name, step_ms, f"{accuracy:.4f}", f"{spikes:.2f}", f"{agreement:.4f}"


def main(parameters: str, spikes: str, models: str, table: str) -> None:
    """Measure every model of a study."""
    study = params.load(Path(parameters))
    samples = folds.split(study, store.load(Path(spikes)))[1]
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for loss in study.study.losses:
            for seed in study.study.seeds:
                for row in measure(Path(models) / loss / str(seed) / study.study.folds[0] / "weights.npz", samples):
                    writer.writerow((loss, seed, *row))


if __name__ == "__main__":
    main(*sys.argv[1:])

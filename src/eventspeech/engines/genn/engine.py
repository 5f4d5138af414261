"""Engine `genn`: batches on a GeNN model. See :class:`eventspeech.engines.contract.Engine`.

A batch goes forward as a whole, in chunks of what the model takes at once; then the losses, slopes and counts of the
whole batch are known (by `losses.score`, as in the other engines), and it goes backward with the same weights.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from eventspeech import losses
from eventspeech.data import batches
from eventspeech.data.batches import Batch
from eventspeech.engines import bounds
from eventspeech.engines.contract import Gradients, Inference, Recording
from eventspeech.engines.equations import (
    Products,
    coefficients,
    count_penalty,
    set_time_constant_gradients,
    weighting_gradient,
)
from eventspeech.engines.genn import install
from eventspeech.engines.genn.compose import Plan
from eventspeech.engines.genn.model import Arrays, Model
from eventspeech.errors import UserError
from eventspeech.losses import Objective
from eventspeech.network import (
    Network,
    Weights,
    connections,
    has_time_constants,
    populations,
    time_constants,
)


class _Chunk(NamedTuple):
    """Some samples of a batch, after their forward phase.

    Attributes:
        samples: which of the batch.
        outputs: what the outputs did, [b, O] by name of the variable.
        spike_counts: one int64[b, H] per hidden layer.
        floored: how many denominators were bounded.
        arrays: what the backward phase needs; None if it is still on the device.
        recorded: by population, Z of hidden layers and the outputs' voltages, [b, N, H]; empty unless asked for.
    """

    samples: slice
    outputs: dict[str, np.ndarray]
    spike_counts: tuple[np.ndarray, ...]
    floored: int
    arrays: Arrays | None
    recorded: dict[str, np.ndarray]


READ = {"sum": ("Value",), "max": ("Value", "Peak", "Rise", "Fall"), "first_spike": ("First", "Floored")}
"""Variables of the outputs that are read after the forward phase."""


class GennEngine:
    """Engine `genn`.

    Args:
        network: the network.
        backend: GeNN's name of its backend, by default that of the GPU, if there is one and PyGeNN was built for it.
        batch_size: samples of a batch; by default as many as the first batch has. Others are run in parts of so many.
        accumulate: where GeNN takes one sample at a time (its CPU backend), gradients of a batch may be added up.

    Raises:
        UserError: PyGeNN or the backend is missing, or batches are too large for it.
    """

    name = "genn"

    def __init__(
        self, network: Network, backend: str | None = None, batch_size: int | None = None, accumulate: bool = False
    ):
        install.require("Engine genn", backend)
        self.network = network
        self.backend = backend or install.default_backend()
        self.computes = f"GeNN {self.backend}"
        self._accumulate = accumulate
        self._samples = 1 if self.backend == install.CPU else batch_size
        self._refuse_batch(batch_size or 1)

    def infer(self, weights: Weights, batch: Batch, objective: Objective) -> Inference:
        """Run the batch forward."""
        model = self._model(weights, batch, objective)
        return self._score(self._forward(model, batch), batch, objective)[0]

    def record(self, weights: Weights, batch: Batch, objective: Objective) -> Recording:
        """Run the batch forward and keep hidden spikes and output voltages."""
        model = self._model(weights, batch, objective)
        chunks = self._forward(model, batch, record=populations(self.network))
        found = {name: np.concatenate([chunk.recorded[name] for chunk in chunks]) for name in chunks[0].recorded}
        voltage = found.pop("output")
        hidden = tuple(_spikes(found[f"hidden{n + 1}"], batch.labels) for n in range(len(self.network.hidden)))
        return Recording(self._score(chunks, batch, objective)[0], hidden, voltage)

    def gradients(self, weights: Weights, batch: Batch, objective: Objective) -> Gradients:
        """Run the batch forward and backward."""
        self._refuse_batch(len(batch))
        model = self._model(weights, batch, objective)
        chunks = self._forward(model, batch, backward=True, record=("output",) if objective.learned else ())
        inference, slopes = self._score(chunks, batch, objective)
        penalties = [count_penalty(counts, objective) for counts in inference.spike_counts]
        tau_mem_ms = time_constants(self.network, weights, "output")[0]
        model.clear_gradients()
        products: dict[str, list[Products]] = {name: [] for name in model.plan.learned}
        for chunk in chunks:
            if chunk.arrays is not None:
                model.restore(chunk.arrays)
            for layer, penalty in enumerate(penalties, 1):
                model.set(f"hidden{layer}", "Penalty", penalty[chunk.samples])
            self._set_output_adjoint(model, chunk, slopes[chunk.samples] / len(batch), tau_mem_ms)
            model.backward()
            for name, found in products.items():
                found.append(model.products(name))
        gradients, by_weight = self._collect(model, weights, products), None
        if objective.learned:
            voltages = np.concatenate([chunk.recorded["output"] for chunk in chunks])
            by_weight = weighting_gradient(slopes, voltages)
        return Gradients(inference, gradients, sum(chunk.floored for chunk in chunks), by_weight)

    def _refuse_batch(self, size: int) -> None:
        if size > 1 and self._samples == 1 and self.backend == install.CPU and not self._accumulate:
            raise UserError(
                f"GeNN's CPU backend takes one sample at a time, not a batch of {size}: set train.batch_size to 1, or "
                "optimiser.accumulate to true to add up single samples, or optimiser.engine to cpu, or build PyGeNN "
                "with CUDA."
            )

    def _model(self, weights: Weights, batch: Batch, objective: Objective) -> Model:
        """Return the compiled model, with these weights."""
        bounds.check(self.network, weights, batch, objective)
        learned = tuple(name for name in populations(self.network) if has_time_constants(weights, name))
        self._samples = self._samples or len(batch)
        # time constants shape no code
        shape = dataclasses.replace(self.network, step_ms=1.0, tau_mem_ms=1.0, tau_syn_ms=1.0)
        model = shared_model(Plan(shape, objective.readout, learned, self._samples, self.backend))
        model.set_weights(weights)
        for name in populations(self.network):
            constants_ms = time_constants(self.network, weights, name)
            model.set_coefficients(name, coefficients(self.network.step_ms, *constants_ms))
        if objective.weighting is not None:
            model.set_weighting(np.asarray(objective.weighting))
        return model

    def _forward(self, model: Model, batch: Batch, backward: bool = False, record: Iterable[str] = ()) -> list[_Chunk]:
        """Run the batch forward; what its backward phase will need is kept if there are several chunks.

        ``record`` are the populations of which `_Chunk.recorded` is wanted.
        """
        found, several = [], len(batch) > model.plan.samples
        hidden = [f"hidden{layer}" for layer in range(1, len(self.network.hidden) + 1)]
        for first in range(0, len(batch), model.plan.samples):
            samples = slice(first, min(first + model.plan.samples, len(batch)))
            count = samples.stop - samples.start
            model.set_inputs(batches.take(batch, np.arange(samples.start, samples.stop)))
            model.forward()
            outputs = {name: model.get("output", name)[:count] for name in READ[model.plan.readout]}
            floored = sum(int(model.get(name, "Floored").sum()) for name in hidden)
            traces = {name: "VoltageTrace" if name == "output" else "Z" for name in record}
            recorded = {name: model.trace(name, trace)[:count] for name, trace in traces.items()}
            found.append(
                _Chunk(
                    samples,
                    outputs,
                    tuple(model.get(name, "Count")[:count].astype(np.int64) for name in hidden),
                    floored + int(outputs.pop("Floored", np.zeros(1)).sum()),
                    model.save() if several and backward else None,
                    recorded,
                )
            )
        return found

    def _score(self, chunks: list[_Chunk], batch: Batch, objective: Objective) -> tuple[Inference, np.ndarray]:
        """Return the inference and the derivatives of each sample's loss by what was read of the outputs, [B, O]."""
        name = READ[objective.readout][0]
        read = np.concatenate([chunk.outputs[name] for chunk in chunks]).astype(np.float64)
        unit = {"sum": 1 / self.network.steps, "max": 1, "first_spike": self.network.step_ms}[objective.readout]
        logits, sample_losses, slopes = losses.score(read * unit, batch.labels, objective.first_spike)
        counts = tuple(np.concatenate(layer) for layer in zip(*(chunk.spike_counts for chunk in chunks), strict=True))
        return Inference(logits, sample_losses, logits.argmax(axis=1), counts), slopes

    def _set_output_adjoint(self, model: Model, chunk: _Chunk, slopes: np.ndarray, tau_mem_ms: np.ndarray) -> None:
        """Hand over what drives the outputs' adjoints; ``slopes`` are of the mean loss."""
        if model.plan.readout == "first_spike":
            model.set("output", "First", chunk.outputs["First"])
            model.set("output", "Slope", slopes)
            return
        drive = -slopes / tau_mem_ms
        if model.plan.readout == "sum":
            drive = drive / self.network.steps
        else:
            rise, fall = chunk.outputs["Rise"], chunk.outputs["Fall"]
            kink = (rise > 0) & (fall >= 0)
            model.set("output", "Unseen", np.where(kink, drive * fall / np.where(kink, rise + fall, 1), 0))
            model.set("output", "Peak", chunk.outputs["Peak"])
        model.set("output", "Drive", drive)

    def _collect(self, model: Model, weights: Weights, products: dict[str, list[Products]]) -> Weights:
        """Return the gradients of all weights, in their order."""
        tau_syn_ms = {name: time_constants(self.network, weights, name)[1] for name in populations(self.network)}
        factors = {c.name: -tau_syn_ms[c.name.split("_")[1]].astype(np.float32) for c in connections(self.network)}
        gradients = model.gradients(factors)
        found = {n: gradients[n] if n in gradients else np.zeros(w.shape, np.float32) for n, w in weights.items()}
        for name, parts in products.items():
            sums = Products(*(np.sum(part, axis=0) for part in zip(*parts, strict=True)))
            constants_ms = time_constants(self.network, weights, name)
            set_time_constant_gradients(found, name, self.network.step_ms, constants_ms, sums)
        return found


@functools.cache
def shared_model(plan: Plan) -> Model:
    """Return the model of this plan; compiled code can be loaded only once in a process."""
    return Model(plan)


def _spikes(denominators: np.ndarray, labels: np.ndarray) -> Batch:
    """Return a layer's spikes in the form of a batch; ``denominators`` is Z, [B, N, H]."""
    samples, steps, units = np.nonzero(denominators)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(samples, minlength=len(labels)))])
    return Batch(offsets, steps.astype(np.int32), units.astype(np.int32), labels)

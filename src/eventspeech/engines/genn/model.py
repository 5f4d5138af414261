"""The GeNN model of a network: what goes in and comes out, and the two phases of a trial.

Legend: ``B`` samples that run side by side, ``N`` steps, ``C`` channels, ``H`` neurons of a population.
"""

from typing import Any

import numpy as np

from eventspeech.data.batches import Batch
from eventspeech.engines.equations import Coefficients, Products
from eventspeech.engines.genn import build
from eventspeech.engines.genn.compose import Plan, compose
from eventspeech.engines.genn.definitions import COEFFICIENTS, PRODUCTS
from eventspeech.network import connections, populations

Arrays = dict[tuple[str, str], np.ndarray]
"""What the samples of a chunk leave for its backward phase, by population and name."""


class Model:
    """A compiled model on its device.

    Args:
        plan: what to build; compiled code is found again by it.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.sizes = populations(plan.network)
        self._connections = connections(plan.network)
        parts = compose(plan)
        self._model, self._groups, self._synapses, self._totals = parts
        build.build_and_load(parts.model, plan.key(), plan.words())

    # --- what goes in and comes out -----------------------------------------------------------------------------------

    def set_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Hand over the weights of all connections, [rows, columns]."""
        for name, group in self._synapses.items():
            _write(group.vars["g"], weights[name])

    def set_coefficients(self, population: str, coefficients: Coefficients) -> None:
        """Hand over the coefficients of a population, each [H]."""
        for name, values in zip(COEFFICIENTS, coefficients, strict=True):
            _write(self._array(population, name), values)

    def set_weighting(self, weighting: np.ndarray) -> None:
        """Hand over w(n/N), [N]."""
        _write(self._array("output", "Weighting"), weighting)

    def set_inputs(self, batch: Batch) -> None:
        """Hand over the spike trains of at most B samples; further ones are silent."""
        network, spikes = self.plan.network, self._array("input", "Spikes")
        dense = spikes.view.reshape(self.plan.samples, network.steps, network.inputs)
        dense[:] = 0
        dense[np.repeat(np.arange(len(batch)), np.diff(batch.offsets)), batch.steps, batch.channels] = 1
        spikes.push_to_device()

    def set(self, population: str, name: str, values: np.ndarray) -> None:
        """Hand over an array of at most B samples, [b, H]; it is 0 for further ones."""
        padded = np.zeros((self.plan.samples, self.sizes[population]))
        padded[: len(values)] = values
        _write(self._array(population, name), padded)

    def get(self, population: str, name: str) -> np.ndarray:
        """Return a variable or array of every sample, [B, H]."""
        return _read(self._array(population, name)).reshape(self.plan.samples, -1)

    def trace(self, population: str, name: str) -> np.ndarray:
        """Return an array of every sample and step, [B, N, H]."""
        return self.get(population, name).reshape(self.plan.samples, self.plan.network.steps, -1)

    def _array(self, population: str, name: str) -> Any:
        group = self._groups[population]
        return group.vars[name] if name in group.vars else group.extra_global_params[name]

    # --- the phases ---------------------------------------------------------------------------------------------------

    def forward(self) -> None:
        """Run the forward phase."""
        self._run(0)

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        self._model.custom_update("Clear")

    def backward(self) -> None:
        """Run the backward phase; gradients are added to those that are there."""
        self._run(self.plan.network.steps)

    def gradients(self, factors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the gradients of all connections times ``factors`` ([columns] each), summed over samples."""
        self._model.custom_update("Total")
        found = {}
        for connection in self._connections:
            total = self._totals[connection.name].vars["Sum"]
            total.pull_from_device()
            found[connection.name] = total.view.reshape(connection.rows, -1) * factors[connection.name]
        return found

    def products(self, population: str) -> Products:
        """Return what the gradients of time constants are made of, [H], summed over samples."""
        return Products(*(self.get(population, name).sum(axis=0) for name in PRODUCTS))

    def save(self) -> Arrays:
        """Return a copy of what the backward phase reads of the forward phase."""
        kept = [(population, name) for population, cells in self.plan.cells().items() for name in cells.kept]
        return {place: _read(self._array(*place)) for place in kept}

    def restore(self, arrays: Arrays) -> None:
        """Put back what :meth:`save` returned."""
        for place, values in arrays.items():
            _write(self._array(*place), values)

    def _run(self, first: int) -> None:
        self._model.timestep = first
        step = self._model.step_time
        for _ in range(self.plan.network.steps):
            step()


def _read(array: Any) -> np.ndarray:
    """Return a copy of one of GeNN's arrays, as it is on the device."""
    array.pull_from_device()
    return array.view.copy()


def _write(array: Any, values: np.ndarray) -> None:
    """Fill one of GeNN's arrays, here and on the device."""
    array.view.reshape(values.shape)[...] = values
    array.push_to_device()

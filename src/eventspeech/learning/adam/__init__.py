"""Adam (Kingma & Ba 2015), as the published recipe uses it: no clipping, no weight decay."""

import ctypes
import functools

import numpy as np

from eventspeech import compiled
from eventspeech.errors import DataError
from eventspeech.network import Weights

REMEDY = "remove the checkpoint, and training starts anew"

CHUNK = 2**14
"""Weights that are updated at a time: everything about them stays in the first caches."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library, or None where the installation could not build it: numpy then does the same."""
    return compiled.library(__file__)


class Adam:
    """State and step of Adam, in single precision, for weights of any shape.

    Args:
        weights: float32, of the names and shapes that every step will have; only these are learned.
        beta1, beta2: how much of the averages of gradients and of their squares stays at each step.
        epsilon: added to the root of the average square, in the unit of true gradients.
        factors: of the learning rate, by name; 1 where there is none.

    w -= rate * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon), t counting updates from 1.

    The gradients of a spiking network are small (they carry 1/(T B)), so that epsilon matters: with larger batches it
    damps more. It belongs to the scale of true gradients; the published 1e-8 belongs to gradients divided by tau_mem.
    """

    def __init__(
        self, weights: Weights, beta1: float, beta2: float, epsilon: float, factors: dict[str, float] | None = None
    ):
        self._beta1, self._beta2, self._epsilon = np.float32(beta1), np.float32(beta2), np.float32(epsilon)
        self._factors = factors or {}
        self.updates = 0
        self.first = {name: np.zeros(array.shape, np.float32) for name, array in weights.items()}
        self.second = {name: np.zeros(array.shape, np.float32) for name, array in weights.items()}

    def step(self, weights: Weights, gradients: Weights, learning_rate: float) -> None:
        """Update ``weights`` (float32) in place; what the optimiser was not made for stays.

        Args:
            weights: as the optimiser was made for, and maybe others.
            gradients: float32, of the same names and shapes.
            learning_rate: of this step.

        Raises:
            ValueError: weights or gradients have other shapes or types: compiled code would read beside them.
        """
        for name, first in self.first.items():
            for array in (weights[name], gradients[name]):
                if array.shape != first.shape or array.dtype != np.float32:
                    raise ValueError(f"{name} has {array.dtype}{array.shape} where Adam has float32{first.shape}")
        self.updates += 1
        full_rate = learning_rate / (1 - float(self._beta1) ** self.updates)
        root = np.float32(1 / np.sqrt(1 - float(self._beta2) ** self.updates))
        for name, first in self.first.items():
            rate = np.float32(full_rate * self._factors.get(name, 1.0))
            parts = (weights[name], first, self.second[name], gradients[name])
            if (built := library()) is not None and all(part.flags.c_contiguous for part in parts):
                constants = self._beta1, self._beta2, self._epsilon, rate, root
                compiled.call(built, "adam", *parts, first.size, *map(float, constants))
                continue
            flat = [part.reshape(-1) for part in parts]
            for start in range(0, first.size, CHUNK):
                weight, mean, square, gradient = (part[start : start + CHUNK] for part in flat)
                self._step(weight, mean, square, gradient, rate, root)

    def _step(
        self, weights: np.ndarray, first: np.ndarray, second: np.ndarray, gradient: np.ndarray, rate: np.float32,
        root: np.float32,
    ) -> None:  # fmt: skip
        scratch = gradient * (1 - self._beta1)
        first *= self._beta1
        first += scratch
        np.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - self._beta2
        second *= self._beta2
        second += scratch
        np.sqrt(second, out=scratch)
        scratch *= root
        scratch += self._epsilon
        np.divide(first, scratch, out=scratch)
        scratch *= rate
        weights -= scratch

    @property
    def computes(self) -> str:
        """Name of the code that computes."""
        return "numpy" if library() is None else "native"

    def damping(self) -> float:
        """Return by how much epsilon shortens the last step, mean over weights that ever had a gradient: 0 to 1."""
        if not self.updates:
            return 0.0
        root = 1 / np.sqrt(1 - float(self._beta2) ** self.updates)
        moved = np.concatenate([second[second > 0] for second in self.second.values()])
        return float(np.mean(self._epsilon / (np.sqrt(moved) * root + self._epsilon))) if len(moved) else 1.0

    def state(self) -> dict[str, np.ndarray]:
        """Return everything a checkpoint needs.

        ``first.NAME`` and ``second.NAME``, float32 in the shapes of the weights, and ``updates``, int64[].
        """
        arrays = {f"first.{name}": array for name, array in self.first.items()}
        arrays |= {f"second.{name}": array for name, array in self.second.items()}
        return arrays | {"updates": np.array(self.updates, np.int64)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` returned.

        Raises:
            DataError: it is not the state of an optimiser for these weights: arrays are missing, of other shapes or
                types, not finite, or average squares or the number of updates are negative.
        """
        expected = {f"{kind}.{name}": array.shape for name, array in self.first.items() for kind in ("first", "second")}
        found = {name: array.shape for name, array in state.items() if name != "updates"}
        if found != expected:
            raise DataError(f"The state of Adam has arrays {found}, the weights need {expected}; {REMEDY}.")
        for name in expected:
            least = 0 if name.startswith("second.") else -np.inf
            if state[name].dtype != np.float32 or not np.all(np.isfinite(state[name]) & (state[name] >= least)):
                raise DataError(f"The state of Adam holds impossible numbers in {name}; {REMEDY}.")
        updates = np.asarray(state.get("updates", -1))
        if updates.shape != () or updates.dtype.kind not in "iu" or updates < 0:
            raise DataError(f"The state of Adam has no number of updates; {REMEDY}.")
        self.updates = int(updates)
        for name in self.first:
            self.first[name] = state[f"first.{name}"].copy()
            self.second[name] = state[f"second.{name}"].copy()

"""Adam (Kingma & Ba 2015), as the published recipe uses it: no clipping, no weight decay."""

import numba
import numpy as np

from eventspeech import machine
from eventspeech.network import Weights


@numba.njit(parallel=True, cache=True)
def _step(weights, first, second, gradient, beta1, beta2, rate, root, epsilon):
    """Update flat arrays in one pass: six streams through memory instead of a dozen numpy temporaries."""
    for i in numba.prange(weights.shape[0]):
        g = gradient[i]
        first[i] = beta1 * first[i] + (1 - beta1) * g
        second[i] = beta2 * second[i] + (1 - beta2) * g * g
        weights[i] -= rate * first[i] / (np.sqrt(second[i]) * root + epsilon)


class Adam:
    """State and step of Adam, in single precision.

    w -= rate * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon), t counting updates from 1.

    The gradients of a spiking network are small (they carry 1/(T B)), so that epsilon matters: with larger batches it
    damps more. It belongs to the scale of true gradients; the published 1e-8 belongs to gradients divided by tau_mem.
    """

    def __init__(self, weights: Weights, beta1: float, beta2: float, epsilon: float):
        self._beta1, self._beta2, self._epsilon = np.float32(beta1), np.float32(beta2), np.float32(epsilon)
        self._threads = min(machine.threads(), numba.config.NUMBA_NUM_THREADS)
        self.updates = 0
        self.first = {name: np.zeros(array.shape, np.float32) for name, array in weights.items()}
        self.second = {name: np.zeros(array.shape, np.float32) for name, array in weights.items()}

    def step(self, weights: Weights, gradients: Weights, learning_rate: float) -> None:
        """Update ``weights`` (float32) in place."""
        numba.set_num_threads(self._threads)  # by default numba takes every core, though others may work there
        self.updates += 1
        rate = np.float32(learning_rate / (1 - float(self._beta1) ** self.updates))
        root = np.float32(1 / np.sqrt(1 - float(self._beta2) ** self.updates))
        for name, array in weights.items():
            _step(
                array.reshape(-1), self.first[name].reshape(-1), self.second[name].reshape(-1),
                gradients[name].reshape(-1), self._beta1, self._beta2, rate, root, self._epsilon,
            )  # fmt: skip

    def state(self) -> dict[str, np.ndarray]:
        """Return everything a checkpoint needs."""
        arrays = {f"first.{name}": array for name, array in self.first.items()}
        arrays |= {f"second.{name}": array for name, array in self.second.items()}
        return arrays | {"updates": np.int64(self.updates)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what :meth:`state` returned."""
        self.updates = int(state["updates"])
        for name in self.first:
            self.first[name] = state[f"first.{name}"].copy()
            self.second[name] = state[f"second.{name}"].copy()

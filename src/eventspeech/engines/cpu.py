"""The embedded engine: event-driven, multi-core.

Forward and backward run in parallel over samples, the gather of gradients in parallel over presynaptic units; nothing
depends on the number of threads. Memory: the spikes of a batch, and adjoints [N + 1, H] of some samples. Two sets of
kernels give the same results to rounding: `event_driven/c` (float32, compiled when the package is installed) and
`event_driven/numba` (the readable reference, also float64).
"""

import numpy as np

from eventspeech import machine
from eventspeech.engines.contract import Entry, Finding
from eventspeech.engines.event_driven.c import launches
from eventspeech.engines.event_driven.engine import EventDrivenEngine
from eventspeech.engines.event_driven.kernels import Kernels
from eventspeech.network import Network


class CpuEngine(EventDrivenEngine):
    """Engine `cpu`; see :class:`eventspeech.engines.contract.Engine`.

    Args:
        network: the network.
        threads: at most this many.
        dtype: float32, or float64 for studies of convergence.
        kernels: ``native`` or ``numba``; by default native where it was built and the type is float32.
    """

    name = "cpu"

    def __init__(
        self, network: Network, threads: int | None = None, dtype: type = np.float32, kernels: str | None = None
    ):
        used = threads or machine.threads()
        fast = np.dtype(dtype) == np.float32 and launches.library() is not None
        chosen = kernels or ("native" if fast else "numba")
        super().__init__(network, _kernels(chosen, used, np.dtype(dtype), max(network.delay_steps)), dtype)


def _kernels(name: str, threads: int, dtype: np.dtype, longest_delay: int) -> Kernels:
    if name == "native":
        return launches.NativeKernels(threads, longest_delay)
    # here, since numba takes a second to import
    from eventspeech.engines.event_driven.numba.launches import NumbaKernels

    return NumbaKernels(dtype, threads)


def _examine() -> Finding:
    kernels = "numba's kernels" if launches.library() is None else "compiled kernels"
    return Finding(None, f"{kernels}, {machine.threads()} threads")


ENTRY = Entry(lambda network, threads, *_: CpuEngine(network, threads), lambda device: None, _examine, ("cpu",))

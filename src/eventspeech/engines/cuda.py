"""The engine of NVIDIA GPUs: event-driven, whole passes in single launches, deterministic.

The kernels are CUDA C++ (`event_driven/cuda/kernels.cu`), compiled by CuPy when first used.
"""

from typing import cast

from eventspeech import machine
from eventspeech.engines.contract import Entry, Finding
from eventspeech.engines.event_driven.cuda.device import CudaDevice, problem
from eventspeech.engines.event_driven.cuda.launches import Device, DeviceKernels, check_size
from eventspeech.engines.event_driven.engine import EventDrivenEngine
from eventspeech.engines.event_driven.kernels import Kernels
from eventspeech.network import Network

PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
"""Names under which CuPy may be installed."""


class CudaEngine(EventDrivenEngine):
    """Engine `cuda`; see :class:`eventspeech.engines.contract.Engine`. It computes in float32.

    Args:
        network: the network.
        device: what runs the kernels; by default the first visible GPU.

    Raises:
        UserError: CuPy or a GPU is missing, or the network is too large.
    """

    name = "cuda"

    def __init__(self, network: Network, device: Device | None = None):
        check_size(network)
        self.device = CudaDevice() if device is None else device
        # of the same form as the others, but its events, layers and vectors are the device's
        super().__init__(network, cast(Kernels, DeviceKernels(self.device)))


def _examine() -> Finding:
    if found := problem():
        why, _, remedy = found.partition("; ")
        return Finding(why, "", remedy)
    return Finding(None, ", ".join(f"{name} {version}" for name in PACKAGES if (version := machine.version(name))))


ENTRY = Entry(lambda network, *_: CudaEngine(network), lambda device: machine.cuda_problem(), _examine, ("cuda",))

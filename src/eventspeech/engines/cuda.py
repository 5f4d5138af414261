"""The engine of NVIDIA GPUs: event-driven, whole passes in single launches, deterministic.

The kernels are CUDA C++ (`event_driven/cuda/kernels.cu`), compiled by CuPy when first used.
"""

from eventspeech.engines.event_driven.cuda.device import CudaDevice
from eventspeech.engines.event_driven.cuda.launches import DeviceKernels, check_size
from eventspeech.engines.event_driven.engine import EventDrivenEngine
from eventspeech.network import Network


class CudaEngine(EventDrivenEngine):
    """Engine `cuda`; see :class:`eventspeech.engines.contract.Engine`. It computes in float32 on the first visible GPU.

    Raises:
        UserError: CuPy or a GPU is missing, or the network is too large.
    """

    name = "cuda"

    def __init__(self, network: Network):
        check_size(network)
        super().__init__(network, DeviceKernels(CudaDevice()))

"""The first visible NVIDIA GPU, through CuPy, which compiles ``kernels.cu`` when it is first used.

CuPy and not numba-cuda, since the kernels need votes, shuffles and matches within a warp, which numba's simulator does
not have: it could not test them without a GPU; and since CUDA C++ compiles for the processor, too, where tests run the
same text.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from eventspeech import machine
from eventspeech.errors import UserError

REMEDY = "or set optimiser.engine and evaluate.engine to cpu"


def problem() -> str | None:
    """Return why this engine cannot run here and what would help, or None."""
    if why := machine.cuda_problem():
        return f"{why}; run on a machine with an NVIDIA GPU and its driver"
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed; install eventspeech[cuda]"
    except Exception as error:  # a broken installation raises anything
        return f"CuPy cannot be imported ({error}); install eventspeech[cuda] again"
    try:
        cupy.cuda.Device().mem_info  # noqa: B018
    except Exception as error:
        return f"CUDA does not start ({error}); update the driver, or install the CuPy of its CUDA version"
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        return f"CUDA's compiler library is not found ({error}); install eventspeech[cuda]"
    return None


class CudaDevice:
    """See `launches.Device`: the first visible GPU, through CuPy; its memory is kept for the next batch."""

    def __init__(self) -> None:
        if why := problem():
            raise UserError(f"The engine 'cuda' cannot run: {why}, {REMEDY}.")
        import cupy
        import cupyx

        self._cupy, self._pinned = cupy, cupyx.empty_pinned
        self.memory = int(cupy.cuda.Device().mem_info[1])
        self.processors = int(cupy.cuda.Device().attributes["MultiProcessorCount"])

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an array of anything."""
        return self._allocated(self._cupy.empty, shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an array of zeros."""
        return self._allocated(self._cupy.zeros, shape, dtype)

    def put(self, array: np.ndarray) -> Any:
        """Copy an array to the GPU."""
        if array.size == 0:
            return self.empty(array.shape, array.dtype)
        return self._allocated(self._cupy.asarray, np.ascontiguousarray(array))

    def get(self, array: Any) -> np.ndarray:
        """Copy an array back, when all before is done."""
        if array.size == 0:
            return np.empty(array.shape, array.dtype)
        # pinned memory: a copy to it takes a fraction of the time
        return array.get(out=self._pinned(array.shape, array.dtype))

    def launch(
        self, kernel: str, lane_quads: int, grid: tuple[int, int], block: tuple[int, int], shared: int, *arguments: Any
    ) -> None:
        """Run a kernel."""
        function = _function(lane_quads, kernel)
        function(grid, block, tuple(_argument(argument) for argument in arguments), shared_mem=shared)

    def _allocated(self, make: Any, *arguments: Any) -> Any:
        try:
            return make(*arguments)
        except self._cupy.cuda.memory.OutOfMemoryError as error:
            raise UserError(
                f"The GPU's memory of {self.memory / 2**30:.0f} GiB is not enough for a batch ({error}); set smaller "
                f"train.batch_size and evaluate.batch_size, {REMEDY}."
            ) from error


@functools.cache
def _function(lane_quads: int, kernel: str) -> Any:
    return _module(lane_quads).get_function(kernel)


@functools.cache
def _module(lane_quads: int) -> Any:
    """Return the kernels, compiled for this GPU; CuPy keeps them on disk."""
    import cupy

    source = Path(__file__).with_name("kernels.cu").read_text()
    return cupy.RawModule(code=source, options=("--std=c++17", f"-DLANE_QUADS={lane_quads}"))


def _argument(argument: Any) -> Any:
    """Return what CuPy passes as the kernels declare it."""
    match argument:
        case None:
            return np.uint64(0)
        case int():
            return np.int32(argument)
        case float():
            return np.float32(argument)
    return argument

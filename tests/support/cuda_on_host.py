"""A device for the kernels of engine `cuda` that is the processor: their logic, without a GPU.

``cuda_on_host.cpp`` compiles the kernels as they are; only what CUDA adds to the language is replaced. Fresh arrays
hold garbage; a write beside an array or beyond the shared memory is an error, and so is a barrier that some threads
miss.
"""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from eventspeech.engines.cuda import CudaEngine
from eventspeech.engines.event_driven import cuda

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
KERNELS = Path(cuda.__file__).with_name("kernels.cu")
GUARD = 64
"""Bytes on each side of an array."""


class Engine(CudaEngine):
    """Engine `cuda` on the processor; ``order`` in which threads take turns: 0 up, 1 down, 2 at random."""

    def __init__(self, network, order=0, memory=2**30, processors=1):
        super().__init__(network, Device(order, memory, processors))


class Device:
    """See `launches.Device`."""

    def __init__(self, order=0, memory=2**30, processors=1):
        self.memory = memory
        self.processors = processors
        self._order = order

    def empty(self, shape, dtype):
        return self._guarded(shape, dtype, 0xFF)

    def zeros(self, shape, dtype):
        return self._guarded(shape, dtype, 0)

    def put(self, array):
        found = self.empty(array.shape, array.dtype)
        found[...] = array
        return found

    def get(self, array):
        return array.copy()

    def launch(self, kernel, lane_quads, grid, block, shared, *arguments):
        values = [_value(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        launch = _library(lane_quads).launch
        launch.restype = ctypes.c_char_p
        why = launch(kernel.encode(), *grid, *block, shared, self._order, len(values), pointers)
        assert why is None, f"{kernel}: {why.decode()}"
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                assert _intact(argument), f"{kernel}: written beside an array"

    def _guarded(self, shape, dtype, content):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = np.full(size + 2 * GUARD, 0xA5, np.uint8)
        memory[GUARD : GUARD + size] = content
        return memory[GUARD : GUARD + size].view(dtype).reshape(shape)


def _intact(array):
    """Say whether the guards around an array, of which ``array`` may be a part, are as they were made."""
    memory = array
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    return bool(np.all(memory[:GUARD] == 0xA5) and np.all(memory[-GUARD:] == 0xA5))


def _value(argument):
    match argument:
        case None:
            return ctypes.c_void_p(None)
        case int():
            return ctypes.c_int(argument)
        case float():
            return ctypes.c_float(argument)
    assert argument.flags.c_contiguous
    return ctypes.c_void_p(argument.__array_interface__["data"][0])


@functools.cache
def _library(lane_quads):
    source = Path(__file__).with_name("cuda_on_host.cpp")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "kernels.so"
        flags = ["-std=c++17", "-O1", "-w", "-shared", "-fPIC", f"-DLANE_QUADS={lane_quads}"]
        subprocess.run([COMPILER, *flags, f'-DKERNELS="{KERNELS}"', source, "-o", library], check=True)
        return ctypes.CDLL(str(library))

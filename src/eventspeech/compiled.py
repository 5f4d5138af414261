"""C libraries that ``setup.py`` builds with the package, where there is a C compiler; and their memory.

They are called through ctypes, which releases Python's lock, so that plain threads run them side by side.
"""

import contextlib
import ctypes
import importlib.machinery
import mmap
from pathlib import Path

import numpy as np

HUGE_PAGE = 2**21


def library(package_file: str) -> ctypes.CDLL | None:
    """Return ``_kernels`` beside a package's file, or None where the installation could not build it."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(package_file).with_name(f"_kernels{suffix}")
        if path.exists():
            try:
                return ctypes.CDLL(str(path))
            except OSError:  # built for another machine: the numba kernels do the same
                return None
    return None


def call(found: ctypes.CDLL, name: str, *arguments) -> None:
    """Call a function of a library: arrays become pointers, None the null pointer."""
    function = getattr(found, name)
    function.restype = None
    function(*map(argument, arguments))


def argument(value):
    """Return what ctypes passes for an array, a size, a single-precision number, or None."""
    if value is None:
        return ctypes.c_void_p(None)
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(address(value))
    if isinstance(value, float):
        return ctypes.c_float(value)
    return ctypes.c_int64(value)


def address(array: np.ndarray) -> int:
    """Return where a contiguous array's values are."""
    assert array.flags.c_contiguous
    # array.ctypes.data says the same and takes ten times as long
    return array.__array_interface__["data"][0]


class Workspace:
    """Arrays that are used again and again: fresh ones would cost a page fault every 4 KiB.

    Everything in them is overwritten before it is read, so nothing goes from one use to the next. Where the system
    offers pages of 2 MiB they are asked for: much is read at random or with large strides.
    """

    def __init__(self) -> None:
        self._buffers: dict[object, mmap.mmap] = {}

    def array(self, name: object, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
        """Return an array of this shape that holds anything; it is valid until ``name`` is asked for again."""
        size = max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize)
        if name not in self._buffers or len(self._buffers[name]) < size:
            buffer = mmap.mmap(-1, -(-size // HUGE_PAGE) * HUGE_PAGE)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                with contextlib.suppress(OSError):
                    buffer.madvise(mmap.MADV_HUGEPAGE)
            self._buffers[name] = buffer
        return np.frombuffer(self._buffers[name], dtype, int(np.prod(shape))).reshape(shape)

"""C libraries that ``setup.py`` builds with the package, where there is a C compiler; and their memory.

They are called through ctypes, which releases Python's lock, so that plain threads run them side by side.
"""

import contextlib
import ctypes
import errno
import functools
import hashlib
import importlib.machinery
import math
import mmap
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from eventspeech.errors import UserError

HUGE_PAGE = 2**21


def njit(**options: Any) -> Callable[[Callable], Callable]:
    """Return numba's decorator of these options; machine code is kept on disk, where there is a folder for it.

    There is none where an installation belongs to somebody else and the user has no home, as is usual in containers:
    each process then compiles anew (NUMBA_CACHE_DIR may name a folder).
    """
    import numba

    def decorate(function: Callable) -> Callable:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available": no folder can be written to
            return numba.njit(**options)(function)

    return decorate


def library(package_file: str) -> ctypes.CDLL | None:
    """Return ``_kernels`` beside a package's file, or None where the installation could not build it.

    Raises:
        UserError: it was compiled from other sources than lie beside it, as after `git pull`; calls would pass it what
            it does not expect, and it would write anywhere.
    """
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(package_file).with_name(f"_kernels{suffix}")
        if path.exists():
            try:
                found = ctypes.CDLL(str(path))
            except OSError:  # built for another machine: the numba kernels do the same
                return None
            _require_current(found, path)
            return found
    return None


def _require_current(found: ctypes.CDLL, path: Path) -> None:
    sources = sorted(path.parent.glob("*.c"))
    if not sources:  # in a wheel, which is installed as a whole
        return
    files = [*sources, *sorted(path.parent.glob("*.h")), Path(__file__).with_suffix(".h")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]  # as setup.py does
    if not hasattr(found, "sources") or call(found, "sources", returns=ctypes.c_uint64) != int(digest, 16):
        raise UserError(
            f"{path} was compiled from other C files than lie beside it; run `pip install -e .` again in "
            f"{Path(__file__).parents[2]}."
        )


def call(found: ctypes.CDLL, name: str, *arguments: Any, returns: type | None = None) -> Any:
    """Call a function of a library: arrays become pointers, None the null pointer, a float is of single precision."""
    function = getattr(found, name)
    function.restype = returns
    return function(*map(_argument, arguments))


def _argument(value: Any) -> Any:
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


@functools.cache
def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory for the next arrays; only glibc's is known to listen.

    Left alone it gives the arrays of each batch back and takes fresh ones, at a page fault every 4 KiB: 6 % of a
    training step. This holds for the whole process, and for arrays of up to 32 MiB, as large as glibc lets it be.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)


def _memory(size: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, size)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"no {size / 2**20:.0f} MiB for an array") from error
        raise


class Workspace:
    """Arrays that are used again and again: fresh ones would cost a page fault every 4 KiB.

    Everything in them is overwritten before it is read, so nothing goes from one use to the next. Where the system
    offers pages of 2 MiB they are asked for: much is read at random or with large strides.
    """

    def __init__(self) -> None:
        self._buffers: dict[object, mmap.mmap] = {}

    def array(self, name: object, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return an array of this shape that holds anything; it is valid until ``name`` is asked for again.

        Raises:
            MemoryError: there is no room for it.
        """
        count = math.prod(shape)
        size = max(1, count * np.dtype(dtype).itemsize)
        if name not in self._buffers or len(self._buffers[name]) < size:
            buffer = _memory(-(-size // HUGE_PAGE) * HUGE_PAGE)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                with contextlib.suppress(OSError):
                    buffer.madvise(mmap.MADV_HUGEPAGE)
            self._buffers[name] = buffer
        return np.frombuffer(self._buffers[name], dtype, count).reshape(shape)

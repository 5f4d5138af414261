"""Libraries built with the package: none, or one of another machine, is no error."""

import errno
import importlib.machinery
import platform
import subprocess
import sys

import numpy as np
import pytest

from eventspeech import compiled


def test_no_library_and_a_broken_one(tmp_path):
    package_file = str(tmp_path / "__init__.py")
    assert compiled.library(package_file) is None
    (tmp_path / f"_kernels{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_bytes(b"of another machine")
    assert compiled.library(package_file) is None


def test_a_workspace_grows_and_keeps_what_it_has():
    space = compiled.Workspace()
    first = space.array("a", (3, 5), np.float64)
    first[:] = 1
    assert np.shares_memory(space.array("a", (2,), np.float64), first)
    larger = space.array("a", (compiled.HUGE_PAGE, 2), np.float32)
    assert larger.shape == (compiled.HUGE_PAGE, 2) and not np.shares_memory(larger, first)
    assert np.all(first == 1)


def test_no_room_is_a_lack_of_memory_and_nothing_else(monkeypatch):
    def full(number, size):
        raise OSError(number, "refused")

    monkeypatch.setattr(compiled.mmap, "mmap", lambda _, size: full(errno.ENOMEM, size))
    with pytest.raises(MemoryError, match="no 2 MiB for an array"):
        compiled.Workspace().array("a", (5,))
    monkeypatch.setattr(compiled.mmap, "mmap", lambda _, size: full(errno.EPERM, size))
    with pytest.raises(PermissionError):
        compiled.Workspace().array("a", (5,))


def test_numba_compiles_where_it_can_keep_nothing(monkeypatch):
    from numba.core import caching

    monkeypatch.setattr(caching.CodeLibraryCacheImpl, "_locator_classes", [])
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])

    @compiled.njit(nogil=True)
    def doubled(number):
        return 2 * number

    assert doubled(4) == 8 and doubled.signatures and doubled.targetoptions["nogil"]
    assert doubled.stats.cache_path is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to keep freed memory")
def test_freed_memory_serves_the_next_arrays():
    # in a process of its own, since nothing takes it back
    code = """
import resource
import numpy as np
from eventspeech import compiled
compiled.keep_freed_memory()
np.ones(2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(shown.stdout) < 100  # of 2048 pages

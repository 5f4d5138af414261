"""Libraries built with the package: none, or one of another machine, is no error."""

import errno
import importlib.machinery
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eventspeech import compiled
from eventspeech.errors import UserError


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
from eventspeech.errors import UserError
compiled.keep_freed_memory()
np.ones(2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(shown.stdout) < 100  # of 2048 pages


def test_a_library_of_other_sources_is_refused(tmp_path, monkeypatch):
    """After `git pull` without building anew, calls would pass it what it does not expect."""
    built = next(Path(compiled.__file__).parent.glob("learning/adam/_kernels*"), None)
    if built is None:
        pytest.skip("no library was built")
    folder = tmp_path / "adam"
    folder.mkdir()
    shutil.copy(Path(compiled.__file__).with_suffix(".h"), tmp_path)
    for source in (built, built.with_name("kernels.c")):
        shutil.copy(source, folder)
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    assert compiled.library(str(folder / "__init__.py")) is not None
    with (folder / "kernels.c").open("a") as stream:
        stream.write("\n")
    with pytest.raises(UserError, match=r"was compiled from other C files than lie beside it; run `pip install -e \.`"):
        compiled.library(str(folder / "__init__.py"))

"""Libraries built with the package: none, or one of another machine, is no error."""

import importlib.machinery

import numpy as np

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

"""Builds the fast kernels of engine `cpu`, of Adam and of the cochlea encoder; everything else is in pyproject.toml.

The extensions are optional: without a C compiler the installation succeeds and numba's kernels are used. They are plain
shared libraries called through ctypes, so they have no module initialisation.
"""

import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class BuildLibrary(build_ext):
    """Builds libraries without Python's symbols."""

    def get_export_symbols(self, ext):
        """Return none: there is no module to initialise."""
        return []


def library(folder: str, *flags: str) -> Extension:
    """Return the extension ``_kernels`` of a package from its ``kernels.c``."""
    common = ("-O3", "-std=c11", "-fno-math-errno")
    return Extension(
        f"eventspeech.{folder.replace('/', '.')}._kernels",
        [f"src/eventspeech/{folder}/kernels.c"],
        extra_compile_args=[] if sys.platform == "win32" else [*common, *flags],
        depends=["src/eventspeech/compiled.h"],
        optional=True,
    )


setup(
    ext_modules=[
        # -fno-trapping-math would allow more; NaN and infinity keep their meaning, so that a diverging network shows it
        library("engines/event_driven/c", "-ffp-contract=fast", "-Wno-psabi"),
        library("learning/adam", "-ffp-contract=off"),
        # no fused operations: spikes must not depend on the machine; the rest changes no finite number
        library("data/cochlea", "-ffp-contract=off", "-fno-trapping-math", "-fno-signed-zeros", "-ffinite-math-only"),
    ],
    cmdclass={"build_ext": BuildLibrary},
)

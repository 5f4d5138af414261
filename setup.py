"""Builds the fast kernels of engine `cpu`; everything else about the package is in pyproject.toml.

The extension is optional: without a C compiler the installation succeeds and numba's kernels are used. It is a plain
shared library called through ctypes, so it has no module initialisation.
"""

import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


class BuildLibrary(build_ext):
    """Builds a library without Python's symbols."""

    def get_export_symbols(self, ext):
        """Return none: there is no module to initialise."""
        return []


# -fno-trapping-math would allow more; NaN and infinity keep their meaning, so that a diverging network shows it
FLAGS = [] if sys.platform == "win32" else ["-O3", "-std=c11", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"]

setup(
    ext_modules=[
        Extension(
            "eventspeech.engines.native._kernels",
            ["src/eventspeech/engines/native/kernels.c"],
            extra_compile_args=FLAGS,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildLibrary},
)

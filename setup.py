"""Builds the fast kernels of engine `cpu`, of Adam and of the cochlea encoder, and lays a study's files into wheels.

Everything else is in pyproject.toml. The extensions are optional: without a C compiler the installation succeeds and
numba's kernels are used. They are plain shared libraries called through ctypes, so they have no module initialisation.
"""

import hashlib
import shutil
import sys
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent


def study() -> list[str]:
    """Return the files that `eventspeech init` lays out; see src/eventspeech/init.py."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))
    listed = [HERE / name for name in project["tool"]["eventspeech"]["study"]]
    found = [path for entry in listed for path in (entry.rglob("*") if entry.is_dir() else [entry])]
    return [path.relative_to(HERE).as_posix() for path in sorted(found) if not path.is_dir()]


class BuildPackage(build_py):
    """Builds the package with copies of the files of a study, which an editable installation reads where they are."""

    def run(self):
        """Copy the package, then the files."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "eventspeech" / "study"
        shutil.rmtree(target, ignore_errors=True)  # a file that is gone must not live on in a build folder
        for name in study():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(HERE / name, target / name)


class Sources(sdist):
    """Source distribution from which the same wheel can be built."""

    def make_release_tree(self, base_dir, files):
        """Add the files of a study."""
        super().make_release_tree(base_dir, sorted({*files, *study()}))


class BuildLibrary(build_ext):
    """Builds libraries without Python's symbols."""

    def get_export_symbols(self, ext):
        """Return none: there is no module to initialise."""
        return []


def library(folder: str, *flags: str) -> Extension:
    """Return the extension ``_kernels`` of a package from its C files."""
    source = Path("src/eventspeech", folder)
    files = [*sorted(source.glob("*.c")), *sorted(source.glob("*.h")), Path("src/eventspeech/compiled.h")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]  # as compiled.py does
    common = ("-O3", "-std=c11", "-fno-math-errno")
    return Extension(
        f"eventspeech.{folder.replace('/', '.')}._kernels",
        sorted(map(str, source.glob("*.c"))),
        define_macros=[("SOURCES", f"0x{digest}ULL")],
        extra_compile_args=[] if sys.platform == "win32" else [*common, *flags],
        depends=["src/eventspeech/compiled.h", *sorted(map(str, source.glob("*.h")))],
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
    cmdclass={"build_ext": BuildLibrary, "build_py": BuildPackage, "sdist": Sources},
)

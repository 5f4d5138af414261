"""The package as users get it: a wheel built from this checkout and unpacked into a folder of its own."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(root: Path, folder: Path) -> Path:
    """Build the wheel of the sources in ``root`` without a compiler, unpack it and return the folder to import from."""
    folder.mkdir()
    _setup(root, folder, "egg_info", "--egg-base", folder, "build", "-b", folder / "b", "bdist_wheel", "-d", folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site-packages")
    return folder / "site-packages"


def source_distribution(folder: Path) -> Path:
    """Make the source distribution of this checkout, unpack it and return its root."""
    folder.mkdir()
    _setup(ROOT, folder, "egg_info", "--egg-base", folder, "sdist", "-d", folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder)  # our own, so no filter, which Python 3.11.2 lacks
    return folder / archive.name.removesuffix(".tar.gz")


def _setup(root: Path, folder: Path, *arguments: str | Path) -> None:
    # CC=false: the kernels are optional, and to compile them takes most of the time
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", *map(str, arguments)],
        cwd=root, capture_output=True, text=True, env=os.environ | {"CC": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

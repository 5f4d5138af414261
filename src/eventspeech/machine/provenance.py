"""Which code made a result: versions of packages, and the commit of a checkout."""

import functools
import hashlib
import importlib.metadata
import os
import subprocess
import tomllib
from pathlib import Path

PACKAGES = ("numpy", "numba", "snakemake", "dvc", "papermill", "pygenn", "cupy-cuda13x", "cupy-cuda12x")
"""Distributions whose versions belong beside a result."""

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of this package, in a checkout or where it was installed."""

OF_ANOTHER_REPOSITORY = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
)
"""Within a hook of git these name the repository that is being committed to, wherever a command looks."""

IN_CHECKOUT = "src/eventspeech/"
"""Where this package lies in its own repository."""


CODE = (".py", ".c", ".h", ".cu")


@functools.cache
def code(*names: str) -> str:
    """Return a digest of files and folders of this package: what two versions made is not one result.

    Args:
        names: paths within the package.
    """
    entries = [PACKAGE / name for name in names]
    files = [file for entry in entries for file in (entry.rglob("*") if entry.is_dir() else [entry])]
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.suffix in CODE and file.is_file()):
        digest.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def version(distribution: str) -> str | None:
    """Return the version of an installed distribution, ``None`` if it is not installed; imports nothing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit(package: Path = PACKAGE) -> tuple[str | None, bool | None, str | None]:
    """Return the commit this package is run from, whether tracked files differ from it, and why that is unknown.

    An installed copy may lie inside some other repository, which may even track it: only this project's own checkout
    has a commit that says which code ran. Elsewhere the version does.

    Args:
        package: folder of the package.
    """
    installed = "this package does not run from a checkout of its repository; its version says which code ran"
    git = ("git", "-C", str(package))
    if output("git", "--version") is None:
        return None, None, "git is not installed"
    top = output(*git, "rev-parse", "--show-toplevel")
    if top is None and (package.parents[1] / ".git").exists():
        return None, None, "git does not answer in this checkout; if it is another user's, see git's `safe.directory`"
    if top is None or output(*git, "rev-parse", "--show-prefix") != IN_CHECKOUT or not _is_ours(Path(top)):
        return None, None, installed
    if output(*git, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None, installed
    found = output(*git, "rev-parse", "HEAD")
    if found is None:
        return None, None, "the checkout has no commit"
    changes = output(*git, "status", "--porcelain", "--untracked-files=no")
    return found, None if changes is None else changes != "", None


def _is_ours(root: Path) -> bool:
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        return project["project"]["name"] == "eventspeech"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def output(*command: str) -> str | None:
    """Return what a command prints, ``None`` if it cannot run, fails or takes more than 10 s."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_REPOSITORY}
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=True, env=environment)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()

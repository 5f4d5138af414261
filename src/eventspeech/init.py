"""Lays out a study in a folder of its own, from which both `snakemake` and `dvc repro` run it.

The files are the repository's own, listed once, in pyproject.toml under ``tool.eventspeech.study``. A wheel carries
copies of them, which setup.py puts beside this module; an installation by ``pip install -e`` reads them where they are.
"""

import logging
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

from eventspeech import files, paths, presets
from eventspeech.errors import UserError

logger = logging.getLogger("eventspeech")

CARRIED = Path(__file__).parent / "study"
"""Where a wheel carries the files; a checkout has no such folder."""

CHECKOUT = Path(__file__).parents[2]

MAY_BE_THERE = (".git", ".venv")
"""Entries of a folder that is as good as empty: what a user makes before a study is laid out."""

MOST_NAMED = 5


def sources() -> dict[Path, Path]:
    """Return the files of a study: the path in the study, and where its content lies here.

    Raises:
        UserError: the installation has lost them.
    """
    if CARRIED.is_dir():
        root, listed = CARRIED, [CARRIED]
    elif (CHECKOUT / "pyproject.toml").is_file():
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
        root, listed = CHECKOUT, [CHECKOUT / name for name in project["tool"]["eventspeech"]["study"]]
    else:
        raise UserError(f"The files of a study are not in {CARRIED}; install eventspeech again.")
    found = [path for entry in listed for path in (entry.rglob("*") if entry.is_dir() else [entry])]
    return {path.relative_to(root): path for path in sorted(found) if not path.is_dir()}


def init(folder: Path, preset: str = "default") -> None:
    """Lay out a study in ``folder``, which is made if it does not exist.

    Raises:
        UserError: the folder is not empty, it cannot be written, or there is no such preset; nothing is then written.
    """
    parameters = presets.text(preset)
    content = sources()
    with files.full_disk(folder), files.refused_access(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _require_empty(folder)
        # laid out beside its place, so that an interruption leaves no half of a study
        with tempfile.TemporaryDirectory(prefix=".eventspeech-", dir=folder) as name:
            new = Path(name)
            for path, source in content.items():
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, new / path)
            (new / paths.PARAMS).write_text(parameters, encoding="utf-8")
            for entry in sorted(new.iterdir()):
                entry.rename(folder / entry.name)
    _let_dvc_work(folder)
    logger.info("init: a study of preset %s in %s; go there, then run `snakemake` or `dvc repro`", preset, folder)


def _require_empty(folder: Path) -> None:
    there = sorted(entry.name for entry in folder.iterdir() if entry.name not in MAY_BE_THERE)
    if there:
        names = ", ".join(there[:MOST_NAMED])
        more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
        raise UserError(f"{folder} is not empty (it holds {names}{more}); choose a new or an empty folder.")


def _let_dvc_work(folder: Path) -> None:
    """Make ``folder`` a git repository unless it lies in one: DVC refuses to work elsewhere, unless told otherwise."""

    def git(*arguments: str) -> bool:
        try:
            return subprocess.run(["git", *arguments], cwd=folder, capture_output=True).returncode == 0
        except OSError:  # git is not installed
            return False

    if not git("rev-parse", "--is-inside-work-tree") and not git("init", "--quiet"):
        (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")

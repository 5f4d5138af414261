"""What killed programs and clocks that were set leave behind, put right without touching what is finished.

`snakemake` asks for its part of this itself, before it starts; DVC reads its files before it runs anything of ours, so
that its part waits for the verb `mend`.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from eventspeech import disk, paths
from eventspeech.errors import UserError

STUDY = (paths.SPIKES.parent, paths.RESULTS, paths.REPORTS, Path("logs"), Path("benchmarks"))
"""Folders that stages write to."""

RECORDS = Path(".snakemake/metadata")
"""Snakemake writes here after each job."""

AHEAD_S = 2.0
"""Clocks of machines that share a disk differ by less; some disks know times to 2 s only."""

DVC_LOCK = Path("dvc.lock")
DVC = Path(".dvc/tmp")


def mend(folder: Path) -> list[str]:
    """Put right what can be put right in the folder of a study; return a sentence for each thing that was.

    Raises:
        UserError: DVC is at work there.
    """
    return [*_dvc(folder), *bring_back_times(folder), *_remove_parts(folder)]


def bring_back_times(folder: Path) -> list[str]:
    """Give files of the future the present time: the clock was set back since.

    Snakemake refuses every output that is older than its input, and deletes it. It compares contents before it runs
    anything again, so that a new time alone reruns nothing.
    """
    now = time.time()
    found = [path for path in _files(folder) if _is_ahead(path, now)] if _seems_ahead(folder, now) else []
    for path in found:
        with contextlib.suppress(OSError):
            os.utime(path, (now, now))
    if not found:
        return []
    return [f"the clock was set back: {len(found)} files came from the future and now have the present time."]


def _seems_ahead(folder: Path, now: float) -> bool:
    """Look at a few places only: a study may have a hundred thousand files."""
    few = [folder / RECORDS, folder / paths.RAW, folder / paths.SPIKES, folder / paths.RESULTS]
    few += [folder / path for split in ("train", "test") for path in (paths.spikes(split), paths.statistics(split))]
    return any(_is_ahead(path, now) for path in few)


def _is_ahead(path: Path, now: float) -> bool:
    try:
        return path.stat().st_mtime > now + AHEAD_S
    except OSError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    yield folder / RECORDS
    for entry in STUDY:
        for root, _, names in os.walk(folder / entry):
            yield Path(root)
            yield from (Path(root, name) for name in names)


def _remove_parts(folder: Path) -> list[str]:
    removed = sum(disk.remove_left_behind(Path(root)) for entry in STUDY for root, _, _ in os.walk(folder / entry))
    return [f"{removed} half-written files or folders of killed jobs are removed."] if removed else []


def _dvc(folder: Path) -> list[str]:
    """Remove files of DVC that it was killed while writing: it reads them first, and then does nothing at all.

    Both are made anew: the run cache knows what every finished stage made, so that nothing is computed again.
    """
    broken = [
        path
        for path, is_whole in ((folder / DVC_LOCK, _is_yaml_lock), (folder / DVC / "rwlock", _is_json))
        if path.is_file() and not is_whole(path)
    ]
    if not broken:
        return []
    with _without_dvc(folder):
        for path in broken:
            path.unlink()
    return [f"{path} was half written and is removed; `dvc repro` makes it anew, without computing." for path in broken]


@contextlib.contextmanager
def _without_dvc(folder: Path) -> Iterator[None]:
    """Hold DVC's own locks."""
    with contextlib.ExitStack() as stack:
        for name in ("lock", "rwlock.lock"):
            path = folder / DVC / name
            if path.exists():
                stream = stack.enter_context(path.open("a"))
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise UserError(
                        "DVC is at work in this folder; wait for it, or stop it, and run this again."
                    ) from None
        yield


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except ValueError:
        return False


def _is_yaml_lock(path: Path) -> bool:
    """Say whether DVC takes a lock file."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except Exception:  # of the YAML reader, of the schema, or of the text
        return False
    return True

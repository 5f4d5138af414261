"""Snakemake's lock: one run at a time in a folder, and none that a dead one stops.

Snakemake locks a folder by files that name no owner. Killed, it leaves them, and every later run asks for `--unlock`.
So each run that may lock leaves its name (:class:`.processes.Process`) beside them before it does, and takes it away
when it ends. Where all that left theirs have ended, the lock is nobody's and is removed. A process of another machine
or container cannot be seen from here: its lock stays until somebody who knows says `snakemake --unlock`.
"""

import atexit
import contextlib
import errno
import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from eventspeech.errors import UserError
from eventspeech.processes import Process, this

OWNERS = Path(".snakemake/eventspeech/owners")
LOCKS = Path(".snakemake/locks")

OF_A_JOB = ("--nolock", "--mode")
"""Options of the Snakemakes that Snakemake starts for its jobs: they take no lock."""

NO_WRITING = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)

ASK_ONLY = frozenset(
    "-n --dry-run --dryrun -S --summary -D --detailed-summary --dag --rulegraph --filegraph --d3dag --lint -l --list "
    "--list-rules --lt --list-target-rules --lc --list-code-changes --list-input-changes --list-params-changes "
    "--report --archive --containerize --unlock -h --help -v --version".split()
)
"""Options of Snakemakes that run no job."""


def take(arguments: Sequence[str], folder: Path = Path()) -> None:
    """Register this process as a run of Snakemake in a folder, whose lock is removed if nobody holds it any more.

    Args:
        arguments: Snakemake's.
        folder: where it is started; `--directory` leads elsewhere.

    Raises:
        UserError: another run is at work there, or may be, on another machine; or the folder cannot be written.
    """
    options = _options(arguments)
    if options.intersection(OF_A_JOB):
        return
    folder = folder / _directory(arguments)
    owners = folder / OWNERS
    try:
        owners.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(owners.with_suffix(".lock")):
            _look(owners, folder / LOCKS, asks=_asks_only(arguments), unlock="--unlock" in options)
    except OSError as error:
        if error.errno in NO_WRITING and not _asks_only(arguments):
            raise UserError(
                f"{error.filename or owners} cannot be written ({error.strerror}), and nothing can be noted without; "
                "make room, or this folder writable, and run this again."
            ) from error
        # a disk without locks: Snakemake's own lock has to do


def runs_jobs(arguments: Sequence[str]) -> bool:
    """Say whether a Snakemake of these arguments runs a study: it neither only asks nor is one of its jobs."""
    return not _asks_only(arguments) and not _options(arguments).intersection(OF_A_JOB)


def _options(arguments: Sequence[str]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments}


def _look(owners: Path, locks: Path, asks: bool, unlock: bool) -> None:
    locked = sorted(locks.glob("*.lock"))
    known = _known(owners)
    me = this()
    others = {path: (owner, owner.lives()) for path, owner in known.items() if owner != me}
    alive = [(path, owner) for path, (owner, lives) in others.items() if lives]
    unseen = [(path, owner) for path, (owner, lives) in others.items() if lives is None]
    if not asks:
        if alive:
            raise UserError(_at_work(*alive[0]))
        if unseen and locked:
            raise UserError(_elsewhere(*unseen[0]))
    dead = [path for path, (_, lives) in others.items() if lives is False]
    if locked and dead and not alive and not unseen and me not in known.values():
        for path in locked:
            path.unlink(missing_ok=True)
        print("snakemake: the run before this one was killed; its lock is removed, its work goes on.", file=sys.stderr)
    for path in dead + [path for path, _ in unseen if unlock]:
        path.unlink(missing_ok=True)
    if not asks and me not in known.values():
        _register(owners / f"{me.pid}-{me.started}.json", me)


def _register(path: Path, me: Process) -> None:
    path.write_text(json.dumps(me._asdict()), encoding="utf-8")

    def leave() -> None:
        if os.getpid() == me.pid:  # and not a process that this one forked
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    atexit.register(leave)


def _known(owners: Path) -> dict[Path, Process]:
    found = {}
    for path in sorted(owners.glob("*.json")):
        try:
            found[path] = Process(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):  # killed while it was written, so before its run could lock
            path.unlink(missing_ok=True)
    return found


def _asks_only(arguments: Sequence[str]) -> bool:
    names = _options(arguments)
    return bool(names & ASK_ONLY) or any(re.fullmatch(r"-[npkqF]*n[npkqF]*", name) for name in names)


def _directory(arguments: Sequence[str]) -> str:
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in ("-d", "--directory"):
            return value if equals else "".join(arguments[place + 1 : place + 2])
    return ""


def _since(path: Path) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))


def _at_work(path: Path, owner: Process) -> str:
    return (
        f"another run is at work in this folder (process {owner.pid}, since {_since(path)}); wait for it, or stop it "
        f"by `kill {owner.pid}` and run this again."
    )


def _elsewhere(path: Path, owner: Process) -> str:
    return (
        f"a run on {owner.host} (process {owner.pid}, since {_since(path)}) has locked this folder, and from here it "
        "cannot be seen whether it lives; wait for it, or if it has ended, run `snakemake --unlock` and this again."
    )


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield

"""Which process is meant, also when it has ended, its number is another's, or it was one of another machine."""

import os
import platform
from pathlib import Path
from typing import NamedTuple

BOOT = Path("/proc/sys/kernel/random/boot_id")
MACHINE = Path("/etc/machine-id")


class Process(NamedTuple):
    """A process, told apart from all others.

    Attributes:
        host: name of the machine.
        machine: its identity, since machines of a cluster's image may share a name; empty if it has none.
        space: the container it runs in: there numbers of processes are counted anew.
        boot: identity of the machine's start.
        pid: number of the process.
        started: clock ticks from the machine's start to the process's: of no clock that can be set.
    """

    host: str
    machine: str
    space: str
    boot: str
    pid: int
    started: int

    def lives(self) -> bool | None:
        """Say whether it runs; None: that cannot be seen from here."""
        here = this()
        if (self.host, self.machine) != (here.host, here.machine):
            return None
        if self.boot != here.boot:
            return False if self.machine and self.boot and here.boot else None
        if self.space != here.space:
            return None
        return started(self.pid) == self.started


def this() -> Process:
    """Return the process that asks."""
    pid = os.getpid()
    return Process(platform.node(), _text(MACHINE), _space(), _text(BOOT), pid, started(pid) or 0)


def started(pid: int) -> int | None:
    """Return when a process of this machine started (clock ticks), None if there is none of that number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_elsewhere(pid)
    return None if fields[0] in "ZX" else int(fields[19])  # a zombie has ended


def _started_elsewhere(pid: int) -> int | None:
    """Return the same where there is no `/proc`, such as on macOS."""
    import psutil

    try:
        return round(100 * psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

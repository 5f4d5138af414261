"""What this process may use of its machine: cores, threads and memory, cut down to its affinity and cgroups."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def threads() -> int:
    """Return how many threads to compute with: ``OMP_NUM_THREADS`` if it is a positive number, else :func:`cores`."""
    # OpenMP allows a list, one number for each level of nesting; the first is the outermost
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(text) if text.isdecimal() and int(text) > 0 else cores()


def cores() -> int:
    """Return how many cores this process may use: its affinity, cut down to the processor time of its cgroups.

    A share that is not whole is rounded up: the last thread then waits a little instead of a core lying idle.
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    shares = [share for folder in _cgroup_folders("cpu") if (share := _cpu_share(folder)) is not None]
    return max(1, min([count, *(math.ceil(share) for share in shares)]))


def memory_gib() -> float | None:
    """Return the memory this process may use (GiB): physical, or the least limit of its cgroups."""
    limits = [limit for folder in _cgroup_folders("memory") if (limit := _memory_limit(folder)) is not None]
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        pass
    return round(min(limits) / 2**30, 2) if limits else None


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """Yield the folders whose limits hold for this process, of both versions of cgroups, up to the root.

    Inside a container the path of the process may be one that only the host knows; the root then holds the limits.
    """
    try:
        lines = OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    roots = {CGROUPS: "/", CGROUPS / controller: "/"}
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            roots[CGROUPS] = path
        elif controller in controllers.split(","):
            roots[CGROUPS / controller] = path
    for root, path in roots.items():
        folder = root / path.lstrip("/")
        while folder != root and root in folder.parents:
            yield folder
            folder = folder.parent
        yield root


def read(path: Path) -> str | None:
    """Return a small text file of the system, ``None`` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _cpu_share(folder: Path) -> float | None:
    """Return how many processors' time a cgroup may use: version 2 in one file, version 1 in two."""
    fields = (read(folder / "cpu.max") or "").split()
    if len(fields) != 2:
        fields = [read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    # no limit is "max" in version 2 and -1 in version 1, neither of which is decimal
    if not all(field.isdecimal() and int(field) > 0 for field in fields):
        return None
    return int(fields[0]) / int(fields[1])


def _memory_limit(folder: Path) -> int | None:
    """Return a cgroup's limit (bytes); version 1 writes "none" as a number of about 2^63."""
    text = read(folder / "memory.max") or read(folder / "memory.limit_in_bytes") or ""
    return int(text) if text.isdecimal() and 0 < int(text) < 2**60 else None

"""What this machine is: cores this process may use, and the facts that belong beside every measurement."""

import ctypes
import importlib.metadata
import math
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "numba", "snakemake", "dvc", "papermill", "pygenn", "cupy-cuda13x", "cupy-cuda12x")
"""Distributions whose versions belong beside a result."""

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


def facts() -> dict[str, Any]:
    """Return what describes this machine and installation, without names of hosts, users or folders.

    Unknown facts are ``None``: ``cpu``, ``architecture``, ``cores`` and ``threads``, ``memory_gib`` (physical, or the
    cgroup's limit), ``os``, ``kernel``, ``python``, ``eventspeech``, ``packages`` (name to version), ``gpu`` (name of
    the first), ``gpus`` (how many), ``gpu_memory_gib``, ``gpu_driver``, ``git_commit`` and ``git_modified`` (tracked
    files differ from that commit). Nothing is imported to learn a version.
    """
    commit, modified = _git()
    return {
        "cpu": _cpu(),
        "architecture": platform.machine() or None,
        "cores": cores(),
        "threads": threads(),
        "memory_gib": memory_gib(),
        "os": _os(),
        "kernel": f"{platform.system()} {platform.release()}".strip() or None,
        "python": platform.python_version(),
        "eventspeech": version("eventspeech"),
        "packages": {name: version(name) for name in PACKAGES},
        **_gpu(),
        "git_commit": commit,
        "git_modified": modified,
    }


def version(distribution: str) -> str | None:
    """Return the version of an installed distribution, ``None`` if it is not installed; imports nothing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


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


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _cpu_share(folder: Path) -> float | None:
    """Return how many processors' time a cgroup may use: version 2 in one file, version 1 in two."""
    fields = (_read(folder / "cpu.max") or "").split()
    if len(fields) != 2:
        fields = [_read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    # no limit is "max" in version 2 and -1 in version 1, neither of which is decimal
    if not all(field.isdecimal() and int(field) > 0 for field in fields):
        return None
    return int(fields[0]) / int(fields[1])


def _memory_limit(folder: Path) -> int | None:
    """Return a cgroup's limit (bytes); version 1 writes "none" as a number of about 2^63."""
    text = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes") or ""
    return int(text) if text.isdecimal() and 0 < int(text) < 2**60 else None


def _cpu() -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split()) or None
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def _os() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return platform.platform(terse=True) or None


def _gpu() -> dict[str, Any]:
    unknown = {"gpu": None, "gpus": None, "gpu_memory_gib": None, "gpu_driver": None}
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no package, no driver, no permission: each raises its own, and all mean unknown
        return unknown
    try:
        first = pynvml.nvmlDeviceGetHandleByIndex(0)
        return {
            "gpu": str(pynvml.nvmlDeviceGetName(first)),
            "gpus": int(pynvml.nvmlDeviceGetCount()),
            "gpu_memory_gib": round(pynvml.nvmlDeviceGetMemoryInfo(first).total / 2**30, 2),
            "gpu_driver": str(pynvml.nvmlSystemGetDriverVersion()),
        }
    except pynvml.NVMLError:
        return unknown
    finally:
        pynvml.nvmlShutdown()


def _git() -> tuple[str | None, bool | None]:
    """Return the commit this package is run from and whether tracked files differ from it."""
    folder = Path(__file__).parent
    # an installed copy may lie inside some other repository: only a tracked file is a checkout of this one
    if _output("git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None
    commit = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    changes = _output("git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else changes != ""


def _output(*command: str) -> str | None:
    """Return what a command prints, ``None`` if it cannot run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def cuda_problem() -> str | None:
    """Return why CUDA cannot run here, as a clause, or ``None`` if a driver and a visible GPU answer."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    # NVML first: it answers in milliseconds and leaves no context; some containers have CUDA without it
    if _gpu()["gpus"] or _cuda_devices() > 0:
        return None
    return "no NVIDIA driver with a GPU answers on this machine"


def _cuda_devices() -> int:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value

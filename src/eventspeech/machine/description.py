"""The facts that belong beside every result: machine, versions, and the GPU that a job sees."""

import platform
from pathlib import Path
from typing import Any

from eventspeech.machine import gpu, limits, provenance


def facts() -> dict[str, Any]:
    """Return what describes this machine and installation, without names of hosts, users or folders.

    Unknown facts are ``None``: ``cpu``, ``architecture``, ``cores`` and ``threads``, ``memory_gib`` (physical, or the
    cgroup's limit), ``os``, ``kernel``, ``python``, ``eventspeech``, ``packages`` (name to version), what
    :func:`eventspeech.machine.gpu.facts` says of the GPU that CUDA gives this process first, ``git_commit`` and
    ``git_modified`` (tracked files differ from that commit). ``doubts`` gives the reason why a fact of the GPU or the
    commit is unknown or doubtful. No package but NVML's is imported to learn a version.
    """
    card, why_no_card = gpu.facts()
    commit, modified, why_no_commit = provenance.commit()
    return {
        "cpu": cpu(),
        "architecture": platform.machine() or None,
        "cores": limits.cores(),
        "threads": limits.threads(),
        "memory_gib": limits.memory_gib(),
        "os": _os(),
        "kernel": f"{platform.system()} {platform.release()}".strip() or None,
        "python": platform.python_version(),
        "eventspeech": provenance.version("eventspeech"),
        "packages": {name: provenance.version(name) for name in provenance.PACKAGES},
        **card,
        "git_commit": commit,
        "git_modified": modified,
        "doubts": why_no_card | ({} if why_no_commit is None else {"git_commit": why_no_commit}),
    }


def cpu() -> str | None:
    """Return the processor's name, None if the system does not tell it."""
    for line in (limits.read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split()) or None
    if platform.system() == "Darwin":
        return provenance.output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def _os() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return platform.platform(terse=True) or None

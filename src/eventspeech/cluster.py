"""What a cluster offers its jobs, as far as its scheduler tells: SLURM's `sinfo`, asked where jobs are submitted."""

import functools
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FEW_CORES = 4
"""What a job that wants a whole node asks for where nobody says how large nodes are: more might never be given."""

ATTEMPTS_WITH_GPU = 2
"""How often a measurement of a GPU asks for one; a scheduler that refused so often gets the job without."""

OUT = ("down", "drain", "fail", "unk")
"""How the states of nodes begin that take no jobs."""


@dataclass(frozen=True)
class Node:
    """A node in one partition: cores (hardware threads that can be asked for), whether it has GPUs and takes jobs."""

    partition: str
    default: bool
    cores: int
    gpus: bool
    up: bool


def nodes(partition: str | None = None) -> list[Node]:
    """Return the nodes of partitions (names between commas; default those of the default partition).

    Empty where there is no SLURM, or where it does not answer.
    """
    found = _parsed(_sinfo())
    names = partition.split(",") if partition else [node.partition for node in found if node.default]
    return [node for node in found if node.partition in names] if names else found


def has_gpu(partition: str | None = None) -> bool:
    """Return whether a node that takes jobs has a GPU; where nobody says so, none is asked for."""
    return any(node.gpus and node.up for node in nodes(partition))


def cores(partition: str | None = None) -> int:
    """Return how many cores each node that takes jobs has, so that a job of that size fits any."""
    known = nodes(partition)
    return min((node.cores for node in known if node.up), default=min((n.cores for n in known), default=FEW_CORES))


def named_partition(*asked: Mapping[str, Any]) -> str | None:
    """Return the partition named by the first of Snakemake's settings of resources that names one by plain text."""
    for resources in asked:
        text = str(getattr(resources.get("slurm_partition"), "raw", None) or "").strip("'\" ")
        if re.fullmatch(r"[\w.,-]+", text):
            return text
    return None


def gpus_to_ask(attempt: int, submitted: bool, partition: str | None, problem: Callable[[], str | None]) -> int:
    """Return how many GPUs the measurement of a GPU asks for: 1 where there is one; without, it says why it has none.

    Args:
        attempt: from 1; see :data:`ATTEMPTS_WITH_GPU`.
        submitted: whether the job runs on a node of a cluster, and not here.
        partition: of the job, if named.
        problem: returns why there is no GPU here.
    """
    offered = has_gpu(partition) if submitted else problem() is None
    return int(offered and attempt <= ATTEMPTS_WITH_GPU)


def _parsed(text: str) -> list[Node]:
    found = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == 4 and (size := re.match(r"\d+", fields[1])):
            name, _, gres, state = fields
            gpus = re.search(r"(^|,)gpu\b", gres) is not None
            up = not state.lower().startswith(OUT)
            found.append(Node(name.rstrip("*"), name.endswith("*"), int(size[0]), gpus, up))
    return found


@functools.cache
def _sinfo() -> str:
    """Ask once: partition (the default with a star), cores, generic resources and state of each node."""
    command = ["sinfo", "--Node", "--noheader", "--format=%P|%c|%G|%T"]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""

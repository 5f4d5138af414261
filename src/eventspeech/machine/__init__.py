"""What this machine is: what this process may use of it, its GPU, and the facts that belong beside every result."""

from eventspeech.machine.description import cpu, facts
from eventspeech.machine.gpu import cuda_problem
from eventspeech.machine.limits import cores, memory_gib, threads
from eventspeech.machine.provenance import code, version

__all__ = ["code", "cores", "cpu", "cuda_problem", "facts", "memory_gib", "threads", "version"]

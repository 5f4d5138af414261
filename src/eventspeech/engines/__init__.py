"""Engines: `exact` (float64, event-driven, trusted by the tests), `cpu` (C or numba, multi-core), `cuda` (one GPU)."""

from eventspeech.engines.base import Engine
from eventspeech.errors import UserError
from eventspeech.network import Network


def create(name: str, network: Network, threads: int | None = None) -> Engine:
    """Return the engine ``name`` for ``network``; `cpu` runs on at most ``threads`` threads.

    Raises:
        UserError: the engine is not available on this machine.
    """
    if name == "cpu":
        from eventspeech.engines.cpu import CpuEngine

        return CpuEngine(network, threads=threads)
    if name == "cuda":
        from eventspeech.engines.cuda import CudaEngine

        return CudaEngine(network)
    raise UserError(f"The engine '{name}' is not part of this version; set train.engine and evaluate.engine to cpu.")

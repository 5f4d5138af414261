"""Engines: `exact` (float64, event-driven, trusted by the tests), `cpu` (C or numba, multi-core)."""

from eventspeech.engines.base import Engine
from eventspeech.errors import UserError
from eventspeech.network import Network


def create(name: str, network: Network, threads: int | None = None) -> Engine:
    """Return the engine ``name`` for ``network``, on at most ``threads`` threads.

    Raises:
        UserError: the engine is not available on this machine.
    """
    if name == "cpu":
        from eventspeech.engines.cpu import CpuEngine

        return CpuEngine(network, threads=threads)
    raise UserError(f"The engine '{name}' is not part of this version; set train.engine and evaluate.engine to cpu.")

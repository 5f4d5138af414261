"""Engines: `exact` (float64, event-driven, what tests trust), `cpu` (C or numba, multi-core), `cuda`, `genn`."""

from eventspeech.engines.contract import Engine
from eventspeech.errors import UserError
from eventspeech.network import Network


def create(
    name: str,
    network: Network,
    threads: int | None = None,
    batch_size: int | None = None,
    accumulate: bool = False,
) -> Engine:
    """Return the engine ``name`` for ``network``.

    Args:
        name: as in the parameter file.
        network: the network.
        threads: at most this many (`cpu`).
        batch_size: of training, if the engine shall train (`genn`: see `engines.genn.engine`).
        accumulate: as there.

    Raises:
        UserError: the engine is not available on this machine, or cannot take such batches.
    """
    if name == "cpu":
        from eventspeech.engines.cpu import CpuEngine

        return CpuEngine(network, threads=threads)
    if name == "cuda":
        from eventspeech.engines.cuda import CudaEngine

        return CudaEngine(network)
    if name == "genn":
        from eventspeech.engines.genn.engine import GennEngine

        return GennEngine(network, batch_size=batch_size, accumulate=accumulate)
    raise UserError(
        f"The engine '{name}' is not part of this version; set optimiser.engine and evaluate.engine to cpu."
    )

"""Engines: what computes loss and gradients. An engine is written in two places:

- its module here, of the name by which `optimiser.engine` chooses it, with an :class:`Entry` called ``ENTRY``;
- its name in :data:`eventspeech.params.groups.Engine`.

Stages, rules, benchmarks and `doctor` know of an engine what :func:`named` gives them. Beside these there is `exact`
(float64, event-driven, for small networks), which tests trust and no study trains with.
"""

import importlib
from typing import get_args

from eventspeech.engines.contract import Engine, Entry
from eventspeech.errors import UserError
from eventspeech.network import Network
from eventspeech.params import groups

ENGINES: tuple[str, ...] = get_args(groups.Engine)
"""Names of all engines, those that run on the same device in order of preference."""


def named(name: str) -> Entry:
    """Return the entry of an engine; only its own module is imported.

    Raises:
        UserError: there is no such engine.
    """
    if name not in ENGINES:
        raise UserError(f"There is no engine '{name}'; choose from {', '.join(ENGINES)}.")
    return importlib.import_module(f"{__name__}.{name}").ENTRY


def create(
    name: str,
    network: Network,
    threads: int | None = None,
    batch_size: int | None = None,
    accumulate: bool = False,
) -> Engine:
    """Return the engine ``name`` for ``network``.

    Args:
        name: out of :data:`ENGINES`.
        network: the network.
        threads: at most this many (`cpu`).
        batch_size: of training, if the engine shall train (`genn`: see `engines.genn.engine`).
        accumulate: as there.

    Raises:
        UserError: there is no such engine, it cannot run on this machine, or it cannot take such batches.
    """
    return named(name).make(network, threads, batch_size, accumulate)


def for_device(device: str, configured: str) -> str:
    """Return the engine that trains on ``device`` (``cpu`` or ``cuda``): the configured one, or the first that can."""
    able = [name for name in ENGINES if device in named(name).devices]
    return configured if configured in able else able[0]


def gpus(name: str) -> int:
    """Return how many GPUs a job of this engine holds."""
    return int("cuda" in named(name).devices)

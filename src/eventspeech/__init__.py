"""Reproducible training of spiking neural networks for speech recognition with Eventprop."""

import importlib
from typing import Any

__version__ = "0.2.0"

__all__ = ["__version__", "encode", "infer", "load_model", "record", "train"]


def __getattr__(name: str) -> Any:
    """Return a name of :mod:`eventspeech.api`, which is imported when one is asked for and not before."""
    if name not in __all__:
        raise AttributeError(f"module 'eventspeech' has no attribute '{name}'")
    return getattr(importlib.import_module("eventspeech.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

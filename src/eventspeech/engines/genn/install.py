"""What of GeNN is there: PyGeNN and the backends it was built with."""

import importlib
from typing import Any

from eventspeech import machine
from eventspeech.errors import UserError

CPU, CUDA = "single_threaded_cpu", "cuda"
"""GeNN's names of the backends that are used here; the first takes one sample at a time."""

REMEDY = "install PyGeNN 5 as the README's section on GeNN says"


def problem(backend: str | None = None) -> str | None:
    """Return why PyGeNN, or a backend of it, cannot be used, as a clause; None if it can."""
    try:
        importlib.import_module("pygenn")
    except ModuleNotFoundError as error:
        return "PyGeNN is not installed" if error.name == "pygenn" else f"PyGeNN lacks the package {error.name}"
    except Exception as error:  # a broken binary raises anything
        return f"PyGeNN cannot be imported ({error})"
    found = backends()
    if not found:
        return "PyGeNN was built without any backend"
    if backend is not None and backend not in found:
        return f"PyGeNN was built without its backend {backend} (it has {' and '.join(found)})"
    return None


def backends() -> list[str]:
    """Return the backends PyGeNN was built with and can import, if any."""
    from pygenn import genn_model

    return [name for name in (CUDA, CPU) if name in genn_model.backend_modules]


def default_backend() -> str:
    """Return the backend that the engine uses: that of the GPU, if there is one and PyGeNN was built for it."""
    return CUDA if CUDA in backends() and machine.cuda_problem() is None else CPU


def preferences(backend: str) -> dict[str, Any]:
    """Return the preferences of a model: optimised code, and on the first GPU that CUDA shows.

    Left to itself, GeNN takes whichever of several GPUs it thinks best; meter and machine facts are those of the first.
    """
    if backend != CUDA:
        return {"optimize_code": True}
    from pygenn.cuda_backend import DeviceSelect

    return {"optimize_code": True, "device_select_method": DeviceSelect.MANUAL, "manual_device_id": 0}


def require(what: str, backend: str | None = None) -> None:
    """Raise UserError unless PyGeNN (and the backend) can be used by ``what``."""
    if found := problem(backend):
        raise UserError(f"{what} cannot run here: {found}; {REMEDY} (`eventspeech doctor` helps), or use engine cpu.")

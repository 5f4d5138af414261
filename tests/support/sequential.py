"""Numba's kernels compiled without threads, which takes a third of the time: for what threads have no part in."""

import numba

from eventspeech.engines.event_driven.numba import adjoint, forward, gather, products

KERNELS = {
    forward: ("forward_hidden", "forward_max", "forward_output"),
    adjoint: ("adjoint_hidden", "adjoint_max", "adjoint_output"),
    products: ("products",),
    gather: ("sort", "gather"),
}


def compile_anew(monkeypatch) -> None:
    """Replace the kernels until the end of the test; nothing is kept on disk, where it would take their place."""
    for module, names in KERNELS.items():
        for name in names:
            kernel = getattr(module, name)
            anew = numba.njit(fastmath=kernel.targetoptions.get("fastmath", False))(kernel.py_func)
            monkeypatch.setattr(module, name, anew)

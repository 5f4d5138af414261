"""Engine `genn`: the equations of `engines.equations` on GeNN (genn-team/genn), with its CUDA or its CPU backend.

`forward` and `adjoint` hold what the neurons compute, `definitions` and `compose` make one GeNN model of them, `build`
compiles it once and keeps the code, `model` runs its two phases, `engine` runs batches, `install` says what is missing.
"""

from eventspeech import machine
from eventspeech.engines.contract import Engine, Entry, Finding
from eventspeech.engines.genn import install
from eventspeech.network import Network


def _make(network: Network, threads: int | None, batch_size: int | None, accumulate: bool) -> Engine:
    from eventspeech.engines.genn.engine import GennEngine

    return GennEngine(network, batch_size=batch_size, accumulate=accumulate)


def _problem(device: str) -> str | None:
    return machine.cuda_problem() or install.problem(install.CUDA)


def _examine() -> Finding:
    if problem := install.problem():
        return Finding(problem, "", f"for the genn engine {install.REMEDY}")
    found = install.backends()
    detail = f"PyGeNN {machine.version('pygenn')}, backends: {', '.join(found)}; it uses {install.default_backend()}"
    remedy = "" if install.CUDA in found else "for its CUDA backend set CUDA_PATH and build PyGeNN again"
    return Finding(None, detail, remedy)


# its CPU backend, of one sample at a time, is measured by `benchmark engine` alone
ENTRY = Entry(_make, _problem, _examine, ("cuda",))

"""The populations and connections of the GeNN model, put together from the code of `forward` and `adjoint`."""

from typing import NamedTuple

from eventspeech.engines.base import Coefficients
from eventspeech.engines.genn import adjoint, forward

COEFFICIENTS = Coefficients._fields
"""Variables of every neuron, the same for all samples."""

PRODUCTS = ("Drift", "Charge", "Current")
"""Variables of the sums of `engines.base.Products`."""

STATE = dict.fromkeys(("V", "I", "LambdaV", "LambdaI", "Difference"), "scalar")


class Neurons(NamedTuple):
    """What a population of neurons computes.

    Attributes:
        variables: type of each variable, of every sample and neuron.
        buffers: type of each array.
        code: of every step.
        kept: the arrays that the backward phase reads of the forward phase.
        threshold: when there is a spike; None without.
        reset: what it does.
        coefficients: variables that are the same for all samples.
    """

    variables: dict[str, str]
    buffers: dict[str, str]
    code: str
    kept: tuple[str, ...]
    threshold: str | None
    reset: str | None = None
    coefficients: tuple[str, ...] = COEFFICIENTS


class _Kind(NamedTuple):
    """What makes a kind of neuron: beside the state; code after the arrival, before and after the adjoints' decay."""

    variables: dict[str, str]
    buffers: dict[str, str]
    ahead: str
    jump: str
    back: str


_KINDS = {
    "spiking": _Kind(
        {**dict.fromkeys(("Count", "Floored", "First"), "int"), "FiredBefore": "uint8_t", "Penalty": "scalar",
         "Slope": "scalar"},
        {"Z": "scalar"}, forward.SPIKING, adjoint.JUMP, adjoint.DIFFERENCE,
    ),
    "sum": _Kind(
        {"Value": "double", "Drive": "scalar"}, {"Weighting": "double"},
        forward.SUM, "", adjoint.SUM + adjoint.DIFFERENCE,
    ),
    "max": _Kind(
        {"Value": "scalar", "Peak": "int", **dict.fromkeys(("Rise", "Fall", "Drive", "Unseen"), "scalar")}, {},
        forward.MAX, "", adjoint.MAX + adjoint.MAX_DIFFERENCE,
    ),
}  # fmt: skip


def inputs() -> Neurons:
    """Return the input with its delay line."""
    variables, buffers = {"Fires": "uint8_t", "FiredBefore": "uint8_t"}, {"Spikes": "uint8_t", "Delays": "int"}
    code = _phases(forward.INPUT, adjoint.INPUT)
    return Neurons(variables, buffers, code, ("Spikes",), forward.INPUT_THRESHOLD, coefficients=())


def neurons(readout: str | None, learned: bool) -> Neurons:
    """Return hidden neurons, or outputs read as ``readout`` says; ``learned`` if time constants have gradients."""
    spiking = readout in (None, "first_spike")
    kind = _KINDS["spiking" if spiking else readout]
    # voltages of outputs are recorded for figures, too
    traces = {"VoltageTrace": forward.TRACE_VOLTAGE} if learned or readout else {}
    traces |= {"CurrentTrace": forward.TRACE_CURRENT} if learned else {}
    return Neurons(
        STATE | kind.variables | (dict.fromkeys(PRODUCTS, "double") if learned else {}),
        kind.buffers | dict.fromkeys(traces, "scalar"),
        _phases(
            forward.ARRIVAL + "".join(traces.values()) + kind.ahead,
            adjoint.START + kind.jump + adjoint.PRODUCTS * learned + adjoint.DECAY + kind.back,
        ),
        ("Z",) * spiking + ("VoltageTrace", "CurrentTrace") * learned,
        forward.THRESHOLD if spiking else None,
        forward.RESET if spiking else None,
    )


def _phases(ahead: str, back: str) -> str:
    """Return the code of GeNN's steps 0..N-1 and N..2N-1; each phase knows the step n of the trial."""
    return f"""
if (t < Steps) {{
const int n = (int)t;
{ahead}
}}
else {{
const int n = (2 * Steps) - 1 - (int)t;
{back}
}}
"""

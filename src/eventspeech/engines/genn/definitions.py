"""The populations and connections of the GeNN model, put together from the code of `forward` and `adjoint`."""

from typing import NamedTuple

from eventspeech.engines.equations import Coefficients
from eventspeech.engines.genn import adjoint, forward

COEFFICIENTS = Coefficients._fields
"""Variables of every neuron, the same for all samples."""

PRODUCTS = ("Drift", "Charge", "Current")
"""Variables of the sums of `engines.equations.Products`."""

STATE = dict.fromkeys(("V", "I", "LambdaV", "LambdaI", "Difference"), "scalar")


class Neurons(NamedTuple):
    """What a population of neurons computes.

    Attributes:
        variables: type of each variable, of every sample and neuron.
        arrays: type of each array.
        code: of every step.
        kept: the arrays that the backward phase reads of the forward phase.
        threshold: when there is a spike; None without.
        reset: what it does.
        coefficients: variables that are the same for all samples.
    """

    variables: dict[str, str]
    arrays: dict[str, str]
    code: str
    kept: tuple[str, ...]
    threshold: str | None
    reset: str | None = None
    coefficients: tuple[str, ...] = COEFFICIENTS


class _Kind(NamedTuple):
    """What makes a kind of neuron: beside the state; code after the arrival, before and after the adjoints' decay."""

    variables: dict[str, str]
    arrays: dict[str, str]
    ahead: str
    jump: str
    back: str


_SPIKING = {"Z": "scalar", "Count": "int", "Floored": "int"}
_KINDS = {
    "hidden": _Kind(
        {"FiredBefore": "uint8_t"}, {**_SPIKING, "Penalty": "scalar"},
        forward.CROSSING, adjoint.JUMP, adjoint.DIFFERENCE,
    ),
    "first_spike": _Kind(
        {"FiredBefore": "uint8_t"}, {**_SPIKING, "First": "int", "Slope": "scalar"},
        forward.CROSSING + forward.FIRST_SPIKE, adjoint.FIRST_SPIKE, adjoint.DIFFERENCE,
    ),
    "sum": _Kind(
        {"Value": "double"}, {"Weighting": "double", "Drive": "scalar"},
        forward.SUM, "", adjoint.SUM + adjoint.DIFFERENCE,
    ),
    "max": _Kind(
        {"Value": "scalar"}, {"Peak": "int", **dict.fromkeys(("Rise", "Fall", "Drive", "Unseen"), "scalar")},
        forward.MAX, "", adjoint.MAX + adjoint.MAX_DIFFERENCE,
    ),
}  # fmt: skip

LENGTHS = {"Spikes": "BNC", "Delays": "K", "Weighting": "N"}
LENGTHS |= dict.fromkeys(("Z", "Restart", "VoltageTrace", "CurrentTrace"), "BNH")
"""Dimensions of arrays: samples, steps, channels, copies of the input, neurons; all others are [B, H]."""


def inputs() -> Neurons:
    """Return the input with its delay line."""
    variables, arrays = {"Fires": "uint8_t", "FiredBefore": "uint8_t"}, {"Spikes": "uint8_t", "Delays": "int"}
    code = _phases(forward.INPUT, adjoint.INPUT)
    return Neurons(variables, arrays, code, ("Spikes",), forward.INPUT_THRESHOLD, coefficients=())


def neurons(kind: str, learned: bool, refractory: bool) -> Neurons:
    """Return ``hidden`` neurons, or outputs that are read as ``kind`` says, whose voltages are recorded for figures.

    ``learned``: with gradients of time constants; ``refractory``: with a refractory period, if they spike.
    """
    own, spiking = _KINDS[kind], kind in ("hidden", "first_spike")
    refractory &= spiking
    traces = {"VoltageTrace": forward.TRACE_VOLTAGE} if learned or kind != "hidden" else {}
    traces |= {"CurrentTrace": forward.TRACE_CURRENT} if learned else {}
    return Neurons(
        STATE
        | own.variables
        | (dict.fromkeys(PRODUCTS, "double") if learned else {})
        | ({"Free": "int", "Carried": "scalar"} if refractory else {}),
        own.arrays | dict.fromkeys(traces, "scalar") | ({"Restart": "scalar"} if refractory else {}),
        _phases(
            forward.ARRIVAL
            + "".join(traces.values())
            + forward.SPIKING * spiking
            + forward.HELD * refractory
            + own.ahead,
            adjoint.START
            + (adjoint.RESTART if refractory else adjoint.OWN * spiking)
            + own.jump
            + adjoint.PRODUCTS * learned
            + adjoint.DECAY
            + own.back,
        ),
        ("Z",) * spiking + ("Restart",) * refractory + ("VoltageTrace", "CurrentTrace") * learned,
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

"""The network: sizes, time constants, and initial weights that do not depend on the loss.

``C`` input channels reach the first hidden layer through a delay line of ``K`` copies; hidden layers are leaky
integrate-and-fire neurons with current-based exponential synapses, threshold 1, reset 0 and, if asked for, an absolute
refractory period; the ``O`` outputs are leaky integrators without a threshold. A connection is called ``PRE_POST``:
``input_hidden1`` (float32[K * C, H], copy-major), ``hidden1_hidden1`` (recurrent), ``hidden1_hidden2``,
``hidden1_output``.

Time constants of a population that are learned, or differ from the network's, are among its weights:
``hidden1_tau_mem_ms``, ``output_tau_syn_ms``, float32[1] for the population or float32[H] for each neuron.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from eventspeech import params, seeds
from eventspeech.errors import DataError, ParameterError

Weights = dict[str, np.ndarray]

TIME_CONSTANTS = ("tau_mem_ms", "tau_syn_ms")
"""Ends of the names of time constants among the weights, and their names in the network."""

LARGEST_SIZE = 2**31
"""Neurons, inputs and steps are counted with 32 bits."""

GAMMA_SHAPE = 3.0
LONGEST = 3.0
"""Heterogeneous time constants are Gamma distributed with this shape, and at most so many times their mean: published
by Nowotny, Turner & Knight (2025), for hidden neurons only."""


class Connection(NamedTuple):
    """A matrix of weights from one population to another."""

    name: str
    rows: int
    columns: int
    mean: float
    sd: float


@dataclass(frozen=True)
class Network:
    """A network on a time grid.

    Attributes:
        inputs, hidden, outputs: sizes; ``hidden`` has one entry a layer.
        recurrent: each hidden layer is connected to itself.
        steps: N, the trial has ``steps`` steps of ``step_ms``.
        tau_mem_ms, tau_syn_ms: of hidden and output neurons, unless the weights have others.
        delay_steps: delay of each copy of the input, in steps, at least 0 and less than ``steps``.
        refractory_steps: steps for which a neuron is held at 0 after the step of its spike, at least 0 and less than
            ``steps``.

    Raises:
        DataError: it cannot be computed: a size below 1 or beyond 32 bits, a delay or refractory period that is
            negative or reaches beyond the trial, a time that is not positive and finite. Compiled code counts with
            these numbers.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    recurrent: bool
    steps: int
    step_ms: float
    tau_mem_ms: float
    tau_syn_ms: float
    delay_steps: tuple[int, ...] = (0,)
    refractory_steps: int = 0

    def __post_init__(self) -> None:
        sizes = {
            "inputs": [self.inputs * len(self.delay_steps)],
            "hidden": self.hidden,
            "outputs": [self.outputs],
            "steps": [self.steps],
        }
        for name, found in sizes.items():
            if len(found) == 0 or not all(1 <= size < LARGEST_SIZE for size in found):
                raise DataError(f"A network with {name} of {_range(found)} cannot be computed; train the model again.")
        if min(self.delay_steps) < 0 or max(self.delay_steps) >= self.steps:
            raise DataError(
                f"A network with delays of {_range(self.delay_steps)} steps in a trial of {self.steps} cannot be "
                "computed; train the model again."
            )
        if not 0 <= self.refractory_steps < self.steps:
            raise DataError(
                f"A network with a refractory period of {self.refractory_steps} steps in a trial of {self.steps} "
                "cannot be computed; train the model again."
            )
        for name in ("step_ms", *TIME_CONSTANTS):
            if not 0 < getattr(self, name) < math.inf:
                raise DataError(
                    f"A network whose {name} is {getattr(self, name):g} cannot be computed; train the model again."
                )

    @property
    def trial_ms(self) -> float:
        """T."""
        return self.steps * self.step_ms

    @property
    def refractory_ms(self) -> float:
        """The absolute refractory period, beside the half step of dead time that every grid has."""
        return self.refractory_steps * self.step_ms

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, and :func:`from_dict` turns back into this network."""
        return dataclasses.asdict(self) | {"hidden": list(self.hidden), "delay_steps": list(self.delay_steps)}


def from_dict(content: dict[str, Any]) -> Network:
    """Return the network that :meth:`Network.as_dict` described."""
    return Network(**content | {"hidden": tuple(content["hidden"]), "delay_steps": tuple(content["delay_steps"])})


def build(parameters: params.Network, outputs: int, trial_ms: float, inputs: int = params.CHANNELS) -> Network:
    """Put the parameters on the time grid.

    Raises:
        ParameterError: the trial, a delay or the refractory period is not a whole number of steps, or one of these
            reaches beyond the trial.
    """
    steps = _whole("preprocess.trial_ms", trial_ms, parameters.step_ms)
    interval = parameters.delays.interval_ms if parameters.delays.copies > 1 else 0.0
    delay = _whole("network.delays.interval_ms", interval, parameters.step_ms)
    if (last := delay * (parameters.delays.copies - 1)) >= steps:
        raise ParameterError(
            f"network.delays: the last of {parameters.delays.copies} copies would come {last * parameters.step_ms:g} "
            f"ms late, when the trial of {trial_ms:g} ms is over; take fewer copies or a shorter interval_ms."
        )
    refractory = _whole("network.refractory_ms", parameters.refractory_ms, parameters.step_ms)
    if refractory >= steps:
        raise ParameterError(
            f"network.refractory_ms = {parameters.refractory_ms:g} is as long as the trial of {trial_ms:g} ms; take a "
            "shorter one."
        )
    return Network(
        inputs=inputs,
        hidden=tuple(parameters.hidden),
        outputs=outputs,
        recurrent=parameters.recurrent,
        steps=steps,
        step_ms=parameters.step_ms,
        tau_mem_ms=parameters.tau_mem_ms,
        tau_syn_ms=parameters.tau_syn_ms,
        delay_steps=tuple(delay * copy for copy in range(parameters.delays.copies)),
        refractory_steps=refractory,
    )


def at_step(network: Network, step_ms: float, dead_time: bool = False) -> Network:
    """Put a network on another grid: all its times keep their milliseconds.

    What is no time, but one step by definition, is one step there, too: a spike acts on its targets one step later.

    Args:
        network: the network.
        step_ms: the step of the other grid.
        dead_time: keep the time from a threshold crossing to the restart, which on a grid is half a step longer in the
            mean than the refractory period (`engines.equations`); to the nearest step, the later of two.

    Raises:
        ParameterError: the trial, a delay or (unless ``dead_time``) the refractory period is not a whole number of
            steps.
    """

    def steps(what: str, count: int) -> int:
        return _whole(what, count * network.step_ms, step_ms, key="evaluate.steps_ms")

    return dataclasses.replace(
        network,
        step_ms=step_ms,
        steps=steps("preprocess.trial_ms", network.steps),
        delay_steps=tuple(steps("network.delays", delay) for delay in network.delay_steps),
        refractory_steps=math.floor((network.refractory_steps + 0.5) * network.step_ms / step_ms + 1e-6)
        if dead_time
        else steps("network.refractory_ms", network.refractory_steps),
    )


def _range(numbers: Sequence[int]) -> str:
    if len(numbers) == 0:
        return "no number"
    return f"{min(numbers)}" if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)}"


def _whole(what: str, time_ms: float, step_ms: float, key: str = "network.step_ms") -> int:
    steps = params.steps_in(time_ms, step_ms)
    if steps is None:
        raise ParameterError(
            f"{what} = {time_ms:g} is not a whole number of steps of {key} = {step_ms:g}; change one of them."
        )
    return steps


def connections(network: Network, parameters: params.Network | None = None) -> list[Connection]:
    """List the connections in the order in which activity flows."""
    p = parameters or params.Network()
    found = []
    pre, rows, mean, sd = "input", network.inputs * len(network.delay_steps), p.input_mean, p.input_sd
    for layer, size in enumerate(network.hidden, 1):
        post = f"hidden{layer}"
        found.append(Connection(f"{pre}_{post}", rows, size, mean, sd))
        if network.recurrent:
            found.append(Connection(f"{post}_{post}", size, size, p.recurrent_mean, p.recurrent_sd))
        pre, rows, mean, sd = post, size, p.hidden_mean, p.hidden_sd
    found.append(Connection(f"{pre}_output", rows, network.outputs, p.output_mean, p.output_sd))
    return found


def initial_weights(network: Network, parameters: params.Network, seed: int) -> Weights:
    """Draw normally distributed weights, float32; each connection has its own generator derived from ``seed``."""
    return {
        connection.name: seeds.generator(seed, "weights", connection.name)
        .normal(connection.mean, connection.sd, (connection.rows, connection.columns))
        .astype(np.float32)
        for connection in connections(network, parameters)
    }


def populations(network: Network) -> dict[str, int]:
    """Return the name and size of each population of neurons."""
    return {f"hidden{layer}": size for layer, size in enumerate(network.hidden, 1)} | {"output": network.outputs}


def is_time_constant(name: str) -> bool:
    """Say whether an entry of the weights is a time constant."""
    return name.endswith(TIME_CONSTANTS)


def has_time_constants(weights: Weights, population: str) -> bool:
    """Say whether a population has time constants among the weights, whose gradients are therefore wanted."""
    return any(f"{population}_{kind}" in weights for kind in TIME_CONSTANTS)


def time_constants(network: Network, weights: Weights, population: str) -> tuple[np.ndarray, np.ndarray]:
    """Return tau_mem and tau_syn of each neuron of a population, float64[H]."""
    size = populations(network)[population]
    found = (weights.get(f"{population}_{kind}", getattr(network, kind)) for kind in TIME_CONSTANTS)
    tau_mem_ms, tau_syn_ms = (np.full(size, constant, np.float64) for constant in found)
    return tau_mem_ms, tau_syn_ms


def initial_time_constants(
    network: Network,
    seed: int,
    learned: Literal["none", "population", "neuron"],
    heterogeneous: bool,
    shortest_ms: dict[str, float],
    outputs: bool = True,
) -> Weights:
    """Return the time constants that belong among the weights, float32.

    Args:
        network: its time constants are the mean, or the start, of all others.
        seed: each population's are drawn by a generator of their own, as weights are.
        learned: one for each population, or for each neuron.
        heterogeneous: those of hidden neurons differ from the start.
        shortest_ms: lower bound of ``tau_mem_ms`` and of ``tau_syn_ms``.
        outputs: those of outputs are learned, too.
    """
    constants = {}
    for population, size in populations(network).items():
        for kind in TIME_CONSTANTS:
            name, mean_ms = f"{population}_{kind}", getattr(network, kind)
            if heterogeneous and population != "output":
                drawn_ms = seeds.generator(seed, "weights", name).gamma(GAMMA_SHAPE, mean_ms / GAMMA_SHAPE, size)
                constants[name] = np.clip(drawn_ms, shortest_ms[kind], LONGEST * mean_ms).astype(np.float32)
            elif learned != "none" and (outputs or population != "output"):
                constants[name] = np.full(size if learned == "neuron" else 1, mean_ms, np.float32)
    return constants


def check(network: Network, weights: Weights) -> None:
    """Raise ValueError unless ``weights`` are exactly the network's, in shape and finite; time constants may be there.

    A time constant has to be positive, too.
    """
    expected: dict[str, tuple[int, ...]] = {c.name: (c.rows, c.columns) for c in connections(network)}
    for name in (f"{population}_{kind}" for population in populations(network) for kind in TIME_CONSTANTS):
        if name in weights:
            size = populations(network)[name.split("_")[0]]
            expected[name] = (1,) if weights[name].shape == (1,) else (size,)
    found = {name: array.shape for name, array in weights.items()}
    if expected != found:
        raise ValueError(f"weights have shapes {found}, the network needs {expected}")
    for name, array in weights.items():
        if not np.all(np.isfinite(array)):
            raise ValueError(f"weights {name} hold NaN or infinity")
        if is_time_constant(name) and not np.all(array > 0):
            raise ValueError(f"time constants {name} are not all positive")

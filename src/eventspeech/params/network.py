"""Parameters of the network."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from eventspeech.params.groups import Group


class Delays(Group):
    """Delay line on the input: each channel reaches the network `copies` times, `interval_ms` apart."""

    copies: PositiveInt = Field(1, description="1 = no delay line")
    interval_ms: PositiveFloat = 30.0


class Network(Group):
    """Recurrent network of leaky integrate-and-fire neurons, read out by leaky integrators."""

    hidden: list[PositiveInt] = Field([128], min_length=1, description="neurons of each hidden layer")
    recurrent: bool = True
    step_ms: PositiveFloat = Field(1.0, description="D; spikes live on this grid")
    tau_mem_ms: PositiveFloat = 20.0
    tau_syn_ms: PositiveFloat = 5.0
    time_constants: Literal["homogeneous", "heterogeneous"] = Field(
        "homogeneous", description="heterogeneous: each hidden neuron has its own, Gamma distributed around these means"
    )
    delays: Delays = Delays()
    input_mean: float = Field(
        0.03,
        description="initial weights: normal distribution; published 0.03 and input_sd 0.01 without a delay line, both "
        "divided by 10 with its 10 intervals, so that the drive is about the same",
    )
    input_sd: NonNegativeFloat = 0.01
    hidden_mean: float = Field(0.02, description="between hidden layers")
    hidden_sd: NonNegativeFloat = 0.03
    recurrent_mean: float = 0.0
    recurrent_sd: NonNegativeFloat = 0.02
    output_mean: float = 0.0
    output_sd: NonNegativeFloat = 0.03

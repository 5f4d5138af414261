"""Parameters of the network."""

from typing import Annotated, Literal

from pydantic import Field

from eventspeech.params.groups import Count, Group, Milliseconds, NotNegative, Real, Unit


class Delays(Group):
    """Delay line on the input: each channel reaches the network `copies` times, `interval_ms` apart."""

    copies: Annotated[int, Field(gt=0, le=1000), Unit("copies")] = Field(1, description="1 = no delay line")
    interval_ms: Annotated[Milliseconds, Unit("ms")] = Field(30.0, description="from one copy of a channel to the next")


class Network(Group):
    """Recurrent network of leaky integrate-and-fire neurons, read out by leaky integrators."""

    hidden: Annotated[list[Count], Unit("neurons")] = Field(
        [128], min_length=1, max_length=16, description="neurons of each hidden layer"
    )
    recurrent: bool = Field(True, description="each hidden layer is connected to itself, too")
    step_ms: Annotated[Milliseconds, Unit("ms")] = Field(1.0, description="D; spikes live on this grid")
    tau_mem_ms: Annotated[Milliseconds, Unit("ms")] = Field(
        20.0, description="membrane time constant, or its mean or start"
    )
    tau_syn_ms: Annotated[Milliseconds, Unit("ms")] = Field(
        5.0, description="synaptic time constant, or its mean or start"
    )
    refractory_ms: Annotated[NotNegative, Unit("ms")] = Field(
        0.0,
        description="absolute refractory period: for so long the voltage is held at 0 after the step of a spike, while "
        "the current goes on; whole steps; 0 = published",
    )
    time_constants: Literal["homogeneous", "heterogeneous"] = Field(
        "homogeneous", description="heterogeneous: each hidden neuron has its own, Gamma distributed around these means"
    )
    delays: Delays = Delays()
    input_mean: Annotated[Real, Unit("threshold")] = Field(
        0.03,
        description="initial weights: normal distribution; published 0.03 and input_sd 0.01 without a delay line, both "
        "divided by 10 with its 10 intervals, so that the drive is about the same",
    )
    input_sd: Annotated[NotNegative, Unit("threshold")] = Field(0.01, description="standard deviation; see input_mean")
    hidden_mean: Annotated[Real, Unit("threshold")] = Field(0.02, description="initial weights between hidden layers")
    hidden_sd: Annotated[NotNegative, Unit("threshold")] = Field(
        0.03, description="standard deviation; see hidden_mean"
    )
    recurrent_mean: Annotated[Real, Unit("threshold")] = Field(
        0.0, description="initial weights of a hidden layer on itself"
    )
    recurrent_sd: Annotated[NotNegative, Unit("threshold")] = Field(
        0.02, description="standard deviation; see recurrent_mean"
    )
    output_mean: Annotated[Real, Unit("threshold")] = Field(
        0.0, description="initial weights from the last hidden layer to the outputs"
    )
    output_sd: Annotated[NotNegative, Unit("threshold")] = Field(
        0.03, description="standard deviation; see output_mean"
    )

"""Parameters of training: what chooses the epoch, the optimisation, and how samples are varied."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from eventspeech.params.groups import CHANNELS, Engine, Group, Text

Protocol = Literal["held_out", "leave_one_out", "random", "official"]


class Validation(Group):
    """Which samples choose the epoch; see :mod:`eventspeech.learning.folds`. The folds are in ``study.folds``."""

    protocol: Protocol = "held_out"
    speakers: list[Text] = Field(default_factory=list, description="held_out: the speakers of the training split")
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, description="random: share of the samples")
    seed: NonNegativeInt = Field(0, description="random: of the draw, the same for all losses and seeds")

    @pydantic.model_validator(mode="after")
    def _protocol_has_what_it_needs(self) -> "Validation":
        for key, protocol in {"speakers": "held_out", "fraction": "random"}.items():
            given, needed = bool(getattr(self, key)), self.protocol == protocol
            if needed and not given:
                raise ValueError(f"protocol {protocol} needs {key}; add it")
            if given and not needed:
                raise ValueError(f"protocol {self.protocol} takes no {key} (only {protocol} does); remove it")
        return self


class Regulariser(Group):
    """Pulls each hidden neuron's spike count towards a target.

    The strength belongs to true gradients; the published one belongs to gradients divided by tau_mem (in ms):
    multiply it by tau_mem_ms.
    """

    strength: NonNegativeFloat = 0.0
    target_spikes: NonNegativeFloat = Field(14.0, description="per neuron and trial")
    counts: Literal["sample", "batch"] = Field("batch", description="count of the sample or mean of the batch")


class EaseIn(Group):
    """The learning rate grows with each batch from start * rate to the full rate."""

    start: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="1 = full rate at once; published 1e-3")
    growth: Annotated[float, Field(gt=1)] = Field(1.05, description="factor from batch to batch; published")


class Schedule(Group):
    """The learning rate falls when validation stalls: its fast moving average is not above the slow one."""

    factor: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="1 = the rate never falls; published 0.5")
    fast: Annotated[float, Field(ge=0, lt=1)] = Field(0.8, description="fast average: weight of the past; published")
    slow: Annotated[float, Field(ge=0, lt=1)] = Field(0.85, description="the same in the slow average; published")
    wait_epochs: NonNegativeInt = Field(50, description="no change within so many epochs of the last one; published")

    @pydantic.model_validator(mode="after")
    def _fast_is_faster(self) -> "Schedule":
        if self.fast >= self.slow:
            raise ValueError(
                f"fast = {self.fast:g} follows the accuracy no faster than slow = {self.slow:g}; make it smaller"
            )
        return self


class SilentLift(Group):
    """After each epoch, weights from the layer before are raised, so that neurons that never fired come to life."""

    amount: NonNegativeFloat = Field(0.0, description="0 = no lift; published 0.002")
    neurons: Literal["silent", "all"] = Field(
        "silent", description="whose weights: of neurons silent all epoch, or, as the published code does, of all"
    )


class Optimiser(Group):
    """How one step of learning is made: what computes gradients, and what they do to weights and time constants."""

    engine: Engine = "cpu"
    accumulate: bool = Field(
        False, description="engine genn where GeNN takes one sample at a time (its CPU backend): add up single samples"
    )
    learning_rate: PositiveFloat = 1e-3
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    adam_epsilon: PositiveFloat = Field(
        1e-8, description="of true gradients; the published 1e-8 belongs to gradients divided by tau_mem"
    )
    learn_time_constants: Literal["none", "population", "neuron"] = Field(
        "none", description="learn one pair for each population, or for each neuron, beside the weights"
    )
    learn_output_time_constants: bool = Field(
        True, description="outputs' time constants are learned, too; published: only hidden neurons' are"
    )
    tau_mem_min_ms: PositiveFloat = Field(
        3.0, description="lower bound of learned and of heterogeneous time constants; published"
    )
    tau_syn_min_ms: PositiveFloat = Field(1.0, description="as tau_mem_min_ms")
    regulariser: Regulariser = Regulariser()
    ease_in: EaseIn = EaseIn()


class Train(Group):
    """How long the course of training is, and which epoch is kept."""

    epochs: PositiveInt = 40
    batch_size: PositiveInt = 32
    schedule: Schedule = Schedule()
    silent_lift: SilentLift = SilentLift()
    select: Literal["validation", "training", "last"] = Field(
        "validation", description="the epoch that is kept: best accuracy in validation, or in training, or the last one"
    )


class Blend(Group):
    """Further samples, each blended from several of one class, laid over one another at their common mean."""

    probabilities: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [], description="of an event to stay, one for each sample blended; [] = no blending; published [0.5, 0.5]"
    )
    samples: PositiveInt | None = Field(
        None, description="of an epoch, blended ones included; null = twice the training samples, as published"
    )

    @pydantic.model_validator(mode="after")
    def _takes_two(self) -> "Blend":
        if len(self.probabilities) == 1:
            raise ValueError("probabilities names one sample, and blending takes two; add a probability or use []")
        if self.samples is not None and not self.probabilities:
            raise ValueError("samples is set, but probabilities is [], so that nothing is blended; set it or use null")
        return self


class Dilation(Group):
    """All times of a sample are multiplied by a factor, drawn uniformly in its logarithm."""

    shortest: PositiveFloat = Field(1.0, description="1 and 1 = no dilation; published ranges 0.5 to 2 and narrower")
    longest: PositiveFloat = 1.0

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> "Dilation":
        if self.shortest > self.longest:
            raise ValueError(f"shortest = {self.shortest:g} is above longest = {self.longest:g}; exchange them")
        return self


class Augmentation(Group):
    """Changes to the training samples, redrawn every epoch, in this order (:mod:`eventspeech.data.augmentation`)."""

    balance_classes: bool = Field(False, description="show as many samples of each class as the smallest one has")
    normalise_spikes: bool = Field(
        False, description="thin each sample, in validation and test too, to the fewest spikes of a training sample"
    )
    shift_channels: Annotated[int, Field(ge=0, lt=CHANNELS)] = Field(
        0, description="all channels of a sample move by up to this many"
    )
    blend: Blend = Blend()
    dilation: Dilation = Dilation()
    jitter_channels: NonNegativeFloat = Field(0.0, description="each event's channel: standard deviation of its move")

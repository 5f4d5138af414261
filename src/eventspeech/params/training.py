"""Parameters of training: what chooses the epoch, the optimisation, and how samples are varied."""

from typing import Annotated, ClassVar, Literal, Self

import pydantic
from pydantic import Field

from eventspeech.params.groups import (
    CHANNELS,
    LARGEST,
    Count,
    CountOrNone,
    Engine,
    Group,
    Milliseconds,
    NotNegative,
    Positive,
    Seed,
    Text,
    Unit,
)

Protocol = Literal["held_out", "leave_one_out", "random", "official"]


class Validation(Group):
    """Which samples choose the epoch; see :mod:`eventspeech.learning.folds`. The folds are in ``study.folds``."""

    protocol: Protocol = Field(
        "held_out",
        description="held_out: named speakers; leave_one_out: each speaker in turn; random: a share of the samples; "
        "official: the source's own split",
    )
    speakers: list[Text] = Field([], description="held_out: the speakers of the training split")
    fraction: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Unit("")] = Field(
        None, description="random: share of the samples"
    )
    seed: Annotated[Seed, Unit("")] = Field(0, description="random: of the draw, the same for all losses and seeds")

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

    strength: Annotated[NotNegative, Unit("")] = Field(
        0.0, description="0 = no regularisation; published 5e-10, times tau_mem_ms here"
    )
    target_spikes: Annotated[NotNegative, Unit("spikes")] = Field(14.0, description="per neuron and trial")
    counts: Literal["sample", "batch"] = Field("batch", description="count of the sample or mean of the batch")


class EaseIn(Group):
    """The learning rate grows with each batch from start * rate to the full rate."""

    start: Annotated[float, Field(gt=0, le=1), Unit("")] = Field(
        1.0, description="1 = full rate at once; published 1e-3"
    )
    growth: Annotated[float, Field(gt=1, le=LARGEST), Unit("")] = Field(
        1.05, description="factor from batch to batch; published"
    )


class Schedule(Group):
    """The learning rate falls when validation stalls, its fast moving average not above the slow one, or steadily."""

    factor: Annotated[float, Field(gt=0, le=1), Unit("")] = Field(
        1.0, description="1 = the rate never falls; published 0.5"
    )
    fast: Annotated[float, Field(ge=0, lt=1), Unit("")] = Field(
        0.8, description="fast average: weight of the past; published"
    )
    slow: Annotated[float, Field(ge=0, lt=1), Unit("")] = Field(
        0.85, description="the same in the slow average; published"
    )
    wait_epochs: Annotated[CountOrNone, Unit("epochs")] = Field(
        50, description="no change within so many epochs of the last one; published"
    )
    cosine_to: Annotated[float, Field(ge=0, le=1), Unit("")] = Field(
        1.0, description="besides, the rate falls along half a cosine to this share in the last epoch; 1 = it does not"
    )

    @pydantic.model_validator(mode="after")
    def _fast_is_faster(self) -> "Schedule":
        if self.fast >= self.slow:
            raise ValueError(
                f"fast = {self.fast:g} follows the accuracy no faster than slow = {self.slow:g}; make it smaller"
            )
        return self


class SilentLift(Group):
    """After each epoch, weights from the layer before are raised, so that neurons that never fired come to life."""

    amount: Annotated[NotNegative, Unit("threshold")] = Field(0.0, description="0 = no lift; published 0.002")
    neurons: Literal["silent", "all"] = Field(
        "silent", description="whose weights: of neurons silent all epoch, or, as the published code does, of all"
    )


class Optimiser(Group):
    """How one step of learning is made: what computes gradients, and what they do to weights and time constants."""

    engine: Engine = Field(
        "cpu", description="what computes gradients: cpu and cuda are this package's own, genn is PyGeNN"
    )
    accumulate: bool = Field(
        False, description="engine genn where GeNN takes one sample at a time (its CPU backend): add up single samples"
    )
    learning_rate: Annotated[Positive, Unit("")] = Field(
        1e-3, description="Adam's step, of weights; a loss may have its own (shape)"
    )
    adam_beta1: Annotated[float, Field(ge=0, lt=1), Unit("")] = Field(
        0.9, description="weight of the past in Adam's mean of gradients"
    )
    adam_beta2: Annotated[float, Field(ge=0, lt=1), Unit("")] = Field(
        0.999, description="the same in its mean of squares"
    )
    adam_epsilon: Annotated[Positive, Unit("")] = Field(
        1e-8, description="of true gradients; the published 1e-8 belongs to gradients divided by tau_mem"
    )
    learn_time_constants: Literal["none", "population", "neuron"] = Field(
        "none", description="learn one pair for each population, or for each neuron, beside the weights"
    )
    learn_output_time_constants: bool = Field(
        True, description="outputs' time constants are learned, too; published: only hidden neurons' are"
    )
    tau_mem_min_ms: Annotated[Milliseconds, Unit("ms")] = Field(
        3.0, description="lower bound of learned and of heterogeneous time constants; published"
    )
    tau_syn_min_ms: Annotated[Milliseconds, Unit("ms")] = Field(1.0, description="as tau_mem_min_ms")
    regulariser: Regulariser = Regulariser()
    ease_in: EaseIn = EaseIn()


class Train(Group):
    """How long the course of training is, and which epoch is kept."""

    epochs: Annotated[Count, Unit("epochs")] = Field(40, description="length of the course")
    batch_size: Annotated[Count, Unit("samples")] = Field(32, description="of one step")
    schedule: Schedule = Schedule()
    silent_lift: SilentLift = SilentLift()
    select: Literal["validation", "training", "last"] = Field(
        "validation", description="the epoch that is kept: best accuracy in validation, or in training, or the last one"
    )
    on_accident: Literal["mark", "stop"] = Field(
        "mark",
        description="what follows a numerical accident (exploding weights, a silent or a saturated hidden layer): the "
        "run goes on and is marked, or stops; NaN and infinity always stop it",
    )


class Blend(Group):
    """Further samples, each blended from several of one class, laid over one another at their common mean."""

    probabilities: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Unit("")] = Field(
        [], description="of an event to stay, one for each sample blended; [] = no blending; published [0.5, 0.5]"
    )
    samples: Annotated[Count | None, Unit("samples")] = Field(
        None, description="of an epoch, blended ones included; null = twice the training samples, as published"
    )

    @pydantic.model_validator(mode="after")
    def _takes_two(self) -> "Blend":
        if len(self.probabilities) == 1:
            raise ValueError("probabilities names one sample, and blending takes two; add a probability or use []")
        if self.samples is not None and not self.probabilities:
            raise ValueError("samples is set, but probabilities is [], so that nothing is blended; set it or use null")
        return self


class _Factor(Group):
    """A factor drawn for each sample, uniformly in its logarithm."""

    _ends: ClassVar[tuple[str, str]]

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> Self:
        low, high = self._ends
        if getattr(self, low) > getattr(self, high):
            raise ValueError(f"{low} = {getattr(self, low):g} is above {high} = {getattr(self, high):g}; exchange them")
        return self


class Stretch(_Factor):
    """All channels of a sample are multiplied about the middle one: the voice of a shorter or longer vocal tract."""

    _ends = ("narrowest", "widest")
    narrowest: Annotated[float, Field(ge=0.1, le=10), Unit("")] = Field(
        1.0, description="1 and 1 = none; the factor is drawn uniformly in its logarithm"
    )
    widest: Annotated[float, Field(ge=0.1, le=10), Unit("")] = Field(1.0, description="see narrowest")


class Dilation(_Factor):
    """All times of a sample are multiplied by a factor, drawn uniformly in its logarithm."""

    _ends = ("shortest", "longest")
    shortest: Annotated[float, Field(ge=0.01, le=100), Unit("")] = Field(
        1.0, description="1 and 1 = no dilation; published ranges 0.5 to 2 and narrower"
    )
    longest: Annotated[float, Field(ge=0.01, le=100), Unit("")] = Field(1.0, description="see shortest")


class Augmentation(Group):
    """Changes to the training samples, redrawn every epoch, in this order (:mod:`eventspeech.data.augmentation`)."""

    balance_classes: bool = Field(False, description="show as many samples of each class as the smallest one has")
    normalise_spikes: bool = Field(
        False, description="thin each sample, in validation and test too, to the fewest spikes of a training sample"
    )
    shift_channels: Annotated[int, Field(ge=0, lt=CHANNELS), Unit("channels")] = Field(
        0, description="all channels of a sample move by up to this many"
    )
    stretch: Stretch = Stretch()
    blend: Blend = Blend()
    dilation: Dilation = Dilation()
    jitter_channels: Annotated[float, Field(ge=0, le=CHANNELS), Unit("channels")] = Field(
        0.0, description="each event's channel: standard deviation of its move"
    )
    drop_events: Annotated[float, Field(ge=0, lt=1), Unit("")] = Field(
        0.0, description="of each sample a share of its events is left out, drawn uniformly up to this"
    )

"""Parameters of what comes after training: test, baseline, comparison, measurement, report."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from eventspeech.params.groups import Engine, Group, Name


class Evaluate(Group):
    """The test, once per model."""

    engine: Engine = "cpu"
    batch_size: PositiveInt = 64
    examples: PositiveInt = Field(4, description="samples whose spikes and voltages are kept for the report")


class Baseline(Group):
    """Logistic regression on spike counts binned in time and channel."""

    time_bins: PositiveInt = 10
    channel_bins: PositiveInt = 20
    inverse_regularisation: PositiveFloat = Field(1.0, description="C of scikit-learn")


class Compare(Group):
    """Statistics over seeds."""

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    thresholds: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        [0.5, 0.7, 0.8], description="validation accuracies whose first epoch is compared"
    )
    reference: Name = Field("exponential", description="the loss the others are compared with")


class Sweep(Group):
    """Which batch sizes are measured, by device."""

    cpu_batch_sizes: list[PositiveInt] = Field([1, 32])
    cuda_batch_sizes: list[PositiveInt] = Field([1, 2, 4, 8, 16, 32, 64])


class Profile(Group):
    """How time, power and energy of training are measured."""

    loss: Name = "exponential"
    samples: PositiveInt = Field(128, description="training samples in one measured epoch")
    epochs: PositiveInt = Field(1, description="epochs in one trial")
    trials: PositiveInt = 3
    warmup_epochs: PositiveInt = 1
    cooldown_s: NonNegativeFloat = 0.0
    idle_s: PositiveFloat = Field(1.0, description="length of the idle baseline's window")
    cpu_model_w: PositiveFloat | None = Field(
        None, description="power of the processor under load; where its energy is unknown, this times time estimates it"
    )


class Report(Group):
    """What the report shows."""

    title: str = "Training spiking networks for speech recognition with Eventprop"
    formats: list[Literal["png", "svg", "pdf"]] = Field(["png", "svg"])

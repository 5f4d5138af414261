"""Parameters of what comes after training: test, baseline, comparison, measurement, report."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from eventspeech.params.groups import CHANNELS, Count, Engine, Group, Line, Milliseconds, Name, Positive, Unit

LONGEST_REST_S = 3600.0
"""Waiting for a machine to come to rest takes minutes."""


class Evaluate(Group):
    """The test, once per model."""

    engine: Engine = Field("cpu", description="what computes the test; see optimiser.engine")
    batch_size: Annotated[Count, Unit("samples")] = Field(64, description="computed at once; changes no result")
    examples: Annotated[Count, Unit("samples")] = Field(
        4, description="samples whose spikes and voltages are kept for the report"
    )
    steps_ms: Annotated[list[Milliseconds], Unit("ms")] = Field(
        [],
        description="time steps at which each network is tested with the same weights and events, network.step_ms "
        "among them, with the dead time of each step and with that of the trained one; [] = at that one alone",
    )

    @pydantic.model_validator(mode="after")
    def _steps_are_different(self) -> "Evaluate":
        for step_ms in self.steps_ms:
            if self.steps_ms.count(step_ms) > 1:
                raise ValueError(f"steps_ms lists {step_ms:g} twice; remove one")
        return self


class Baseline(Group):
    """Logistic regression on spike counts binned in time and channel."""

    time_bins: Annotated[int, Field(gt=0, le=10_000), Unit("bins")] = Field(10, description="along the trial")
    channel_bins: Annotated[int, Field(gt=0, le=CHANNELS), Unit("bins")] = Field(20, description="along the cochlea")
    inverse_regularisation: Annotated[Positive, Unit("")] = Field(1.0, description="C of scikit-learn")


class Compare(Group):
    """Statistics over seeds."""

    confidence: Annotated[float, Field(ge=0.5, le=0.9999), Unit("")] = Field(0.95, description="level of all intervals")
    thresholds: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Unit("accuracy")] = Field(
        [0.5, 0.7, 0.8], description="validation accuracies whose first epoch is compared"
    )
    reference: Name = Field("exponential", description="the loss the others are compared with")

    @pydantic.model_validator(mode="after")
    def _thresholds_differ(self) -> "Compare":
        written = [f"{threshold:g}" for threshold in self.thresholds]
        for text in written:
            if written.count(text) > 1:
                raise ValueError(f"thresholds lists {text} twice (to six digits); remove one")
        return self


class Profile(Group):
    """Time, power and energy of training, by device and batch size."""

    cpu_batch_sizes: Annotated[list[Count], Unit("samples")] = Field(
        [1, 32], description="each is measured on the processor; [] = none"
    )
    cuda_batch_sizes: Annotated[list[Count], Unit("samples")] = Field(
        [1, 2, 4, 8, 16, 32, 64], description="each is measured on the GPU; [] = none"
    )
    loss: Name = Field("exponential", description="the loss whose training is measured")
    samples: Annotated[Count, Unit("samples")] = Field(128, description="training samples in one measured epoch")
    epochs: Annotated[Count, Unit("epochs")] = Field(1, description="epochs in one trial")
    trials: Annotated[Count, Unit("trials")] = Field(3, description="measured windows; the result is their median")
    warmup_epochs: Annotated[Count, Unit("epochs")] = Field(1, description="not measured, before the first trial")
    cooldown_s: Annotated[float, Field(ge=0, le=LONGEST_REST_S), Unit("s")] = Field(
        0.0, description="rest before the first window"
    )
    idle_s: Annotated[float, Field(gt=0, le=LONGEST_REST_S), Unit("s")] = Field(
        1.0, description="length of the idle baseline's window"
    )
    cpu_model_w: Annotated[Positive | None, Unit("W")] = Field(
        None, description="power of the processor under load; where its energy is unknown, this times time estimates it"
    )


class Report(Group):
    """What the report shows."""

    title: Line = Field(
        "Training spiking networks for speech recognition with Eventprop", description="heading of the report"
    )
    formats: list[Literal["png", "svg", "pdf"]] = Field(["png", "svg"], description="files of each figure")

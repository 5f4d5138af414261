"""Parameters of the losses, the entries of `shape`."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from eventspeech.params.groups import Group, Milliseconds, NotNegative, Positive, Real, Unit

SHAPE_DEFAULTS: dict[str, dict[str, Any]] = {
    "sum": {},
    "exponential": {},
    "linear": {},
    "gaussian": {"gain": 2.0, "offset": 0.4, "slope": 4.4, "centre": 0.0, "width": 0.2},
    "bell": {"height": 1.0, "centre": 0.3, "width": 0.2},
    "sigmoid": {"centre": 0.5, "width": 0.2},
    "learned": {"knots": 8, "start": "exponential", "rate_factor": 0.1},
    "max": {},
    "first_spike": {"tau0_ms": 1.0, "tau1_ms": 100.0, "alpha": 5e-5},
}
"""The parameters that each kind takes; those of `gaussian`, `sigmoid` and `first_spike` are the published ones.
That of the learning rate keeps the weight slower than the network (docs/measurements/learned_weight.csv)."""

WEIGHTED = tuple(kind for kind in SHAPE_DEFAULTS if kind not in ("max", "first_spike"))
"""The kinds that sum the output voltage under a weight."""

OUTPUT_DEFAULTS: dict[str, dict[str, float]] = {"first_spike": {"output_mean": 1.2, "output_sd": 0.6}}
"""Initial output weights of kinds that need other ones than `network`'s: outputs that shall fire (published)."""

MOST_TRIALS_OF_TAU1 = 50.0
"""Largest T / tau1 of `first_spike`: exp(T / tau1) must fit single precision (which ends at exp(88)) with room."""

MOST_KNOTS = 100
"""A spline of more follows single steps; a smooth one takes a few."""


class Changes(Group):
    """What one loss does otherwise: the keys that differ from the groups of these names, as deep as they lie."""

    optimiser: dict[str, Any] = Field({}, description="keys of optimiser")
    train: dict[str, Any] = Field({}, description="keys of train")
    network: dict[str, Any] = Field({}, description="keys of network")
    augmentation: dict[str, Any] = Field({}, description="keys of augmentation")


class Tuned(Changes):
    """What `tune` found best for one loss; it lies over `changes`, but makes no entry of an ablation of the loss."""

    shape: dict[str, Any] = Field({}, description="keys of this entry of shape, such as width")


Kind = Literal["sum", "exponential", "gaussian", "bell", "linear", "sigmoid", "learned", "max", "first_spike"]
"""What a loss may be."""


class Shape(Group):
    """One loss: the weight w(x), x = t/T, that the output voltage is summed under, or its maximum, or the first spike.

    Equations: :mod:`eventspeech.losses`. With `changes` it is an entry of an ablation.
    """

    kind: Kind = Field(
        description="sum: w = 1; exponential: exp(-x); gaussian: g (o + d (x - m) exp(-(x - m)^2 / (2 s^2))); bell: "
        "a exp(-(x - b)^2 / (2 c^2)); linear: 1 - x; sigmoid; learned: a spline that is learned with the network; max: "
        "the largest voltage; first_spike: the first spike"
    )
    mean_weight: Annotated[Positive | None, Unit("")] = Field(
        None, description="scale w so that its mean over [0, 1] is this; learned: the mean it keeps"
    )
    learning_rate: Annotated[Positive | None, Unit("")] = Field(
        None, description="overrides optimiser.learning_rate for this loss"
    )
    gain: Annotated[Positive | None, Unit("")] = Field(None, description="gaussian: g")
    offset: Annotated[Real | None, Unit("")] = Field(None, description="gaussian: o")
    slope: Annotated[Real | None, Unit("")] = Field(None, description="gaussian: d")
    centre: Annotated[Real | None, Unit("")] = Field(
        None, description="gaussian: m; bell: b; sigmoid: where the weight is one half"
    )
    width: Annotated[Positive | None, Unit("")] = Field(
        None, description="gaussian: s; bell: c; sigmoid: scale of the fall"
    )
    height: Annotated[Positive | None, Unit("")] = Field(None, description="bell: a")
    knots: Annotated[Annotated[int, Field(ge=2, le=MOST_KNOTS)] | None, Unit("knots")] = Field(
        None,
        description="learned: of the cubic spline, at equal distances from 0 to 1; at most one a step of the trial",
    )
    start: Literal["exponential", "flat"] | None = Field(None, description="learned: the weight before training")
    rate_factor: Annotated[NotNegative | None, Unit("")] = Field(
        None, description="learned: of the learning rate, for the weight; 0 = it stays as it starts"
    )
    tau0_ms: Annotated[Milliseconds | None, Unit("ms")] = Field(
        None, description="first_spike: differences of spike times that matter"
    )
    tau1_ms: Annotated[Milliseconds | None, Unit("ms")] = Field(
        None, description="first_spike: scale of the push towards early spikes"
    )
    alpha: Annotated[NotNegative | None, Unit("")] = Field(None, description="first_spike: strength of that push")
    output_mean: Annotated[Real | None, Unit("threshold")] = Field(
        None, description="overrides network.output_mean for this loss"
    )
    output_sd: Annotated[NotNegative | None, Unit("threshold")] = Field(
        None, description="overrides network.output_sd for this loss"
    )
    changes: Changes = Changes()
    tuned: Tuned = Tuned()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_defaults_of_kind(cls, content: Any) -> Any:
        kind = content.get("kind") if isinstance(content, dict) else None
        if not isinstance(kind, str) or kind not in SHAPE_DEFAULTS:
            return content
        defaults = SHAPE_DEFAULTS[kind] | OUTPUT_DEFAULTS.get(kind, {})
        return defaults | {key: value for key, value in content.items() if value is not None or key not in defaults}

    @pydantic.model_validator(mode="after")
    def _refuse_parameters_of_other_kinds(self) -> "Shape":
        taken = SHAPE_DEFAULTS[self.kind]
        for key in dict.fromkeys(key for defaults in SHAPE_DEFAULTS.values() for key in defaults):
            if key not in taken and getattr(self, key) is not None:
                known = ", ".join(taken) or "none"
                raise ValueError(f"kind {self.kind} takes no {key} (it takes: {known}); remove it")
        if self.mean_weight is not None and self.kind not in WEIGHTED:
            raise ValueError(f"kind {self.kind} has no weight that mean_weight could scale; remove it")
        return self

    @pydantic.model_validator(mode="after")
    def _say_it_once(self) -> "Shape":
        for group, key in (("optimiser", "learning_rate"), ("network", "output_mean"), ("network", "output_sd")):
            if key in getattr(self.changes, group) and getattr(self, key) is not None:
                raise ValueError(f"{key} stands here and in changes.{group}; remove one of them")
        return self

    def output_weights(self) -> dict[str, float]:
        """Return what this loss changes about `network`'s initial weights."""
        found = {"output_mean": self.output_mean, "output_sd": self.output_sd}
        return {key: value for key, value in found.items() if value is not None}

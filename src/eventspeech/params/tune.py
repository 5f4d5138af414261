"""Parameters of the tuning: which parameters are looked for, where, and how much may be tried."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from eventspeech.params.groups import Count, CountOrNone, Group, Name, Real, Seed, Unit

SEARCHED = ("train", "optimiser", "network", "augmentation", "shape")
"""Groups that `train` reads and that a trial may change; `validation`, by which trials are judged, is none of them."""

NOT_SEARCHED = {
    "train.epochs": "is the length of a trial; set tune.epochs",
    "train.select": "says which epoch a trial is judged by; take it out",
    "train.on_accident": "changes no result; take it out",
    "optimiser.engine": "changes no result; take it out",
    "optimiser.accumulate": "changes no result; take it out",
    "shape.kind": "is what a loss is; name several losses in tune.losses",
    "shape.changes": "is no value; name its keys by their groups, as in optimiser.learning_rate",
    "shape.tuned": "is what tuning leaves; take it out",
    "shape.learning_rate": "has another name here: write optimiser.learning_rate",
    "shape.output_mean": "has another name here: write network.output_mean",
    "shape.output_sd": "has another name here: write network.output_sd",
}
"""Keys of these groups that are no matter of tuning, and what to do instead."""

Key = Annotated[str, Field(pattern=r"^\w+(\.\w+)+$", max_length=200)]
"""A parameter by its whole name, `optimiser.learning_rate`; `shape.width` is the width of the loss that is tuned."""

FIELDS = {
    "continuous": ("low", "high"),
    "log": ("low", "high"),
    "integer": ("low", "high", "step"),
    "choice": ("values",),
}
"""What each kind of range takes; `step` may be left out."""


class Range(Group):
    """Where one parameter is looked for."""

    kind: Literal["continuous", "log", "integer", "choice"] = Field(
        description="continuous: any number; log: likewise, drawn evenly in its logarithm; integer: whole numbers in "
        "steps; choice: one of the values"
    )
    low: Annotated[Real | None, Unit("as the key")] = Field(None, description="least value; choice takes none")
    high: Annotated[Real | None, Unit("as the key")] = Field(None, description="largest value; choice takes none")
    step: Annotated[Count | None, Unit("as the key")] = Field(
        None, description="integer: from one value to the next; null = 1"
    )
    values: list[Any] | None = Field(None, description="choice: two values or more, of the key's own type")
    losses: list[Name] | None = Field(
        None, min_length=1, description="losses for which the key is looked for; null = all of tune.losses"
    )

    @pydantic.model_validator(mode="after")
    def _has_what_its_kind_takes(self) -> "Range":
        taken = FIELDS[self.kind]
        for name in ("low", "high", "step", "values"):
            if name not in taken and getattr(self, name) is not None:
                raise ValueError(f"kind {self.kind} takes no {name} (it takes: {', '.join(taken)}); remove it")
            if name in taken and name != "step" and getattr(self, name) is None:
                raise ValueError(f"kind {self.kind} needs {name}; add it")
        return self

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if self.kind == "choice":
            texts = [json.dumps(value, sort_keys=True, default=repr) for value in self.values or []]
            if len(texts) < 2 or len(set(texts)) < len(texts):
                raise ValueError("values has to list two or more, each once; change it or take the key out")
            return self
        low, high = self.bounds()
        if low >= high:
            remedy = "exchange them" if low > high else "take the key out, or choose two numbers"
            raise ValueError(f"low = {low:g} is not below high = {high:g}; {remedy}")
        if self.kind == "log" and low <= 0:
            raise ValueError(f"low = {low:g} has no logarithm; make it more than 0, or choose the kind continuous")
        if self.kind == "integer":
            step = self.step or 1
            if not (low.is_integer() and high.is_integer()):
                raise ValueError("kind integer takes whole numbers as low and high; change them, or the kind")
            if (high - low) % step:
                reached = low + (high - low) // step * step
                raise ValueError(f"steps of {step} from {low:g} do not lead to high = {high:g}; set it to {reached:g}")
        return self

    def bounds(self) -> tuple[float, float]:
        """Return the least and the largest value of a range that is no choice."""
        assert self.low is not None and self.high is not None, "all kinds but choice have both"
        return self.low, self.high

    def ends(self) -> list[Any]:
        """Return the values between which all others lie; of a choice all."""
        if self.values is not None:
            return self.values
        low, high = self.bounds()
        return [int(low), int(high)] if self.kind == "integer" else [low, high]

    def probes(self) -> list[Any]:
        """Return values that a parameter has to take if it is to take all of the range: the ends and one between."""
        if self.kind in ("integer", "choice"):
            return self.ends()
        low, high = self.bounds()
        return [low, high, rounded(low + 0.381966 * (high - low), self)]  # no round number by chance


def rounded(value: float, within: Range) -> float:
    """Return a number to four digits, as it is trained and as it stands in the overlay; never out of its range."""
    low, high = within.bounds()
    return min(max(float(f"{value:.4g}"), low), high)


class Tune(Group):
    """The search for better parameters, for each loss on its own, judged by validation alone.

    The test split cannot be read there. Each loss gets the same number of trials. What is found is written as an
    overlay, which a study takes by `--configfile`.
    """

    losses: list[Name] = Field([], description="entries of `shape` that are tuned, each on its own; [] = none")
    space: dict[Key, Range] = Field(
        {},
        description="key to range, such as `optimiser.learning_rate: {kind: log, low: 0.001, high: 0.03}`; keys of "
        "train, optimiser, network, augmentation, and `shape.width` and the like of the loss that is tuned",
    )
    trials: Annotated[Count, Unit("trials")] = Field(
        30, description="of each loss; the first is the file as it stands, if its values lie within the ranges"
    )
    seeds: Annotated[list[Seed], Unit("")] = Field(
        [100], min_length=1, description="of each trial, whose result is the mean; better not those of study"
    )
    epochs: Annotated[Count | None, Unit("epochs")] = Field(None, description="of a trial; null = train.epochs")
    prune: Literal["median", "none"] = Field(
        "median",
        description="median: a trial whose first training falls below the median of those before, at the same epoch, "
        "is given up",
    )
    startup_trials: Annotated[CountOrNone, Unit("trials")] = Field(
        8, description="drawn at random, and none given up, before the model of what is good takes over"
    )
    warmup_epochs: Annotated[CountOrNone, Unit("epochs")] = Field(5, description="in which no trial is given up")
    seed: Annotated[Seed, Unit("")] = Field(0, description="of the draws")
    workers: Annotated[Annotated[int, Field(gt=0, le=1024)], Unit("trials")] = Field(
        1, description="tried at a time on one machine; with more than one, what is drawn depends on who is first"
    )

    @pydantic.model_validator(mode="after")
    def _lists_have_no_value_twice(self) -> "Tune":
        lists: dict[str, Sequence[int | str]] = {"losses": self.losses, "seeds": self.seeds}
        for name, values in lists.items():
            if len(set(values)) != len(values):
                raise ValueError(f"{name} lists a value twice; remove one")
        return self

    @pydantic.model_validator(mode="after")
    def _keys_are_those_of_train(self) -> "Tune":
        for key in self.space:
            group = key.partition(".")[0]
            if group == "validation":
                raise ValueError(f"space names {key}, by which trials are judged; take it out")
            if group not in SEARCHED:
                raise ValueError(
                    f"space names {key}, which `train` does not read, so that no trial depends on it; take it out (it "
                    f"reads {', '.join(SEARCHED)})"
                )
            for fixed, remedy in NOT_SEARCHED.items():
                if key == fixed or key.startswith(f"{fixed}."):
                    raise ValueError(f"space names {key}, which {remedy}")
        return self

    def of(self, loss: str) -> dict[str, Range]:
        """Return what is looked for with ``loss``: key to range, in the file's order."""
        return {key: one for key, one in self.space.items() if one.losses is None or loss in one.losses}

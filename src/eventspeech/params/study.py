"""A whole parameter file: the groups, named like the stages that read them, and what they must be together."""

from collections.abc import Sequence
from typing import Annotated, Any

import pydantic
from pydantic import Field

from eventspeech.errors import ParameterError
from eventspeech.params.after import Baseline, Compare, Evaluate, Profile, Report
from eventspeech.params.groups import MOST_STEPS, Fold, Group, Name, Seed, Unit, composed, steps_in
from eventspeech.params.losses import MOST_TRIALS_OF_TAU1, Changes, Shape, Tuned
from eventspeech.params.network import Network
from eventspeech.params.refusals import sentence
from eventspeech.params.speech import Cochlea, Download, Preprocess
from eventspeech.params.training import Augmentation, Optimiser, Train, Validation
from eventspeech.params.tune import Tune

OF_LOSS = {"learning_rate": "optimiser", "output_mean": "network", "output_sd": "network"}
"""Keys that an entry of `shape` may have of its own, which then hold in place of those of these groups."""


class Study(Group):
    """What is compared with what."""

    losses: list[Name] = Field(min_length=1, description="names of entries of `shape`, each trained once per seed")
    seeds: Annotated[list[Seed], Unit("")] = Field(
        min_length=1, description="paired over losses: same weights, same order"
    )
    folds: list[Fold] = Field(
        min_length=1,
        description="each is trained once per loss and seed; leave_one_out: all training speakers; random: any names; "
        "held_out, official: the protocol's name (the default)",
    )


class Params(Group):
    """A whole parameter file."""

    study: Study
    shape: dict[Name, Shape]
    download: Download = Download()
    cochlea: Cochlea = Cochlea()
    preprocess: Preprocess = Preprocess()
    validation: Validation
    network: Network = Network()
    optimiser: Optimiser = Optimiser()
    train: Train = Train()
    augmentation: Augmentation = Augmentation()
    evaluate: Evaluate = Evaluate()
    baseline: Baseline = Baseline()
    compare: Compare = Compare()
    profile: Profile = Profile()
    tune: Tune = Tune()
    report: Report = Report()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _name_the_only_fold(cls, content: Any) -> Any:
        study, validation = (content.get(name) for name in ("study", "validation"))
        if not isinstance(study, dict) or study.get("folds") is not None:
            return content
        protocol = validation.get("protocol", "held_out") if isinstance(validation, dict) else "held_out"
        return content if protocol == "leave_one_out" else content | {"study": study | {"folds": [protocol]}}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _names_are_one_form(cls, content: Any) -> Any:
        """Refuse two losses of one name in Unicode's composed form: one would hide the other."""
        seen: dict[str, str] = {}
        shapes = content.get("shape") if isinstance(content, dict) else None
        for name in shapes if isinstance(shapes, dict) else ():
            if composed(name) in seen:
                raise ValueError(f"shape has '{name}' twice, written with different Unicode characters; remove one")
            seen[composed(name)] = name
        return content

    @pydantic.model_validator(mode="after")
    def _folders_are_different(self) -> "Params":
        lists: dict[str, Sequence[int | str]] = {
            "seeds": self.study.seeds,
            "losses": self.study.losses,
            "folds": self.study.folds,
        }
        for key, values in lists.items():
            if len(set(values)) != len(values):
                raise ValueError(f"study.{key} lists a value twice")
            folders = {str(value).casefold(): value for value in values}
            for value in values:
                if (other := folders[str(value).casefold()]) != value:
                    raise ValueError(
                        f"study.{key} lists '{value}' and '{other}', which are one folder where file names have no "
                        "case (macOS, Windows); rename one"
                    )
        if "baseline" in map(str.casefold, self.study.losses):
            raise ValueError("study.losses names 'baseline', the folder of the baseline's tests; rename that loss")
        return self

    @pydantic.model_validator(mode="after")
    def _folds_fit_the_protocol(self) -> "Params":
        protocol, folds = self.validation.protocol, self.study.folds
        if protocol == "leave_one_out" and len(folds) < 2:
            raise ValueError(
                "validation.protocol is leave_one_out, but study.folds names one speaker, which leaves nobody to learn "
                "from; list every training speaker there, or choose the protocol random"
            )
        if protocol in ("held_out", "official") and folds != [protocol]:
            raise ValueError(
                f"study.folds is [{', '.join(folds)}], but validation.protocol {protocol} has one fold; set "
                f"study.folds to [{protocol}]"
            )
        if protocol == "official" and not self.download.has_validation:
            raise ValueError(
                f"validation.protocol is official, but the source {self.download.source} has no validation split of "
                "its own (ssc has, hdf5 with download.hdf5_validation, recordings whose manifest or pattern tells the "
                "split); choose held_out, leave_one_out or random"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _speakers_are_in_training(self) -> "Params":
        if self.download.source != "recordings":
            return self
        folds = self.study.folds if self.validation.protocol == "leave_one_out" else []
        for where, names in {"study.folds": folds, "validation.speakers": self.validation.speakers}.items():
            for name in (name for name in names if name in self.download.recordings.test_speakers):
                raise ValueError(
                    f"{where} names '{name}', whom download.recordings.test_speakers keeps out of the training split; "
                    "take the name out of one of them"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _names_exist(self) -> "Params":
        for where, names in {
            "study.losses": self.study.losses,
            "compare.reference": [self.compare.reference],
            "profile.loss": [self.profile.loss],
        }.items():
            for name in names:
                if name not in self.shape:
                    raise ValueError(f"{where} names '{name}', which is not in shape ({', '.join(self.shape)})")
        if self.compare.reference not in self.study.losses:
            raise ValueError(
                f"compare.reference is '{self.compare.reference}', which study.losses does not train; "
                f"choose from {', '.join(self.study.losses)}"
            )
        steps = self.preprocess.trial_ms / self.network.step_ms
        if steps > MOST_STEPS:
            raise ValueError(
                f"preprocess.trial_ms = {self.preprocess.trial_ms:g} takes {steps:.4g} steps of network.step_ms = "
                f"{self.network.step_ms:g}, of which at most {MOST_STEPS} are computed; change one of them"
            )
        longest = (self.network.delays.copies - 1) * self.network.delays.interval_ms
        if longest >= self.preprocess.trial_ms:
            raise ValueError(
                f"network.delays reach {longest:g} ms, past the end of the trial (preprocess.trial_ms = "
                f"{self.preprocess.trial_ms:g}); use fewer copies or a shorter interval"
            )
        if self.network.step_ms > self.network.tau_syn_ms or self.network.step_ms > self.network.tau_mem_ms:
            raise ValueError("network.step_ms is longer than a time constant; make it shorter than both")
        return self

    @pydantic.model_validator(mode="after")
    def _time_constants_are_possible(self) -> "Params":
        learned, heterogeneous = self.optimiser.learn_time_constants, self.network.time_constants == "heterogeneous"
        if heterogeneous and learned == "population":
            raise ValueError(
                "network.time_constants is heterogeneous, one for each neuron, but optimiser.learn_time_constants is "
                "population; set it to neuron or none, or network.time_constants to homogeneous"
            )
        if learned == "none" and not heterogeneous:
            return self
        for kind in ("tau_mem", "tau_syn"):
            shortest, start = getattr(self.optimiser, f"{kind}_min_ms"), getattr(self.network, f"{kind}_ms")
            if shortest < self.network.step_ms:
                raise ValueError(
                    f"optimiser.{kind}_min_ms = {shortest:g} lets time constants fall below network.step_ms = "
                    f"{self.network.step_ms:g}; raise it to that at least"
                )
            if shortest > start:
                raise ValueError(
                    f"optimiser.{kind}_min_ms = {shortest:g} is above network.{kind}_ms = {start:g}, where time "
                    "constants start; lower it"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _steps_of_the_test_are_possible(self) -> "Params":
        steps_ms, trained_ms = self.evaluate.steps_ms, self.network.step_ms
        if not steps_ms:
            return self
        if trained_ms not in steps_ms:
            raise ValueError(
                f"evaluate.steps_ms = {steps_ms} lacks network.step_ms = {trained_ms:g}, at which networks are "
                "trained; add it, or set evaluate.steps_ms to []"
            )
        key, shortest_ms = self._shortest_time_constant()
        times_ms = {
            "preprocess.trial_ms": self.preprocess.trial_ms,
            "network.refractory_ms": self.network.refractory_ms,
        }
        if self.network.delays.copies > 1:
            times_ms["network.delays.interval_ms"] = self.network.delays.interval_ms
        for step_ms in steps_ms:
            listed = f"evaluate.steps_ms lists {step_ms:g}"
            if step_ms > shortest_ms:
                raise ValueError(f"{listed}, longer than a time constant ({key} = {shortest_ms:g}); take it out")
            if self.preprocess.trial_ms / step_ms > MOST_STEPS:
                raise ValueError(
                    f"{listed}, of which the trial (preprocess.trial_ms = {self.preprocess.trial_ms:g}) has more than "
                    f"{MOST_STEPS}; take it out"
                )
            for name, time_ms in times_ms.items():
                if steps_in(time_ms, step_ms) is None:
                    remedy = f"change {name}" if step_ms == trained_ms else "take it out"
                    raise ValueError(f"{listed}, of which {name} = {time_ms:g} is no whole number; {remedy}")
        return self

    def _shortest_time_constant(self) -> tuple[str, float]:
        """Return key and value of the shortest time constant that a network of these parameters can have."""
        found = {f"network.{kind}_ms": getattr(self.network, f"{kind}_ms") for kind in ("tau_mem", "tau_syn")}
        if self.optimiser.learn_time_constants != "none" or self.network.time_constants == "heterogeneous":
            bounds = ("tau_mem_min_ms", "tau_syn_min_ms")
            found |= {f"optimiser.{name}": getattr(self.optimiser, name) for name in bounds}
        return min(found.items(), key=lambda item: item[1])

    @pydantic.model_validator(mode="after")
    def _late_spikes_stay_finite(self) -> "Params":
        for name, shape in self.shape.items():
            if shape.tau1_ms is not None and self.preprocess.trial_ms > MOST_TRIALS_OF_TAU1 * shape.tau1_ms:
                raise ValueError(
                    f"shape.{name}.tau1_ms = {shape.tau1_ms:g} makes exp(T / tau1) overflow at preprocess.trial_ms = "
                    f"{self.preprocess.trial_ms:g}; make it at least {self.preprocess.trial_ms / MOST_TRIALS_OF_TAU1:g}"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _splines_have_steps(self) -> "Params":
        steps = self.preprocess.trial_ms / self.network.step_ms
        for name, shape in self.shape.items():
            if shape.knots is not None and shape.knots > steps:
                raise ValueError(
                    f"shape.{name}.knots = {shape.knots} is more than the {steps:g} steps of the trial "
                    "(preprocess.trial_ms / network.step_ms); take fewer"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _source_is_described(self) -> "Params":
        source, synthetic = self.download.source, self.download.synthetic
        if source == "synthetic" and synthetic.test_takes >= synthetic.takes:
            raise ValueError("download.synthetic.test_takes leaves no take for training; raise takes")
        if source == "synthetic" and synthetic.test_speakers > synthetic.speakers - 2:
            raise ValueError(
                "download.synthetic.test_speakers leaves fewer than two speakers for training and validation; raise "
                "speakers"
            )
        if source == "recordings" and self.download.recordings.folder is self.download.recordings.manifest is None:
            raise ValueError(
                "download.source is recordings but download.recordings names neither a folder nor a manifest; set one"
            )
        for split in ("train", "test"):
            if source == "hdf5" and getattr(self.download, f"hdf5_{split}") is None:
                raise ValueError(
                    f"download.source is hdf5 but download.hdf5_{split} names no file; set it to a file in SHD's layout"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _changes_are_possible(self) -> "Params":
        problems = []
        for name in self.shape:
            try:
                self.for_loss(name)
            except pydantic.ValidationError as error:
                problems += [self._sentence_of_loss(name, problem) for problem in error.errors()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _sentence_of_loss(self, loss: str, problem: Any) -> str:
        """Return what is wrong with what a loss changes, and where that stands."""
        if problem["loc"][:1] == ("shape",):
            return sentence(problem, Params)
        place: Any = self.shape[loss].tuned.model_dump(exclude_defaults=True) or None
        for part in problem["loc"]:
            place = place.get(part) if isinstance(place, dict) else None
        return sentence(problem, Params, ("shape", loss, "changes" if place is None else "tuned"))

    @pydantic.model_validator(mode="after")
    def _space_is_possible(self) -> "Params":
        for where, names in {
            "tune.losses": self.tune.losses,
            **{f"tune.space.{key}.losses": one.losses or [] for key, one in self.tune.space.items()},
        }.items():
            for name in names:
                if name not in self.shape:
                    raise ValueError(f"{where} names '{name}', which is not in shape ({', '.join(self.shape)})")
        for loss in self.tune.losses:
            searched = self.tune.of(loss)
            if not searched:
                raise ValueError(
                    f"tune.losses names '{loss}', but tune.space has no key for it; add one, or take the loss out"
                )
            for key, one in searched.items():
                for value in one.probes():
                    self._require_possible(loss, key, value)
        return self

    def _require_possible(self, loss: str, key: str, value: Any) -> None:
        try:
            self.with_values(loss, {key: value})
        except pydantic.ValidationError as error:
            found = sentence(error.errors()[0], Params)
            raise ValueError(f"tune.space leads to {key} = {value} of the loss {loss}, but {found}") from error

    def for_loss(self, loss: str) -> "Params":
        """Return the parameters with which ``loss`` is trained: its changes are made and stand there no longer.

        Raises:
            ParameterError: there is no such loss; lists those there are.
        """
        if loss not in self.shape:
            raise ParameterError(f"There is no loss '{loss}' in shape; choose from {', '.join(self.shape)}.")
        own = self.shape[loss]
        if own.changes == Changes() and own.tuned == Tuned():
            return self
        tuned = own.tuned.model_dump()
        of_shape = tuned.pop("shape") | {
            key: tuned[group][key]
            for key, group in OF_LOSS.items()
            if key in tuned[group] and getattr(own, key) is not None
        }
        content = laid_over(laid_over(self.model_dump(), own.changes.model_dump()), tuned)
        content["shape"][loss] |= of_shape
        for shape in content["shape"].values():
            del shape["changes"], shape["tuned"]
        # the space was looked at already, and would be once more for each loss
        return Params.model_validate(content | {"tune": {}}).model_copy(update={"tune": self.tune})

    def untuned(self) -> "Params":
        """Return the parameters without what `tune` found earlier."""
        shapes = {name: shape.model_copy(update={"tuned": Tuned()}) for name, shape in self.shape.items()}
        return self.model_copy(update={"shape": shapes})

    def value(self, loss: str, key: str) -> Any:
        """Return what a key of `tune.space` is for ``loss`` in this file, without what `tune` found earlier."""
        found = self.untuned().for_loss(loss)
        group, *path = key.split(".")
        own = getattr(found.shape[loss], path[-1], None) if OF_LOSS.get(path[-1]) == group else None
        if own is not None:
            return own
        place: Any = found.shape[loss] if group == "shape" else getattr(found, group)
        for part in path:
            place = getattr(place, part)
        return place

    def with_values(self, loss: str, values: dict[str, Any]) -> "Params":
        """Return the parameters of a trial: those of ``loss``, without what `tune` found earlier, with these values.

        Args:
            loss: an entry of ``shape``.
            values: key of `tune.space` to value.

        Raises:
            pydantic.ValidationError: a key is unknown or a value impossible.
        """
        content = self.untuned().for_loss(loss).model_dump() | {"tune": {}}
        for key, value in values.items():
            group, *path, last = key.split(".")
            own = content["shape"][loss]
            if OF_LOSS.get(last) == group and own[last] is not None:
                own[last] = value
                continue
            place = own if group == "shape" else content[group]
            for part in path:
                place[part] = place[part] if isinstance(place.get(part), dict) else {}
                place = place[part]
            place[last] = value
        return Params.model_validate(content)


def laid_over(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``content`` with the values of ``changes``; nested mappings are laid over one another likewise."""
    nested = {
        key: laid_over(content[key], value)
        for key, value in changes.items()
        if isinstance(value, dict) and isinstance(content.get(key), dict)
    }
    return content | changes | nested

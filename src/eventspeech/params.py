"""The parameter file: every group, key, unit, default and bound, and errors that say what to do.

Groups are named like the stages that read them (:data:`READ_BY`), so that a changed key tells which stages rerun.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from eventspeech.errors import ParameterError

CHANNELS = 700
"""Cochlea channels of SHD, SSC and the embedded encoder."""


class Group(BaseModel):
    """A frozen group of parameters that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


Fold = Annotated[str, Field(pattern=r"^\w[\w-]*$")]
"""Names a folder, hence letters, digits, _ and - only."""


class Study(Group):
    """What is compared with what."""

    losses: list[Name] = Field(min_length=1, description="names of entries of `shape`, each trained once per seed")
    seeds: list[NonNegativeInt] = Field(min_length=1, description="paired over losses: same weights, same order")
    folds: list[Fold] = Field(
        min_length=1,
        description="each is trained once per loss and seed; leave_one_out: all training speakers; random: any names; "
        "held_out, official: the protocol's name (the default)",
    )


SHAPE_DEFAULTS: dict[str, dict[str, float]] = {
    "sum": {},
    "exponential": {},
    "linear": {},
    "gaussian": {"gain": 2.0, "offset": 0.4, "slope": 4.4, "centre": 0.0, "width": 0.2},
    "bell": {"height": 1.0, "centre": 0.3, "width": 0.2},
    "sigmoid": {"centre": 0.5, "width": 0.2},
    "max": {},
    "first_spike": {"tau0_ms": 1.0, "tau1_ms": 100.0, "alpha": 5e-5},
}
"""The parameters that each kind takes; those of `gaussian`, `sigmoid` and `first_spike` are the published ones."""

WEIGHTED = tuple(kind for kind in SHAPE_DEFAULTS if kind not in ("max", "first_spike"))
"""The kinds that sum the output voltage under a weight."""

OUTPUT_DEFAULTS: dict[str, dict[str, float]] = {"first_spike": {"output_mean": 1.2, "output_sd": 0.6}}
"""Initial output weights of kinds that need other ones than `network`'s: outputs that shall fire (published)."""

MOST_TRIALS_OF_TAU1 = 50.0
"""Largest T / tau1 of `first_spike`: exp(T / tau1) must fit single precision (which ends at exp(88)) with room."""


class Changes(Group):
    """What one loss does otherwise: the keys that differ from the groups of these names, as deep as they lie."""

    train: dict[str, Any] = {}
    network: dict[str, Any] = {}
    augmentation: dict[str, Any] = {}


class Shape(Group):
    """One loss: the weight w(x), x = t/T, that the output voltage is summed under, or its maximum, or the first spike.

    Equations: :mod:`eventspeech.losses`. With `changes` it is an entry of an ablation.
    """

    kind: Literal["sum", "exponential", "gaussian", "bell", "linear", "sigmoid", "max", "first_spike"]
    mean_weight: PositiveFloat | None = Field(None, description="scale w so that its mean over [0, 1] is this")
    learning_rate: PositiveFloat | None = Field(None, description="overrides train.learning_rate for this loss")
    gain: PositiveFloat | None = Field(None, description="gaussian: g")
    offset: float | None = Field(None, description="gaussian: o")
    slope: float | None = Field(None, description="gaussian: d")
    centre: float | None = Field(None, description="gaussian: m; bell: b; sigmoid: where the weight is one half")
    width: PositiveFloat | None = Field(None, description="gaussian: s; bell: c; sigmoid: scale of the fall")
    height: PositiveFloat | None = Field(None, description="bell: a")
    tau0_ms: PositiveFloat | None = Field(None, description="first_spike: differences of spike times that matter")
    tau1_ms: PositiveFloat | None = Field(None, description="first_spike: scale of the push towards early spikes")
    alpha: NonNegativeFloat | None = Field(None, description="first_spike: strength of that push")
    output_mean: float | None = Field(None, description="overrides network.output_mean for this loss")
    output_sd: NonNegativeFloat | None = Field(None, description="overrides network.output_sd for this loss")
    changes: Changes = Changes()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_defaults_of_kind(cls, content: Any) -> Any:
        if not isinstance(content, dict) or content.get("kind") not in SHAPE_DEFAULTS:
            return content
        defaults = SHAPE_DEFAULTS[content["kind"]] | OUTPUT_DEFAULTS.get(content["kind"], {})
        return defaults | {key: value for key, value in content.items() if value is not None or key not in defaults}

    @pydantic.model_validator(mode="after")
    def _refuse_parameters_of_other_kinds(self) -> "Shape":
        taken = SHAPE_DEFAULTS[self.kind]
        for key in {key for defaults in SHAPE_DEFAULTS.values() for key in defaults}:
            if key not in taken and getattr(self, key) is not None:
                known = ", ".join(taken) or "none"
                raise ValueError(f"kind {self.kind} takes no {key} (it takes: {known}); remove it")
        if self.mean_weight is not None and self.kind not in WEIGHTED:
            raise ValueError(f"kind {self.kind} has no weight that mean_weight could scale; remove it")
        return self

    @pydantic.model_validator(mode="after")
    def _say_it_once(self) -> "Shape":
        for group, key in (("train", "learning_rate"), ("network", "output_mean"), ("network", "output_sd")):
            if key in getattr(self.changes, group) and getattr(self, key) is not None:
                raise ValueError(f"{key} stands here and in changes.{group}; remove one of them")
        return self

    def output_weights(self) -> dict[str, float]:
        """Return what this loss changes about `network`'s initial weights."""
        found = {"output_mean": self.output_mean, "output_sd": self.output_sd}
        return {key: value for key, value in found.items() if value is not None}


class Synthetic(Group):
    """Digits spoken by espeak-ng: 20 words (English and German), speakers made of voice, pitch and rate."""

    speakers: Annotated[int, Field(ge=3, le=64)] = 14
    takes: PositiveInt = Field(3, description="recordings of each word by each speaker")
    test_speakers: PositiveInt = Field(2, description="speakers that occur only in the test split (the last ones)")
    test_takes: NonNegativeInt = Field(1, description="takes of each training speaker's word kept for testing")
    seed: NonNegativeInt = 0


class Recordings(Group):
    """A folder of wav or flac files."""

    folder: str | None = Field(None, description="the folder, searched recursively")
    manifest: str | None = Field(
        None, description="CSV with columns path, label, speaker (and optionally split); default: from file names"
    )
    pattern: str = Field(
        r"(?P<label>[^_]+)_(?P<speaker>[^_]+)_(?P<take>\d+)", description="regular expression on the file's stem"
    )
    test_speakers: list[str] = Field(default_factory=list, description="speakers that occur only in the test split")
    test_takes: NonNegativeInt = Field(
        0, description="the first takes of each training speaker's word, kept for testing"
    )


class Download(Group):
    """Where the speech comes from."""

    source: Literal["synthetic", "recordings", "hdf5", "shd", "ssc"] = "synthetic"
    archives: str = Field("data/archives", description="shd, ssc: where downloaded archives are kept")
    synthetic: Synthetic = Synthetic()
    recordings: Recordings = Recordings()
    hdf5_train: str | None = Field(None, description="hdf5: file in SHD's layout")
    hdf5_test: str | None = Field(None, description="hdf5: file in SHD's layout")
    hdf5_validation: str | None = Field(None, description="hdf5: file in SHD's layout; for the protocol official")

    @property
    def has_validation(self) -> bool:
        """Whether the source comes with a validation split of its own."""
        return self.source == "ssc" or (self.source == "hdf5" and self.hdf5_validation is not None)


class Cochlea(Group):
    """The cochlea model of SHD (Cramer et al. 2020), for sources of audio; defaults are the published values."""

    seed: NonNegativeInt = 0
    level: PositiveFloat = Field(0.3, description="root mean square the audio is normalised to")
    fibres: PositiveInt = Field(40, description="hair-cell fibres that drive one bushy cell")


class Preprocess(Group):
    """From raw source to the spike store."""

    trial_ms: PositiveFloat = Field(1000.0, description="T; later spikes are cut off")


Protocol = Literal["held_out", "leave_one_out", "random", "official"]


class Validation(Group):
    """Which samples choose the epoch; see :mod:`eventspeech.validation`. The folds are in ``study.folds``."""

    protocol: Protocol = "held_out"
    speakers: list[str] = Field(default_factory=list, description="held_out: the speakers of the training split")
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


class Train(Group):
    """Optimisation."""

    engine: Literal["cpu", "cuda", "genn"] = "cpu"
    epochs: PositiveInt = 40
    batch_size: PositiveInt = 32
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


class Evaluate(Group):
    """The test, once per model."""

    engine: Literal["cpu", "cuda", "genn"] = "cpu"
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


class Profile(Group):
    """Time, power and energy of training, by device and batch size."""

    loss: Name = "exponential"
    cpu_batch_sizes: list[PositiveInt] = [1, 32]
    cuda_batch_sizes: list[PositiveInt] = [1, 2, 4, 8, 16, 32, 64]
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
    formats: list[Literal["png", "svg", "pdf"]] = ["png", "svg"]


class Params(Group):
    """A whole parameter file."""

    study: Study
    shape: dict[Name, Shape]
    download: Download = Download()
    cochlea: Cochlea = Cochlea()
    preprocess: Preprocess = Preprocess()
    validation: Validation
    network: Network = Network()
    train: Train = Train()
    augmentation: Augmentation = Augmentation()
    evaluate: Evaluate = Evaluate()
    baseline: Baseline = Baseline()
    compare: Compare = Compare()
    profile: Profile = Profile()
    report: Report = Report()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _name_the_only_fold(cls, content: Any) -> Any:
        study, validation = (content.get(name) for name in ("study", "validation"))
        if not isinstance(study, dict) or study.get("folds") is not None:
            return content
        protocol = validation.get("protocol", "held_out") if isinstance(validation, dict) else "held_out"
        return content if protocol == "leave_one_out" else content | {"study": study | {"folds": [protocol]}}

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
                "its own (ssc has, and hdf5 with download.hdf5_validation); choose held_out, leave_one_out or random"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _speakers_are_in_training(self) -> "Params":
        if self.download.source != "recordings":
            return self
        folds = self.study.folds if self.validation.protocol == "leave_one_out" else []
        for where, names in {"study.folds": folds, "validation.speakers": self.validation.speakers}.items():
            for name in set(names) & set(self.download.recordings.test_speakers):
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
        for name in Study.model_fields:
            values = getattr(self.study, name)
            if len(set(values)) != len(values):
                raise ValueError(f"study.{name} lists a value twice")
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
        learned, heterogeneous = self.train.learn_time_constants, self.network.time_constants == "heterogeneous"
        if heterogeneous and learned == "population":
            raise ValueError(
                "network.time_constants is heterogeneous, one for each neuron, but train.learn_time_constants is "
                "population; set it to neuron or none, or network.time_constants to homogeneous"
            )
        if learned == "none" and not heterogeneous:
            return self
        for kind in ("tau_mem", "tau_syn"):
            shortest, start = getattr(self.train, f"{kind}_min_ms"), getattr(self.network, f"{kind}_ms")
            if shortest < self.network.step_ms:
                raise ValueError(
                    f"train.{kind}_min_ms = {shortest:g} lets time constants fall below network.step_ms = "
                    f"{self.network.step_ms:g}; raise it to that at least"
                )
            if shortest > start:
                raise ValueError(
                    f"train.{kind}_min_ms = {shortest:g} is above network.{kind}_ms = {start:g}, where time constants "
                    "start; lower it"
                )
        return self

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
                problems += [_sentence(problem, ("shape", name, "changes")) for problem in error.errors()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def for_loss(self, loss: str) -> "Params":
        """Return the parameters with which ``loss`` is trained: its changes are made and stand there no longer.

        Raises:
            ParameterError: there is no such loss; lists those there are.
        """
        if loss not in self.shape:
            raise ParameterError(f"There is no loss '{loss}' in shape; choose from {', '.join(self.shape)}.")
        changes = self.shape[loss].changes
        if changes == Changes():
            return self
        content = _laid_over(self.model_dump(), changes.model_dump())
        for shape in content["shape"].values():
            del shape["changes"]
        return Params.model_validate(content)

    def select(self, verb: str, loss: str | None = None) -> dict[str, Any]:
        """Return what ``verb`` reads, as plain values: what decides whether it must run again."""
        loss = self.profile.loss if verb == "profile" else loss
        of_loss = any("{loss}" in template for template in READ_BY[verb])
        content = (self.for_loss(loss) if of_loss else self).model_dump(mode="json")
        selected = {}
        for template in READ_BY[verb]:
            key = template.format(loss=loss)
            value: Any = content
            for part in key.split("."):
                value = value[part]
            selected[key] = value
        return selected


def _laid_over(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return ``content`` with the values of ``changes``; nested mappings are laid over one another likewise."""
    nested = {
        key: _laid_over(content[key], value)
        for key, value in changes.items()
        if isinstance(value, dict) and isinstance(content.get(key), dict)
    }
    return content | changes | nested


def _leaves(group: str, kind: type[Group], *left_out: str) -> tuple[str, ...]:
    return tuple(f"{group}.{field}" for field in kind.model_fields if field not in left_out)


READ_BY: dict[str, tuple[str, ...]] = {
    "download": ("download",),
    "preprocess": ("preprocess", "cochlea"),
    "baseline": ("baseline", "validation"),
    "train": ("train", "network", "augmentation", "validation", "shape.{loss}"),
    "evaluate": ("evaluate",),
    "compare": ("study", "compare"),
    # a measured epoch knows nothing of how many there are, or of other batch sizes
    "profile": (
        *_leaves("profile", Profile, "cpu_batch_sizes", "cuda_batch_sizes"),
        *_leaves("train", Train, "epochs", "batch_size", "schedule", "silent_lift", "select"),
        "network",
        "augmentation",
        "shape.{loss}",
    ),
    "report": tuple(Params.model_fields),
}
"""Which groups or leaves each verb reads; Snakemake rules and DVC stages declare exactly these."""


def load(path: Path | str) -> Params:
    """Read and validate a parameter file.

    Raises:
        ParameterError: the file is missing, is not YAML, or a key is unknown, missing or out of range.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParameterError(
            f"{path} does not exist; `eventspeech preset default > {path}` writes one to start from."
        ) from error
    except OSError as error:
        raise ParameterError(f"{path} cannot be read ({error.strerror}); give the path of a parameter file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} is not valid YAML ({' '.join(str(error).split())}); correct it.") from error
    return validate(content, str(path))


def validate(content: Any, origin: str = "params.yaml") -> Params:
    """Validate the content of a parameter file; errors name the key, the value and the remedy."""
    if not isinstance(content, dict):
        raise ParameterError(
            f"{origin} holds no groups of parameters; `eventspeech preset default` prints a valid one."
        )
    try:
        return Params.model_validate(content)
    except pydantic.ValidationError as error:
        problems = "; ".join(_sentence(problem) for problem in error.errors())
        raise ParameterError(f"{origin}: {problems}.") from error


def _sentence(problem: Any, inside: tuple[str, ...] = ()) -> str:
    key = ".".join(str(part) for part in (*inside, *problem["loc"]))
    if problem["type"] == "extra_forbidden":
        group = _group_at(problem["loc"][:-1])
        known = f" (known there: {', '.join(group.model_fields)})" if group else ""
        return f"unknown key {key}; remove it or correct its spelling{known}"
    if problem["type"] == "missing":
        return f"{key} is missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return message
    if problem["type"] == "value_error":  # of a whole group, whose content would fill the screen
        return f"{key}: {message}"
    if problem["type"] == "string_type":
        message += ", so put it in quotes"
    return f"{key} = {problem['input']!r} is not valid: {message[0].lower()}{message[1:]}"


def _group_at(location: tuple) -> type[Group] | None:
    group: Any = Params
    if location[:1] == ("shape",):
        group, location = Shape, location[2:]
    for part in location:
        field = group.model_fields.get(part) if isinstance(part, str) else None
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, Group)):
            return None
        group = field.annotation
    return group

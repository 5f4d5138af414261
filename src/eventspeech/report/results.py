"""Everything the report shows, read from the files of the other stages, once."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eventspeech import losses, paths
from eventspeech.data import sources, store
from eventspeech.errors import DataError
from eventspeech.params import Changes, Params, Shape
from eventspeech.records import comparison, examples, measurement, statistics, tuning
from eventspeech.records.costs import Cost
from eventspeech.records.costs import read as read_costs
from eventspeech.records.reading import again
from eventspeech.records.run import Run, read_all, read_baseline
from eventspeech.records.tuning import Tuning

if TYPE_CHECKING:
    import pandas

SPEAKER_KINDS = ("heard", "validation", "unheard")


def _kind(entry: dict[str, Any]) -> str:
    return "heard" if entry["heard"] else "validation" if entry["validation"] else "unheard"


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


@dataclass(frozen=True)
class Results:
    """A finished study.

    Attributes:
        params: the parameter file.
        spikes: folder of spike stores and their statistics.
        runs: (loss, seed, fold) to what training and test left: `summary`, `metrics` (as their JSON files), `history`
            (column to float64[E]) and `confusion` (int64[K, K], rows are actual classes).
        classes: names of the K classes.
        compare: name to table of results/compare.
        compare_summary: its JSON file.
        baselines: fold to the `metrics` and `summary` of logistic regression (as their JSON files).
        profile: one JSON object a measurement, in the order of the parameter file.
        examples: loss to arrays of examples.npz, of the first seed and fold.
        statistics: split to its JSON file.
        costs: time and memory of the study's jobs; empty where Snakemake did not run it.
        tuning: loss to the search for better parameters, of those of `tune.losses`.
    """

    params: Params
    spikes: Path
    runs: dict[tuple[str, int, str], dict[str, Any]]
    classes: list[str]
    compare: dict[str, "pandas.DataFrame"]
    compare_summary: dict[str, float]
    baselines: dict[str, dict[str, Any]]
    profile: list[dict[str, Any]]
    examples: dict[str, dict[str, np.ndarray]]
    statistics: dict[str, dict[str, Any]] = field(default_factory=dict)
    costs: list[Cost] = field(default_factory=list)
    tuning: dict[str, Tuning] = field(default_factory=dict)

    @property
    def losses(self) -> list[str]:
        """The study's losses, in the order of the parameter file."""
        return self.params.study.losses

    def changes(self, loss: str) -> dict[str, tuple[str, str]]:
        """Return what ``loss`` is trained with otherwise than the reference: key to the reference's value and its own.

        Of the groups that `changes` of an entry of `shape` can name them; values that were tuned make no ablation.
        """
        params = self.params.untuned()
        names = (self.params.compare.reference, loss)
        groups = set(Changes.model_fields)
        found = [plain(params.for_loss(name).model_dump(mode="json", include=groups)) for name in names]
        reference, own = found
        return {key: (reference[key], own[key]) for key in own if own[key] != reference[key]}

    @cached_property
    def ablated(self) -> list[str]:
        """The losses that :meth:`changes` makes entries of an ablation."""
        return [loss for loss in self.losses if self.changes(loss)]

    @property
    def compared(self) -> list[str]:
        """The losses that are trained like the reference, itself included."""
        return [loss for loss in self.losses if loss not in self.ablated]

    @property
    def learned(self) -> list[str]:
        """The losses whose weight is learned."""
        return [loss for loss in self.losses if self.params.shape[loss].kind == "learned"]

    def weights_learned(self, loss: str, x: np.ndarray, epoch: str = "chosen") -> np.ndarray:
        """Return w(x) of each run of a learned loss, [runs, *x.shape], in the chosen epoch or after the ``last``."""
        shape, runs = self.params.shape[loss], self.of(loss)
        thetas = (np.array(run["summary"][losses.LEARNED][epoch]) for run in runs)
        return np.stack([losses.weight(shape, x, theta) for theta in thetas])

    def fixed_weights(self, loss: str) -> dict[str, Shape]:
        """Return the exponential and the study's Gaussian, scaled to the mean that a learned weight keeps."""
        mean = losses.mean_weight(self.params.shape[loss])
        return {
            "exponential": Shape(kind="exponential", mean_weight=mean),
            "Gaussian": Shape(kind="gaussian", mean_weight=mean),
        }

    @property
    def seeds(self) -> list[int]:
        """The study's seeds."""
        return self.params.study.seeds

    @property
    def folds(self) -> list[str]:
        """The study's folds."""
        return self.params.study.folds

    @property
    def one_run(self) -> str:
        """What a line or a dot of a figure stands for."""
        return "one seed" if len(self.folds) == 1 else "one seed and fold"

    def of(self, loss: str) -> list[dict[str, Any]]:
        """Return the runs of a loss, in the order of seeds and folds."""
        return [run for (name, _, _), run in self.runs.items() if name == loss]

    @cached_property
    def baseline(self) -> dict[str, Any]:
        """The baseline's accuracies on the test, means over folds; ``None`` where no fold has any."""
        tests = [found["metrics"] for found in self.baselines.values()]
        keys = [key for key in tests[0] if key.startswith("accuracy") and key != "accuracy_by_speaker"]
        return {key: _mean([test.get(key) for test in tests]) for key in keys}

    @property
    def baseline_validation(self) -> float | None:
        """The baseline's validation accuracy, mean over folds."""
        return _mean([found["summary"].get("validation_accuracy") for found in self.baselines.values()])

    def speaker_kinds(self) -> dict[str, str]:
        """Return what each speaker of the test was in training: `heard` if in any fold, `validation` or `unheard`."""
        found: dict[str, str] = {}
        for run in self.runs.values():
            for name, entry in run["metrics"]["accuracy_by_speaker"].items():
                kind = _kind(entry)
                found[name] = min(found.get(name, kind), kind, key=SPEAKER_KINDS.index)
        return found

    def of_speaker(self, name: str, runs: list[dict[str, Any]]) -> list[float]:
        """Return a speaker's accuracies in those runs in which it was what :meth:`speaker_kinds` says."""
        kind = self.speaker_kinds()[name]
        entries = [run["metrics"]["accuracy_by_speaker"][name] for run in runs]
        return [entry["accuracy"] for entry in entries if _kind(entry) == kind]

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / len(self.classes)

    @cached_property
    def training_store(self) -> store.SpikeStore:
        """The training split's spikes."""
        return store.load(self.spikes / "train.npz")

    @property
    def training_samples(self) -> int:
        """Samples the networks learned from, in the first fold."""
        return int(next(iter(self.runs.values()))["summary"]["training_samples"])

    @property
    def validation_samples(self) -> int:
        """Samples of the training split that were held out to choose the epoch, in the first fold."""
        return int(next(iter(self.runs.values()))["summary"]["validation_samples"])

    @property
    def source(self) -> sources.Words:
        """How texts speak of the data's source."""
        return sources.named(self.params.download.source).words

    @property
    def label(self) -> str | None:
        """What every figure says when the data is not SHD or SSC; ``None`` for these."""
        warning = self.source.warning
        return warning and f"{warning}; {self.training_samples} training samples"

    def same_mean_weight(self, loss: str) -> bool:
        """Whether a loss's weight has the mean of the reference's, to a hundredth: what differs is its shape."""
        shapes = self.params.shape
        mean, reference = (losses.mean_weight(shapes[name]) for name in (loss, self.params.compare.reference))
        return mean is not None and reference is not None and abs(mean - reference) < 0.01 * reference

    def difference(self, loss: str, measure: str) -> "pandas.Series":
        """Return a row of differences.csv, of any loss but the reference."""
        table = self.compare["differences"]
        return table[(table["loss"] == loss) & (table["measure"] == measure)].iloc[0]

    def at_steps(self, loss: str, dead_time: str) -> "pandas.DataFrame":
        """Return a loss's rows of steps.csv, of one of `records.metrics.DEAD_TIMES`, the finest step first."""
        table = self.compare["steps"]
        return table[(table["loss"] == loss) & (table["dead_time"] == dead_time)].sort_values("step_ms")

    def of_loss(self, loss: str) -> "pandas.Series":
        """Return a row of losses.csv."""
        table = self.compare["losses"]
        return table[table["loss"] == loss].iloc[0]


def load(params: Params, spikes: Path, results: Path, benchmarks: Path | None = None) -> Results:
    """Read a finished study.

    Args:
        params: says which losses, seeds, devices and batch sizes belong to the study.
        spikes: folder of ``train.npz``, ``train.json`` and ``test.json``; the test's spikes cannot be opened here.
        results: folder of the other stages' results.
        benchmarks: folder of what Snakemake tells of time and memory; may be missing.

    Raises:
        DataError: a file is missing or damaged; names it and the stage that makes it.
    """
    spikes, results = Path(spikes), Path(results)
    runs = read_all(params, results / "train", results / "evaluate")
    devices = {"cpu": params.profile.cpu_batch_sizes, "cuda": params.profile.cuda_batch_sizes}
    compared = comparison.read(results / "compare", params)
    _require_same_runs(results / "compare" / "runs.csv", compared["runs"], runs)
    return Results(
        params=params,
        spikes=spikes,
        runs={(run.loss, run.seed, run.fold): vars(run) for run in runs},
        classes=runs[0].classes,
        compare=compared,
        compare_summary=comparison.read_summary(results / "compare" / "summary.json"),
        baselines=read_baseline(params, results / "baseline", results / "evaluate"),
        profile=[
            measurement.read(paths.profile(results, device, size), device, size)
            for device, sizes in devices.items()
            for size in sizes
        ],
        examples={
            loss: examples.read(
                paths.evaluation(results, loss, params.study.seeds[0], params.study.folds[0]) / "examples.npz"
            )
            for loss in params.study.losses
        },
        statistics={split: statistics.read(spikes / f"{split}.json", split) for split in ("train", "test")},
        costs=[] if benchmarks is None else read_costs(params, Path(benchmarks)),
        tuning={loss: tuning.read(paths.tuning(results, loss), loss) for loss in params.tune.losses},
    )


def _require_same_runs(path: Path, compared: "pandas.DataFrame", runs: list[Run]) -> None:
    """Refuse a comparison of other runs than those that are there."""
    for told, run in zip(compared.to_dict("records"), runs, strict=True):
        for name, value in {"best_validation": run.best, "final_validation": run.final, "test": run.test}.items():
            if abs(told[name] - value) > 1e-5:
                raise DataError(
                    f"{path} says {name} {told[name]:g} of loss {run.loss}, seed {run.seed}, fold {run.fold}, whose "
                    f"results say {value:g}; {again('compare')}."
                )


def plain(content: dict[str, Any], prefix: str = "", digits: int = 6) -> dict[str, str]:
    """Flatten nested parameters or facts to dotted names and short texts; ``None`` becomes an empty text."""
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, dict) and value:
            flat |= plain(value, f"{prefix}{name}.", digits)
        elif isinstance(value, float):
            flat[prefix + name] = f"{value:.{digits}g}"
        elif isinstance(value, list) and all(not isinstance(item, list | dict) for item in value):
            flat[prefix + name] = ", ".join(map(str, value))
        else:
            flat[prefix + name] = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return flat


def ablation_measures(results: Results) -> list[str]:
    """Return what an ablation is judged by: how well it generalises, how fast it learns, how new voices fare."""
    found = ["best_validation", "early_validation", "test_unheard"]
    known = [results.difference(loss, found[-1])["mean"] for loss in results.ablated]
    return found if np.isfinite(known).any() else [*found[:-1], "test"]


def ablation_order(results: Results) -> list[str]:
    """Return the entries of an ablation, that which helps most first."""
    return sorted(results.ablated, key=lambda loss: -results.difference(loss, "best_validation")["mean"])

"""What one training and its test leave, read together: the only reader of both."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eventspeech import losses
from eventspeech.errors import DataError
from eventspeech.params import Params, Shape
from eventspeech.records import history, metrics
from eventspeech.records.reading import fields

ACCIDENTS = ("exploding", "silent", "saturated")
"""Kinds of numerical accidents of a training."""


@dataclass(frozen=True)
class Run:
    """One training and its test. Accuracies are fractions.

    Attributes:
        loss, seed, fold: which training.
        history: column of history.csv to float64[E], one entry an epoch.
        summary, metrics: as their JSON files.
        confusion: int64[K, K], rows are actual classes.
        classes: names of the K classes.
    """

    loss: str
    seed: int
    fold: str
    history: dict[str, np.ndarray]
    summary: dict[str, Any]
    metrics: dict[str, Any]
    confusion: np.ndarray
    classes: list[str]

    @property
    def training(self) -> np.ndarray:
        """Training accuracy, float64[E]."""
        return self.history["training_accuracy"]

    @property
    def validation(self) -> np.ndarray:
        """Validation accuracy, float64[E]."""
        return self.history["validation_accuracy"]

    @property
    def best_epoch(self) -> int:
        """The chosen epoch, from 1."""
        return self.summary["best_epoch"]

    @property
    def best(self) -> float:
        """Validation accuracy of the chosen epoch."""
        return self.summary["best_validation_accuracy"]

    @property
    def final(self) -> float:
        """Validation accuracy after the last epoch."""
        return float(self.validation[-1])

    @property
    def test(self) -> float:
        """Test accuracy."""
        return self.metrics["accuracy"]

    @property
    def grids(self) -> list[tuple[float, str]]:
        """Step in ms and kind of dead time of each test; none if it was at the trained step alone."""
        return [(row["step_ms"], row["dead_time"]) for row in self.metrics["steps"]]

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / len(self.classes)

    @property
    def collapse_epoch(self) -> int | None:
        """The epoch in which the training collapsed, as `train` told: see :mod:`eventspeech.learning.collapse`."""
        return self.summary["collapsed_at_epoch"]

    @property
    def accidents(self) -> list[dict[str, Any]]:
        """Numerical accidents, as `train` told: see :mod:`eventspeech.learning.accidents`."""
        return self.summary["accidents"]

    def early(self, epochs: int) -> float:
        """Mean validation accuracy over the first ``epochs`` epochs."""
        return float(self.validation[:epochs].mean())

    def epochs_to(self, accuracy: float) -> int | None:
        """First epoch (from 1) whose validation accuracy reaches ``accuracy``; ``None`` if none does."""
        reached = np.flatnonzero(self.validation >= accuracy)
        return int(reached[0]) + 1 if len(reached) else None


def read_all(params: Params, models: Path, evaluations: Path) -> list[Run]:
    """Read the study's runs, and only those, in the order of losses, seeds and folds.

    Args:
        params: ``study`` says which runs there are.
        models: folder of ``{loss}/{seed}/{fold}/`` made by `train`.
        evaluations: folder of ``{loss}/{seed}/{fold}/`` made by `evaluate`.

    Raises:
        DataError: a run or its test is missing, damaged or another one's; names the file and the remedy.
    """
    jobs = itertools.product(params.study.losses, params.study.seeds, params.study.folds)
    runs = [_read(job, Path(models, *map(str, job)), Path(evaluations, *map(str, job)), params) for job in jobs]
    for run in runs:
        if run.classes != runs[0].classes:
            raise DataError(
                f"The tests in {evaluations} differ in their classes (loss {run.loss}, seed {run.seed}, fold "
                f"{run.fold} has others than the first); run the stage `evaluate` again."
            )
        if run.grids != runs[0].grids:
            raise DataError(
                f"The tests in {evaluations} differ in their time steps (loss {run.loss}, seed {run.seed}, fold "
                f"{run.fold} has others than the first); run the stage `evaluate` again."
            )
    return runs


def _read(job: tuple[str, int, str], model: Path, evaluation: Path, params: Params) -> Run:
    names: dict[str, Any] = dict(zip(("loss", "seed", "fold"), job, strict=True))
    remedies = {
        model / "history.csv": "train",
        model / "summary.json": "train",
        evaluation / "metrics.json": "evaluate",
        evaluation / "confusion.csv": "evaluate",
    }
    for path, stage in remedies.items():
        if not path.exists():
            raise DataError(
                f"{path} does not exist; run the stage `{stage}` for loss {job[0]}, seed {job[1]} and fold {job[2]}, "
                "or take it out of study in the parameter file."
            )
    confusion, classes = metrics.read_confusion(evaluation / "confusion.csv")
    columns = history.read(model / "history.csv")
    summary = _read_summary(model / "summary.json", columns, names, params.shape[job[0]])
    _require_all_folds(params, summary)
    tested = metrics.read(evaluation / "metrics.json", model / "weights.npz", confusion, **names)
    return Run(**names, history=columns, summary=summary, metrics=tested, confusion=confusion, classes=classes)


def read_summary(folder: Path, shape: Shape, **job: Any) -> dict[str, Any]:
    """Read the summary of one training.

    Args:
        folder: holds summary.json and history.csv.
        shape: its loss.
        job: loss, seed and fold that it has to be of.

    Raises:
        DataError: one is missing or damaged, or they are another training's.
    """
    return _read_summary(folder / "summary.json", history.read(folder / "history.csv"), job, shape)


def _read_summary(path: Path, columns: dict[str, np.ndarray], job: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Read summary.json, which has to tell what the history tells, and of a learned loss what it became."""
    found, accuracies = fields(path, "train"), columns["validation_accuracy"]
    found.belongs(**job)
    for name, theta in losses.learned_weight(shape).items():
        for moment in ("chosen", "last"):
            found.object(name).numbers(moment, len(theta))
    epochs = len(accuracies)
    found.require("epochs", found.count("epochs") == epochs, f"the {epochs} epochs of history.csv")
    found.unless_null("collapsed_at_epoch", found.count, 1, epochs)
    for accident in found.objects("accidents"):
        accident.require("kind", accident.text("kind") in ACCIDENTS, f"one of {', '.join(ACCIDENTS)}")
        accident.count("epochs", 1, epochs + 1 - accident.count("first_epoch", 1, epochs))
        accident.number("value", 0)
        accident.number("bound", 0)
        accident.text("remedy")
    found.text("protocol")
    for name in ("heard_speakers", "validation_speakers"):
        found.names(name)
    told = {"best_validation_accuracy": found.count("best_epoch", 1, epochs), "final_validation_accuracy": epochs}
    for name, epoch in told.items():
        same = abs(found.fraction(name) - accuracies[epoch - 1]) < 1e-9
        found.require(name, same, f"the {accuracies[epoch - 1]:g} that history.csv says of epoch {epoch}")
    for name in ("training_samples", "validation_samples"):
        found.count(name, least=1)
    for name in ("duration_s", "ms_per_sample"):
        found.unless_null(name, found.number, 0)
    return found.content


def _require_all_folds(params: Params, summary: dict[str, Any]) -> None:
    """Refuse a leave-one-out over some of the speakers: a fold may have left the study after its training."""
    trained_on = {*summary["heard_speakers"], *summary["validation_speakers"]}
    if summary["protocol"] == "leave_one_out" and trained_on != set(params.study.folds):
        raise DataError(
            "validation.protocol is leave_one_out, so study.folds has to list exactly the speakers of the training "
            f"split: {', '.join(sorted(trained_on))}."
        )


def read_baseline(params: Params, baselines: Path, evaluations: Path) -> dict[str, dict[str, Any]]:
    """Return, for each fold, the `metrics` and the `summary` of logistic regression, as their JSON files.

    Args:
        params: ``study.folds`` are read.
        baselines: folder of ``{fold}/`` made by `baseline`.
        evaluations: folder of ``baseline/{fold}/`` made by `evaluate`.

    Raises:
        DataError: one is missing, damaged or another one's.
    """
    return {
        fold: _read_baseline(fold, baselines / fold, evaluations / "baseline" / fold) for fold in params.study.folds
    }


def _read_baseline(fold: str, baseline: Path, evaluation: Path) -> dict[str, Any]:
    confusion, _ = metrics.read_confusion(evaluation / "confusion.csv")
    tested = metrics.read(
        evaluation / "metrics.json", baseline / "model.npz", confusion, kind="logistic", loss=None, seed=None, fold=fold
    )
    summary = fields(baseline / "summary.json", "baseline")
    summary.belongs(fold=fold)
    for name in ("training_accuracy", "validation_accuracy"):
        summary.fraction(name)
    for name in ("features", "samples"):
        summary.count(name, least=1)
    return {"metrics": tested, "summary": summary.content}

"""What one training and its test leave, read together."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eventspeech.errors import DataError
from eventspeech.files import read_json
from eventspeech.params import Params
from eventspeech.records.history import read_history


@dataclass(frozen=True)
class Run:
    """One training and its test. Accuracies are fractions; arrays have one entry an epoch, float64[E]."""

    loss: str
    seed: int
    fold: str
    training: np.ndarray
    validation: np.ndarray
    hidden_spikes: np.ndarray
    floored: np.ndarray
    best_epoch: int
    best: float
    test: float
    heard: float | None
    unheard: float | None
    chance: float
    collapse_epoch: int | None  # told by `train`: see `collapse`
    duration_s: float | None
    ms_per_sample: float | None

    @property
    def final(self) -> float:
        """Validation accuracy after the last epoch."""
        return float(self.validation[-1])

    def early(self, epochs: int) -> float:
        """Mean validation accuracy over the first ``epochs`` epochs."""
        return float(self.validation[:epochs].mean())

    def epochs_to(self, accuracy: float) -> int | None:
        """First epoch (from 1) whose validation accuracy reaches ``accuracy``; ``None`` if none does."""
        reached = np.flatnonzero(self.validation >= accuracy)
        return int(reached[0]) + 1 if len(reached) else None


def read_runs(params: Params, models: Path, evaluations: Path) -> list[Run]:
    """Read the study's runs, and only those, in the order of losses, seeds and folds.

    Raises:
        DataError: a run or its test is missing or damaged; names the file and the remedy.
    """
    jobs = itertools.product(params.study.losses, params.study.seeds, params.study.folds)
    return [_read_run(job, *(Path(root, *map(str, job)) for root in (models, evaluations)), params) for job in jobs]


def _read_run(job: tuple[str, int, str], model: Path, evaluation: Path, params: Params) -> Run:
    loss, seed, fold = job
    remedies = {
        model / "history.csv": "train",
        model / "summary.json": "train",
        evaluation / "metrics.json": "evaluate",
        evaluation / "confusion.csv": "evaluate",
    }
    for path, stage in remedies.items():
        if not path.exists():
            raise DataError(
                f"{path} does not exist; run the stage `{stage}` for loss {loss}, seed {seed} and fold {fold}, or "
                "take it out of study in the parameter file."
            )
    history = read_history(model / "history.csv")
    summary, metrics = read_json(model / "summary.json"), read_json(evaluation / "metrics.json")
    with (evaluation / "confusion.csv").open(encoding="utf-8", errors="replace", newline="") as stream:
        classes = len(stream.readline().split(",")) - 1
    if classes < 2:
        raise DataError(f"{evaluation / 'confusion.csv'} names no classes; run the stage `evaluate` again.")
    _require_all_folds(params, summary)
    try:
        if not 1 <= summary["best_epoch"] <= len(history["validation_accuracy"]):
            raise ValueError(f"best_epoch {summary['best_epoch']} is not in the history")
        return Run(
            loss=loss,
            seed=seed,
            fold=fold,
            training=history["training_accuracy"],
            validation=history["validation_accuracy"],
            hidden_spikes=history["hidden_spikes"],
            floored=history["floored_fraction"],
            best_epoch=int(summary["best_epoch"]),
            best=float(summary["best_validation_accuracy"]),
            test=float(metrics["accuracy"]),
            heard=metrics["accuracy_heard"],
            unheard=metrics["accuracy_unheard"],
            chance=1 / classes,
            collapse_epoch=summary["collapsed_at_epoch"],
            duration_s=summary.get("duration_s"),
            ms_per_sample=summary.get("ms_per_sample"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"The results of loss {loss}, seed {seed} and fold {fold} are damaged ({type(error).__name__}: {error}); "
            "run the stages `train` and `evaluate` again."
        ) from error


def _require_all_folds(params: Params, summary: dict) -> None:
    """Refuse a leave-one-out over some of the speakers: a fold may have left the study after its training."""
    trained_on = {*summary.get("heard_speakers", []), *summary.get("validation_speakers", [])}
    if summary.get("protocol") == "leave_one_out" and trained_on != set(params.study.folds):
        raise DataError(
            "validation.protocol is leave_one_out, so study.folds has to list exactly the speakers of the training "
            f"split: {', '.join(sorted(trained_on))}."
        )

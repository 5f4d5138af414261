"""Statistics over seeds: what the losses reach, how fast, and whether they differ.

Seeds are paired: a seed gives every loss the same initial weights and the same order of samples, so losses are compared
by the differences within seeds. Where a study has several folds, they are paired likewise and averaged within each seed
first: seeds are what is drawn, so intervals are over seeds, and the spread over folds is told beside them.

Every run of the study counts: a run that never reaches an accuracy is counted as such, and a collapsed run (back at
chance after having learned) is flagged and stays in the means. Columns whose name ends in ``without_collapsed`` leave
it out, and are filled only where a run collapsed.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from eventspeech.errors import ParameterError
from eventspeech.files import write_csv, write_json
from eventspeech.params import Params
from eventspeech.records.run import Run, read_all
from eventspeech.statistics import DIFFERENCE, FRACTION, differences_of, estimate, means_of, paired

logger = logging.getLogger("eventspeech")

EARLY_EPOCHS = 10
"""Length of the window of early learning, cut down to the shortest run."""


STANDING = ("best_validation", "final_validation", "test", "test_unheard")
"""Measures whose mean is told without the collapsed runs, too."""


STEP_MEASURES = {"accuracy": FRACTION, "hidden_spikes": (0.0, math.inf), "agreement": FRACTION}
"""What the test at several time steps measures, and the values that it can have."""


def compare(params: Params, models: Path, evaluations: Path, out: Path) -> None:
    """Write the statistics of the study's runs under ``out``.

    Files: ``runs.csv``, ``curves.csv``, ``losses.csv``, ``folds.csv``, ``time_to_accuracy.csv``, ``differences.csv``,
    ``steps.csv`` and ``summary.json``; for DVC ``metrics.json`` and ``training.csv``. Accuracies are fractions;
    an unknown number is an empty cell, and ``reason`` says why.

    Args:
        params: ``study`` and ``compare`` are read.
        models: folder of ``{loss}/{seed}/{fold}/`` made by ``train``.
        evaluations: folder of ``{loss}/{seed}/{fold}/`` made by ``evaluate``.
        out: folder to write.

    Raises:
        DataError: a run of the study or its test is missing or damaged.
        ParameterError: the reference is not one of the study's losses.
    """
    if params.compare.reference not in params.study.losses:
        raise ParameterError(
            f"compare.reference names '{params.compare.reference}', which is not in study.losses "
            f"({', '.join(params.study.losses)}); name one of these."
        )
    runs = read_all(params, models, evaluations)
    early = min(EARLY_EPOCHS, *(len(run.validation) for run in runs))
    losses = [_loss_row(name, _of(runs, name), early, params) for name in params.study.losses]
    differences = list(_difference_rows(params, runs, early))
    summary = _summary(losses, differences, early, runs[0].chance)
    summary["accident_runs"] = sum(bool(run.accidents) for run in runs)
    _write(Path(out) / "runs.csv", [_run_row(run, early, params.compare.thresholds) for run in runs])
    _write(Path(out) / "curves.csv", list(_curve_rows(runs, params.compare.confidence)))
    _write(Path(out) / "losses.csv", losses)
    _write(Path(out) / "folds.csv", list(_fold_rows(params, runs)))
    _write(Path(out) / "time_to_accuracy.csv", list(_time_rows(params, runs)))
    _write(Path(out) / "differences.csv", differences, DIFFERENCE_COLUMNS)
    _write(Path(out) / "steps.csv", list(_step_rows(params, runs)), STEP_COLUMNS)
    write_json(Path(out) / "summary.json", summary)
    write_json(Path(out) / "metrics.json", _metrics(losses, differences, early))
    _write(Path(out) / "training.csv", list(_training_rows(runs)))
    for run in runs:
        name = f"{run.loss}, seed {run.seed}" + (f", fold {run.fold}" if len(params.study.folds) > 1 else "")
        for accident in run.accidents:
            logger.warning("%s: %s from epoch %d; %s", name, *map(accident.get, ("kind", "first_epoch", "remedy")))
        if run.collapse_epoch is not None:
            logger.warning("%s: collapsed to chance in epoch %d", name, run.collapse_epoch)
    for row in losses:
        jobs = f"{row['seeds']} seed{'s' * (row['seeds'] > 1)}" + (
            f", {row['folds']} folds" if row["folds"] > 1 else ""
        )
        logger.info("%s: test accuracy %s (%s)", row["loss"], _shown(row), jobs)


def _of(runs: list[Run], loss: str) -> list[Run]:
    return [run for run in runs if run.loss == loss]


def _shown(row: dict) -> str:
    if row["test_low"] is None:
        return f"{100 * row['test_mean']:.1f} %"
    return f"{100 * row['test_mean']:.1f} % [{100 * row['test_low']:.1f}, {100 * row['test_high']:.1f}]"


def _plain(value: object) -> object:
    """Round to six digits: enough for any figure, and equal across processors that differ in the last bits."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _write(path: Path, rows: list[dict], header: Sequence[str] | None = None) -> None:
    columns = list(header or rows[0])
    write_csv(path, columns, [[_plain(row[column]) for column in columns] for row in rows])


def _run_row(run: Run, early: int, thresholds: list[float]) -> dict:
    return {
        "loss": run.loss,
        "seed": run.seed,
        "fold": run.fold,
        "epochs": len(run.validation),
        "best_epoch": run.best_epoch,
        "best_validation": run.best,
        "final_validation": run.final,
        "final_training": float(run.training[-1]),
        "early_validation": run.early(early),
        "test": run.test,
        "test_heard": run.metrics["accuracy_heard"],
        "test_unheard": run.metrics["accuracy_unheard"],
        "hidden_spikes": float(run.history["hidden_spikes"][run.best_epoch - 1]),
        "largest_floored_fraction": float(run.history["floored_fraction"].max()),
        "collapse_epoch": run.collapse_epoch,
        "accident": "; ".join(f"{one['kind']} from epoch {one['first_epoch']}" for one in run.accidents) or None,
        "duration_s": run.summary["duration_s"],
        "ms_per_sample": run.summary["ms_per_sample"],
        **{f"epochs_to_{threshold:g}": run.epochs_to(threshold) for threshold in thresholds},
    }


def _curve_rows(runs: list[Run], confidence: float) -> Iterator[dict]:
    for loss in dict.fromkeys(run.loss for run in runs):
        same = _of(runs, loss)
        for epoch in range(1, max(len(run.validation) for run in same) + 1):
            # a shorter run leaves the mean when it ends: `runs` tells how many the mean stands on
            going = [run for run in same if len(run.validation) >= epoch]
            by_seed: dict[int, list[float]] = {run.seed: [] for run in going}
            for run in going:
                by_seed[run.seed].append(run.validation[epoch - 1])
            result = estimate([float(np.mean(values)) for values in by_seed.values()], confidence, FRACTION)
            yield {
                "loss": loss,
                "epoch": epoch,
                "mean": result.mean,
                "low": result.low,
                "high": result.high,
                "runs": len(going),
                "collapsed": sum(run.collapse_epoch is not None and run.collapse_epoch <= epoch for run in going),
                "training_mean": float(np.mean([run.training[epoch - 1] for run in going])),
            }


def _measures(run: Run, early: int) -> dict[str, float | None]:
    return {
        "best_validation": run.best,
        "final_validation": run.final,
        "early_validation": run.early(early),
        "test": run.test,
        "test_heard": run.metrics["accuracy_heard"],
        "test_unheard": run.metrics["accuracy_unheard"],
    }


def _loss_row(loss: str, runs: list[Run], early: int, params: Params) -> dict:
    measured = [_measures(run, early) for run in runs]
    seeds, folds = len(params.study.seeds), len(params.study.folds)
    row: dict = {"loss": loss, "runs": len(runs), "seeds": seeds, "folds": folds}
    reasons: dict[str, list[str]] = {}
    for name in measured[0]:
        means = means_of([values[name] for values in measured], folds)
        result = estimate(means, params.compare.confidence, FRACTION)
        row |= {f"{name}_mean": result.mean, f"{name}_sd": result.sd}
        row |= {f"{name}_low": result.low, f"{name}_high": result.high}
        if result.reason:
            reasons.setdefault(result.reason, []).append(name)
    over_folds = estimate(_by_fold([run.best for run in runs], folds), params.compare.confidence)
    row["best_validation_sd_over_folds"] = over_folds.sd
    row["best_epoch_mean"] = float(np.mean([run.best_epoch for run in runs]))
    row["collapsed"] = sum(run.collapse_epoch is not None for run in runs)
    for name in STANDING:
        left = means_of([values[name] for values in _unless_collapsed(runs, measured)], folds)
        result = estimate(left if row["collapsed"] else [], params.compare.confidence)
        row[f"{name}_mean_without_collapsed"] = result.mean
    if row["collapsed"] == len(runs):
        reasons["every run collapsed"] = ["without_collapsed"]
    row["reason"] = _listed(reasons)
    return row


def _listed(reasons: dict[str, list[str]]) -> str | None:
    """Return why intervals are unknown, each reason with the measures it is of."""
    return "; ".join(f"{reason} ({', '.join(names)})" for reason, names in reasons.items()) or None


def _unless_collapsed(runs: list[Run], measured: list[dict]) -> list[dict]:
    """Return what was measured of each run, unknown if it collapsed."""
    return [
        values if run.collapse_epoch is None else dict.fromkeys(values)
        for run, values in zip(runs, measured, strict=True)
    ]


def _by_fold(values: Sequence[float | None], folds: int) -> list[float | None]:
    """Return the mean over seeds of each fold's values, which come in the order of seeds and folds."""
    return [mean for fold in range(folds) for mean in means_of(values[fold::folds], len(values))]


def _fold_rows(params: Params, runs: list[Run]) -> Iterator[dict]:
    """Yield what each fold reaches, mean and standard deviation over seeds."""
    confidence, reference = params.compare.confidence, _of(runs, params.compare.reference)
    for loss in params.study.losses:
        for fold in params.study.folds:
            same, other = ([run for run in group if run.fold == fold] for group in (_of(runs, loss), reference))
            best = estimate([run.best for run in same], confidence)
            difference = estimate(differences_of([run.best for run in same], [run.best for run in other]), confidence)
            yield {
                "loss": loss,
                "fold": fold,
                "runs": len(same),
                "best_validation_mean": best.mean,
                "best_validation_sd": best.sd,
                "minus_reference_mean": difference.mean,
                "minus_reference_sd": difference.sd,
                "test_mean": estimate([run.test for run in same], confidence).mean,
                "best_epoch_mean": float(np.mean([run.best_epoch for run in same])),
            }


def _time_rows(params: Params, runs: list[Run]) -> Iterator[dict]:
    for loss in params.study.losses:
        for threshold in params.compare.thresholds:
            epochs = [run.epochs_to(threshold) for run in _of(runs, loss)]
            reached = sum(epoch is not None for epoch in epochs)
            possible = (1.0, float(max(len(run.validation) for run in _of(runs, loss))))
            result = estimate(means_of(epochs, len(params.study.folds)), params.compare.confidence, possible)
            reason = result.reason if reached else "no run reached it"
            # a run that never gets there counts as infinitely late; the median bears that, the mean cannot
            median = float(np.median([math.inf if epoch is None else epoch for epoch in epochs]))
            yield {
                "loss": loss,
                "threshold": threshold,
                "runs": len(epochs),
                "reached": reached,
                "never": len(epochs) - reached,
                "median_epoch": median if math.isfinite(median) else None,
                "mean_epoch_of_reached": result.mean,
                "low": result.low,
                "high": result.high,
                "reason": reason,
            }


DIFFERENCE_COLUMNS = (
    "loss", "reference", "measure", "unit", "pairs", "left_out", "mean", "sd", "low", "high", "p", "detectable",
    "verdict", "reason", "low_over_folds", "high_over_folds",
    "mean_without_collapsed", "low_without_collapsed", "high_without_collapsed",
)  # fmt: skip
"""``pairs`` counts seeds, ``left_out`` pairs of runs; ``_over_folds`` bound the mean over folds, empty with one fold.

``_without_collapsed`` leave out pairs of which a run collapsed, and are empty where none did.
"""


def _difference_rows(params: Params, runs: list[Run], early: int) -> Iterator[dict]:
    reference, folds = _of(runs, params.compare.reference), len(params.study.folds)
    for loss in params.study.losses:
        if loss == params.compare.reference:
            continue
        own = _of(runs, loss)
        tables, references = (
            [_compared(run, early, params.compare.thresholds) for run in group] for group in (own, reference)
        )
        standing = [_unless_collapsed(*group) for group in ((own, tables), (reference, references))]
        collapsed = any(run.collapse_epoch is not None for run in [*own, *reference])
        longest = max(len(run.validation) for run in [*own, *reference]) - 1.0
        for measure in tables[0]:
            unit = "epochs" if measure.startswith("epochs_to_") else "fraction"
            possible = DIFFERENCE if unit == "fraction" else (-longest, longest)
            values, others = ([table[measure] for table in group] for group in (tables, references))
            apart = differences_of(values, others)
            result = paired(values, others, params.compare.confidence, folds, possible)
            over_folds = paired(_by_fold(apart, folds), [0.0] * folds, params.compare.confidence, 1, possible)
            left, other_left = ([values[measure] for values in group] if collapsed else [] for group in standing)
            without = paired(left, other_left, params.compare.confidence, folds, possible)
            yield {
                "loss": loss,
                "reference": params.compare.reference,
                "measure": measure,
                "unit": unit,
                "pairs": result.n,
                "left_out": apart.count(None),
                **{name: getattr(result, name) for name in DIFFERENCE_COLUMNS[6:14]},
                "low_over_folds": over_folds.low,
                "high_over_folds": over_folds.high,
                **{f"{name}_without_collapsed": getattr(without, name) for name in ("mean", "low", "high")},
            }


STEP_COLUMNS = (
    "loss", "step_ms", "dead_time", "trained", "runs",
    *(f"{name}_{of}" for name in STEP_MEASURES for of in ("mean", "low", "high")), "reason",
)  # fmt: skip
"""``dead_time`` is one of `records.metrics.DEAD_TIMES`; ``trained`` is 1 at the step of the training, else 0; without
tests at other steps the table has no row."""


def _step_rows(params: Params, runs: list[Run]) -> Iterator[dict]:
    """Yield what a loss's networks do at each time step of the test: accuracy, spikes, predictions that stay."""
    for loss in params.study.losses:
        same = _of(runs, loss)
        for place, (step_ms, dead_time) in enumerate(same[0].grids):
            row = {"loss": loss, "step_ms": step_ms, "dead_time": dead_time}
            row |= {"trained": int(step_ms == same[0].metrics["step_ms"]), "runs": len(same)}
            reasons: dict[str, list[str]] = {}
            for name, possible in STEP_MEASURES.items():
                means = means_of([run.metrics["steps"][place][name] for run in same], len(params.study.folds))
                result = estimate(means, params.compare.confidence, possible)
                row |= {f"{name}_{of}": getattr(result, of) for of in ("mean", "low", "high")}
                if result.reason:
                    reasons.setdefault(result.reason, []).append(name)
            yield row | {"reason": _listed(reasons)}


def _compared(run: Run, early: int, thresholds: list[float]) -> dict[str, float | None]:
    return _measures(run, early) | {f"epochs_to_{threshold:g}": run.epochs_to(threshold) for threshold in thresholds}


def _summary(losses: list[dict], differences: list[dict], early: int, chance: float) -> dict:
    """Return flat numbers; an unknown one is left out."""
    numbers = [("chance", chance), ("early_epochs", early), ("collapsed_runs", sum(row["collapsed"] for row in losses))]
    for row in losses:
        for measure in ("test", "test_heard", "test_unheard", "best_validation", "early_validation"):
            numbers.append((f"{measure}_{row['loss']}", row[f"{measure}_mean"]))
    for row in differences:
        if row["unit"] == "fraction":
            numbers.append((f"{row['measure']}_{row['loss']}_minus_{row['reference']}", row["mean"]))
    for name, times in Counter(name for name, _ in numbers).items():
        if times > 1:
            raise ParameterError(
                f"The names of losses give two numbers of summary.json the name {name}; rename a loss in study.losses "
                "and shape."
            )
    return {name: _plain(value) for name, value in numbers if value is not None}


def _metrics(losses: list[dict], differences: list[dict], early: int) -> dict:
    """Return the few numbers by which a person compares two studies, each by loss.

    An unknown one is left out, since `dvc metrics diff` compares numbers only.
    """
    by_loss = {
        "test": {row["loss"]: row["test_mean"] for row in losses},
        "validation": {row["loss"]: row["best_validation_mean"] for row in losses},
        f"validation_first_{early}_epochs": {row["loss"]: row["early_validation_mean"] for row in losses},
    }
    for row in differences:
        if row["measure"] == "test":
            by_loss.setdefault(f"test_minus_{row['reference']}", {})[row["loss"]] = row["mean"]
    return {
        measure: {loss: _plain(value) for loss, value in values.items() if value is not None}
        for measure, values in by_loss.items()
    }


def _training_rows(runs: list[Run]) -> Iterator[dict]:
    """Yield an epoch of a run each: `dvc plots` draws all runs into one plot out of one file only."""
    for run in runs:
        for epoch, accuracy in enumerate(run.validation, 1):
            yield {
                "loss": run.loss,
                "seed": run.seed,
                "fold": run.fold,
                "epoch": epoch,
                "validation_accuracy": float(accuracy),
            }

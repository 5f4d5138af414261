"""Stage `tune`: look for better parameters of one loss, by the accuracy on samples held out.

A trial is a training for each of `tune.seeds` and each fold of the study, with values drawn from `tune.space`; its
result is the mean validation accuracy of the epochs that `train.select` keeps. The test split cannot be read here. The
search stands in one file (:mod:`eventspeech.learning.search`), which outlives an interruption and which several
processes, also of several machines, may share: each is this same command. A training that was interrupted goes on from
its checkpoint beside that file.
"""

import hashlib
import itertools
import json
import logging
import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pydantic

from eventspeech import __version__, machine, seeds
from eventspeech.data import augmentation, store
from eventspeech.errors import ParameterError, UserError
from eventspeech.files import sha256
from eventspeech.learning import checkpoint
from eventspeech.learning.folds import split
from eventspeech.learning.search.trials import (
    COMPLETE,
    FAILING,
    LEAST_FOR_IMPORTANCE,
    PRUNED,
    Claimed,
    Overtaken,
    Run,
    Search,
    Trial,
    best_of,
    holds,
)
from eventspeech.learning.search.workers import Workers
from eventspeech.learning.trainer import Diverged, Trainer
from eventspeech.params import Params, Tune, select
from eventspeech.params.refusals import sentence
from eventspeech.progress import clock
from eventspeech.records import tuning
from eventspeech.stages.train import course
from eventspeech.workflow import lines

logger = logging.getLogger("eventspeech")

MOST_CORNERS = 256
"""Combinations of the ranges' ends that are looked at before any work; of more, as many."""

POLL_S = 1.0
"""Time between two looks at what other workers do."""


class Outputs(NamedTuple):
    """Files of a search; the storage and the checkpoints beside it are kept for the next run, and are no results."""

    trials: Path
    curves: Path
    best: Path
    summary: Path
    storage: Path


class _GivenUp(Exception):
    """The trial is to be given up."""


def tune(params: Params, loss: str, spikes: Path, outputs: Outputs, workers: int | None = None) -> None:
    """Try `tune.trials` sets of values, and write all trials, their curves, the best values and a summary.

    Args:
        params: all parameters; what `tune` reads of them decides the result, and nothing else does.
        loss: one of ``tune.losses``.
        spikes: training split.
        outputs: files to write. A storage of this very search is taken up.
        workers: processes that try at a time; default ``tune.workers``.

    Raises:
        ParameterError: the loss is not tuned, or a corner of the space is impossible.
        DataError: the split cannot be read, or the storage is damaged or of another search.
        UserError: every trial failed, or the engine cannot be had.
    """
    if loss not in params.tune.losses:
        raise ParameterError(
            f"'{loss}' is not in tune.losses ({', '.join(params.tune.losses) or 'empty'}); add it there."
        )
    _require_corners(params, loss)
    number = params.tune.workers if workers is None else workers
    with Workers(outputs.storage) as among:
        job = _Job(params, loss, spikes, outputs.storage, among)
        logger.info("%s  %d trials, %d of them over", job.name, params.tune.trials, len(job.search.trials()))
        if number == 1:
            job.work()
        elif not job.search.over():
            _work_in_processes(job, number)
        trials, importance = job.search.trials(), job.search.importance()
    best = best_of(trials)
    if best is None:
        reason = next((trial.remark for trial in trials if trial.remark), "none was finished")
        raise UserError(f"No trial of {loss} came to an end ({reason.rstrip('.')}); change tune.space.")
    _write(params, loss, outputs, trials, best, importance, job.start)
    logger.info("%s", _found(loss, trials, best, job.start))


class _Job:
    """What a worker needs: the samples, and the search that it takes trials from."""

    def __init__(self, params: Params, loss: str, spikes: Path, storage: Path, among: Workers) -> None:
        self.name = f"tune {loss}"
        self._params, self._loss, self._spikes, self._storage = params, loss, spikes, storage
        self._space = params.tune.of(loss)
        samples = store.load(spikes)
        self._parts = {fold: split(params, samples, fold) for fold in params.study.folds}
        self._made_of = _made_of(params, loss, spikes)
        values = {key: params.value(loss, key) for key in self._space}
        self.start = values if all(holds(one, values[key]) for key, one in self._space.items()) else None
        for learned, _ in self._parts.values():
            augmentation.require_partners(params.for_loss(loss).augmentation, learned.labels, learned.class_names)
        self.search = Search(params.tune, self._space, self.start, self._made_of, storage, among)

    def work(self) -> None:
        """Take trials until all are over; wait for those of others, which may die."""
        while True:
            self.search.give_back_of_dead()
            trial = self.search.claim()
            if trial is not None:
                self._try(trial)
            elif self.search.over():
                return
            else:
                time.sleep(POLL_S)

    def _try(self, trial: Claimed) -> None:
        try:
            self.search.finish(trial, self._tried(trial))
        except Overtaken:
            logger.info("%s  trial %d: another worker was faster", self.name, trial.number)
        self._checkpoint(trial).unlink(missing_ok=True)
        if multiprocessing.parent_process() is None:
            _tell(self.name, self.search.trials(), trial.number, self._params.tune)

    def _tried(self, trial: Claimed) -> str:
        """Train for all seeds and folds; return what came of it."""
        try:
            params = self._with(trial.values)
            for seed, fold in itertools.product(self._params.tune.seeds, self._params.study.folds):
                if (seed, fold) not in [(run.seed, run.fold) for run in trial.runs]:
                    trial.keep(self._train(trial, params, seed, fold))
        except _GivenUp:
            return PRUNED
        except (Diverged, ParameterError) as error:
            trial.fail(str(error))
            return FAILING
        return COMPLETE

    def task(self) -> tuple[Params, str, Path, Path]:
        """Return what another process needs to be the same worker."""
        return self._params, self._loss, self._spikes, self._storage

    def tell_of_others(self, known: set[int]) -> set[int]:
        """Tell of the trials that are over and not known; return their numbers."""
        trials = self.search.trials()
        new = sorted({trial.number for trial in trials} - known)
        for number in new:
            _tell(self.name, trials, number, self._params.tune)
        return set(new)

    def _with(self, values: dict[str, Any]) -> Params:
        """Return the parameters of a trial."""
        try:
            found = self._params.with_values(self._loss, values)
        except pydantic.ValidationError as error:
            raise ParameterError(sentence(error.errors()[0], Params) + ".") from error
        epochs = self._params.tune.epochs or found.train.epochs
        return found.model_copy(update={"train": found.train.model_copy(update={"epochs": epochs})})

    def _train(self, trial: Claimed, params: Params, seed: int, fold: str) -> Run:
        learned, held_out = self._parts[fold]
        trainer = Trainer(params, self._loss, seed, learned)
        progress = checkpoint.Progress(params.train.select)
        # a worker with other kernels begins such a training anew, since it would end in other bits
        made_of = [self._made_of, trial.values, seed, fold, checkpoint.kernels_of(trainer)]
        fingerprint = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
        path, epochs = self._checkpoint(trial), params.train.epochs
        checkpoint.resume(path, fingerprint, trainer, progress, epochs)
        # only the first training is told: a mean of several is there when all but nothing of the cost is left
        first = not trial.runs
        if first and progress.rows:  # whoever was interrupted may have been about to give it up
            self._judge(trial, progress, seed, fold)
        name = f"{self.name}  trial {trial.number}" + (f", seed {seed}, {fold}" if self._of_many() else "")
        for number in course(params.train, name, trainer, progress, trainer.for_validation(held_out)):
            if number < epochs:
                checkpoint.save(path, fingerprint, trainer, progress)
            if first:
                self._judge(trial, progress, seed, fold, number == epochs)
            _require_parent()
        return _run(progress, seed, fold)

    @staticmethod
    def _judge(trial: Claimed, progress: checkpoint.Progress, seed: int, fold: str, last: bool = False) -> None:
        """Tell how well the first training does; give the trial up if others did better by then."""
        if trial.hopeless(len(progress.rows), progress.best_row().validation_accuracy) and not last:
            trial.give_up(_run(progress, seed, fold))
            raise _GivenUp

    def _of_many(self) -> bool:
        return len(self._params.tune.seeds) * len(self._parts) > 1

    def _checkpoint(self, trial: Claimed) -> Path:
        return self._storage.with_name(f"{self._storage.stem}-{trial.number}.npz")


def _run(progress: checkpoint.Progress, seed: int, fold: str) -> Run:
    kept, rows = progress.best_row(), progress.rows
    duration_s = round(sum(row.training_s + row.validation_s for row in rows), 3)
    curve = [row.validation_accuracy for row in rows]
    return Run(seed, fold, kept.validation_accuracy, kept.validation_loss, curve, duration_s)


def _made_of(params: Params, loss: str, spikes: Path) -> dict[str, str]:
    """Return all that decides what a search finds, but for how long it goes on."""
    read = select(params, "tune", loss)
    del read["tune.trials"]
    read["tune.space"] = {
        key: one.model_dump(mode="json", exclude={"losses"}) for key, one in params.tune.of(loss).items()
    }
    found = dict(line.split(" = ", 1) for line in lines(read))
    return {"eventspeech": __version__, "data": sha256(spikes), **found}


def _require_corners(params: Params, loss: str) -> None:
    """Refuse ranges whose ends do not go together, as many copies of a channel and long times between them.

    Raises:
        ParameterError: names one such combination.
    """
    space = params.tune.of(loss)
    ends = [one.ends() for one in space.values()]
    corners: Iterable[Sequence[Any]] = itertools.product(*ends)
    if math.prod(map(len, ends)) > MOST_CORNERS:
        draws = seeds.generator(0, "corners")
        corners = ([values[draws.integers(len(values))] for values in ends] for _ in range(MOST_CORNERS))
    for corner in corners:
        values = dict(zip(space, corner, strict=True))
        try:
            params.with_values(loss, values)
        except pydantic.ValidationError as error:
            told = ", ".join(f"{key} = {value}" for key, value in values.items())
            raise ParameterError(
                f"tune.space leads to {told} of the loss {loss}, but {sentence(error.errors()[0], Params)}."
            ) from error


# --- several workers -------------------------------------------------------------------------------------------------


def _work_in_processes(job: _Job, number: int) -> None:
    """Let ``number`` processes take trials, and tell of each that is over.

    Raises:
        UserError: one of them could not go on.
    """
    context = multiprocessing.get_context("spawn")  # threads of this process would not survive a fork
    errors: Any = context.SimpleQueue()
    threads = max(1, machine.threads() // number)
    processes = [context.Process(target=_work, args=(job.task(), threads, errors), daemon=True) for _ in range(number)]
    known = {trial.number for trial in job.search.trials()}
    try:
        for process in processes:
            process.start()
        while running := [process.sentinel for process in processes if process.is_alive()]:
            multiprocessing.connection.wait(running, POLL_S)
            known |= job.tell_of_others(known)
            if not errors.empty():
                raise UserError(errors.get())
            if any(process.exitcode for process in processes):
                raise UserError(
                    "A worker ended without a word, as when memory runs out; run the same command to go on, with fewer "
                    "workers (tune.workers)."
                )
        job.tell_of_others(known)
    finally:
        for process in processes:
            process.terminate()


def _work(task: tuple[Params, str, Path, Path], threads: int, errors: Any) -> None:
    """Work in a process of its own; what a user can mend goes to the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other one ends this one
    os.environ["OMP_NUM_THREADS"] = str(threads)
    params, loss, spikes, storage = task
    try:
        with Workers(storage) as among:
            _Job(params, loss, spikes, storage, among).work()
    except UserError as error:
        errors.put(str(error))


def _require_parent() -> None:
    """End a worker whose starter was killed: nobody would know of it."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise SystemExit(1)


# --- what is told and written ----------------------------------------------------------------------------------------


def _tell(name: str, trials: list[Trial], number: int, settings: Tune) -> None:
    """Say what came of a trial, how good the best is, and how long the others will take."""
    trial, best = next(one for one in trials if one.number == number), best_of(trials)
    came = {PRUNED: f"given up after epoch {trial.epochs}", FAILING: f"failed ({trial.remark.rstrip('.')})"}
    came[COMPLETE] = _percent(trial.accuracy)
    left_s = sum(one.duration_s for one in trials) / len(trials) * (settings.trials - len(trials)) / settings.workers
    far = f"{len(trials)} of {settings.trials}" + (f", best {_percent(best.accuracy)}" if best else "")
    logger.info("%s  trial %d: %s; %s, %s left", name, number, came[trial.state], far, clock(left_s))


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.1f} %"


def _found(loss: str, trials: list[Trial], best: Trial, start: dict[str, Any] | None) -> str:
    """Return what was found, in one line."""
    counts = {state: sum(trial.state == state for trial in trials) for state in (PRUNED, FAILING)}
    words = {PRUNED: "given up early", FAILING: "failed"}
    aside = ", ".join(f"{count} {words[state]}" for state, count in counts.items() if count)
    stands = f", {_percent(trials[0].accuracy)} as the file stands" if start and trials[0].accuracy is not None else ""
    values = ", ".join(f"{key} = {json.dumps(value)}" for key, value in best.values.items())
    many = f"{len(trials)} trials" + (f" ({aside})" if aside else "")
    return f"{loss}: trial {best.number} of {many}: validation accuracy {_percent(best.accuracy)}{stands}; {values}"


def _write(
    params: Params, loss: str, outputs: Outputs, trials: list[Trial], best: Trial,
    importance: dict[str, float] | None, start: dict[str, Any] | None,
) -> None:  # fmt: skip
    keys = list(params.tune.of(loss))
    rows = [
        tuning.TrialRow(one.number, one.state, one.accuracy, one.epochs, round(one.duration_s, 3), one.remark)
        for one in trials
    ]
    tuning.write_trials(outputs.trials, rows, keys, [one.values for one in trials])
    tuning.write_curves(
        outputs.curves,
        [
            tuning.CurveRow(one.number, run.seed, run.fold, epoch, accuracy)
            for one in trials
            for run in one.runs
            for epoch, accuracy in enumerate(run.curve, 1)
        ],
    )
    found = _found(loss, trials, best, start)
    tuning.write_overlay(outputs.best, loss, best.values, f"Found by `eventspeech tune` for {found}")
    why = f"fewer than {LEAST_FOR_IMPORTANCE} trials were completed, or all found the same"
    tuning.write_summary(
        outputs.summary,
        {
            "loss": loss,
            "trials": len(trials),
            **{state: sum(one.state == state for one in trials) for state in tuning.STATES},
            "seeds": params.tune.seeds,
            "folds": params.study.folds,
            "epochs": sum(one.epochs for one in trials),
            "duration_s": round(sum(one.duration_s for one in trials), 3),
            "best_trial": best.number,
            "best_validation_accuracy": best.accuracy,
            "validation_accuracy_as_it_stands": trials[0].accuracy if start else None,
            "best": best.values,
            "importance": importance,
            "importance_reason": None if importance else why,
            "machine": machine.facts(),
        },
    )

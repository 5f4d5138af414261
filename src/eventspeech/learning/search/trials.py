"""The trials of a search: which one is next, with which values, when one is given up, and what came of it.

Optuna draws the values (TPE) and keeps the trials; the number of a trial decides its draws, so that one worker finds
the same with any number of interruptions. All trials of a search wait in its file from the start: a worker takes the
first that waits. A trial whose worker died waits again, under its number and with its values, so that none is lost
and none counted twice. A worker that was wrongly taken for dead finishes a trial that another has begun again; who is
first counts, and both found the same.
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from eventspeech.errors import DataError
from eventspeech.learning.search.journal import Journal
from eventspeech.learning.search.workers import Workers
from eventspeech.params import Range, Tune
from eventspeech.params.tune import rounded
from eventspeech.seeds import derive_seed

logger = logging.getLogger("eventspeech")

NAME = "eventspeech tune"
MADE_OF, WORKER, VALUES, FAILED, RUN, GIVEN_UP = "made_of", "worker", "values", "failed", "run ", "given up"
LEAST_FOR_IMPORTANCE = 4
"""Completed trials without which nothing can be said of importance."""

COMPLETE, PRUNED, FAILING = "complete", "pruned", "failed"


class Run(NamedTuple):
    """One training of a trial.

    Attributes:
        seed, fold: of it.
        accuracy: in validation, of the epoch that was kept.
        loss: in validation, of that epoch.
        curve: validation accuracy of each epoch.
        duration_s: of all epochs.
    """

    seed: int
    fold: str
    accuracy: float
    loss: float
    curve: list[float]
    duration_s: float


class Trial(NamedTuple):
    """A trial that is over.

    Attributes:
        number: from 0.
        state: complete, pruned (given up) or failed.
        values: key to value; empty if the trial could not begin.
        runs: its trainings; of a pruned trial the one it was given up in.
        remark: why it failed.
    """

    number: int
    state: str
    values: dict[str, Any]
    runs: list[Run]
    remark: str

    @property
    def accuracy(self) -> float | None:
        """Mean validation accuracy of a complete trial."""
        return sum(run.accuracy for run in self.runs) / len(self.runs) if self.state == COMPLETE else None

    @property
    def epochs(self) -> int:
        """Epochs of all its trainings."""
        return sum(len(run.curve) for run in self.runs)

    @property
    def duration_s(self) -> float:
        """Time of all its epochs."""
        return sum(run.duration_s for run in self.runs)


class Overtaken(Exception):
    """Another worker has finished the trial that this one is at."""


class Claimed:
    """A trial that this worker is at; whatever is told of it raises :class:`Overtaken` where another was faster.

    Attributes:
        number: of the trial.
        values: key to value, drawn or, of a trial that was interrupted, drawn before.
        runs: trainings that are over, those of an interrupted worker among them.
        given_up: the training in which it was given up.
    """

    def __init__(self, trial: optuna.Trial, values: dict[str, Any], frozen: FrozenTrial) -> None:
        self._trial, self._told = trial, set(frozen.intermediate_values)
        self.number, self.values, self.runs = trial.number, values, _runs(frozen)
        self.given_up: Run | None = None
        trial.set_user_attr(VALUES, values)

    def hopeless(self, epoch: int, accuracy: float) -> bool:
        """Tell the accuracy so far of the first training; return whether the trial is to be given up."""
        if epoch not in self._told:
            with _unless_overtaken():
                self._trial.report(accuracy, epoch)
            self._told.add(epoch)
        return self._trial.should_prune()

    def keep(self, run: Run) -> None:
        """Keep a training that is over, whatever becomes of the others."""
        self._set(f"{RUN}{run.seed}/{run.fold}", run._asdict())
        self.runs.append(run)

    def give_up(self, run: Run) -> None:
        """Keep the training in which a trial is given up."""
        self._set(GIVEN_UP, run._asdict())
        self.given_up = run

    def fail(self, sentence: str) -> None:
        """Keep why the trial came to nothing."""
        self._set(FAILED, sentence)

    def _set(self, name: str, value: Any) -> None:
        with _unless_overtaken():
            self._trial.set_user_attr(name, value)


@contextlib.contextmanager
def _unless_overtaken() -> Iterator[None]:
    try:
        yield
    except UpdateFinishedTrialError as error:
        raise Overtaken from error


class Search:
    """A search of one loss, kept in a file.

    Args:
        settings: `tune` of the parameter file.
        space: key to range, what is looked for.
        start: the file's own values, which the first trial has; ``None`` if they lie outside of the ranges.
        made_of: what a search is made of, name to text; another search's file is refused.
        storage: the journal.
        workers: this process among the others.

    Raises:
        DataError: the file is damaged or belongs to another search.
    """

    def __init__(
        self, settings: Tune, space: dict[str, Range], start: dict[str, Any] | None, made_of: dict[str, str],
        storage: Path, workers: Workers,
    ) -> None:  # fmt: skip
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._settings, self._space, self._start, self._workers = settings, space, start, workers
        self._path = storage
        journal = Journal(storage)
        try:
            self._storage = optuna.storages.JournalStorage(journal)
            study = self._open(made_of)
            self._id = self._storage.get_study_id_from_name(NAME)
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DataError(
                f"{storage} is no journal of a search ({type(error).__name__}); move it away to begin anew."
            ) from error
        for _ in range(settings.trials - len(study.get_trials(deepcopy=False))):
            study.enqueue_trial({})

    def _open(self, made_of: dict[str, str]) -> optuna.Study:
        names = [study.study_name for study in self._storage.get_all_studies()]
        if names not in ([], [NAME]):
            raise DataError(f"{self._path} holds a study of another program; choose another path.")
        if names:
            study = optuna.load_study(storage=self._storage, study_name=NAME)
        else:  # another process may have been faster
            study = optuna.create_study(
                storage=self._storage, study_name=NAME, direction="maximize", load_if_exists=True
            )
        known = study.user_attrs.get(MADE_OF)
        if known is None:
            study.set_user_attr(MADE_OF, made_of)
        elif known != made_of:
            over = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
            raise DataError(
                f"{self._path} holds trials of another search, {over} of them over ({_difference(known, made_of)}); "
                "move it away or delete it to begin anew, or put that back to go on."
            )
        return study

    def claim(self) -> Claimed | None:
        """Take the first trial that waits; ``None`` if none does."""
        for waiting in self._of_budget(TrialState.WAITING):
            number = self._storage.get_trial_id_from_study_id_trial_number(self._id, waiting.number)
            self._storage.set_trial_user_attr(number, WORKER, self._workers.me)
            try:
                if self._storage.set_trial_state_values(number, TrialState.RUNNING):
                    self._storage.set_trial_user_attr(number, WORKER, self._workers.me)  # others may have tried as well
                    return self._begun(waiting.number, number)
            except UpdateFinishedTrialError:
                continue
        return None

    def _begun(self, number: int, identity: int) -> Claimed:
        settings = self._settings
        seed = derive_seed(settings.seed, "tune", number) % 2**32
        sampler = optuna.samplers.TPESampler(n_startup_trials=settings.startup_trials, seed=seed)
        pruner = {
            "none": optuna.pruners.NopPruner(),
            "median": optuna.pruners.MedianPruner(settings.startup_trials, settings.warmup_epochs + 1),
        }[settings.prune]
        # a new one for each trial: a study remembers the trials that it has once shown to a sampler
        study = optuna.load_study(storage=self._storage, study_name=NAME, sampler=sampler, pruner=pruner)
        frozen = self._storage.get_trial(identity)
        first = self._start if number == 0 else None
        for key, value in (first or {}).items():
            if key not in frozen.params:
                distribution = _distribution(self._space[key])
                told = json.dumps(value) if isinstance(distribution, CategoricalDistribution) else value
                self._storage.set_trial_param(identity, key, distribution.to_internal_repr(told), distribution)
        trial = optuna.Trial(study, identity)
        return Claimed(trial, first or {key: _drawn(trial, key, one) for key, one in self._space.items()}, frozen)

    def finish(self, trial: Claimed, state: str) -> None:
        """Write down what came of a trial; a failed one counts as an accuracy of 0: others keep away from it."""
        value = 0.0
        if state == PRUNED and trial.given_up is not None:
            value = trial.given_up.accuracy
        elif state == COMPLETE:
            value = sum(run.accuracy for run in trial.runs) / len(trial.runs)
        number = self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)
        kept = TrialState.PRUNED if state == PRUNED else TrialState.COMPLETE
        with _unless_overtaken():
            self._storage.set_trial_state_values(number, kept, [value])

    def give_back_of_dead(self) -> None:
        """Let the trials wait again whose workers died."""
        for running in self._of_budget(TrialState.RUNNING):
            worker = str(running.user_attrs.get(WORKER, ""))
            if worker == self._workers.me or not self._workers.lives(worker):
                number = self._storage.get_trial_id_from_study_id_trial_number(self._id, running.number)
                if self._storage.get_trial(number).user_attrs.get(WORKER, "") == worker:
                    logger.info("Trial %d was interrupted and is taken up again", running.number)
                    self._storage.set_trial_state_values(number, TrialState.WAITING)

    def over(self) -> bool:
        """Return whether every trial of the budget is over."""
        return len(self.trials()) == self._settings.trials

    def trials(self) -> list[Trial]:
        """Return the trials that are over, by number."""
        return [_finished(one) for one in self._of_budget(TrialState.COMPLETE, TrialState.PRUNED)]

    def importance(self) -> dict[str, float] | None:
        """Return each key's share in the variance of the accuracy over the space; ``None`` if trials are few or alike.

        fANOVA (Hutter, Hoos & Leyton-Brown 2014) on ranges brought to [0, 1], in their logarithm where that is drawn
        from: the trees of scikit-learn take values less than 1e-7 apart for equal. Shares sum to 1.
        """
        complete = list(self._of_budget(TrialState.COMPLETE))
        if len(complete) < LEAST_FOR_IMPORTANCE or len({trial.value for trial in complete}) < 2:
            return None
        known = optuna.create_study(direction="maximize")
        known.add_trials([_in_unit_ranges(trial, self._space) for trial in complete])
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that are all alike
            found = optuna.importance.get_param_importances(known, evaluator=evaluator)
        return {key: found.get(key, 0.0) for key in self._space}

    def _of_budget(self, *states: TrialState) -> Iterator[FrozenTrial]:
        for trial in self._storage.get_all_trials(self._id, deepcopy=False, states=states):
            if trial.number < self._settings.trials:
                yield trial


def best_of(trials: list[Trial]) -> Trial | None:
    """Return the complete trial of the highest accuracy; of equals that of the lower loss, then the earlier one."""

    def worth(trial: Trial) -> tuple[float, float, int]:
        return trial.accuracy or 0.0, -sum(run.loss for run in trial.runs), -trial.number

    return max((trial for trial in trials if trial.state == COMPLETE), key=worth, default=None)


def holds(one: Range, value: Any) -> bool:
    """Return whether a value lies in a range."""
    if one.values is not None:
        return json.dumps(value) in map(json.dumps, one.values)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high = one.bounds()
    return low <= value <= high and (one.kind != "integer" or (value - low) % (one.step or 1) == 0)


def _distribution(one: Range) -> BaseDistribution:
    if one.values is not None:
        return CategoricalDistribution([json.dumps(value) for value in one.values])
    low, high = one.bounds()
    if one.kind == "integer":
        return IntDistribution(int(low), int(high), step=one.step or 1)
    return FloatDistribution(low, high, log=one.kind == "log")


def _drawn(trial: optuna.Trial, key: str, one: Range) -> Any:
    if one.values is not None:
        return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in one.values]))
    low, high = one.bounds()
    if one.kind == "integer":
        return trial.suggest_int(key, int(low), int(high), step=one.step or 1)
    return rounded(trial.suggest_float(key, low, high, log=one.kind == "log"), one)


def _in_unit_ranges(frozen: FrozenTrial, space: dict[str, Range]) -> FrozenTrial:
    distributions = {
        key: FloatDistribution(0, 1) if one.values is None else _distribution(one) for key, one in space.items()
    }
    params = {
        key: frozen.params[key] if one.values is not None else _unit(one, frozen.params[key])
        for key, one in space.items()
    }
    return optuna.trial.create_trial(params=params, distributions=distributions, value=frozen.value)


def _unit(one: Range, value: float) -> float:
    """Return where in its range a value lies, from 0 to 1."""
    ends = np.array([*one.bounds(), value])
    low, high, at = np.log(ends) if one.kind == "log" else ends
    return float(np.clip((at - low) / (high - low), 0, 1))


def _runs(frozen: FrozenTrial) -> list[Run]:
    return [Run(**found) for key, found in frozen.user_attrs.items() if key.startswith(RUN)]


def _all_runs(frozen: FrozenTrial) -> list[Run]:
    given_up = frozen.user_attrs.get(GIVEN_UP)
    return _runs(frozen) + ([Run(**given_up)] if given_up else [])


def _finished(frozen: FrozenTrial) -> Trial:
    attributes = frozen.user_attrs
    state = PRUNED if frozen.state == TrialState.PRUNED else FAILING if FAILED in attributes else COMPLETE
    return Trial(frozen.number, state, attributes.get(VALUES, {}), _all_runs(frozen), attributes.get(FAILED, ""))


def _difference(known: dict[str, str], wanted: dict[str, str]) -> str:
    """Return in words the first difference between what two searches are made of."""
    key = next(key for key in [*wanted, *known] if known.get(key) != wanted.get(key))
    if key == "data":
        return "of other training samples"
    was, now = (found.get(key, "not there") for found in (known, wanted))
    return f"{key} was {was} and is {now}"

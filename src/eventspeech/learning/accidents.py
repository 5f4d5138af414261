"""Numerical accidents of a training: what is wrong with the numbers of an epoch, whatever its accuracy.

- exploding: a weight of more than 100 thresholds. One spike through it moves the current by that much; trained weights
  are of 0.05 to 5 thresholds.
- silent: the hidden neurons together fired less than once a trial, so that nothing reaches the output.
- saturated: the hidden neurons fired in more than half of the steps in which they could, 500 Hz at steps of 1 ms; then
  they tell nothing of the input, whatever it is.

NaN and infinity are no accidents to live with: :func:`eventspeech.learning.trainer.require_finite` ends the training.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from eventspeech.learning.trainer import Diverged
from eventspeech.network import Connection, Network
from eventspeech.records.history import Row

LARGEST_WEIGHT = 100.0
"""Thresholds."""
SATURATED = 0.5
"""Of the steps in which a neuron can fire."""

RATE = "lower optimiser.learning_rate"
WORDS = {
    "exploding": "a weight is of {value:.3g} thresholds, more than {bound:g}",
    "silent": "the hidden neurons fired {value:.3g} times a neuron and trial, less than {bound:.2g}",
    "saturated": "the hidden neurons fired {value:.4g} times a neuron and trial, more than {bound:g}",
}


class Accident(NamedTuple):
    """An accident of a training.

    Attributes:
        kind: one of :data:`eventspeech.records.run.ACCIDENTS`, see above.
        first_epoch: in which it was found first, from 1.
        epochs: in how many it was found.
        value: in the first of them: the largest weight (thresholds), or hidden spikes per neuron and trial.
        bound: which that passed.
        remedy: the parameter that is likely to mend it, with what to do to it.
    """

    kind: str
    first_epoch: int
    epochs: int
    value: float
    bound: float
    remedy: str

    def words(self) -> str:
        """Say it in a clause, with its numbers."""
        return WORDS[self.kind].format(value=self.value, bound=self.bound)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return self._asdict()


def found(rows: Sequence[Row], network: Network, drawn: Sequence[Connection]) -> list[Accident]:
    """Return the accidents of the epochs so far, one of a kind.

    Args:
        rows: of the epochs, from the first.
        network: that is trained.
        drawn: its connections, with the distributions of their initial weights.
    """
    possible = network.steps / (1 + network.refractory_steps)
    neurons = sum(network.hidden)
    bounds: dict[str, tuple[float, list[float]]] = {
        "exploding": (LARGEST_WEIGHT, [row.largest_weight - LARGEST_WEIGHT for row in rows]),
        "silent": (1 / neurons, [1 / neurons - row.hidden_spikes for row in rows]),
        "saturated": (SATURATED * possible, [row.hidden_spikes - SATURATED * possible for row in rows]),
    }
    accidents = []
    for kind, (bound, beyond) in bounds.items():
        passed = [place for place, excess in enumerate(beyond) if excess > 0]
        if passed:
            row = rows[passed[0]]
            value = row.largest_weight if kind == "exploding" else row.hidden_spikes
            remedy = _remedy(kind, row.epoch, drawn)
            accidents.append(Accident(kind, row.epoch, len(passed), value, bound, remedy))
    return accidents


def _remedy(kind: str, epoch: int, drawn: Sequence[Connection]) -> str:
    """Return what is likely to help: a network that began well was led astray by its steps of learning."""
    if kind == "exploding":
        widest = max(drawn, key=_reach)
        return f"lower network.{_group(widest)}_mean and _sd" if _reach(widest) > LARGEST_WEIGHT else RATE
    if epoch > 1:
        return RATE
    return "raise network.input_mean or input_sd" if kind == "silent" else "lower network.input_mean or input_sd"


def _reach(connection: Connection) -> float:
    """Return how large an initial weight may well be."""
    return abs(connection.mean) + 4 * connection.sd


def _group(connection: Connection) -> str:
    """Return how the parameters of a connection's initial weights begin."""
    before, _, after = connection.name.partition("_")
    if before == "input" or after == "output":
        return before if before == "input" else after
    return "recurrent" if before == after else "hidden"


def require_none(accidents: Sequence[Accident]) -> None:
    """Refuse to go on after an accident.

    Raises:
        Diverged: there is one; says what happened, when, and what is likely to help.
    """
    for one in accidents:
        raise Diverged(
            f"The training met with an accident in epoch {one.first_epoch} ({one.kind}: {one.words()}); {one.remedy}, "
            "or let train.on_accident be mark."
        )

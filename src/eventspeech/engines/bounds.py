"""Nothing reaches compiled code before its numbers are bounded: there they are places in arrays.

Readers of files refuse what is wrong in them, with the file's name; this is the last line, for everything that comes to
an engine, in whatever way. It looks at each number once, without a loop in Python: less than 1 % of a training step.
"""

import numpy as np

from eventspeech.data.batches import Batch
from eventspeech.errors import DataError
from eventspeech.losses import Objective
from eventspeech.network import Network, Weights
from eventspeech.network import check as check_weights

_BATCH_REMEDY = "make the spikes again with `eventspeech preprocess`"


def check(network: Network, weights: Weights, batch: Batch, objective: Objective) -> None:
    """Refuse what an engine of ``network`` cannot be given.

    Args:
        network: it has bounded its own numbers when it was made.
        weights: must have exactly its connections, of its shapes, and be finite.
        batch: offsets that ascend from 0 to the number of events; steps within the trial, ascending within a sample;
            channels of the network's inputs, labels of its outputs; all of the types that :class:`Batch` names.
        objective: for a weighting, a finite number for each step.

    Raises:
        DataError: something is out of its bounds.
    """
    try:
        check_weights(network, weights)
    except ValueError as error:
        raise DataError(f"The network cannot be computed: {error}; train the model again.") from error
    _check_types(batch)
    _check_offsets(batch)
    _check_range("channels", batch.channels, network.inputs)
    _check_range("steps", batch.steps, network.steps)
    _check_range("labels", batch.labels, network.outputs)
    _check_order(batch)
    _check_objective(network, objective)


def _check_types(batch: Batch) -> None:
    kinds = {"offsets": np.int64, "steps": np.int32, "channels": np.int32}
    for name, kind in kinds.items():
        array = getattr(batch, name)
        if array.dtype != kind or array.ndim != 1:
            raise DataError(
                f"A batch's {name} are {array.ndim}-dimensional of type {array.dtype}, not 1-dimensional of type "
                f"{np.dtype(kind)}; {_BATCH_REMEDY}."
            )
    if batch.labels.dtype.kind not in "iu" or batch.labels.ndim != 1:
        raise DataError(f"A batch's labels are of type {batch.labels.dtype}, not whole numbers; {_BATCH_REMEDY}.")


def _check_offsets(batch: Batch) -> None:
    offsets, events = batch.offsets, len(batch.steps)
    if len(offsets) != len(batch.labels) + 1 or len(batch.channels) != events:
        raise DataError(
            f"A batch of {len(batch.labels)} labels has {len(offsets)} offsets, {events} steps and "
            f"{len(batch.channels)} channels, which do not belong together; {_BATCH_REMEDY}."
        )
    if offsets[0] != 0 or offsets[-1] != events or np.any(offsets[1:] < offsets[:-1]):
        raise DataError(f"A batch's offsets do not ascend from 0 to its {events} events; {_BATCH_REMEDY}.")


def _check_range(name: str, numbers: np.ndarray, size: int) -> None:
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= size):
        raise DataError(
            f"A batch's {name} are {numbers.min()} to {numbers.max()}, not within 0 to {size - 1} as the network's; "
            f"{_BATCH_REMEDY}."
        )


def _check_order(batch: Batch) -> None:
    back = np.flatnonzero(batch.steps[1:] < batch.steps[:-1]) + 1
    # a step back is right where another sample begins
    if len(back) and not np.isin(back, batch.offsets).all():
        raise DataError(f"A batch's events are not in order of time within a sample; {_BATCH_REMEDY}.")


def _check_objective(network: Network, objective: Objective) -> None:
    if objective.weighting is None:
        return
    if np.shape(objective.weighting) != (network.steps,):
        raise DataError(
            f"The loss has weights for {len(objective.weighting)} steps, the trial has {network.steps}: the model and "
            "its loss do not belong together; train the model again."
        )
    if not np.isfinite(objective.weighting).all():
        raise DataError("The weights of the loss over the trial are not all finite; correct the shape of the loss.")

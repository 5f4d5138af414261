"""When a training that had learned falls back to chance for good: two of seven published baseline logs end so."""

import math
from collections.abc import Sequence

AT_CHANCE_SD = 3.0
LEARNED_SD = 6.0
STAYS_EPOCHS = 3


def collapsed_at(accuracies: Sequence[float], samples: int, classes: int) -> int | None:
    """Return the epoch, from 1, in which a training collapsed, or None.

    Guessing hits c = 1/classes of n samples, give or take sd = sqrt(c (1 - c) / n). A training has learned if an
    accuracy is above c + 6 sd. It has collapsed if all its last accuracies, three or more, are at most c + 3 sd, and
    some epoch before them had learned; the first of them is the epoch. Where c + 6 sd is 1 or more, nothing is told.
    """
    chance = 1 / classes
    sd = math.sqrt(chance * (1 - chance) / samples)
    epoch = len(accuracies)
    while epoch and accuracies[epoch - 1] <= chance + AT_CHANCE_SD * sd:
        epoch -= 1
    learned = any(accuracy > chance + LEARNED_SD * sd for accuracy in accuracies)
    return epoch + 1 if learned and len(accuracies) - epoch >= STAYS_EPOCHS else None

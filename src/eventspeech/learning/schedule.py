"""How the learning rate eases in, and falls when learning stalls (Nowotny, Turner & Knight 2025) or with every epoch.

All are functions of what a checkpoint holds anyway, updates and accuracies, so that there is no state to lose.
"""

import math
from collections.abc import Sequence

from eventspeech import params


def ease_in(settings: params.EaseIn, updates: int) -> float:
    """Return the factor on the learning rate after so many updates: start * growth^updates, at most 1."""
    if updates * math.log(settings.growth) >= -math.log(settings.start):
        return 1.0
    return settings.start * settings.growth**updates


def reduction(settings: params.Schedule, accuracies: Sequence[float]) -> float:
    """Return the factor on the learning rate after epochs of these validation accuracies.

    Two exponential moving averages, a <- alpha a + (1 - alpha) accuracy, both from 0, follow the accuracy. When the
    fast one is no longer above the slow one, and the last change (at first: the first epoch) is more than
    ``wait_epochs`` epochs ago, the rate is multiplied by ``factor``.
    """
    fast = slow = 0.0
    last, rate = 1, 1.0
    for epoch, accuracy in enumerate(accuracies, 1):
        fast = settings.fast * fast + (1 - settings.fast) * accuracy
        slow = settings.slow * slow + (1 - settings.slow) * accuracy
        if epoch - last > settings.wait_epochs and fast <= slow:
            rate, last = rate * settings.factor, epoch
    return rate


def cosine(settings: params.Schedule, epoch: int, epochs: int) -> float:
    """Return the factor on the learning rate of an epoch, 1 to ``epochs``: half a cosine from 1 to ``cosine_to``.

    Source: Loshchilov & Hutter (2017), without restarts.
    """
    if epochs == 1:
        return 1.0
    return settings.cosine_to + (1 - settings.cosine_to) * (1 + math.cos(math.pi * (epoch - 1) / (epochs - 1))) / 2

"""Progress with an estimate of the time left: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
logger = logging.getLogger("eventspeech")

SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[Item], total: int, what: str, unit: str) -> Iterator[Item]:
    """Yield from ``items`` and show how many of ``total`` are done and how long the rest will take."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, unit=unit, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            last = now
            left = (now - start) / done * (total - done)
            logger.info("%s: %d of %d %s, %s left", what, done, total, unit, clock(left))


def clock(seconds: float) -> str:
    """Format a duration as m:ss or h:mm:ss."""
    return tqdm.format_interval(max(0.0, seconds))

"""Meters of energy: what a device drew between two moments, or the reason why that is unknown.

A measurement is a named window. A meter counts whatever its device draws in it, whoever causes that: wait for the
device before a window opens and before it closes, and see that nothing else runs. Unknown energy is ``None`` with a
reason, never 0. All clocks are monotonic. Sources of the habits: Yang et al., "Part-time power measurements" (arXiv
2312.02741), and ml.energy's best practices of measuring GPU energy.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

PERIODS_TO_TRUST = 10
"""A window of fewer counter periods may be wrong by more than a tenth."""

DISAGREEMENT = 0.1
"""Counter and integrated samples may differ by this fraction before it is noted."""


class Unavailable(Exception):
    """This machine cannot be metered; the message is the reason, as a clause without a full stop."""


@dataclass(frozen=True)
class Window:
    """What a meter saw between two moments.

    Attributes:
        name: of the window.
        duration_s: by a monotonic clock.
        energy_j: energy, ``None`` exactly if ``reason`` says why it is unknown.
        mean_power_w: energy over duration.
        method: ``counter`` (the device's own) or ``samples`` (integrated power).
        reason: why the energy is unknown.
        note: why a known energy is doubtful.
        samples: how often the device was read.
        sampled_energy_j: integral of the power samples, the second opinion on a counter.
        temperature_c: highest seen.
        clock_mhz: mean clock of the processing units.
        memory_mib: most memory in use on the device, of all processes.
        throttled: what slowed the device down for heat or power supply.
    """

    name: str
    duration_s: float
    energy_j: float | None = None
    mean_power_w: float | None = None
    method: str | None = None
    reason: str | None = None
    note: str | None = None
    samples: int = 0
    sampled_energy_j: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    memory_mib: float | None = None
    throttled: str | None = None

    def __post_init__(self) -> None:
        if (self.energy_j is None) != (self.reason is not None):
            raise ValueError(f"window '{self.name}' must have either an energy or a reason")


@dataclass(frozen=True)
class Sample:
    """One reading of a device in the background, at ``time_s`` of the meter's clock; unknowns are ``None``."""

    time_s: float
    power_w: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    memory_mib: float | None = None
    throttled: tuple[str, ...] = ()


class Reading:
    """What ``with meter.window(name) as reading`` binds; ``result`` is there once the block has ended."""

    result: Window


class Meter(Protocol):
    """Measures named windows, which may nest; made anew for each measurement and closed after it."""

    kind: str

    def begin(self, name: str) -> None:
        """Open a window; a name can be open only once."""

    def end(self, name: str) -> Window:
        """Close a window."""

    def window(self, name: str) -> AbstractContextManager[Reading]:
        """Open a window for the length of a block."""

    def facts(self) -> dict[str, Any]:
        """Return what must be known to judge the numbers: model, driver, limits, clocks, ..."""

    def close(self) -> None:
        """Let the device go; may be called twice."""


def integrate(samples: Sequence[Sample], begin_s: float, end_s: float, largest_gap_s: float) -> float | None:
    """Integrate power samples over a window (J): trapezoids, the outermost samples reaching to the edges.

    Returns ``None`` for fewer than two known samples, or if over ``largest_gap_s`` no sample was taken.
    """
    known = [(s.time_s, s.power_w) for s in samples if s.power_w is not None and begin_s <= s.time_s <= end_s]
    if len(known) < 2:
        return None
    points = [(begin_s, known[0][1]), *known, (end_s, known[-1][1])]
    pairs = list(itertools.pairwise(points))
    if max(after[0] - before[0] for before, after in pairs) > largest_gap_s:
        return None
    return sum((after[0] - before[0]) * (before[1] + after[1]) / 2 for before, after in pairs)


def counted(begin: int | None, end: int | None, range_: int | None = None) -> int | None:
    """Return how far a counter advanced; one that starts again at 0 after ``range_`` is followed over one turn.

    Returns ``None`` if a reading is missing, or if a counter went backwards although it has no range (a driver
    reloaded) or was beyond it.
    """
    if begin is None or end is None:
        return None
    if end >= begin:
        return end - begin
    return None if range_ is None or range_ < begin else end - begin + range_


def judge(
    counter_j: float | None, sampled_j: float | None, duration_s: float, period_s: float, failure: str | None = None
) -> tuple[float | None, str | None, str | None, str | None]:
    """Decide what the energy of a window is: return energy (J), method, reason why unknown, note why doubtful.

    Args:
        counter_j: advance of the device's counter, ``None`` if it has none.
        sampled_j: integral of power samples.
        duration_s: of the window.
        period_s: time between two advances of the counter.
        failure: why a counter that the device has gave no advance, as a clause.
    """
    if counter_j is None:
        if sampled_j is None:
            without = "the device has no energy counter" if failure is None else failure
            return None, None, f"{without} and gave too few power samples", None
        return sampled_j, "samples", None, failure
    if counter_j == 0:
        if duration_s < period_s:
            reason = f"the window of {duration_s:.3g} s is shorter than the counter's period of {period_s:g} s"
        else:
            reason = f"the energy counter stood still for {duration_s:.3g} s"
        return None, None, reason, None
    notes = []
    if duration_s < PERIODS_TO_TRUST * period_s:
        notes.append(
            f"the window of {duration_s:.2g} s has fewer than {PERIODS_TO_TRUST} periods of the energy counter"
        )
    # the counter may be one period late at either end, which short windows feel
    allowed = DISAGREEMENT + period_s / duration_s
    if sampled_j is not None and abs(sampled_j - counter_j) > allowed * counter_j:
        notes.append(f"the counter says {counter_j:.3g} J, integrated power samples {sampled_j:.3g} J")
    return counter_j, "counter", None, "; ".join(notes) or None


class Windows:
    """Open windows by name; what a meter does at their ends is in ``_start`` and ``_finish``."""

    kind = "none"

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[str, Any] = {}

    def begin(self, name: str) -> None:
        """Open a window.

        Raises:
            RuntimeError: one of that name is open.
        """
        if name in self._open:
            raise RuntimeError(f"window '{name}' is open already")
        self._open[name] = self._start()

    def end(self, name: str) -> Window:
        """Close a window and return it.

        Raises:
            RuntimeError: none of that name is open.
        """
        if name not in self._open:
            raise RuntimeError(f"window '{name}' is not open")
        return self._finish(name, self._open.pop(name))

    @contextlib.contextmanager
    def window(self, name: str) -> Iterator[Reading]:
        """Open a window for the length of a block; what it saw is in the reading when the block has ended."""
        reading = Reading()
        self.begin(name)
        try:
            yield reading
        finally:
            reading.result = self.end(name)

    def facts(self) -> dict[str, Any]:
        """Return the kind of the meter, beside what else must be known to judge its numbers."""
        return {"meter": self.kind}

    def close(self) -> None:
        """Forget open windows; may be called twice."""
        self._open.clear()

    def _start(self) -> Any:
        raise NotImplementedError

    def _finish(self, name: str, started: Any) -> Window:
        raise NotImplementedError


class NoMeter(Windows):
    """Times windows and gives the reason why their energy is unknown."""

    def __init__(self, reason: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.reason = reason

    def facts(self) -> dict[str, Any]:
        """Return why no energy is known."""
        return {"meter": self.kind, "reason": self.reason}

    def _start(self) -> float:
        return self._clock()

    def _finish(self, name: str, started: float) -> Window:
        return Window(name, self._clock() - started, reason=self.reason)


class Background:
    """Calls a function over and over while at least one window is open."""

    def __init__(self, function: Callable[[], Any], period_s: float) -> None:
        self._function = function
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start, unless it runs."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the last call."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stop.wait(self._period_s):
            self._function()


def largest(values: Iterable[float | None]) -> float | None:
    """Return the largest known value, ``None`` if none is known."""
    return max((value for value in values if value is not None), default=None)


def power(energy_j: float | None, duration_s: float) -> float | None:
    """Return the mean power of a window (W), ``None`` if its energy is unknown."""
    return None if energy_j is None or duration_s <= 0 else energy_j / duration_s

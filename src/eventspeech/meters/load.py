"""How many cores others keep busy meanwhile."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Processor time used so far (s): by the whole machine (``None`` if unknown), by this process; and when."""

    machine_s: float | None
    own_s: float
    time_s: float

    @classmethod
    def now(cls) -> "Load":
        """Read the counters; time that a hypervisor gave to others counts as used."""
        try:
            import psutil

            used = psutil.cpu_times()
            names = ("user", "nice", "system", "irq", "softirq", "steal")
            busy = sum(getattr(used, name, 0.0) for name in names)
        except Exception:  # some sandboxes have no /proc/stat
            busy = None
        return cls(busy, time.process_time(), time.monotonic())


def other_cores(before: Load, after: Load) -> float | None:
    """Return how many cores others kept busy between two readings, on average; ``None`` if unknown."""
    elapsed_s = after.time_s - before.time_s
    if before.machine_s is None or after.machine_s is None or elapsed_s <= 0:
        return None
    used_s = (after.machine_s - before.machine_s) - (after.own_s - before.own_s)
    return max(0.0, used_s / elapsed_s)

"""Energy of the processor, from Linux's powercap tree of RAPL counters."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventspeech.meters.window import (
    PERIODS_TO_TRUST,
    Background,
    Unavailable,
    Window,
    Windows,
    counted,
    judge,
    power,
)  # fmt: skip

RAPL_COUNTER_PERIOD_S = 0.001
"""RAPL's counters advance about every millisecond (Intel SDM, volume 3, 15.10)."""

POWERCAP = Path("/sys/class/powercap")


class RaplMeter(Windows):
    """Energy of all processor packages, from Linux's powercap tree of RAPL counters (Intel and AMD).

    Domains nest (psys holds package holds core and uncore): packages alone are added. Memory is not counted.

    Args:
        root: the tree, ``/sys/class/powercap`` or a copy of its layout.
        period_s: how often the counters are followed in the background, so that none turns twice unseen (at 300 W a
            turn takes some 15 minutes).

    Raises:
        Unavailable: no counters here, or no right to read them.
    """

    kind = "rapl"

    def __init__(
        self, root: Path = POWERCAP, clock: Callable[[], float] = time.monotonic, period_s: float = 1.0
    ) -> None:
        super().__init__(clock)
        self._packages = _packages(root)
        folders = self._packages.values()
        self._ranges_uj = [_read_counter(folder / "max_energy_range_uj") for folder in folders]
        self._last_uj = [_read_counter(folder / "energy_uj") for folder in folders]
        self._totals_uj = [0] * len(self._packages)
        self._reads = 0
        self._failure: str | None = None
        self._lock = threading.Lock()
        self._background = Background(self._advance, period_s)

    def facts(self) -> dict[str, Any]:
        """Return the names of the packages that are counted."""
        return {"meter": self.kind, "domains": list(self._packages)}

    def close(self) -> None:
        """Stop reading; may be called twice."""
        self._background.stop()
        super().close()

    def _advance(self) -> list[int]:
        """Bring the total of each package up to date; return them (µJ)."""
        with self._lock:
            try:
                for index, (name, folder) in enumerate(self._packages.items()):
                    now_uj = _read_counter(folder / "energy_uj")
                    advance_uj = counted(self._last_uj[index], now_uj, self._ranges_uj[index])
                    if advance_uj is None:
                        raise Unavailable(f"RAPL's counter of {name} went backwards from beyond its range")
                    self._totals_uj[index] += advance_uj
                    self._last_uj[index] = now_uj
            except Unavailable as error:
                self._failure = str(error)
            self._reads += 1
            return list(self._totals_uj)

    def _start(self) -> tuple[float, list[int], int]:
        self._background.start()
        return self._clock(), self._advance(), self._reads

    def _finish(self, name: str, started: tuple[float, list[int], int]) -> Window:
        begin_s, begin_uj, begin_reads = started
        each_uj = [end - begin for begin, end in zip(begin_uj, self._advance(), strict=True)]
        duration_s = self._clock() - begin_s
        if not self._open:
            self._background.stop()
        samples = self._reads - begin_reads
        if reason := self._failure or self._stood_still(each_uj, duration_s):
            return Window(name, duration_s, reason=reason, samples=samples)
        energy, method, reason, note = judge(sum(each_uj) / 1e6, None, duration_s, RAPL_COUNTER_PERIOD_S)
        return Window(name, duration_s, energy, power(energy, duration_s), method, reason, note, samples)

    def _stood_still(self, each_uj: list[int], duration_s: float) -> str | None:
        """Return why the sum lacks a package: its counter did not move while that of another did."""
        still = [name for name, advance_uj in zip(self._packages, each_uj, strict=True) if advance_uj == 0]
        if not still or len(still) == len(each_uj) or duration_s < PERIODS_TO_TRUST * RAPL_COUNTER_PERIOD_S:
            return None
        return f"the energy counter of {' and '.join(still)} stood still for {duration_s:.3g} s"


def _packages(root: Path) -> dict[str, Path]:
    """Return the folders of the package domains by name, once each.

    Raises:
        Unavailable: there is none, or one cannot be told from another: a sum without it would be too small.
    """
    if not root.is_dir():
        raise Unavailable(
            "this system offers no RAPL counters (no powercap tree), as is usual in virtual machines and containers"
        )
    # intel-rapl-mmio:* shows the same packages a second time, intel-rapl:0:0 is a part of intel-rapl:0
    domains = sorted(folder for folder in root.glob("intel-rapl:*") if folder.name.count(":") == 1)
    packages: dict[str, Path] = {}
    for folder in domains:
        try:
            name = (folder / "name").read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise Unavailable(f"RAPL's domain {folder.name} does not tell its name ({error})") from error
        if name in packages and not packages[name].samefile(folder):
            raise Unavailable(f"two domains of RAPL are called {name}, so that their sum means nothing")
        if name.startswith("package"):
            packages.setdefault(name, folder)
    if not packages:
        raise Unavailable("the powercap tree has no RAPL package domain; load the kernel module intel_rapl_msr")
    return packages


def _read_counter(path: Path) -> int:
    try:
        value = int(path.read_text(encoding="utf-8"))
        if value < 0:
            raise ValueError(f"it says {value}")
        return value
    except PermissionError as error:
        raise Unavailable(
            "reading RAPL's energy counters takes root (Linux 5.10 and newer, CVE-2020-8694); an administrator may "
            "allow it with `chmod a+r` on the energy_uj files of the powercap tree or a udev rule that does so"
        ) from error
    except (OSError, ValueError) as error:
        raise Unavailable(f"RAPL's counter {path.name} cannot be read ({error})") from error

"""Energy of the processor, from Linux's powercap tree of RAPL counters."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventspeech.meters.window import Background, Unavailable, Window, Windows, counted, judge, power

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
        self._ranges_uj = [_read_counter(folder / "max_energy_range_uj") for folder in self._packages]
        self._last_uj = [_read_counter(folder / "energy_uj") for folder in self._packages]
        self._total_uj = 0
        self._reads = 0
        self._failure: str | None = None
        self._lock = threading.Lock()
        self._background = Background(self._advance, period_s)

    def facts(self) -> dict[str, Any]:
        return {"meter": self.kind, "domains": [(folder / "name").read_text().strip() for folder in self._packages]}

    def close(self) -> None:
        self._background.stop()
        super().close()

    def _advance(self) -> int:
        """Bring the total up to date; return it (µJ)."""
        with self._lock:
            for index, folder in enumerate(self._packages):
                try:
                    now_uj = _read_counter(folder / "energy_uj")
                except Unavailable as error:
                    self._failure = str(error)
                    break
                self._total_uj += counted(self._last_uj[index], now_uj, self._ranges_uj[index]) or 0
                self._last_uj[index] = now_uj
            self._reads += 1
            return self._total_uj

    def _start(self) -> tuple[float, int, int]:
        self._background.start()
        return self._clock(), self._advance(), self._reads

    def _finish(self, name: str, started: tuple[float, int, int]) -> Window:
        begin_s, begin_uj, begin_reads = started
        energy_j = (self._advance() - begin_uj) / 1e6
        duration_s = self._clock() - begin_s
        if not self._open:
            self._background.stop()
        samples = self._reads - begin_reads
        if self._failure:
            return Window(name, duration_s, reason=self._failure, samples=samples)
        energy, method, reason, note = judge(energy_j, None, duration_s, RAPL_COUNTER_PERIOD_S)
        return Window(name, duration_s, energy, power(energy, duration_s), method, reason, note, samples)


def _packages(root: Path) -> list[Path]:
    """Return the folders of the package domains, once each."""
    if not root.is_dir():
        raise Unavailable(
            "this system offers no RAPL counters (no powercap tree), as is usual in virtual machines and containers"
        )
    # intel-rapl-mmio:* shows the same packages a second time, intel-rapl:0:0 is a part of intel-rapl:0
    domains = sorted(folder for folder in root.glob("intel-rapl:*") if folder.name.count(":") == 1)
    packages = []
    for folder in domains:
        try:
            name = (folder / "name").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if name.startswith("package"):
            packages.append(folder)
    if not packages:
        raise Unavailable("the powercap tree has no RAPL package domain; load the kernel module intel_rapl_msr")
    return packages


def _read_counter(path: Path) -> int:
    try:
        return int(path.read_text(encoding="utf-8"))
    except PermissionError as error:
        raise Unavailable(
            "reading RAPL's energy counters takes root (Linux 5.10 and newer, CVE-2020-8694); an administrator may "
            "allow it with `chmod a+r` on the energy_uj files of the powercap tree or a udev rule that does so"
        ) from error
    except (OSError, ValueError) as error:
        raise Unavailable(f"RAPL's counter {path.name} cannot be read ({error})") from error

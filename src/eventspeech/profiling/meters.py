"""Meters of energy: what a device drew between two moments, or the reason why that is unknown.

A measurement is a named window. A meter counts whatever its device draws in it, whoever causes that: wait for the
device before a window opens and before it closes, and see that nothing else runs. Unknown energy is ``None`` with a
reason, never 0. All clocks are monotonic. Sources of the habits: Yang et al., "Part-time power measurements" (arXiv
2312.02741), and ml.energy's best practices of measuring GPU energy.
"""

import contextlib
import csv
import dataclasses
import itertools
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eventspeech.errors import DataError
from eventspeech.files import write_csv

NVML_COUNTER_PERIOD_S = 0.1
"""NVML's energy counter advances about ten times a second (ml.energy, "Thermally stable profiling")."""

RAPL_COUNTER_PERIOD_S = 0.001
"""RAPL's counters advance about every millisecond (Intel SDM, volume 3, 15.10)."""

PERIODS_TO_TRUST = 10
"""A window of fewer counter periods may be wrong by more than a tenth."""

DISAGREEMENT = 0.1
"""Counter and integrated samples may differ by this fraction before it is noted."""

POWERCAP = Path("/sys/class/powercap")


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

    result: Window | None = None


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

    Returns ``None`` if a reading is missing, or if a counter without a range went backwards (a driver reloaded).
    """
    if begin is None or end is None:
        return None
    if end >= begin:
        return end - begin
    return None if range_ is None else end - begin + range_


def judge(
    counter_j: float | None, sampled_j: float | None, duration_s: float, period_s: float
) -> tuple[float | None, str | None, str | None, str | None]:
    """Decide what the energy of a window is: return energy (J), method, reason why unknown, note why doubtful.

    Args:
        counter_j: advance of the device's counter, ``None`` if it has none.
        sampled_j: integral of power samples.
        duration_s: of the window.
        period_s: time between two advances of the counter.
    """
    if counter_j is None:
        if sampled_j is None:
            return None, None, "the device has no energy counter and gave too few power samples", None
        return sampled_j, "samples", None, None
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


class _Windows:
    """Open windows by name; what a meter does at their ends is in ``_start`` and ``_finish``."""

    kind = "none"

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[str, Any] = {}

    def begin(self, name: str) -> None:
        if name in self._open:
            raise RuntimeError(f"window '{name}' is open already")
        self._open[name] = self._start()

    def end(self, name: str) -> Window:
        if name not in self._open:
            raise RuntimeError(f"window '{name}' is not open")
        return self._finish(name, self._open.pop(name))

    @contextlib.contextmanager
    def window(self, name: str) -> Iterator[Reading]:
        reading = Reading()
        self.begin(name)
        try:
            yield reading
        finally:
            reading.result = self.end(name)

    def facts(self) -> dict[str, Any]:
        return {"meter": self.kind}

    def close(self) -> None:
        self._open.clear()

    def _start(self) -> Any:
        raise NotImplementedError

    def _finish(self, name: str, started: Any) -> Window:
        raise NotImplementedError


class NoMeter(_Windows):
    """Times windows and gives the reason why their energy is unknown."""

    def __init__(self, reason: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.reason = reason

    def facts(self) -> dict[str, Any]:
        return {"meter": self.kind, "reason": self.reason}

    def _start(self) -> float:
        return self._clock()

    def _finish(self, name: str, started: float) -> Window:
        return Window(name, self._clock() - started, reason=self.reason)


class _Background:
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


class RaplMeter(_Windows):
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
        self._background = _Background(self._advance, period_s)

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
        return Window(name, duration_s, energy, _power(energy, duration_s), method, reason, note, samples)


def _power(energy_j: float | None, duration_s: float) -> float | None:
    return None if energy_j is None or duration_s <= 0 else energy_j / duration_s


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


class NvmlMeter(_Windows):
    """Energy of one GPU board: NVML's total-energy counter (Volta and newer), cross-checked by power samples.

    Make it before the first use of CUDA: processes found on the card then are others'. Where the card has no
    counter, the integrated samples are the energy, and ``method`` says so.

    Args:
        nvml: the module ``pynvml`` (nvidia-ml-py) or a stand-in.
        period_s: between two power samples.

    Raises:
        Unavailable: no driver, no visible GPU, or a GPU whose energy cannot be told apart (MIG).
    """

    kind = "nvml"

    def __init__(self, nvml: Any = None, clock: Callable[[], float] = time.monotonic, period_s: float = 0.05) -> None:
        super().__init__(clock)
        self._nvml = nvml or _pynvml()
        self._period_s = period_s
        # samples of ten hours at most: a forgotten window must not fill the memory
        self._samples: deque[Sample] = deque(maxlen=round(36000 / period_s))
        self._background = _Background(self._sample, period_s)
        self._running = False
        _initialise(self._nvml)
        self._running = True
        try:
            self._handle, self._ambiguous = _visible_gpu(self._nvml)
            if (self._ask("nvmlDeviceGetMigMode") or (0,))[0]:
                raise Unavailable("the GPU is split by MIG, and its energy is known for the whole board only")
        except BaseException:
            self.close()
            raise
        self._instant = self._power_instant_w() is not None
        self._others_at_start = self._processes()

    def close(self) -> None:
        self._background.stop()
        super().close()
        if self._running:
            self._running = False
            self._nvml.nvmlShutdown()

    def facts(self) -> dict[str, Any]:
        """Return model, driver, limits, clocks, temperature and processes on the card, now; unknown is ``None``."""
        nvml = self._nvml
        milliwatts = {
            "power_limit_w": self._ask("nvmlDeviceGetEnforcedPowerLimit"),
            "power_limit_default_w": self._ask("nvmlDeviceGetPowerManagementDefaultLimit"),
        }
        others = self._processes()
        return {
            "meter": self.kind,
            "gpu": self._ask("nvmlDeviceGetName"),
            "driver": _asked(nvml, "nvmlSystemGetDriverVersion"),
            **{name: None if value is None else value / 1000 for name, value in milliwatts.items()},
            "sm_clock_mhz": self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            "sm_clock_max_mhz": self._ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            "temperature_c": self._ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            "persistence_mode": self._ask("nvmlDeviceGetPersistenceMode"),
            "other_processes_at_start": self._others_at_start,
            "processes": others,
            "power_samples": "instantaneous" if self._instant else "as the driver gives them, maybe means over 1 s",
            "ambiguous": self._ambiguous,
        }

    def _ask(self, function: str, *arguments: Any) -> Any:
        return _asked(self._nvml, function, self._handle, *arguments)

    def _processes(self) -> int | None:
        """Return how many processes but this one compute on the card.

        In a container NVML may know this process by another number: it is then counted once it has used CUDA.
        """
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        return None if processes is None else sum(process.pid != os.getpid() for process in processes)

    def _power_instant_w(self) -> float | None:
        field = getattr(self._nvml, "NVML_FI_DEV_POWER_INSTANT", None)
        values = None if field is None else self._ask("nvmlDeviceGetFieldValues", [field])
        if not values or values[0].nvmlReturn != 0 or values[0].value.uiVal == 0:
            return None
        return values[0].value.uiVal / 1000

    def _sample(self) -> None:
        power_w = self._power_instant_w() if self._instant else None
        if power_w is None and (milliwatts := self._ask("nvmlDeviceGetPowerUsage")):
            power_w = milliwatts / 1000
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        self._samples.append(
            Sample(
                self._clock(),
                power_w,
                self._ask("nvmlDeviceGetTemperature", self._nvml.NVML_TEMPERATURE_GPU),
                self._ask("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM),
                None if memory is None else memory.used / 2**20,
                self._throttled(),
            )
        )

    def _throttled(self) -> tuple[str, ...]:
        """Name what slows the card down; reaching the power limit is normal under load and not among them."""
        reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons") or 0
        names = {
            "heat (hardware)": "nvmlClocksThrottleReasonHwThermalSlowdown",
            "heat (driver)": "nvmlClocksThrottleReasonSwThermalSlowdown",
            "power brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
        }
        return tuple(name for name, bit in names.items() if reasons & getattr(self._nvml, bit, 0))

    def _start(self) -> tuple[float, int | None]:
        if not self._open:
            self._samples.clear()
        begin_s, counter_mj = self._clock(), self._ask("nvmlDeviceGetTotalEnergyConsumption")
        self._sample()
        self._background.start()
        return begin_s, counter_mj

    def _finish(self, name: str, started: tuple[float, int | None]) -> Window:
        begin_s, begin_mj = started
        self._sample()
        end_mj, end_s = self._ask("nvmlDeviceGetTotalEnergyConsumption"), self._clock()
        if not self._open:
            self._background.stop()
        duration_s = end_s - begin_s
        samples = [sample for sample in list(self._samples) if begin_s <= sample.time_s <= end_s]
        sampled_j = integrate(samples, begin_s, end_s, largest_gap_s=max(1.0, 10 * self._period_s))
        advance_mj = counted(begin_mj, end_mj)
        counter_j = None if advance_mj is None else advance_mj / 1000
        energy, method, reason, note = judge(counter_j, sampled_j, duration_s, NVML_COUNTER_PERIOD_S)
        clocks = [sample.clock_mhz for sample in samples if sample.clock_mhz is not None]
        return Window(
            name, duration_s, energy, _power(energy, duration_s), method, reason, note, len(samples), sampled_j,
            temperature_c=_largest(sample.temperature_c for sample in samples),
            clock_mhz=sum(clocks) / len(clocks) if clocks else None,
            memory_mib=_largest(sample.memory_mib for sample in samples),
            throttled=", ".join(sorted({name for sample in samples for name in sample.throttled})) or None,
        )  # fmt: skip


def _largest(values: Iterator[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _asked(nvml: Any, function: str, *arguments: Any) -> Any:
    """Ask NVML; return ``None`` for what this card, driver or user cannot be told."""
    try:
        return getattr(nvml, function)(*arguments)
    except (nvml.NVMLError, AttributeError):
        return None


def _pynvml() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise Unavailable("the package nvidia-ml-py is not installed") from error
    return pynvml


def _initialise(nvml: Any) -> None:
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise Unavailable(f"no NVIDIA driver answers ({error})") from error


def _visible_gpu(nvml: Any) -> tuple[Any, str | None]:
    """Return the GPU that CUDA's device 0 is, and why that may be another one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    first = "0" if visible is None else visible.split(",")[0].strip()
    if first in ("", "-1"):
        raise Unavailable("CUDA_VISIBLE_DEVICES hides every GPU")
    if first.startswith("MIG-"):
        raise Unavailable("the GPU is split by MIG, and its energy is known for the whole board only")
    try:
        if not first.isdecimal():
            return nvml.nvmlDeviceGetHandleByUUID(first), None
        count = nvml.nvmlDeviceGetCount()
        handle = nvml.nvmlDeviceGetHandleByIndex(int(first))
    except nvml.NVMLError as error:
        raise Unavailable(f"NVML has no GPU '{first}' ({error})") from error
    if count > 1 and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        return handle, "several GPUs: set CUDA_DEVICE_ORDER=PCI_BUS_ID so that CUDA and NVML number them alike"
    return handle, None


class ReplayMeter(_Windows):
    """Gives back the windows of a recording, by name and in their order, for tests and demonstrations.

    Raises:
        DataError: the recording is not one, or has no such window left.
    """

    kind = "replay"

    def __init__(self, file: Path) -> None:
        super().__init__(time.monotonic)
        self._file = Path(file)
        self._recorded: dict[str, deque[Window]] = {}
        try:
            with self._file.open(newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream):
                    window = _window(row)
                    self._recorded.setdefault(window.name, deque()).append(window)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{file} is not a recording of windows ({error}); record it again.") from error

    def facts(self) -> dict[str, Any]:
        return {"meter": self.kind, "recording": self._file.name}

    def _start(self) -> None:
        return None

    def _finish(self, name: str, started: None) -> Window:
        if not self._recorded.get(name):
            raise DataError(f"{self._file} holds no further window '{name}'; record the measurement again.")
        return self._recorded[name].popleft()


_FIELDS = tuple(field.name for field in dataclasses.fields(Window))
_TEXTS = ("name", "method", "reason", "note", "throttled")


def record(windows: Sequence[Window], path: Path) -> None:
    """Write windows as the CSV that :class:`ReplayMeter` reads; unknown values are empty cells."""
    write_csv(path, _FIELDS, [[getattr(window, name) for name in _FIELDS] for window in windows])


def _window(row: dict[str, str]) -> Window:
    values: dict[str, Any] = {name: row[name] or None for name in _FIELDS if name in row}
    for name, value in values.items():
        if name not in _TEXTS and value is not None:
            values[name] = float(value)
            if not math.isfinite(values[name]):
                raise ValueError(f"{name} is {value}")
    values["samples"] = int(values.get("samples") or 0)
    return Window(**values)


def for_device(device: str) -> Meter:
    """Return the meter of ``cpu`` or ``cuda``; one that cannot be metered gets a :class:`NoMeter` with the reason."""
    try:
        return NvmlMeter() if device == "cuda" else RaplMeter()
    except Unavailable as error:
        return NoMeter(str(error))
    except Exception as error:  # a broken driver must cost the energy column, not the measurement of time
        return NoMeter(f"the meter failed ({type(error).__name__}: {error})")

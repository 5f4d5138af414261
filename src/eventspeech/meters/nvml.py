"""Energy of one GPU board, by NVML."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from eventspeech.meters.window import Background, Sample, Unavailable, Window, Windows, counted, integrate, judge, power

NVML_COUNTER_PERIOD_S = 0.1
"""NVML's energy counter advances about ten times a second (ml.energy, "Thermally stable profiling")."""


class NvmlMeter(Windows):
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
        self._background = Background(self._sample, period_s)
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
            name, duration_s, energy, power(energy, duration_s), method, reason, note, len(samples), sampled_j,
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

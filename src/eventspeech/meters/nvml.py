"""Energy of one GPU board, by NVML."""

import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from eventspeech.machine import gpu
from eventspeech.machine.nvml import NoGpu, Nvml
from eventspeech.meters.window import (
    Background,
    Sample,
    Unavailable,
    Window,
    Windows,
    counted,
    integrate,
    judge,
    largest,
    power,
)  # fmt: skip

NVML_COUNTER_PERIOD_S = 0.1
"""NVML's energy counter advances about ten times a second (ml.energy, "Thermally stable profiling")."""

SPLIT = "the GPU is split by MIG, and its energy is known for the whole board only"


class NvmlMeter(Windows):
    """Energy of the GPU that CUDA shows first: NVML's total-energy counter (Volta and newer), beside power samples.

    Make it before the first use of CUDA: processes found on the card then are others'. Where the card has no
    counter, the integrated samples are the energy, and ``method`` says so.

    Args:
        library: the module ``pynvml`` (nvidia-ml-py) or a stand-in.
        period_s: between two power samples.

    Raises:
        Unavailable: no driver, no visible GPU, or a GPU whose energy cannot be told apart (MIG).
    """

    kind = "nvml"

    def __init__(
        self, library: Any = None, clock: Callable[[], float] = time.monotonic, period_s: float = 0.05
    ) -> None:
        super().__init__(clock)
        self._period_s = period_s
        # samples of ten hours at most: a forgotten window must not fill the memory
        self._samples: deque[Sample] = deque(maxlen=round(36000 / period_s))
        self._background = Background(self._sample, period_s)
        try:
            self._nvml = Nvml(library)
        except NoGpu as error:
            raise Unavailable(str(error)) from error
        try:
            self._card = gpu.visible(self._nvml)[0]
            if self._card.split:
                raise Unavailable(SPLIT)
            self._instant = self._power_instant_w() is not None
            self._others_at_start = self._processes()
        except NoGpu as error:
            self.close()
            raise Unavailable(str(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop reading and let the driver go; may be called twice."""
        self._background.stop()
        super().close()
        self._nvml.close()

    def facts(self) -> dict[str, Any]:
        """Return model, driver, limits, clocks, temperature and processes on the card, now.

        Unknown is ``None``, and ``unknown`` holds the driver's reason for each.
        """
        answers = {
            "gpu": self._answer("nvmlDeviceGetName"),
            "driver": self._nvml.answer("nvmlSystemGetDriverVersion"),
            "power_limit_w": _watts(self._answer("nvmlDeviceGetEnforcedPowerLimit")),
            "power_limit_default_w": _watts(self._answer("nvmlDeviceGetPowerManagementDefaultLimit")),
            "sm_clock_mhz": self._answer("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
            "sm_clock_max_mhz": self._answer("nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_SM"),
            "memory_clock_mhz": self._answer("nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"),
            "temperature_c": self._answer("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
            "persistence_mode": self._answer("nvmlDeviceGetPersistenceMode"),
        }
        return {
            "meter": self.kind,
            "gpu_uuid": self._card.uuid,
            **{name: value for name, (value, _) in answers.items()},
            "other_processes_at_start": self._others_at_start,
            "processes": self._processes(),
            "power_samples": "instantaneous" if self._instant else "as the driver gives them, maybe means over 1 s",
            "ambiguous": self._card.doubt,
            "unknown": {name: reason for name, (_, reason) in answers.items() if reason is not None},
        }

    def _answer(self, function: str, *arguments: Any) -> tuple[Any, str | None]:
        return self._nvml.answer(function, self._card.handle, *arguments)

    def _ask(self, function: str, *arguments: Any) -> Any:
        return self._answer(function, *arguments)[0]

    def _processes(self) -> int | None:
        """Return how many processes but this one compute on the card.

        In a container NVML may know this process by another number: it is then counted once it has used CUDA.
        """
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        return None if processes is None else sum(getattr(process, "pid", None) != os.getpid() for process in processes)

    def _power_instant_w(self) -> float | None:
        milliwatts = self._nvml.field("NVML_FI_DEV_POWER_INSTANT", self._card.handle)
        return milliwatts / 1000 if milliwatts else None

    def _sample(self) -> None:
        power_w = self._power_instant_w() if self._instant else None
        if power_w is None and (milliwatts := self._ask("nvmlDeviceGetPowerUsage")):
            power_w = milliwatts / 1000
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        self._samples.append(
            Sample(
                self._clock(),
                power_w,
                self._ask("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
                self._ask("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
                None if memory is None else getattr(memory, "used", 0) / 2**20 or None,
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
        return tuple(name for name, bit in names.items() if reasons & self._nvml.constant(bit))

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
        (end_mj, refusal), end_s = self._answer("nvmlDeviceGetTotalEnergyConsumption"), self._clock()
        if not self._open:
            self._background.stop()
        duration_s = end_s - begin_s
        samples = [sample for sample in list(self._samples) if begin_s <= sample.time_s <= end_s]
        if begin_mj is not None and end_mj is None and samples[-1].power_w is None:
            return Window(name, duration_s, reason=f"the GPU has stopped answering ({refusal})", samples=len(samples))
        sampled_j = integrate(samples, begin_s, end_s, largest_gap_s=max(1.0, 10 * self._period_s))
        advance_mj = counted(begin_mj, end_mj)
        counter_j = None if advance_mj is None else advance_mj / 1000
        failure = _counter_failure(begin_mj, end_mj, refusal)
        energy, method, reason, note = judge(counter_j, sampled_j, duration_s, NVML_COUNTER_PERIOD_S, failure)
        clocks = [sample.clock_mhz for sample in samples if sample.clock_mhz is not None]
        return Window(
            name, duration_s, energy, power(energy, duration_s), method, reason, note, len(samples), sampled_j,
            temperature_c=largest(sample.temperature_c for sample in samples),
            clock_mhz=sum(clocks) / len(clocks) if clocks else None,
            memory_mib=largest(sample.memory_mib for sample in samples),
            throttled=", ".join(sorted({name for sample in samples for name in sample.throttled})) or None,
        )  # fmt: skip


def _counter_failure(begin_mj: int | None, end_mj: int | None, refusal: str | None) -> str | None:
    """Return why a counter that answered once gives no advance."""
    if begin_mj is not None and end_mj is None:
        return f"the energy counter has stopped answering ({refusal})"
    if begin_mj is None and end_mj is not None:
        return "the energy counter did not answer at first"
    if begin_mj is not None and end_mj is not None and end_mj < begin_mj:
        return "the energy counter went backwards"
    return None


def _watts(answer: tuple[int | None, str | None]) -> tuple[float | None, str | None]:
    milliwatts, reason = answer
    return None if milliwatts is None else milliwatts / 1000, reason

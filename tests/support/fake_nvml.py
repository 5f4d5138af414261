"""A stand-in for NVML: cards of constant power whose counter follows a clock."""

import time
from dataclasses import dataclass, field
from types import SimpleNamespace


class NVMLError(Exception):
    """What NVML raises."""


@dataclass
class FakeCard:
    """A card, or a part of one.

    Attributes:
        bus: place on the PCI bus.
        parts: instances of a board split by MIG; None if it is not split.
        broken: what a question for its handle is answered with.
    """

    uuid: str = "GPU-aaaa0000-1111-2222-3333-444444444444"
    name: str | bytes = "Fake 100"
    gib: float = 8.0
    bus: int = 1
    parts: list["FakeCard"] | None = None
    broken: str | None = None
    power_w: float = 200.0
    counter_w: float = 200.0
    throttle: int = 0
    pids: list[int] = field(default_factory=list)


class FakeNvml:
    """Stands for the module `pynvml`; functions in ``absent`` are refused, as NVML refuses what it cannot tell."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVML_FI_DEV_POWER_INSTANT = 186
    nvmlClocksThrottleReasonHwThermalSlowdown = 0x40
    nvmlClocksThrottleReasonSwThermalSlowdown = 0x20

    def __init__(self, *cards: FakeCard, clock=time.monotonic, absent=(), refusal="Not Supported"):
        self.cards, self.clock = list(cards) or [FakeCard()], clock
        self.absent, self.refusal = set(absent), refusal
        self.open = 0

    def __getattribute__(self, name):
        if name.startswith("nvml") and name in object.__getattribute__(self, "absent"):

            def refuse(*arguments):
                raise NVMLError(self.refusal)

            return refuse
        return object.__getattribute__(self, name)

    def nvmlInit(self):
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlDeviceGetCount(self):
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):
        if index >= len(self.cards):
            raise NVMLError("Invalid Argument")
        if self.cards[index].broken:
            raise NVMLError(self.cards[index].broken)
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        parts = [part for card in self.cards for part in card.parts or []]
        for card in [*self.cards, *parts]:
            if card.uuid == uuid:
                return card
        raise NVMLError("Not Found")

    def nvmlDeviceGetUUID(self, card):
        return card.uuid

    def nvmlDeviceGetPciInfo(self, card):
        return SimpleNamespace(domain=0, bus=card.bus, device=0)

    def nvmlDeviceGetMigMode(self, card):
        return [int(card.parts is not None)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, card):
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card, index):
        if index >= len(card.parts):
            raise NVMLError("Not Found")
        return card.parts[index]

    def nvmlDeviceGetName(self, card):
        return card.name

    def nvmlSystemGetDriverVersion(self):
        return "1.2"

    def nvmlDeviceGetTotalEnergyConsumption(self, card):
        return int(1000 * card.counter_w * self.clock())

    def nvmlDeviceGetFieldValues(self, card, fields):
        return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=int(1000 * card.power_w)))]

    def nvmlDeviceGetPowerUsage(self, card):
        return int(1000 * card.power_w)

    def nvmlDeviceGetTemperature(self, card, sensor):
        return 61

    def nvmlDeviceGetClockInfo(self, card, kind):
        return 1500

    def nvmlDeviceGetMaxClockInfo(self, card, kind):
        return 1980

    def nvmlDeviceGetMemoryInfo(self, card):
        return SimpleNamespace(used=512 * 2**20, total=int(card.gib * 2**30))

    def nvmlDeviceGetEnforcedPowerLimit(self, card):
        return 700_000

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card):
        return card.throttle

    def nvmlDeviceGetComputeRunningProcesses(self, card):
        return [SimpleNamespace(pid=pid) for pid in card.pids]

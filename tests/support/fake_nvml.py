"""A stand-in for NVML."""

from types import SimpleNamespace


class NVMLError(Exception):
    pass


class FakeNvml:
    """A card of constant power whose counter follows the clock; ``absent`` functions are refused."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVML_FI_DEV_POWER_INSTANT = 186
    nvmlClocksThrottleReasonHwThermalSlowdown = 0x40
    nvmlClocksThrottleReasonSwThermalSlowdown = 0x20

    def __init__(self, clock, power_w=200.0, counter_w=None, absent=(), throttle=0, mig=0, gpus=1, pids=()):
        self.clock, self.power_w, self.absent = clock, power_w, set(absent)
        self.counter_w = power_w if counter_w is None else counter_w
        self.throttle, self.mig, self.gpus, self.pids = throttle, mig, gpus, list(pids)
        self.open = 0

    def __getattribute__(self, name):
        if name.startswith("nvml") and name in object.__getattribute__(self, "absent"):

            def refuse(*arguments):
                raise NVMLError("Not Supported")

            return refuse
        return object.__getattribute__(self, name)

    def nvmlInit(self):
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlDeviceGetCount(self):
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index):
        if index >= self.gpus:
            raise NVMLError("Invalid Argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetMigMode(self, handle):
        return [self.mig, self.mig]

    def nvmlDeviceGetName(self, handle):
        return "Fake 100"

    def nvmlSystemGetDriverVersion(self):
        return "1.2"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        return int(1000 * self.counter_w * self.clock())

    def nvmlDeviceGetFieldValues(self, handle, fields):
        return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=int(1000 * self.power_w)))]

    def nvmlDeviceGetPowerUsage(self, handle):
        return int(1000 * self.power_w)

    def nvmlDeviceGetTemperature(self, handle, sensor):
        return 61

    def nvmlDeviceGetClockInfo(self, handle, kind):
        return 1500

    def nvmlDeviceGetMaxClockInfo(self, handle, kind):
        return 1980

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(used=512 * 2**20, total=2**33)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return 700_000

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return self.throttle

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=pid) for pid in self.pids]

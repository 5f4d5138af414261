"""NVML's meter on a made-up library."""

import os
import threading
import time

import pytest
from support.clock import Clock
from support.fake_nvml import FakeNvml

from eventspeech.meters.nvml import NvmlMeter
from eventspeech.meters.window import Unavailable


@pytest.fixture
def clock():
    return Clock()


class TestNvml:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)

    def measure(self, nvml, seconds=2.0, **options):
        # a long period keeps the background thread asleep: only the samples at the ends are taken
        meter = NvmlMeter(nvml, nvml.clock, period_s=options.get("period_s", 60.0))
        with meter.window("w") as reading:
            nvml.clock.now_s += seconds
        meter.close()
        assert nvml.open == 0
        return reading.result

    def test_counter_and_samples_agree(self, clock):
        window = self.measure(FakeNvml(clock))
        assert window.energy_j == pytest.approx(400.0)
        assert window.sampled_energy_j == pytest.approx(400.0)
        assert window.mean_power_w == pytest.approx(200.0)
        assert (window.method, window.note, window.throttled) == ("counter", None, None)
        assert (window.temperature_c, window.clock_mhz, window.memory_mib) == (61, 1500, 512)

    def test_disagreement_is_noted(self, clock):
        assert "integrated power samples" in self.measure(FakeNvml(clock, counter_w=100.0)).note

    def test_old_card_without_counter(self, clock):
        window = self.measure(FakeNvml(clock, absent=["nvmlDeviceGetTotalEnergyConsumption"]))
        assert (window.energy_j, window.method) == (pytest.approx(400.0), "samples")

    def test_old_driver_without_instant_power(self, clock):
        nvml = FakeNvml(clock, absent=["nvmlDeviceGetFieldValues"])
        assert "maybe means" in NvmlMeter(nvml, clock).facts()["power_samples"]
        assert self.measure(FakeNvml(clock, absent=["nvmlDeviceGetFieldValues"])).sampled_energy_j == pytest.approx(400)

    def test_card_that_tells_nothing(self, clock):
        absent = [name for name in dir(FakeNvml) if name.startswith("nvmlDeviceGet") and "HandleBy" not in name]
        window = self.measure(FakeNvml(clock, absent={*absent} - {"nvmlDeviceGetCount"}))
        assert window.energy_j is None
        assert "no energy counter" in window.reason
        assert (window.temperature_c, window.clock_mhz, window.memory_mib, window.throttled) == (None,) * 4

    def test_zero_over_a_short_window(self, clock):
        window = self.measure(FakeNvml(clock, counter_w=0.0), seconds=0.02)
        assert window.energy_j is None
        assert "shorter than the counter's period" in window.reason

    def test_throttling_is_named(self, clock):
        assert self.measure(FakeNvml(clock, throttle=0x40 | 0x4)).throttled == "heat (hardware)"

    def test_samples_in_the_background(self):
        nvml = FakeNvml(time.monotonic)
        meter = NvmlMeter(nvml, time.monotonic, period_s=0.005)
        with meter.window("w") as reading:
            time.sleep(0.1)
        assert reading.result.samples >= 5
        assert reading.result.sampled_energy_j == pytest.approx(200 * reading.result.duration_s, rel=1e-6)
        assert not any(thread.name == "meter" for thread in threading.enumerate())

    def test_facts(self, clock):
        nvml = FakeNvml(clock, absent=["nvmlDeviceGetMaxClockInfo"], pids=[os.getpid(), -5])
        facts = NvmlMeter(nvml, clock).facts()
        assert (facts["gpu"], facts["driver"], facts["power_limit_w"]) == ("Fake 100", "1.2", 700.0)
        assert facts["sm_clock_max_mhz"] is None
        assert facts["power_limit_default_w"] is None
        assert facts["other_processes_at_start"] == 1

    def test_mig_is_refused_and_nvml_let_go(self, clock):
        nvml = FakeNvml(clock, mig=1)
        with pytest.raises(Unavailable, match="MIG"):
            NvmlMeter(nvml, clock)
        assert nvml.open == 0

    @pytest.mark.parametrize(("value", "match"), [("", "hides"), ("-1", "hides"), ("MIG-1", "MIG"), ("7", "no GPU")])
    def test_visible_devices_refused(self, clock, monkeypatch, value, match):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        with pytest.raises(Unavailable, match=match):
            NvmlMeter(FakeNvml(clock), clock)

    @pytest.mark.parametrize(("value", "handle"), [("1,0", 1), ("GPU-abc", "GPU-abc")])
    def test_visible_devices_followed(self, clock, monkeypatch, value, handle):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert NvmlMeter(FakeNvml(clock, gpus=2), clock)._handle == handle

    def test_several_gpus_are_ambiguous(self, clock, monkeypatch):
        assert "PCI_BUS_ID" in NvmlMeter(FakeNvml(clock, gpus=2), clock).facts()["ambiguous"]
        monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        assert NvmlMeter(FakeNvml(clock, gpus=2), clock).facts()["ambiguous"] is None

    def test_no_driver(self, clock):
        with pytest.raises(Unavailable, match="no NVIDIA driver"):
            NvmlMeter(FakeNvml(clock, absent=["nvmlInit"]), clock)

"""NVML's meter on a made-up library."""

import os
import threading
import time

import pytest
from support.clock import Clock
from support.fake_nvml import FakeCard, FakeNvml

from eventspeech.meters.nvml import NvmlMeter
from eventspeech.meters.window import Unavailable


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def measure(library, seconds=2.0, meanwhile=lambda: None):
    # a long period keeps the background thread asleep: only the samples at the ends are taken
    meter = NvmlMeter(library, library.clock, period_s=60.0)
    with meter.window("w") as reading:
        library.clock.now_s += seconds
        meanwhile()
    meter.close()
    assert library.open == 0
    return reading.result


def refuse_from_now(library, *names, refusal="GPU is lost"):
    """Return what makes a library refuse, in the middle of a window."""

    def meanwhile():
        library.absent, library.refusal = set(names) - {"nvmlShutdown"}, refusal

    return meanwhile


EVERYTHING = [name for name in dir(FakeNvml) if name.startswith("nvmlDeviceGet")]
TOLD = sorted(name for name in EVERYTHING if "Handle" not in name and name != "nvmlDeviceGetCount")


def test_counter_and_samples_agree(clock):
    window = measure(FakeNvml(clock=clock))
    assert window.energy_j == pytest.approx(400.0)
    assert window.sampled_energy_j == pytest.approx(400.0)
    assert window.mean_power_w == pytest.approx(200.0)
    assert (window.method, window.note, window.throttled) == ("counter", None, None)
    assert (window.temperature_c, window.clock_mhz, window.memory_mib) == (61, 1500, 512)


def test_disagreement_is_noted(clock):
    assert "integrated power samples" in measure(FakeNvml(FakeCard(counter_w=100.0), clock=clock)).note


def test_old_card_without_counter(clock):
    window = measure(FakeNvml(clock=clock, absent=["nvmlDeviceGetTotalEnergyConsumption"]))
    assert (window.energy_j, window.method, window.note) == (pytest.approx(400.0), "samples", None)


def test_old_driver_without_instant_power(clock):
    library = FakeNvml(clock=clock, absent=["nvmlDeviceGetFieldValues"])
    assert "maybe means" in NvmlMeter(library, clock).facts()["power_samples"]
    window = measure(FakeNvml(clock=clock, absent=["nvmlDeviceGetFieldValues"]))
    assert window.sampled_energy_j == pytest.approx(400)


@pytest.mark.parametrize("name", TOLD)
def test_one_question_unanswered_loses_no_measurement(clock, name):
    window = measure(FakeNvml(clock=clock, absent=[name]))
    assert window.energy_j == pytest.approx(400.0)
    facts = NvmlMeter(FakeNvml(clock=clock, absent=[name])).facts()
    assert [fact for fact in ("gpu", "driver", "power_limit_w", "temperature_c") if facts[fact] is None] == [
        fact
        for fact, question in {
            "gpu": "nvmlDeviceGetName",
            "power_limit_w": "nvmlDeviceGetEnforcedPowerLimit",
            "temperature_c": "nvmlDeviceGetTemperature",
        }.items()
        if question == name
    ]


def test_card_that_tells_nothing(clock):
    window = measure(FakeNvml(clock=clock, absent=TOLD))
    assert window.energy_j is None
    assert "no energy counter" in window.reason
    assert (window.temperature_c, window.clock_mhz, window.memory_mib, window.throttled) == (None,) * 4


def test_zero_over_a_short_window(clock):
    window = measure(FakeNvml(FakeCard(counter_w=0.0), clock=clock), seconds=0.02)
    assert window.energy_j is None
    assert "shorter than the counter's period" in window.reason


def test_counter_that_stands_still(clock):
    window = measure(FakeNvml(FakeCard(counter_w=0.0), clock=clock))
    assert (window.energy_j, window.reason) == (None, "the energy counter stood still for 2 s")


def test_counter_that_goes_backwards_leaves_the_samples_in_doubt(clock):
    card = FakeCard()
    library = FakeNvml(card, clock=clock)
    window = measure(library, meanwhile=lambda: setattr(card, "counter_w", 1.0))
    assert (window.method, window.energy_j) == ("samples", pytest.approx(400.0))
    assert window.note == "the energy counter went backwards"


def test_counter_that_stops_answering_leaves_the_samples_in_doubt(clock):
    library = FakeNvml(clock=clock)
    window = measure(library, meanwhile=refuse_from_now(library, "nvmlDeviceGetTotalEnergyConsumption"))
    assert (window.method, window.energy_j) == ("samples", pytest.approx(400.0))
    assert window.note == "the energy counter has stopped answering (GPU is lost)"


def test_gpu_lost_inside_a_window_is_unknown(clock):
    library = FakeNvml(clock=clock)
    window = measure(library, seconds=0.5, meanwhile=refuse_from_now(library, *TOLD))
    assert (window.energy_j, window.reason) == (None, "the GPU has stopped answering (GPU is lost)")


def test_a_driver_that_does_not_let_go_is_no_error(clock):
    library = FakeNvml(clock=clock, absent=["nvmlShutdown"])
    NvmlMeter(library, clock).close()


def test_throttling_is_named(clock):
    assert measure(FakeNvml(FakeCard(throttle=0x40 | 0x4), clock=clock)).throttled == "heat (hardware)"


def test_samples_in_the_background():
    meter = NvmlMeter(FakeNvml(), time.monotonic, period_s=0.005)
    with meter.window("w") as reading:
        time.sleep(0.1)
    assert reading.result.samples >= 5
    assert reading.result.sampled_energy_j == pytest.approx(200 * reading.result.duration_s, rel=1e-6)
    assert not any(thread.name == "meter" for thread in threading.enumerate())


def test_facts(clock):
    card = FakeCard(pids=[os.getpid(), -5])
    facts = NvmlMeter(FakeNvml(card, clock=clock, absent=["nvmlDeviceGetMaxClockInfo"])).facts()
    assert (facts["gpu"], facts["driver"], facts["power_limit_w"]) == ("Fake 100", "1.2", 700.0)
    assert facts["sm_clock_max_mhz"] is None
    assert facts["unknown"]["sm_clock_max_mhz"] == "Not Supported"
    assert facts["power_limit_default_w"] is None
    assert "power_limit_default_w" in facts["unknown"]
    assert facts["other_processes_at_start"] == 1


def test_no_driver(clock):
    with pytest.raises(Unavailable, match="no NVIDIA driver"):
        NvmlMeter(FakeNvml(clock=clock, absent=["nvmlInit"]), clock)

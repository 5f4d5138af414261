"""Which meter a device gets."""

import time

import pytest

from eventspeech.meters import choose
from eventspeech.meters.window import Unavailable


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("error", [Unavailable("no such thing"), RuntimeError("broken")])
def test_for_device_never_raises(device, error, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(choose, "RaplMeter", fail)
    monkeypatch.setattr(choose, "NvmlMeter", fail)
    meter = choose.for_device(device)
    assert meter.kind == "none"
    assert str(error) in meter.reason


@pytest.mark.gpu
def test_real_gpu():
    meter = choose.for_device("cuda")
    assert meter.kind == "nvml"
    with meter.window("idle") as reading:
        time.sleep(1.5)
    assert reading.result.energy_j > 0
    assert reading.result.samples > 10
    assert meter.facts()["gpu"]
    meter.close()

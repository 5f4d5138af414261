"""Meters: the arithmetic by itself, RAPL on a fake tree, NVML on a fake library, replay of a recording."""

import itertools
import math
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventspeech.errors import DataError
from eventspeech.profiling import meters
from eventspeech.profiling.meters import NoMeter, NvmlMeter, RaplMeter, ReplayMeter, Sample, Unavailable, Window


class Clock:
    """Time that passes only when told to."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


class TestArithmetic:
    def test_integral_of_constant_power(self):
        samples = [Sample(t, 50.0) for t in (1.0, 1.3, 1.9)]
        assert meters.integrate(samples, 1.0, 2.0, largest_gap_s=1) == pytest.approx(50.0)

    @settings(deadline=None)
    @given(st.lists(st.floats(0, 10), min_size=2, unique=True), st.floats(-5, 5), st.floats(0, 20))
    def test_integral_of_a_ramp_is_exact(self, times, slope, start):
        times = sorted(times)
        samples = [Sample(t, start + slope * t) for t in times]
        begin, end = times[0], times[-1]
        exact = start * (end - begin) + slope * (end**2 - begin**2) / 2
        assert meters.integrate(samples, begin, end, largest_gap_s=math.inf) == pytest.approx(exact, abs=1e-6)

    def test_samples_outside_the_window_do_not_count(self):
        samples = [Sample(0.0, 1e6), Sample(1.0, 10.0), Sample(2.0, 10.0), Sample(3.0, 1e6)]
        assert meters.integrate(samples, 0.5, 2.5, largest_gap_s=2) == pytest.approx(20.0)

    @pytest.mark.parametrize(
        "samples",
        [
            [],
            [Sample(0.5, 10.0)],
            [Sample(0.0, None), Sample(0.5, 10.0), Sample(1.0, None)],
            [Sample(0.0, 10.0), Sample(10.0, 10.0)],
        ],
        ids=["none", "one", "unknown power", "a gap"],
    )
    def test_missing_samples_are_unknown(self, samples):
        assert meters.integrate(samples, 0.0, 10.0, largest_gap_s=1) is None

    @pytest.mark.parametrize(
        ("begin", "end", "range_", "advance"),
        [
            (5, 9, None, 4),
            (5, 5, 100, 0),
            (95, 3, 100, 8),
            (9, 5, None, None),
            (None, 5, 100, None),
            (5, None, 1, None),
        ],
    )
    def test_counter(self, begin, end, range_, advance):
        assert meters.counted(begin, end, range_) == advance

    def test_good_counter(self):
        assert meters.judge(100.0, 105.0, 10.0, 0.1) == (100.0, "counter", None, None)

    def test_zero_is_unknown_never_zero(self):
        energy, method, reason, _ = meters.judge(0.0, 3.0, 0.05, 0.1)
        assert (energy, method) == (None, None)
        assert "shorter than the counter's period" in reason
        energy, _, reason, _ = meters.judge(0.0, None, 5.0, 0.1)
        assert energy is None
        assert "stood still" in reason

    def test_short_window_is_doubtful(self):
        energy, _, reason, note = meters.judge(30.0, None, 0.3, 0.1)
        assert (energy, reason) == (30.0, None)
        assert "fewer than 10 periods" in note

    def test_disagreement_is_noted(self):
        *_, note = meters.judge(187.0, 327.0, 5.0, 0.1)
        assert "187 J" in note
        assert "327 J" in note

    def test_samples_replace_a_missing_counter(self):
        assert meters.judge(None, 42.0, 5.0, 0.1) == (42.0, "samples", None, None)
        assert meters.judge(None, None, 5.0, 0.1)[0] is None

    @pytest.mark.parametrize(("energy", "reason"), [(None, None), (1.0, "why")])
    def test_window_has_energy_or_reason(self, energy, reason):
        with pytest.raises(ValueError, match="either an energy or a reason"):
            Window("w", 1.0, energy, reason=reason)


class TestWindows:
    def test_nested_and_named(self, clock):
        meter = NoMeter("no counters", clock)
        with meter.window("outer") as outer:
            clock.now_s += 1
            with meter.window("inner") as inner:
                clock.now_s += 2
        assert (outer.result.duration_s, inner.result.duration_s) == (3, 2)
        assert outer.result.energy_j is None
        assert outer.result.reason == "no counters"

    def test_name_is_open_once(self, clock):
        meter = NoMeter("no counters", clock)
        meter.begin("a")
        with pytest.raises(RuntimeError, match="open already"):
            meter.begin("a")
        meter.end("a")
        with pytest.raises(RuntimeError, match="not open"):
            meter.end("a")

    def test_window_closes_when_work_fails(self, clock):
        meter = NoMeter("no counters", clock)
        with pytest.raises(ZeroDivisionError), meter.window("a"):
            raise ZeroDivisionError
        meter.begin("a")


def domain(folder: Path, name: str, energy_uj: int = 0, range_uj: int = 1000_000_000) -> Path:
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return folder / "energy_uj"


class TestRapl:
    @pytest.fixture
    def tree(self, tmp_path):
        """Two packages, and everything that must not be added to them."""
        root = tmp_path / "powercap"
        first = domain(root / "intel-rapl:0", "package-0", 10_000_000)
        second = domain(root / "intel-rapl:1", "package-1", 999_000_000)
        domain(root / "intel-rapl:0" / "intel-rapl:0:0", "core")
        domain(root / "intel-rapl:0:0", "core")
        domain(root / "intel-rapl:0:1", "dram")
        domain(root / "intel-rapl:2", "psys")
        domain(root / "intel-rapl-mmio:0", "package-0")
        return SimpleNamespace(root=root, first=first, second=second)

    def test_packages_only(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        assert meter.facts() == {"meter": "rapl", "domains": ["package-0", "package-1"]}

    def test_sum_and_wrap_around(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        with meter.window("w") as reading:
            clock.now_s += 2
            tree.first.write_text("15000000")
            tree.second.write_text("3000000")  # from 999 J over 1000 J to 3 J
        assert reading.result.energy_j == pytest.approx(5 + 4)
        assert reading.result.mean_power_w == pytest.approx(4.5)
        assert reading.result.method == "counter"
        assert reading.result.note is None

    def test_follows_several_turns_in_the_background(self, tree):
        meter = RaplMeter(tree.root, period_s=0.005)
        expected_j = 0.0
        with meter.window("w") as reading:
            for value_uj in itertools.islice(itertools.cycle([600_000_000, 200_000_000]), 4):
                before_uj = int(tree.first.read_text())
                expected_j += ((value_uj - before_uj) % 1_000_000_000) / 1e6
                tree.first.parent.joinpath("new").write_text(str(value_uj))
                tree.first.parent.joinpath("new").replace(tree.first)  # never half-written
                reads = meter._reads
                deadline = time.monotonic() + 5
                while meter._reads < reads + 2 and time.monotonic() < deadline:
                    time.sleep(0.002)
        assert expected_j > 1500
        assert reading.result.energy_j == pytest.approx(expected_j)
        assert reading.result.samples >= 8

    def test_idle_before_the_window_does_not_count(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        tree.first.write_text("500000000")
        with meter.window("w") as reading:
            clock.now_s += 1
            tree.first.write_text("501000000")
        assert reading.result.energy_j == pytest.approx(1.0)

    def test_counter_that_stands_still_is_unknown(self, tree, clock):
        with RaplMeter(tree.root, clock).window("w") as reading:
            clock.now_s += 1
        assert reading.result.energy_j is None
        assert "stood still" in reading.result.reason

    def test_counter_lost_inside_a_window(self, tree, clock):
        with RaplMeter(tree.root, clock).window("w") as reading:
            clock.now_s += 1
            tree.first.unlink()
        assert reading.result.energy_j is None
        assert "cannot be read" in reading.result.reason

    def test_no_tree(self, tmp_path):
        with pytest.raises(Unavailable, match="no powercap tree"):
            RaplMeter(tmp_path / "none")

    def test_no_package(self, tmp_path):
        domain(tmp_path / "intel-rapl:0", "psys")
        with pytest.raises(Unavailable, match="no RAPL package"):
            RaplMeter(tmp_path)

    def test_missing_privilege_is_named(self, tree, monkeypatch):
        # file modes do not stop root, who may run the tests
        read_text = Path.read_text

        def refuse(self, *args, **kwargs):
            if self.name == "energy_uj":
                raise PermissionError(13, "Permission denied")
            return read_text(self, *args, **kwargs)

        monkeypatch.setattr(Path, "read_text", refuse)
        with pytest.raises(Unavailable, match="takes root"):
            RaplMeter(tree.root)

    def test_no_thread_is_left(self, tree, clock):
        meter = RaplMeter(tree.root, clock)
        with meter.window("w"):
            assert any(thread.name == "meter" for thread in threading.enumerate())
        assert not any(thread.name == "meter" for thread in threading.enumerate())


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


class TestReplay:
    def test_round_trip(self, tmp_path):
        windows = [
            Window("idle", 1.0, 30.0, 30.0, "counter", samples=20, temperature_c=35.0),
            Window("trial", 2.0, reason="no counters"),
            Window("trial", 2.5, 500.0, 200.0, "counter", note="doubtful, a little", throttled="heat"),
        ]
        meters.record(windows, tmp_path / "windows.csv")
        meter = ReplayMeter(tmp_path / "windows.csv")
        replayed = []
        for name in ("trial", "idle", "trial"):
            with meter.window(name) as reading:
                pass
            replayed.append(reading.result)
        assert replayed == [windows[1], windows[0], windows[2]]

    def test_runs_out(self, tmp_path):
        meters.record([Window("a", 1.0, reason="why")], tmp_path / "w.csv")
        meter = ReplayMeter(tmp_path / "w.csv")
        with meter.window("a"):
            pass
        with pytest.raises(DataError, match="no further window 'a'"), meter.window("a"):
            pass

    @pytest.mark.parametrize(
        "text", ["name,duration_s\na,x\n", "duration_s\n1\n", "name,duration_s,energy_j\na,1,nan\n"]
    )
    def test_damaged(self, tmp_path, text):
        (tmp_path / "w.csv").write_text(text)
        with pytest.raises(DataError, match="not a recording"):
            ReplayMeter(tmp_path / "w.csv")

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="not a recording"):
            ReplayMeter(tmp_path / "none.csv")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("error", [Unavailable("no such thing"), RuntimeError("broken")])
def test_for_device_never_raises(device, error, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(meters, "RaplMeter", fail)
    monkeypatch.setattr(meters, "NvmlMeter", fail)
    meter = meters.for_device(device)
    assert meter.kind == "none"
    assert str(error) in meter.reason


@pytest.mark.gpu
def test_real_gpu():
    meter = meters.for_device("cuda")
    assert meter.kind == "nvml"
    with meter.window("idle") as reading:
        time.sleep(1.5)
    assert reading.result.energy_j > 0
    assert reading.result.samples > 10
    assert meter.facts()["gpu"]
    meter.close()

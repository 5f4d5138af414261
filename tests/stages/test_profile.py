"""The profile stage: its arithmetic and verdicts without hardware, and whole rows from a fake training."""

import errno
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support import replay
from support.replay import ReplayMeter

from eventspeech import params
from eventspeech.data import store
from eventspeech.errors import DataError, UserError
from eventspeech.learning.trainer import EpochResult
from eventspeech.meters.load import Load, other_cores
from eventspeech.meters.window import NoMeter, Window
from eventspeech.records import measurement
from eventspeech.stages import profile
from eventspeech.stages.profile import Trial


def counted(name, duration_s, energy_j, **options):
    return Window(name, duration_s, energy_j, energy_j / duration_s, "counter", **options)


def unknown(name="trial", duration_s=1.0, reason="no counters"):
    return Window(name, duration_s, reason=reason)


def trial(times_s=(1.0,), device=None, host=None, other=0.0):
    return Trial(tuple(times_s), device or unknown(), host or unknown(), other)


IDLE = Trial((1.0,), counted("idle", 1.0, 30.0, memory_mib=100.0), unknown("idle"), 0.0)
BEGUN = {"setup_s": 0.5, "first_epoch_s": 4.0}


def summarise(trials, idle=IDLE, facts=None, samples=128):
    return profile.summarise("cuda", trials, idle, samples, BEGUN, facts or {"meter": "nvml"})


class TestArithmetic:
    def test_energy_is_a_median_of_joules_per_epoch(self):
        windows = [counted("trial", 4.0, joules) for joules in (800.0, 840.0, 2000.0)]
        assert profile.per_epoch(windows, [2, 2, 2]) == (420.0, None)

    def test_one_unknown_trial_makes_the_energy_unknown(self):
        energy, reason = profile.per_epoch([counted("trial", 1.0, 5.0), unknown()], [1, 1])
        assert energy is None
        assert reason == "1 of 2 trials have no energy: no counters"
        assert profile.per_epoch([unknown()], [1]) == (None, "no counters")

    def test_net_energy(self):
        windows = [counted("trial", 4.0, 800.0), counted("trial", 4.0, 840.0)]
        assert profile.net_per_epoch(windows, [2, 2], 30.0) == pytest.approx((340 + 360) / 2)
        assert profile.net_per_epoch(windows, [2, 2], None) is None
        assert profile.net_per_epoch([*windows, unknown()], [2, 2, 2], 30.0) is None
        assert profile.net_per_epoch(windows, [2, 2], 1000.0) is None  # below the baseline is noise, not energy

    def test_row(self):
        trials = [
            trial((1.0, 1.1), counted("trial", 2.1, 420.0, memory_mib=600.0, temperature_c=60.0, clock_mhz=1500.0)),
            trial((0.9, 1.0), counted("trial", 1.9, 400.0, memory_mib=700.0, temperature_c=62.0, clock_mhz=1500.0)),
        ]
        row = summarise(trials)
        assert (row["status"], row["reason"]) == ("VALID", None)
        assert (row["epoch_time_s"], row["epoch_time_low_s"], row["epoch_time_high_s"]) == (1.0, 0.9, 1.1)
        assert row["epoch_times_s"] == [1.0, 1.1, 0.9, 1.0]
        assert row["compile_s"] == 3.0
        assert row["energy_per_epoch_j"] == pytest.approx(205.0)
        assert (row["energy_per_epoch_low_j"], row["energy_per_epoch_high_j"]) == (200.0, 210.0)
        assert row["energy_sampled_per_epoch_j"] is None
        assert row["energy_per_sample_j"] == pytest.approx(205.0 / 128)
        assert row["energy_net_per_epoch_j"] == pytest.approx((420 - 63 + 400 - 57) / 4)
        assert row["idle_power_w"] == 30.0
        assert row["peak_memory_mib"] == 600.0
        assert row["temperature_c"] == 62.0
        assert (row["energy_status"], row["energy_reason"]) == ("VALID", None)
        assert row["host_energy_reason"] == "no counters"
        json.dumps(row, allow_nan=False)

    def test_what_power_samples_say_stands_beside_the_counter(self):
        windows = [counted("trial", 2.0, 400.0, sampled_energy_j=joules) for joules in (380.0, 390.0, 420.0)]
        row = summarise([trial((1.0, 1.0), window) for window in windows])
        assert (row["energy_per_epoch_j"], row["energy_sampled_per_epoch_j"]) == (200.0, 195.0)

    def test_a_model_estimates_only_what_was_not_measured(self):
        row = {"energy_per_epoch_j": None, "epoch_time_s": 2.0}
        assert profile.estimate(row, None) == {}
        found = profile.estimate(row, 65.0)
        assert found["energy_estimate_per_epoch_j"] == 130.0 and "a model: 65 W" in found["energy_estimate_reason"]
        assert profile.estimate(row | {"energy_per_epoch_j": 5.0}, 65.0) == {"energy_estimate_reason": "measured"}

    def test_unknown_is_none_with_a_reason_never_zero(self):
        idle = Trial((1.0,), unknown("idle"), unknown("idle"), None)
        row = summarise([trial((1.0, 1.0))], idle)
        for key in ("power_w", "energy_per_epoch_j", "energy_net_per_epoch_j", "energy_per_sample_j", "idle_power_w"):
            assert row[key] is None
        assert (row["energy_status"], row["energy_reason"]) == ("not measured", "no counters")
        assert row["idle_reason"] == "no counters"
        assert row["peak_memory_mib"] is None
        assert row["status"] == "VALID"


class TestVerdict:
    def verdict(self, times_s=(1.0, 1.01), trials=None, idle=IDLE):
        return profile.verdict(times_s, trials or [trial(times_s)], idle, 4)

    def test_valid(self):
        assert self.verdict() == ("VALID", None)

    def test_single_epoch(self):
        status, reason = self.verdict((1.0,))
        assert status == "INVALID"
        assert "raise profile.trials" in reason

    def test_spread(self):
        status, reason = self.verdict((1.0, 1.0, 1.5))
        assert (status, reason) == ("INVALID", "epoch times spread over 50 % of their median")

    def test_throttling(self):
        hot = trial(device=counted("trial", 1.0, 5.0, throttled="heat (driver)"))
        assert self.verdict(trials=[hot]) == ("INVALID", "the device was slowed down by heat (driver)")

    def test_other_load(self):
        status, reason = self.verdict(trials=[trial(other=2.0)])
        assert (status, reason) == ("INVALID", "other programs kept 2.0 of 4 cores busy during the measurement")
        status, reason = self.verdict(idle=Trial((1.0,), unknown(), unknown(), 1.0))
        assert "before the measurement" in reason

    def test_unknown_load_is_no_reason(self):
        idle = Trial((1.0,), unknown(), unknown(), None)
        assert self.verdict(trials=[trial(other=None)], idle=idle) == ("VALID", None)

    @pytest.mark.parametrize(
        ("facts", "doubt"),
        [
            ({"other_processes_at_start": 1, "processes": 1}, "other processes"),
            ({"other_processes_at_start": 0, "processes": 2}, "other processes"),
            ({"ambiguous": "several GPUs: set it"}, "several GPUs"),
        ],
    )
    def test_doubtful_energy_is_invalid_but_times_hold(self, facts, doubt):
        row = summarise([trial((1.0, 1.0), counted("trial", 2.0, 400.0))], facts=facts)
        assert (row["status"], row["energy_status"]) == ("VALID", "INVALID")
        assert doubt in row["energy_reason"]
        assert row["energy_per_epoch_j"] == 200.0

    def test_own_process_on_the_card_is_no_doubt(self):
        row = summarise(
            [trial((1.0, 1.0), counted("trial", 2.0, 400.0))], facts={"other_processes_at_start": 0, "processes": 1}
        )
        assert row["energy_status"] == "VALID"

    def test_notes_of_the_meter_make_the_energy_invalid(self):
        windows = [trial((0.1, 0.1), counted("trial", 0.2, 40.0, note="too short")) for _ in range(2)]
        row = summarise(windows)
        assert (row["energy_status"], row["energy_reason"]) == ("INVALID", "too short")

    def test_load_of_others(self):
        assert other_cores(Load(10.0, 1.0, 0.0), Load(18.0, 5.0, 2.0)) == pytest.approx(2.0)
        assert other_cores(Load(10.0, 1.0, 0.0), Load(12.0, 5.0, 2.0)) == 0.0
        assert other_cores(Load(None, 1.0, 0.0), Load(None, 5.0, 2.0)) is None


@pytest.fixture
def study():
    """A parameter file that measures quickly."""
    content = {
        "study": {"losses": ["exponential"], "seeds": [0]},
        "shape": {"exponential": {"kind": "exponential"}},
        "validation": {"speakers": ["a"]},
        "profile": {"samples": 8, "epochs": 2, "trials": 3, "warmup_epochs": 1, "idle_s": 0.01},
    }
    return params.validate(content)


@pytest.fixture
def spikes(tmp_path):
    trains = [(np.array([1.0, 2.0]), np.array([3, 4])) for _ in range(8)]
    made = store.from_samples(trains, np.zeros(8), np.zeros(8), ["one"], ["a"], 100.0)
    store.save(made, tmp_path / "train.npz", "train")
    return tmp_path / "train.npz"


class Training:
    """Stands for the training code; counts its epochs."""

    def __init__(self):
        self.epochs = 0
        self.engine = None

    def __call__(self, study, loss_name, batch_size, samples):
        assert (loss_name, len(samples), study.train.batch_size) == ("exponential", 8, batch_size)
        self.engine = study.optimiser.engine

        return SimpleNamespace(epoch=self._epoch, adam_damping=lambda: 0.25)

    def _epoch(self):
        self.epochs += 1
        return EpochResult(1.5, self.epochs / 100, 1.0, 0.0, 8)


def test_row_of_a_cpu_without_counters(study, spikes, tmp_path):
    training = Training()
    profile.profile(study, "cpu", 4, spikes, tmp_path / "out.json", workload=training, meter=NoMeter("no counters"))
    row = json.loads((tmp_path / "out.json").read_text())
    assert training.epochs == 1 + 1 + 3 * 2  # first, warm-up, trials
    assert training.engine == "cpu"
    assert row["status"] in ("VALID", "INVALID")  # epochs of microseconds do spread
    assert len(row["epoch_times_s"]) == 6
    assert (row["device"], row["batch_size"], row["samples"], row["trials"], row["epochs"]) == ("cpu", 4, 8, 3, 2)
    assert row["accuracy"] == pytest.approx(0.08)
    assert (row["updates_per_epoch"], row["adam_damping"]) == (2, 0.25)
    assert (row["energy_per_epoch_j"], row["energy_reason"]) == (None, "no counters")
    assert (row["energy_estimate_per_epoch_j"], row["energy_estimate_reason"]) == (None, "no model chosen")
    assert row["peak_memory_mib"] > 10
    assert row["machine"]["python"]
    assert row["parameters"]["profile.samples"] == 8


def test_row_of_a_replayed_gpu(study, spikes, tmp_path):
    windows = [counted("idle", 1.0, 70.0), *[counted("trial", 10.0, 2000.0 + i) for i in range(3)]]
    replay.record(windows, tmp_path / "windows.csv")
    training = Training()
    profile.profile(
        study, "cuda", 8, spikes, tmp_path / "out.json", workload=training,
        meter=ReplayMeter(tmp_path / "windows.csv"),
    )  # fmt: skip
    row = json.loads((tmp_path / "out.json").read_text())
    assert training.engine == "cuda"
    assert row["energy_per_epoch_j"] == pytest.approx(1000.5)
    assert row["energy_net_per_epoch_j"] == pytest.approx((2001 - 700) / 2)
    assert row["power_w"] == pytest.approx(200.1)
    assert row["idle_power_w"] == 70.0
    assert [window["name"] for window in row["windows"]] == ["idle", "trial", "trial", "trial"]


def test_all_rows_have_the_same_keys(study, spikes, tmp_path, monkeypatch):
    profile.profile(study, "cpu", 4, spikes, tmp_path / "a.json", workload=Training())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    profile.profile(study, "cuda", 4, spikes, tmp_path / "b.json")
    rows = [json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json")]
    assert list(rows[0]) == list(rows[1])
    assert all(key in rows[0] for key in measurement.MEASURED)


def test_without_cuda_nothing_is_imported_or_read(tmp_path):
    code = f"""
import sys
from eventspeech import params
from eventspeech.stages import profile
study = params.validate({{"study": {{"losses": ["e"], "seeds": [0]}}, "shape": {{"e": {{"kind": "exponential"}}}},
    "validation": {{"speakers": ["a"]}}, "profile": {{"loss": "e"}}, "compare": {{"reference": "e"}}}})
profile.profile(study, "cuda", 4, "no-such-file.npz", {str(tmp_path / "out.json")!r})
sys.exit(any(name in sys.modules for name in ("numba", "scipy", "pandas")))
"""
    environment = os.environ | {"PATH": "", "CUDA_VISIBLE_DEVICES": ""}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
    row = json.loads((tmp_path / "out.json").read_text())
    assert (row["status"], row["reason"]) == ("not measured", "CUDA_VISIBLE_DEVICES hides every GPU")
    assert row["energy_reason"] == row["reason"]
    assert all(row[key] is None for key in measurement.MEASURED if not key.endswith("reason"))


def refuse(error):
    def workload(*arguments):
        raise error

    return workload


def test_gpu_engine_that_refuses_is_not_measured(study, spikes, tmp_path):
    workload = refuse(UserError("The engine cuda needs cupy; install it."))
    profile.profile(study, "cuda", 4, spikes, tmp_path / "out.json", workload=workload, meter=NoMeter("none"))
    row = json.loads((tmp_path / "out.json").read_text())
    assert (row["status"], row["reason"]) == ("not measured", "The engine cuda needs cupy; install it.")


def test_cpu_engine_that_refuses_is_the_users_error(study, spikes, tmp_path):
    with pytest.raises(UserError, match="wrong"):
        profile.profile(study, "cpu", 4, spikes, tmp_path / "out.json", workload=refuse(UserError("wrong")))
    assert not (tmp_path / "out.json").exists()


def test_the_changes_of_the_measured_loss_are_measured(study, spikes, tmp_path):
    seen = []

    def workload(parameters, loss, batch_size, samples):
        seen.append(parameters)
        raise UserError("enough")

    changes = {"optimiser": {"learning_rate": 0.5}, "train": {"batch_size": 2}, "network": {"hidden": [3]}}
    content = study.model_dump() | {"shape": {"exponential": {"kind": "exponential", "changes": changes}}}
    with pytest.raises(UserError, match="enough"):
        profile.profile(params.validate(content), "cpu", 4, spikes, tmp_path / "out.json", workload=workload)
    (given,) = seen
    assert (given.network.hidden, given.optimiser.learning_rate) == ([3], 0.5)
    assert given.for_loss("exponential").train.batch_size == 4  # the sweep's own


def test_no_memory_is_not_measured(study, spikes, tmp_path):
    profile.profile(study, "cpu", 4, spikes, tmp_path / "out.json", workload=refuse(MemoryError()))
    assert "not enough memory" in json.loads((tmp_path / "out.json").read_text())["reason"]


def test_batch_larger_than_the_epoch_is_not_measured(study, spikes, tmp_path):
    profile.profile(study, "cpu", 16, spikes, tmp_path / "out.json", workload=Training())
    row = json.loads((tmp_path / "out.json").read_text())
    assert (row["status"], row["batch_size"]) == ("not measured", 16)
    assert "profile.samples" in row["reason"]


def test_missing_store_is_the_users_error(study, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        profile.profile(study, "cpu", 4, tmp_path / "none.npz", tmp_path / "out.json", workload=Training())


def test_meter_is_closed_when_training_fails(study, spikes, tmp_path):
    meter = NoMeter("none")
    closed = []
    meter.close = lambda: closed.append(True)
    workload = refuse(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        profile.profile(study, "cpu", 4, spikes, tmp_path / "out.json", workload=workload, meter=meter)
    assert closed == [True]


class OfTheDriver(Exception):
    """Stands for what CuPy raises when the card is lost or its memory is full."""


OfTheDriver.__module__ = "cupy_backends.cuda.api.runtime"


def fails_in_epoch(number, error):
    """Return a workload whose epochs go well until one raises."""
    epochs = []

    def workload(*arguments):
        def epoch():
            epochs.append(1)
            if len(epochs) == number:
                raise error
            return EpochResult(1.5, 0.5, 1.0, 0.0, 8)

        return SimpleNamespace(epoch=epoch, adam_damping=lambda: 0.25)

    return workload


@pytest.mark.parametrize("number", [1, 2, 3, 8], ids=["first", "warm-up", "first trial", "last"])
@pytest.mark.parametrize(
    ("device", "error", "reason"),
    [
        ("cpu", MemoryError(), "not enough memory for a batch of 4"),
        ("cpu", OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory for a batch of 4"),
        ("cuda", MemoryError(), "not enough memory for a batch of 4"),
        ("cuda", UserError("The GPU's memory is not enough."), "The GPU's memory is not enough."),
        ("cuda", OfTheDriver("GPU is lost"), "the GPU failed (OfTheDriver: GPU is lost)"),
        ("cuda", RuntimeError("runtime.cc: 12: cuda error 719"), "the GPU failed (RuntimeError: runtime.cc: 12"),
    ],
)
def test_an_epoch_that_fails_by_the_machines_fault_is_a_row(study, spikes, tmp_path, device, error, reason, number):
    meter = NoMeter("none")
    workload = fails_in_epoch(number, error)
    profile.profile(study, device, 4, spikes, tmp_path / "out.json", workload=workload, meter=meter)
    row = measurement.read(tmp_path / "out.json", device, 4)
    assert (row["status"], row["energy_status"]) == ("not measured", "not measured")
    assert row["reason"].startswith(reason)
    assert row["epoch_time_s"] is None


@pytest.mark.parametrize(
    ("device", "error"),
    [("cpu", UserError("wrong")), ("cpu", OfTheDriver("?")), ("cuda", IndexError("ours")), ("cuda", RuntimeError("x"))],
)
def test_an_epoch_that_fails_by_another_fault_is_told(study, spikes, tmp_path, device, error):
    with pytest.raises(type(error)):
        profile.profile(study, device, 4, spikes, tmp_path / "out.json", workload=fails_in_epoch(4, error))
    assert not (tmp_path / "out.json").exists()


def test_what_is_measured_can_be_read(study, spikes, tmp_path):
    profile.profile(study, "cpu", 4, spikes, tmp_path / "a.json", workload=Training(), meter=NoMeter("none"))
    assert measurement.read(tmp_path / "a.json", "cpu", 4)["epoch_time_s"] > 0


def test_memory_that_others_let_go_is_unknown():
    row = summarise([trial((1.0, 1.0), counted("trial", 2.0, 400.0, memory_mib=50.0))])
    assert row["peak_memory_mib"] is None

"""Rows of measurements: what cannot be is refused where it is read."""

import json

import pytest

from eventspeech.errors import DataError
from eventspeech.records import measurement

MEASURED = {
    "device": "cuda", "batch_size": 32, "engine": "cuda", "loss": "exponential", "status": "VALID", "reason": None,
    "trials": 3, "epochs": 1, "samples": 128, "threads": 2, "epoch_time_s": 0.5, "epoch_time_low_s": 0.4,
    "epoch_time_high_s": 0.6, "epoch_times_s": [0.4, 0.5, 0.6], "energy_per_epoch_j": 50.0, "power_w": 100.0,
    "energy_per_epoch_low_j": 40.0, "energy_per_epoch_high_j": 60.0, "energy_net_per_epoch_j": 30.0,
    "energy_per_sample_j": 0.4, "energy_sampled_per_epoch_j": 51.0, "idle_power_w": 40.0, "peak_memory_mib": 300.0,
    "accuracy": 0.5, "loss_value": 2.5, "updates_per_epoch": 4, "adam_damping": 0.1, "energy_status": "VALID",
    "energy_reason": None, "machine": {},
}  # fmt: skip
UNMEASURED = MEASURED | {
    key: None for key, value in MEASURED.items() if isinstance(value, float | list) or key == "updates_per_epoch"
} | measurement.not_measured("no GPU")  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def written(row, device="cuda", batch_size=32):
        path = tmp_path / "row.json"
        path.write_text(row if isinstance(row, str) else json.dumps(row))
        return measurement.read(path, device, batch_size)

    return written


@pytest.mark.parametrize("row", [MEASURED, UNMEASURED], ids=["measured", "not measured"])
def test_a_sound_row_is_returned_as_it_stands(read, row):
    assert read(row) == row


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"energy_per_epoch_j": -50.0}, "energy_per_epoch_j is -50.0"),
        ({"energy_per_epoch_j": 0.0}, "energy_per_epoch_j is 0.0"),
        ({"energy_per_epoch_j": float("nan")}, "energy_per_epoch_j is nan"),
        ({"epoch_time_s": float("inf")}, "epoch_time_s is inf"),
        ({"epoch_time_s": -0.5}, "epoch_time_s is -0.5"),
        ({"epoch_time_s": "0.5"}, "epoch_time_s is '0.5'"),
        ({"epoch_time_s": True}, "epoch_time_s is True"),
        ({"epoch_times_s": [0.5, -1.0]}, "epoch_times_s.1 is -1.0"),
        ({"accuracy": 1.7}, "accuracy is 1.7"),
        ({"idle_power_w": -1.0}, "idle_power_w is -1.0"),
        ({"peak_memory_mib": -1.0}, "peak_memory_mib is -1.0"),
        ({"device": "abacus"}, "device is 'abacus'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"samples": 12.5}, "samples is 12.5"),
        ({"status": "valid"}, "status is 'valid'"),
        ({"machine": None}, "machine is None"),
        ({"status": "INVALID"}, "status is 'INVALID' without a reason"),
        ({"status": "not measured", "reason": "lost"}, "status is 'not measured' but the value is 0.5"),
        ({"epoch_time_s": None}, "status is 'VALID' but the value is None"),
        ({"energy_per_epoch_j": None}, "energy_status is 'VALID' but the value is None"),
        ({"energy_status": "INVALID"}, "without a energy_reason"),
        ({"epoch_time_s": 0.7}, "epoch_time_s of 0.7 is not between the least (0.4) and the most (0.6)"),
        ({"energy_per_epoch_low_j": 55.0}, "energy_per_epoch_j of 50.0 is not between"),
        ({"energy_net_per_epoch_j": 51.0}, "more than the whole energy"),
    ],
)
def test_what_cannot_be_is_refused(read, change, told):
    with pytest.raises(DataError) as error:
        read(MEASURED | change)
    assert told in str(error.value)
    assert str(error.value).endswith("run the stage `profile` for cuda at batch size 32 again.")
    assert "\n" not in str(error.value)


def test_an_energy_of_what_was_not_measured_is_refused(read):
    change = {"energy_per_epoch_j": 3.0, "energy_status": "VALID"}
    with pytest.raises(DataError, match="but there is an energy"):
        read(UNMEASURED | change)


@pytest.mark.parametrize(("device", "batch_size"), [("cpu", 32), ("cuda", 16)])
def test_the_row_of_another_measurement_is_refused(read, device, batch_size):
    with pytest.raises(DataError, match="holds the measurement of cuda at batch size 32"):
        read(MEASURED, device, batch_size)


@pytest.mark.parametrize("key", ["status", "epoch_time_s", "energy_per_epoch_j", "machine"])
def test_a_missing_key_is_refused(read, key):
    with pytest.raises(DataError, match=f"{key} is"):
        read({name: value for name, value in MEASURED.items() if name != key})


@pytest.mark.parametrize("text", ["[]", "3", "null", '"VALID"'])
def test_json_that_is_no_row_is_refused(read, text):
    with pytest.raises(DataError, match="is no measurement"):
        read(text)


@pytest.mark.parametrize("text", ["", "{", '{"device": "cuda"'])
def test_half_a_file_is_refused(read, text):
    with pytest.raises(DataError, match="not valid JSON"):
        read(text)


def test_a_missing_file_names_its_stage(tmp_path):
    with pytest.raises(DataError, match="does not exist; run the stage `profile` for cpu at batch size 1 again"):
        measurement.read(tmp_path / "none.json", "cpu", 1)

"""A measurement of training as a row: its keys, the row that could not be measured, and what it says in a line."""

from typing import Any

from eventspeech import machine
from eventspeech.params import Params, select

MEASURED = (
    "epoch_time_s", "epoch_time_low_s", "epoch_time_high_s", "epoch_times_s", "setup_s", "first_epoch_s", "compile_s",
    "power_w", "energy_per_epoch_j", "energy_per_epoch_low_j", "energy_per_epoch_high_j", "energy_net_per_epoch_j",
    "energy_per_sample_j", "energy_method", "energy_sampled_per_epoch_j", "energy_estimate_per_epoch_j",
    "idle_power_w", "idle_reason", "host_energy_per_epoch_j", "host_energy_reason", "peak_memory_mib",
    "temperature_c", "clock_mhz", "other_cores_idle", "other_cores", "accuracy", "loss_value", "updates_per_epoch",
    "adam_damping",
)  # fmt: skip
"""Keys of a row that are ``null`` unless measured."""


def blank(params: Params, device: str, engine: str, batch_size: int) -> dict[str, Any]:
    """Return a row without measurements: every key that any row has."""
    return {
        "device": device,
        "batch_size": batch_size,
        "engine": engine,
        "loss": params.profile.loss,
        "status": None,
        "reason": None,
        "trials": params.profile.trials,
        "epochs": params.profile.epochs,
        "samples": params.profile.samples,
        "threads": machine.threads(),
        **dict.fromkeys(MEASURED),
        "energy_status": None,
        "energy_reason": None,
        "energy_estimate_reason": "no model chosen",
        "windows": [],
        "meter": None,
        "parameters": select(params, "profile"),
        "machine": machine.facts(),
    }


def not_measured(reason: str) -> dict[str, Any]:
    return {
        "status": "not measured", "reason": reason, "energy_status": "not measured", "energy_reason": reason,
        "idle_reason": reason, "host_energy_reason": reason,
    }  # fmt: skip


def sentence(row: dict[str, Any]) -> str:
    """Say a row in one line."""
    what = f"{row['device']}, batch {row['batch_size']}: {row['status']}"
    if row["epoch_time_s"] is not None:
        what += f", {row['epoch_time_s']:.3g} s an epoch of {row['samples']} samples"
        energy = row["energy_per_epoch_j"]
        what += ", energy not measured" if energy is None else f", {energy:.3g} J"
    return what + (f" ({row['reason']})" if row["reason"] else "")


def is_valid(row: dict, key: str) -> bool:
    """Whether a measurement is to be trusted: time and energy are judged apart."""
    return row["status"] == "VALID" and (not key.startswith("energy") or row.get("energy_status") == "VALID")

"""A measurement of training as a row: its keys, the row that could not be measured, and what it says in a line."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eventspeech import machine
from eventspeech.errors import DataError
from eventspeech.files import read_json
from eventspeech.params import Params, select

VALID, INVALID, NOT_MEASURED = "VALID", "INVALID", "not measured"
"""What a row, and its energy by itself, may be: to be trusted, not to be trusted, not there; the last two say why."""

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
    """Return what a row says that could not be measured, for a reason that is a clause or a sentence."""
    return {
        "status": NOT_MEASURED, "reason": reason, "energy_status": NOT_MEASURED, "energy_reason": reason,
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
    return row["status"] == VALID and (not key.startswith("energy") or row.get("energy_status") == VALID)


Status = Literal["VALID", "INVALID", "not measured"]
Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)] | None
Known = Annotated[float, Field(ge=0)] | None
Fraction = Annotated[float, Field(ge=0, le=1)] | None


class _Row(BaseModel):
    """What must hold of a row: units as in the names, ``None`` for unknown, no NaN, and nothing that cannot be."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    device: Literal["cpu", "cuda"]
    batch_size: Count
    trials: Count
    samples: Count
    status: Status
    reason: str | None
    energy_status: Status
    energy_reason: str | None
    epoch_time_s: Positive
    epoch_time_low_s: Positive
    epoch_time_high_s: Positive
    epoch_times_s: list[Annotated[float, Field(gt=0)]] | None = None
    energy_per_epoch_j: Positive
    energy_per_epoch_low_j: Positive
    energy_per_epoch_high_j: Positive
    energy_net_per_epoch_j: Known
    energy_per_sample_j: Positive
    energy_sampled_per_epoch_j: Known
    energy_estimate_per_epoch_j: Positive = None
    host_energy_per_epoch_j: Positive = None
    power_w: Positive
    idle_power_w: Known
    peak_memory_mib: Known
    setup_s: Known = None
    first_epoch_s: Known = None
    compile_s: Known = None
    temperature_c: float | None = None
    clock_mhz: Known = None
    other_cores_idle: Known = None
    other_cores: Known = None
    accuracy: Fraction
    loss_value: float | None = None
    updates_per_epoch: Count | None
    adam_damping: Fraction
    machine: dict[str, Any]

    @model_validator(mode="after")
    def _agrees(self) -> "_Row":
        for what, status, reason, value in (
            ("", self.status, self.reason, self.epoch_time_s),
            ("energy_", self.energy_status, self.energy_reason, self.energy_per_epoch_j),
        ):
            if (value is None) != (status == NOT_MEASURED):
                raise ValueError(f"{what}status is '{status}' but the value is {value}")
            if status != VALID and not reason:
                raise ValueError(f"{what}status is '{status}' without a {what}reason")
        if self.status == NOT_MEASURED and self.energy_per_epoch_j is not None:
            raise ValueError("status is 'not measured' but there is an energy")
        for what in ("epoch_time{}_s", "energy_per_epoch{}_j"):
            low, middle, high = (getattr(self, what.format(end)) for end in ("_low", "", "_high"))
            if None not in (low, middle, high) and not low <= middle <= high:
                raise ValueError(
                    f"{what.format('')} of {middle} is not between the least ({low}) and the most ({high})"
                )
        net, gross = self.energy_net_per_epoch_j, self.energy_per_epoch_j
        if net is not None and (gross is None or net > gross):
            raise ValueError(f"energy_net_per_epoch_j of {net} is more than the whole energy ({gross})")
        return self


def read(path: Path, device: str, batch_size: int) -> dict[str, Any]:
    """Read the row of one device and batch size.

    Raises:
        DataError: the file is missing, no row, that of another measurement, or says what cannot be: a negative energy,
            a NaN, a number without its status or a status without its reason.
    """
    remedy = f"run the stage `profile` for {device} at batch size {batch_size} again."
    if not Path(path).exists():
        raise DataError(f"{path} does not exist; {remedy}")
    row = read_json(path)
    try:
        checked = _Row.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = (
            f"{where} is {first['input']!r:.40}: {first['msg']}"
            if where
            else first["msg"].removeprefix("Value error, ")
        )
        raise DataError(f"{path} is no measurement that can be ({what}); {remedy}") from error
    if (checked.device, checked.batch_size) != (device, batch_size):
        raise DataError(
            f"{path} holds the measurement of {checked.device} at batch size {checked.batch_size}; {remedy}"
        )
    return row

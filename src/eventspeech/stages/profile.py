"""One measurement of training: time, power, energy and memory of an epoch on one device at one batch size.

Time line: cool-down, idle baseline, set-up and a first epoch (compilation), warm-up epochs, trials. Each trial is a
window of the meter around repeated epochs; an epoch that returns its loss has waited for its device. The idle
baseline comes before this process has touched the device, so that it is what the machine draws without this job.

The order of configurations is the workflow's matter: draw it at random, for a chip that was just heated slows the
next configuration and makes it draw more, and run one configuration at a time.
"""

import contextlib
import errno
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eventspeech import engines, machine
from eventspeech.data import store
from eventspeech.errors import UserError
from eventspeech.files import write_json
from eventspeech.learning.trainer import EpochResult
from eventspeech.learning.workload import Workload
from eventspeech.meters.choose import for_device
from eventspeech.meters.load import Load, other_cores
from eventspeech.meters.window import Meter, NoMeter, Window, largest
from eventspeech.params import Params
from eventspeech.records.measurement import INVALID, NOT_MEASURED, VALID, blank, not_measured, sentence

logger = logging.getLogger("eventspeech")

LARGEST_SPREAD = 0.25
"""Slowest less fastest epoch, as a fraction of the median, above which a measurement is INVALID."""

LARGEST_OTHER_LOAD = 0.1
"""Fraction of the cores that others may keep busy, idle or during a trial."""

CUDA_LIBRARIES = ("cupy", "cupy_backends", "pynvml", "pygenn")
"""Packages whose errors in the middle of an epoch are the GPU's or its driver's."""


@dataclass(frozen=True)
class Trial:
    """One trial: seconds of each epoch, windows of the device's and the host's meter, cores that others kept busy."""

    epoch_times_s: tuple[float, ...]
    device: Window
    host: Window
    other_cores: float | None


def profile(
    params: Params,
    device: str,
    batch_size: int,
    spikes: Path,
    out: Path,
    *,
    workload: Callable[[Params, str, int, store.SpikeStore], Workload] = Workload,
    meter: Meter | None = None,
) -> None:
    """Measure training on ``device`` (``cpu`` or ``cuda``) at one batch size, and write a row as JSON.

    The row's ``status`` is VALID, INVALID (numbers are there, ``reason`` says why not to trust them) or ``not
    measured`` (no numbers, and the reason). ``epoch_time_s`` is the median over all epochs of all trials, low and
    high are the fastest and slowest. Energies are medians over trials of joules per epoch, low and high the least and
    the most: gross, and net of the idle baseline. ``energy_sampled_per_epoch_j`` is what power samples say beside a
    counter; ``energy_estimate_per_epoch_j``, for a CPU without counters, is what a model says: ``profile.cpu_model_w``
    for the length of an epoch. For ``cuda`` they are the board's; ``host_*`` is the processor's share meanwhile.
    ``peak_memory_mib`` is the process's peak resident memory for ``cpu``, the board's above its level before this job
    for ``cuda``. What the batch size does to learning: ``accuracy`` in the last epoch, ``updates_per_epoch``, and
    ``adam_damping`` (near 1 epsilon, and not the gradient, rules the steps).

    Args:
        params: of the study; ``profile`` says how long to measure.
        spikes: training split.
        out: JSON to write.
        workload: makes what is measured of the parameters, the name of the loss, the batch size and the samples;
            ``params.optimiser.engine`` is already the engine to measure.
        meter: of the device; default the one this machine has.

    Raises:
        UserError: the spike store is missing or damaged, or (``cpu``) the engine refuses the parameters.
    """
    params = params.for_loss(params.profile.loss)
    engine = engines.for_device(device, params.optimiser.engine)
    row = blank(params, device, engine, batch_size)
    problem = engines.named(engine).problem(device) if workload is Workload else None
    if problem is None and batch_size > params.profile.samples:
        problem = f"a batch of {batch_size} needs profile.samples of at least {batch_size}"
    if problem is None:
        row.update(_measure(params, device, engine, batch_size, spikes, workload, meter))
    else:
        row.update(not_measured(problem))
    write_json(out, row)
    logger.info("%s", sentence(row))


def _measure(
    params: Params, device: str, engine: str, batch_size: int, spikes: Path, workload: Callable[..., Workload],
    meter: Meter | None,
) -> dict[str, Any]:  # fmt: skip
    with contextlib.ExitStack() as stack:
        meter = meter or for_device(device)
        stack.callback(meter.close)
        host = for_device("cpu") if device == "cuda" else NoMeter("the device is the host")
        stack.callback(host.close)

        time.sleep(params.profile.cooldown_s)
        idle = _trial(meter, host, lambda: time.sleep(params.profile.idle_s), 1, "idle")
        samples = store.load(spikes)
        results: list[EpochResult] = []
        try:
            load, begun = _make(params, engine, batch_size, samples, workload)
            for _ in range(params.profile.warmup_epochs):
                load.epoch()
            trials = [
                _trial(meter, host, lambda: results.append(load.epoch()), params.profile.epochs, "trial")
                for _ in range(params.profile.trials)
            ]
        except Exception as error:
            if (reason := fault_of_machine(error, device, batch_size)) is None:
                raise
            logger.debug("the measurement ended early", exc_info=True)
            return not_measured(reason)
        facts = meter.facts()
    row = summarise(device, trials, idle, results[-1].samples, begun, facts)
    if device == "cpu":
        row["peak_memory_mib"] = _peak_resident_mib()
        row |= estimate(row, params.profile.cpu_model_w)
    return row | _learning(results[-1], load, batch_size)


def fault_of_machine(error: Exception, device: str, batch_size: int) -> str | None:
    """Return why a machine cannot be measured if that is what an error says, ``None`` if it is another's fault.

    The row of a GPU that cannot run, or is lost in the middle, must not stop a study that never asked for one.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return f"not enough memory for a batch of {batch_size}"
    if device != "cuda":
        return None
    if isinstance(error, UserError):
        return str(error)
    of_library = type(error).__module__.split(".")[0] in CUDA_LIBRARIES
    # GeNN raises plain errors, whose text begins with the place in its code
    of_driver = isinstance(error, RuntimeError | OSError) and "cuda" in str(error).lower()
    return f"the GPU failed ({type(error).__name__}: {error})" if of_library or of_driver else None


def estimate(row: dict[str, Any], model_w: float | None) -> dict[str, Any]:
    """Return an estimate of an epoch's energy for a processor of that power, labelled as one; empty if measured."""
    if row["energy_per_epoch_j"] is not None:
        return {"energy_estimate_reason": "measured"}
    if model_w is None:
        return {}
    reason = f"a model: {model_w:g} W for the length of an epoch"
    return {"energy_estimate_per_epoch_j": model_w * row["epoch_time_s"], "energy_estimate_reason": reason}


def _learning(last: EpochResult, load: Workload, batch_size: int) -> dict[str, Any]:
    """Return what the batch size did to learning, as of the last epoch."""
    return {
        "accuracy": float(last.accuracy),
        "loss_value": float(last.loss),
        "updates_per_epoch": -(-last.samples // batch_size),
        "adam_damping": float(load.adam_damping()),
    }


def _make(
    params: Params, engine: str, batch_size: int, samples: store.SpikeStore, workload: Callable[..., Workload]
) -> tuple[Workload, dict[str, float]]:
    """Set the training up and run a first epoch; return the epoch and the seconds both took."""
    start_s = time.monotonic()
    optimiser = params.optimiser.model_copy(update={"engine": engine})
    train = params.train.model_copy(update={"batch_size": batch_size})
    params = params.model_copy(update={"optimiser": optimiser, "train": train})
    load = workload(params, params.profile.loss, batch_size, samples)
    ready_s = time.monotonic()
    load.epoch()
    return load, {"setup_s": ready_s - start_s, "first_epoch_s": time.monotonic() - ready_s}


def _trial(meter: Meter, host: Meter, work: Callable[[], Any], repeats: int, name: str) -> Trial:
    times_s = []
    before = Load.now()
    with meter.window(name) as device_reading, host.window(name) as host_reading:
        for _ in range(repeats):
            start_s = time.monotonic()
            work()
            times_s.append(time.monotonic() - start_s)
    return Trial(tuple(times_s), device_reading.result, host_reading.result, other_cores(before, Load.now()))


def summarise(
    device: str, trials: Sequence[Trial], idle: Trial, samples: int, begun: dict[str, float], facts: dict[str, Any]
) -> dict[str, Any]:
    """Turn windows into the measured part of a row. Pure.

    Args:
        trials: at least one.
        idle: the idle baseline, as a trial of one "epoch".
        samples: in an epoch.
        begun: ``setup_s`` and ``first_epoch_s``.
        facts: of the meter, after the trials.
    """
    times_s = [seconds for trial in trials for seconds in trial.epoch_times_s]
    epochs = [len(trial.epoch_times_s) for trial in trials]
    windows = [trial.device for trial in trials]
    median_s = statistics.median(times_s)
    gross_j, energy_reason = per_epoch(windows, epochs)
    trials_j = _each([window.energy_j for window in windows], epochs) or []
    powers_w = [window.mean_power_w for window in windows if window.mean_power_w is not None]
    net_j = net_per_epoch(windows, epochs, idle.device.mean_power_w)
    host_j, host_reason = per_epoch([trial.host for trial in trials], epochs)
    doubts = energy_doubts(windows, facts)
    status, reason = verdict(times_s, trials, idle, machine.cores())
    energy_status = NOT_MEASURED if gross_j is None else INVALID if doubts or status == INVALID else VALID
    return {
        "status": status,
        "reason": reason,
        "samples": samples,
        "epoch_time_s": median_s,
        "epoch_time_low_s": min(times_s),
        "epoch_time_high_s": max(times_s),
        "epoch_times_s": times_s,
        **begun,
        "compile_s": max(0.0, begun["first_epoch_s"] - median_s),
        "power_w": None if gross_j is None else statistics.median(powers_w),
        "energy_per_epoch_j": gross_j,
        "energy_per_epoch_low_j": min(trials_j, default=None),
        "energy_per_epoch_high_j": max(trials_j, default=None),
        "energy_net_per_epoch_j": net_j,
        "energy_per_sample_j": None if gross_j is None else gross_j / samples,
        "energy_method": windows[0].method,
        "energy_sampled_per_epoch_j": _sampled(windows, epochs),
        "energy_status": energy_status,
        "energy_reason": energy_reason or "; ".join(doubts) or (reason if energy_status == INVALID else None),
        "idle_power_w": idle.device.mean_power_w,
        "idle_reason": idle.device.reason or idle.device.note,
        "host_energy_per_epoch_j": host_j,
        "host_energy_reason": host_reason,
        "peak_memory_mib": _risen(windows, idle.device),
        "temperature_c": largest(window.temperature_c for window in windows),
        "clock_mhz": largest(window.clock_mhz for window in windows),
        "other_cores_idle": idle.other_cores,
        "other_cores": largest(trial.other_cores for trial in trials),
        "windows": [asdict(window) for window in (idle.device, *windows)],
        "meter": facts,
    }


def _each(energies_j: Sequence[float | None], epochs: Sequence[int]) -> list[float] | None:
    """Return the energy per epoch (J) of each trial, ``None`` if that of any trial is unknown."""
    known = [energy_j / count for energy_j, count in zip(energies_j, epochs, strict=True) if energy_j is not None]
    return known if len(known) == len(epochs) else None


def per_epoch(windows: Sequence[Window], epochs: Sequence[int]) -> tuple[float | None, str | None]:
    """Return the median over trials of energy per epoch (J), or ``None`` and the reason if any trial has none."""
    each_j = _each([window.energy_j for window in windows], epochs)
    if each_j is not None:
        return statistics.median(each_j), None
    reasons = [window.reason for window in windows if window.energy_j is None]
    if len(reasons) == len(windows):
        return None, reasons[0]
    return None, f"{len(reasons)} of {len(windows)} trials have no energy: {reasons[0]}"


def net_per_epoch(windows: Sequence[Window], epochs: Sequence[int], idle_power_w: float | None) -> float | None:
    """Return the median energy per epoch (J) above the idle baseline; ``None`` if unknown or below the baseline."""
    if idle_power_w is None:
        return None
    each_j = _each([None if w.energy_j is None else w.energy_j - idle_power_w * w.duration_s for w in windows], epochs)
    net_j = None if each_j is None else statistics.median(each_j)
    return net_j if net_j is not None and net_j >= 0 else None


def _sampled(windows: Sequence[Window], epochs: Sequence[int]) -> float | None:
    """Return the median energy per epoch (J) that integrated power samples tell; ``None`` if any trial has none."""
    each_j = _each([window.sampled_energy_j for window in windows], epochs)
    return None if each_j is None else statistics.median(each_j)


def energy_doubts(windows: Sequence[Window], facts: dict[str, Any]) -> list[str]:
    """Return why a known energy may be wrong or not this job's."""
    doubts = list(dict.fromkeys(window.note for window in windows if window.note))
    at_start, now = facts.get("other_processes_at_start"), facts.get("processes")
    # one more than at the start may be this process, under the number it has outside its container
    if at_start or (now is not None and now > 1):
        doubts.append("other processes use the same GPU")
    if facts.get("ambiguous"):
        doubts.append(facts["ambiguous"])
    return doubts


def verdict(times_s: Sequence[float], trials: Sequence[Trial], idle: Trial, cores: int) -> tuple[str, str | None]:
    """Return VALID, or INVALID and why: one epoch only, spread, throttling, other load on the machine."""
    reasons = []
    median_s = statistics.median(times_s)
    if len(times_s) < 2:
        reasons.append("a single epoch shows no spread: raise profile.trials")
    elif (spread := (max(times_s) - min(times_s)) / median_s) > LARGEST_SPREAD:
        reasons.append(f"epoch times spread over {100 * spread:.0f} % of their median")
    throttled = sorted({trial.device.throttled for trial in trials if trial.device.throttled})
    if throttled:
        reasons.append(f"the device was slowed down by {', '.join(throttled)}")
    loads = {"before": idle.other_cores, "during": largest(trial.other_cores for trial in trials)}
    for when, load in loads.items():
        if load is not None and load > LARGEST_OTHER_LOAD * cores:
            reasons.append(f"other programs kept {load:.1f} of {cores} cores busy {when} the measurement")
    return (INVALID, "; ".join(reasons)) if reasons else (VALID, None)


def _risen(windows: Sequence[Window], idle: Window) -> float | None:
    """Return how far the board's memory rose above its level before (MiB), ``None`` if others let go of more."""
    most = largest(window.memory_mib for window in windows)
    return None if most is None or idle.memory_mib is None or most < idle.memory_mib else most - idle.memory_mib


def _peak_resident_mib() -> float | None:
    """Return the peak resident memory of this process (MiB)."""
    try:
        # VmHWM and not getrusage's maximum, which on Linux starts at the size of the parent process
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 1024)

"""examples.npz: what a network does with a few test samples, for the report's figure."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eventspeech.errors import DataError
from eventspeech.files import read_npz, write_npz
from eventspeech.params import CHANNELS
from eventspeech.records.reading import again, present

ARRAYS = {
    "input_offsets": "i",
    "input_times_ms": "f",
    "input_channels": "i",
    "hidden_offsets": "i",
    "hidden_times_ms": "f",
    "hidden_units": "i",
    "output_voltage": "f",
    "logits": "f",
    "labels": "i",
    "predictions": "i",
    "class_names": "U",
    "speakers": "U",
    "step_ms": "f",
    "trial_ms": "f",
}
"""Names of the arrays and their kinds, as numpy calls them: whole numbers, other numbers, text."""

SOUND = {"sound": "i", "sound_offsets": "i", "sound_rate_hz": "i"}
"""Names and kinds of what is there beside them where the recordings may be part of a report."""

RATES_HZ = (4_000, 192_000)
"""As of :mod:`eventspeech.data.audio`."""


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write examples, or nothing (a model without spikes has none), atomically; :func:`read` says what they are."""
    write_npz(path, arrays)


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the examples of a network: n samples of K classes in N steps.

    Returns:
        Events of the input and of the last hidden layer in compressed rows, offsets int[n + 1], times (ms) and channels
        or units; ``output_voltage`` float[n, N, K], ``logits`` float[n, K], ``labels`` and ``predictions`` int[n],
        ``class_names`` str[K], ``speakers`` str[n], and two numbers, ``step_ms`` and ``trial_ms``. Where the recordings
        may be part of a report: ``sound`` int16, those of the samples one after the other, ``sound_offsets`` int[n + 1]
        and the number ``sound_rate_hz``.

    Raises:
        DataError: the file is missing or damaged, or some array is none of such examples.
    """
    arrays = read_npz(present(path, "evaluate"))
    if {name: array.dtype.kind for name, array in arrays.items()} not in (ARRAYS, ARRAYS | SOUND):
        raise DataError(f"{path} does not hold the arrays of examples ({', '.join(ARRAYS)}); {again('evaluate')}.")
    for name, holds in _conditions(arrays):
        if not holds:
            raise DataError(f"{path} is damaged: {name} cannot be those of examples; {again('evaluate')}.")
    return arrays


def _conditions(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, Any]]:
    """Yield the name of each array and whether it can be; later ones take the earlier for granted."""
    for name in ("step_ms", "trial_ms"):
        yield name, arrays[name].shape == () and np.isfinite(arrays[name]) and arrays[name] > 0
    trial_ms, step_ms = float(arrays["trial_ms"]), float(arrays["step_ms"])
    classes, samples = arrays["class_names"].size, arrays["labels"].size
    yield "class_names", arrays["class_names"].shape == (classes,) and classes >= 2
    for name in ("labels", "predictions"):
        yield name, arrays[name].shape == (samples,) and samples >= 1 and _within(arrays[name], 0, classes - 1)
    yield "speakers", arrays["speakers"].shape == (samples,)
    for kind, unit, most in (("input", "channels", CHANNELS - 1), ("hidden", "units", np.inf)):
        times, offsets = arrays[f"{kind}_times_ms"], arrays[f"{kind}_offsets"]
        yield f"{kind}_offsets", offsets.shape == (samples + 1,) and offsets[0] == 0 and offsets[-1] == times.size
        yield f"{kind}_offsets", np.all(np.diff(offsets) >= 0)
        yield f"{kind}_times_ms", times.ndim == 1 and _within(times, 0, trial_ms)
        yield f"{kind}_{unit}", arrays[f"{kind}_{unit}"].shape == times.shape
        yield f"{kind}_{unit}", _within(arrays[f"{kind}_{unit}"], 0, most)
    if SOUND.keys() <= arrays.keys():
        sound, ends, rate_hz = (arrays[name] for name in SOUND)
        yield "sound", sound.ndim == 1 and sound.dtype == np.int16
        yield "sound_offsets", ends.shape == (samples + 1,) and ends[0] == 0 and ends[-1] == sound.size
        yield "sound_offsets", np.all(np.diff(ends) >= 0)
        yield "sound_rate_hz", rate_hz.shape == () and RATES_HZ[0] <= rate_hz <= RATES_HZ[1]
    steps = round(trial_ms / step_ms)
    yield "output_voltage", arrays["output_voltage"].shape == (samples, steps, classes)
    yield "logits", arrays["logits"].shape == (samples, classes)
    for name in ("output_voltage", "logits"):
        yield name, np.isfinite(arrays[name]).all()


def _within(array: np.ndarray, low: float, high: float) -> bool:
    return bool(np.all((array >= low) & (array <= high)))

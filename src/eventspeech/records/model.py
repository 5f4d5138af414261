"""The file of a trained model: arrays and, as JSON, what is needed to use them without the parameter file.

The reader is the last one that looks: kernels in C index arrays by the numbers of a model, so that each number is
bounded here, and the shapes of all arrays are those of the network, before anything is computed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydantic

from eventspeech import losses, network
from eventspeech.data.store import Origin, origin_of
from eventspeech.errors import DataError
from eventspeech.files import read_npz, write_npz
from eventspeech.network import Network
from eventspeech.params import CHANNELS, Shape
from eventspeech.params.groups import LARGEST_SEED, MOST_STEPS
from eventspeech.records.reading import Fields

_META, _DIGEST = "meta", "sha256"

REMEDY = "train the model again"

COMMON = ("kind", "loss", "seed", "fold", "class_names", "heard_speakers", "validation_speakers")
SPIKING = (*COMMON, "epoch", "network", "shape", "spike_count", "origin")
LOGISTIC = (*COMMON, "time_bins", "channel_bins")
"""Fields of the meta data, by kind of model."""


class Model(NamedTuple):
    """A model as its file has it.

    Attributes:
        arrays: a network's weights and time constants (float32, shapes: :mod:`eventspeech.network`), and what a learned
            loss has become (`losses.LEARNED`); or, of logistic regression on F features with R rows for K classes, mean
            and scale float64[F], coefficients float64[R, F], intercepts float64[R] and classes int64[K].
        meta: kind, loss, seed, fold, names of classes and of speakers, and what else the kind needs.
    """

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


def save(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Write a model, atomically, with a digest of all that it holds; equal models give equal bytes.

    Args:
        path: NPZ to write.
        arrays: weights and time constants (ms) by name, in the shapes that the network has them.
        meta: what else belongs to it, as JSON takes it.
    """
    text = json.dumps(meta, sort_keys=True, allow_nan=False)
    write_npz(path, {**arrays, _META: np.array(text), _DIGEST: np.array(digest(arrays, meta))}, compress=False)


def digest(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> str:
    """Return the SHA-256 of a model: of its meta data, and of names, types, shapes and values of its arrays."""
    found = hashlib.sha256(json.dumps(meta, sort_keys=True, allow_nan=False).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def load(path: Path) -> Model:
    """Return arrays and meta data of a model.

    Raises:
        DataError: the file is missing, damaged or not a model, or some array or number is none that a model has.
    """
    arrays = read_npz(path)
    stated = arrays.pop(_DIGEST, None)  # models of versions up to 0.2 have none
    try:
        content = json.loads(str(arrays.pop(_META)))
    except (KeyError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a model of this program; make it with `eventspeech train`.") from error
    found = checked(path, Model(arrays, content))
    if stated is not None and str(stated) != digest(arrays, content):
        raise DataError(f"{path} is damaged: its content is not what its digest says; {REMEDY}.")
    return found


def checked(path: Path, model: Model) -> Model:
    """Return a model if its arrays and meta data are what a model has; ``path`` is where they come from.

    Raises:
        DataError: they are not.
    """
    meta, classes = _checked_common(path, model.meta)
    _CHECKS[meta.content["kind"]](meta, model.arrays, classes)
    return model


def checked_meta(path: Path, content: Any) -> None:
    """Refuse what is not the meta data of a spiking model.

    Raises:
        DataError: says what is wrong with it.
    """
    meta, classes = _checked_common(path, content)
    meta.require("kind", content["kind"] == "spiking", "spiking")
    _check_spiking_meta(meta, classes)


def _checked_common(path: Path, content: Any) -> tuple[Fields, int]:
    """Return the meta data, and the number of classes."""
    meta = Fields(content, path, REMEDY)
    kind = meta.text("kind")
    if kind not in _CHECKS:
        meta.refuse("kind", f"one of {', '.join(_CHECKS)}")
    for name in ("heard_speakers", "validation_speakers"):
        meta.names(name)
    classes = len(meta.names("class_names", least=2))
    meta.text("fold")
    return meta, classes


def network_of(model: Model) -> Network:
    """Return the network of a spiking model."""
    return network.from_dict(model.meta["network"])


def origin(model: Model) -> Origin | None:
    """Return what made the spikes that a model learned from; ``None`` if it does not say."""
    content = model.meta.get("origin")
    return None if content is None else origin_of(content)


def _check_spiking_meta(meta: Fields, classes: int) -> tuple[Network, Shape]:
    meta.only(SPIKING)
    meta.text("loss")
    meta.count("seed", most=LARGEST_SEED)
    meta.count("epoch", least=1)
    meta.unless_null("spike_count", meta.count)
    _check_origin(meta)
    shape = _check_shape(meta)
    return _check_network(meta.object("network"), classes), shape


def _check_spiking(meta: Fields, arrays: dict[str, np.ndarray], classes: int) -> None:
    found, shape = _check_spiking_meta(meta, classes)
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise DataError(f"{meta.path} is damaged: {name} is of type {array.dtype}, not float32; {REMEDY}.")
    weights, theta = losses.apart(arrays)
    try:
        network.check(found, weights)
    except ValueError as error:
        raise DataError(f"{meta.path} is damaged: {error}; {REMEDY}.") from error
    expected = losses.learned_weight(shape).get(losses.LEARNED)
    if (None if theta is None else theta.shape) != (None if expected is None else expected.shape):
        raise DataError(
            f"{meta.path} is damaged: {losses.LEARNED} is not what a loss of kind {shape.kind} learns; {REMEDY}."
        )
    if theta is not None and not np.isfinite(theta).all():
        raise DataError(f"{meta.path} is damaged: {losses.LEARNED} holds NaN or infinity; {REMEDY}.")


def _check_origin(meta: Fields) -> None:
    if meta.content.get("origin") is None:  # models of versions up to 0.2 have none
        return
    try:
        origin_of(meta.content["origin"])
    except ValueError as error:
        raise DataError(f"{meta.path} is damaged: of its origin, {error}; {REMEDY}.") from error


def _check_shape(meta: Fields) -> Shape:
    try:
        return Shape(**meta.object("shape").content)
    except (pydantic.ValidationError, TypeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, pydantic.ValidationError) else error
        raise DataError(f"{meta.path} is damaged: shape is no loss of this version ({reason}); {REMEDY}.") from error


def _check_network(found: Fields, classes: int) -> Network:
    """Bound every number of a network; the sizes of its layers are bounded by the arrays, which have their shapes."""
    found.only(Network.__dataclass_fields__)
    inputs, outputs = found.count("inputs", least=1), found.count("outputs", least=1)
    found.require("inputs", inputs == CHANNELS, f"the {CHANNELS} channels of the cochlea")
    found.require("outputs", outputs == classes, f"the number of its {classes} classes")
    found.counts("hidden", least=1, most=2**31 - 1)
    found.flag("recurrent")
    steps = found.count("steps", least=1, most=MOST_STEPS)
    found.counts("delay_steps", least=0, most=steps - 1)
    if "refractory_steps" in found.content:  # models of versions up to 0.1 have none
        found.count("refractory_steps", least=0, most=steps - 1)
    for name in ("step_ms", *network.TIME_CONSTANTS):
        found.number(name, 1e-6, 1e9)
    return network.from_dict(found.content)


def _check_logistic(meta: Fields, arrays: dict[str, np.ndarray], classes: int) -> None:
    meta.only(LOGISTIC)
    for name in ("loss", "seed"):
        meta.require(name, meta.raw(name) is None, "null")
    features = meta.count("time_bins", least=1, most=10**6) * meta.count("channel_bins", least=1, most=CHANNELS)
    learned = arrays.get("classes", np.empty(0))
    rows = 1 if len(learned) == 2 else len(learned)  # of two classes, scikit-learn keeps one score
    shapes = {"mean": (features,), "scale": (features,), "coefficients": (rows, features), "intercepts": (rows,)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != shapes | {"classes": (len(learned),)}:
        raise DataError(f"{meta.path} is damaged: arrays have shapes {found}, its features need {shapes}; {REMEDY}.")
    for name in shapes:
        if arrays[name].dtype != np.float64 or not np.isfinite(arrays[name]).all():
            raise DataError(f"{meta.path} is damaged: {name} are not all finite numbers; {REMEDY}.")
    if not np.all(arrays["scale"] > 0):
        raise DataError(f"{meta.path} is damaged: scale is not all positive; {REMEDY}.")
    numbered = learned.dtype.kind == "i" and np.all(np.diff(learned) > 0)
    if not numbered or len(learned) < 2 or learned[0] < 0 or learned[-1] >= classes:
        raise DataError(f"{meta.path} is damaged: classes are no numbers of its {classes} classes; {REMEDY}.")


_CHECKS = {"spiking": _check_spiking, "logistic": _check_logistic}

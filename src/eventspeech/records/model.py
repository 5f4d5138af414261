"""The file of a trained model: arrays and, as JSON, what is needed to use them without the parameter file."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from eventspeech import network
from eventspeech.errors import DataError
from eventspeech.files import read_npz, write_npz

_META = "meta"


def save(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Write a model; equal models give equal bytes."""
    text = json.dumps(meta, sort_keys=True, allow_nan=False)
    write_npz(path, {**arrays, _META: np.array(text)}, compress=False)


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return arrays and meta data of a model.

    Raises:
        DataError: the file is missing, damaged or not a model.
    """
    arrays = read_npz(path)
    try:
        meta = json.loads(str(arrays.pop(_META)))
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
                raise DataError(f"{path} holds NaN or infinity in {name}; train the model again.")
        _check(arrays, meta)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a model of this program; make it with `eventspeech train`.") from error
    return arrays, meta


def _check(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    if meta["kind"] == "spiking":
        network.check(network.from_json(json.dumps(meta["network"])), arrays)
    elif meta["kind"] != "logistic":
        raise ValueError(f"no kind of model is called {meta['kind']}")

"""What a script or notebook needs: ``eventspeech.load_model``, ``encode``, ``infer``, ``record`` and ``train``.

The command line does all else; docs/api.md has an example. These names stay; what they return may gain fields.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventspeech import params as parameters
from eventspeech.data import store
from eventspeech.data.store import SpikeStore
from eventspeech.errors import ParameterError
from eventspeech.inference.recogniser import Recogniser, encode, infer, load_model, record
from eventspeech.stages.train import Outputs
from eventspeech.stages.train import train as run_training

__all__ = ["encode", "infer", "load_model", "record", "train"]


def train(
    params: parameters.Params | Mapping[str, Any] | Path | str,
    spikes: SpikeStore | Path | str,
    folder: Path | str,
    loss: str | None = None,
    seed: int | None = None,
    fold: str | None = None,
) -> Recogniser:
    """Train one network on a spike store, as the stage `train` does.

    Args:
        params: a parameter file, its content, or the parameters that :mod:`eventspeech.params` made of it.
        spikes: the training split: a file that `preprocess` wrote, or a store.
        folder: gets weights.npz, history.csv and summary.json; spikes.npz, if a store was given; and last.npz,
            from which an interrupted training of the same parameters and spikes goes on, and a finished one comes back.
        loss: an entry of ``shape``; by default the first of ``study.losses``.
        seed: base of everything random; by default the first of ``study.seeds``.
        fold: one of ``study.folds``; it may be left out where there is one only.

    Returns:
        The trained network, as :func:`eventspeech.load_model` loads it.

    Raises:
        DataError, ParameterError, UserError: as of the stage.
    """
    given = _params(params)
    folder = Path(folder)
    loss = given.study.losses[0] if loss is None else loss
    seed = given.study.seeds[0] if seed is None else seed
    outputs = Outputs(*(folder / name for name in ("weights.npz", "history.csv", "summary.json", "last.npz")))
    if isinstance(spikes, SpikeStore):  # as a file, whose digest tells an interrupted training's spikes from others
        store.save(spikes, folder / "spikes.npz", "train")
        spikes = folder / "spikes.npz"
    run_training(given, loss, seed, Path(spikes), outputs, fold)
    return load_model(outputs.weights, given.cochlea)


def _params(given: parameters.Params | Mapping[str, Any] | Path | str) -> parameters.Params:
    if isinstance(given, parameters.Params):
        return given
    if isinstance(given, Mapping):
        return parameters.validate(dict(given), "the parameters")
    if isinstance(given, Path | str):
        return parameters.load(given)
    raise ParameterError(f"parameters are a file or its content, not a {type(given).__name__}; give one of them.")

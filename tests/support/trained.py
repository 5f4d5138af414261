"""A network with weights that were drawn and not learned: its answers mean nothing, but they are as good to compare."""

from pathlib import Path

import numpy as np

from eventspeech import losses, network, params
from eventspeech.params import Cochlea, Shape
from eventspeech.records import model

WORDS = ["2", "10", "drei", "vier"]
COCHLEA = Cochlea(seed=3, fibres=20)
ORIGIN = {"source": "recordings", "cochlea": COCHLEA.model_dump(mode="json")}


def make_model(path: Path, *, kind: str = "gaussian", trial_ms: float = 40.0, step_ms: float = 1.0, **meta) -> Path:
    """Write a model of two delayed copies of the input, 24 recurrent neurons and four words."""
    given = params.Network(
        hidden=[24], step_ms=step_ms, input_mean=0.02, input_sd=0.02, recurrent_sd=0.1, output_sd=0.2,
        delays=params.Delays(copies=2, interval_ms=4.0),
    )  # fmt: skip
    built = network.build(given, len(WORDS), trial_ms)
    content = {
        "kind": "spiking", "loss": kind, "seed": 5, "fold": "held_out", "epoch": 7, "network": built.as_dict(),
        "shape": Shape(kind=kind).model_dump(mode="json"), "class_names": WORDS, "heard_speakers": ["ann"],
        "validation_speakers": ["bob"], "spike_count": None, "origin": ORIGIN,
    }  # fmt: skip
    arrays = network.initial_weights(built, given, 1)
    for name, start in losses.learned_weight(Shape(kind=kind)).items():
        arrays[name] = start + np.linspace(-1, 1, len(start), dtype=np.float32)
    model.save(path, arrays, content | meta)
    return path


def bits(found) -> list[bytes]:
    """Return arrays as bytes, so that equal means to the bit."""
    return [np.ascontiguousarray(array).tobytes() for array in found]

"""Spikes of an exported network in readers of NIR, against those of the engine `cpu`; see ../nir.md.

    python docs/measurements/nir_spikes.py weights.npz data/spikes/train.npz docs/measurements/nir_spikes.json

The first recording of each word is heard, in steps of the network. snnTorch and Norse need torch; where one of them is
not installed its entry says so.
"""

import importlib
import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from eventspeech import losses, network
from eventspeech.data import batches, store
from eventspeech.engines.cpu import CpuEngine
from eventspeech.exchange import nir as exchange
from eventspeech.params import CHANNELS, Shape
from eventspeech.records import model

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from support import foreign, nir_reader


def heard(found, on, samples):
    """Yield of each sample the input [N, copies C] and the spikes [N, H] of the first hidden layer."""
    weights, theta = losses.apart(found.arrays)
    objective = losses.objective(Shape(**found.meta["shape"]), on.steps, theta=theta)
    engine, binned = CpuEngine(on, 1), batches.on_grid(samples, on.step_ms, on.steps)
    for number in range(len(binned)):
        batch = batches.take(binned, np.array([number]))
        dense = np.zeros((on.steps, CHANNELS), np.float32)
        dense[batch.steps, batch.channels] = 1
        copies = [np.vstack([np.zeros((delay, CHANNELS)), dense[: on.steps - delay]]) for delay in on.delay_steps]
        wide = np.hstack(copies)
        spikes = engine.record(weights, batch, objective).hidden[0]
        raster = np.zeros((on.steps, on.hidden[0]))
        raster[spikes.steps, spikes.channels] = 1
        yield wide, raster


def compare(run, pairs):
    """Return how many neuron-steps differ."""
    pairs = [(run(wide), expected) for wide, expected in pairs]
    return {
        "neuron_steps": int(sum(expected.size for _, expected in pairs)),
        "spikes": int(sum(expected.sum() for _, expected in pairs)),
        "spikes_there": int(sum(found.sum() for found, _ in pairs)),
        "different": int(sum(np.sum(found != expected) for found, expected in pairs)),
    }


def _of_norse(path, step_ms):
    nir, norse = importlib.import_module("nir"), importlib.import_module("norse.torch")
    return norse.from_nir(nir.read(str(path)), dt=step_ms / 1000)


def main(weights, spikes, out):
    """Write the comparison as JSON."""
    found, samples = model.load(Path(weights)), store.load(Path(spikes))
    trained = model.network_of(found)
    first = [int(np.flatnonzero(samples.labels == label)[0]) for label in np.unique(samples.labels)]
    samples = samples.select(np.array(first))
    folder = Path(tempfile.mkdtemp())
    graphs = {scaling: folder / f"{scaling}.nir" for scaling in ("continuous", "snntorch")}
    for scaling, path in graphs.items():
        exchange.write(path, Path(weights), scaling)
    results = {"network": trained.as_dict() | {"delay_steps": list(trained.delay_steps)}, "samples": len(samples)}
    for step_ms in (trained.step_ms, trained.step_ms / 2):
        on = network.at_step(trained, step_ms)
        pairs = list(heard(found, on, samples))
        for euler in (False, True):
            rule = "Euler" if euler else "exact"
            run = lambda wide: nir_reader.run(graphs["continuous"], wide, step_ms / 1000, euler)[0]["hidden1"]  # noqa: E731, B023
            results[f"reader of the tests, {rule}, {step_ms:g} ms"] = compare(run, pairs)
    import nir

    pairs = list(heard(found, trained, samples))
    for name, module, load in (
        ("snntorch", "snntorch.import_nir", lambda m, path: m.import_from_nir(nir.read(str(path)))),
        ("norse", "norse.torch", lambda m, path: m.from_nir(nir.read(str(path)), dt=1e-4)),
    ):
        try:
            program = importlib.import_module(module)
        except ImportError as error:
            results[name] = f"not installed ({error})"
            continue
        entry = f"{name} {importlib.metadata.version(name)}, scaling snntorch"
        results[entry] = compare(lambda wide: foreign.spikes(load(program, graphs["snntorch"]), wide, 1)[0], pairs)  # noqa: B023
        if name == "norse":
            euler = lambda wide: foreign.spikes(_of_norse(graphs["continuous"], trained.step_ms), wide, 1)[0]  # noqa: E731
            results["norse, scaling continuous"] = compare(euler, pairs)
    Path(out).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""How far trained networks hold at other time steps, on voices that neither trained them nor chose their epochs.

    python docs/measurements/time_step_holds.py voices fresh
    eventspeech preprocess --params params.yaml --raw fresh --split test --spikes fresh.npz --statistics fresh.json
    python docs/measurements/time_step_holds.py read results/train fresh.npz time_step_holds.csv
    python docs/measurements/time_step_holds.py table time_step_holds.csv time_step_holds.png
    python docs/measurements/time_step_holds.py read results/train data/spikes/train.npz human.csv 300 validation

The default study chooses each epoch on 80 samples at the trained step, so that they flatter this step. `voices`
synthesises 600 others: two further takes of each word by the twelve voices of training and validation, and one by six
voices that the study does not know. `read` runs every model below the folder on them; the last line, on 300 samples of
the validation voices in a training split (where no others can be made). Each row: accuracy, spikes per neuron and
trial, and the share of predictions as at the trained step, at a time step with the half step of dead time that its grid
has (of_step) or with that of the trained step, by a refractory period (kept; `network.at_step`). `shifted` is the
trained step itself with all events half a step later: the same network on a grid that lies otherwise.
"""

import csv
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eventspeech import losses, network
from eventspeech.data import audio, batches, store
from eventspeech.data.recordings_index import entry, write_index
from eventspeech.data.sources import synthetic
from eventspeech.data.store import SpikeStore
from eventspeech.engines.cpu import CpuEngine
from eventspeech.params import Shape
from eventspeech.records import model as model_file

FINER = 2, 4, 10  # a trained step has so many others
BATCH = 32
COLUMNS = (
    "loss",
    "seed",
    "step_ms",
    "dead_time",
    "refractory_ms",
    "samples",
    "accuracy",
    "spikes_per_neuron",
    "agreement",
)


def voices(folder: Path) -> None:
    """Write recordings, and what makes a folder one that `preprocess` takes."""
    (folder / "audio").mkdir(parents=True)
    planned = [(number, take) for number in range(1, 13) for take in (3, 4)] + [(number, 0) for number in range(15, 21)]
    entries = []
    for word in synthetic.WORDS:
        for number, take in planned:
            who = synthetic.speaker(number)
            samples, rate_hz = synthetic.say(word, who, take, 0)
            file = folder / "audio" / f"{word}_{who.name}_{take}.wav"
            audio_file(file, samples, rate_hz)
            entries.append(entry(file, f"audio/{file.name}", audio.read(file), word, who.name, "test", take))
    write_index(entries, folder)
    description = {"kind": "synthetic", "parameters": {"voices": len(planned)}, "versions": {}}
    (folder / "source.json").write_text(json.dumps(description), encoding="utf-8")


def audio_file(file: Path, samples: np.ndarray, rate_hz: int) -> None:
    """Write a 16-bit wav file."""
    import soundfile

    soundfile.write(file, samples, rate_hz, subtype="PCM_16")


def grids(on: network.Network) -> Iterator[tuple[str, network.Network]]:
    """Yield kinds of dead time and networks, the trained one first."""
    yield "of_step", on
    for finer in FINER:
        for kind in ("of_step", "kept"):
            yield kind, network.at_step(on, on.step_ms / finer, dead_time=kind == "kept")


def run(model: model_file.Model, on: network.Network, samples: SpikeStore) -> tuple[np.ndarray, float]:
    """Return predictions int64[S] and spikes per neuron and trial."""
    engine, objective = CpuEngine(on), losses.objective(Shape(**model.meta["shape"]), on.steps)
    binned = batches.on_grid(samples, on.step_ms, on.steps)
    parts = [np.arange(first, min(first + BATCH, len(binned))) for first in range(0, len(binned), BATCH)]
    found = [engine.infer(model.arrays, batches.take(binned, part), objective) for part in parts]
    spikes = sum(float(counts.sum()) for one in found for counts in one.spike_counts)
    return np.concatenate([one.predictions for one in found]), spikes / (len(binned) * sum(on.hidden))


def measure(model: model_file.Model, samples: SpikeStore) -> Iterator[list]:
    """Yield the rows of a model."""
    on = model_file.network_of(model)
    later = dataclasses.replace(samples, times_ms=samples.times_ms + np.float32(on.step_ms / 2))
    trained = run(model, on, samples)[0]
    for kind, there, heard in [*((*grid, samples) for grid in grids(on)), ("shifted", on, later)]:
        found, spikes = run(model, there, heard)
        shares = f"{np.mean(found == samples.labels):.4f}", f"{spikes:.2f}", f"{np.mean(found == trained):.4f}"
        job = model.meta["loss"], model.meta["seed"], f"{there.step_ms:g}", kind, f"{there.refractory_ms:g}"
        yield [*job, len(samples), *shares]


def read(models: str, spikes: str, table: str, count: str = "", whose: str = "all") -> None:
    """Measure all models below a folder, in order of their paths; ``whose`` may be ``validation``."""
    store_of = store.load if whose == "validation" else store.load_test
    samples = store_of(Path(spikes))
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for path in sorted(Path(models).rglob("weights.npz")):
            model, own = model_file.load(path), samples
            if whose == "validation":
                own = own.select(own.speakers_named(model.meta["validation_speakers"]))
            if count:
                drawn = np.random.default_rng(0).permutation(len(own))[: int(count)]
                own = own.select(np.isin(np.arange(len(own)), drawn))
            writer.writerows(measure(model, own))
            file.flush()


def table(source: str, picture: str) -> None:
    """Print means and standard deviations over seeds as Markdown, and draw them."""
    from matplotlib.figure import Figure

    with open(source, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    measures = {"accuracy": ("accuracy (%)", 100), "agreement": ("predictions as\nat the trained step (%)", 100)}
    measures["spikes_per_neuron"] = ("spikes per neuron and trial", 1)
    found = {}
    for row in rows:
        found.setdefault((row["loss"], float(row["step_ms"]), row["dead_time"]), []).append(row)
    print("| loss | step (ms) | dead time | accuracy | predictions kept | spikes |\n|---|---|---|---|---|---|")
    spread = {}
    for key, same in found.items():
        for name, (_, scale) in measures.items():
            values = scale * np.array([float(row[name]) for row in same])
            spread[*key, name] = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
        cells = " | ".join("{:.1f} ± {:.1f}".format(*spread[*key, name]) for name in measures)
        print(f"| {key[0]} | {key[1]:g} | {key[2]} | {cells} |")
    figure = Figure(figsize=(9, 3), layout="constrained")
    for axes, (name, (text, _)) in zip(figure.subplots(1, 3), measures.items(), strict=True):
        for place, loss in enumerate(dict.fromkeys(row["loss"] for row in rows)):
            steps_ms = sorted({step for one, step, _ in found if one == loss})
            for kind, marker in (("of_step", "."), ("kept", "o")):
                shown = [spread.get((loss, step, kind, name), spread[loss, step, "of_step", name]) for step in steps_ms]
                mean, sd = np.array(shown).T
                style = {"color": f"C{place}", "marker": marker, "linestyle": ":" if kind == "of_step" else "-"}
                label = f"{loss}, dead time {kind}" if name == "accuracy" else None
                axes.errorbar(steps_ms, mean, sd, **style, markerfacecolor="white", capsize=2, label=label)
        axes.set(xscale="log", xlabel="time step (ms)", ylabel=text)
        axes.set_xticks(steps_ms, [f"{step:g}" for step in steps_ms])
        axes.set_xticks([], minor=True)
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    {"voices": lambda folder: voices(Path(folder)), "read": read, "table": table}[sys.argv[1]](*sys.argv[2:])

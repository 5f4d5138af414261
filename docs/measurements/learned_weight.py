"""How a study learns whose weight is learned, and what the weight becomes: the tables and the figure of its trainings.

    python docs/measurements/learned_weight.py results/train docs/measurements/learned_weight

reads `LOSS/SEED/FOLD/` under the first path, where a training that has not ended is shown as far as its checkpoint
(`last.npz`, where `train` was told to keep it there), and writes `*.csv` (accuracy by epoch), `*_shapes.csv` (w(x) in
the chosen epoch, or now) and `*.png`. The losses are those of `learned_weight.yaml`.
"""

import csv
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import yaml

from eventspeech import losses
from eventspeech.files import read_json, read_npz
from eventspeech.params import Shape
from eventspeech.records import history
from eventspeech.report.figures.style import COLOURS, GREY, STYLE

X = np.linspace(0, 1, 101)
SHAPES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))["shape"]


class Training(NamedTuple):
    """A training, whole or as far as it is: rows as of `records.history`, theta of a learned loss."""

    loss: str
    seed: str
    rows: np.ndarray
    theta: np.ndarray | None


def read(folder: Path) -> Training:
    """Return the training in a folder."""
    loss, seed, _ = folder.parts[-3:]
    if (folder / "history.csv").exists():
        columns = history.read(folder / "history.csv")
        theta = read_json(folder / "summary.json").get(losses.LEARNED, {}).get("chosen")
        rows = np.stack([columns[name] for name in history.Row._fields], axis=1)
        return Training(loss, seed, rows, None if theta is None else np.array(theta))
    arrays = read_npz(folder / "last.npz")
    return Training(loss, seed, arrays["rows"], arrays.get(f"weights.{losses.LEARNED}"))


def shape(training: Training) -> Shape:
    """Return the loss of a training."""
    return Shape(**SHAPES.get(training.loss, {"kind": "exponential"}))


def write(trainings: list[Training], out: Path) -> None:
    """Write both tables and the figure."""
    fields = history.Row._fields
    shown = [fields.index(name) for name in ("epoch", "training_accuracy", "validation_accuracy", "hidden_spikes")]
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["loss", "seed", *(fields[place] for place in shown)])
        for one in trainings:
            table.writerows([one.loss, one.seed, *(f"{row[place]:.6g}" for place in shown)] for row in one.rows)
    with out.with_name(f"{out.name}_shapes.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["loss", "seed", "epochs", "x", "w"])
        for one in trainings:
            if one.theta is not None:
                curve = zip(X, losses.weight(shape(one), X, one.theta), strict=True)
                table.writerows([one.loss, one.seed, len(one.rows), f"{x:.2f}", f"{w:.5f}"] for x, w in curve)
    draw(trainings, out.with_suffix(".png"))


def draw(trainings: list[Training], path: Path) -> None:
    """Draw validation accuracy by epoch, and w(x) beside the exponential and the Gaussian of the same mean."""
    with plt.style.context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
        names = list(dict.fromkeys(one.loss for one in trainings))
        for one in trainings:
            first = one.seed == min(other.seed for other in trainings if other.loss == one.loss)
            look = {"color": COLOURS[names.index(one.loss)], "linewidth": 0.9}
            left.plot(one.rows[:, 0], 100 * one.rows[:, 4], label=one.loss.replace("_", " ") if first else None, **look)
            if one.theta is not None:
                right.plot(X, losses.weight(shape(one), X, one.theta), **look)
        for kind, style in (("exponential", "--"), ("gaussian", ":")):
            fixed = losses.weight(Shape(kind=kind, mean_weight=0.6321), X)
            right.plot(X, fixed, color=GREY, linestyle=style, label=f"{kind}, same mean")
        left.set(xlabel="epoch", ylabel="validation accuracy (%)")
        right.set(xlabel="x = t / T", ylabel="weight w(x)", ylim=(0, None))
        figure.legend(loc="outside lower center", ncols=3)
        figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    folders = sorted(
        {path.parent for path in Path(sys.argv[1]).glob("*/*/*/*") if path.name in ("history.csv", "last.npz")}
    )
    known = ("exponential", *SHAPES)
    found = [read(folder) for folder in folders if folder.parts[-3] in known]
    write(sorted(found, key=lambda one: (known.index(one.loss), one.seed)), Path(sys.argv[2]))

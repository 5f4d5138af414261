"""The results on the front page: writes the part of README.md between its two marks anew, from files of this folder.

    python docs/front_page.py [PICTURE=STUDY ...]

The table is made of the runs of finished studies, kept in docs/measurements as they stand in results/compare/runs.csv;
a study that is not there yet has no rows. The pictures are kept in docs/pictures; PICTURE=STUDY takes one anew from the
report in the folder of a study, for instance example=. mean_curves=../arabic.
"""

import csv
import sys
import textwrap
from pathlib import Path

from PIL import Image

from eventspeech import statistics
from eventspeech.files import atomic_path, write_text
from eventspeech.report import captions, published
from eventspeech.report.words import percent, title

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
MARKS = ("<!-- results: made by docs/front_page.py -->\n", "<!-- end of results -->\n")

STUDIES = {
    "arabic_runs.csv": "Arabic Speech Commands, human voices (preset `arabic-commands`)",
    "recordings_thesis_runs.csv": "digits of four human voices, two to learn from (preset `recordings-thesis`)",
    "default_runs.csv": "digits of synthesised voices (preset `default`)",
}
"""Runs in docs/measurements to the data they are of, human speech first."""

PICTURES = ("example", "mean_curves", "shapes")
"""Figures of a report; their captions are those of the report."""

COLOURS, WIDTH_PX, SHOWN_PX = 64, 900, 560


def block() -> str:
    """Return the part of README.md between its marks."""
    head = ["data", "loss", "seeds", "best validation (%)", "test (%)", "voices never heard (%)"]
    rows = [row for name, data in STUDIES.items() for row in _of_study(DOCS / "measurements" / name, data)]
    rows += [_as_published(entry) for entry in published.ACCURACIES]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    shown = [name for name in PICTURES if (DOCS / "pictures" / f"{name}.png").exists()]
    pictures = [
        f'<img src="docs/pictures/{name}.png" width="{SHOWN_PX}" alt="{name.replace("_", " ")}, told below">'
        for name in shown
    ]
    told = [textwrap.fill(captions.in_general(captions.FIGURES[name]), 118) for name in shown]
    parts = [text for pair in zip(pictures, told, strict=True) for text in pair]
    table = (
        "Means over seeds with 95 % intervals; the last rows are what others published on SHD, no result of this code."
    )
    return "\n\n".join([table, "\n".join(lines), *parts]) + "\n"


def _of_study(path: Path, data: str) -> list[list[str]]:
    """Return a row for each loss of a study; none if its runs are not kept here."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        runs = list(csv.DictReader(stream))
    rows = []
    for loss in dict.fromkeys(run["loss"] for run in runs):
        own = [run for run in runs if run["loss"] == loss]
        folds, seeds = {run.get("fold") for run in own}, {run["seed"] for run in own}
        cells = [_mean(own, name, len(folds)) for name in ("best_validation", "test", "test_unheard")]
        rows.append([data, title(loss), str(len(seeds)), *cells])
        data = ""
    return rows


def _mean(runs: list[dict[str, str]], name: str, folds: int) -> str:
    values = statistics.means_of([float(run[name]) if run[name] else None for run in runs], folds)
    found = statistics.estimate(values, 0.95, statistics.FRACTION)
    if found.low is None:
        return percent(found.mean)
    return f"{percent(found.mean)} [{percent(found.low)}, {percent(found.high)}]"


def _as_published(entry: published.Accuracy) -> list[str]:
    seeds = "8" if entry.source == published.PAPER else "1"
    test = percent(entry.test) + ("" if entry.test_sd is None else f" ± {percent(entry.test_sd)}")
    return [f"SHD, published ({entry.source})", entry.kind, seeds, percent(entry.validation), test, ""]


def take(name: str, study: Path) -> None:
    """Keep a figure of a study's report, small enough for a front page."""
    image = Image.open(study / "reports" / "figures" / "png" / f"{name}.png").convert("RGB")
    image = image.resize((WIDTH_PX, round(image.height * WIDTH_PX / image.width)), Image.Resampling.LANCZOS)
    (DOCS / "pictures").mkdir(exist_ok=True)
    with atomic_path(DOCS / "pictures" / f"{name}.png") as path:
        image.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


def main(arguments: list[str]) -> None:
    """Take the pictures that are asked for, and write the part of README.md anew."""
    for argument in arguments:
        name, _, study = argument.partition("=")
        if name not in PICTURES or not study:
            sys.exit(f"{argument} is no PICTURE=STUDY; the pictures are {', '.join(PICTURES)}")
        take(name, Path(study))
    before, rest = README.read_text(encoding="utf-8").split(MARKS[0])
    write_text(README, before + MARKS[0] + "\n" + block() + "\n" + MARKS[1] + rest.split(MARKS[1])[1])


if __name__ == "__main__":
    main(sys.argv[1:])

"""Time and memory of every job: the benchmark files that Snakemake leaves; DVC leaves none."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from eventspeech.params import Params


@dataclass(frozen=True)
class Cost:
    """What a job took.

    Attributes:
        stage: the rule.
        job: which job of it, ``loss/seed/fold`` for a training.
        wall_s: time from its start to its end; NaN where it was too short to be watched, as are the others.
        cpu_s: time of all cores.
        memory_mib: the most that was resident at once.
    """

    stage: str
    job: str
    wall_s: float
    cpu_s: float
    memory_mib: float


COLUMNS = {"wall_s": "s", "cpu_s": "cpu_time", "memory_mib": "max_rss"}
"""Fields of a cost as Snakemake calls them."""


def read(params: Params, folder: Path) -> list[Cost]:
    """Read what the jobs of this study took, by stage and job; a file that is no benchmark tells nothing.

    Args:
        params: says which losses, seeds and folds belong to the study.
        folder: of ``{stage}/**.tsv``; may be missing.
    """
    jobs = [path.relative_to(folder).with_suffix("") for path in sorted(Path(folder).rglob("*.tsv"))]
    found = [_read(folder, job.parts[0], "/".join(job.parts[1:]) or job.name) for job in jobs if _of(params, job.parts)]
    return [cost for cost in found if cost is not None]


def _of(params: Params, parts: tuple[str, ...]) -> bool:
    """Whether a job belongs to the study: of a loss, seed and fold that left it the file stays."""
    if parts[0] in ("train", "evaluate") and len(parts) == 4:
        _, loss, seed, fold = parts
        return loss in params.study.losses and seed in map(str, params.study.seeds) and fold in params.study.folds
    if parts[0] == "baseline" or parts[:2] == ("evaluate", "baseline"):
        return parts[-1] in params.study.folds
    return parts[0] != "tune" or parts[-1] in params.tune.losses


def _read(folder: Path, stage: str, job: str) -> Cost | None:
    path = Path(folder, stage, f"{job}.tsv")
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            row = next(csv.DictReader(stream, delimiter="\t"))
        values = {name: _number(row[column]) for name, column in COLUMNS.items()}
    except (OSError, ValueError, KeyError, TypeError, StopIteration, csv.Error):
        return None
    if stage == "evaluate" and job.startswith("baseline/"):
        stage, job = "evaluate_baseline", job.removeprefix("baseline/")
    elif stage == "profile":
        device, job = job.split("/", 1)
        stage = f"profile_{device}"
    return Cost(stage, job, **values)


def _number(text: str) -> float:
    """Return a number of a benchmark, NaN for "NA": what Snakemake did not come to look at."""
    return math.nan if text in ("NA", "-") else float(text)

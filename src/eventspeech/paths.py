"""The only place where folders and files of a run are named; Snakemake, DVC and the report agree through it."""

import os
from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")
SPIKES = Path("data/spikes")
RESULTS = Path("results")
GENN = RESULTS / "genn"
"""Code that GeNN has generated and compiled; can be deleted at any time."""
REPORTS = Path("reports")
BENCHMARKS = Path("benchmarks")
"""Time and memory of each job, as Snakemake measures them."""
PRESETS = Path(__file__).parent / "presets"


def spikes(split: str) -> Path:
    """Spike store of a split."""
    return SPIKES / f"{split}.npz"


def statistics(split: str) -> Path:
    """Statistics of a split."""
    return SPIKES / f"{split}.json"


def model(results: Path, loss: str, seed: int, fold: str) -> Path:
    """Folder of one training: weights.npz, history.csv, summary.json."""
    return results / "train" / loss / str(seed) / fold


def evaluation(results: Path, loss: str, seed: int, fold: str) -> Path:
    """Folder of one test: metrics.json, predictions.csv, confusion.csv, examples.npz."""
    return results / "evaluate" / loss / str(seed) / fold


def baseline(results: Path, fold: str) -> Path:
    """Folder of one baseline: model.npz, summary.json."""
    return results / "baseline" / fold


def tuning(results: Path, loss: str) -> Path:
    """Folder of one search: trials.csv, curves.csv, best.yaml, summary.json."""
    return results / "tune" / loss


def profile(results: Path, device: str, batch_size: int) -> Path:
    """One measurement (or the reason why there is none)."""
    return results / "profile" / device / f"{batch_size}.json"


def cache() -> Path | None:
    """Return the user's folder for what can be computed again, None where the user has no home."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"], "eventspeech")
    try:
        return Path.home() / ".cache" / "eventspeech"
    except RuntimeError:
        return None


def given(path: str | Path) -> Path:
    """Return where a path of the parameter file leads.

    DVC runs `exp run --temp` and `--queue` in a copy of the repository below ``.dvc/tmp/exps``, which lacks what git
    and DVC do not know: there, a relative path that is missing leads into the repository itself.
    """
    path = Path(path)
    here = Path.cwd()
    copies = [folder for folder in here.parents if folder.parts[-3:] == (".dvc", "tmp", "exps")]
    if path.exists() or not copies:
        return path
    repository, below = copies[0].parents[2], here.relative_to(copies[0]).parts
    inside = os.path.relpath(os.path.abspath(path), here)
    # the first names are those of copies; what follows is the study's place in its repository
    candidates = [repository.joinpath(*below[first:], inside) for first in range(1, len(below) + 1)]
    return next((candidate for candidate in candidates if candidate.exists()), path)

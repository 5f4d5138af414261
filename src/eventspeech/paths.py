"""The only place where folders and files of a run are named; Snakemake, DVC and the report agree through it."""

from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")
SPIKES = Path("data/spikes")
RESULTS = Path("results")
GENN = RESULTS / "genn"
"""Code that GeNN has generated and compiled; can be deleted at any time."""
REPORTS = Path("reports")
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


def baseline_evaluation(results: Path, fold: str) -> Path:
    """Folder of one baseline's test; its files are those of :func:`evaluation`."""
    return results / "evaluate" / "baseline" / fold


def profile(results: Path, device: str, batch_size: int) -> Path:
    """One measurement (or the reason why there is none)."""
    return results / "profile" / device / f"{batch_size}.json"

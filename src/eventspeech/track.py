"""The verb `track`: the runs of a study for MLflow or TensorBoard, from what `train` and `evaluate` left.

Nothing that trains knows of it. A run that is there already (told by the digest of its history) is not written twice.
"""

import datetime
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eventspeech.errors import DataError, UserError
from eventspeech.files import atomic_folder, read_json, sha256, write_text
from eventspeech.records import history
from eventspeech.records import model as model_file

logger = logging.getLogger("eventspeech")

To = Literal["mlflow", "tensorboard"]

EXPERIMENT = "eventspeech"
MARK = "eventspeech.history"
"""Tag or file that holds the SHA-256 of a run's history."""

FILES = "MLFLOW_ALLOW_FILE_STORE"

LONGEST_VALUE = 500
"""Characters of a parameter; MLflow takes no more in some of its stores."""

AT_ONCE = 1000, 100
"""Metrics and parameters that MLflow takes in a batch."""


@dataclass(frozen=True)
class Tracked:
    """A run as trackers know it.

    Attributes:
        name: loss, seed and fold.
        digest: of its history.
        params: name to text.
        curves: column of the history to its values, one an epoch, from 1.
        last: metrics of the whole run.
    """

    name: str
    digest: str
    params: dict[str, str]
    curves: dict[str, list[float]]
    last: dict[str, float]

    def points(self) -> Iterator[tuple[str, int, float]]:
        """Yield name, epoch and value of all metrics; those of the whole run stand at the last epoch."""
        for name, values in self.curves.items():
            yield from ((name, epoch, value) for epoch, value in enumerate(values, 1))
        epochs = max(map(len, self.curves.values()))
        yield from ((name, epochs, value) for name, value in self.last.items())


def track(results: Path, to: To, folder: Path) -> None:
    """Write the runs of a study for a tracker.

    Args:
        results: folder of a study's results, or of one training.
        to: the tracker.
        folder: of MLflow's files, or of TensorBoard's.

    Raises:
        DataError: there is no run, or a record is damaged.
        UserError: the tracker is not installed.
    """
    write = _WRITERS[to]()
    written = 0
    for one in _runs(results):
        written += write(one, folder)
    shown = {
        "mlflow": f"{FILES}=true mlflow ui --backend-store-uri {folder}",
        "tensorboard": f"tensorboard --logdir {folder}",
    }
    logger.info("track: %d new runs in %s; `%s` shows them", written, folder, shown[to])


def _runs(results: Path) -> Iterator[Tracked]:
    found = sorted(results.rglob("history.csv")) if results.is_dir() else []
    if not found:
        raise DataError(f"{results} holds no history.csv of a training; give a study's folder of results.")
    for path in found:
        yield _run(path.parent)


def _run(folder: Path) -> Tracked:
    columns = history.read(folder / "history.csv")
    model = model_file.load(folder / "weights.npz")
    summary = read_json(folder / "summary.json")
    meta = model.meta
    params = {name: meta[name] for name in ("loss", "seed", "fold")}
    params |= {f"network.{name}": value for name, value in meta["network"].items()}
    params |= {f"shape.{name}": value for name, value in meta["shape"].items() if value not in (None, {})}
    params |= {name: summary.get(name) for name in ("protocol", "engine", "epochs", "selected_by", "training_samples")}
    last = {name: value for name, value in summary.items() if isinstance(value, float)}
    last |= _test(folder)
    name = f"{meta['loss']}/{meta['seed']}/{meta['fold']}"
    texts = {key: str(value)[:LONGEST_VALUE] for key, value in params.items()}
    curves = {column: values.tolist() for column, values in columns.items() if column != "epoch"}
    return Tracked(name, sha256(folder / "history.csv"), texts, curves, last)


def _test(folder: Path) -> dict[str, float]:
    """Return the accuracies of a run's test, if the study has it."""
    parents = folder.absolute().parents
    if len(parents) < 4 or parents[2].name != "train":
        return {}
    path = parents[3] / "evaluate" / folder.absolute().relative_to(parents[2]) / "metrics.json"
    if not path.exists():
        return {}
    found = {name: value for name, value in read_json(path).items() if name.startswith("accuracy")}
    return {f"test.{name}": value for name, value in found.items() if isinstance(value, float)}


def _mlflow() -> Callable[[Tracked, Path], int]:
    # a folder of plain files is what needs no database; MLflow 3.17 and newer ask for this before they write one
    os.environ.setdefault(FILES, "true")
    try:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise UserError("MLflow is not installed; run `pip install eventspeech[track]`.") from error

    def write(one: Tracked, folder: Path) -> int:
        client = MlflowClient(tracking_uri=folder.absolute().as_uri())
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT) if known is None else known.experiment_id
        if client.search_runs([experiment], f"tags.`{MARK}` = '{one.digest}'", max_results=1):
            return 0
        run = client.create_run(experiment, run_name=one.name, tags={MARK: one.digest}).info.run_id
        now_ms = int(datetime.datetime.now(datetime.UTC).timestamp() * 1000)
        metrics = [Metric(name, value, now_ms, epoch) for name, epoch, value in one.points()]
        for first in range(0, len(metrics), AT_ONCE[0]):
            client.log_batch(run, metrics=metrics[first : first + AT_ONCE[0]])
        params = [Param(name, value) for name, value in one.params.items()]
        for first in range(0, len(params), AT_ONCE[1]):
            client.log_batch(run, params=params[first : first + AT_ONCE[1]])
        client.set_terminated(run)
        return 1

    return write


def _tensorboard() -> Callable[[Tracked, Path], int]:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UserError("tensorboardX is not installed; run `pip install eventspeech[track]`.") from error

    def write(one: Tracked, folder: Path) -> int:
        place = folder / one.name
        mark = place / MARK
        if mark.exists() and mark.read_text(encoding="utf-8") == one.digest:
            return 0
        with atomic_folder(place, made_by=MARK) as new:
            writer = SummaryWriter(str(new))
            for name, epoch, value in one.points():
                writer.add_scalar(name, value, epoch)
            writer.add_text("parameters", "\n".join(f"- {name}: {value}" for name, value in one.params.items()), 0)
            writer.close()
            write_text(new / MARK, one.digest)
        return 1

    return write


_WRITERS: dict[To, Callable[[], Callable[[Tracked, Path], int]]] = {"mlflow": _mlflow, "tensorboard": _tensorboard}

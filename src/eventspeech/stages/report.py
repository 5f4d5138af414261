"""Execute the notebook and render the page."""

import ast
import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from eventspeech import __version__, paths, workflow
from eventspeech.files import write_text
from eventspeech.params import Params
from eventspeech.records import manifest
from eventspeech.report import NOTEBOOK
from eventspeech.report import results as study_results
from eventspeech.report.kernel import CellError, execute
from eventspeech.report.page import page

logger = logging.getLogger("eventspeech")

NAME = "study"
FAILED = "study.failed.ipynb"
MANIFEST = "manifest.json"
"""File among the tables that keeps the study's checksums, for `verify`."""


def report(
    params: Params, params_path: Path, spikes: Path, results: Path, out: Path, benchmarks: Path = paths.BENCHMARKS
) -> None:
    """Write ``study.html``, ``study.ipynb``, ``figures/`` and ``tables/`` under ``out``.

    Args:
        params: the parameters in ``params_path``.
        params_path: the notebook reads it again: it is a process of its own.
        spikes: folder of spike stores.
        results: folder of all other stages' results.
        out: folder to write; figures and tables of an earlier report that are not made again are removed. Until the
            new page is whole, the earlier one stays.
        benchmarks: folder of what Snakemake tells of each job's time and memory; may be missing.

    Raises:
        DataError: a result is missing or damaged; names the file and the stage that makes it.
        UserError: the notebook's kernel cannot be started, or died.
        CellError: a cell failed; the notebook up to it stays in ``study.failed.ipynb``.
    """
    # they load pandas and scipy, which no other verb should wait for
    from eventspeech.report import claims, closing

    start = time.monotonic()
    # a missing result is told before a kernel is started, and by the sentence of the error itself
    study = study_results.load(params, spikes, results)
    places = {"params_path": params_path, "spikes": spikes, "results": results, "benchmarks": benchmarks, "out": out}
    arguments = {name: Path(path).as_posix() for name, path in places.items()}
    check_arguments(NOTEBOOK, arguments)
    out = Path(out)
    earlier = _earlier(out)
    _clear_failures(out)
    notebook = execute(NOTEBOOK, arguments, out, out / FAILED)
    _clear(earlier)
    write_text(out / f"{NAME}.ipynb", _as_text(notebook))
    write_text(out / f"{NAME}.html", page(notebook, params.report.title))
    told = closing.lines(study, claims.findings(study), out / f"{NAME}.html")
    write_text(out / "tables" / closing.NAME, "\n".join(told) + "\n")
    manifest.write(out / "tables" / MANIFEST, manifest.of_study(params, __version__, Path(spikes), Path(results)))
    logger.info("report: %s in %.1f s", out / f"{NAME}.html", time.monotonic() - start)
    for line in told:
        logger.log(logging.DEBUG if os.environ.get(workflow.TOLD_LATER) else logging.INFO, "%s", line)


def check_arguments(notebook: Path, arguments: dict[str, Any]) -> None:
    """Raise unless the arguments are exactly the names that the notebook's cell tagged `parameters` assigns.

    Papermill only warns about a name that the notebook does not know.
    """
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise CellError(f"{notebook} needs one cell tagged `parameters`; it has {len(tagged)}.")
    statements = ast.parse("".join(tagged[0]["source"])).body
    targets = [target for statement in statements if isinstance(statement, ast.Assign) for target in statement.targets]
    known = {target.id for target in targets if isinstance(target, ast.Name)}
    if known != set(arguments):
        wrong = ", ".join(sorted(known ^ set(arguments)))
        raise CellError(f"{notebook} and its caller disagree about the parameters {wrong}.")


def _earlier(out: Path) -> dict[Path, int]:
    """Return the figures and tables that an earlier report left, and nothing else, with the time each was written."""
    from eventspeech.report import closing

    figures = [path for suffix in ("png", "svg", "pdf") for path in (out / "figures" / suffix).glob(f"*.{suffix}")]
    # of tables only what stands there in all three formats: `out` may be a folder in which a user keeps others
    trios = [
        [path.with_suffix(suffix) for suffix in (".csv", ".md", ".tex")] for path in (out / "tables").glob("*.csv")
    ]
    tables = [path for trio in trios if all(path.is_file() for path in trio) for path in trio]
    told = [path for path in (out / "tables" / closing.NAME,) if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in (*figures, *tables, *told)}


def _clear(earlier: dict[Path, int]) -> None:
    """Remove what has not been made again: the figure of a loss that left the study must not stay."""
    for path, written_ns in earlier.items():
        if path.is_file() and path.stat().st_mtime_ns == written_ns:
            path.unlink()


def _clear_failures(out: Path) -> None:
    """Remove what a run left that failed or was killed."""
    (out / FAILED).unlink(missing_ok=True)
    for killed in out.glob(".kernel-*"):
        shutil.rmtree(killed, ignore_errors=True)


def _as_text(notebook: Any) -> str:
    import nbformat

    return nbformat.writes(notebook) + "\n"

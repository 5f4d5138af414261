"""Execute the notebook and render the page."""

import ast
import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventspeech.errors import DataError, UserError
from eventspeech.files import atomic_path, write_text
from eventspeech.params import Params
from eventspeech.report import NOTEBOOK
from eventspeech.report import results as study_results
from eventspeech.report.page import page

logger = logging.getLogger("eventspeech")

NAME = "study"
FAILED = "study.failed.ipynb"


class CellError(RuntimeError):
    """A cell of the report's notebook failed through a fault of this program."""


def report(params: Params, params_path: Path, spikes: Path, results: Path, out: Path) -> None:
    """Write ``study.html``, ``study.ipynb``, ``figures/`` and ``tables/`` under ``out``.

    Args:
        params: the parameters in ``params_path``.
        params_path: the notebook reads it again: it is a process of its own.
        spikes: folder of spike stores.
        results: folder of all other stages' results.
        out: folder to write; figures and tables of an earlier report are removed.

    Raises:
        DataError: a result is missing or damaged; names the file and the stage that makes it.
        CellError: a cell failed; the notebook up to it stays in ``study.failed.ipynb``.
    """
    start = time.monotonic()
    # a missing result is told before a kernel is started, and by the sentence of the error itself
    study_results.load(params, spikes, results)
    arguments = {"params_path": params_path, "spikes": spikes, "results": results, "out": out}
    arguments = {name: Path(path).as_posix() for name, path in arguments.items()}
    check_arguments(NOTEBOOK, arguments)
    out = Path(out)
    _clear(out)
    notebook = _execute(arguments, out / FAILED)
    write_text(out / f"{NAME}.ipynb", _as_text(notebook))
    write_text(out / f"{NAME}.html", page(notebook, params.report.title))
    logger.info("report: %s in %.1f s", out / f"{NAME}.html", time.monotonic() - start)


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


def _clear(out: Path) -> None:
    """Remove what an earlier report left: the figure of a loss that left the study must not stay."""
    figures = [f"figures/**/*.{suffix}" for suffix in ("png", "svg", "pdf")]
    for pattern in (*figures, "tables/*.csv", "tables/*.md", "tables/*.tex"):
        for path in out.glob(pattern):
            path.unlink()
    for name in (f"{NAME}.ipynb", f"{NAME}.html", FAILED):
        (out / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _own_kernel() -> Iterator[str]:
    """Yield the name of a kernel that is this interpreter, whatever kernels the user has registered.

    The connection file and IPython's profile go to a folder of their own too: a home that cannot be written is no
    obstacle, and start-up files of the user change nothing.
    """
    with tempfile.TemporaryDirectory(prefix="eventspeech-") as folder:
        spec = Path(folder) / "kernels" / "python3" / "kernel.json"
        spec.parent.mkdir(parents=True)
        # the kernel warns that its local sockets are not encrypted, which is nothing to tell the user of a report
        command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
        # a frozen-modules warning of the debugger would end up in the log
        own = {"IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        own["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH")]))
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            yield "python3"
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _execute(arguments: dict[str, str], failed: Path) -> Any:
    """Return the executed notebook; leave it at ``failed`` if a cell fails."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    failed.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with _own_kernel() as kernel, tempfile.TemporaryDirectory(prefix="eventspeech-") as folder:
        executed = Path(folder) / "executed.ipynb"
        try:
            notebook = papermill.execute_notebook(
                str(NOTEBOOK), str(executed), parameters=arguments, kernel_name=kernel, progress_bar=False
            )
        except PapermillExecutionError as error:
            with atomic_path(failed) as temporary:
                temporary.write_bytes(executed.read_bytes())
            kind = DataError if error.ename in {kind.__name__ for kind in _user_errors()} else CellError
            raise kind(
                f"The report's cell {error.cell_index} failed: {error.ename}: {error.evalue} (the notebook up to it is "
                f"{failed})"
            ) from error
    return _without_traces(notebook)


def _user_errors() -> list[type]:
    return [UserError, *UserError.__subclasses__()]


def _without_traces(notebook: Any) -> Any:
    """Remove times and temporary paths, so that equal results give an equal notebook."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        # identifiers are drawn at random for the cell that papermill injects
        cell["id"] = f"cell-{number}"
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
    return notebook


def _as_text(notebook: Any) -> str:
    import nbformat

    return nbformat.writes(notebook) + "\n"

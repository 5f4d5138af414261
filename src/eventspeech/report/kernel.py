"""A notebook executed by a process of its own, whatever Jupyter, IPython and matplotlib of the user are like."""

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventspeech.disk import full_disk, refused_access
from eventspeech.errors import DataError, UserError

logger = logging.getLogger("eventspeech")

TOLD = "eventspeech: "
"""What lines of a cell's standard error begin with that are for the user."""

# its errors go to a file: an interrupted kernel has nothing to say to the user. The folder it is started in is no place
# to import from
_START = """\
# as ipykernel_launcher does
import os, sys
os.dup2(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
sys.path[:] = [place for place in sys.path if place]
from ipykernel import kernelapp
kernelapp.launch_new_instance()
"""


class CellError(RuntimeError):
    """A cell of the notebook failed through a fault of this program."""


def execute(notebook: Path, arguments: dict[str, str], scratch: Path, failed: Path) -> Any:
    """Return the executed notebook, an nbformat node, without times, temporary paths and standard error.

    What cells write to standard error goes to the log.

    Args:
        notebook: file to execute.
        arguments: values of the names that its cell tagged `parameters` assigns.
        scratch: folder for temporary files; nothing is written elsewhere, whatever TMPDIR and the home are like.
        failed: file that keeps the notebook up to a cell that fails.

    Raises:
        DataError: a cell raised an error that the user can mend.
        UserError: there is no kernel to be had, or it died.
        CellError: a cell raised any other error.
    """
    with _one_sentence(scratch):
        with refused_access(scratch):
            scratch.mkdir(parents=True, exist_ok=True)
            folder = tempfile.TemporaryDirectory(prefix=".kernel-", dir=scratch.resolve())
        with folder as own, _environment(Path(own)):
            try:
                executed = _run(notebook, arguments, Path(own), failed)
            except Exception:
                logger.debug("the kernel said:\n%s", _said(Path(own)))
                raise
    return _without_traces(executed)


@contextlib.contextmanager
def _one_sentence(scratch: Path) -> Iterator[None]:
    """Turn what Jupyter's packages and the system raise into one sentence."""
    try:
        with full_disk(scratch):
            yield
    except (UserError, CellError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise UserError(
            "The report's notebook could not be executed: its kernel, a Python process of its own, could not be "
            f"started or reached ({type(error).__name__}: {said}); `eventspeech doctor` tries it, and often "
            "`pip install --force-reinstall ipykernel papermill` in this environment mends it."
        ) from error


def _run(notebook: Path, arguments: dict[str, str], folder: Path, failed: Path) -> Any:
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # it raises what it says
    executed = folder / "executed.ipynb"
    try:
        return papermill.execute_notebook(
            str(notebook), str(executed), parameters=arguments, kernel_name="python3", progress_bar=False
        )
    except DeadKernelError as error:
        raise UserError(
            "The report's kernel, a Python process of its own, was ended before its work was done: most often the "
            "system does so when memory runs out; free some memory and run the stage `report` again."
        ) from error
    except PapermillExecutionError as error:
        failed.parent.mkdir(parents=True, exist_ok=True)
        failed.write_bytes(executed.read_bytes())
        kind = DataError if error.ename in _mendable() else CellError
        raise kind(
            f"The report's cell {error.cell_index} failed: {error.ename}: {error.evalue} (the notebook up to it is "
            f"{failed})"
        ) from error


def _mendable() -> set[str]:
    return {"MemoryError", UserError.__name__, *(kind.__name__ for kind in UserError.__subclasses__())}


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """Make this interpreter the kernel, whatever kernels, settings and start-up files the user has."""
    spec = folder / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    # the kernel warns that its local sockets are not encrypted, which is nothing to tell the user of a report
    options = ["--log-level=ERROR", "--InteractiveShell.ignore_cwd=True", "-f", "{connection_file}"]
    command = [sys.executable, "-c", _START, str(folder / "stderr"), *options]
    spec.write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
    places = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "TMPDIR")
    own = dict.fromkeys(places, str(folder)) | {"JUPYTER_NO_CONFIG": "1", "MPLBACKEND": "agg"}
    # a frozen-modules warning of the debugger would end up in the log
    own["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _said(folder: Path) -> str:
    try:
        return (folder / "stderr").read_text(encoding="utf-8", errors="replace")[-4000:]
    except FileNotFoundError:
        return "(nothing)"


def _without_traces(notebook: Any) -> Any:
    """Remove times, temporary paths and standard error, so that equal results give an equal notebook."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        # identifiers are drawn at random for the cell that papermill injects
        cell["id"] = f"cell-{number}"
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            _tell([output.text for output in cell.outputs if output.get("name") == "stderr"])
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def _tell(texts: list[str]) -> None:
    """Send what a cell wrote to standard error to the log, to the screen what is for the user."""
    for line in "".join(texts).splitlines():
        if line.startswith(TOLD):
            logger.warning("%s", line.removeprefix(TOLD))
        else:
            logger.debug("%s", line)


_TRIAL = """\
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from eventspeech.report.figures import png
figure = Figure()
figure.text(0.5, 0.5, "x")
display(Markdown(f"{len(png(figure)) > 0}"))
"""


def trial(scratch: Path) -> Any:
    """Return a small notebook that a kernel executed: it drew a figure and shows the word True.

    Raises:
        UserError: there is no kernel to be had, or it cannot draw.
    """
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "metadata": {"tags": tags}, "outputs": [], "execution_count": None, "source": source}
        for tags, source in ((["parameters"], "out = None"), ([], _TRIAL))
    ]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=scratch) as folder:
        notebook = Path(folder) / "trial.ipynb"
        notebook.write_text(json.dumps(content), encoding="utf-8")
        try:
            return execute(notebook, {"out": ""}, Path(folder), Path(folder) / "failed.ipynb")
        except CellError as error:
            raise UserError(str(error)) from error

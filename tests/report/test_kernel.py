"""The notebook's kernel: what it needs, how it ends, and what reaches the log."""

import json
import logging

import pytest

from eventspeech.errors import DataError, UserError
from eventspeech.report import kernel


def notebook(path, source):
    """Write a notebook of one cell beside that of its parameters."""
    cells = [
        {"cell_type": "code", "metadata": {"tags": tags}, "outputs": [], "execution_count": None, "source": text}
        for tags, text in ((["parameters"], "word = None"), ([], source))
    ]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}))
    return path


def execute(folder, source):
    made = notebook(folder / "made.ipynb", source)
    return kernel.execute(made, {"word": "zero"}, folder / "out", folder / "out" / "failed.ipynb")


def test_nothing_of_the_users_jupyter_home_or_temporary_folder_is_needed(tmp_path, monkeypatch, caplog):
    broken = tmp_path / "a file"
    broken.write_text("no folder")
    for name in ("TMPDIR", "HOME", "IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_PATH"):
        monkeypatch.setenv(name, str(broken))
    monkeypatch.setenv("MPLBACKEND", "module://nowhere")
    (tmp_path / "secrets.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    source = "import secrets, sys, tempfile\nimport matplotlib.pyplot\nprint(word, file=sys.stdout)\n"
    source += "print('eventspeech: look here', 'a warning', sep='\\n', file=sys.stderr)\nprint(tempfile.gettempdir())"
    with caplog.at_level(logging.DEBUG, logger="eventspeech"):
        done = execute(tmp_path, source)
    (output,) = done.cells[-1].outputs
    assert output.text.startswith(f"zero\n{tmp_path / 'out'}")
    told = {record.message: record.levelname for record in caplog.records}
    assert (told["look here"], told["a warning"]) == ("WARNING", "DEBUG")
    assert not list((tmp_path / "out").iterdir())


def test_a_kernel_that_dies_is_one_sentence(tmp_path, capfd):
    with pytest.raises(UserError, match=r"ended before its work was done: most often .* memory"):
        execute(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert capfd.readouterr().err == ""


def test_a_kernel_that_cannot_start_is_one_sentence(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(kernel, "_START", kernel._START.replace("from ipykernel", "from nowhere"))
    with caplog.at_level(logging.DEBUG, logger="eventspeech"), pytest.raises(UserError, match="could not be started"):
        execute(tmp_path, "pass")
    assert "No module named 'nowhere'" in caplog.text


@pytest.mark.parametrize(
    "source, kind",
    [("from eventspeech.errors import DataError\nraise DataError('too short')", DataError),
     ("raise MemoryError('no room')", DataError), ("raise ValueError('no such luck')", kernel.CellError)],
)  # fmt: skip
def test_a_cell_that_fails_is_the_users_or_ours(tmp_path, source, kind):
    with pytest.raises(kind, match="cell 2 failed"):
        execute(tmp_path, source)
    assert (tmp_path / "out" / "failed.ipynb").exists()


def test_a_trial_draws(tmp_path):
    assert kernel.trial(tmp_path).cells[-1].outputs[0].data["text/markdown"] == "True"
    assert not list(tmp_path.iterdir())

"""Run Snakemake or DVC as a command without paying for its imports each time.

They take two seconds, a dry run less than a quarter. multiprocessing's fork server imports them once, in a process of
its own (nothing of pytest's threads or state is forked), and each command runs in a fresh fork of it. What they would
import on their way is in the list, too.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "docutils.core",
        "dvc.cli.parser",
        "dvc.data_cloud",
        "dvc.lock",
        "dvc.repo.artifacts",
        "dvc.repo.graph",
        "dvc.repo.index",
        "dvc.repo.plots",
        "dvc.scm",
        "eventspeech.cluster",
        "eventspeech.engines.cpu",
        "eventspeech.workflow",
        "flufl.lock",
        "jinja2",
        "pandas",
        "pyparsing",
        "requests",
        "smart_open",
        "snakemake.cli",
        "snakemake.report.html_reporter",
        "snakemake.storage",
    ]
)


def run(tool: str, arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Do what `subprocess.run([tool, *arguments], cwd=folder, env=environment, capture_output=True)` does."""
    with tempfile.TemporaryDirectory() as scratch:
        said = [Path(scratch, name) for name in ("stdout", "stderr")]
        process = _context.Process(target=_main, args=(tool, arguments, folder, environment, said))
        process.start()
        process.join(300)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"{tool} {arguments}")
        texts = [file.read_text(encoding="utf-8") if file.exists() else "" for file in said]
        return subprocess.CompletedProcess([tool, *arguments], process.exitcode, *texts)


def _main(tool: str, arguments: list[str], folder: Path, environment: dict[str, str], said: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = [tool, *arguments]
    if tool == "snakemake":
        from snakemake.cli import main
    else:
        from dvc.cli import main
    sys.exit(main(arguments))

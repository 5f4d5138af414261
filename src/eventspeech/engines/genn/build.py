"""Generating and compiling a GeNN model, once for each plan: the code is kept beside the results."""

import contextlib
import fcntl
import hashlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventspeech import machine, paths
from eventspeech.disk import full_disk, refused_access
from eventspeech.errors import UserError

logger = logging.getLogger("eventspeech")


def folder(key: str) -> Path:
    """Return where the code of the model with this key is kept."""
    return paths.GENN.absolute() / hashlib.sha256(key.encode()).hexdigest()[:20]


def build_and_load(model: Any, key: str, what: str) -> None:
    """Compile a model unless that was done before, and load it.

    Processes that need the same model wait for the one that builds it.

    Args:
        model: a complete GeNN model.
        key: all that shapes its code.
        what: the model in words.

    Raises:
        UserError: the code does not compile or load, or its folder cannot be written to.
    """
    path = folder(f"{key} {machine.version('pygenn')}")
    with refused_access(path), full_disk(path):
        path.mkdir(parents=True, exist_ok=True)
        with (path / "lock").open("w") as lock, (path / "build.log").open("a") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = path / "done"
            if done.exists():
                _build(model, path, log.fileno(), what, False)
            else:
                logger.info("Building the GeNN model (%s), once; kept in %s", what, path)
                start = time.monotonic()
                _build(model, path, log.fileno(), what, True)
                logger.info("Built the GeNN model in %.0f s", time.monotonic() - start)
                done.touch()
            _load(model, what)


def _build(model: Any, path: Path, log: int, what: str, anew: bool) -> None:
    """Let GeNN generate the code and compile it; it compiles what has changed, or ``anew`` everything."""
    try:
        with output_to(log):
            model.build(str(path), always_rebuild=anew)
    except (subprocess.CalledProcessError, FileNotFoundError, RuntimeError) as error:  # the last from GeNN's C++
        raise UserError(
            f"GeNN's code for {what} does not compile ({error}); {path / 'build.log'} says why: is there a C++ "
            "compiler, and for the GPU does CUDA_PATH name the toolkit PyGeNN was built with?"
        ) from error


def _load(model: Any, what: str) -> None:
    try:
        model.load()
    except RuntimeError as error:
        raise UserError(
            f"GeNN cannot load the model for {what} ({error}); free the device's memory, or lower "
            "train.batch_size (evaluate.batch_size)."
        ) from error


@contextlib.contextmanager
def output_to(file: int) -> Iterator[None]:
    """Send what child processes print to ``file``, not to standard output and error: GeNN runs `make`."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = os.dup(1), os.dup(2)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)

"""What the workflow's rules need beside paths: the parameters in force, and a PATH on which jobs find this package."""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from eventspeech import files, params, paths
from eventspeech.errors import UserError
from eventspeech.params import Params

OVERRIDES = Path(".snakemake/eventspeech")
"""Where parameter files with the values of ``--config`` and ``--configfile`` are kept."""


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Let a user's error end Snakemake with its sentence alone; any other exception would print lines of code too."""
    try:
        yield
    except UserError as error:
        raise SystemExit(f"snakemake: {error}") from None


def require_readable(file: Path = paths.PARAMS) -> None:
    """Refuse a parameter file that is missing or no YAML, and name the line; Snakemake's own message does not.

    Raises:
        ParameterError: the file cannot be read.
    """
    try:
        yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        params.load(file)


def effective_parameters(
    config: Mapping[str, Any], file: Path = paths.PARAMS, overrides: Path = OVERRIDES
) -> tuple[Path, Params]:
    """Return the parameter file that holds exactly the values of ``config``, and these values validated.

    Without ``--config`` and ``--configfile`` that is ``file`` itself. With them, Snakemake has laid their values over
    those of ``file``; the result is written to a file of its own, named by its content, so that jobs that read it side
    by side, or on other machines of a cluster, all agree.

    Raises:
        ParameterError: a key is unknown, missing or out of range.
    """
    plain = json.loads(json.dumps(config, default=str))
    if file.exists() and plain == yaml.safe_load(file.read_text(encoding="utf-8")):
        return file, params.validate(plain, str(file))
    validated = params.validate(plain, f"{file} with what the command line lays over it")
    text = yaml.safe_dump(plain, sort_keys=True, allow_unicode=True)
    path = overrides / f"params-{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
    if not path.exists():
        files.write_text(path, text)
    return path, validated


def lines(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return one line ``key = value`` for each leaf of nested ``values``; the key gives the whole path, with dots."""
    found = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        found += lines(value, f"{name}.") if isinstance(value, Mapping) else [f"{name} = {json.dumps(value)}"]
    return found


def extend_path() -> None:
    """Let jobs find ``eventspeech`` also where the environment that runs this is not activated."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    own = str(Path(sys.executable).parent)
    if own not in folders:
        os.environ["PATH"] = os.pathsep.join([*folders, own])

"""What the workflow's rules need beside paths: the parameters in force, and a PATH on which jobs find this package."""

import contextlib
import functools
import hashlib
import itertools
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eventspeech import files, mending, params, paths, snakemake_lock
from eventspeech.errors import UserError
from eventspeech.params import Params, yaml12
from eventspeech.params.file import places_of_text, read
from eventspeech.params.study import laid_over

OVERRIDES = Path(".snakemake/eventspeech")
"""Where parameter files with the values of ``--config`` and ``--configfile`` are kept."""


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Let a user's error end Snakemake with its sentence alone; any other exception would print lines of code too."""
    try:
        yield
    except UserError as error:
        raise SystemExit(f"snakemake: {error}") from None


def before_snakemake() -> None:
    """Do what has to come before Snakemake opens anything; the profiles call it while it reads its command line."""
    require_configfiles()
    with one_sentence():
        snakemake_lock.take(sys.argv[1:])
        for sentence in mending.bring_back_times(Path()) if snakemake_lock.runs_jobs(sys.argv[1:]) else []:
            print(f"snakemake: {sentence}", file=sys.stderr)


def require_configfiles(arguments: Sequence[str] | None = None) -> None:
    """End Snakemake with one sentence if a file of ``--configfile`` is missing or cannot be read.

    Later it opens these files itself, before any Snakefile: a missing one gives a traceback, of a hostile one it
    expands all aliases and runs what is marked as code.

    Args:
        arguments: Snakemake's, by default those of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with one_sentence():
        for place, option in enumerate(given):
            name, equals, value = option.partition("=")
            if name in ("--configfile", "--configfiles"):
                following = itertools.takewhile(lambda text: not text.startswith("-"), given[place + 1 :])
                for path in [value] if equals else following:
                    for group in (group for group in read(Path(path)) if group not in Params.model_fields):
                        raise UserError(f"{path}: unknown key {group}; remove it or correct its spelling.")


def effective_parameters(
    configfiles: Sequence[Path],
    config: Mapping[str, Any],
    file: Path = paths.PARAMS,
    overrides: Path = OVERRIDES,
) -> tuple[Path, Params]:
    """Return the parameter file in force and its values: ``file`` with what the command line lays over it.

    ``configfiles`` are those of Snakemake's ``--configfile``, the last one on top, ``config`` is what it made of
    ``--config``. All files are read here, not by Snakemake, which takes YAML 1.1 for granted. Without either the result
    is ``file`` itself. With them it is written to a file of its own, named by its content, so that jobs that read it
    side by side, or on other machines of a cluster, all agree.

    Raises:
        ParameterError: a file cannot be read, or a key is unknown, missing or out of range.
    """
    if not configfiles and not config:
        return file, params.load(file)
    layers = [read(path) for path in (file, *configfiles)]
    content = functools.reduce(laid_over, layers)
    origin = f"{file} with what the command line lays over it"
    content = laid_over(content, _typed(config, content, origin))
    validated = params.validate(content, origin)
    if content == layers[0]:
        return file, validated
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"  # is YAML 1.2, too
    path = overrides / f"params-{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
    if not path.exists():
        files.write_text(path, text)
    return path, validated


def _typed(config: Mapping[str, Any], below: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return the values of ``--config``, of which Snakemake leaves all within braces texts, as YAML 1.2 means them.

    A value is meant as a text where only a text may stand, as in `report={title: 3}`, since quotes are lost.
    """
    typed = _each_text(config, lambda place, text: yaml12.scalar(text))
    wanted = places_of_text(laid_over(below, typed))
    return _each_text(config, lambda place, text: text if place in wanted else yaml12.scalar(text))


def _each_text(value: Any, change: Callable[[tuple, str], Any], place: tuple = ()) -> Any:
    if isinstance(value, Mapping):
        return {key: _each_text(item, change, (*place, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_text(item, change, (*place, index)) for index, item in enumerate(value)]
    return change(place, value) if isinstance(value, str) else value


def filled(arguments: list[str]) -> list[str]:
    """Return a command's arguments with what `--job` names put in: the text {loss}, {seed}, {fold} or {batch}.

    DVC puts values of the parameter file into a command before anything has looked at them, and a shell reads it. So
    the commands of `dvc.yaml` hold none. They give the name of the stage, ``$DVC_STAGE``, such as
    `train@gaussian-0-held_out`, which is looked up here among the jobs that the parameters ask for.

    Raises:
        UserError: the parameters ask for no such job.
        ParameterError: the parameter file is refused.
    """
    if "--job" not in arguments or "--params" not in arguments:
        return arguments
    at = arguments.index("--job")
    job = "".join(arguments[at + 1 : at + 2])
    file = "".join(arguments[arguments.index("--params") + 1 :][:1])
    values = _job(job, params.load(file), file)
    rest = [*arguments[:at], *arguments[at + 2 :]]
    for name, value in values.items():
        rest = [argument.replace(f"{{{name}}}", value) for argument in rest]
    return rest


def _job(name: str, parameters: Params, file: str) -> dict[str, str]:
    stage, _, wanted = name.rpartition(":")[2].partition("@")  # DVC puts the file first where it is not in the folder
    study, profile = parameters.study, parameters.profile
    each: dict[str, Sequence] = {"loss": study.losses, "seed": study.seeds, "fold": study.folds}
    axes: dict[str, dict[str, Sequence]] = {
        "baseline": {"fold": study.folds},
        "tune": {"loss": parameters.tune.losses},
        "train": each,
        "evaluate": each,
        "evaluate_baseline": {"fold": study.folds},
        "profile_cpu": {"batch": profile.cpu_batch_sizes},
        "profile_cuda": {"batch": profile.cuda_batch_sizes},
    }
    for values in itertools.product(*axes.get(stage, {"": []}).values()):
        texts = [str(value) for value in values]
        if "-".join(texts) == wanted:
            return dict(zip(axes[stage], texts, strict=True))
        if "-".join(texts) == unicodedata.normalize("NFC", wanted):
            raise UserError(
                f"DVC names a folder as {file} has it, and there a name of '{name}' is written in decomposed Unicode "
                "characters; type that name anew, or take Snakemake."
            )
    raise UserError(f"'{name}' is no job that {file} asks for; run `dvc repro`, which names them.")


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


TOLD_LATER = "EVENTSPEECH_TOLD_LATER"
"""Set where the program that runs the stages tells what was found itself, at the end."""


def tell_at_the_end() -> None:
    """Have the job `report` leave it to the end of the run to tell what was found."""
    os.environ[TOLD_LATER] = "1"


def findings(results: Path, reports: Path) -> str:
    """Return the lines in which `report` told what it found; nothing if there are newer results than these.

    Args:
        results: folder of the results.
        reports: folder of the report.
    """
    told = reports / "tables" / "findings.txt"
    try:
        made = told.stat().st_mtime
        newest = max((path.stat().st_mtime for path in results.rglob("*.json")), default=0.0)
        return told.read_text(encoding="utf-8") if newest <= made else ""
    except OSError:
        return ""

"""Whether a study came out as another one did, bit by bit, and if not, which stage was the first to differ."""

from pathlib import Path
from typing import NamedTuple, TextIO

from eventspeech import params as parameters
from eventspeech.errors import DataError
from eventspeech.params import Params
from eventspeech.records import manifest
from eventspeech.records.manifest import STAGES, Manifest

MOST_NAMED = 5
ABSENT = object()


class Stage(NamedTuple):
    """How the files of a stage compare: paths of those that are equal, differ, are missing here, or are here alone."""

    name: str
    equal: list[str]
    differing: list[str]
    missing: list[str]
    extra: list[str]

    def is_reproduced(self) -> bool:
        """Say whether all that the manifest has is here and equal; what is here alone does not count."""
        return not self.differing and not self.missing


def run(stream: TextIO, file: Path, params_path: Path, spikes: Path, results: Path) -> int:
    """Compare a study with a manifest and say what was found; return 0 if it is reproduced, else 1.

    Raises:
        UserError: manifest, parameters or a result cannot be read.
    """
    params, known = parameters.load(params_path), manifest.read(file)
    others = changed_parameters(params, known)
    if others:
        stream.write(f"These are other parameters than those of {file}:\n")
        for line in others[:MOST_NAMED]:
            stream.write(f"  {line}\n")
        if len(others) > MOST_NAMED:
            stream.write(f"  and {len(others) - MOST_NAMED} more\n")
    found = compare(params, known, spikes, results)
    for stage in found:
        stream.write(f"{stage.name:<10}  {_words(stage)}\n")
    first = next((stage for stage in found if not stage.is_reproduced()), None)
    if first is not None:
        stream.write(f"Not reproduced: {first.name} is the first stage that differs{_examples(first)}.\n")
    elif not others:
        stream.write(f"Reproduced: bit by bit what {file} has, of version {known.version}.\n")
    return int(bool(others) or first is not None)


def compare(params: Params, known: Manifest, spikes: Path, results: Path) -> list[Stage]:
    """Compare the files of each stage, in the order of the graph.

    Raises:
        DataError: a file is damaged.
    """
    here = manifest.files_of(params, spikes, results)
    return [_stage(name, known.stages[name], here[name]) for name in STAGES]


def _stage(name: str, known: dict[str, str], here: dict[str, Path]) -> Stage:
    found = Stage(name, [], [], [], [path for path in here if path not in known and here[path].exists()])
    for path, expected in known.items():
        if path not in here or not here[path].exists():
            found.missing.append(path)
        else:
            (found.equal if _sum(here[path]) == expected else found.differing).append(path)
    return found


def _sum(path: Path) -> str:
    try:
        return manifest.checksum(path)
    except DataError as error:
        return f"damaged: {error}"  # of no file that is whole


def changed_parameters(params: Params, known: Manifest) -> list[str]:
    """Return a line for each leaf that differs, but for how the report looks: it changes no number."""
    here = manifest.leaves(params.model_dump(mode="json"))
    names = [name for name in {**here, **known.parameters} if not name.startswith(("report.", "profile."))]
    values = {name: (here.get(name, ABSENT), known.parameters.get(name, ABSENT)) for name in names}
    return [
        f"{name} is {_value(own)} here, {_value(other)} there" for name, (own, other) in values.items() if own != other
    ]


def _value(value: object) -> str:
    return "absent" if value is ABSENT else f"{value}"


def _words(stage: Stage) -> str:
    counts = {"equal": stage.equal, "differing": stage.differing, "missing here": stage.missing}
    counts["more than there"] = stage.extra
    return ", ".join(f"{len(names)} {words}" for words, names in counts.items() if names) or "nothing"


def _examples(stage: Stage) -> str:
    for words, names in (("", stage.differing), (" missing", stage.missing)):
        if names:
            return f" ({len(names)}{words}: {', '.join(names[:MOST_NAMED])}{', ...' * (len(names) > MOST_NAMED)})"
    return ""

"""Parameter files to start from: the files of this folder, one a preset.

`default` is a whole file. Each other one holds only what differs from the preset it is laid over, `default` unless
:data:`OVER` says otherwise.
"""

from collections.abc import Sequence
from pathlib import Path

from eventspeech import params, paths
from eventspeech.errors import UserError
from eventspeech.params import yaml12
from eventspeech.params.file import read
from eventspeech.params.study import laid_over
from eventspeech.presets import layers

OVER = {
    "recordings-thesis": "recordings",
    "recordings-loso": "recordings",
    "arabic-commands-tune": "arabic-commands",
    "ablation": "recordings-loso",
    "paper-ssc": "paper",
}

WHOLE = ("shape", "validation")
"""Groups that a preset gives whole: other losses, or another protocol, have other keys."""


def names() -> list[str]:
    """Return the names of all presets, ``default`` first."""
    found = [path.stem for path in paths.PRESETS.glob("*.yaml")]
    return sorted(found, key=lambda name: (name != "default", name))


def text(name: str) -> str:
    """Return a preset as a whole parameter file, comments included; the first line names the schema to editors.

    Raises:
        UserError: there is no such preset; lists those there are.
    """
    known = names()
    if not known:
        raise UserError(f"There is no preset in {paths.PRESETS}; install the package again.")
    if name not in known:
        raise UserError(f"There is no preset '{name}'; choose from {', '.join(known)}.")
    own = (paths.PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    if name == "default":
        return own
    head, groups = layers.split(own)
    first, below = layers.split(text(OVER.get(name, "default")))
    return layers.join([first[0], *head], layers.laid_over(below, groups, WHOLE))


def laid(name: str, overlays: Sequence[Path]) -> str:
    """Return a preset with files laid over it, as `tune` leaves them, comments included.

    Raises:
        UserError: there is no such preset, a file cannot be read or has another form, or the result is refused.
    """
    head, groups = layers.split(text(name))
    wanted = yaml12.parse(text(name), name)
    for path in overlays:
        wanted = laid_over(wanted, read(path))
        groups = layers.laid_over(groups, layers.split(path.read_text(encoding="utf-8"))[1])
    found = layers.join(head, groups)
    params.validate(wanted, ", ".join([name, *map(str, overlays)]))
    if yaml12.parse(found, name) != wanted:
        raise UserError(
            f"{', '.join(map(str, overlays))}: only files of the form that `tune` leaves (groups in blocks, an empty "
            "line before the first) can be laid over a text; give others to `snakemake --configfile`."
        )
    return found


def load(name: str) -> params.Params:
    """Return a preset's values.

    Raises:
        UserError: there is no such preset; lists those there are.
    """
    return params.validate(yaml12.parse(text(name), name), name)

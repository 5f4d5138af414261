"""Parameter files to start from: the files of this folder, one a preset.

`default` is a whole file. Each other one holds only what differs from the preset it is laid over, `default` unless
:data:`OVER` says otherwise.
"""

from eventspeech import params, paths
from eventspeech.errors import UserError
from eventspeech.params import yaml12
from eventspeech.presets import layers

OVER = {
    "recordings-thesis": "recordings",
    "recordings-loso": "recordings",
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


def load(name: str) -> params.Params:
    """Return a preset's values.

    Raises:
        UserError: there is no such preset; lists those there are.
    """
    return params.validate(yaml12.parse(text(name), name), name)

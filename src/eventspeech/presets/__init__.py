"""Parameter files to start from: the files of this folder, one file a preset."""

from eventspeech import paths
from eventspeech.errors import UserError


def names() -> list[str]:
    """Return the names of all presets, ``default`` first."""
    found = [path.stem for path in paths.PRESETS.glob("*.yaml")]
    return sorted(found, key=lambda name: (name != "default", name))


def text(name: str) -> str:
    """Return a preset's file as it is, comments included.

    Raises:
        UserError: there is no such preset; lists those there are.
    """
    known = names()
    if not known:
        raise UserError(f"There is no preset in {paths.PRESETS}; install the package again.")
    if name not in known:
        raise UserError(f"There is no preset '{name}'; choose from {', '.join(known)}.")
    return (paths.PRESETS / f"{name}.yaml").read_text(encoding="utf-8")

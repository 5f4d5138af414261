"""Reading a parameter file."""

from pathlib import Path
from typing import Any

import pydantic

from eventspeech.errors import ParameterError
from eventspeech.params import yaml12
from eventspeech.params.refusals import sentence
from eventspeech.params.study import Params


def load(path: Path | str) -> Params:
    """Read and validate a parameter file.

    Raises:
        ParameterError: the file is missing, is not YAML, or a key is unknown, missing or out of range.
    """
    return validate(yaml12.read(Path(path)), str(path))


def read(path: Path | str) -> dict[str, Any]:
    """Read the groups of a parameter file, or of a part of one, without a look at the values.

    Raises:
        ParameterError: the file is missing, is not YAML, or holds no groups.
    """
    return _require_groups(yaml12.read(Path(path)), str(path))


def places_of_text(content: dict[str, Any]) -> set[tuple]:
    """Return the places (keys and indices) in ``content`` where a text should stand and something else does."""
    try:
        Params.model_validate(content)
    except pydantic.ValidationError as error:
        return {problem["loc"] for problem in error.errors() if problem["type"] == "string_type"}
    return set()


def _require_groups(content: Any, origin: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ParameterError(
            f"{origin} holds no groups of parameters; `eventspeech preset default` prints a valid one."
        )
    return content


def validate(content: Any, origin: str = "params.yaml") -> Params:
    """Validate the content of a parameter file.

    Args:
        content: as read from YAML: groups of keys.
        origin: of the content, for errors.

    Raises:
        ParameterError: a key is unknown or missing, or a value impossible; names key, value and remedy.
    """
    try:
        return Params.model_validate(_require_groups(content, origin))
    except pydantic.ValidationError as error:
        problems = "; ".join(sentence(problem, Params) for problem in error.errors())
        raise ParameterError(f"{origin}: {problems}.") from error

"""Reading a parameter file."""

from pathlib import Path
from typing import Any

import pydantic
import yaml

from eventspeech.errors import ParameterError
from eventspeech.params.refusals import sentence
from eventspeech.params.study import Params


def load(path: Path | str) -> Params:
    """Read and validate a parameter file.

    Raises:
        ParameterError: the file is missing, is not YAML, or a key is unknown, missing or out of range.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParameterError(
            f"{path} does not exist; `eventspeech preset default > {path}` writes one to start from."
        ) from error
    except OSError as error:
        raise ParameterError(f"{path} cannot be read ({error.strerror}); give the path of a parameter file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} is not valid YAML ({' '.join(str(error).split())}); correct it.") from error
    return validate(content, str(path))


def validate(content: Any, origin: str = "params.yaml") -> Params:
    """Validate the content of a parameter file; errors name the key, the value and the remedy."""
    if not isinstance(content, dict):
        raise ParameterError(
            f"{origin} holds no groups of parameters; `eventspeech preset default` prints a valid one."
        )
    try:
        return Params.model_validate(content)
    except pydantic.ValidationError as error:
        problems = "; ".join(sentence(problem, Params) for problem in error.errors())
        raise ParameterError(f"{origin}: {problems}.") from error

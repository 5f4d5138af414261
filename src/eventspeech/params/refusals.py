"""Sentences about parameters that are refused: key, value and remedy."""

import reprlib
from typing import Any

from eventspeech.params.groups import Group
from eventspeech.params.losses import Shape

_short = reprlib.Repr()
_short.maxstring = 80

MOVED = dict.fromkeys(
    (
        *(f"train.{key}" for key in ("engine", "accumulate", "learning_rate", "regulariser", "ease_in")),
        *(f"train.{key}" for key in ("adam_beta1", "adam_beta2", "adam_epsilon")),
        *(f"train.{key}" for key in ("learn_time_constants", "learn_output_time_constants")),
        *(f"train.{key}" for key in ("tau_mem_min_ms", "tau_syn_min_ms")),
    ),
    "optimiser",
)
"""The group in which a key of an older file stands now."""


def sentence(problem: Any, root: type[Group], inside: tuple[str, ...] = ()) -> str:
    """Return what is wrong and what to do, of one of pydantic's problems with a ``root``."""
    key = ".".join(str(part) for part in (*inside, *problem["loc"]))
    if problem["type"] == "extra_forbidden":
        group = MOVED.get(".".join(map(str, problem["loc"])))
        if group:
            return f"{key} is now {'.'.join((*inside, group, problem['loc'][-1]))}; move it"
        kind = _group_at(root, problem["loc"][:-1])
        known = f" (known there: {', '.join(kind.model_fields)})" if kind else ""
        return f"unknown key {key}; remove it or correct its spelling{known}"
    if problem["type"] == "missing":
        return f"{key} is missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return message
    if problem["type"] == "value_error":  # of a whole group, whose content would fill the screen
        return f"{key}: {message}"
    if problem["type"] == "string_type":
        message += ", so put it in quotes"
    if problem["type"] in ("int_type", "float_type", "bool_type") and isinstance(problem["input"], str):
        message += ", so write it without quotes"
    return f"{key} = {_short.repr(problem['input'])} is not valid: {message[0].lower()}{message[1:]}"


def _group_at(root: type[Group], location: tuple) -> type[Group] | None:
    group: Any = root
    if location[:1] == ("shape",):
        group, location = Shape, location[2:]
    for part in location:
        field = group.model_fields.get(part) if isinstance(part, str) else None
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, Group)):
            return None
        group = field.annotation
    return group

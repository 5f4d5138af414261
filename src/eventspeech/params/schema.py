"""What editors and readers need of the parameters, from their types and descriptions: a JSON schema and a list.

`python -m eventspeech.params.schema FOLDER` writes both, `params.schema.json` and `README.md`, to the folder `config`
of a study; an editor with a YAML language server completes and checks `params.yaml` by the first.
"""

import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventspeech import files
from eventspeech.params.groups import LARGEST, LARGEST_SEED, LEAST, MOST
from eventspeech.params.losses import Changes, Tuned
from eventspeech.params.study import Params

COMMAND = "python -m eventspeech.params.schema"

HEAD = f"""# Parameters

All of a study stands in `params.yaml`, in groups named like the stages that read them: a stage runs again only if a
value that it reads has changed. `eventspeech preset NAME` prints other files to start from. The command line lays
values over the file, `snakemake --config train='{{epochs: 3}}'`, and so does a file with a few keys, `--configfile
FILE`. The file is YAML 1.2 to Snakemake, DVC and this package alike: `010` is ten, `no` is a word, and numbers and
texts are not taken for one another. No number may be beyond {LARGEST:g}, no count beyond {MOST}, and none that has to
be above 0 below {LEAST:g}. Made by `{COMMAND} .`.
"""

EVERYWHERE = (-LARGEST, LARGEST, MOST, LARGEST_SEED)
"""Bounds that the head of the list tells of all numbers."""


def schema() -> dict[str, Any]:
    """Return the JSON schema of `params.yaml`, with `unit` beside each number's bounds."""
    found = Params.model_json_schema()
    # any of the group's keys; all have defaults, so that none is required there
    for name, group in itertools.product((Changes.__name__, Tuned.__name__), Changes.model_fields):
        place = found["$defs"][name]["properties"][group]
        for key in ("type", "additionalProperties"):
            place.pop(key, None)
        model = Params.model_fields[group].annotation
        assert isinstance(model, type), group
        place["$ref"] = f"#/$defs/{model.__name__}"
    found["$defs"]["Study"]["required"].remove("folds")  # the name of the protocol, where that has one fold
    _adapt(found)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Parameters of a study"} | found


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def list_text() -> str:
    """Return the list of all parameters in Markdown: a table for each group."""
    content, parts = schema(), [HEAD]
    for name, group in content["properties"].items():
        of_many = "additionalProperties" in group
        kind = _target(content, group["additionalProperties"] if of_many else group)
        rows = [_row(key, leaf) for key, leaf in _leaves(content, kind)]
        heading = f"## {name}{', one entry a loss' if of_many else ''}\n\n{kind['description']}\n"
        parts.append("\n".join([heading, "| key | value | default | unit | |", "|---|---|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def write(folder: Path) -> None:
    """Write both to the folder `config` in ``folder``."""
    files.write_text(folder / "config" / "params.schema.json", schema_text())
    files.write_text(folder / "config" / "README.md", list_text())


def _adapt(node: Any) -> None:
    """Leave out what says nothing to a reader, and patterns, whose letters are those of ASCII in editors."""
    if isinstance(node, list):
        for item in node:
            _adapt(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    if isinstance(node.get("pattern"), str):
        del node["pattern"]
    if "patternProperties" in node:
        (node["additionalProperties"],) = node.pop("patternProperties").values()
    if isinstance(node.get("description"), str):
        node["description"] = re.sub(r":\w+:(`[^`]+`)", r"\1", " ".join(node["description"].split())).replace("``", "`")
    for value in node.values():
        _adapt(value)


def _target(content: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    return content["$defs"][node["$ref"].rpartition("/")[2]]


def _leaves(content: dict[str, Any], group: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, node in group["properties"].items():
        if "$ref" in node and "description" not in node:
            yield from _leaves(content, _target(content, node), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", node
            many = node.get("additionalProperties")
            if isinstance(many, dict) and "$ref" in many:
                yield from _leaves(content, _target(content, many), f"{prefix}{key}.KEY.")


def _row(key: str, leaf: dict[str, Any]) -> str:
    cells = (f"`{key}`", _values(leaf), _default(leaf), leaf.get("unit", ""), leaf["description"])
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _values(leaf: dict[str, Any]) -> str:
    if "anyOf" in leaf:
        return ", ".join(_values(choice) for choice in leaf["anyOf"])
    if "enum" in leaf:
        return ", ".join(f"`{value}`" for value in leaf["enum"])
    if leaf.get("type") == "array":
        return f"list of {_values(leaf['items'])}"
    if not leaf:
        return "values"
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "`true`, `false`",
        "null": "`null`",
    }
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    bounds = [
        "> 0" if leaf[bound] == LEAST else f"{sign} {leaf[bound]:g}"
        for bound, sign in signs.items()
        if bound in leaf and leaf[bound] not in EVERYWHERE
    ]
    return " ".join([words.get(leaf.get("type", ""), "keys"), ", ".join(bounds)]).strip()


def _default(leaf: dict[str, Any]) -> str:
    return f"`{json.dumps(leaf['default'], ensure_ascii=False)}`" if "default" in leaf else ""


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))

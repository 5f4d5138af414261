"""What is made of the parameters' types and descriptions: every key has both, and the files are current."""

import re
from pathlib import Path

import jsonschema
import pytest

from eventspeech import params, presets
from eventspeech.params import schema, yaml12
from eventspeech.params.groups import Unit

ROOT = Path(__file__).parents[2]
STALE = f"config/{{}} is not current; run `{schema.COMMAND} .` in the repository"


def groups(kind=params.Params, seen=()):
    """Yield all kinds of groups."""
    yield kind
    for field in kind.model_fields.values():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, params.Group):
                yield from groups(part)


LEAVES = {
    f"{kind.__name__}.{name}": field
    for kind in groups()
    for name, field in kind.model_fields.items()
    if "params." not in str(field.annotation)
}


def test_there_are_parameters_in_every_group():
    assert len(LEAVES) > 100 and {name.partition(".")[0] for name in LEAVES} == {
        kind.__name__ for kind in groups() if kind is not params.Params
    }


@pytest.mark.parametrize("name", LEAVES)
def test_every_parameter_has_a_description_and_every_number_a_unit(name):
    field = LEAVES[name]
    assert field.description
    units = [part.name for part in field.metadata if isinstance(part, Unit)]
    is_number = re.search(r"\b(int|float)\b", str(field.annotation)) is not None
    assert len(units) == is_number
    for suffix, unit in {"_ms": "ms", "_s": "s", "_w": "W"}.items():
        assert not name.endswith(suffix) or units == [unit]


def test_the_schema_is_current():
    assert (ROOT / "config/params.schema.json").read_text(encoding="utf-8") == schema.schema_text(), STALE.format(
        "params.schema.json"
    )


def test_the_list_is_current():
    assert (ROOT / "config/README.md").read_text(encoding="utf-8") == schema.list_text(), STALE.format("README.md")


def test_the_command_writes_both(tmp_path):
    schema.write(tmp_path)
    assert {path.name for path in (tmp_path / "config").iterdir()} == {"params.schema.json", "README.md"}


def test_every_key_is_in_the_list():
    text = schema.list_text()
    assert all(f"`{name}`" in text or f".{name}`" in text for name in (leaf.partition(".")[2] for leaf in LEAVES))


@pytest.mark.parametrize("name", presets.names())
def test_editors_accept_every_preset(name):
    jsonschema.validate(yaml12.parse(presets.text(name), name), schema.schema())
    assert presets.text(name).startswith("# yaml-language-server: $schema=config/params.schema.json\n")


WRONG = {
    "unknown key": ("train", {"epochz": 3}),
    "type": ("train", {"epochs": "3"}),
    "bound": ("train", {"epochs": 0}),
    "word": ("optimiser", {"engine": "gpu"}),
    "changes": ("shape", {"a": {"kind": "sum", "changes": {"train": {"epochz": 3}}}}),
}


@pytest.mark.parametrize("name", WRONG)
def test_editors_mark_what_is_refused(name):
    group, value = WRONG[name]
    content = yaml12.parse(presets.text("default"), "default") | {group: value}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema.schema())


def test_names_of_any_script_and_changes_are_accepted():
    content = yaml12.parse(presets.text("default"), "default")
    content["shape"]["wélle"] = {"kind": "sum", "changes": {"train": {"epochs": 3}, "optimiser": {"engine": "genn"}}}
    del content["study"]["folds"]
    jsonschema.validate(content, schema.schema())
    params.validate(content)

"""Files of parameters mean the same to this package and to DVC, and what could be mistaken is refused with its line."""

import math
import time

import pytest
import yaml
from dvc.utils.serialize import parse_yaml

from eventspeech import params, presets
from eventspeech.errors import ParameterError
from eventspeech.params import yaml12

# what each means in YAML 1.2 as DVC reads it
SCALARS = {
    "010": 10, "09": 9, "0o10": 8, "-0o7": -7, "0x1F": 31, "0b11": 3, "1_000": 1000, "+1": 1, "0o8": "0o8",
    "yes": "yes", "no": "no", "on": "on", "off": "off", "Yes": "Yes", "y": "y",
    "true": True, "TRUE": True, "False": False,
    "1e-3": 1e-3, "1E3": 1000.0, ".5": 0.5, "5.": 5.0, "+.5": 0.5, "12e03": 12000.0, "1e400": math.inf,
    "-.inf": -math.inf,
    "1:30": "1:30", "~": None, "null": None, "NULL": None, "": None, "'010'": "010", '"no"': "no", "a b": "a b",
    "[010, no]": [10, "no"], "{a: 1e1}": {"a": 10.0},
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_values_are_those_of_yaml_1_2_and_of_dvc(text):
    found = yaml12.parse(f"key: {text}\n", "a.yaml")["key"]
    assert repr(found) == repr(SCALARS[text]) == repr(parse_yaml(f"key: {text}\n", "a.yaml")["key"])


def test_each_preset_means_the_same_to_dvc():
    for name in presets.names():
        assert yaml12.parse(presets.text(name), name) == parse_yaml(presets.text(name), name)


def test_a_value_alone_means_what_it_means_in_a_file():
    for text, value in SCALARS.items():
        if text and text[0] not in "'\"[{~":
            assert repr(yaml12.scalar(text)) == repr(value)


def test_merge_keys_and_aliases():
    text = "base: &b {q: 1, r: [x, y]}\nother: &o {q: 2, s: 3}\none: {<<: *b, q: 5}\ntwo:\n  <<: [*b, *o]\nthree: *b\n"
    found = yaml12.parse(text, "a")
    assert found == parse_yaml(text, "a")
    assert found["one"] == {"q": 5, "r": ["x", "y"]} and found["two"]["s"] == 3 and found["three"] == found["base"]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "a: 1\n", "---\na: 1\n...\n", "\ufeffa: 1\n", "a: 1\r\nb: é\r\n"]
)
def test_documents_that_are_read(text, tmp_path):
    (tmp_path / "a.yaml").write_bytes(text.encode())
    assert yaml12.read(tmp_path / "a.yaml") in (None, {"a": 1}, {"a": 1, "b": "é"})


LISTS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
GROUPS = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name} {{{', '.join(f'k{i}: *{before}' for i in range(10))}}}\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
REFUSED = {
    "key twice": ("a: 1\nb: 2\na: 3\n", "line 3: the key a stands in line 1 already; remove one of them"),
    "key twice, deep": ("g:\n  h:\n    a: 1\n    a: 1\n", "line 4: the key a stands in line 3 already"),
    "key twice in a line": ("g: {a: 1, a: 2}", "line 1: the key a stands in line 1 already"),
    "key twice, quoted": ("a: 1\n'a': 2", "line 2: the key a stands in line 1 already"),
    "group twice": ("train: {epochs: 3}\nx: 1\ntrain: {select: last}\n", "line 3: the key train stands in line 1"),
    "merged twice": ("b: &b {q: 1}\nx:\n  <<: *b\n  <<: *b\n", "line 4: the key << stands in line 3 already"),
    "merged number": ("x: {<<: 3}", "line 1: what << takes over is no group"),
    "lists that explode": (LISTS, r"line \d: with aliases written out, these are more than \d+ values"),
    "groups that explode": (GROUPS, r"line \d: with aliases written out, these are more than \d+ values"),
    "alias of itself": ("a: &a [1, *a]", "line 1: the alias *a names nothing that ends before it"),
    "alias of nothing": ("a: *b", "line 1: the alias *b names nothing"),
    "deep lists": ("a: " + "[" * 30_000, "line 1: more than 32 levels"),
    "deep groups": ("{a: " * 15_000, "line 1: more than 32 levels"),
    "deep dashes": ("- " * 30_000, "line 1: more than 32 levels"),
    "long list": (f"a: [{'x,' * 30_000}]", "more than 10000 values"),
    "object": ("a: !!python/object/apply:os.system ['x']", "line 1: the tag !!python/object/apply:os.system has"),
    "own tag": ("a: !x 1", "line 1: the tag !x"),
    "binary": ("a: !!binary aGFsbG8=", "line 1: the tag !!binary"),
    "two documents": ("a: 1\n---\nb: 2\n", "line 2: a second document begins here; remove it"),
    "YAML 1.1": ("%YAML 1.1\n---\na: 010\n", r"line 2: a directive \(%YAML or %TAG\) stands before it"),
    "tab": ("a:\n\tb: 1\n", r"is not valid YAML \(line 2: .*'\\t'"),
    "NUL": ("a: \0", r"is not valid YAML \(unacceptable character #x0000"),
    "bell": ("a: \a", r"is not valid YAML \(unacceptable character #x0007"),
    "half a character": ('a: "\\ud800"', "line 1: an escape names half a character"),
    "number as key": ("1: x", "line 1: the key 1 is no text; put it in quotes"),
    "true as key": ("a:\n  true: x", "line 2: the key true is no text; put it in quotes"),
    "nothing as key": ("~: x", "line 1: the key ~ is no text"),
    "date as key": ("2020-01-01: x", "line 1: the key 2020-01-01 is no text"),
    "list as key": ("? [a]\n: 1", "line 1: the key a list or group is no text"),
    "no date": ("a: 2020-13-45", "line 1: 2020-13-45 is no value; put it in quotes"),
    "endless number": (f"a: {'1' * 5000}", "line 1: 1{40} is no value"),
    "equals": ("a: =", "line 1: = is no value"),
    "unclosed": ("a: [1, 2\nother: }", r"is not valid YAML \(line 2"),
    "merge of texts": ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n", "is not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_at_once_in_one_sentence(name):
    text, sentence = REFUSED[name]
    start = time.process_time()
    with pytest.raises(ParameterError, match=sentence.replace("*", r"\*") if "alias" in name else sentence) as caught:
        yaml12.parse(text, "a.yaml")
    assert time.process_time() - start < 2  # tenths of a second where nothing else runs
    said = str(caught.value)
    assert said.startswith("a.yaml") and said.endswith(".") and "\n" not in said and len(said) < 300


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_other_encodings_are_refused(encoding, tmp_path):
    (tmp_path / "a.yaml").write_bytes("title: é\n".encode(encoding))
    with pytest.raises(ParameterError, match=r"is not valid YAML \(it is no text in UTF-8\); save it"):
        params.load(tmp_path / "a.yaml")


def test_huge_files_are_not_read(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"a: 1 #" + b"x" * 2_000_000)
    with pytest.raises(ParameterError, match=r"a\.yaml is larger than 64 KiB; give the path of a parameter file"):
        params.load(tmp_path / "a.yaml")


def test_readers_of_yaml_1_1_differ():
    # why Snakemake is not left to read the files
    assert yaml.safe_load("[010, no, 1:30, 1e-3]") == [8, False, 90, "1e-3"]

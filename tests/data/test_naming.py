"""Names as text."""

import pytest

from eventspeech.data import naming


@pytest.mark.parametrize(
    "names",
    [("One", "one"), ("left right", "left  right"), ("a\u200bb", "ab"), ("\uff21", "a"), ("straße", "STRASSE")],
)
def test_names_that_look_alike(names):
    assert naming.alike(["x", *names, "y"]) == [names]


def test_names_that_do_not():
    assert naming.alike(["1", "1.0", "01", "sie", "si", "null"]) == []


def test_names_are_composed():
    assert naming.normal(" fu\u0308nf\u00a0") == "fünf"

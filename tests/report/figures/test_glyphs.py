"""Names of any script in figures: fonts that have their letters, and what stands for letters that none has."""

import logging

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from eventspeech.report.figures import glyphs

CACHES = (glyphs._others, glyphs._names, glyphs._font, glyphs._has, glyphs.tell_missing)
UNKNOWN = "\U000104b0\U000104b1"
"""Letters of Osage, which few fonts have."""


@pytest.fixture
def fonts(monkeypatch):
    """The fonts of a machine that has those of matplotlib only."""
    own = [entry for entry in font_manager.fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    font_manager.fontManager._findfont_cached.cache_clear()
    for cache in CACHES:
        cache.cache_clear()
    yield own
    font_manager.fontManager._findfont_cached.cache_clear()
    for cache in CACHES:
        cache.cache_clear()


def make_font(path, letters):
    """Write a font called Made that has these letters, each a square."""
    pen = TTGlyphPen(None)
    for place, draw in (((0, 0), pen.moveTo), ((0, 500), pen.lineTo), ((500, 500), pen.lineTo), ((500, 0), pen.lineTo)):
        draw(place)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", *(f"u{ord(letter):04X}" for letter in letters)]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): f"u{ord(letter):04X}" for letter in letters})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Made", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def test_a_font_of_the_machine_is_found_for_letters_that_the_usual_one_lacks(fonts, tmp_path, caplog):
    make_font(tmp_path / "made.ttf", "零一")
    font_manager.fontManager.addfont(tmp_path / "made.ttf")
    assert glyphs.families(["zero", "سلام"]) == [glyphs.FAMILY]
    assert glyphs.families(["zero", "零一"]) == [glyphs.FAMILY, "Made"]
    assert glyphs.drawable("零一") == "零一"
    glyphs.tell_missing(frozenset(["零一"]))
    assert not caplog.records


def test_letters_without_a_font_keep_names_apart_and_are_told_once(fonts, caplog):
    names = ["zero", UNKNOWN[0], UNKNOWN[1], f"a{UNKNOWN}"]
    with caplog.at_level(logging.WARNING, logger="eventspeech"):
        for _ in range(3):
            glyphs.tell_missing(frozenset(names))
    assert [glyphs.drawable(name) for name in names] == ["zero", "U+104B0", "U+104B1", "a U+104B0 U+104B1"]
    (record,) = caplog.records
    assert "2 of the characters" in record.message and "install a font" in record.message


def test_a_damaged_font_is_passed_over(fonts, tmp_path, monkeypatch):
    make_font(tmp_path / "made.ttf", "零")
    font_manager.fontManager.addfont(tmp_path / "made.ttf")
    (tmp_path / "made.ttf").write_bytes(b"damaged")
    assert glyphs.families(["零"]) == [glyphs.FAMILY]
    assert glyphs.drawable("零") == "U+96F6"


@pytest.mark.parametrize(
    "name, shown",
    [("a\n b\t", "a b"), ("a\u202eb", "ab"), ("$x$", "$x$"), ("\x00", ""), ("☺\ufe0f", "☺"), ("م\u200cن", "م\u200cن")],
)
def test_marks_without_a_glyph_are_left_out(name, shown):
    assert glyphs.drawable(name) == shown

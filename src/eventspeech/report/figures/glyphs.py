"""Fonts for names of any script: which fonts of this machine have their letters, and what stands for those none has."""

import contextlib
import functools
import logging
import unicodedata
from collections.abc import Iterable, Iterator

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

logger = logging.getLogger("eventspeech")

FAMILY = "DejaVu Sans"
"""The font of all figures; it comes with matplotlib."""

_LAST_RESORT = "Last Resort"
"""Matplotlib's font of placeholders has a glyph for everything, the same one for each script."""

_JOINERS = "\u200c\u200d"
_VARIATIONS = {chr(code) for code in range(0xFE00, 0xFE10)}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep matplotlib from telling, again and again, that a font of another weight is near enough."""
    finder = logging.getLogger("matplotlib.font_manager")
    before = finder.level
    finder.setLevel(logging.ERROR)
    try:
        yield
    finally:
        finder.setLevel(before)


def families(texts: Iterable[str]) -> list[str]:
    """Return the fonts to draw texts with, :data:`FAMILY` first, then those that have what it lacks."""
    return [FAMILY, *_others(frozenset(_letters(texts)))[0]]


def drawable(text: str) -> str:
    """Return a text in one line, with the code point in place of each character that no font of this machine has.

    So names stay apart where they would all be drawn as the same box.
    """
    text = " ".join(text.split())
    unknown = _others(frozenset(_letters([text])))[1]
    kept = [letter for letter in text if _is_drawn(letter) or letter in _JOINERS]
    parts = [f" U+{ord(letter):04X} " if letter in unknown else letter for letter in kept]
    return " ".join("".join(parts).split())


@functools.cache
def tell_missing(texts: frozenset[str]) -> None:
    """Say once, in the log, which characters no font has."""
    if unknown := sorted(_others(frozenset(_letters(texts)))[1]):
        shown = " ".join(unknown[:20]) + (" …" if len(unknown) > 20 else "")
        logger.warning(
            "No font of this machine has %d of the characters in names (%s): figures show their code points (U+...) "
            "instead; install a font that has them (for instance Noto Sans of that script) and make the report again.",
            len(unknown),
            shown,
        )


def _letters(texts: Iterable[str]) -> set[str]:
    return {letter for text in texts for letter in text if _is_drawn(letter) and not letter.isspace()}


def _is_drawn(letter: str) -> bool:
    """Whether a character asks for a glyph: marks of direction and of variation do not."""
    if letter in _JOINERS or letter in _VARIATIONS:
        return False
    return unicodedata.category(letter) not in ("Cc", "Cf", "Cs")


@functools.cache
def _others(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return fonts for the letters that :data:`FAMILY` lacks, that with most of them first, and the letters left."""
    left = {letter for letter in letters if not _has(FAMILY, letter)}
    chosen: list[str] = []
    while left:
        found = {name: {letter for letter in left if _has(name, letter)} for name in _names()}
        best = max(found, key=lambda name: (len(found[name]), "Sans" in name, name), default=None)
        if best is None or not found[best]:
            break
        chosen.append(best)
        left -= found[best]
    return tuple(chosen), frozenset(left)


@functools.cache
def _names() -> list[str]:
    names = {entry.name for entry in font_manager.fontManager.ttflist}
    return sorted(name for name in names if name != FAMILY and not name.startswith(_LAST_RESORT))


@functools.cache
def _font(name: str) -> tuple[FT2Font, frozenset[int]] | None:
    """Return the upright font of a name and the code points it has; ``None`` if it cannot be used."""
    try:
        with quiet():
            path = font_manager.findfont(font_manager.FontProperties(family=[name]), fallback_to_default=False)
        font = FT2Font(path)
        font.set_size(8, 72)
        return font, frozenset(font.get_charmap())
    except (OSError, RuntimeError, ValueError):  # damaged, of a foreign format, or of bitmaps, as emoji in colour are
        return None


@functools.cache
def _has(name: str, letter: str) -> bool:
    found = _font(name)
    if found is None or ord(letter) not in found[1]:
        return False
    try:
        found[0].load_char(ord(letter))
    except RuntimeError:  # listed, but without an outline
        return False
    return True

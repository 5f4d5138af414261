"""The look of the figures: what a loss, a device and a verdict look like, and how a figure becomes a file.

Every figure carries the data set's label when the data is not SHD or SSC. A loss has one colour and one line style
throughout (colours of Okabe and Ito, told apart by colour-blind readers and, by the line style, in black and white).
"""

import contextlib
import functools
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from eventspeech.files import atomic_path
from eventspeech.report.figures import glyphs
from eventspeech.report.results import Results
from eventspeech.report.words import shortened, title

STYLE = Path(__file__).with_name("study.mplstyle")
WIDTH = 7.0
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
GREY = "#777777"
RED = "#B00020"
BETTER, WORSE = "#009E73", "#D55E00"


def styled(function: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the report's style and print the data set's label above the figure."""

    @functools.wraps(function)
    def drawn(results: Results, *arguments: object) -> Figure:
        names = frozenset(_names(results))
        glyphs.tell_missing(names)
        with in_style(glyphs.families(names)):
            figure = function(results, *arguments)
            if results.label:
                height = figure.get_size_inches()[1]
                _engine(figure).set(rect=(0, 0, 1, 1 - 0.2 / height))
                figure.text(0.995, 1 - 0.04 / height, results.label, ha="right", va="top", fontsize=6.5, color=RED)
            # one layout for all formats: it costs more than drawing
            _engine(figure).execute(figure)
            figure.set_layout_engine("none")
        return figure

    return drawn


def _engine(figure: Figure) -> ConstrainedLayoutEngine:
    """Return what lays a figure out: all are made with ``layout="constrained"``."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    return engine


@contextlib.contextmanager
def in_style(families: Sequence[str] = (glyphs.FAMILY,)) -> Iterator[None]:
    """Draw in the report's style, whatever the user's own settings of matplotlib are, with these fonts."""
    with matplotlib.style.context(["default", STYLE]), matplotlib.rc_context({"font.family": list(families)}):
        with glyphs.quiet():
            yield


def _names(results: Results) -> list[str]:
    """Return all texts of figures that come from the data or from the parameter file."""
    speakers = [*results.speaker_kinds(), *results.training_store.speaker_names]
    return list(map(str, [*results.losses, *results.folds, *results.classes, *speakers]))


def label(name: str, most: int = 24) -> str:
    """Return a name of the data as figures show it: in one line, of at most ``most`` characters that have glyphs."""
    return shortened(glyphs.drawable(str(name)), most)


def loss_label(loss: str, most: int = 32) -> str:
    """Return a loss's name as figures show it."""
    return label(title(loss), most)


def legend(figure: Figure, marks: Sequence[Artist], texts: Sequence[str], most: int = 5) -> None:
    """Draw a legend below a figure, in as many columns as there is room for; one of many rows makes it higher."""
    widths = [0.5 + 0.058 * len(text) for text in texts]  # inches of a mark and a text in the legend's font size
    columns = min(most, len(texts))
    while columns > 1 and _width(widths, columns) > figure.get_size_inches()[0]:
        columns -= 1
    rows = math.ceil(len(texts) / columns)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.16 * max(0, rows - 2))  # many names take no room from the axes
    figure.legend(marks, texts, loc="outside lower center", ncols=columns)


def _width(widths: Sequence[float], columns: int) -> float:
    """Return how wide a legend is that is filled column by column."""
    rows = math.ceil(len(widths) / columns)
    return sum(max(widths[i : i + rows]) for i in range(0, len(widths), rows))


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write a figure in every format, each in a folder of its own: ``folder/png/name.png``.

    No dates are written, so that equal results give equal files. Tools that show a folder of images show each once.
    """
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    written = []
    with in_style():
        for suffix in formats:
            path = Path(folder) / suffix / f"{name}.{suffix}"
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=suffix, metadata=dates[suffix])
            written.append(path)
    return written


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, to be embedded in the page."""
    buffer = io.BytesIO()
    with in_style():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def look(results: Results, loss: str) -> dict[str, Any]:
    """Return colour and line style of a loss, by its place in the study; a colour that returns has another line."""
    again, place = divmod(results.losses.index(loss), len(COLOURS))
    return {"color": COLOURS[place], "linestyle": LINES[(place + again) % len(LINES)]}


def sentence(width: float, text: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = Figure(figsize=(width, 1.1), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes)
    return figure


def percent_axis(axes: Axes, label: str, low: float = 0.0) -> None:
    """Label the vertical axis, from ``low`` (a fraction) to all, in percent."""
    axes.set(ylabel=label, ylim=(100 * low, 102))


def dot(colour: str) -> Line2D:
    """Return a legend's mark of a run."""
    return Line2D([], [], color=colour, marker="o", linestyle="", markeredgecolor="black", markeredgewidth=0.6)


def rule(style: Literal["-", "--", "-.", ":"]) -> Line2D:
    """Return a legend's mark of a horizontal line of reference."""
    return Line2D([], [], color=GREY, linestyle=style, linewidth=1)


def verdict_colour(word: str) -> str:
    """Return the colour of a verdict in words: fewer epochs are better, and so are higher accuracies."""
    return {"sooner": BETTER, "higher": BETTER, "later": WORSE, "lower": WORSE}.get(word, GREY)

"""The look of the figures: what a loss, a device and a verdict look like, and how a figure becomes a file.

Every figure carries the data set's label when the data is not SHD or SSC. A loss has one colour and one line style
throughout (colours of Okabe and Ito, told apart by colour-blind readers and, by the line style, in black and white).
"""

import contextlib
import contextvars
import functools
import io
import itertools
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from PIL import Image

from eventspeech.files import atomic_path
from eventspeech.report.figures import glyphs
from eventspeech.report.results import Results
from eventspeech.report.words import shortened, title

STYLE = Path(__file__).with_name("study.mplstyle")
WIDTH = 7.0
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
MARKERS = "osD^vP<>X*"
GREY = "#777777"
RED = "#B00020"
BETTER, WORSE = "#009E73", "#D55E00"

NARROW = 3.5
"""Width of a figure for a phone, in inches: its panels stand one below the other."""

_narrow = contextvars.ContextVar("narrow", default=False)


@contextlib.contextmanager
def for_phones() -> Iterator[None]:
    """Draw figures of width :data:`NARROW`, their panels one below the other."""
    token = _narrow.set(True)
    try:
        yield
    finally:
        _narrow.reset(token)


def is_narrow() -> bool:
    """Whether figures are drawn for phones."""
    return _narrow.get()


def page_width() -> float:
    """Return the greatest width of a figure, in inches."""
    return NARROW if is_narrow() else WIDTH


Shared = bool | Literal["col", "row"]
"""Which panels have an axis in common: all, none, those of a column or those of a row."""


def panels(
    rows: int,
    columns: int,
    height: float,
    width: float = WIDTH,
    by_columns: bool = False,
    sharex: Shared = False,
    sharey: Shared = False,
    **ratios: Sequence[float],
) -> tuple[Figure, Any]:
    """Return a figure and its panels, an array of Axes [rows, columns].

    For phones the same array stands in one column: row by row, or column by column.

    Args:
        rows, columns: of the array.
        height, width: of the figure, in inches.
        by_columns: whether the panels of a column belong together.
        sharex, sharey: as of ``Figure.subplots``.
        ratios: ``height_ratios`` and ``width_ratios``.
    """
    if not is_narrow():
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(
            rows, columns, squeeze=False, sharex=sharex, sharey=sharey,
            height_ratios=ratios.get("height_ratios"), width_ratios=ratios.get("width_ratios"),
        )  # fmt: skip
    tall = np.repeat(np.broadcast_to(ratios.get("height_ratios", 1.0), rows)[:, None], columns, axis=1)
    figure = Stacked(figsize=(NARROW, height * columns), layout="constrained")
    order: Literal["F", "C"] = "F" if by_columns else "C"
    places = figure.add_gridspec(rows * columns, 1, height_ratios=tall.ravel(order))
    index = np.arange(rows * columns).reshape((rows, columns), order=order)
    grid = np.empty((rows, columns), object)
    for row, column in np.ndindex(rows, columns):
        # that which it shares its axes with: the first of all, of its column or row, or none
        first = {True: grid[0, 0], "col": grid[0, column], "row": grid[row, 0], False: None}
        shared = {"sharex": first[sharex], "sharey": first[sharey]}
        grid[row, column] = figure.add_subplot(places[int(index[row, column])], **shared)
    figure.grid = grid
    return figure, grid


class Stacked(Figure):
    """A figure whose array of panels, ``grid``, stands in one column."""

    grid: Any

    def complete_labels(self) -> None:
        """Give every panel the labels of axes that only those at the edge of the array have."""
        shown = [(at, axes) for at, axes in np.ndenumerate(self.grid) if axes.axison]
        for (row, column), axes in shown:
            axes.set_ylabel(axes.get_ylabel() or self.grid[row, 0].get_ylabel())
            axes.set_xlabel(axes.get_xlabel() or self.grid[-1, column].get_xlabel())


def styled(function: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the report's style and print the data set's label above the figure."""
    return _drawn(function, labelled=True)


def background(function: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the report's style what shows no data."""
    return _drawn(function, labelled=False)


def _drawn(function: Callable[..., Figure], labelled: bool) -> Callable[..., Figure]:
    @functools.wraps(function)
    def drawn(results: Results, *arguments: object) -> Figure:
        names = frozenset(_names(results))
        glyphs.tell_missing(names)
        with in_style(glyphs.families(names)):
            figure = function(results, *arguments)
            if isinstance(figure, Stacked):
                figure.complete_labels()
            if results.label and labelled:
                _print_above(figure, results.label)
            # one layout for all formats: it costs more than drawing
            _engine(figure).execute(figure)
            figure.set_layout_engine("none")
        return figure

    return drawn


def _print_above(figure: Figure, text: str) -> None:
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(text, int(width / 0.05))  # inches of a letter
    figure.set_size_inches(width, height + 0.12 * (len(lines) - 1))
    height = figure.get_size_inches()[1]
    _engine(figure).set(rect=(0, 0, 1, 1 - (0.08 + 0.12 * len(lines)) / height))
    figure.text(0.995, 1 - 0.04 / height, "\n".join(lines), ha="right", va="top", fontsize=6.5, color=RED)


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
    return list(map(str, [*results.losses, *results.tuning, *results.folds, *results.classes, *speakers]))


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
    """Return how wide a legend is: matplotlib fills it column by column, the first ones with one more entry."""
    rows, longer = divmod(len(widths), columns)
    ends = np.cumsum([0, *(rows + (column < longer) for column in range(columns))])
    return sum(max(widths[first:end], default=0.0) for first, end in itertools.pairwise(ends))


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write a figure in every format, each in a folder of its own: ``folder/png/name.png``.

    No dates are written, so that equal results give equal files. Tools that show a folder of images show each once.
    """
    written = [Path(folder) / suffix / f"{name}.{suffix}" for suffix in formats]
    for path in written:
        write(figure, path)
    return written


def write(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's ending names."""
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    suffix = path.suffix.lower().removeprefix(".")
    with in_style(), atomic_path(path) as temporary:
        figure.savefig(temporary, format=suffix, metadata=dates[suffix])


EMBEDDED_COLOURS = 128
"""A figure of lines and dots needs no more, and its file is a third as large."""


def png(figure: Figure) -> bytes:
    """Return a figure as a small PNG, to be embedded in the page."""
    drawn, embedded = io.BytesIO(), io.BytesIO()
    with in_style():
        figure.savefig(drawn, format="png", metadata={"Software": None})
    image = Image.open(drawn).convert("RGB")
    image.quantize(EMBEDDED_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(embedded, "PNG")
    return embedded.getvalue()


def look(results: Results, loss: str) -> dict[str, Any]:
    """Return colour and line style of a loss, by its place in the study; a colour that returns has another line."""
    again, place = divmod(results.losses.index(loss), len(COLOURS))
    return {"color": COLOURS[place], "linestyle": LINES[(place + again) % len(LINES)]}


def marker(results: Results, loss: str) -> str:
    """Return the mark of a loss where dots stand close together: ten of them, so that colours need not tell alone."""
    return MARKERS[results.losses.index(loss) % len(MARKERS)]


def sentence(text: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    lines = textwrap.wrap(text, int(page_width() / 0.07))
    figure = Figure(figsize=(page_width(), 0.7 + 0.14 * len(lines)), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", transform=axes.transAxes)
    return figure


def raster(axes: Axes, times: np.ndarray, units: np.ndarray, colour: str = "black") -> None:
    """Draw a dot a spike, the smaller the more there are."""
    # drawn as pixels also in vector formats: ten thousand dots would make them slow to open
    size = float(np.clip(2500 / max(1, len(times)), 0.25, 3.0))
    axes.scatter(times, units, s=size, color=colour, linewidths=0, rasterized=True)


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

"""What a cell of the notebook calls: make and save a figure or table, and show it with caption and data."""

import base64
import logging
import os
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Markdown, display
from matplotlib.figure import Figure

from eventspeech.report import captions, figures, formats
from eventspeech.report.captions import Entry
from eventspeech.report.kernel import TOLD
from eventspeech.report.page import PART
from eventspeech.report.results import Results

_WIDTH_PX_PER_INCH = 120


class Shower:
    """Numbers, saves and shows figures and tables, each with the caption of its function's name.

    Attributes:
        results: what they show.
        out: folder whose ``figures`` and ``tables`` are written.
        places: where the files that captions name lie here: ``params.yaml``, ``data/spikes``, ``results``.
    """

    def __init__(self, results: Results, out: Path | str, places: Mapping[str, Path | str]) -> None:
        self.results = results
        self.out = Path(out)
        self.places = {name: Path(place) for name, place in places.items()}
        self._counts = {"Figure": 0, "Table": 0}
        _log_to_standard_error()

    def figure(
        self, make: Callable[..., Figure], loss: str | None = None, sounds: Sequence[Mapping[str, str]] = ()
    ) -> None:
        """Draw a figure for the desk and for phones, save the former as ``figures/*/NAME.*`` and show it.

        Args:
            make: a function of :mod:`eventspeech.report.figures`.
            loss: handed to it and part of the name, if it draws one loss.
            sounds: of :mod:`eventspeech.report.listening`, to be heard beside it.
        """
        of_loss = [] if loss is None else [loss]
        name, entry = "_".join([make.__name__, *of_loss]), captions.FIGURES[make.__name__]
        figure = make(self.results, *of_loss)
        written = figures.save(figure, self.out / "figures", name, self.results.params.report.formats)
        png = figures.png(figure)
        with figures.for_phones():
            narrow = figures.png(make(self.results, *of_loss))
        width = int(figure.get_size_inches()[0] * _WIDTH_PX_PER_INCH)
        part = self._part("Figure", entry, loss, written) | {"width": width, "narrow": _encoded(narrow)}
        part["sounds"] = list(map(dict, sounds))
        image = {"image/png": _encoded(png), "text/plain": part["caption"], PART: part}
        display(image, raw=True, metadata={"image/png": {"width": width, "alt": part["caption"]}})
        display(Markdown(f"**{part['number']}.** {formats.inline(part['caption'])}"))

    def table(self, make: Callable[[Results], pd.DataFrame], over: Sequence[str] = (), name: str | None = None) -> None:
        """Save a table as ``tables/NAME.*`` and show it, what ``over`` names as lines over the rows that share it.

        Args:
            make: a function of :mod:`eventspeech.report.tables`, or any other with ``name``.
            over: columns whose values stand as lines of their own over the rows that share them.
            name: of its caption and files; that of the function if not given.
        """
        name = name or make.__name__
        table = make(self.results)
        written = formats.save(table, self.out / "tables", name)
        part = self._part("Table", captions.TABLES[name], None, written)
        display(Markdown(f"**{part['number']}.** {formats.inline(part['caption'])}"))
        empty = "<p>Nothing in this study belongs in this table.</p>"
        content = formats.as_html(table, over, part["caption"]) if len(table) else empty
        display({"text/html": content, "text/plain": part["caption"], PART: part}, raw=True)

    def sentence(self, text: str) -> None:
        """Show a paragraph of Markdown."""
        display(Markdown(text))

    def _part(self, kind: str, entry: Entry, loss: str | None, written: Sequence[Path]) -> dict[str, Any]:
        """Return what the page needs to know of a figure or table."""
        self._counts[kind] += 1
        named = captions.data(self.results, entry, loss)
        return {
            "kind": kind.lower(),
            "number": f"{kind} {self._counts[kind]}",
            "caption": captions.caption(self.results, entry, loss),
            "label": self.results.label if entry.of_results and kind == "Table" else None,  # figures bear it themselves
            "data": [{"name": name, "link": self._link(name)} for name in named],
            "files": [{"name": path.suffix[1:].upper(), "link": _relative(path, self.out)} for path in written],
        }

    def _link(self, name: str) -> str | None:
        """Return the way from the page to a file of the study; ``None`` if it does not lie beside the page."""
        for place, path in self.places.items():
            if name == place or name.startswith(f"{place}/"):
                file = path / name.removeprefix(place).lstrip("/") if name != place else path
                return _relative(file, self.out) if file.exists() else None
        return None


def _relative(path: Path, out: Path) -> str | None:
    """Return the way from the folder ``out`` to a file within it or beside it, as an address."""
    way = os.path.relpath(path, out)
    # further up lie folders whose names are nobody's business
    return None if way.startswith(os.path.join("..", "..")) else urllib.parse.quote(Path(way).as_posix())


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _log_to_standard_error() -> None:
    """Let this process, the notebook's kernel, hand what it has to tell the user to the process that started it."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{TOLD}%(message)s"))
    logging.getLogger("eventspeech").handlers = [handler]

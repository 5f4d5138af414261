"""What a cell of the notebook calls: save a figure or table, and show it with its caption of one sentence."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Image, Markdown, display
from matplotlib.figure import Figure

from eventspeech.report import figures, formats
from eventspeech.report.kernel import TOLD

_WIDTH_PX_PER_INCH = 120


class Shower:
    """Numbers, saves and shows figures and tables.

    Attributes:
        out: folder whose ``figures`` and ``tables`` are written.
        formats: formats of figures; the page itself always embeds PNG.
    """

    def __init__(self, out: Path | str, formats: list[str]) -> None:
        self.out = Path(out)
        self.formats = formats
        self._counts = {"Figure": 0, "Table": 0}
        _log_to_standard_error()

    def figure(self, figure: Figure, name: str, caption: str) -> None:
        """Save a figure as ``figures/*/{name}.*`` and show it."""
        written = figures.save(figure, self.out / "figures", name, self.formats)
        saved = [path for path in written if path.suffix == ".png"]
        png = saved[0].read_bytes() if saved else figures.png(figure)
        width = int(figure.get_size_inches()[0] * _WIDTH_PX_PER_INCH)
        display(Image(png, format="png", width=width, alt=caption))
        display(Markdown(self._caption("Figure", caption)))

    def table(self, table: pd.DataFrame, name: str, caption: str, over: Sequence[str] = ()) -> None:
        """Save a table as ``tables/{name}.*`` and show it, what ``over`` names as lines over the rows that share it."""
        formats.save(table, self.out / "tables", name)
        display(Markdown(self._caption("Table", caption)))
        empty = "<p>Nothing in this study belongs in this table.</p>"
        display(HTML(formats.as_html(table, over) if len(table) else empty))

    def sentence(self, text: str) -> None:
        """Show a paragraph of Markdown."""
        display(Markdown(text))

    def _caption(self, kind: str, caption: str) -> str:
        self._counts[kind] += 1
        return f"**{kind} {self._counts[kind]}.** {formats.inline(caption)}"


def _log_to_standard_error() -> None:
    """Let this process, the notebook's kernel, hand what it has to tell the user to the process that started it."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{TOLD}%(message)s"))
    logging.getLogger("eventspeech").handlers = [handler]

"""A table as CSV, Markdown, LaTeX and HTML."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from eventspeech.files import write_text


def save(table: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write a table as CSV, Markdown and LaTeX (booktabs)."""
    texts = {"csv": table.to_csv(index=False, lineterminator="\n"), "md": markdown(table), "tex": latex(table)}
    for suffix, text in texts.items():
        write_text(Path(folder) / f"{name}.{suffix}", text)
    return [Path(folder) / f"{name}.{suffix}" for suffix in texts]


def markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown."""
    cells = [[inline(cell) for cell in row] for row in [list(table.columns), *table.to_numpy().tolist()]]
    rows = [cells[0], ["---"] * len(table.columns), *cells[1:]]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def inline(text: Any) -> str:
    """Return a text for a line of Markdown, so that nothing in it is read as markup or as mathematics."""
    # not every reader knows a backslash before the sign of mathematics
    text = re.sub(r"[\\`*_{}\[\]<>|~&#!^]|:(?=//)", r"\\\g<0>", " ".join(str(text).split()))
    return text.replace("$", "&#36;")


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "<": "$<$", ">": "$>$",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", "→": r"$\rightarrow$", "…": r"\ldots{}", "\u00a0": "~",
}  # fmt: skip


def latex(table: pd.DataFrame) -> str:
    """Return a table as LaTeX; needs the package booktabs, and for names beyond Latin letters XeLaTeX or LuaLaTeX."""

    def line(cells: list) -> str:
        texts = ["".join(_TEX.get(letter, letter) for letter in " ".join(str(cell).split())) for cell in cells]
        # at the start of a cell these would be read as the star or the option of the row's end before it
        return " & ".join(f"{{}}{text}" if text[:1] in ("[", "*") else text for text in texts) + r" \\"

    body = [line(row) for row in table.to_numpy().tolist()]
    head = [rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}", r"\toprule", line(list(table.columns)), r"\midrule"]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}"]) + "\n"


FEW_COLUMNS, MANY_COLUMNS = 4, 12
"""The rows of a table of more columns than the first become cards where the page is narrow, of more than the second
everywhere."""


def as_html(table: pd.DataFrame, over: Sequence[str] = (), name: str = "") -> str:
    """Return a table as HTML, columns of numbers flush right.

    The columns ``over`` stand as a line of their own over the rows that share their values, in place of once a row.
    Roles are written out, since cards are no table to a screen reader otherwise; ``name`` is read to it.
    """

    def numeric(column: str) -> bool:
        cells = [str(cell) for cell in table[column] if str(cell)]
        return bool(cells) and all(re.fullmatch(r"[-+−±\d.,\[\] e]+", cell) for cell in cells)

    columns = [column for column in table.columns if column not in over]
    classes = {column: ' class="number"' if numeric(column) else "" for column in columns}
    head = "".join(
        f'<th role="columnheader" scope="col"{classes[column]}>{html.escape(str(column))}</th>' for column in columns
    )
    body, shared = "", None
    for _, row in table.iterrows():
        values = [str(row[column]) for column in over]
        if values != shared:
            shared = values
            body += _line_over(values, len(columns)) if over else ""
        cells = "".join(_cell(column, row[column], classes[column], first=column == columns[0]) for column in columns)
        body += f'<tr role="row">{cells}</tr>'
    count = len(columns)
    kind = "few" if count <= FEW_COLUMNS else "wide" if count <= MANY_COLUMNS else "cards"
    told = f' aria-label="{html.escape(name)}"' if name else ""
    # what is wider than the page can be moved by keyboard, too
    return (
        f'<div class="table" role="group"{told} tabindex="0"><table class="{kind}" role="table"><thead role="rowgroup">'
        f'<tr role="row">{head}</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _cell(column: str, value: Any, attributes: str, first: bool) -> str:
    """Return a cell, which says its column where the row is a card; the first one names the row."""
    tag, role = ("th", 'role="rowheader" scope="row"') if first else ("td", 'role="cell"')
    name, text = html.escape(str(column)), html.escape(str(value))
    return f'<{tag} {role} data-column="{name}"{attributes}><span>{text}</span></{tag}>'


def _line_over(values: list[str], columns: int) -> str:
    first, *others = (html.escape(value) for value in values)
    rest = f" <span>{' · '.join(others)}</span>" if others else ""
    return (
        f'<tr class="over" role="row"><th colspan="{columns}" role="rowheader" scope="rowgroup">{first}{rest}</th></tr>'
    )

"""The page around an executed notebook: one file that needs nothing from elsewhere."""

import html
import re
from collections.abc import Iterator
from typing import Any

STYLE = """\
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1b1f24; font: 16px/1.55 "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 2rem 6rem; }
h1 { font-size: 1.8rem; line-height: 1.25; margin: 0 0 .6rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .6rem; padding-top: .5rem; border-top: 2px solid #0072b2; }
h3 { font-size: 1.05rem; margin: 2rem 0 .4rem; }
p { margin: .6rem 0; }
a { color: #00588c; }
code { font-size: .9em; background: #f3f4f6; padding: .1em .3em; border-radius: 3px; }
img { display: block; max-width: 100%; height: auto; margin: 1.2rem auto .3rem; }
.warning { border-left: 5px solid #b00020; background: #fbeff0; padding: .6rem 1rem; margin: 1rem 0; }
.holds, .fails, .open { border-left: 5px solid #777; background: #f5f6f7; padding: .5rem 1rem; margin: .8rem 0; }
.holds { border-color: #009e73; }
.fails { border-color: #d55e00; }
.claim { display: block; color: #555; font-size: .9rem; }
.rule { display: block; color: #555; font-size: .85rem; }
.table { overflow-x: auto; margin: .4rem 0 1.6rem; }
table { border-collapse: collapse; font-size: .78rem; line-height: 1.35; width: 100%; }
thead th { border-bottom: 1.5px solid #1b1f24; border-top: 1.5px solid #1b1f24; text-align: left; vertical-align: bottom; }
th, td { padding: .3rem .55rem; vertical-align: top; }
td.number { white-space: nowrap; }
td:first-child { min-width: 6.5rem; }
td:last-child:not(.number) { min-width: 9rem; }
tbody tr:nth-child(even) { background: #f6f8fa; }
tbody tr:last-child td { border-bottom: 1.5px solid #1b1f24; }
tbody tr.over th { text-align: left; padding-top: .9rem; background: #fff; border-bottom: 1px solid #c9ced4; }
tr.over span { font-weight: normal; color: #555; margin-left: .6rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
nav { font-size: .85rem; max-width: 62rem; margin: 0 auto; padding: 1.2rem 2rem 0; }
nav ol { columns: 3; margin: 0; padding: .8rem 1rem .8rem 2.2rem; background: #f6f8fa; border-radius: 6px; }
nav a { text-decoration: none; }
@media (max-width: 50rem) { nav ol { columns: 1; } main, nav { padding-left: 1rem; padding-right: 1rem; } }
@media print { nav { display: none; } main { max-width: none; padding: 0; } h2 { break-after: avoid; } img { break-inside: avoid; } }
"""  # noqa: E501


def _numbered(body: str) -> tuple[str, list[str]]:
    """Give the sections of a page anchors; return the page and the sections' headings."""
    headings: list[str] = []

    def anchored(match: re.Match) -> str:
        headings.append(match[1])
        return f'<h2 id="section-{len(headings)}">{match[1]}</h2>'

    return re.sub(r"<h2[^>]*>(.*?)</h2>", anchored, body), headings


def page(notebook: Any, title: str) -> str:
    """Return text, figures and tables of an executed notebook (an nbformat node) as one HTML file, without its code.

    nbconvert's templates are not used: they fetch scripts from elsewhere, and not every environment finds them.
    """
    body = "\n".join(part for cell in notebook.cells for part in _parts(cell))
    body, headings = _numbered(re.sub(r"(\d) %", "\\1\u00a0%", body))
    contents = "".join(f'<li><a href="#section-{n}">{text}</a></li>' for n, text in enumerate(headings, 1))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
        f"<nav><ol>{contents}</ol></nav>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _parts(cell: Any) -> Iterator[str]:
    """Yield what a cell shows, as HTML."""
    if cell.cell_type == "markdown":
        yield _from_markdown(cell.source)
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "image/png" in data:
            yield _image(data["image/png"], output.metadata.get("image/png", {}))
        elif "text/markdown" in data:
            yield _from_markdown(data["text/markdown"])
        elif "text/html" in data:
            yield data["text/html"]


def _from_markdown(text: str) -> str:
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    return MarkdownWithMath(renderer=IPythonRenderer(escape=False, exclude_anchor_links=True)).render(text)


def _image(encoded: str, attributes: dict[str, Any]) -> str:
    told = "".join(f' {name}="{html.escape(str(attributes[name]))}"' for name in ("width", "alt") if name in attributes)
    return f'<img src="data:image/png;base64,{"".join(encoded.split())}"{told}>'

"""The page around an executed notebook: one file that needs nothing from elsewhere."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PART = "application/vnd.eventspeech.part+json"
"""Type of what a cell tells the page about the figure or table that it shows; other readers of notebooks skip it."""

HERE = Path(__file__).parent


def page(notebook: Any, title: str) -> str:
    """Return text, figures and tables of an executed notebook (an nbformat node) as one HTML file, without its code.

    nbconvert's templates are not used: they fetch scripts from elsewhere, and not every environment finds them.
    """
    body = "\n".join(part for cell in notebook.cells for part in _parts(cell))
    body, headings = _numbered(re.sub(r"(\d) %", "\\1\u00a0%", body))
    contents = "".join(f'<li><a href="#section-{n}">{text}</a></li>' for n, text in enumerate(headings, 1))
    return around(f'<nav aria-label="Contents"><ol>{contents}</ol></nav>\n<main id="main">\n{body}\n</main>', title)


def _style() -> str:
    """Return the look of the page: tables of many columns are cards where it is narrow, of very many everywhere."""
    look, cards = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "cards.css"))
    narrow = f"@media screen and (max-width: 60rem) {{\n{cards.replace('KIND', 'wide')}}}\n"
    return narrow + cards.replace("KIND", "cards") + look


def around(body: str, title: str) -> str:
    """Return a whole page of the report's look."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">To the content</a>\n{body}\n</body>\n</html>\n'
    )


def _numbered(body: str) -> tuple[str, list[str]]:
    """Give the sections of a page anchors; return the page and the sections' headings."""
    headings: list[str] = []

    def anchored(match: re.Match) -> str:
        headings.append(match[1])
        return f'<h2 id="section-{len(headings)}">{match[1]}</h2>'

    return re.sub(r"<h2[^>]*>(.*?)</h2>", anchored, body), headings


def _parts(cell: Any) -> Iterator[str]:
    """Yield what a cell shows, as HTML."""
    if cell.cell_type == "markdown":
        yield _from_markdown(cell.source)
    outputs = [(output, output.get("data", {})) for output in cell.get("outputs", [])]
    captions = tuple(f"**{data[PART]['number']}.**" for _, data in outputs if PART in data)
    for output, data in outputs:
        if PART in data:
            yield _part(data[PART], data)
        elif "image/png" in data:
            yield _image(data["image/png"], output.metadata.get("image/png", {}))
        # a caption is part of its figure or table: by itself it is for readers of the notebook
        elif "text/markdown" in data and not data["text/markdown"].startswith(captions or "\0"):
            yield _from_markdown(data["text/markdown"])
        elif "text/html" in data:
            yield data["text/html"]


def _part(part: dict[str, Any], data: dict[str, Any]) -> str:
    """Return a figure or table with its caption, what it was made from and the files it is in."""
    caption = f"<figcaption><b>{part['number']}.</b> {html.escape(part['caption'])}{_made(part)}</figcaption>"
    if part["kind"] == "table":
        return f'<figure class="tabular">{caption}{data["text/html"]}</figure>'
    source = f'<source media="screen and (max-width: 40rem)" srcset="data:image/png;base64,{part["narrow"]}">'
    image = _image(data["image/png"], {"width": part["width"], "alt": part["caption"]})
    heard = "".join(map(_sound, part["sounds"]))
    return f'<figure class="figure"><picture>{source}{image}</picture>{heard}{caption}</figure>'


def _sound(one: dict[str, str]) -> str:
    """Return a recording to listen to; the page holds it whole."""
    words, link = html.escape(one["words"]), html.escape(one["link"])
    return (
        f'<div class="listen"><span>Listen: {words}</span> '
        f'<audio controls preload="metadata" src="{link}" aria-label="{words}"></audio></div>'
    )


def _made(part: dict[str, Any]) -> str:
    """Return what stands under a caption: the data's label, the files it is made from and those it is in."""
    label = f'<span class="label">{html.escape(part["label"])}</span>' if part["label"] else ""
    data, files = (", ".join(_link(one) for one in part[key]) for key in ("data", "files"))
    made = (data and f"From {data}") + (files and f'<span class="files">{" · " if data else ""}As {files}</span>')
    return label + (f'<span class="made">{made}</span>' if made else "")


def _link(one: dict[str, str | None]) -> str:
    name = html.escape(str(one["name"]))
    return f'<a href="{html.escape(one["link"])}">{name}</a>' if one["link"] else name


def _from_markdown(text: str) -> str:
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    return MarkdownWithMath(renderer=IPythonRenderer(escape=False, exclude_anchor_links=True)).render(text)


def _image(encoded: str, attributes: dict[str, Any]) -> str:
    told = "".join(f' {name}="{html.escape(str(attributes[name]))}"' for name in ("width", "alt") if name in attributes)
    return f'<img src="data:image/png;base64,{"".join(encoded.split())}"{told}>'

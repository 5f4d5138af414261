"""The verb `site`: finished reports of several studies side by side, as a folder that can be published as it is."""

import html
import logging
import re
import shutil
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from eventspeech import paths
from eventspeech.errors import UserError
from eventspeech.files import atomic_folder
from eventspeech.report import closing
from eventspeech.report.page import around

logger = logging.getLogger("eventspeech")

MADE_BY = "made-by-eventspeech-site.txt"
"""A file in every such folder, so that no other one is replaced."""

PICTURE = Path("figures/png/mean_curves.png")

PUBLISHED = (".csv", ".json", ".md", ".pdf", ".png", ".svg", ".tex", ".tsv", ".yaml")
"""Endings of what comes along of the files that a report links to: not spikes and weights, which are large."""

STYLE = """<style>
.studies { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: 1.5rem; }
.studies article { border: 1px solid var(--line); border-radius: 6px; padding: 1rem; }
.studies h2 { margin-top: 0; border-top: 0; }
.studies img { max-width: 100%; height: auto; background: #fff; }
.studies pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .75rem; }
</style>
"""


def site(studies: Sequence[Path], out: Path) -> None:
    """Copy the reports of studies into ``out`` and write ``index.html``, which shows them side by side.

    Each report comes with its figures and tables and with the results that it links to, so that its links lead
    somewhere, as far as they are text or pictures.

    Args:
        studies: folders that hold ``reports/study.html``, each of another name.
        out: folder to make anew.

    Raises:
        UserError: a study has no report, two have one name, or ``out`` is a folder of something else.
    """
    named = _named(studies)
    with atomic_folder(out, MADE_BY) as folder:
        (folder / MADE_BY).write_text("Made by `eventspeech site`, which may replace this folder.\n", encoding="utf-8")
        for name, study in named.items():
            _copy(study, folder / name)
        body = "\n".join(_article(name, study) for name, study in named.items())
        heading = f"<h1>{len(named)} {'study' if len(named) == 1 else 'studies'}</h1>"
        page = f'{STYLE}<main id="main">{heading}<div class="studies">{body}</div></main>'
        (folder / "index.html").write_text(around(page, "Studies"), encoding="utf-8")
    logger.info("site: %d studies in %s", len(named), out / "index.html")


def _named(studies: Sequence[Path]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for study in studies:
        page = study / paths.REPORTS / "study.html"
        if not page.is_file():
            raise UserError(f"{page} does not exist; run `snakemake` in {study} first, or leave it out.")
        name = study.resolve().name
        if name in named:
            raise UserError(f"Two of the studies are called {name}; rename one of the folders.")
        named[name] = study
    return named


def _copy(study: Path, to: Path) -> None:
    """Copy a report, its figures and tables, and what it links to within its study."""
    reports = study / paths.REPORTS
    found = {reports / "study.html", reports / "tables" / closing.NAME}
    text = (reports / "study.html").read_text(encoding="utf-8", errors="replace")
    root = study.resolve()
    for link in sorted(set(re.findall(r'<a href="([^"#:?]+)"', text))):
        target = reports / urllib.parse.unquote(html.unescape(link))
        # a page may have been edited by hand: nothing from outside the study is published
        if target.resolve().is_relative_to(root):
            found |= {path for path in ([target] if target.is_file() else target.rglob("*")) if path.is_file()}
    for path in sorted(found):
        published = path.suffix in PUBLISHED or path.name == closing.NAME or path == reports / "study.html"
        if path.is_file() and published:
            place = to / path.resolve().relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def _article(name: str, study: Path) -> str:
    """Return what the index shows of a study: its title, a picture, and the lines it ended with."""
    reports = study / paths.REPORTS
    title = re.search(r"<title>(.*?)</title>", (reports / "study.html").read_text(encoding="utf-8", errors="replace"))
    place = urllib.parse.quote(f"{name}/{paths.REPORTS.as_posix()}")
    heading = f'<a href="{place}/study.html">{html.escape(name)}</a>'
    told, picture = "<p>What it found is not told: its tables are missing.</p>", ""
    if (reports / "tables" / closing.NAME).is_file():
        lines = (reports / "tables" / closing.NAME).read_text(encoding="utf-8", errors="replace").splitlines()
        shown = "\n".join(line for line in lines if not line.startswith("Report: "))
        told = f"<pre>{html.escape(shown)}</pre>"
    if (reports / PICTURE).is_file():
        alt = f"Mean validation accuracy by epoch of {name}"
        picture = f'<img src="{place}/{PICTURE.as_posix()}" alt="{html.escape(alt)}">'
    return f"<article><h2>{heading}</h2><p>{title[1] if title else ''}</p>{picture}{told}</article>"

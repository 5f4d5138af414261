"""The report in a real browser: on a desk, a tablet, a phone, on paper and read aloud."""

import re
from importlib import resources

import nbformat
import pytest
from support.browser import Browser
from support.studies import load, make

from eventspeech.report import captions, claims, figures, listening, page, show, tables, text

pytestmark = pytest.mark.browser

WIDTHS = {"phone": (390, ""), "tablet": (768, ""), "desk": (1280, ""), "paper": (680, "print")}  # A4 less its margins

CUT = """
(() => {
  const width = document.documentElement.clientWidth, found = [];
  const show = (element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`;
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    const hidden = element.closest(".skip") || (element.closest("thead") && box.right < 0);
    if (box.width && box.height && !hidden && (box.right > width + 1 || box.left < -1)) found.push(show(element));
    // what does not fit into its own box is cut off, or has to be moved to be seen
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== "visible")
      found.push("moved: " + show(element));
  }
  return found.slice(0, 5);
})()
"""
SERIOUS = """
axe.run(document, {resultTypes: ["violations"]}).then((found) => found.violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 200)}`))
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A page with a figure of each layout and every table, made without a kernel: path, and the browser."""
    root = tmp_path_factory.mktemp("shown")
    study = load(root, make(root, gpu=True, losses=["exponential", "gaussian", "gaussian_matched"]))
    outputs, patch = [], pytest.MonkeyPatch()
    patch.setattr(show, "display", lambda content, metadata=None, **_: outputs.append((content, metadata or {})))
    patch.setattr(show, "_log_to_standard_error", lambda: None)
    shower = show.Shower(study, root / "reports", {"results": root / "results", "params.yaml": root / "params.yaml"})
    found = claims.findings(study)
    shower.sentence(text.header(study))
    shower.sentence("## One section")
    for make_figure in (figures.example, figures.differences, figures.profile):
        shower.figure(make_figure, sounds=listening.of_example(study) if make_figure is figures.example else ())
    shower.table(lambda _: claims.table(found), claims.OVER, name="claims")
    for name in captions.TABLES:
        if hasattr(tables, name) and not (made := getattr(tables, name)(study)).empty:
            shower.table(lambda _, made=made: made, name=name)
    shower.sentence(text.findings(found, *claims.published.CLAIMS))
    patch.undo()
    cell = nbformat.v4.new_code_cell("")
    for content, metadata in outputs:
        content = content if isinstance(content, dict) else {"text/markdown": content.data}
        cell.outputs.append(nbformat.v4.new_output("display_data", content, metadata=metadata))
    path = root / "reports" / "study.html"
    path.write_text(page.page(nbformat.v4.new_notebook(cells=[cell]), "A study"), encoding="utf-8")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield path, browser
    browser.close()


@pytest.mark.parametrize("place", WIDTHS)
def test_nothing_is_cut_off(shown, place):
    path, browser = shown
    width, media = WIDTHS[place]
    browser.open(path, width, media=media)
    assert browser.run(CUT) == []
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_a_table_that_is_too_wide_would_be_seen(shown, tmp_path):
    _, browser = shown
    wide = tmp_path / "wide.html"
    wide.write_text(
        page.around('<main id="main"><table class="few"><td style="min-width: 900px">x</td></table></main>', "x")
    )
    browser.open(wide, 768)
    assert browser.run(CUT)


def test_panels_stack_and_tables_become_cards_on_a_phone(shown):
    path, browser = shown
    seen = {}
    for width in (390, 1280):
        browser.open(path, width)
        seen[width] = browser.run(
            "(() => { const i = document.querySelector('figure img');"
            "const r = document.querySelector('table.wide tbody tr');"
            "return [i.naturalHeight / i.naturalWidth, getComputedStyle(r).display]; })()"
        )
    assert seen[390][0] > 2 > 1 > seen[1280][0], "the panels of the phone's figure stand in one column"
    assert (seen[390][1], seen[1280][1]) == ("block", "table-row")


@pytest.mark.parametrize("dark", [False, True])
def test_a_screen_reader_finds_nothing_serious(shown, dark):
    path, browser = shown
    axe = resources.files(pytest.importorskip("axe_core_python")).joinpath("axe.min.js").read_text(encoding="utf-8")
    for width in (390, 1280):
        browser.open(path, width, dark=dark)
        browser.run(axe)
        assert browser.run(SERIOUS) == []
    browser.run("document.querySelector('figure img').removeAttribute('alt')")
    assert [one.split(":")[0] for one in browser.run(SERIOUS)] == ["image-alt"], "a fault is found"


def test_nothing_comes_from_elsewhere(shown):
    path, browser = shown
    browser.requests.clear()
    browser.open(path, 1280)
    assert {re.match(r"\w+", url)[0] for url in browser.requests} == {"file", "data"}


def test_it_prints(shown, tmp_path):
    path, browser = shown
    browser.open(path, 1280)
    browser.pdf(tmp_path / "study.pdf")
    assert (tmp_path / "study.pdf").read_bytes().count(b"/Type /Page\n") >= 4

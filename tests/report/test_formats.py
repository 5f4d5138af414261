"""A table in each of its formats: a name of the data stays what it is, whatever stands in it."""

import csv
import html
import re

import pandas as pd
import pytest

from eventspeech.report import formats, page

NAMES = [
    "$x$", "a|b", "<script>alert(1)</script>", "_a_ *b* `c`", "50 %", "a\nb", r"\cmd{x}", "&lt;", "# h", "~~s~~", "零",
    "[x](u)", "![i](u)", "https://a.b/c", "&#36;", "'q' \"d\"", "^", "1. x", "- x", "None", "nan", "yes, please", "x~y",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_markdown_shows_a_name_as_it_is(name):
    text = " ".join(name.split())
    shown = page._from_markdown(f"before {formats.inline(name)} after")
    assert html.unescape(re.sub("</?p>", "", shown)).strip() == f"before {text} after"
    table = page._from_markdown(formats.markdown(pd.DataFrame({name: [name]})))
    assert [html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*)</t[hd]>", table)] == [text, text]


@pytest.mark.parametrize("name", NAMES)
def test_html_and_csv_keep_a_name(name, tmp_path):
    shown = formats.as_html(pd.DataFrame({name: [name, "other"]}))
    cells = re.findall(r"<t[hd][^>]*>(?:<span>)?([^<]*)(?:</span>)?</t[hd]>", shown)
    assert [html.unescape(cell) for cell in cells] == [name, name, "other"]
    assert [html.unescape(column) for column in re.findall(r'data-column="([^"]*)"', shown)] == [name, name]
    formats.save(pd.DataFrame({name: [name]}), tmp_path, "made")
    with (tmp_path / "made.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [[name], [name]]


def test_latex_reads_nothing_in_a_name():
    table = pd.DataFrame(
        {"a_b (%)": ["50 & more", "[−1.0, 2]", "*", "$x$ ^ ~ # {}", "a\nb", "x → y"], "c|d": ["\\"] * 6}
    )
    lines = formats.latex(table).splitlines()
    assert lines[2] == r"a\_b (\%) & c\textbar{}d \\"
    cells = [line.removesuffix(r" & \textbackslash{} \\") for line in lines[4:10]]
    assert cells == [
        r"50 \& more", "{}[$-$1.0, 2]", "{}*", r"\$x\$ \textasciicircum{} \textasciitilde{} \# \{\}", "a b",
        r"x $\rightarrow$ y",
    ]  # fmt: skip


def test_columns_of_numbers_are_flush_right():
    table = pd.DataFrame({"a_b (%)": ["50 & more", "[−1.0, 2]"], "c|d": ["x", "y"]})
    assert 'class="number"' not in formats.as_html(table)
    numbers = pd.DataFrame({"name": ["a", "b"], "x": ["[−1.0, 2]", ""]})
    assert 'class="number"><span>[−1.0, 2]</span></td>' in formats.as_html(numbers)


def test_a_table_of_many_columns_becomes_cards_and_stays_a_table_to_a_screen_reader():
    columns = {f"column {number}": ["1"] for number in range(formats.FEW_COLUMNS + 1)}
    few = formats.as_html(pd.DataFrame(columns).iloc[:, :-1], name='what "it" is')
    wide = formats.as_html(pd.DataFrame(columns))
    assert 'class="few"' in few and 'aria-label="what &quot;it&quot; is"' in few and 'class="wide"' in wide
    assert re.findall(r'<td role="cell" data-column="([^"]*)"', wide) == list(columns)[1:], "the first names the row"
    roles = {role: wide.count(f'role="{role}"') for role in ("table", "row", "columnheader", "rowheader", "cell")}
    everywhere = pd.DataFrame({f"column {number}": ["1"] for number in range(formats.MANY_COLUMNS + 1)})
    assert 'class="cards"' in formats.as_html(everywhere)
    assert roles == {"table": 1, "row": 2, "columnheader": 5, "rowheader": 1, "cell": 4}


def test_what_rows_share_stands_once_over_them():
    table = pd.DataFrame({"claim": ["<a>", "<a>", "b"], "source": ["x", "x", "x"], "part": ["1", "2", "3"]})
    shown = formats.as_html(table, ("claim", "source"))
    heads = re.findall(r"<th(?: [^>]*)?>(.*?)</th>", shown)
    assert [head for head in heads if "<span>x" in head] == ["&lt;a&gt; <span>x</span>", "b <span>x</span>"]
    assert re.findall(r'<th[^>]*data-column="part"[^>]*><span>(.*?)</span></th>', shown) == ["1", "2", "3"]
    assert shown.index("&lt;a&gt;") < shown.index(">1<") < shown.index(">2<") < shown.index(">b ") < shown.index(">3<")

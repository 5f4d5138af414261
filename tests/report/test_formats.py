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
    assert [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", shown)] == [name, name, "other"]
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
    assert '<th class="number">' not in formats.as_html(table)
    assert '<td class="number">[−1.0, 2]</td>' in formats.as_html(pd.DataFrame({"x": ["[−1.0, 2]", ""]}))


def test_what_rows_share_stands_once_over_them():
    table = pd.DataFrame({"claim": ["<a>", "<a>", "b"], "source": ["x", "x", "x"], "part": ["1", "2", "3"]})
    shown = formats.as_html(table, ("claim", "source"))
    assert re.findall(r"<th(?: [^>]*)?>(.*?)</th>", shown) == ["part", "&lt;a&gt; <span>x</span>", "b <span>x</span>"]
    assert re.findall(r"<td[^>]*>(.*?)</td>", shown) == ["1", "2", "3"]
    assert shown.index("&lt;a&gt;") < shown.index(">1<") < shown.index(">2<") < shown.index(">b ") < shown.index(">3<")

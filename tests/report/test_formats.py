"""A table in each of its formats."""

import pandas as pd

from eventspeech.report import formats


def test_tables_are_written_for_latex_and_markdown():
    table = pd.DataFrame({"a_b (%)": ["50 & more", "[−1.0, 2]"], "c|d": ["x", "y"]})
    assert formats.markdown(table).splitlines()[0] == "| a_b (%) | c\\|d |"
    latex = formats.latex(table)
    assert r"a\_b (\%) & c|d \\" in latex
    assert r"50 \& more" in latex and "{}[$-$1.0, 2]" in latex
    assert '<th class="number">' not in formats.as_html(table)
    assert '<td class="number">[−1.0, 2]</td>' in formats.as_html(pd.DataFrame({"x": ["[−1.0, 2]", ""]}))

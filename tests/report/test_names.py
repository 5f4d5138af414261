"""Names are text: labels, speakers and losses that look like markup, mathematics, numbers or nothing."""

import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from support.studies import load, make

from eventspeech.report import claims, closing, figures, tables, text, words
from eventspeech.report.figures.style import label, legend

WORDS = [
    "$x$", "$", "a|b", "<script>alert(1)</script>", "_", "50 %", "yes, please", 'say "no"', "None", "1e5", "a\\b^c",
    "{x}", "سلام", "零", "a very long label that goes on and on and on and on", "#1",
]  # fmt: skip
SPEAKERS = {"s01": "$\\alpha$", "s02": "a very long name of a speaker", "s13": "x, y", "s14": "<b>"}
ALL = [
    "shapes", "cut_off", "early_spikes", "weightings", "inputs",
    "example", "training_curves", "mean_curves", "generalisation", "activity", "test_accuracy",
    "speakers", "time_steps", "differences", "profile",
]  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    shapes = {"None": {"kind": "sum"}}
    losses = ["exponential", "gaussian", "None"]
    return load(root, make(root, losses=losses, shapes=shapes, seeds=[0, 1], words=WORDS, called=SPEAKERS))


def written(figure):
    return [entry.get_text() for entry in figure.findobj(Text)]


def test_figures_draw_names_as_they_are_without_a_warning(hostile, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = {name: getattr(figures, name)(hostile) for name in ALL}
        for name in ("inputs", "speakers", "training_curves"):  # words, speakers and losses
            figures.save(drawn[name], tmp_path, name, ["svg"])
        confusion = figures.confusion(hostile, "None")
        figures.save(confusion, tmp_path, "confusion", ["png", "svg", "pdf"])
    names = [entry.get_text() for entry in confusion.axes[0].get_xticklabels()]
    assert names[:3] == ["$x$", "$", "a|b"] and len(set(names)) == len(WORDS)
    assert not any(entry.get_parse_math() for entry in confusion.findobj(Text))
    assert "$\\alpha$" in written(drawn["speakers"]) and "None" in written(drawn["training_curves"])


def test_tables_and_sentences_keep_them(hostile):
    assert "None" in set(tables.runs(hostile)["loss"]) and "None" in set(tables.differences(hostile)["loss"])
    assert "**Losses:** exponential, gaussian, None;" in text.header(hostile)
    assert any(line.startswith("  None ") for line in closing.lines(hostile, claims.findings(hostile), Path()))


def test_losses_that_space_alone_would_tell_apart_stay_apart():
    names = ["_", "__", "a", "_a", "a_", "a_b", "a__b"]
    assert [words.title(name) for name in names] == ["_", "__", "a", "_a", "a_", "a b", "a__b"]


def test_long_names_are_shortened_and_stay_apart():
    assert label("a" * 30) == "a" * 16 + "…" + "a" * 7
    names = [f"the same beginning of all names {number}" for number in range(12)]
    assert len(set(map(label, names))) == 12


def test_a_wide_legend_has_fewer_columns_and_makes_the_figure_higher():
    for texts, columns, height in ((["a", "b", "c"], 3, 2.0), (["a long name of a loss " * 2] * 8, 2, 2.32)):
        figure = Figure(figsize=(7, 2), layout="constrained")
        legend(figure, [Line2D([], []) for _ in texts], texts)
        assert (figure.legends[0]._ncols, figure.get_size_inches()[1]) == (columns, pytest.approx(height))


@pytest.mark.parametrize("count", [2, 50, 300])
def test_any_number_of_words_fits(tmp_path, count):
    words = [f"word {number}" for number in range(count)]
    study = load(tmp_path, make(tmp_path, losses=["exponential"], seeds=[0], words=words))
    axes = figures.confusion(study, "exponential").axes[0]
    sizes = {entry.get_fontsize() for entry in axes.get_xticklabels()}
    assert min(sizes) >= 4 and len(axes.get_xticklabels()) * min(sizes) <= 72 * 9
    figures.example(study)
    figures.inputs(study)

"""Captions stand in one place, and each names the files it is made from."""

from pathlib import Path

import jinja2
import pytest

from eventspeech.report import captions, figures, show, tables

ROOT = Path(__file__).parents[2]
ENTRIES = [*captions.FIGURES.values(), *captions.TABLES.values()]


def test_every_entry_is_that_of_a_function():
    assert set(captions.FIGURES) <= set(figures.__all__)
    assert {name for name in captions.TABLES if not hasattr(tables, name)} == {"claims", "tuned"}


def test_every_file_of_a_caption_is_there(study):
    places = {"params.yaml": study.spikes.parents[1] / "params.yaml", "data/spikes": study.spikes}
    places["results"] = study.spikes.parents[1] / "results"
    shower = show.Shower(study, study.spikes.parents[1] / "reports", places)
    for entry in ENTRIES:
        names = captions.data(study, entry, "gaussian" if "{loss}" in entry.text else None)
        links = {name: shower._link(name) for name in names if name != "benchmarks"}
        assert all(link == f"../{name}" for name, link in links.items())
    assert shower._link("results/compare/none.csv") is None
    far = show.Shower(study, study.spikes.parents[1] / "a" / "b" / "c", places)
    assert far._link("params.yaml") is None, "the way there would tell the names of folders above"


def test_captions_say_what_the_study_has(study):
    assert "95 % intervals" in captions.caption(study, captions.FIGURES["differences"])
    assert "loss gaussian," in captions.caption(study, captions.FIGURES["confusion"], "gaussian")
    assert "epoch of 128 samples" in captions.caption(study, captions.FIGURES["profile"])
    assert all("{" not in captions.in_general(entry) for entry in ENTRIES)


@pytest.mark.parametrize("file", ["figure.rst", "table.rst"])
def test_those_of_the_workflow_are_current(file):
    shown = (ROOT / "workflow" / "report" / file).read_text(encoding="utf-8")
    assert shown == captions.of_workflow()[file], "run `python -m eventspeech.report.captions .`"


def test_the_workflow_shows_each_by_its_name():
    for kind, name, entry in (("figure", "confusion_gaussian", "confusion"), ("table", "runs", "runs")):
        template = jinja2.Template(captions.of_workflow()[f"{kind}.rst"])
        shown = template.render(snakemake={"wildcards": {kind: name}})
        entries = captions.FIGURES if kind == "figure" else captions.TABLES
        assert name in shown and captions.in_general(entries[entry]) in shown
        assert template.render(snakemake={"wildcards": {kind: "mine"}}).strip()

"""The front page shows what the kept runs say, and is made by one command."""

import importlib.util

import pytest
from support import ROOT

from eventspeech.report import figures

SPEC = importlib.util.spec_from_file_location("front_page", ROOT / "docs" / "front_page.py")
front_page = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(front_page)


def test_the_front_page_is_current():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = text.split(front_page.MARKS[0])[1].split(front_page.MARKS[1])[0].strip("\n")
    assert shown == front_page.block().strip("\n"), "run `python docs/front_page.py`"
    for name in front_page.PICTURES:
        assert f"docs/pictures/{name}.png" in shown and hasattr(figures, name)
        assert (ROOT / "docs" / "pictures" / f"{name}.png").stat().st_size < 100_000


def test_rows_are_means_over_seeds_and_say_nothing_that_is_not_there(tmp_path):
    runs = "loss,seed,fold,best_validation,test,test_unheard\n"
    runs += "a_b,0,x,0.5,0.4,\na_b,0,y,0.7,0.6,\na_b,1,x,0.5,0.5,\na_b,1,y,0.5,0.5,\nc,0,x,0.25,0.75,0.5\n"
    (tmp_path / "runs.csv").write_text(runs)
    first, second = front_page._of_study(tmp_path / "runs.csv", "words")
    # seeds have 0.6 and 0.5 in validation, 0.5 both in the test
    assert first == ["words", "a b", "2", "55.0 [0.0, 100.0]", "50.0", ""]
    assert second == ["", "c", "1", "25.0", "75.0", "50.0"]
    assert front_page._of_study(tmp_path / "none.csv", "words") == []


def test_a_misspelt_picture_is_refused():
    with pytest.raises(SystemExit, match=r"pictures are example"):
        front_page.main(["exmaple=."])

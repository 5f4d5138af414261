"""Paths of the parameter file inside the copies that DVC works in."""

from pathlib import Path

import pytest

from eventspeech import paths


@pytest.mark.parametrize("kind", ["", "standalone"])
def test_a_path_that_the_copy_lacks_leads_into_the_repository(tmp_path, monkeypatch, kind):
    wanted = tmp_path / "data" / "recordings" / "one.wav"
    wanted.parent.mkdir(parents=True)
    wanted.touch()
    copy = tmp_path / ".dvc" / "tmp" / "exps" / kind / "tmpabc"
    (copy / "data" / "raw").mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert paths.given("data/recordings/one.wav") == wanted
    assert paths.given(copy / "data" / "raw" / ".." / "recordings" / "one.wav") == wanted
    assert paths.given("data/nowhere") == Path("data/nowhere")
    (copy / "data" / "recordings").mkdir()
    assert paths.given("data/recordings") == Path("data/recordings"), "what the copy has comes first"


@pytest.mark.parametrize("kind", ["", "standalone"])
def test_a_study_below_the_root_of_its_repository(tmp_path, monkeypatch, kind):
    (tmp_path / "study" / "speech").mkdir(parents=True)
    copy = tmp_path / ".dvc" / "tmp" / "exps" / kind / "tmpabc" / "study"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert paths.given("speech") == tmp_path / "study" / "speech"


def test_anywhere_else_a_path_is_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.given("data/recordings") == Path("data/recordings")

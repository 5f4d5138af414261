"""The registry: every source that the parameter file can choose is there, whole."""

import subprocess
import sys

import pytest

from eventspeech.data import sources
from eventspeech.errors import DataError


@pytest.mark.parametrize("name", sources.SOURCES)
def test_every_name_is_a_source(name):
    source = sources.named(name)
    assert isinstance(source, sources.Source) and source.words.data and source.words.called
    assert (source.words.warning is None) == (name in ("shd", "ssc")), "other data is not comparable"


def test_a_sources_words_do_not_wait_for_numba():
    code = "import sys; from eventspeech.data import sources; [sources.named(name) for name in sources.SOURCES]"
    code += "; print(sorted({'numba', 'scipy', 'tonic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("text", ["[]", '{"kind": "nonsense"}', '{"kind": ["shd"]}', "{}"])
def test_a_folder_of_no_source(tmp_path, text):
    (tmp_path / "source.json").write_text(text)
    with pytest.raises(DataError, match=r"source\.json names no source that this program knows; run"):
        sources.read_description(tmp_path)


@pytest.mark.parametrize("listed", ["", ', "files": {}', ', "files": 5'])
def test_a_description_without_files(tmp_path, listed):
    (tmp_path / "source.json").write_text('{"kind": "shd"' + listed + "}")
    description = sources.read_description(tmp_path)
    with pytest.raises(DataError, match="lists no files"):
        sources.named("shd").splits(tmp_path, description)

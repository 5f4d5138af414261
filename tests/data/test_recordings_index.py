"""The index of recordings."""

import pytest

from eventspeech.data.recordings_index import read_index
from eventspeech.errors import DataError


def test_bad_index(tmp_path):
    with pytest.raises(DataError, match="is missing; run `eventspeech download` again"):
        read_index(tmp_path)
    (tmp_path / "recordings.csv").write_text("path,label\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="not an index of recordings"):
        read_index(tmp_path)

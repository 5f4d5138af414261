"""Faults of many files in one sentence."""

import logging
from pathlib import Path

import pytest

from eventspeech.data import faults
from eventspeech.errors import DataError


def test_what_cannot_be_printed_is_escaped():
    assert faults.shown("f\udcfcnf.wav") == r"f\xfcnf.wav"
    assert faults.shown("a\nb\t\u202ec.wav") == r"a\nb\t\u202ec.wav"
    assert faults.shown(Path("fünf/五.wav")) == "fünf/五.wav"


def test_counts_and_first_names():
    found = faults.Faults()
    assert len(found) == 0
    for number in range(12):
        found.add("silent", f"{number}.wav")
    found.add("empty", "x.wav")
    assert len(found) == 13 and str(found) == "12 silent (0.wav, 1.wav, 2.wav, ...); 1 empty (x.wav)"


def test_policies(caplog):
    found = faults.Faults()
    found.settle("refuse", "speech", "key")  # nothing is wrong
    found.add("empty", "x.wav")
    with pytest.raises(
        DataError, match=r"1 file of speech cannot be taken: 1 empty .*; .* remove it, or set key to leave_out"
    ):
        found.settle("refuse", "speech", "key")
    with caplog.at_level(logging.DEBUG, "eventspeech"):
        found.settle("leave_out", "speech", "key")
    assert "download: left out 1 file of speech: 1 empty (x.wav)" in caplog.messages
    assert "download: empty: x.wav" in caplog.messages, "all of them are in the log"


def test_files_by_ending():
    files = [Path(name) for name in ("a.txt", "b.M4A", "c.m4a", "LICENSE")]
    assert faults.by_ending(files) == "2 .m4a (b.M4A, c.m4a); 1 .txt (a.txt); 1 without an ending (LICENSE)"

"""What is listened to: files, folders, standard input, windows."""

import io
import os
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from support import speech

from eventspeech.data import audio
from eventspeech.errors import DataError, UserError
from eventspeech.inference import sounds
from eventspeech.inference.sounds import Cut


def pieces(*paths, how=None):
    return list(sounds.pieces(paths, how, 0))


def test_folders_are_sorted_and_nothing_is_heard_twice(tmp_path):
    speech.make_folder(tmp_path / "many" / "deeper")
    speech.write_tone(tmp_path / "z.wav")
    (tmp_path / "many" / "notes.txt").write_text("no recording")
    found = sounds.listed([tmp_path / "z.wav", tmp_path / "many", tmp_path / "z.wav"])
    assert found == [tmp_path / "z.wav", *sorted((tmp_path / "many" / "deeper").iterdir())]


def test_what_is_not_there_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"nowhere\.wav does not exist; check the path"):
        sounds.listed([tmp_path / "nowhere.wav"])
    os.mkfifo(tmp_path / "stream")
    with pytest.raises(DataError, match=r"stream is neither a file nor a folder; send a stream to standard input"):
        sounds.listed([tmp_path / "stream"])
    with pytest.raises(DataError, match="empty holds no recording"):
        sounds.listed([tmp_path / "empty"])


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_standard_input_is_heard_like_the_file(tmp_path, monkeypatch, form):
    path = tmp_path / f"one.{form.lower()}"
    speech.write_tone(path, seconds=0.2, format=form)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
    [given], [file] = pieces(sounds.STANDARD_INPUT), pieces(path)
    assert given.name == "standard input" and given.problem is None
    assert given.recording.seed == file.recording.seed
    np.testing.assert_array_equal(given.samples, file.samples)


def test_endless_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr(sounds, "MOST_BYTES", 100)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(bytes(1000))))
    with pytest.raises(DataError, match="Standard input has more than"):
        pieces(sounds.STANDARD_INPUT)


def test_stereo_at_96_khz_is_heard_as_its_mean(tmp_path):
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (4800, 2))
    soundfile.write(tmp_path / "s.flac", wave, 96_000)
    [found] = pieces(tmp_path / "s.flac")
    assert (found.problem, found.rate_hz, found.end_s) == (None, 96_000, 0.05)
    np.testing.assert_allclose(found.samples, wave.mean(axis=1), atol=1e-4)


UNUSABLE = {
    "silent": (np.zeros(800), "is silent (all samples are 0)"),
    "short": (np.ones(10), "is shorter than 5 ms (10 samples)"),
    "long": (np.tile([0.1, -0.1], 30 * 8000 + 1), "is longer than 60 s (--window 1 goes through it second by second)"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_file_that_cannot_be_heard_says_why(tmp_path, case):
    wave, sentence = UNUSABLE[case]
    soundfile.write(tmp_path / "x.wav", wave, 8000)
    [found] = pieces(tmp_path / "x.wav")
    assert (found.problem, found.readable, found.recording) == (sentence, False, None)


def test_a_text_is_no_sound(tmp_path):
    (tmp_path / "x.wav").write_text("no sound")
    [found] = pieces(tmp_path / "x.wav")
    assert found.problem.startswith("cannot be read as audio") and not found.readable


def test_five_minutes_window_by_window(tmp_path):
    wave = np.tile([0.1, -0.1, 0.05, 0.0], 300 * 1000)
    soundfile.write(tmp_path / "long.flac", wave, 4000)
    found = pieces(tmp_path / "long.flac", how=Cut(10.0, 10.0))
    assert [piece.end_s for piece in found] == [10.0 * k for k in range(1, 31)]
    assert all(piece.problem is None for piece in found)
    assert len({piece.recording.seed for piece in found}) == 30
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sounds, "LONGEST_WINDOWED_S", 200.0)
        assert pieces(tmp_path / "long.flac", how=Cut(10.0, 10.0))[0].problem == "is longer than 200 s"


@pytest.mark.parametrize(
    ("seconds", "cut", "spans"),
    [
        (1.0, Cut(0.4, 0.2), [(0, 400), (200, 600), (400, 800), (600, 1000)]),
        (1.1, Cut(0.4, 0.2), [(0, 400), (200, 600), (400, 800), (600, 1000), (800, 1100)]),
        (1.0, Cut(0.3, 0.3), [(0, 300), (300, 600), (600, 900), (900, 1000)]),
        (0.604, Cut(0.3, 0.3), [(0, 300), (300, 600)]),
        (0.4, Cut(0.4, 0.1), [(0, 400)]),
        (0.1, Cut(0.4, 0.1), [(0, 100)]),
    ],
)
def test_windows_cover_the_recording(seconds, cut, spans):
    assert sounds._spans(round(1000 * seconds), 1000, cut) == spans


def test_one_window_is_the_recording(tmp_path):
    speech.write_tone(tmp_path / "a.wav")
    [window], [whole] = pieces(tmp_path / "a.wav", how=Cut(1.0, 0.5)), pieces(tmp_path / "a.wav")
    assert window.recording.seed == whole.recording.seed and window.end_s == whole.end_s == 0.03


def test_pauses_get_no_answer(tmp_path):
    tone = np.sin(np.arange(800.0))
    parts = [0.5 * tone, np.zeros(800), 0.5e-3 * tone, 0.02 * tone]
    soundfile.write(tmp_path / "a.wav", np.concatenate(parts), 8000, subtype="FLOAT")
    found = pieces(tmp_path / "a.wav", how=Cut(0.1, 0.1))
    problems = [None, "is silent", "is quiet, 60 dB below the loudest window", None]
    assert [piece.problem for piece in found] == problems and all(piece.readable for piece in found)
    assert [piece.recording is None for piece in found] == [False, True, True, False]
    assert found[0].level_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.1)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((None, 0.5), "give its length, too, with --window"),
        ((0.001, None), "--window 0.001 is no length of a word; give 0.005 to 60 seconds"),
        ((100.0, None), "--window 100 is no length"),
        ((float("nan"), None), "--window nan is no length"),
        ((1.0, 2.0), "--hop 2 would leave gaps, or too many windows; give 0.001 to 1 seconds"),
        ((1.0, 0.0), "--hop 0 would leave gaps"),
        ((1.0, -1.0), "--hop -1 would leave gaps"),
    ],
)
def test_impossible_windows_are_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        sounds.cut(*given)


def test_how_to_cut():
    assert sounds.cut(None, None) is None
    assert sounds.cut(1.0, None) == Cut(1.0, 0.5) and sounds.cut(1.0, 1.0) == Cut(1.0, 1.0)
    assert sounds.cut(audio.LONGEST_S, 0.001) == Cut(60.0, 0.001)

"""Reading recordings, and what is said of bad ones."""

import numpy as np
import pytest
import soundfile
from support.speech import write_tone

from eventspeech.data import audio
from eventspeech.errors import DataError


@pytest.mark.parametrize("rate_hz", [4000, 8000, 22_050, 192_000])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_reads_wav_and_flac_of_many_rates(tmp_path, rate_hz, suffix):
    written = write_tone(tmp_path / f"a{suffix}", rate_hz=rate_hz)
    samples, rate = audio.read(tmp_path / f"a{suffix}")
    assert rate == rate_hz and samples.dtype == np.float64
    np.testing.assert_allclose(samples, written, atol=2**-15)


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile([[0.5, 0.0], [0.0, 0.5]], (100, 1)) * [1, -1], 8000, subtype="DOUBLE")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], np.tile([0.25, -0.25], 100))


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.wav does not exist"):
        audio.read(tmp_path / "nowhere.wav")


def test_text_named_wav(tmp_path):
    (tmp_path / "a.wav").write_text("not audio at all", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.wav cannot be read as audio .*; replace"):
        audio.read(tmp_path / "a.wav")


def test_empty_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.empty(0), 8000)
    with pytest.raises(DataError, match=r"a\.wav is empty .*remove"):
        audio.read(tmp_path / "a.wav")


def test_very_short_recording(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.1, -0.1]), 8000)
    with pytest.raises(DataError, match="shorter than 5 ms"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_silent_recording(tmp_path, value):
    soundfile.write(tmp_path / "a.wav", np.full(800, value), 8000)
    with pytest.raises(DataError, match=r"a\.wav is silent"):
        audio.read(tmp_path / "a.wav")


def test_nan(tmp_path):
    samples = np.ones(800)
    samples[7] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav holds samples that are NaN"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_truncated_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 40_000), 8000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"truncated|cannot be read as audio"):
        audio.read(path)


def test_rate_out_of_range(tmp_path):
    write_tone(tmp_path / "a.wav", rate_hz=2000)
    with pytest.raises(DataError, match="2000 Hz; convert"):
        audio.read(tmp_path / "a.wav")

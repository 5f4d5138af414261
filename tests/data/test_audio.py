"""Reading recordings, and what is said of bad ones."""

import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
from support.speech import write_tone

from eventspeech.data import audio, mpeg_header
from eventspeech.errors import DataError


@pytest.mark.parametrize("rate_hz", [4000, 8000, 22_050, 192_000])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_reads_wav_and_flac_of_many_rates(tmp_path, rate_hz, suffix):
    written = write_tone(tmp_path / f"a{suffix}", rate_hz=rate_hz)
    sound = audio.read(tmp_path / f"a{suffix}")
    assert (sound.rate_hz, sound.channels, sound.clipped) == (rate_hz, 1, 0) and sound.samples.dtype == np.float64
    np.testing.assert_allclose(sound.samples, written, atol=2**-15)


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile([[0.5, 0.0], [0.0, 0.5]], (100, 1)) * [1, -1], 8000, subtype="DOUBLE")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], np.tile([0.25, -0.25], 100))


def test_clipping_is_measured(tmp_path):
    clipped = np.clip(2 * np.sin(np.arange(800) / 5), -1, 1)
    soundfile.write(tmp_path / "a.wav", clipped, 8000, subtype="PCM_U8")
    share = np.mean(np.abs(clipped) >= 0.99)
    assert share > 0.5 and audio.read(tmp_path / "a.wav").clipped == pytest.approx(share, abs=0.02)


READ = sorted(set(soundfile.available_formats()) - set(audio.NO_RECORDINGS))


@pytest.mark.parametrize("name", READ)
def test_whatever_libsndfile_reads_is_read(tmp_path, name):
    path = tmp_path / f"a.{name.lower()}"
    assert path.suffix in audio.suffixes()
    write_tone(path, seconds=0.5, format=name)
    sound = audio.read(path)
    assert (sound.rate_hz, sound.channels) == (8000, 1) and abs(len(sound.samples) - 4000) < 100


def test_known_endings():
    expected = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".snd", ".caf", ".w64", ".sph"}
    assert expected <= audio.suffixes() and ".raw" not in audio.suffixes()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("name", ["WAV", "WAVEX"])
def test_widths_of_wav(tmp_path, name, subtype):
    written = write_tone(tmp_path / "a.wav", format=name, subtype=subtype)
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav").samples, written, atol=0.02)


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


@pytest.mark.parametrize(
    "name", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "SVX", "NIST", "FLAC", "OGG", "MP3"]
)
def test_truncated_file(tmp_path, name):
    path = tmp_path / f"a.{name.lower()}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 40_000), 8000, format=name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"truncated|cannot be read as audio"):
        audio.read(path)


def with_length(path, length):
    """Let a wav file state another length of its data."""
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = struct.pack("<I", min(length + 36, 2**32 - 1))
    content[at : at + 4] = struct.pack("<I", length)
    path.write_bytes(content)


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0x7FFFFF00, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF])
def test_wav_written_into_a_pipe_is_whole(tmp_path, length):
    written = write_tone(tmp_path / "a.wav")
    with_length(tmp_path / "a.wav", length)
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav").samples, written, atol=2**-15)


@pytest.mark.parametrize("length", [482, 10_000, 0x10000000])
def test_wav_that_states_more_is_truncated(tmp_path, length):
    write_tone(tmp_path / "a.wav")
    with_length(tmp_path / "a.wav", length)
    with pytest.raises(DataError, match="truncated"):
        audio.read(tmp_path / "a.wav")


def test_empty_wav_with_a_chunk_after_it_is_empty(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.empty(0), 8000)
    with (tmp_path / "a.wav").open("ab") as stream:
        stream.write(b"LIST" + struct.pack("<I", 400) + bytes(range(200)) * 2)
    with pytest.raises(DataError, match="is empty"):
        audio.read(tmp_path / "a.wav")


def test_header_without_end(tmp_path):
    """A walk over chunks of no length would take minutes."""
    (tmp_path / "a.wav").write_bytes(b"RIFF\xff\xff\xff\x7fWAVE" + bytes(20_000_000))
    with pytest.raises(DataError, match="cannot be read as audio"):
        audio.read(tmp_path / "a.wav")


def open_flac(path, seconds=0.5):
    """Write a FLAC file whose header leaves length and checksum open, as encoders do that write into a pipe."""
    samples = write_tone(path, seconds=seconds)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:42] = bytes(20)
    path.write_bytes(content)
    return samples


def test_flac_of_open_length(tmp_path):
    written = open_flac(tmp_path / "a.flac")
    np.testing.assert_allclose(audio.read(tmp_path / "a.flac").samples, written, atol=2**-15)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(content[:-20])
    with pytest.raises(DataError, match="cannot be read as audio"):
        audio.read(tmp_path / "a.flac")


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
def test_mp3_without_its_xing_header(tmp_path, rate_hz):
    """libsndfile reads as much as it guesses: a part of the recording."""
    noise = np.random.default_rng(0).normal(0, 0.3, 2 * rate_hz) * np.repeat([0.01, 1], rate_hz)
    soundfile.write(tmp_path / "a.mp3", noise, rate_hz, bitrate_mode="VARIABLE", compression_level=0.3)
    whole = audio.read(tmp_path / "a.mp3").samples
    assert len(whole) == 2 * rate_hz
    content = (tmp_path / "a.mp3").read_bytes()
    with (tmp_path / "a.mp3").open("rb") as stream:
        frame = mpeg_header._frame(stream, 0)
        assert 0 <= mpeg_header.samples(stream) - frame[1] - len(whole) <= audio.MOST_PADDING
    assert b"Xing" in content[: frame[0]]
    (tmp_path / "a.mp3").write_bytes(b"ID3\4\0\0\0\0\1\0" + bytes(128) + content)
    assert len(audio.read(tmp_path / "a.mp3").samples) == len(whole)
    (tmp_path / "a.mp3").write_bytes(content[frame[0] :])
    with pytest.raises(DataError, match="variable bit rate without a Xing header, of which only a part"):
        audio.read(tmp_path / "a.mp3")


@pytest.mark.parametrize("length", [0, 2 * 8000 * 18_000, 0xFFFFFFFF])
def test_hours_are_refused_before_they_are_read(tmp_path, length):
    write_tone(tmp_path / "a.wav")
    with_length(tmp_path / "a.wav", length)
    with (tmp_path / "a.wav").open("r+b") as stream:
        stream.truncate(44 + 2 * 8000 * 18_000)  # sparse: five hours
    tracemalloc.start()
    with pytest.raises(DataError, match="longer than 60 s; cut it"):
        audio.read(tmp_path / "a.wav")
    assert tracemalloc.get_traced_memory()[1] < 2.5 * audio.MOST_OPEN_BYTES
    tracemalloc.stop()


def test_open_flac_of_minutes(tmp_path):
    open_flac(tmp_path / "a.flac", seconds=61)
    with pytest.raises(DataError, match="longer than 60 s; cut it"):
        audio.read(tmp_path / "a.flac")


@pytest.mark.parametrize("rate_hz", [0, 1, 2**31 - 1, 2**32 - 1])
def test_absurd_rates(tmp_path, rate_hz):
    write_tone(tmp_path / "a.wav")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = struct.pack("<I", rate_hz)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"Hz; convert|cannot be read as audio"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_a_level_whose_square_is_no_number(tmp_path, factor):
    soundfile.write(tmp_path / "a.wav", factor * np.sin(np.arange(4000)), 8000, subtype="DOUBLE")
    with pytest.raises(audio.Unusable, match=r"a\.wav has a peak of 1e[+-]200, where full scale is 1"):
        audio.read(tmp_path / "a.wav")


def test_channels_that_cancel_are_silent(tmp_path):
    tone = 0.5 * np.sin(np.arange(800))
    soundfile.write(tmp_path / "a.wav", np.stack([tone, -tone], 1), 8000, subtype="DOUBLE")
    with pytest.raises(DataError, match=r"silent .the mean of its 2 channels is"):
        audio.read(tmp_path / "a.wav")


def test_file_that_may_not_be_read(tmp_path, monkeypatch):
    write_tone(tmp_path / "a.wav")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(DataError, match=r"may not be read .Permission denied.; change its permissions"):
        audio.read(tmp_path / "a.wav")


def test_rate_out_of_range(tmp_path):
    write_tone(tmp_path / "a.wav", rate_hz=2000)
    with pytest.raises(DataError, match="2000 Hz; convert"):
        audio.read(tmp_path / "a.wav")

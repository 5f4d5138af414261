"""Where sound data ends by a header."""

import io
import struct

import pytest
import soundfile
from support.speech import write_tone

from eventspeech.data import audio_header

STATED = [(name, channels) for name in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "NIST") for channels in (1, 2)]


@pytest.mark.parametrize(("name", "channels"), [*STATED, ("SVX", 1)])
def test_the_data_of_a_whole_file_ends_with_it(tmp_path, name, channels):
    path = tmp_path / "a"
    tone = write_tone(path, format="WAV")
    soundfile.write(path, tone[:, None].repeat(channels, 1), 8000, format=name)
    with path.open("rb") as stream:
        end = audio_header.data_end(stream)
    assert 0 <= path.stat().st_size - end <= 8, "padding at most"


@pytest.mark.parametrize("name", ["FLAC", "CAF", "MP3", "OGG", "PVF"])
def test_formats_without_a_stated_length(tmp_path, name):
    write_tone(tmp_path / "a", format=name)
    with (tmp_path / "a").open("rb") as stream:
        assert audio_header.data_end(stream) is None


def riff(*chunks):
    content = b"".join(struct.pack("<4sI", name, length) + data for name, length, data in chunks)
    return io.BytesIO(b"RIFF" + struct.pack("<I", 4 + len(content)) + b"WAVE" + content)


FORMAT = (b"fmt ", 16, bytes(16))


def test_open_lengths():
    for length in (0, 0x7FF00000, 0x7FFFF000, 0xFFFFFFFF):
        assert audio_header.data_end(riff(FORMAT, (b"data", length, bytes(10)))) is None
    assert audio_header.data_end(riff(FORMAT, (b"data", 0x7FEFFFFF, bytes(10)))) == 44 + 0x7FEFFFFF


def test_chunks_of_odd_length_are_padded():
    assert audio_header.data_end(riff(FORMAT, (b"LIST", 3, bytes(4)), (b"data", 10, bytes(10)))) == 44 + 12 + 10


def test_only_data_of_length_0_that_is_there_is_filled_in():
    assert audio_header.open_data(riff(FORMAT, (b"data", 0, bytes(10)))) == 40
    assert audio_header.open_data(riff(FORMAT, (b"data", 0, b""))) is None
    assert audio_header.open_data(riff(FORMAT, (b"data", 10, bytes(10)))) is None
    assert audio_header.open_data(riff(FORMAT, (b"data", 0, b""), (b"LIST", 2, b"ab"))) is None
    assert audio_header.open_data(io.BytesIO(b"fLaC")) is None


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"FORM\0\0\0\0AIFF\0", b"riff" + bytes(60), b".snd", b"NIST_1A\n", b"OggS"]
)
def test_stumps(content):
    end = audio_header.data_end(io.BytesIO(content))
    assert end is None or end > len(content)

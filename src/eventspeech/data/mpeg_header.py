"""The length of an MP3 stream, counted frame by frame.

libsndfile guesses the length of a stream of variable bit rate that has no Xing header, and reads no further than that.
"""

from typing import BinaryIO

BITRATES_KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Of layer III, by version: 3 is MPEG-1, all others are MPEG-2."""

RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def samples(stream: BinaryIO) -> int:
    """Return how many samples the frames of a layer III stream hold, up to the first thing that is no frame."""
    position, count = _after_tag(stream), 0
    while (frame := _frame(stream, position)) is not None:
        position += frame[0]
        count += frame[1]
    return count


def _after_tag(stream: BinaryIO) -> int:
    """Return where an ID3 tag ends; its length is written in four times seven bits."""
    stream.seek(0)
    header = stream.read(10)
    if header[:3] != b"ID3" or len(header) < 10:
        return 0
    return 10 + sum(byte << 7 * (3 - place) for place, byte in enumerate(header[6:10]))


def _frame(stream: BinaryIO, position: int) -> tuple[int, int] | None:
    """Return the bytes and the samples of the frame that begins at ``position``, if one does."""
    stream.seek(position)
    header = stream.read(4)
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # sync, layer III
        return None
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in RATES_HZ or bitrate in (0, 15) or rate == 3:
        return None
    count = 1152 if version == 3 else 576
    kbps = BITRATES_KBPS[3 if version == 3 else 2][bitrate]
    return count // 8 * kbps * 1000 // RATES_HZ[version][rate] + (header[2] >> 1 & 1), count

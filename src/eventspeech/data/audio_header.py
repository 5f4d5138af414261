"""Where sound data ends by a file's own header: by this a copy that broke off is told from a whole file.

libsndfile reads what is there and says nothing. Of FLAC and CAF it refuses a part by itself; MP3 and a few old
formats state no length, or none that is read here.

Programs that write into a pipe cannot know the length. They leave 0, or a number near the largest one that fits:
0x7ffff000 (SoX, espeak-ng), 0x7fffff00 and 0x80000000 (arecord), 0xffffffff (ffmpeg), all ones in 64 bits. Such a
length is open: the data ends with the file.
"""

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

LEAST_OPEN = 0x7FF00000
"""From here on a length is open: a truthful one would be of a recording of hours."""

MOST_PAGE_BYTES = 65_307
"""Of Ogg."""

MOST_CHUNKS = 1000
"""More of them before the data are no recording's, and would take long to walk through."""


def data_end(stream: BinaryIO) -> int | None:
    """Return the position at which the data should end; ``None`` if the header does not say it.

    Args:
        stream: the file, open for reading.
    """
    stream.seek(0)
    magic = stream.read(12)
    found = None
    if magic[:4] in (b"RIFF", b"RF64", b"BW64"):
        found = _riff(stream, "<")
    elif magic[:4] in (b"RIFX", b"FORM"):
        found = _riff(stream, ">")
    elif magic[:4] == b"riff":
        found = _wave64(stream)
    elif magic[:4] in (b".snd", b"dns."):
        found = _span(*struct.unpack((">" if magic[0] == b"."[0] else "<") + "II", magic[4:].ljust(8, b"\0")))
    elif magic[:7] == b"NIST_1A":
        found = _sphere(stream)
    elif magic[:4] == b"OggS":
        found = _ogg(stream)
    return found


def open_data(stream: BinaryIO) -> int | None:
    """Return where the length of the data chunk stands if it is 0 although data follows; ``None`` otherwise.

    libsndfile takes such a file for empty; of other open lengths it knows.
    """
    stream.seek(0)
    if stream.read(4) != b"RIFF":
        return None
    for name, length, start in _chunks(stream, "<"):
        if name == b"data":
            rest = stream.seek(0, io.SEEK_END) - start
            return start - 4 if length == 0 and rest > 0 and not _is_chunk(stream, start, rest) else None
    return None


def _is_chunk(stream: BinaryIO, start: int, rest: int) -> bool:
    """Tell whether another chunk follows, as in an empty recording with a title."""
    stream.seek(start)
    name, length = struct.unpack("<4sI", stream.read(8).ljust(8, b"\0"))
    return name.strip().isalnum() and 8 + length + length % 2 <= rest


def _span(start: int, length: int) -> int | None:
    return None if length == 0 or length >= LEAST_OPEN else start + length


def _chunks(stream: BinaryIO, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, stated length and start of the content of each chunk, from the thirteenth byte on."""
    start = 12
    for _ in range(MOST_CHUNKS):
        stream.seek(start)
        header = stream.read(8)
        if len(header) < 8:
            return
        name, length = struct.unpack(order + "4sI", header)
        start += 8
        yield name, length, start
        start += length + length % 2


def _riff(stream: BinaryIO, order: str) -> int | None:
    long = None
    for name, length, start in _chunks(stream, order):
        if name == b"ds64":
            long = struct.unpack("<QQ", stream.read(16).ljust(16, b"\0"))[1]
        if name in (b"data", b"SSND", b"BODY"):
            return _span(start, long if long is not None and length == 0xFFFFFFFF else length)
    return None


def _wave64(stream: BinaryIO) -> int | None:
    """Sony's format: names of 16 bytes, lengths of 64 bits that count their header, chunks at multiples of 8."""
    position = 40
    for _ in range(MOST_CHUNKS):
        stream.seek(position)
        header = stream.read(24)
        if len(header) < 24:
            return None
        length = struct.unpack("<Q", header[16:])[0]
        if header[:4] == b"data":
            return _span(position, length)
        position = min(position + max(24, length + -length % 8), 1 << 62)
    return None


def _ogg(stream: BinaryIO) -> int | None:
    """A page tells whether it is the last one; where that one is missing, the data should go on beyond the file."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - MOST_PAGE_BYTES))
    tail = stream.read()
    at = tail.rfind(b"OggS")
    last = at >= 0 and len(tail) > at + 5 and tail[at + 5] & 4
    return None if last else size + 1


def _sphere(stream: BinaryIO) -> int | None:
    stream.seek(0)
    header = stream.read(1024)
    size = re.search(rb"\A\w+\n\s*(\d{1,6})\n", header)
    counts = rb"^(sample_count|sample_n_bytes|channel_count) -i (\d{1,12})\s*$"
    fields: dict[bytes, bytes] = dict(re.findall(counts, header, re.MULTILINE))
    if size is None or len(fields) < 3:
        return None
    return _span(
        int(size[1]), int(fields[b"sample_count"]) * int(fields[b"sample_n_bytes"]) * int(fields[b"channel_count"])
    )

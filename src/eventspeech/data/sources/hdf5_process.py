"""The process that reads HDF5 for this program: how it is started, limited and listened to.

What runs in it, and why it does not run here, is told in :mod:`hdf5_reader`. Only plain numbers come back, through a
pipe, and their sizes are checked against the size of the files before room is made for them.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from eventspeech.data.sources import hdf5_reader
from eventspeech.errors import DataError

logger = logging.getLogger("eventspeech")

CPU_S = 3.0
BYTES_PER_CPU_S = 8e6
"""Time to read: a file of SHD's size (8156 samples, 260 MB) takes 1 s of the 35 s it is given."""
STALL_S = 60.0
MEMORY_BYTES = 768 << 20
LONGEST_LINE = 1 << 16
MIB = 1 << 20

Message = tuple[dict[str, Any], dict[str, np.ndarray]]


def messages(files: Mapping[str, Path], rows: str | None) -> Generator[Message, None, None]:
    """Yield what the reading process says: of each file its facts, then the spikes of the split ``rows`` by blocks.

    Args:
        files: the file of each split.
        rows: the split whose spikes are wanted; ``None``: none.

    Raises:
        DataError: a file is missing, refused, damaged, or takes more time or memory than its size explains.
    """
    size = sum(_size(Path(path)) for path in files.values())
    cpu_s = CPU_S + size / BYTES_PER_CPU_S
    request: dict[str, Any] = {
        "files": {split: str(path) for split, path in files.items()},
        "rows": rows,
        "cpu_s": cpu_s,
        "memory_bytes": MEMORY_BYTES + 2 * size,
    }
    path = str(next(iter(files.values())))  # which it is at
    process = start(request)
    stream = process.stdout
    assert stream is not None
    stalled = threading.Event()
    seconds = STALL_S + 10 * cpu_s

    def end() -> None:
        stalled.set()
        process.kill()

    clock = threading.Timer(seconds, end)
    clock.daemon = True
    clock.start()
    try:
        for message, arrays in _received(stream, limit=64 * MIB + 64 * size):
            if message["kind"] == "end":
                return
            if message["kind"] == "reading":
                path = message["path"]
                continue
            if message["kind"] not in ("facts", "block"):
                raise DataError(_sentence(message, request))
            yield message, arrays
        status = process.wait()
        if stalled.is_set():
            raise DataError(f"{path} was not read within {seconds:.0f} s; see whether its disk answers.")
        raise DataError(_ended(status, path, request))
    finally:
        clock.cancel()
        process.kill()
        stream.close()
        process.wait()


def start(request: dict[str, Any]) -> subprocess.Popen:
    """Start the reading process; its standard output carries the messages."""
    # threads of a linear algebra library that nothing here calls would count as memory
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", hdf5_reader.__file__, json.dumps(request)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip


def _size(path: Path) -> int:
    if not path.is_file():
        problem = "is not a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {problem}; check the path in the parameter file, or run `download` again.")
    try:
        with path.open("rb") as plain:
            plain.read(1)  # a refusal of the system (no permission) is not damage
            return os.fstat(plain.fileno()).st_size
    except OSError as error:
        raise DataError(f"{path} may not be read ({error.strerror}); change its permissions.") from error


def _received(stream: IO[bytes], limit: int) -> Iterator[Message]:
    """Yield messages with their arrays until the stream ends; all arrays of a message stay below ``limit`` bytes."""
    while line := stream.readline(LONGEST_LINE):
        if not line.endswith(b"\n"):
            return
        message = json.loads(line)
        kinds = [(name, np.dtype(kind), int(size)) for name, kind, size in message["arrays"]]
        if any(kind.hasobject for _, kind, _ in kinds) or sum(kind.itemsize * size for _, kind, size in kinds) > limit:
            return
        arrays = {}
        for name, kind, size in kinds:
            content = stream.read(kind.itemsize * size)
            if len(content) < kind.itemsize * size:
                return
            arrays[name] = np.frombuffer(content, kind)
        yield message, arrays


def _sentence(message: dict[str, Any], request: dict[str, Any]) -> str:
    if message["kind"] == "refused":
        return message["sentence"]
    path = message["path"]
    if message["kind"] == "memory":
        return _too_much_memory(path, request)
    logger.debug("%s", message["traceback"])
    text = message["text"]
    if "allocat" in text.lower():
        return _too_much_memory(path, request)
    problem = "is truncated" if "truncated" in text else "is damaged"
    if "signature not found" in text:
        problem = "is not an HDF5 file"
    return f"{path} {problem} ({text}); fetch or make it again."


def _too_much_memory(path: str, request: dict[str, Any]) -> str:
    return (
        f"{path} asks for more memory than its size explains (over {request['memory_bytes'] / MIB:.0f} MiB): it is "
        "damaged or made to harm; fetch or make it again."
    )


def _ended(status: int, path: str, request: dict[str, Any]) -> str:
    """Return the sentence about a reading process that ended without a word."""
    if status == -signal.SIGXCPU:
        return (
            f"{path} is damaged: reading it did not end within {request['cpu_s']:.0f} s of processor time; fetch or "
            "make it again."
        )
    if status == -signal.SIGKILL:
        return f"{path} was not read to its end: the system ended the reading process; see whether memory ran out."
    if status < 0:
        name = signal.Signals(-status).name
        return f"{path} is damaged: reading it broke off inside the HDF5 library ({name}); fetch or make it again."
    return (
        f"{path} could not be read: the reading process ended with status {status}; `eventspeech doctor` looks for "
        "the cause."
    )

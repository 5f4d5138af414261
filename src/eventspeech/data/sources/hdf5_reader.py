"""What reads a file in SHD's layout: a program of its own, which :mod:`hdf5_process` starts, limits and listens to.

libhdf5 trusts what it reads. Two bytes of a damaged heap send it round in circles where no signal reaches it, a header
of a hundred bytes asks for gigabytes, and links lead to other files. So nothing of it runs in the process of a stage:
this program checks each dataset before it reads it, lives under limits of time and memory, and hands plain numbers on.
It imports nothing of the package, since it is run by its path.

It takes one argument, JSON with ``files`` (split to path), ``rows`` (the split whose spikes are wanted, or null),
``cpu_s`` and ``memory_bytes``. It writes messages to standard output: a line of JSON that names arrays with their types
and lengths, then their bytes.
"""

import contextlib
import io
import json
import math
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import h5py
import numpy as np

BLOCK_SAMPLES = 256
"""Samples read at once, since every read has a fixed cost of 0.4 ms."""
BLOCK_BYTES = 32 << 20
LONGEST_NAME = 200
"""Characters of the name of a class or speaker."""
MOST_LINKS = 8
MIB = 1 << 20


class Refused(Exception):
    """The file holds what is not read; the text is the whole sentence."""


def facts(path: str) -> tuple[dict[str, np.ndarray], list[str] | None, list[str]]:
    """Return the arrays ``labels`` and ``speakers`` (indices of names), the names of classes and those of speakers.

    Both are whole numbers [S]; the classes have no names where the file tells none.

    Raises:
        Refused: the file is none of SHD's layout; says why.
    """
    with _opened(path) as file:
        labels = _dataset(path, file, "labels", "iu")
        units = _dataset(path, file, "spikes/units", "iu", ragged=True)
        times = _dataset(path, file, "spikes/times", "f", ragged=True)
        remedy = "add it (the speaker of each sample), since speakers are held out whole"
        speakers = _dataset(path, file, "extra/speaker", "iuSO", remedy=remedy)
        named = {"spikes/times": times, "spikes/units": units, "labels": labels, "extra/speaker": speakers}
        if len({len(data) for data in named.values()}) > 1:
            listed = ", ".join(f"{name} {len(data)}" for name, data in named.items())
            raise Refused(f"{path}: its datasets differ in their number of samples ({listed}); fetch it again.")
        for name, data in named.items():
            _require_stored(path, name, data)
        class_names = None
        if _link(path, file, "extra/keys") is not None:
            keys = _dataset(path, file, "extra/keys", "iuSO")
            _require_stored(path, "extra/keys", keys)
            class_names = _texts(path, "extra/keys", keys)
        speaker_names, indices = np.unique(
            np.array(_texts(path, "extra/speaker", speakers), object), return_inverse=True
        )
        numbers = labels[()]
        arrays = {
            "labels": numbers.astype(np.uint64 if numbers.dtype.kind == "u" else np.int64),
            "speakers": indices.astype(np.int64),
        }
        return arrays, class_names, [str(name) for name in speaker_names]


def blocks(path: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield the spikes of some samples: ``times`` (s) and ``units``, and of each sample how many there are of both.

    ``times`` and ``units`` are [E], sample after sample; ``times_per_sample`` and ``units_per_sample`` int64[n].

    Raises:
        Refused: the file is none of SHD's layout; says why.
    """
    with _opened(path) as file:
        times = _dataset(path, file, "spikes/times", "f", ragged=True)
        units = _dataset(path, file, "spikes/units", "iu", ragged=True)
        size, left = len(times), os.path.getsize(path)
        step = max(1, min(BLOCK_SAMPLES, BLOCK_BYTES * size // left)) if size else 1
        kinds = [np.dtype(h5py.check_vlen_dtype(data.dtype)) for data in (times, units)]
        swapped = {kind: _swapped(kind) for kind in kinds}
        for start in range(0, size, step):
            block = {}
            for name, data, kind in zip(("times", "units"), (times, units), kinds, strict=True):
                rows = data[start : start + step]
                block[f"{name}_per_sample"] = np.array([len(row) for row in rows], np.int64)
                values = np.concatenate([np.asarray(row, kind.newbyteorder("=")) for row in rows])
                block[name] = values.byteswap() if swapped[kind] else values
                left -= values.nbytes
            if left < 0:  # rows lie unpacked in the file, unless several of them point at the same bytes
                raise Refused(f"{path} is damaged: its rows hold more bytes than the file; fetch or make it again.")
            yield block


@contextlib.contextmanager
def _opened(path: str) -> Iterator[h5py.File]:
    # file systems of clusters often refuse locks, and nothing here writes into an existing file
    with h5py.File(path, "r", locking=False) as file:
        yield file


def _dataset(
    path: str, file: h5py.File, name: str, kinds: str, ragged: bool = False, remedy: str = "it is not in SHD's layout"
) -> h5py.Dataset:
    """Return a dataset of one dimension whose elements are of these kinds, all of it in this file."""
    data = _link(path, file, name)
    if not isinstance(data, h5py.Dataset):
        raise Refused(f"{path} has no dataset {name}; {remedy}.")
    _require_own(path, name, data)
    element: np.dtype | None = _element(data.dtype) if ragged else data.dtype
    plain = element is not None and element.kind in kinds and (element.kind not in "iuf" or element.itemsize <= 8)
    if plain and element is not None and element.kind == "O":
        plain = h5py.check_string_dtype(element) is not None
    if data.shape is None or data.ndim != 1 or not plain:
        what = {"f": "real numbers", "iu": "whole numbers"}.get(kinds, "whole numbers or texts")
        dimensions = "no" if data.shape is None else data.ndim
        raise Refused(
            f"{path}: {name} has {dimensions} dimensions and the type {_type_name(data.dtype)}; make it one row of "
            f"{'variable-length ' if ragged else ''}{what}, as in SHD's layout."
        )
    _require_possible(path, name, data)
    return data


def _element(dtype: np.dtype) -> np.dtype | None:
    """Return the type of the numbers in rows of variable length; ``None``: it holds something else."""
    element = h5py.check_vlen_dtype(dtype)
    return element if isinstance(element, np.dtype) else None


def _type_name(dtype: np.dtype) -> str:
    if h5py.check_ref_dtype(dtype):
        return "reference"
    if h5py.check_string_dtype(dtype):
        return "text"
    if h5py.check_vlen_dtype(dtype):
        return f"variable-length {_element(dtype) or 'rows'}"[:60]
    return str(dtype)[:60]


def _link(path: str, file: h5py.File, name: str) -> h5py.HLObject | None:
    """Return what lies at ``name``, by links inside the file only."""
    group, names, followed = file, name.split("/"), 0
    while names:
        if not isinstance(group, h5py.Group):
            return None
        step = names.pop(0)
        if not step or step == ".":
            continue
        link = group.get(step, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.HardLink):
            group = group[step]
            continue
        followed += 1
        if not isinstance(link, h5py.SoftLink) or followed > MOST_LINKS:
            where = f" ({link.filename})" if isinstance(link, h5py.ExternalLink) else ""
            raise Refused(f"{path}: {name} is a link that leads out of the file{where}; copy the data into the file.")
        if link.path.startswith("/"):
            group = file
        names = [*link.path.split("/"), *names]
    return group


def _require_own(path: str, name: str, data: h5py.Dataset) -> None:
    plan = data.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        kind = "a virtual dataset" if plan.get_layout() == h5py.h5d.VIRTUAL else "kept in external files"
        raise Refused(f"{path}: {name} is {kind}, so its values lie elsewhere; copy them into the file (h5repack).")
    for index in range(plan.get_nfilters()):
        code, _, _, title = plan.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            title = title.decode("ascii", "replace") or "unnamed"
            raise Refused(
                f"{path}: {name} is packed by filter {code} ({title}), which is not installed here; unpack the file "
                "where it is (h5repack -f NONE)."
            )


def _require_possible(path: str, name: str, data: h5py.Dataset) -> None:
    """Refuse what cannot lie in the file, before anything of that size is asked for."""
    there = os.path.getsize(path)
    if len(data) > there:  # a sample takes two references to rows, of 16 bytes each
        raise Refused(
            f"{path}: {name} claims {len(data)} values, but the file has {there} bytes; fetch or make it again."
        )
    claimed = len(data) * data.dtype.itemsize
    chunk = math.prod(data.chunks) * data.dtype.itemsize if data.chunks else 0
    if claimed > MIB + 64 * there or chunk > 64 * MIB + there:
        raise Refused(
            f"{path}: {name} claims {max(claimed, chunk) / MIB:.0f} MiB in a file of {there / MIB:.1f} MiB; fetch or "
            "make it again."
        )


def _require_stored(path: str, name: str, data: h5py.Dataset) -> None:
    """Refuse values that were announced and never written, or are not found: libhdf5 reads them as 0.

    The second happens where the index of a dataset's blocks is damaged. Checksums (fletcher32) do not tell it: they are
    of a block that is read, and the index has none in the format that h5py writes and SHD has. What is left to chance
    is a damaged address that leads to zeros, whose checksum is 0, and a damaged type: only the checksum of the whole
    file, which `download` keeps, tells these.
    """
    if not len(data):
        return
    if data.chunks:
        places = range(0, len(data), data.chunks[0])
        missing = data.id.get_num_chunks() < len(places) or not all(_is_found(data, place) for place in places)
    else:
        missing = data.id.get_space_status() == h5py.h5d.SPACE_STATUS_NOT_ALLOCATED
    if missing:
        raise Refused(f"{path}: {name} was announced, but not all of it was written; make the file again.")


def _is_found(data: h5py.Dataset, place: int) -> bool:
    """Say whether the block that begins with value ``place`` is found in the way in which values are read."""
    try:
        data.id.read_direct_chunk((place,))
    except (OSError, RuntimeError, ValueError, MemoryError):
        return False
    return True


def _texts(path: str, name: str, data: h5py.Dataset) -> list[str]:
    texts = []
    if data.dtype.kind == "S" and data.dtype.itemsize > 4 * LONGEST_NAME:
        raise Refused(
            f"{path}: {name} holds texts of {data.dtype.itemsize} bytes; shorten them to {LONGEST_NAME} characters."
        )
    for start in range(0, len(data), BLOCK_SAMPLES):
        texts += [_text(value) for value in data[start : start + BLOCK_SAMPLES]]
        for index, text in enumerate(texts[start:], start):
            if len(text) > LONGEST_NAME:
                raise Refused(
                    f"{path}: {name}[{index}] has {len(text)} characters ({text[:20]}...); shorten it to "
                    f"{LONGEST_NAME}."
                )
    return texts


def _text(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:  # German digits in the encoding of older tools; latin-1 cannot fail
        return value.decode("latin-1")


def _swapped(kind: np.dtype) -> bool:
    """Say whether h5py hands out rows of ``kind`` in the wrong order of bytes, as 3.16 does for a foreign one."""
    if kind.isnative:
        return False
    with h5py.File(io.BytesIO(), "w") as file:
        data = file.create_dataset("x", 1, h5py.vlen_dtype(kind))
        data[0] = np.ones(1, kind)
        return bool(data[0][0] != 1)


def limit(cpu_s: float, memory_bytes: int) -> None:
    """Let the system end this process when it takes more than this beyond what it has taken already."""
    try:
        with open("/proc/self/statm") as stream:
            memory_bytes += int(stream.read().split()[0]) * resource.getpagesize()
    except OSError:  # no such file on this system: the interpreter and its libraries count too
        memory_bytes += 512 * MIB
    limits = {
        resource.RLIMIT_CPU: math.ceil(time.process_time() + cpu_s),
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for which, value in limits.items():
        hard = resource.getrlimit(which)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):  # a system without this limit
            resource.setrlimit(which, (soft, hard))


def _send(out: BinaryIO, kind: str, arrays: dict[str, np.ndarray] | None = None, **content: object) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    listed = [[name, array.dtype.str, array.size] for name, array in arrays.items()]
    out.write(json.dumps({"kind": kind, **content, "arrays": listed}).encode() + b"\n")
    for array in arrays.values():
        out.write(array.data)
    out.flush()


def _encoded(names: Sequence[str] | None) -> np.ndarray:
    return np.frombuffer(json.dumps(names).encode(), np.uint8)


def serve(request: dict, out: BinaryIO) -> None:
    """Answer a request: ``facts`` of each file, one ``block`` after the other, and ``end`` or what failed."""
    path = ""
    try:
        for split, path in request["files"].items():
            _send(out, "reading", path=path)
            arrays, class_names, speaker_names = facts(path)
            names = {"class_names": _encoded(class_names), "speaker_names": _encoded(speaker_names)}
            _send(out, "facts", {**arrays, **names}, split=split)
        if request["rows"] is not None:
            path = request["files"][request["rows"]]
            _send(out, "reading", path=path)
            for block in blocks(path):
                _send(out, "block", block)
        _send(out, "end")
    except Refused as error:
        _send(out, "refused", sentence=str(error))
    except BrokenPipeError:
        raise
    except MemoryError:
        _send(out, "memory", path=path)
    except Exception as error:  # h5py raises nearly every kind for a damaged file
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        _send(out, "damaged", path=path, text=text, traceback=traceback.format_exc()[-4000:])


def main() -> None:
    """Serve the request of the command line; the parent ends this process, so that Ctrl-C does not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request = json.loads(sys.argv[1])
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # nothing that a library prints may come between the messages
        limit(request["cpu_s"], request["memory_bytes"])
        with contextlib.suppress(BrokenPipeError):
            serve(request, out)


if __name__ == "__main__":
    main()

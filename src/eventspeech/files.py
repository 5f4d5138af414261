"""Writing results so that an interruption leaves either the old file or the new one, never half of one."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eventspeech import disk
from eventspeech.disk import full_disk, refused_access
from eventspeech.errors import DataError, UserError

MIB = 1 << 20
MOST_JSON_BYTES = 64 * MIB
MOST_ARRAYS = 1000
MOST_PACKED = 64
"""Times that arrays may be larger than their file: zeros pack a thousandfold, results of a study seldom threefold."""
MOST_FREE_BYTES = 256 * MIB
"""What a file may unpack to, however small it is: a checkpoint begins with zeros."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there only if the block succeeds.

    The temporary file lies in the same folder, since only a rename inside one file system is atomic.

    Raises:
        UserError: ``path`` cannot be written; says why.
    """
    path = Path(path)
    with full_disk(path), refused_access(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = disk.unfinished(path)
        temporary.touch(exist_ok=False)
    try:
        with full_disk(path):
            yield temporary
            disk.flush(temporary)
            with refused_access(path):
                disk.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, made_by: str | None = None) -> Iterator[Path]:
    """Yield a new empty folder beside ``path``; it takes the place of ``path`` only if the block succeeds.

    Since it lies beside ``path``, relative paths that start in it stay right when it moves.

    An old folder at ``path`` stays whole until then. (Between the two renames there is an instant without a folder, but
    never one with half its files.) A link is followed, so that the folder may lie on another disk.

    Args:
        made_by: a file that every folder of this kind holds; a folder with other files and without it is not replaced.

    Raises:
        UserError: ``path`` cannot be written, or holds what this program did not make.
    """
    path = Path(path).resolve()
    with full_disk(path), refused_access(path):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file is in its place")
        if made_by is not None and path.is_dir() and any(path.iterdir()) and not (path / made_by).exists():
            raise UserError(
                f"{path} holds files that this program did not make (there is no {made_by}) and would lose them; "
                "choose another folder, or empty it."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        new = disk.unfinished(path)
        new.mkdir()
    old = new.with_suffix(".old")
    try:
        with full_disk(path):
            yield new
            with refused_access(path):
                if path.exists():
                    disk.set_aside(path, old)
                new.replace(path)
    finally:
        if old.exists() and not path.exists():
            old.replace(path)
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically.

    Raises:
        UserError: ``path`` cannot be written, or the text holds a name that is no text.
    """
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        name = text[max(0, error.start - 20) : error.end + 20]
        raise DataError(
            f"{path} cannot be written: {name!a} holds bytes in an encoding other than UTF-8; rename the file or "
            "folder it comes from."
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping) -> None:
    """Write ``content`` as indented JSON, atomically. NaN and infinity are refused: unknown is ``null``."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def read_json(path: Path) -> dict[str, Any]:
    """Read JSON written by a stage; no key stands twice. What it holds is for the reader of that record to check.

    Raises:
        DataError: the file cannot be read or is not JSON; says which.
    """
    path = Path(path)
    size = _require_readable(path)
    if size > MOST_JSON_BYTES:
        raise DataError(f"{path} has {size / MIB:.0f} MiB, more than any JSON of this program; check the path.")
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}); delete it and run its stage again.") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice")
    return content


def _require_readable(path: Path) -> int:
    """Return the size of a file (bytes) if it is one and may be read."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(
                f"{path} cannot be read: it is {'a folder' if path.is_dir() else 'no file'}; check the path."
            )
        with path.open("rb") as stream:
            stream.read(1)
            return os.fstat(stream.fileno()).st_size
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; run the stage that makes it first.") from error
    except PermissionError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); change its permissions.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); see whether path and disk are right.") from error


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence]) -> None:
    """Write a table with a header line, atomically. ``None`` becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], compress: bool = True) -> None:
    """Write arrays of any shape and type to an ``.npz`` file, atomically.

    numpy stamps every member with the same date, so equal arrays give equal bytes: caches by content work.

    Raises:
        TypeError: an array holds objects, which would have to be pickled.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise TypeError(f"{name} would have to be pickled")
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            (np.savez_compressed if compress else np.savez)(stream, **arrays)  # type: ignore[arg-type]


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read an ``.npz`` file without ever unpickling, and without making room for more than a file of its size holds.

    Raises:
        DataError: the file cannot be read, is damaged, or holds something else; says which.
    """
    path = Path(path)
    size = _require_readable(path)
    if size == 0:
        raise DataError(f"{path} cannot be read: it is empty; delete it and run its stage again.")
    with path.open("rb") as stream:
        if stream.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
            raise DataError(f"{path} cannot be read: it is no NPZ file; check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _require_listed(archive, members, size)
            _require_npz(path, members, size)
            return {member.filename.removesuffix(".npy"): _read_array(path, archive, member) for member in members}
    except (DataError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, numpy and OS each raise their own for a damaged file
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error}); it is truncated or damaged: delete it and run "
            "its stage again."
        ) from error


MOST_EXTRA_BYTES = 32
"""An entry of the list of contents has at least 46."""


def _require_listed(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse a zip with more in it than its list of contents, of which a damaged end may tell a part only."""
    listed = sum(
        46 + len(member.orig_filename.encode()) + len(member.extra) + len(member.comment) for member in members
    )
    end = size - archive.start_dir - listed - len(archive.comment)
    lost = not members and size != 22  # of no member but whole: the examples of a model without spikes
    # NumPy writes no comments, and beside sizes beyond 4 GiB nothing extra: a damaged length takes in the next entry
    taken_in = any(member.comment or len(member.extra) > MOST_EXTRA_BYTES for member in members)
    if lost or taken_in or end not in (22, 22 + 56 + 20):  # the latter beyond 4 GiB
        raise ValueError("its list of contents is not whole")


def _require_npz(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    names = [member.filename for member in members]
    kinds = {member.compress_type for member in members}
    if not all(name.endswith(".npy") for name in names) or len(set(names)) < len(names) or len(names) > MOST_ARRAYS:
        raise DataError(f"{path} cannot be read: it is a zip of other files than arrays; check the path.")
    if not kinds <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise DataError(f"{path} cannot be read: it is packed in a way that this program does not use; check the path.")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MOST_FREE_BYTES + MOST_PACKED * size:
        raise DataError(
            f"{path} cannot be read: its {size / MIB:.1f} MiB would unpack to {unpacked / MIB:.0f}, more than arrays "
            "of this program do; check where it comes from."
        )


def _read_array(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Return an array whose bytes are all there: numpy makes room for what the header says before it looks."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read_header:
            raise ValueError(f"{member.filename} has a version of the format that this program does not write")
        shape, _, dtype = read_header[version](stream)
        if dtype.hasobject:
            raise DataError(
                f"{path} cannot be read: {member.filename} holds Python objects; check where it comes from."
            )
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - stream.tell():
            raise ValueError(f"{member.filename} is not as long as it says")
    with archive.open(member) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    if dtype.kind == "U" and array.nbytes:
        letters = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if letters.max() > sys.maxunicode:  # Python's own error for such a text is one of the interpreter
            raise ValueError(f"{member.filename} holds numbers that stand for no letter")
    return array


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

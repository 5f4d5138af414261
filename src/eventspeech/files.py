"""Writing results so that an interruption leaves either the old file or the new one, never half of one."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from eventspeech.errors import DataError, UserError


@contextlib.contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Turn the system's error for a full disk into one sentence about ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"No room left on the disk while writing {path}; free some space and run the command again "
                "(finished files are kept)."
            ) from error
        raise


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there only if the block succeeds.

    The temporary file lies in the same folder, since only a rename inside one file system is atomic.
    """
    path = Path(path)
    with full_disk(path):
        with refused_access(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            # mkstemp makes private files; results are as readable as any other file the user makes
            temporary.chmod(0o666 & ~_umask())
            with refused_access(path):
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new empty folder beside ``path``; it takes the place of ``path`` only if the block succeeds.

    Since it lies beside ``path``, relative paths that start in it stay right when it moves.

    An old folder at ``path`` stays whole until then. (Between the two renames there is an instant without a folder, but
    never one with half its files.) A link is followed, so that the folder may lie on another disk.
    """
    path = Path(path).resolve()
    with full_disk(path):
        with refused_access(path):
            if path.exists() and not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "a file is in its place")
            path.parent.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        old = new.with_suffix(".old")
        try:
            new.chmod(0o777 & ~_umask())  # mkdtemp makes private folders
            yield new
            with refused_access(path):
                if path.exists():
                    path.replace(old)
                new.replace(path)
        finally:
            if old.exists() and not path.exists():
                old.replace(path)
            for folder in (new, old):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def refused_access(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one sentence about ``path``."""
    try:
        yield
    except (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); make its folder writable or choose another path."
        ) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise UserError(f"{path} cannot be written: the disk is read-only; choose another path.") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping) -> None:
    """Write ``content`` as indented JSON, atomically. NaN and infinity are refused: unknown is ``null``."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False, default=_plain) + "\n")


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def read_json(path: Path) -> dict:
    """Read a JSON file written by a stage."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; run the stage that makes it first.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is not valid JSON ({error}); delete it and run its stage again.") from error


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence]) -> None:
    """Write a table with a header line, atomically. ``None`` becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], compress: bool = True) -> None:
    """Write arrays to an ``.npz`` file, atomically. Object arrays (pickles) are refused.

    numpy stamps every member with the same date, so equal arrays give equal bytes: caches by content work.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise TypeError(f"{name} would have to be pickled")
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            (np.savez_compressed if compress else np.savez)(stream, **arrays)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read an ``.npz`` file without ever unpickling."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; run the stage that makes it first.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile, zlib, numpy and OS each raise their own for a damaged file
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error}); it is truncated or not a file of this "
            "program: delete it and run its stage again."
        ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

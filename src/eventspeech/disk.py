"""What a file system may refuse: turned into one sentence where a person must act, passed over where nothing is lost.

Disks of cameras and Windows (exFAT, CIFS) refuse `chmod`, some file systems in user space refuse `fsync` or a rename
onto a file that exists, layered ones in containers refuse to rename a folder of a lower layer; none of them needs to.
"""

import contextlib
import errno
import fcntl
import logging
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from eventspeech.errors import UserError

logger = logging.getLogger("eventspeech")

LITTLE_BYTES = 64 << 10
"""A disk with less room than this is full: what failed on it failed for that."""
LONGEST_NAME = 255
"""Bytes of a file's name on nearly every file system."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_OFFERED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EBADF)
_HOST = re.sub(r"\W", "_", platform.node())[:20]
_UNFINISHED = re.compile(r"(?P<start>\..+)\.(?P<host>\w*)-(?P<pid>\d+)-[0-9a-f]{8}\.(part|old)")


@contextlib.contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Turn the failure of a disk that is full or broken into one sentence about ``path``.

    Libraries that write files tell of a full disk each in their own way, some only that it failed; then the room that
    is left tells.

    Raises:
        UserError: the disk is full, failed, or takes no file of that size.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in _FULL or (number is None and _is_full(path, str(error))):
            raise UserError(
                f"No room left on the disk while writing {path}; free some space and run the command again "
                "(finished files are kept)."
            ) from error
        if number == errno.EFBIG:
            raise UserError(
                f"{path} grows larger than its disk or this session allows; choose another disk, or raise `ulimit -f`."
            ) from error
        if number in (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN):
            raise UserError(
                f"The disk failed while {path} was made ({os.strerror(number)}); see whether it answers, and run the "
                "command again."
            ) from error
        raise


@contextlib.contextmanager
def refused_access(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one sentence about ``path``.

    Raises:
        UserError: the system refused.
    """
    try:
        yield
    except (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); make its folder writable or choose another path."
        ) from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise UserError(f"{path} cannot be written: the disk is read-only; choose another path.") from error
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EILSEQ):
            raise UserError(
                f"{path} cannot be written ({error.strerror}); choose a shorter or plainer path."
            ) from error
        raise


def _is_full(path: Path, text: str) -> bool:
    if any(os.strerror(number) in text for number in _FULL):
        return True
    with contextlib.suppress(OSError):
        folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
        facts = os.statvfs(folder)
        return facts.f_bavail * facts.f_frsize < LITTLE_BYTES or (facts.f_files > 0 and facts.f_favail == 0)
    return False


def flush(path: Path) -> None:
    """Make sure that the bytes of ``path`` are on the disk, as far as the disk offers it."""
    with path.open("rb+") as stream:
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise


def replace(new: Path, path: Path) -> None:
    """Let the file ``new`` take the place of the file ``path``, at once where the file system can."""
    try:
        new.replace(path)
    except (PermissionError, FileExistsError):
        if not path.is_file():
            raise
        old = new.with_suffix(".old")
        path.replace(old)
        try:
            new.replace(path)
        except OSError:
            old.replace(path)
            raise
        old.unlink(missing_ok=True)


def set_aside(folder: Path, old: Path) -> None:
    """Move a folder out of the way."""
    try:
        folder.replace(old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.rmtree(folder)  # of a lower layer, which cannot be renamed; what takes its place is whole already


@contextlib.contextmanager
def alone(lock: Path, otherwise: str) -> Iterator[bool]:
    """Let one process at a time do something; others wait, and say so. The system frees what a killed one held.

    Args:
        lock: file to make and remove; its folder, too, is made.
        otherwise: what is said while waiting, as a clause.

    Yields:
        Whether the disk offers locks: without, nobody waits.
    """
    with refused_access(lock), full_disk(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    while True:
        stream = lock.open("a")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s; waiting for it", otherwise)
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:
            lock.unlink(missing_ok=True)
            stream.close()
            yield False
            return
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                break
        stream.close()  # the process that held it removed it: who comes now locks another file of that name
    with stream:
        try:
            yield True
        finally:
            lock.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """Return a new name beside ``path`` for what is to take its place; says which process uses it.

    What processes of this machine left beside ``path`` when they were killed is removed.
    """
    remove_left_behind(path.parent, _start(path))
    end = f".{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.part"
    return path.with_name(_start(path) + end)


def _start(path: Path) -> str:
    room = LONGEST_NAME - len(f".{_HOST}-{1 << 22}-12345678.part") - 1
    name = os.fsencode(path.name)
    return "." + (path.name if len(name) <= room else name[:room].decode(errors="ignore"))


def remove_left_behind(folder: Path, of: str | None = None) -> int:
    """Remove what processes of this machine were writing in ``folder`` when they were killed; return how much that was.

    Args:
        folder: only what lies in it itself.
        of: start of the names, as of :func:`unfinished`; all by default.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for other in sorted(folder.iterdir()):
            left = _UNFINISHED.fullmatch(other.name)
            if left is None or left["host"] != _HOST or of not in (None, left["start"]) or _lives(int(left["pid"])):
                continue
            if other.suffix == ".old" and not (folder / left["start"][1:]).exists():
                continue  # the only copy there is
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink(missing_ok=True)
            removed += 1
    return removed


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

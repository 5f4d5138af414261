"""What surrounds a verb: the screen, the log, signals, and what becomes of an error.

A person sees one sentence, and its status: 1 a check failed, 2 what a user can mend, 3 a fault of this program, 128 and
the signal's number when a signal ended it.
"""

import contextlib
import errno
import io
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from eventspeech.disk import refused_access
from eventspeech.errors import UserError

logger = logging.getLogger("eventspeech")

USERS_ERROR, FAULT, SIGNALLED = 2, 3, 128
SYSTEM_REFUSALS = {
    errno.ENOSPC: "free some space on the disk of that path, of $TMPDIR and of your home",
    errno.EDQUOT: "free some space within your quota",
    errno.EROFS: "choose a path on another disk",
    errno.EACCES: "change its permissions, or choose another path",
    errno.EPERM: "change its permissions, or choose another path",
    errno.ENOENT: "see whether the path is right",
    errno.ENOTDIR: "see whether the path is right",
    errno.EISDIR: "see whether the path is right",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "mend the links that lead in a circle",
    errno.EMFILE: "raise the number of open files (`ulimit -n`)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "close other programs, or use a machine with more memory",
    errno.EAGAIN: "raise the number of processes and threads (`ulimit -u`)",
    errno.EIO: "see whether the disk is sound",
    errno.ESTALE: "see whether the disk answers",
    errno.ETIMEDOUT: "see whether the disk or the network answers",
    errno.EFBIG: "choose another disk, or raise `ulimit -f`",
    errno.ENOLCK: "choose a disk that offers locks",
}
"""What the system may refuse to any program, with what a person can do about it."""


class Stopped(BaseException):
    """The system asks this program to end; carries the signal."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def run(verb: str, work: Callable[[], int | None], log: Path | None) -> int:
    """Do the work of a verb, saying what there is to say; return the status to exit with."""
    open_streams()
    with _signals():
        try:
            with _logging(verb, log):
                status = _guarded(verb, work, log)
        except UserError as error:  # the log itself cannot be written
            print(f"eventspeech {verb}: {error}", file=sys.stderr)
            status = USERS_ERROR
    return close_output(verb, status)


def open_streams() -> None:
    """Give a program that was started with closed streams something to write to.

    Otherwise the first file it opens gets the number of one of them, and what is meant for the screen goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a screen that lacks a letter shows its number


def close_output(verb: str, status: int) -> int:
    """Write what is still held back for standard output; return ``status``, or that of the failure to write it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = SIGNALLED + signal.SIGPIPE
    except ValueError:  # closed by the verb
        return status
    except OSError as error:
        _tell(
            f"eventspeech {verb}: standard output cannot be written to ({error.strerror}); what it says is incomplete."
        )
        status = USERS_ERROR
    else:
        return status
    with contextlib.suppress(OSError, ValueError):  # or Python would try again when it ends, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _guarded(verb: str, work: Callable[[], int | None], log: Path | None) -> int:
    start = time.monotonic()
    try:
        status = work() or 0
    except KeyboardInterrupt:
        logger.error("eventspeech %s: interrupted; run the same command to go on.", verb)
        return SIGNALLED + signal.SIGINT
    except Stopped as stopped:
        name = signal.Signals(stopped.number).name
        logger.error("eventspeech %s: stopped by %s; run the same command to go on.", verb, name)
        return SIGNALLED + stopped.number
    except BrokenPipeError:
        return SIGNALLED + signal.SIGPIPE
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is not None:
            logger.error("eventspeech %s: %s", verb, sentence)
            logger.debug("%s", traceback.format_exc())
            return USERS_ERROR
        where = f"the traceback is in {log}" if log else "its traceback follows"
        logger.error(
            "eventspeech %s: fault of this program, please report it (%s: %s); %s.",
            verb, type(error).__name__, " ".join(str(error).split()), where,
        )  # fmt: skip
        (logger.debug if log else logger.error)("%s", traceback.format_exc())
        return FAULT
    logger.debug("%s took %.1f s", verb, time.monotonic() - start)
    return status


def sentence_of(error: Exception) -> str | None:
    """Return what a person can do about ``error``; ``None``: nothing, it is a fault of this program."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            "memory ran out; lower the batch size or the number of neurons in the parameter file, close other "
            "programs, or use a machine with more memory."
        )
    if isinstance(error, UnicodeEncodeError) and any("\ud800" <= letter <= "\udfff" for letter in error.object):
        return (
            f"{error.object!a} is a name in an encoding other than UTF-8; rename the file or folder (convmv does "
            "it for many)."
        )
    if isinstance(error, OSError) and error.errno in SYSTEM_REFUSALS:
        if "temporary directory" in str(error):
            return "there is no folder for temporary files; set TMPDIR to one that can be written to and has room."
        where = "the system refused a file" if error.filename is None else str(error.filename)
        if error.filename is None and error.errno == errno.ENOSPC:
            where = f"standard output or a temporary file (in {tempfile.gettempdir()}) is on a full disk"
        return f"{where}: {os.strerror(error.errno)}; {SYSTEM_REFUSALS[error.errno]}."
    return None


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turn the system's requests to end into :class:`Stopped`: what is half written goes, and the log says why."""
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # asked again, it ends at once
        if os.getpid() != owner:  # a process that the verb started for its work
            os.kill(os.getpid(), number)
        raise Stopped(number)

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup, for one, has it ignored
            with contextlib.suppress(ValueError):  # outside the main thread nobody may
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _logging(verb: str, path: Path | None) -> Iterator[None]:
    """Send short lines to standard error and everything to the log file."""
    logger.setLevel(logging.DEBUG)
    screen = _Screen(sys.stderr)
    screen.setLevel(logging.INFO)
    screen.setFormatter(logging.Formatter("%(message)s"))
    handlers: list[logging.Handler] = [screen]
    if path is not None:
        with refused_access(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = _LogFile(verb, path)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                _tell_of_log(verb, path, error)
            else:
                file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
                handlers.append(file)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _Screen(logging.StreamHandler):
    """The screen; a closed one is no reason to stop work that goes into files."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: there is nobody to hear it."""


class _LogFile(logging.FileHandler):
    """The log file; when its disk fails, the screen is told once and the work goes on."""

    def __init__(self, verb: str, path: Path):
        # names of files may hold bytes of another encoding
        super().__init__(path, mode="w", encoding="utf-8", errors="backslashreplace")
        self.verb, self.path, self.failed = verb, path, False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record unless an earlier one could not be written."""
        if not self.failed:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Tell the screen of the first failure."""
        self._fail(sys.exc_info()[1])

    def close(self) -> None:
        """Close the file, whatever its disk says."""
        try:
            super().close()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: BaseException | None) -> None:
        if not self.failed:
            self.failed = True
            _tell_of_log(self.verb, self.path, error)


def _tell_of_log(verb: str, path: Path, error: BaseException | None) -> None:
    reason = getattr(error, "strerror", None) or error
    _tell(f"eventspeech {verb}: the log {path} cannot be written ({reason}); the command goes on without it.")


def _tell(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(sentence, file=sys.stderr, flush=True)

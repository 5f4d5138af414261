"""NVML, NVIDIA's library that answers for its cards, asked so that no question can take the others with it."""

from typing import Any


class NoGpu(Exception):
    """No GPU can be used or asked; the message is the reason, as a clause without a full stop."""


class Nvml:
    """NVML, whose every question may go unanswered by itself: what a card, driver or user cannot be told is ``None``.

    Args:
        library: the module ``pynvml`` (nvidia-ml-py) or a stand-in.

    Raises:
        NoGpu: no such package, or the driver does not answer.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = library or _pynvml()
        try:
            self._library.nvmlInit()
        except Exception as error:  # NVML's own, and what ctypes raises at a library that is broken or another's
            raise NoGpu(f"no NVIDIA driver answers ({error})") from error
        self._open = True

    def answer(self, function: str, *arguments: Any) -> tuple[Any, str | None]:
        """Ask; return the answer, or ``None`` and the reason. Arguments ``"NVML_..."`` are NVML's constants."""
        library = self._library
        try:
            values = [getattr(library, a) if str(a).startswith("NVML_") else a for a in arguments]
            found = getattr(library, function)(*values)
        except Exception as error:  # NVML's own; an old nvidia-ml-py lacks functions, and trips over odd answers
            return None, str(error) or type(error).__name__
        # old versions of nvidia-ml-py give bytes
        return (found.decode("utf-8", "replace") if isinstance(found, bytes) else found), None

    def ask(self, function: str, *arguments: Any) -> Any:
        """Ask; return the answer or ``None``."""
        return self.answer(function, *arguments)[0]

    def field(self, name: str, handle: Any) -> int | None:
        """Return a field of a card by the name of its constant, ``None`` if unknown."""
        constant = getattr(self._library, name, None)
        values: Any = None if constant is None else self.ask("nvmlDeviceGetFieldValues", handle, [constant])
        try:
            return values[0].value.uiVal if values[0].nvmlReturn == 0 else None
        except (TypeError, IndexError, AttributeError):
            return None

    def constant(self, name: str) -> int:
        """Return a constant, 0 if this version of nvidia-ml-py has none of that name."""
        return getattr(self._library, name, 0)

    def close(self) -> None:
        """Let the driver go; may be called twice."""
        if self._open:
            self._open = False
            self.ask("nvmlShutdown")


def _pynvml() -> Any:
    try:
        import pynvml
    except Exception as error:  # missing, or another package of that name, which may fail in any way
        raise NoGpu("the package nvidia-ml-py is not installed") from error
    return pynvml

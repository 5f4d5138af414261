"""Reading YAML 1.2 as DVC does (ruamel.yaml), and refusing what its readers take for different things, or for ever.

Snakemake's own reader is of YAML 1.1: there `010` is 8, `no` is false, `1:30` is 90 and `1e-3` a text. So that all
three mean the same, Snakemake is given values that were read here. Refused are: a key that stands twice, a key that is
no text, tags, directives, several documents, and what is too large, too deep or expands without bound through aliases.
The parser's events are looked at one by one, so that nothing is built before it was counted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)  # fmt: skip
from ruamel.yaml.nodes import ScalarNode

from eventspeech.errors import ParameterError

LARGEST = 64 * 1024
"""Bytes of the largest file that is read: the default is 3 KiB; beyond, reading takes seconds."""

DEEPEST = 32
"""Most levels of groups within groups."""

MOST = 10_000
"""Most values, those that aliases repeat included."""

MERGE = "<<"


class _Refused(Exception):
    """What is wrong, with its line, and what to do."""


def read(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        ParameterError: the file is missing, cannot be read or is refused; names the line.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise ParameterError(
            f"{path} does not exist; `eventspeech preset default > {path}` writes one to start from."
        ) from error
    except OSError as error:
        raise ParameterError(f"{path} cannot be read ({error.strerror}); give the path of a parameter file.") from error
    if len(raw) > LARGEST:
        raise ParameterError(f"{path} is larger than {LARGEST // 1024} KiB; give the path of a parameter file.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path} is not valid YAML (it is no text in UTF-8); save it in that encoding.") from error
    return parse(text, str(path))


def parse(text: str, origin: str) -> Any:
    """Return the content of YAML ``text``.

    Raises:
        ParameterError: it is refused; names ``origin`` and the line.
    """
    try:
        return _Builder(text).document()
    except _Refused as error:
        raise ParameterError(f"{origin}, {error}.") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        what = " ".join(str(error.problem or error.context).split())
        raise ParameterError(f"{origin} is not valid YAML ({where}{what}); correct it.") from error
    except (YAMLError, ValueError) as error:  # a character that may not stand in YAML
        what = " ".join(str(error).split())
        raise ParameterError(f"{origin} is not valid YAML ({what}); correct it.") from error


def scalar(text: str) -> Any:
    """Return what ``text`` means as a value without quotes: a number, true, false, null or itself."""
    yaml = YAML(typ="safe", pure=True)
    return yaml.constructor.construct_object(ScalarNode(yaml.resolver.resolve(ScalarNode, text, (True, False)), text))


class _Builder:
    """Makes plain values of the parser's events."""

    def __init__(self, text: str):
        self._yaml = YAML(typ="safe", pure=True)
        self._events: Iterator[Any] = self._yaml.parse(text)  # ruamel.yaml's events, whose attributes have no types
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0

    def document(self) -> Any:
        """Return the only document, or ``None`` if there is none."""
        content, documents = None, 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Refused(f"{_line(event)}: a second document begins here; remove it or the line ---")
                if event.version is not None or event.tags:
                    raise _Refused(f"{_line(event)}: a directive (%YAML or %TAG) stands before it; remove that")
            elif isinstance(event, NodeEvent):
                content = self._value(event, 1)
        return content

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, AliasEvent):
            return self._repeated(event)
        if event.tag is not None:
            shown = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            raise _Refused(f"{_line(event)}: the tag {shown} has no meaning here; remove it")
        if depth > DEEPEST:
            raise _Refused(f"{_line(event)}: more than {DEEPEST} levels lie within one another; remove some")
        before = self._values
        self._count(event, 1)
        if isinstance(event, ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, SequenceStartEvent):
            value = []
            while not isinstance(item := next(self._events), SequenceEndEvent):
                value.append(self._value(item, depth + 1))
        else:
            value = self._mapping(depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._values - before
        return value

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._value(event, depth + 1)
            if not isinstance(key, str):
                shown = event.value if isinstance(event, ScalarEvent) else "a list or group"
                raise _Refused(f"{_line(event)}: the key {shown} is no text; put it in quotes")
            if key in lines:
                raise _Refused(f"{_line(event)}: the key {key} stands in line {lines[key]} already; remove one of them")
            lines[key] = event.start_mark.line + 1
            value = self._value(following := next(self._events), depth + 1)
            if key == MERGE and event.implicit[0]:  # without quotes
                merged = value if isinstance(value, list) else [value]
                if not all(isinstance(group, dict) for group in merged):
                    raise _Refused(f"{_line(following)}: what << takes over is no group; name groups by aliases")
            else:
                found[key] = value
        for group in merged:
            found |= {key: value for key, value in group.items() if key not in found}
        return found

    def _scalar(self, event: ScalarEvent) -> Any:
        if not event.value.isascii() and not _is_text(event.value):
            raise _Refused(f"{_line(event)}: an escape names half a character; write the character itself")
        if not event.implicit[0] or event.value == MERGE:
            return event.value
        tag = self._yaml.resolver.resolve(ScalarNode, event.value, event.implicit)
        try:
            return self._yaml.constructor.construct_object(ScalarNode(tag, event.value, event.start_mark))
        except (YAMLError, ValueError, OverflowError) as error:
            raise _Refused(f"{_line(event)}: {event.value[:40]} is no value; put it in quotes") from error

    def _repeated(self, event: AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise _Refused(f"{_line(event)}: the alias *{event.anchor} names nothing that ends before it; remove it")
        value, size = self._anchors[event.anchor]
        self._count(event, size)
        return value

    def _count(self, event: Event, more: int) -> None:
        self._values += more
        if self._values > MOST:
            raise _Refused(f"{_line(event)}: with aliases written out, these are more than {MOST} values; use fewer")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _line(event: Event) -> str:
    return f"line {event.start_mark.line + 1}"

"""Laying the text of one parameter file over another's, comments included.

The files are this folder's own, of one form: groups in blocks, two spaces a level, comments above a key or behind its
value. What a key's lines say is not read here; a test holds the text made here against the values laid over.
"""

import re
from dataclasses import dataclass, field

KEY = re.compile(r"(?P<indent> *)(?P<key>[\w.]+):(?P<rest>.*)$")


@dataclass
class Entry:
    """A key with the comments above it, its line, and what lies within it: entries, or lines of a value.

    The last key of a group has the comments that end the group after it.
    """

    above: list[str]
    line: str
    within: list[str] = field(default_factory=list)
    entries: "dict[str, Entry]" = field(default_factory=dict)
    after: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the lines of this entry and of all within it."""
        within = [line for entry in self.entries.values() for line in entry.lines()] or self.within
        return [*self.above, self.line, *within, *self.after]


def split(text: str) -> tuple[list[str], dict[str, Entry]]:
    """Return the comment that begins a file, up to the first empty line, and the file's groups."""
    head, _, body = text.partition("\n\n")
    return head.splitlines(), _entries([line for line in body.splitlines() if line.strip()], 0)


def join(head: list[str], groups: dict[str, Entry]) -> str:
    """Return the text of a file, an empty line between groups."""
    return "\n\n".join("\n".join(lines) for lines in (head, *(group.lines() for group in groups.values()))) + "\n"


def laid_over(below: dict[str, Entry], above: dict[str, Entry], whole: tuple[str, ...] = ()) -> dict[str, Entry]:
    """Return ``below`` with the entries of ``above`` in their places; those of ``whole`` are replaced as they are.

    An entry's comments are those of the file that gives its value; the one above a group stays unless it has another.
    """
    merged = below | {key: entry for key, entry in above.items() if key not in below}
    for key in below.keys() & above.keys():
        old, new = below[key], above[key]
        comment = new.above or (old.above if new.entries else [])
        if new.entries and key not in whole:
            merged[key] = Entry(comment, new.line, [], laid_over(old.entries, new.entries), new.after)
        else:
            merged[key] = Entry(comment, new.line, new.within, new.entries, new.after)
    return merged


def _entries(lines: list[str], indent: int) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    comments: list[str] = []
    own: dict[str, list[str]] = {}
    for line in lines:
        match = KEY.match(line)
        depth = len(line) - len(line.lstrip())
        if depth == indent and line.lstrip().startswith("#"):
            comments.append(line)
        elif depth == indent and match:
            current = match["key"]
            found[current], own[current], comments = Entry(comments, line), [], []
        else:
            own[current].append(line)
    if comments:
        found[current].after = comments
    for key, entry in found.items():
        if KEY.match(next((line for line in own[key] if not line.lstrip().startswith("#")), "")):
            entry.entries = _entries(own[key], indent + 2)
        else:
            entry.within = own[key]
    return found

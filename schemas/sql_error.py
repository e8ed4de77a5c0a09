"""What DuckDB says of somebody's SQL as a sentence, then the line that it means with a caret below the place."""

from __future__ import annotations

import re
from unicodedata import east_asian_width

_KIND = re.compile(r"\A[A-Z][A-Za-z ]* Error: ")
_PLACE = re.compile(r"\n(LINE (\d+): )(.*)\n( *)(\^+)")
_TAB = "\t"
_NO_FILES = re.compile(r"\ACannot access (file|directory) (\".*\") - file system operations are disabled")


def explained(message: str, before: int = 0) -> str:
    """`in line 3: syntax error at or near "FROM"`, the line and the caret; the sentence alone where no place is named.

    `before` is how many lines of ours stand before the SQL; a place in those is left out, and so is advice about
    settings of DuckDB: nobody could follow it.
    """
    place = _PLACE.search(message)
    if place is None:
        return _sentence(message)
    said = _sentence(message[: place.start()])
    label, number, line, indent, caret = place.groups()
    if int(number) <= before:
        return said
    column = len(indent) - len(label)
    below = " " * (column + _tabs(line, column)) + caret
    return f"in line {int(number) - before}: {said}\n{line.replace(_TAB, ' ')}\n{below}"


def _tabs(line: str, column: int) -> int:
    """How many stand before a column of the terminal, where they take no place: so DuckDB counts."""
    tabs = 0
    for character in line:
        if character == _TAB:
            tabs += 1
        elif column <= 0:
            break
        else:
            column -= 2 if east_asian_width(character) in "WF" else 1
    return tabs


def _sentence(message: str) -> str:
    lines = [line.strip() for line in _KIND.sub("", message.strip()).splitlines()]
    said = " ".join(line for line in lines if line and not line.startswith(("*", "Stack Trace")))
    if refused := _NO_FILES.match(said):
        return f"it names the {refused[1]} {refused[2]}, and may read the tables only"
    return said[:1].lower() + said[1:] if said[:2].istitle() else said

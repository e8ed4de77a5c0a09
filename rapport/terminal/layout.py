"""Rows as lines of text: a table where the width is enough, else upright, a field a line, record by record.

A value is never cut, and never broken but between the words of prose. Text in, text out: it knows no terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

WRAPS_FROM = 40
"""Characters: names, addresses and titles are shorter and stay on their line."""
GAP = "  "
_WORDS = re.compile(r"(?<=\s)(?=\S)|(?<=,)(?=[\"{\[])")
"""Where prose may be broken: between words, and between the members of JSON."""

Cells = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    right: bool = False
    """Numbers stand right."""
    prose: bool = False
    """Text or JSON, which may go over several lines where it is long."""


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    heading: bool = False


def lines(columns: Sequence[Column], rows: Cells, width: int | None, wraps: bool) -> Iterator[Line]:
    """The rows in lines of at most `width` cells, unless a word is longer; None is no limit.

    Without `wraps` a value stays on one line, however long it is.
    """
    widths = _widths(columns, rows, width, wraps)
    return _upright(columns, rows, width if wraps else None) if widths is None else _table(columns, rows, widths)


def fits(columns: Sequence[Column], rows: Cells, width: int | None, wraps: bool) -> bool:
    """Whether the rows are a table of at most `width` cells."""
    return _widths(columns, rows, width, wraps) is not None


def _widths(columns: Sequence[Column], rows: Cells, width: int | None, wraps: bool) -> Sequence[int] | None:
    """What each column of a table takes; None where the table does not fit."""
    widths = [
        max([cell_len(column.name), *(cell_len(row[place]) for row in rows)]) for place, column in enumerate(columns)
    ]
    if width is None:
        return widths
    room = width - len(GAP) * (len(columns) - 1)
    narrowest = [
        max([WRAPS_FROM, *(_longest_word(row[place]) for row in rows)]) if wraps and column.prose else widths[place]
        for place, column in enumerate(columns)
    ]
    for place in sorted(range(len(columns)), key=lambda place: -widths[place]):
        spare = max(0, widths[place] - narrowest[place])
        widths[place] -= min(spare, max(0, sum(widths) - room))
    return widths if sum(widths) <= room else None


def _table(columns: Sequence[Column], rows: Cells, widths: Sequence[int]) -> Iterator[Line]:
    yield Line(_joined(columns, [column.name for column in columns], widths), heading=True)
    for row in rows:
        wrapped = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for number in range(max(map(len, wrapped), default=0)):
            yield Line(_joined(columns, [part[number] if number < len(part) else "" for part in wrapped], widths))


def _joined(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = [
        " " * (width - cell_len(cell)) + cell if column.right else set_cell_size(cell, width)
        for column, cell, width in zip(columns, cells, widths, strict=True)
    ]
    return GAP.join(placed).rstrip()


def _upright(columns: Sequence[Column], rows: Cells, width: int | None) -> Iterator[Line]:
    label = max(cell_len(column.name) for column in columns)
    for number, row in enumerate(rows, 1):
        if number > 1:
            yield Line("")
        yield Line(f"record {number}", heading=True)
        for column, cell in zip(columns, row, strict=True):
            room = width - label - len(GAP) if width and column.prose else cell_len(cell)
            first, *rest = _wrapped(cell, room)
            yield Line(f"{set_cell_size(column.name, label)}{GAP}{first}".rstrip())
            yield from (Line(" " * (label + len(GAP)) + part) for part in rest)


def _wrapped(cell: str, width: int) -> Sequence[str]:
    if cell_len(cell) <= width:
        return [cell]
    parts = [""]
    for word in _WORDS.split(cell):
        if parts[-1] and cell_len((parts[-1] + word).rstrip()) > width:
            parts.append("")
        parts[-1] += word
    return [part.rstrip() for part in parts]


def _longest_word(cell: str) -> int:
    return max(cell_len(word.rstrip()) for word in _WORDS.split(cell))

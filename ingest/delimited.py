"""Delimited text (CSV, TSV) as rows of texts: exactly what stands between the delimiters.

The first line names the columns. A line `sep=;` before it tells the delimiter; else it and the quotes are those under
which most of the first rows have the columns of that line. Quotes are strict: a row whose quotes are not those of whole
fields, or that has more or fewer fields than the first line, is `Unreadable`, and reading goes on with the line behind
its first.
Must never give a value another type, and never hold more than a row and the first lines in memory.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ingest.files import Giant
from schemas.errors import InputError
from schemas.rejection import SHOWN, Fault, Oversized, Unreadable

ROW: Final = 1024 * 1024
"""Characters that a row may have."""
_DELIMITERS: Final = ",;\t|"
_SAMPLE: Final = 200
"""Lines by which the delimiter and the quotes are told."""
_ENDS: Final = ("\n", "\r")
_QUOTES: Final = "quotes around a whole field, and a quote inside doubled"


class Dialect(NamedTuple):
    """How fields are told apart. An empty `quote` means that quotes are characters like others."""

    delimiter: str
    quote: str = '"'
    escape: str | None = None

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        csv.field_size_limit(ROW)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            escapechar=self.escape,
            strict=True,
        )


class _TooLong(Exception):
    """The row at hand has outgrown memory."""


class _GiantLine(str):
    """The beginning of a line too long to be held."""

    __slots__ = ("whole",)
    whole: Oversized


class _Lines:
    """Lines for `csv.reader`, which remembers those of the row at hand and takes back what did not belong to it."""

    def __init__(self, file: io.TextIOBase) -> None:
        self._file = file
        self._returned: deque[str] = deque()
        self._size = 0
        self.row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else self._file.readline(ROW)
        if not line:
            raise StopIteration
        if len(line) == ROW and not line.endswith(_ENDS):
            line = self._giant(line)
        self.row.append(line)
        self._size += len(line)
        if self._size > ROW or isinstance(line, _GiantLine):
            raise _TooLong
        return line

    def begin(self) -> None:
        """The next line begins a row."""
        self.row, self._size = [], 0

    def keep_first(self) -> None:
        """Only the first line was a row by itself; the others are to come once more."""
        self._returned.extendleft(reversed(self.row[1:]))
        del self.row[1:]

    def _giant(self, part: str) -> _GiantLine:
        line, giant = _GiantLine(part[:SHOWN]), Giant()
        while part:
            giant.add(part.rstrip("\r\n").encode("utf-8", "surrogateescape"))
            part = "" if part.endswith(_ENDS) else self._file.readline(ROW)
        line.whole = giant.whole()
        return line


def rows(file: io.TextIOBase, dialect: Dialect, source: str) -> Iterator[list[str] | Unreadable]:
    """The first line, which must be readable, and then each row with as many fields. Blank lines are nothing.

    Raises InputError where the first line cannot be read.
    """
    lines = _Lines(file)
    reader = dialect.reader(lines)
    number, width = 1, 0
    while True:
        lines.begin()
        try:
            fields, fault = next(reader), None
        except StopIteration:
            return
        except (csv.Error, _TooLong):
            lines.keep_first()
            fields, fault = [], _broken(lines.row[0])
        if number == 1 and _separator(lines.row[0]):
            fields = []
        if fields:
            fault = _undecodable(lines.row) or _of_another_width(fields, width)
        if fault is None and fields:
            width = width or len(fields)
            yield fields
        elif fault is not None and width:
            yield Unreadable(_raw(lines.row), fault._replace(value=f"line {number}: {fault.value}"), source)
        elif fault is not None:
            raise InputError(f"The first line of {source} cannot be read: it needs {fault.expectation}.")
        number += len(lines.row)


def _separator(line: str) -> str:
    """What a first line `sep=;` says, which Excel writes and reads."""
    found = re.fullmatch(r"sep=(.)[\r\n]*", line)
    return found[1] if found else ""


def _raw(row: Sequence[str]) -> bytes | Oversized:
    first = row[0]
    if isinstance(first, _GiantLine):
        return first.whole
    return "".join(row).rstrip("\r\n").encode("utf-8", "surrogateescape")


def _broken(line: str) -> Fault:
    if isinstance(line, _GiantLine):
        return Fault("too_large", "", f"{line.whole.length} bytes", f"at most {ROW} characters a row")
    return Fault("unreadable_row", "", line.rstrip("\r\n"), _QUOTES)


def _undecodable(row: Sequence[str]) -> Fault | None:
    for line in row:
        if not line.isascii():
            try:
                line.encode()
            except UnicodeEncodeError:
                shown = line.rstrip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                return Fault("not_utf8", "", shown, "UTF-8, or the file's encoding: --encoding windows-1252")
    return None


def _of_another_width(fields: Sequence[str], width: int) -> Fault | None:
    if width in (0, len(fields)):
        return None
    columns = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
    return Fault("unreadable_row", "", columns, f"{width} columns, as the first line has")


def dialect_of(file: io.TextIOBase, delimiter: str | None = None, quote: str | None = None) -> Dialect:
    """The dialect of the first lines, as far as it is not given."""
    sample: list[str] = []
    while len(sample) < _SAMPLE and sum(map(len, sample)) < ROW and (line := file.readline(ROW)):
        sample.append(line)
    if sample and (separator := _separator(sample[0])):
        delimiter = delimiter or separator
    text = "".join(sample)
    quotings: list[tuple[str, str | None]] = [('"', None)]
    if quote is not None:
        quotings = [(quote, None)]
    elif '\\"' in text:
        quotings.append(('"', "\\"))
    elif '"' not in text:
        quotings.append(("'", None))
    tried = [Dialect(each, *quoting) for quoting in quotings for each in delimiter or _DELIMITERS]
    return min(tried, key=lambda dialect: _misfits(sample, dialect))


def _misfits(sample: Sequence[str], dialect: Dialect) -> tuple[bool, int, int]:
    """Least for the dialect that fits best: several columns, few rows that do not have them, many columns."""
    width = misfits = 0
    try:
        for each in rows(io.StringIO("".join(sample), newline=""), dialect, ""):
            width = width or len(each)
            misfits += isinstance(each, Unreadable)
    except InputError:
        return True, len(sample), 0
    return width < 2, misfits, -width

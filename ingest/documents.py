"""JSON files as rows: an array of objects, objects one after the other, or one a line.

A row is the text of one object. `Shape` learns what the rows have in common: text stays text, whatever it looks like.
Where rows differ (text here, a number there), the column is JSON, which holds each as it is. A number that neither a
double nor 64 bits hold is its text.
Must never hold more than one row in memory.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson

from ingest.accept import damage
from ingest.accept.event import inexact
from schemas.errors import InputError
from schemas.rejection import Fault, Unreadable

ROW: Final = 16 * 1024 * 1024
"""Characters that a row may have."""
_BLOCK: Final = 256 * 1024
_MEMBERS: Final = 200
"""Different keys above which an object is no record but a dictionary, which stays JSON."""
_LEVELS: Final = 30
_EXACT: Final = 2**53
"""Up to here a double holds every whole number."""

_decode = json.JSONDecoder().raw_decode
_spaces = re.compile(r"\s*").match


class _Exact(str):
    """A number that no double and no 64 bits hold, as it is written."""

    __slots__ = ()


class Shape:
    """What the values at one place of all rows have in common."""

    __slots__ = ("items", "kinds", "members")

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.members: dict[str, Shape] = {}
        self.items: Shape | None = None

    def learn(self, value: Any, level: int = 0) -> None:
        kind = value.__class__
        if kind is dict and level < _LEVELS and "other" not in self.kinds:
            self.kinds.add("object")
            for name, each in value.items():
                member = self.members.get(name)
                if member is None:
                    member = self.members[name] = Shape()
                member.learn(each, level + 1)
            if level and len(self.members) > _MEMBERS:
                self.kinds.add("other")
                self.members = {}
        elif kind is list and level < _LEVELS:
            self.kinds.add("list")
            self.items = self.items or Shape()
            for each in value:
                self.items.learn(each, level + 1)
        elif kind is int:
            self.kinds.add("small" if -_EXACT <= value <= _EXACT else "large" if value < 2**63 else "huge")
        elif value is not None:
            self.kinds.add(_KINDS.get(kind, "other"))

    @property
    def type(self) -> Any:
        """As DuckDB's `from_json` takes it."""
        kinds = frozenset(self.kinds)
        if (
            kinds == {"object"}
            and self.members
            and len({name.lower() for name in self.members} - {""}) == len(self.members)
        ):
            return {name: member.type for name, member in self.members.items()}
        if kinds == {"list"} and self.items is not None:
            return [self.items.type]
        return next((type_ for type_, of in _TYPES.items() if kinds <= of), "JSON")


_KINDS: Final = {str: "text", bool: "boolean", float: "decimal"}
_TYPES: Final = {
    "VARCHAR": {"text"},
    "BOOLEAN": {"boolean"},
    "BIGINT": {"small", "large"},
    "HUGEINT": {"small", "large", "huge"},
    "DOUBLE": {"small", "decimal"},
}
"""What a column may hold to be of a type, the narrowest first. Nothing at all is text."""


class Row(NamedTuple):
    """One object."""

    text: str
    value: dict[str, Any]
    """For `Shape.learn`."""


class _Twice(Exception):
    """An object has a key twice: the text of the key."""


def rows(file: io.TextIOBase, layout: str, source: str) -> Iterator[Row | Unreadable]:
    """Each object, in order.

    Raises InputError where an array, or objects over several lines, cannot be read to the end.
    """
    for number, text in _lines(file) if layout == "lines" else _Document(file, source).values(layout == "array"):
        raw = text.encode("utf-8", "surrogateescape")
        row = _row(text, raw)
        if isinstance(row, Fault):
            yield Unreadable(raw, row._replace(value=f"line {number}: {row.value}"), source)
        else:
            yield row


def layout_of(file: io.TextIOBase) -> str:
    """`array`, `objects` over several lines, or `lines` of an object each."""
    head = file.read(_BLOCK).lstrip()
    if head.startswith("["):
        return "array"
    first = head.partition("\n")[0].rstrip()
    if not head.startswith("{") or _is_json(first):
        return "lines"
    if _is_json(head[: _end(head)]) or (len(head) > _BLOCK // 2 and first.endswith(("{", "[", ","))):
        return "objects"
    return "lines"


def _end(text: str) -> int:
    try:
        return _decode(text)[1]
    except (ValueError, RecursionError):
        return 0


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text.encode("utf-8", "surrogateescape"))
    except orjson.JSONDecodeError:
        return False
    return True


def _row(text: str, raw: bytes) -> Row | Fault:
    try:
        value = orjson.loads(raw)
        encoded = orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        return damage.find(raw) or Fault("invalid_json", "", "", f"JSON ({error})")
    if not isinstance(value, dict):
        return Fault("not_an_object", "", text, "one JSON object")
    if not inexact(raw, encoded):
        return Row(text, value)
    try:
        value = _decode_exactly(text)
        return Row(json.dumps(value, ensure_ascii=False), value)
    except _Twice as twice:
        return Fault("duplicate_key", str(twice), str(twice), "each key once in an object")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return members


def _whole(text: str) -> int | _Exact:
    return int(text) if len(text) <= 20 and -(2**63) <= int(text) < 2**64 else _Exact(text)


def _decimal(text: str) -> float | _Exact:
    return number if damage.is_kept(text, number := float(text)) else _Exact(text)


_decode_exactly = json.JSONDecoder(object_pairs_hook=_members, parse_int=_whole, parse_float=_decimal).decode


def _lines(file: io.TextIOBase) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(ROW):
        number += 1
        if not line.isspace():
            yield number, line.rstrip("\r\n")


class _Document:
    """One JSON text over many lines, read piece by piece."""

    def __init__(self, file: io.TextIOBase, source: str) -> None:
        self._file = file
        self._source = source
        self._text = ""
        self._at = 0
        self._line = 1

    def values(self, array: bool) -> Iterator[tuple[int, str]]:
        """The elements of an array, or the values that stand one behind the other, each with its line."""
        if array:
            self._next()
            self._at += 1
        first = True
        while mark := self._next():
            if array and mark == "]":
                self._at += 1
                if self._next():
                    raise self._error("something stands behind the end of the array", self._at)
                return
            if array and not first:
                if mark != ",":
                    raise self._error("a comma is missing", self._at)
                self._at += 1
                self._next()
            first = False
            yield self._line, self._value()
        if array:
            raise self._error("the end is missing", self._at)

    def _next(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            self._move(_spaces(self._text, self._at).end())  # type: ignore[union-attr] # no space is a match, too
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _value(self) -> str:
        while True:
            try:
                end = _decode(self._text, self._at)[1]
            except json.JSONDecodeError as error:
                behind = error.pos - self._at
                if len(self._text) - self._at > ROW or not self._more():
                    raise self._error(error.msg, self._at + behind) from error
            except RecursionError as error:
                raise self._error("it is nested too deep", self._at) from error
            else:
                if end < len(self._text) or not self._more():  # a number may go on
                    break
        text = self._text[self._at : end]
        self._move(end)
        return text

    def _move(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        rest = self._text[self._at :]
        more = self._file.read(max(_BLOCK, len(rest)))
        self._text, self._at = rest + more, 0
        return bool(more)

    def _error(self, what: str, at: int) -> InputError:
        line = self._line + self._text.count("\n", self._at, at)
        return InputError(f"{self._source} is no whole JSON ({what}, line {line}). Mend it; nothing of it was taken.")

"""Strict YAML 1.2: text in, documents whose every value knows its place out. It must never raise on what a file holds.

Plan files are written by hand, so whatever has two readings is refused with its place: duplicate keys, numbers with
leading zeros, infinities, tags, anchors and aliases. Only YAML's structure comes from ruamel.yaml; plain scalars are
read by the core schema of YAML 1.2.2 (section 10.3.2), where `yes`, `on` and `2026-03-02` are text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from schemas.errors import Problem

SIZE_LIMIT = 256 * 1024
DEPTH_LIMIT = 32
NUMBER_LIMIT = 30
"""Characters: no count, price or id that is a number needs more."""

Atom = str | int | float | bool | None

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. `source` is its text as the file has it, without quotes."""

    line: int
    column: int
    value: Atom
    source: str
    quoted: bool
    """Whoever writes quotes means text."""


@dataclass(frozen=True, slots=True)
class Sequence:
    line: int
    column: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys are text and each is there once, in the order of the file."""

    line: int
    column: int
    entries: dict[str, tuple[Scalar, Node]] = field(hash=False)
    """Key -> (the key, its value)."""


Node = Scalar | Sequence | Mapping


def load(text: str | bytes, file: str, problems: list[Problem]) -> list[Node]:
    """The documents of a file that can be read, empty ones left out; what is wrong is added to `problems`.

    `file` is only a name for the problems. A syntax error ends the reading: documents before it are still given.
    """
    if len(text) > SIZE_LIMIT:
        problems.append(Problem(file, 0, 0, f"The file is larger than {SIZE_LIMIT // 1024} KiB; split it."))
        return []
    try:
        text = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        line, column = _place(error.object[: error.start].decode())
        problems.append(Problem(file, line, column, "The file is not UTF-8; save it with that encoding."))
        return []
    documents: list[Node] = []
    text = text.removeprefix("\ufeff")
    try:
        for node in _Builder(file, problems).documents(YAML(typ="safe", pure=True).parse(text)):
            documents.append(node)  # noqa: PERF402 - what came before an error is kept
    except _Refused as refused:
        problems.append(refused.problem)
    except YAMLError as error:
        problems.append(_syntax_problem(error, text, file))
    except (ValueError, OverflowError):
        # ruamel passes an escape like "\\U00110000" to chr() unchecked, and does not say where it stands.
        problems.append(Problem(file, 0, 0, "A \\U escape names no Unicode character; correct it."))
    return documents


def _place(before: str) -> tuple[int, int]:
    """Line and column of what follows this text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_problem(error: YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        said = " ".join(str(part).strip() for part in (error.context, error.problem) if part)
        said = said.splitlines()[0] if said else "it cannot be read"
        return Problem(file, mark.line + 1, mark.column + 1, f"This is not valid YAML: {said}.")
    if isinstance(error, ReaderError):
        line, column = _place(text[: error.position])
        return Problem(
            file, line, column, f"The character U+{ord(text[error.position]):04X} cannot be here; remove it."
        )
    return Problem(file, 0, 0, f"This is not valid YAML: {str(error).splitlines()[0]}.")


class _Refused(Exception):
    """The rest of the file cannot be read safely."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class _Builder:
    """Parser events to nodes. Own code, not ruamel's constructor: it must know places, bounds and duplicates."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self._problems = problems

    def documents(self, events: Iterator[Any]) -> Iterator[Node]:
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if event.version is not None and tuple(event.version) != (1, 2):
                    raise self._refused(event, "Plan files are YAML 1.2; remove the %YAML line.")
                node = self._node(next(events), events, 0)
                if not (isinstance(node, Scalar) and node.value is None):
                    yield node

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if depth > DEPTH_LIMIT:
            raise self._refused(event, f"Values are nested more than {DEPTH_LIMIT} deep; make it flatter.")
        if isinstance(event, AliasEvent):
            raise self._refused(event, f"`*{event.anchor}` is an alias; write the value out instead.")
        if event.anchor is not None:
            self._problem(event, f"`&{event.anchor}` is an anchor; remove it and write values out.")
        if event.tag is not None and str(event.tag) != "!":
            self._problem(event, f"`{event.tag}` is a tag; remove it, values have no tags here.")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, ScalarEvent):
            return Scalar(line, column, self._atom(event), event.value, event.style is not None)
        if isinstance(event, SequenceStartEvent):
            return Sequence(line, column, tuple(self._items(events, depth)))
        assert isinstance(event, MappingStartEvent)
        return Mapping(line, column, self._entries(events, depth))

    def _items(self, events: Iterator[Any], depth: int) -> Iterator[Node]:
        while not isinstance(event := next(events), SequenceEndEvent):
            yield self._node(event, events, depth + 1)

    def _entries(self, events: Iterator[Any], depth: int) -> dict[str, tuple[Scalar, Node]]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(key, Scalar):
                self._problem(event, "A key must be plain text; put quotes around text that begins with { or [.")
            elif key.source in entries:
                first = entries[key.source][0].line
                self._problem(event, f"`{shown(key.source)}` is here a second time (first on line {first}); keep one.")
            else:
                entries[key.source] = key, value
        return entries

    def _atom(self, event: Any) -> Atom:
        text: str = event.value
        if _UNSTORABLE.search(text):
            self._problem(event, "The text holds a null character or half a surrogate pair; remove it.")
            return text
        if event.style is not None:
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        whole, decimal = _INT.fullmatch(text), _FLOAT.fullmatch(text)
        if _SPECIAL.fullmatch(text) or ((whole or decimal) and len(text) > NUMBER_LIMIT):
            self._problem(event, f"`{shown(text)}` is no usable number; put quotes around it if it is text.")
            return text
        if _LEADING_ZERO.fullmatch(text):
            self._problem(event, f"`{text}` would lose its leading zero; put quotes around it if it is text.")
            return text
        if whole:
            return int(text, 0)
        if not decimal:
            return text
        number = float(text)
        if math.isinf(number):
            self._problem(event, f"`{text}` is too large a number; write a smaller one.")
            return text
        return number

    def _problem(self, event: Any, message: str) -> None:
        self._problems.append(self._refused(event, message).problem)

    def _refused(self, event: Any, message: str) -> _Refused:
        mark = event.start_mark
        return _Refused(Problem(self._file, mark.line + 1, mark.column + 1, message))


def value_of(node: Node) -> Any:
    """What a node holds, as JSON would."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [value_of(item) for item in node.items]
    return {name: value_of(value) for name, (_, value) in node.entries.items()}


def shown(text: str) -> str:
    """Text short enough for an error message, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."

"""Lines of NDJSON, and the batches that SDKs post, as single events.

A batch is `{"batch": [...], "sentAt": ..., "context": ..., "integrations": ...}`. Its events are cut out of the text
as they stand, so that a refused one keeps its own bytes; what only the batch says is then written into each event
that does not name the field itself (even as null). `context` is filled key by key.
Must never judge an event: a line that is no batch, or a broken one, is handed on whole to `accept`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from ingest.accept import damage
from schemas.events import BATCH_BYTES
from schemas.rejection import Oversized

_SHARED: Final = ("sentAt", "integrations", "context")
_Members = dict[str, tuple[Any, str]]
"""Name -> (value, the text it was written as)."""

_decode = json.JSONDecoder().raw_decode
_space = re.compile(r"[ \t\r\n]*").match


def events_of(line: bytes | Oversized) -> Sequence[bytes | Oversized]:
    """The events in one line, which is usually the line itself. Never raises; an empty batch holds none."""
    if isinstance(line, Oversized) or b'"batch"' not in line or len(line) > BATCH_BYTES:
        return (line,)
    try:
        members = _members(line.decode())
    except (ValueError, RecursionError, IndexError):
        return (line,)
    batch = members.get("batch")
    if batch is None or "type" in members or not isinstance(batch[0], list):
        return (line,)
    shared: _Members = {name: members[name] for name in _SHARED if name in members and members[name][0] is not None}
    return [_filled(value, text, shared) for value, text in _items(batch[1])]


def _members(text: str) -> _Members:
    """The members of an object. A repeated one raises ValueError."""
    members: _Members = {}
    at = _after(text, _skip(text, 0), "{")
    while text[at] != "}":
        name, at = _decode(text, at)
        at = _skip(text, _after(text, _skip(text, at), ":"))
        value, end = _decode(text, at)
        if not isinstance(name, str) or name in members:
            raise ValueError("not an object with distinct names")
        members[name] = (value, text[at:end])
        at = _next(text, end, "}")
    if _skip(text, at + 1) != len(text):
        raise ValueError("text after the object")
    return members


def _items(text: str) -> list[tuple[Any, str]]:
    items: list[tuple[Any, str]] = []
    at = _skip(text, 1)
    while text[at] != "]":
        value, end = _decode(text, at)
        items.append((value, text[at:end]))
        at = _next(text, end, "]")
    return items


def _skip(text: str, at: int) -> int:
    found = _space(text, at)
    return found.end() if found else at


def _after(text: str, at: int, mark: str) -> int:
    if text[at] != mark:
        raise ValueError(f"no {mark} at character {at}")
    return _skip(text, at + 1)


def _next(text: str, end: int, close: str) -> int:
    """Where the next member begins, or where `close` stands."""
    at = _skip(text, end)
    if text[at] == close:
        return at
    at = _after(text, at, ",")
    if text[at] == close:
        raise ValueError("a comma before the end")
    return at


def _filled(value: Any, text: str, shared: _Members) -> bytes:
    if not isinstance(value, dict):
        return _bytes(text)
    missing = [name for name in shared if name not in value]
    if "context" in shared and isinstance(value.get("context"), dict) and isinstance(shared["context"][0], dict):
        both = shared["context"][0] | value["context"]
        if both != value["context"] and damage.find(_bytes(text)) is None:
            value["context"] = both
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if missing:
        additions = ",".join(f'"{name}":{shared[name][1]}' for name in missing)
        text = "{" + additions + ("," if value else "") + text[1:]
    return _bytes(text)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")

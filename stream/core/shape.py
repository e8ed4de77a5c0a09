"""Whether a decoded message holds what its fields promise. Topics are open to any producer; rows and sinks are not.

Pure. It looks at types and ranges only: whether an event makes sense was decided when it was accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from schemas.events import EventType
from schemas.messages import Dropped, Event, Internal, Message, Piece, Rejected, Request, SourceMark

FOREVER = 1 << 60
"""No instant and no count is larger: it must fit a row."""
OBJECTS = ("context", "properties", "traits")
"""What in a body is an object wherever it is there."""

Check = Callable[[Any], bool]
_TYPES = frozenset(get_args(EventType))


def flaw(message: Message) -> str:
    """The first field whose value is of the wrong type; empty where there is none."""
    if type(message) is Event and _is_ordinary(message):
        return ""
    for field, check in _CHECKS[type(message)]:
        if not check(getattr(message, field)):
            return field
    return ""


def _is_ordinary(event: Event) -> bool:
    """What nearly every event is, at a quarter of the cost of the table below. Never wrong when it says yes."""
    keys, message_id, type_, name, channel, occurred_at, received_at, now, source, previous, dropped, body, *rest = (
        event
    )
    for key in keys:
        if key.__class__ is not str or ":" not in key or "\0" in key:
            return False
    return (
        message_id.__class__ is type_.__class__ is name.__class__ is channel.__class__ is source.__class__ is str
        and rest[0].__class__ is int
        and 0 <= rest[0] < FOREVER
        and occurred_at.__class__ is received_at.__class__ is now.__class__ is int
        and 0 <= occurred_at <= received_at <= now < FOREVER
        and previous is None
        and not dropped
        and bool(keys)
        and "\0" not in message_id
        and type_ in _TYPES
        and body.__class__ is dict
        and body.get("context").__class__ is dict
        and body.get("properties").__class__ is dict
        and body.get("traits") is None
    )


def _text(value: Any) -> bool:
    return type(value) is str


def _key(value: Any) -> bool:
    return type(value) is str and ":" in value and "\0" not in value


def _keys(values: Any) -> bool:
    return all(map(_key, values))


def _message_id(value: Any) -> bool:
    return type(value) is str and "\0" not in value


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value < FOREVER


def _dropped(values: Any) -> bool:
    return all(type(each) is Dropped and all(map(_text, each)) for each in values)


def _body(value: Any) -> bool:
    return type(value) is dict and all(value.get(name) is None or type(value[name]) is dict for name in OBJECTS)


def _pieces(values: Any) -> bool:
    return all(type(each) is Piece and _key(each.member) and _rows(each.rows) for each in values)


def _rows(values: Any) -> bool:
    return all(type(name) is str and name and type(row) is str for name, row in values)


_BY_TYPE: Mapping[str, Check] = {
    "str": _text,
    "str | None": lambda value: value is None or type(value) is str,
    "int": _number,
    "bool": lambda value: type(value) is bool,
    "bytes": lambda value: type(value) is bytes,
    "bytes | None": lambda value: value is None or type(value) is bytes,
    "tuple[str, ...]": _keys,
    "tuple[tuple[str, ...], ...]": lambda values: all(map(_keys, values)),
    "tuple[int, ...]": lambda values: type(values) is tuple and all(map(_number, values)),
    "tuple[Dropped, ...]": _dropped,
    "tuple[Piece, ...]": _pieces,
    "Mapping[str, Any]": _body,
    "Event": lambda value: type(value) is Event and not flaw(value),
}
_BY_NAME: Mapping[str, Check] = {
    "identifiers": lambda values: bool(values) and _keys(values),
    "type": lambda value: type(value) is str and value in _TYPES,
    "message_id": _message_id,
    "a": lambda value: _keys(value) if type(value) is tuple else _key(value),
    "b": lambda value: _keys(value) if type(value) is tuple else _key(value),
    **dict.fromkeys(("row", "to", "user", "strongest", "key"), _key),
}
_CHECKS: Mapping[type, tuple[tuple[str, Check], ...]] = {
    kind: tuple(
        (field, _BY_NAME.get(field) or _BY_TYPE[annotation.__forward_arg__])
        for field, annotation in kind.__annotations__.items()
    )
    for kind in (Event, Rejected, SourceMark, *get_args(Internal), *get_args(Request))
}

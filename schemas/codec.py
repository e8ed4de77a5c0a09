"""One message, one JSON line, and back.

A line is an object with the version `v`, the kind `k` and the message's fields. Later versions read earlier lines.
`decode(encode(m)) == m` for every message; bytes travel as base64.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

import orjson

from schemas import messages as m
from schemas.errors import RowError

VERSION = 1

_KINDS: dict[str, type[Any]] = {
    "event": m.Event,
    "forward": m.Forward,
    "add": m.Add,
    "admit": m.Admit,
    "absorb": m.Absorb,
    "redirect": m.Redirect,
    "root": m.Root,
    "release": m.Release,
    "previous": m.Previous,
    "wake": m.Wake,
    "link": m.Link,
    "split": m.Split,
    "trigger": m.Trigger,
    "decision": m.RuleDecision,
    "identity": m.IdentityDecision,
    "rejected": m.Rejected,
}
_NAMES = {type_: name for name, type_ in _KINDS.items()}


def event_line(
    identifiers: tuple[str, ...],
    message_id: str,
    type_: str,
    name: str,
    channel: str | None,
    occurred_at: int,
    received_at: int,
    now: int,
    source: str,
    previous: str | None,
    dropped: tuple[m.Dropped, ...],
    body: bytes,
) -> bytes:
    """The line of an event whose body is encoded already: the hot half of `encode`."""
    return orjson.dumps(
        {
            "v": VERSION,
            "k": "event",
            "identifiers": identifiers,
            "message_id": message_id,
            "type": type_,
            "name": name,
            "channel": channel,
            "occurred_at": occurred_at,
            "received_at": received_at,
            "now": now,
            "source": source,
            "previous": previous,
            "dropped": [tuple(each) for each in dropped],
            "body": orjson.Fragment(body),
        }
    )


def with_now(line: bytes, old: int, new: int) -> bytes:
    """An event's line with another `now`. Inside a JSON text the quotes would be escaped, so only the field matches."""
    return line.replace(b'"now":%d,' % old, b'"now":%d,' % new, 1)


def encode(message: m.Message) -> bytes:
    """The line of any message, without a line end."""
    if isinstance(message, m.Event):
        return message.line
    fields: dict[str, Any] = {"v": VERSION, "k": _NAMES[type(message)], **message._asdict()}
    if isinstance(message, m.Forward):
        fields["event"] = orjson.Fragment(message.event.line)
    elif isinstance(message, m.Add):
        fields["pieces"] = [tuple(piece) for piece in message.pieces]
    elif isinstance(message, m.Rejected):
        fields["payload"] = base64.b64encode(message.payload).decode()
    return orjson.dumps(fields)


def decode(line: bytes) -> m.Message:
    """The message a line holds. Raises RowError when it is damaged or of a newer version."""
    try:
        fields = orjson.loads(line)
        version, kind = fields["v"], fields["k"]
        if version > VERSION:
            raise RowError(
                f"A record of version {version} was found; this Rapport reads up to {VERSION}. Upgrade Rapport."
            )
        return _build(kind, fields, line)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise RowError(f"A stored record cannot be read ({error}). Run `rapport doctor`.") from error


def _build(kind: str, fields: Mapping[str, Any], line: bytes) -> m.Message:
    if kind == "event":
        return m.Event(
            tuple(fields["identifiers"]),
            fields["message_id"],
            fields["type"],
            fields["name"],
            fields["channel"],
            fields["occurred_at"],
            fields["received_at"],
            fields["now"],
            fields["source"],
            fields["previous"],
            tuple(m.Dropped(*each) for each in fields["dropped"]),
            fields["body"],
            line,
        )
    if kind == "forward":
        event = fields["event"]
        return m.Forward(fields["to"], cast(m.Event, _build("event", event, orjson.dumps(event))), fields["hops"])
    if kind == "add":
        pieces = tuple(m.Piece(member, tuple((name, row) for name, row in rows)) for member, rows in fields["pieces"])
        return m.Add(fields["to"], pieces, fields["hops"], fields["missed_before"], fields["more"])
    type_ = _KINDS[kind]
    values = {name: fields[name] for name in type_._fields}
    if kind == "rejected":
        values["payload"] = base64.b64decode(values["payload"])
    for name in ("members", "moved") if kind != "split" else ("a", "b"):
        if name in values:
            values[name] = tuple(values[name])
    return cast(m.Message, type_(**values))

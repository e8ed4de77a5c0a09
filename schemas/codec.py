"""One message, one JSON line, and back.

A line is an object with the version `v`, the kind `k` and the message's fields. Later versions read earlier lines:
a field that came later has a default.
`decode(encode(m)) == m` for every message, but that a decoded event knows its line; bytes travel as base64.
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
    "add": m.Transfer,
    "admit": m.Admit,
    "absorb": m.Absorb,
    "redirect": m.Redirect,
    "root": m.MakeRoot,
    "release": m.Release,
    "previous": m.AliasLookup,
    "wake": m.Wake,
    "source": m.SourceMark,
    "link": m.Link,
    "split": m.Split,
    "merge": m.Merge,
    "unsplit": m.Unsplit,
    "quarantine": m.Quarantine,
    "end-quarantine": m.EndQuarantine,
    "trigger": m.Trigger,
    "decision": m.RuleDecision,
    "identity": m.IdentityDecision,
    "rejected": m.Rejected,
}
_NAMES = {type_: name for name, type_ in _KINDS.items()}


def encode(message: m.Message) -> bytes:
    """The line of any message, without a line end."""
    if isinstance(message, m.Event):
        return message.line or _event_line(message)
    fields: dict[str, Any] = {"v": VERSION, "k": _NAMES[type(message)], **message._asdict()}
    if isinstance(message, m.Forward):
        fields["event"] = orjson.Fragment(encode(message.event))
    elif isinstance(message, m.Transfer):
        fields["pieces"] = [tuple(piece) for piece in message.pieces]
    elif isinstance(message, m.Rejected):
        fields["payload"] = base64.b64encode(message.payload).decode()
    return orjson.dumps(fields)


def _event_line(event: m.Event) -> bytes:
    fields = {"v": VERSION, "k": "event", **event._asdict(), "dropped": [tuple(each) for each in event.dropped]}
    del fields["line"]
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
            fields.get("sequence", 0),
            line,
        )
    if kind == "forward":
        event = fields["event"]
        return m.Forward(fields["to"], cast(m.Event, _build("event", event, orjson.dumps(event))), fields["hops"])
    if kind == "add":
        pieces = tuple(m.Piece(member, tuple((name, row) for name, row in rows)) for member, rows in fields["pieces"])
        return m.Transfer(
            fields["to"], pieces, fields["hops"], fields["missed_before"], fields["more"], fields.get("history_by", 0)
        )
    type_ = _KINDS[kind]
    values = {name: fields[name] for name in type_._fields if name in fields or name not in type_._field_defaults}
    if kind == "rejected":
        values["payload"] = base64.b64decode(values["payload"])
    if kind == "quarantine":
        values["groups"] = tuple(map(tuple, values["groups"]))
    for name in ("members", "moved", "without") if kind != "split" else ("a", "b"):
        if name in values:
            values[name] = tuple(values[name])
    return cast(m.Message, type_(**values))

"""One customer as the rows tell it: the merged view of all components at a root.

Reads rows, changes nothing. Times come out as ISO 8601 text, money as decimal text.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from profiles.facets import RECENT_ENTRIES, stamp
from profiles.kinds import ORDERS, TRAITS, Kind
from profiles.orders import Order, told
from profiles.row import Row
from profiles.rows import Rows
from profiles.totals import Line, Totals
from schemas import money
from schemas.instant import render
from schemas.keys import profile_id, split_key


def root_of(rows: Rows, key: str) -> Row | None:
    """The root an identifier belongs to today, or None where it was never seen."""
    row = rows.find(key)
    while row is not None and row.to is not None:
        row = rows.find(row.to)
    return row


def profile(rows: Rows, root: Row) -> dict[str, Any]:
    """Everything known about one person, ready for JSON.

    `{"profile_id", "identifiers": [{"type", "value", "first_seen", "last_seen"}], "traits": {name: value},
    "trait_sources": {name: {"at", "source", "message_id"}}, "first_seen", "last_seen", "event_count",
    "events": {name: {"count", "first_at", "last_at"}}, "channels": {name: {"count", "last_at"}}, "orders": {...},
    "devices", "campaigns", "groups", "recent": [newest first], "profile_ids": [...], "history_trimmed"}`
    """
    components = dict(rows.members(root))
    tails = {member: component.lines() for member, component in components.items()}
    parts = {member: component.totals(tails[member], root.members) for member, component in components.items()}
    total = Totals()
    for part in parts.values():
        total.merge(part)
    known = _traits(rows, root)
    return {
        "profile_id": profile_id(root.key),
        "identifiers": _identifiers(root, parts),
        "traits": {name: value for name, (value, *_) in known.items()},
        "trait_sources": {
            name: {"at": render(at), "source": source, "message_id": message_id}
            for name, (_, at, message_id, source, *_) in known.items()
        },
        "first_seen": _shown(total.first),
        "last_seen": _shown(total.last),
        "event_count": total.count,
        "events": {
            name: {"count": count, "first_at": render(first), "last_at": render(last)}
            for name, (count, first, last) in sorted(total.names.items())
        },
        "channels": {
            name: {"count": count, "last_at": render(last)} for name, (count, last) in sorted(total.channels.items())
        },
        "orders": _orders(rows, root),
        "devices": _newest(total.devices, "device"),
        "campaigns": _newest(total.campaigns, "campaign"),
        "groups": _newest(total.groups, "group"),
        "recent": _recent(rows, root, tails),
        "profile_ids": [profile_id(key) for key in (root.key, *sorted(root.members))],
        "history_trimmed": sum(component.trimmed for component in components.values()),
    }


def _shown(instant: int) -> str | None:
    return render(instant) if instant else None


def _identifiers(root: Row, parts: Mapping[str, Totals]) -> list[dict[str, Any]]:
    spans: dict[str, list[int]] = {}
    for member, part in parts.items():
        own = {member: [part.first, part.last]} if part.count else {}
        for key, (first, last) in [*part.sighted.items(), *own.items()]:
            span = spans.setdefault(key, [first, last])
            span[:] = [min(span[0], first), max(span[1], last)]
    shown = []
    for key in (root.key, *sorted(root.members)):
        type_, value = split_key(key)
        first, last = spans.get(key, (0, 0))
        shown.append({"type": type_, "value": value, "first_seen": _shown(first), "last_seen": _shown(last)})
    return shown


def _merged(rows: Rows, root: Row, kind: Kind) -> dict[bytes, bytes]:
    """The rows of a kind beside all components as one component would have them, by the end of their keys."""
    merged: dict[bytes, bytes] = {}
    for member in (root.key, *sorted(root.parts)):
        for end, row in rows.rows_of(kind, root.key, member):
            merged[end] = kind.merge(merged[end], row) if end in merged else row
    return merged


def traits(rows: Rows, root: Row) -> dict[str, Any]:
    """The newest value of each trait."""
    return {name: value for name, (value, *_) in _traits(rows, root).items()}


def _traits(rows: Rows, root: Row) -> dict[str, list[Any]]:
    merged = _merged(rows, root, TRAITS).get(b"")
    traits: dict[str, list[Any]] = orjson.loads(merged) if merged else {}
    return dict(sorted(traits.items()))


def _orders(rows: Rows, root: Row) -> dict[str, Any]:
    """`{"count", "revenue": {currency: gross}, "refunded": {currency: amount}, "unreadable", "last": [newest ten]}`.

    An amount that is not known is None, and in no sum.
    """
    count = unreadable = 0
    revenue: dict[str, Decimal] = {}
    refunded: dict[str, Decimal] = {}
    latest = []
    for end, row in _merged(rows, root, ORDERS).items():
        order_id, order = end.decode(), told(row)
        count += order.status != "unplaced"
        unreadable += order.unreadable
        unit = order.currency or ""
        if order.amount is not None:
            revenue[unit] = revenue.get(unit, money.ZERO) + order.amount
        for other, back in ((unit, order.refunded), *order.refunded_other.items()):
            refunded[other] = refunded.get(other, money.ZERO) + (back or money.ZERO)
        latest.append((order.at or 0, order_id, order))
    latest.sort(key=lambda each: each[:2], reverse=True)
    return {
        "count": count,
        "revenue": {unit: money.text(amount) for unit, amount in sorted(revenue.items())},
        "refunded": {unit: money.text(amount) for unit, amount in sorted(refunded.items()) if amount},
        "unreadable": unreadable,
        "last": [{"order_id": order_id, **_shown_order(order)} for _, order_id, order in latest[:10]],
    }


def _shown_order(order: Order) -> dict[str, Any]:
    return {
        **order._asdict(),
        "at": _shown(order.at or 0),
        "updated_at": _shown(order.updated_at or 0),
        "amount": None if order.amount is None else money.text(order.amount),
        "refunded": None if order.refunded is None else money.text(order.refunded),
        "refunded_other": {unit: money.text(amount) for unit, amount in order.refunded_other.items()},
    }


def _newest(values: dict[str, list[Any]], name: str) -> list[dict[str, Any]]:
    newest = sorted(values.items(), key=lambda item: (item[1][0], item[0]), reverse=True)
    return [{name: key, "last_at": render(at), **(details or {})} for key, (at, _, details) in newest]


def _recent(rows: Rows, root: Row, tails: Mapping[str, list[Line]]) -> list[dict[str, Any]]:
    entries = [(entry, member) for member, tail in tails.items() for entry in rows.settled(root, member) + tail]
    entries.sort(key=lambda pair: stamp(pair[0]), reverse=True)
    return [
        {
            "at": render(at),
            "message_id": message_id,
            "type": type_,
            "name": name,
            "channel": channel,
            "identifier": member,
        }
        for (at, message_id, type_, name, channel, *_), member in entries[:RECENT_ENTRIES]
    ]

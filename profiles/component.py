"""A component: what is known of a person through one identifier, and how events fold into it.

An event counts in exactly one component. Components merge by addition, minimum, maximum, newest and union, so any
order of arrival gives the same one, a merge of profiles moves components and a split moves them back. This module
never asks for the time and never touches a store.

An event costs one short line (`Component.note`): what lines say is added up (`Totals`) when enough have gathered, or
when somebody asks. A row that is read for the next event alone is thus neither decoded nor encoded as a whole.

Caps, each keeping the most recent by `occurred_at`: 200 event names (a name is cut to 128 characters), 128 identifiers
sighted, strangers before members, 20 devices, 20 campaigns, 50 groups; of all of them older halves go when they take
more than 32 KiB together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from schemas.messages import Event

NAMES = 200
NAME_LENGTH = 128
SIGHTED = 128
DEVICES = 20
CAMPAIGNS = 20
GROUPS = 50
TOTALS_CAP = 32 * 1024
TAIL = 16
"""Lines kept inside a component before they are settled: added up, and moved into a history row of their own."""
TAIL_BYTES = 12 * 1024
UNTOUCHED = b"[0,0,0]"
"""The first line of a component that no rule has seen anything in."""

Spans = dict[str, list[int]]
Newest = dict[str, list[Any]]
Signalled = tuple[int, str, list[Any]]
"""(occurred_at, message id, rule signals)"""
Line = list[Any]
"""[occurred_at, message id, type, name, channel, rule signals, other identifiers, {"device" | "campaign" | "group"}];
what is empty at the end is left out."""


class Component:
    """The lines of the newest events of one identifier, in order of arrival, and what earlier ones add up to."""

    __slots__ = ("extra", "forgotten", "pending", "recalled", "settled", "signals", "tail", "trimmed")

    def __init__(self) -> None:
        self.signals = 0
        """How many history entries carry rule signals; 0 spares the reading."""
        self.trimmed = 0
        """History entries that a rule might have wanted and that did not fit."""
        self.forgotten = 0
        """When the newest history entry with signals that is no longer kept occurred. What it closed must stay closed,
        so nothing that was armed by then is looked at any more."""
        self.extra: Sequence[Any] = ()
        self.settled = b""
        """The totals of all that is no longer in the tail, encoded; empty where there is nothing."""
        self.tail = b""
        """The lines of the newest events, each behind a line end."""
        self.pending = 0
        """How many they are."""
        self.recalled: list[Signalled] | None = None
        """The history entries with signals, once somebody has asked for them."""

    def encode(self) -> bytes:
        """For a row: what changes with every event, the totals and the tail, a line each."""
        hot = b"[%d,%d,%d]" % (self.signals, self.trimmed, self.forgotten)
        if self.extra:
            hot = orjson.dumps([self.signals, self.trimmed, self.forgotten, *self.extra])
        return b"%b\n%b%b" % (hot, self.settled, self.tail)

    @classmethod
    def of(cls, encoded: bytes) -> Component:
        """The component of a row. Fields that a later version appended are kept as they are."""
        self = cls.__new__(cls)
        hot, self.settled, *tail = encoded.split(b"\n", 2)
        if hot == UNTOUCHED:
            self.signals = self.trimmed = self.forgotten = 0
            self.extra = ()
        else:
            self.signals, self.trimmed, self.forgotten, *self.extra = orjson.loads(hot)
        self.tail = b"\n" + tail[0] if tail else b""
        self.pending = self.tail.count(b"\n")
        self.recalled = None
        return self

    def lines(self) -> list[Line]:
        """The tail, decoded in one go."""
        lines: list[Line] = orjson.loads(b"[%b]" % self.tail[1:].replace(b"\n", b","))
        return lines

    @property
    def full(self) -> bool:
        """Whether the tail should be settled."""
        return self.pending > TAIL or len(self.tail) > TAIL_BYTES

    def note(self, event: Event, signals: list[Any] | None) -> None:
        """Takes one event in."""
        self.tail = b"%b\n%b" % (self.tail, line_of(event, signals))
        self.pending += 1
        if signals:
            self.signals += 1
            if self.recalled is not None:
                self.recalled.append((event.occurred_at, event.message_id, signals))

    def totals(self, lines: Iterable[Line], members: Collection[str] = ()) -> Totals:
        """Everything added up; `lines` are its own. `members`, identifiers of the same person, stay sighted for as
        long as may be."""
        totals = Totals.of(self.settled)
        for line in lines:
            totals.fold(line, members)
        return totals

    def settle(self, members: Collection[str]) -> list[Line]:
        """Adds the tail up and gives it away."""
        lines = self.lines()
        self.settled = self.totals(lines, members).encode()
        self.tail, self.pending, self.recalled = b"", 0, None
        return lines

    def merge(self, other: Component) -> None:
        """Takes another component of the same identifier in. Commutative and associative."""
        if other.settled:
            totals = Totals.of(self.settled)
            totals.merge(Totals.of(other.settled))
            self.settled = totals.encode()
        self.signals += other.signals
        self.trimmed += other.trimmed
        self.forgotten = max(self.forgotten, other.forgotten)
        self.extra = self.extra or other.extra
        self.tail += other.tail
        self.pending += other.pending
        self.recalled = None


def line_of(event: Event, signals: list[Any] | None) -> bytes:
    """What a component keeps of an event (`Line`), encoded."""
    name = event.name
    if len(name) > NAME_LENGTH:
        name = name[:NAME_LENGTH]
    entry: tuple[Any, ...] = (event.occurred_at, event.message_id, event.type, name, event.channel)
    others, details = event.identifiers[1:], _details(event)
    if details:
        entry += (signals or (), others, details)
    elif others:
        entry += (signals or (), others)
    elif signals:
        entry += (signals,)
    return orjson.dumps(entry)


def _details(event: Event) -> dict[str, Any] | None:
    """What an event says of a device, a campaign and a group, as far as it is kept."""
    context = event.body.get("context")
    device = context.get("device") if context else None
    campaign = context.get("campaign") if context else None
    if not device and not campaign and event.type != "group":
        return None
    details: dict[str, Any] = {}
    if device:
        kept = {
            name: device[name]
            for name in ("type", "manufacturer", "model", "name")
            if isinstance(device.get(name), str)
        }
        name = device.get("id") or " ".join(kept.values())
        if name:
            details["device"] = (str(name)[:256], {field: value[:128] for field, value in kept.items()})
    if campaign:
        parts = [str(campaign[name])[:128] for name in ("source", "medium", "name") if campaign.get(name)]
        if parts:
            details["campaign"] = " / ".join(parts)
    if event.type == "group":
        details["group"] = str(event.body["groupId"])[:256]
    return details


class Totals:
    """Counts, spans and the newest of what the events of one identifier said: plain values that JSON can carry."""

    __slots__ = ("campaigns", "channels", "count", "devices", "extra", "first", "groups", "last", "names", "sighted")

    def __init__(self) -> None:
        self.count = 0
        self.first = 0
        self.last = 0
        self.names: Spans = {}
        """Event name -> [count, first, last]."""
        self.channels: Spans = {}
        """Channel -> [count, last]."""
        self.sighted: Spans = {}
        """Key of another identifier named by these events -> [first, last]."""
        self.devices: Newest = {}
        self.campaigns: Newest = {}
        self.groups: Newest = {}
        """Name -> [last, message id, details]."""
        self.extra: list[Any] = []

    def fold(self, line: Line, members: Collection[str] = ()) -> None:
        """Counts one event in."""
        at, message_id, _, name, channel, *rest = line
        if self.count == 0:
            self.first = self.last = at
        elif at > self.last:
            self.last = at
        elif at < self.first:
            self.first = at
        self.count += 1
        counted = self.names.get(name)
        if counted is None:
            self.names[name] = [1, at, at]
            if len(self.names) > NAMES:
                keep_newest(self.names, NAMES, 2)
        else:
            counted[:] = [counted[0] + 1, min(counted[1], at), max(counted[2], at)]
        if channel is not None:
            used = self.channels.setdefault(channel, [0, at])
            used[:] = [used[0] + 1, max(used[1], at)]
        if len(rest) > 1:
            self._sight(rest[1], at, members)
        if len(rest) > 2:
            self._note(rest[2], at, message_id)

    def _sight(self, others: Collection[str], at: int, members: Collection[str]) -> None:
        sighted = self.sighted
        for key in others:
            span = sighted.get(key)
            if span is None:
                sighted[key] = [at, at]
                if len(sighted) > SIGHTED:
                    strangers = {known: span for known, span in sighted.items() if known not in members}
                    del sighted[min(strangers or sighted, key=lambda known: (sighted[known][1], known))]
            else:
                span[:] = [min(span[0], at), max(span[1], at)]

    def _note(self, details: Mapping[str, Any], at: int, message_id: str) -> None:
        if device := details.get("device"):
            _newer(self.devices, device[0], at, message_id, device[1], DEVICES)
        if campaign := details.get("campaign"):
            _newer(self.campaigns, campaign, at, message_id, None, CAMPAIGNS)
        if "group" in details:
            _newer(self.groups, details["group"], at, message_id, None, GROUPS)

    def merge(self, other: Totals) -> None:
        """Takes the totals of other events in. Commutative and associative."""
        if other.count:
            self.first = min(self.first, other.first) if self.count else other.first
            self.last = max(self.last, other.last)
            self.count += other.count
        for name, (count, first, last) in other.names.items():
            mine = self.names.setdefault(name, [0, first, last])
            mine[:] = [mine[0] + count, min(mine[1], first), max(mine[2], last)]
        for name, (count, last) in other.channels.items():
            mine = self.channels.setdefault(name, [0, last])
            mine[:] = [mine[0] + count, max(mine[1], last)]
        for name, (first, last) in other.sighted.items():
            mine = self.sighted.setdefault(name, [first, last])
            mine[:] = [min(mine[0], first), max(mine[1], last)]
        for newest, theirs, cap in (
            (self.devices, other.devices, DEVICES),
            (self.campaigns, other.campaigns, CAMPAIGNS),
            (self.groups, other.groups, GROUPS),
        ):
            for name, (at, message_id, details) in theirs.items():
                _newer(newest, name, at, message_id, details, cap)
        keep_newest(self.names, NAMES, 2)
        keep_newest(self.sighted, SIGHTED, 1)
        self.extra = self.extra or other.extra

    def encode(self) -> bytes:
        """For a row. What takes too much room first loses older halves of devices, campaigns, groups, identifiers
        sighted and event names, in this order."""
        encoded = orjson.dumps(self.state())
        for values, last in (
            (self.devices, 0),
            (self.campaigns, 0),
            (self.groups, 0),
            (self.sighted, 1),
            (self.names, 2),
        ):
            while values and len(encoded) > TOTALS_CAP:
                keep_newest(values, len(values) // 2, last)
                encoded = orjson.dumps(self.state())
        return kept(encoded)

    def state(self) -> list[Any]:
        return [
            self.count,
            self.first,
            self.last,
            self.names,
            self.channels,
            self.sighted,
            self.devices,
            self.campaigns,
            self.groups,
            *self.extra,
        ]

    @classmethod
    def of(cls, encoded: bytes) -> Totals:
        """The totals a row holds. Fields that a later version appended are kept as they are."""
        self = cls()
        if encoded:
            (
                self.count,
                self.first,
                self.last,
                self.names,
                self.channels,
                self.sighted,
                self.devices,
                self.campaigns,
                self.groups,
                *self.extra,
            ) = orjson.loads(encoded)
        return self


def kept(encoded: bytes) -> bytes:
    """A copy to be held on to: what orjson returns keeps a buffer of 4 KiB alive, however short it is."""
    return bytes(memoryview(encoded))


def _newer(newest: Newest, name: str, at: int, message_id: str, details: Any, cap: int) -> None:
    known = newest.get(name)
    if known is None:
        newest[name] = [at, message_id, details]
        if len(newest) > cap:
            keep_newest(newest, cap, 0)
    elif (at, message_id) > (known[0], known[1]):
        known[:] = [at, message_id, details]


def keep_newest(values: Spans | Newest, cap: int, last: int) -> None:
    """Drops the entries whose element `last` lies furthest back until `cap` are left; ties by name."""
    while len(values) > cap:
        del values[min(values, key=lambda name: (values[name][last], name))]

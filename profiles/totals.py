"""What all events of one identifier add up to, and how an event's line is counted in. Pure.

Totals merge by addition, minimum, maximum and newest, so any order of arrival gives the same ones. Caps, each keeping
the most recent by `occurred_at`: 200 event names (a name is cut to 128 characters), 128 identifiers sighted, strangers
before members, 20 devices, 20 campaigns, 50 groups; of all of them older halves go when they take more than 32 KiB
together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson

MAX_NAMES = 200
MAX_SIGHTED = 128
MAX_DEVICES = 20
MAX_CAMPAIGNS = 20
MAX_GROUPS = 50
MAX_TOTALS_BYTES = 32 * 1024

Spans = dict[str, list[int]]
Newest = dict[str, list[Any]]
Line = list[Any]
"""[occurred_at, message id, type, name, channel, sequence, rule signals, other identifiers, {"device" | "campaign" |
"group"}]; what is empty at the end is left out. `lines_of` decodes them."""


def lines_of(encoded: bytes) -> list[Line]:
    """The lines, or history entries, of a JSON array. Those stored by 0.1.0 have no sequence: it is 0."""
    lines: list[Line] = orjson.loads(encoded)
    for line in lines:
        if len(line) == 5 or line[5].__class__ is list:
            line.insert(5, 0)
    return lines


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
        at, message_id, _, name, channel, _, *rest = line
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
            if len(self.names) > MAX_NAMES:
                keep_newest(self.names, MAX_NAMES, 2)
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
                if len(sighted) > MAX_SIGHTED:
                    strangers = {known: span for known, span in sighted.items() if known not in members}
                    del sighted[min(strangers or sighted, key=lambda known: (sighted[known][1], known))]
            else:
                span[:] = [min(span[0], at), max(span[1], at)]

    def _note(self, details: Mapping[str, Any], at: int, message_id: str) -> None:
        if device := details.get("device"):
            _newer(self.devices, device[0], at, message_id, device[1], MAX_DEVICES)
        if campaign := details.get("campaign"):
            _newer(self.campaigns, campaign, at, message_id, None, MAX_CAMPAIGNS)
        if "group" in details:
            _newer(self.groups, details["group"], at, message_id, None, MAX_GROUPS)

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
            (self.devices, other.devices, MAX_DEVICES),
            (self.campaigns, other.campaigns, MAX_CAMPAIGNS),
            (self.groups, other.groups, MAX_GROUPS),
        ):
            for name, (at, message_id, details) in theirs.items():
                _newer(newest, name, at, message_id, details, cap)
        keep_newest(self.names, MAX_NAMES, 2)
        keep_newest(self.sighted, MAX_SIGHTED, 1)
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
            while values and len(encoded) > MAX_TOTALS_BYTES:
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

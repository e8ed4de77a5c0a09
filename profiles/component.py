"""A component: what is known of a person through one identifier, and how events fold into it.

An event counts in exactly one component. Components merge by addition, minimum, maximum, newest and union, so any
order of arrival gives the same one, a merge of profiles moves components and a split moves them back. This module
never asks for the time and never touches a store.

Caps, each keeping the most recent by `occurred_at`: 200 event names (a name is cut to 128 characters), 128 identifiers
sighted, strangers before members, 20 devices, 20 campaigns, 50 groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson

from schemas.messages import Event

NAMES = 200
NAME_LENGTH = 128
SIGHTED = 128
DEVICES = 20
CAMPAIGNS = 20
GROUPS = 50

Spans = dict[str, list[int]]
Newest = dict[str, list[Any]]
Signalled = tuple[int, str, list[Any]]
"""(occurred_at, message id, rule signals)"""


class Component:
    """Counts, spans and the latest history lines of one identifier.

    `tail` holds the newest history, one encoded entry a line, in order of arrival; what came before it is settled in a
    row of its own (`history`). Everything else is a plain value that JSON can carry.
    """

    __slots__ = (
        "campaigns",
        "channels",
        "count",
        "devices",
        "extra",
        "first",
        "forgotten",
        "groups",
        "last",
        "names",
        "recalled",
        "sighted",
        "signals",
        "tail",
        "trimmed",
    )

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
        self.signals = 0
        """How many history entries carry rule signals; 0 spares the reading."""
        self.trimmed = 0
        """History entries that a rule might have wanted and that did not fit."""
        self.forgotten = 0
        """When the newest history entry with signals that is no longer kept occurred. What it closed must stay closed,
        so nothing that was armed by then is looked at any more."""
        self.extra: list[Any] = []
        self.tail: list[bytes] = []
        self.recalled: list[Signalled] | None = None
        """The history entries with signals, once somebody has asked for them."""

    def fold(self, event: Event, signals: list[Any] | None, members: Collection[str] = ()) -> None:
        """Counts one event in. `members` are identifiers of the same person: they are sighted for as long as may be."""
        at = event.occurred_at
        if self.count == 0:
            self.first = self.last = at
        elif at > self.last:
            self.last = at
        elif at < self.first:
            self.first = at
        self.count += 1
        name = event.name if len(event.name) <= NAME_LENGTH else event.name[:NAME_LENGTH]
        counted = self.names.get(name)
        if counted is None:
            self.names[name] = [1, at, at]
            if len(self.names) > NAMES:
                keep_newest(self.names, NAMES, 2)
        else:
            counted[0] += 1
            if at > counted[2]:
                counted[2] = at
            elif at < counted[1]:
                counted[1] = at
        if event.channel is not None:
            used = self.channels.get(event.channel)
            if used is None:
                self.channels[event.channel] = [1, at]
            else:
                used[0] += 1
                if at > used[1]:
                    used[1] = at
        if len(event.identifiers) > 1:
            self._sight(event.identifiers, at, members)
        context = event.body.get("context")
        if context:
            self._note_context(context, at, event.message_id)
        if event.type == "group":
            _newer(self.groups, str(event.body["groupId"])[:256], at, event.message_id, None, GROUPS)
        entry: tuple[Any, ...]
        if signals:
            self.signals += 1
            entry = (at, event.message_id, event.type, name, event.channel, signals)
            if self.recalled is not None:
                self.recalled.append((at, event.message_id, signals))
        else:
            entry = (at, event.message_id, event.type, name, event.channel)
        self.tail.append(orjson.dumps(entry))

    def _sight(self, identifiers: tuple[str, ...], at: int, members: Collection[str]) -> None:
        sighted = self.sighted
        for key in identifiers[1:]:
            span = sighted.get(key)
            if span is None:
                sighted[key] = [at, at]
                if len(sighted) > SIGHTED:
                    strangers = {known: span for known, span in sighted.items() if known not in members}
                    del sighted[min(strangers or sighted, key=lambda known: (sighted[known][1], known))]
            elif at > span[1]:
                span[1] = at
            elif at < span[0]:
                span[0] = at

    def _note_context(self, context: Mapping[str, Any], at: int, message_id: str) -> None:
        device = context.get("device")
        if device:
            details = {
                name: device[name]
                for name in ("type", "manufacturer", "model", "name")
                if isinstance(device.get(name), str)
            }
            name = device.get("id") or " ".join(details.values())
            if name:
                _newer(self.devices, str(name)[:256], at, message_id, {k: v[:128] for k, v in details.items()}, DEVICES)
        campaign = context.get("campaign")
        if campaign:
            parts = [str(campaign[name])[:128] for name in ("source", "medium", "name") if campaign.get(name)]
            if parts:
                _newer(self.campaigns, " / ".join(parts), at, message_id, None, CAMPAIGNS)

    def merge(self, other: Component) -> None:
        """Takes another component of the same identifier in. Commutative and associative."""
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
        self.signals += other.signals
        self.trimmed += other.trimmed
        self.forgotten = max(self.forgotten, other.forgotten)
        self.extra = self.extra or other.extra
        self.tail += other.tail
        self.recalled = None

    def size(self) -> int:
        """Bytes it takes in a row."""
        return len(orjson.dumps(self.state())) + sum(len(line) + 1 for line in self.tail)

    def shrink(self, size: int) -> None:
        """Forgets older halves of devices, campaigns, groups, identifiers sighted and event names, until it fits."""
        for values, last in (
            (self.devices, 0),
            (self.campaigns, 0),
            (self.groups, 0),
            (self.sighted, 1),
            (self.names, 2),
        ):
            while values and self.size() > size:
                keep_newest(values, len(values) // 2, last)

    def state(self) -> list[Any]:
        """Everything but the tail, for a row."""
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
            self.signals,
            self.trimmed,
            self.forgotten,
            *self.extra,
        ]

    @classmethod
    def of(cls, state: list[Any], tail: Iterable[bytes]) -> Component:
        """The component a row holds. Fields that a later version appended are kept as they are."""
        self = cls.__new__(cls)
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
            self.signals,
            self.trimmed,
            self.forgotten,
            *self.extra,
        ) = state
        self.tail = list(tail)
        self.recalled = None
        return self


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

"""A component: what is known of a person through one identifier, and how events fold into it.

An event counts in exactly one component. Components merge by addition, minimum, maximum, newest and union, so any
order of arrival gives the same one, a merge of profiles moves components and a split moves them back. This module
never asks for the time and never touches a store.

An event costs one short line (`Component.note`): what lines say is added up (`Totals`) when enough have gathered, or
when somebody asks. A row that is read for the next event alone is thus neither decoded nor encoded as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from profiles.layout import versioned
from profiles.totals import Line, Totals, lines_of
from schemas.messages import Event

LAYOUT = 2
"""Since 2 lines have a sequence."""
MAX_NAME_LENGTH = 128
MAX_TAIL_LINES = 16
"""Lines kept inside a component before they are settled: added up, and moved into a history row of their own."""
MAX_TAIL_BYTES = 12 * 1024
UNTOUCHED = b"[0,0,0]"
"""The first line of a component that no rule has seen anything in."""

Signalled = tuple[int, int, str, list[Any]]
"""(occurred_at, sequence, message id, rule signals)"""


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
        return lines_of(b"[%b]" % self.tail[1:].replace(b"\n", b","))

    @property
    def full(self) -> bool:
        """Whether the tail should be settled."""
        return self.pending > MAX_TAIL_LINES or len(self.tail) > MAX_TAIL_BYTES

    def note(self, event: Event, signals: list[Any] | None) -> None:
        """Takes one event in."""
        self.tail = b"%b\n%b" % (self.tail, line_of(event, signals))
        self.pending += 1
        if signals:
            self.signals += 1
            if self.recalled is not None:
                self.recalled.append((event.occurred_at, event.sequence, event.message_id, signals))

    def totals(self, lines: Iterable[Line], members: Collection[str] = ()) -> Totals:
        """Everything added up; `lines` are its own. `members`, identifiers of the same person, stay sighted for as
        long as may be."""
        totals = Totals.of(self.settled)
        for line in lines:
            totals.fold(line, members)
        return totals

    def settle(self, lines: Iterable[Line], members: Collection[str]) -> None:
        """Adds its own lines up and lets go of them."""
        self.settled = self.totals(lines, members).encode()
        self.tail, self.pending, self.recalled = b"", 0, None

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


def encode_component(component: Component) -> bytes:
    """A component's row, where it is not its identifier's own; a line with the version of the layout comes first."""
    return b"[%d]\n%b" % (LAYOUT, component.encode())


def decode_component(stored: bytes) -> Component:
    """Raises RowError where a later version stored it."""
    head, _, encoded = stored.partition(b"\n")
    versioned(head, LAYOUT)
    return Component.of(encoded)


def line_of(event: Event, signals: list[Any] | None) -> bytes:
    """What a component keeps of an event (`Line`), encoded."""
    name = event.name
    if len(name) > MAX_NAME_LENGTH:
        name = name[:MAX_NAME_LENGTH]
    entry: tuple[Any, ...] = (event.occurred_at, event.message_id, event.type, name, event.channel, event.sequence)
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

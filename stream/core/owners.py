"""Whoever owns a partition: the real steps around the rows it opened. The simulator and the Kafka lane run this code.

A step takes some lines of a record and never raises for what they hold: one that is no message, or no message of this
topic, ends in `rejected` with its topic, partition and offset. Should a well-formed line still make a step fail, its
owner is thrown away with everything since the last commit, and the same records are taken again without that line
(`refuse`). No clock, broker or disk here.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple, cast, get_args

from profiles.linker import Linker
from profiles.rows import Rows, Store
from schemas import codec
from schemas.errors import RowError
from schemas.keys import partition_of
from schemas.messages import Event, Internal, Message, Rejected, Request, Wake
from schemas.rejection import CODES, reject
from stream.core.home import Effects, Home
from stream.core.shape import flaw

LINKS = "links"
KINDS: Mapping[str, tuple[type, ...]] = {
    "events": (Event, Rejected),
    "internal": get_args(Internal),
    LINKS: get_args(Request),
}
"""What a topic may hold."""
_FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a step raises for values of the wrong type or shape. What a store raises is none of these."""

LINES = 16
"""Of a record that are stepped in one go."""

Sent = tuple[str, Message]
"""The log a message goes to (`internal/3`, `links`), and the message."""


class Origin(NamedTuple):
    """Where a record lay."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


class Part(NamedTuple):
    """Consecutive lines of a record."""

    first: int
    """The number of the first one."""
    lines: list[bytes]


class Unreadable(Exception):
    """A line that makes a step fail, by its number in the record."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class HomeLane:
    """An owner of a partition: the real step over the rows it opened, and a heap of wakes."""

    def __init__(self, home: Home, rows: Rows, store: Store, partition: int = 0, partitions: int = 1) -> None:
        self._home = home
        self._rows = rows
        self._partition = partition
        self._partitions = partitions
        self._wakes = [(int.from_bytes(key[1:9], "big"), key[9:].decode()) for key, _ in store.scan(b"w")]
        heapq.heapify(self._wakes)

    def step(self, part: Part, now: int, origin: Origin, refuse: Container[int] = ()) -> tuple[Effects, list[Sent]]:
        """Takes some lines of a record; gives what they did and what is to be sent.

        Lines whose numbers are in `refuse` are refused unread. Raises Unreadable where one makes the step fail: throw
        this owner away then; and RowError where a stored row cannot be read.
        """
        home = self._home
        messages, home.effects.rejected = read(part, now, origin, refuse)
        line = 0
        try:
            for line, message in messages:
                if isinstance(message, Event):
                    if self._is_home(message.identifiers[0]):
                        home.event(message)
                    else:
                        home.effects.rejected.append(
                            _refused(codec.encode(message), now, origin, line, "wrong_partition")
                        )
                elif isinstance(message, Rejected):
                    home.reject(message, message.rejected_at)
                else:
                    home.message(cast(Internal, message), now)
            self._rows.encode()
        except _FAILURES as error:
            raise Unreadable(line) from error
        effects, home.effects = home.effects, Effects()
        for wake in effects.wakes:
            heapq.heappush(self._wakes, wake)
        sent: list[Sent] = [(f"internal/{partition}", message) for partition, message in effects.internal]
        return effects, sent + [(LINKS, request) for request in effects.links]

    def _is_home(self, key: str) -> bool:
        """Whether an identifier is at home here: a row in the wrong partition would be found by nobody.

        One that has a row here has been asked before, which spares the hashing.
        """
        return self._rows.known(key) or partition_of(key, self._partitions) == self._partition

    @property
    def pending(self) -> int:
        """Timers that wait; some may be no longer wanted."""
        return len(self._wakes)

    def due(self) -> int | None:
        """When the next timer is due."""
        return self._wakes[0][0] if self._wakes else None

    def wake(self) -> Wake:
        """The record for the row whose timer is due next. One that is no longer wanted does no harm."""
        return Wake(heapq.heappop(self._wakes)[1])

    def changes(self) -> Mapping[bytes, bytes | None]:
        """The changed rows, for a commit."""
        return self._rows.changes()


class LinkerLane:
    """The owner of the linker's partition."""

    pending = 0

    def __init__(self, linker: Linker, partitions: int = 1) -> None:
        self._linker = linker
        self._partitions = partitions

    def step(self, part: Part, now: int, origin: Origin, refuse: Container[int] = ()) -> tuple[Effects, list[Sent]]:
        """Takes some requests of a record; gives the decisions and the orders to be sent. Raises as a home's."""
        effects = Effects()
        sent: list[Sent] = []
        messages, effects.rejected = read(part, now, origin, refuse)
        for line, message in messages:
            try:
                decisions, orders = self._linker.decide(cast(Request, message))
                sent += [(f"internal/{partition_of(order.row, self._partitions)}", order) for order in orders]
            except _FAILURES as error:
                raise Unreadable(line) from error
            effects.identity += decisions
        return effects, sent

    def due(self) -> int | None:
        """The linker waits for nothing."""
        return None

    def wake(self) -> Wake:
        """Never asked for, since nothing is ever due."""
        raise IndexError("the linker has no timers")

    def changes(self) -> Mapping[bytes, bytes | None]:
        """The changed rows, for a commit."""
        return self._linker.changes()


def gather(total: Effects, effects: Effects) -> None:
    """Adds what one step did to what others did."""
    total.facts += effects.facts
    total.triggers += effects.triggers
    total.decisions += effects.decisions
    total.identity += effects.identity
    total.rejected += effects.rejected
    total.duplicate += effects.duplicate
    total.late += effects.late
    total.profiles += effects.profiles
    total.hops = max(total.hops, effects.hops)


def parts(record: bytes | None, most: int = LINES) -> Iterator[Part]:
    """A record, at most so many lines at a time."""
    lines = (record or b"").split(b"\n")
    for first in range(0, len(lines), most):
        yield Part(first, lines[first : first + most])


def read(
    part: Part, now: int, origin: Origin, refuse: Container[int]
) -> tuple[list[tuple[int, Message]], list[Rejected]]:
    """The messages of these lines, by number, and a refusal for each line that is none of its topic's."""
    messages: list[tuple[int, Message]] = []
    refused: list[Rejected] = []
    kinds = KINDS[origin.topic]
    for number, line in enumerate(part.lines, part.first):
        try:
            message = codec.decode(line)
        except RowError:
            refused.append(_refused(line, now, origin, number, "not_a_message"))
            continue
        if not isinstance(message, kinds) or number in refuse:
            refused.append(_refused(line, now, origin, number, "not_a_message"))
        elif field := flaw(message):
            refused.append(_refused(line, now, origin, number, "not_a_message", field))
        else:
            messages.append((number, message))
    return messages, refused


def _refused(line: bytes, now: int, origin: Origin, number: int, code: str, field: str = "") -> Rejected:
    shown = line[:64].decode("utf-8", "backslashreplace")
    refused = reject(line, "record", code, field, shown, CODES[code], str(origin), now)
    return refused._replace(rejection_id=f"{origin}:{number}")

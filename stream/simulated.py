"""The parts of the simulator: logs with transactions, stores in memory, and the lanes around the real steps."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast

from profiles.linker import Linker
from profiles.rows import Rows
from schemas import codec
from schemas.keys import partition_of
from schemas.messages import Event, Internal, Message, Rejected, Request, Wake
from stream.home import Effects, Home

LINKS = "links"

Sent = tuple[str, Message]
"""The log a message goes to, and the message."""


class Memory(dict[bytes, bytes]):
    """A store that can be scanned by prefix."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from sorted((key, value) for key, value in self.items() if key.startswith(prefix))

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        for key, value in changes.items():
            if value is None:
                self.pop(key, None)
            else:
                self[key] = value


@dataclass(slots=True)
class Transaction:
    """What becomes true together."""

    size: int = 0
    """Records after which it is committed."""
    state: Literal["open", "committed", "aborted"] = "open"
    taken: int = 0
    prepared: bool = False
    """Rows are taken and records sent: only the commit itself is missing."""
    positions: dict[str, int] = field(default_factory=dict)
    rows: Mapping[bytes, bytes | None] = field(default_factory=dict)
    outputs: Effects = field(default_factory=Effects)
    sent: list[Sent] = field(default_factory=list)
    """Not yet in a log."""

    @classmethod
    def done(cls) -> Transaction:
        """That of a producer outside: its record is there at once."""
        return cls(state="committed")


class Fault(NamedTuple):
    """The owner of a lane dies or freezes at a tick, whatever it is doing.

    Its transaction stays open until a successor fences it. `reached`: had it asked for the commit, the broker has the
    request and carries it out before the fence. `thaws`: the old owner comes back later and tries to commit.
    """

    tick: int
    lane: int
    """A partition; -1 is the linker."""
    reached: bool
    thaws: bool


def random_faults(seed: int, partitions: int, rate: float, ticks: int = 8_000) -> tuple[Fault, ...]:
    """About `rate * ticks` faults, all over the lanes."""
    chance = random.Random(f"faults {seed}")
    return tuple(
        Fault(tick, chance.randrange(-1, partitions), chance.random() < 0.5, chance.random() < 0.3)
        for tick in range(1, ticks)
        if chance.random() < rate
    )


class Log:
    """One partition of a topic."""

    def __init__(self) -> None:
        self._records: list[tuple[Transaction, bytes]] = []

    def append(self, transaction: Transaction, record: bytes) -> None:
        self._records.append((transaction, record))

    def read(self, position: int) -> tuple[int, bytes] | None:
        """The next committed record and the position behind it; None at the end and before an open transaction."""
        while position < len(self._records):
            transaction, record = self._records[position]
            if transaction.state == "open":
                return None
            position += 1
            if transaction.state == "committed":
                return position, record
        return None

    def records(self) -> list[bytes]:
        """All committed records."""
        return [record for transaction, record in self._records if transaction.state == "committed"]


class HomeLane:
    """An owner of a partition: the real step over the rows it opened, and a heap of wakes."""

    def __init__(self, home: Home, rows: Rows, store: Memory, partitions: int) -> None:
        self._home = home
        self._rows = rows
        self._partitions = partitions
        self._wakes = [(int.from_bytes(key[1:9], "big"), key[9:].decode()) for key, _ in store.scan(b"w")]
        heapq.heapify(self._wakes)

    def step(self, record: bytes, now: int) -> tuple[Effects, list[Sent]]:
        """Takes one record; gives what it did and what is to be sent."""
        home = self._home
        for message in opened(record):
            if isinstance(message, Event):
                home.event(message)
            elif isinstance(message, Rejected):
                home.reject(message, message.rejected_at)
            else:
                home.message(cast(Internal, message), now)
        effects, home.effects = home.effects, Effects()
        for wake in effects.wakes:
            heapq.heappush(self._wakes, wake)
        sent: list[Sent] = [(f"internal/{partition}", message) for partition, message in effects.internal]
        return effects, sent + [(LINKS, request) for request in effects.links]

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

    def __init__(self, linker: Linker, partitions: int) -> None:
        self._linker = linker
        self._partitions = partitions

    def step(self, record: bytes, now: int) -> tuple[Effects, list[Sent]]:  # noqa: ARG002 - as every lane
        """Takes one record of requests; gives the decisions and the orders that are to be sent."""
        effects = Effects()
        sent: list[Sent] = []
        for request in opened(record):
            decisions, orders = self._linker.decide(cast(Request, request))
            effects.identity += decisions
            sent += [(f"internal/{partition_of(order.row, self._partitions)}", order) for order in orders]
        return effects, sent

    def due(self) -> int | None:
        """The linker waits for nothing."""
        return None

    def changes(self) -> Mapping[bytes, bytes | None]:
        """The changed rows, for a commit."""
        return self._linker.changes()


def envelope(messages: Iterable[Message]) -> bytes:
    """A record: one line a message."""
    return b"\n".join([codec.encode(message) for message in messages])


def opened(record: bytes) -> list[Message]:
    """The messages of a record."""
    return [codec.decode(line) for line in record.split(b"\n")]


def events_log(each: Event | Rejected, partitions: int) -> str:
    """The log in which an input arrives: that of its home."""
    key = each.identifiers[0] if isinstance(each, Event) else each.rejection_id
    return f"events/{partition_of(key, partitions)}"


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


@dataclass(slots=True)
class Owned:
    """A lane: what is durable of it, who owns it, and what the owner is about to commit."""

    store: Memory = field(default_factory=Memory)
    positions: dict[str, int] = field(default_factory=dict)
    owner: HomeLane | LinkerLane | None = None
    transaction: Transaction | None = None
    dead: Fault | None = None
    slow: int = 0
    """Microseconds by which the owner's clock is behind."""

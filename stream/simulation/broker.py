"""The parts of the simulator: logs with transactions, stores in memory, and what is durable of a lane."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from schemas.keys import partition_of
from schemas.messages import Event, Rejected
from stream.core.batch import Batch
from stream.core.effects import Address, Effects, Sent
from stream.core.owners import EVENTS


class Memory(dict[bytes, bytes]):
    """A store that can be scanned by prefix."""

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        yield from sorted((key, value) for key, value in self.items() if key.startswith(prefix) and key >= start)

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """All of these changes or none; None deletes."""
        for key, value in list(changes.items()):
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
    prepared: bool = False
    """Rows are taken and records sent: only the commit itself is missing."""
    positions: Mapping[Address, int] = field(default_factory=dict)
    rows: Mapping[bytes, bytes | None] = field(default_factory=dict)
    outputs: Effects = field(default_factory=Effects)
    sent: list[Sent] = field(default_factory=list)
    """Not yet in a log."""

    def add(self, effects: Effects) -> None:
        """What a part of a record came to."""
        self.sent += effects.sent
        effects.sent = []
        self.outputs.add(effects)

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

    @property
    def end(self) -> int:
        """The offset behind the last record, those of open transactions included."""
        return len(self._records)

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

    def at(self, offset: int) -> bytes:
        """One record, whatever became of its transaction."""
        return self._records[offset][1]

    def records(self) -> list[bytes]:
        """All committed records."""
        return [record for transaction, record in self._records if transaction.state == "committed"]


def events_log(each: Event | Rejected, partitions: int) -> Address:
    """The log in which an input arrives: that of its home."""
    key = each.identifiers[0] if isinstance(each, Event) else each.rejection_id
    return Address(EVENTS, partition_of(key, partitions))


@dataclass(slots=True)
class Owned:
    """A lane: what is durable of it, who owns it, and what the owner is about to commit."""

    store: Memory = field(default_factory=Memory)
    positions: dict[Address, int] = field(default_factory=dict)
    next: dict[Address, int] = field(default_factory=dict)
    """Positions as they will be when the batch in hand is committed."""
    batch: Batch[Transaction] | None = None
    """The owner at work; None until there is one."""
    prepared: Transaction | None = None
    """A batch that has ended and is not committed yet."""
    dead: Fault | None = None
    slow: int = 0
    """Microseconds by which the owner's clock is behind."""

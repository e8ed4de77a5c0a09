"""Whoever owns a lane: the real steps around the rows it opened. Every runner drives this code.

A step takes some lines of a record and never raises for what they hold: one that is no message, or no message of this
topic, ends in `rejected` with its topic, partition and offset. Should a well-formed line still make a step fail, it
raises Unreadable, and whoever drives throws the owner away (`stream.core.batch`). No clock, broker or disk here.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple, Protocol, cast, get_args

from profiles.linker import Linker
from profiles.rows import Rows
from schemas import codec
from schemas.errors import RowError
from schemas.keys import partition_of
from schemas.messages import Event, Internal, Message, Rejected, Request, SourceMark
from schemas.rejection import reject
from stream.core.effects import LINKS, Address, Effects
from stream.core.expiry import Expiry
from stream.core.home import INTERNAL, Home
from stream.core.shape import flaw
from stream.core.watermark import Watermark

EVENTS = "events"
KINDS: Mapping[str, tuple[type, ...]] = {
    EVENTS: (Event, Rejected, SourceMark),
    INTERNAL: get_args(Internal),
    LINKS.topic: get_args(Request),
}
"""What a topic may hold."""
FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a step raises for values of the wrong type or shape. What a store raises is none of these."""

OURS = {
    EVENTS: "`events` takes Rapport's own messages. Send events of your own through `rapport replay - --to kafka`; "
    "those that were refused here go in with `rapport rejected replay --to kafka`.",
    INTERNAL: "Only workers write to `internal`: take the right to write there from who did.",
    LINKS.topic: "Only workers and `rapport identity` write to `links`: take the right to write there from who did.",
}
"""What a topic expects, for who wrote something else to it."""

LINES_PER_PART = 16
"""Of a record that are stepped in one go."""


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


class Owner(Protocol):
    """What a lane is driven by, its rows held by it alone."""

    watermark: Watermark | None
    """None where nothing is waited for."""

    def step(self, part: Part, now: int, origin: Origin, refuse: Container[int] = ()) -> Effects:
        """Takes some lines of a record; gives all that they did.

        Lines whose numbers are in `refuse` are refused unread. Raises Unreadable where one makes the step fail: throw
        this owner away then; and RowError where a stored row cannot be read.
        """

    def changes(self, now: int) -> Mapping[bytes, bytes | None]:
        """The changed rows since the last call, for a commit; None deletes."""


class HomeLane:
    """The owner of a partition of `events` and `internal`."""

    def __init__(
        self,
        home: Home,
        rows: Rows,
        expiry: Expiry,
        watermark: Watermark | None = None,
        partition: int = 0,
        partitions: int = 1,
    ) -> None:
        """Without a watermark the runner says itself up to when all input has been taken."""
        self.watermark = watermark
        self._expiry = expiry
        self._home = home
        self._rows = rows
        self._partition = partition
        self._partitions = partitions

    def step(self, part: Part, now: int, origin: Origin, refuse: Container[int] = ()) -> Effects:
        """As an owner does."""
        if self.watermark is not None:
            self._home.noted_at = self.watermark.noted_at
        messages, refused = read(part, now, origin, refuse)
        line = part.first
        try:
            for number, message in messages:
                line = number
                self.take(message, now)
            self._rows.encode()
        except FAILURES as error:
            raise Unreadable(line) from error
        effects = self.drain()
        _count(effects, origin, messages, refused)
        return effects

    def take(self, message: Message, now: int) -> None:
        """Takes one message; what it does gathers until `drain`. Raises what a value of the wrong type raises."""
        home = self._home
        if isinstance(message, Event):
            if self._is_home(message.identifiers[0]):
                home.event(message, now)
            else:
                to = partition_of(message.identifiers[0], self._partitions)
                home.effects.sent.append((Address(INTERNAL, to), message))
        elif isinstance(message, Rejected):
            home.reject(message, message.rejected_at)
        elif isinstance(message, SourceMark):
            if self.watermark is not None:
                self.watermark.mark(message)
        else:
            home.message(cast(Internal, message), now)

    def drain(self) -> Effects:
        """What has gathered, all of it, once."""
        effects, self._home.effects = self._home.effects, Effects()
        return effects

    def _is_home(self, key: str) -> bool:
        """Whether an identifier is at home here: a row in the wrong partition would be found by nobody.

        One that has a row here has been asked before, which spares the hashing.
        """
        known = self._partitions == 1 or self._rows.known(key)
        return known or partition_of(key, self._partitions) == self._partition

    def changes(self, now: int) -> Mapping[bytes, bytes | None]:
        """As an owner does; message ids whose time is over leave with them."""
        home = self._home
        home.remember()
        self._expiry.pay(home.taken, min(now, home.newest))
        home.taken = 0
        return self._rows.changes()


class LinkerLane:
    """The owner of the linker's partition."""

    watermark: Watermark | None = None

    def __init__(self, linker: Linker, partitions: int = 1) -> None:
        self._linker = linker
        self._partitions = partitions

    def step(self, part: Part, now: int, origin: Origin, refuse: Container[int] = ()) -> Effects:
        """As an owner does: decisions, and the orders to be sent."""
        effects = Effects()
        messages, refused = read(part, now, origin, refuse)
        _count(effects, origin, messages, refused)
        for line, message in messages:
            try:
                self.take(cast(Request, message), effects)
            except FAILURES as error:
                raise Unreadable(line) from error
        return effects

    def take(self, request: Request, effects: Effects) -> None:
        """Decides one request."""
        decisions, orders = self._linker.decide(request)
        effects.identity += decisions
        effects.sent += [(Address(INTERNAL, partition_of(order.row, self._partitions)), order) for order in orders]

    def changes(self, now: int) -> Mapping[bytes, bytes | None]:  # noqa: ARG002 - a linker forgets nothing
        """As an owner does."""
        return self._linker.changes()


def _count(effects: Effects, origin: Origin, messages: list[tuple[int, Message]], refused: list[Rejected]) -> None:
    marks = sum(isinstance(message, SourceMark) for _, message in messages)
    effects.received[origin.topic] += len(messages) + len(refused) - marks
    effects.rejected += refused
    effects.refused[origin.topic] += len(refused)


def parts(record: bytes | None, most: int = LINES_PER_PART) -> Iterator[Part]:
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
    kinds, expected = KINDS[origin.topic], OURS[origin.topic]
    for number, line in enumerate(part.lines, part.first):
        try:
            message = codec.decode(line)
        except RowError:
            refused.append(unreadable(line, now, f"{origin}", number, expected))
            continue
        if not isinstance(message, kinds) or number in refuse:
            refused.append(unreadable(line, now, f"{origin}", number, expected))
        elif field := flaw(message):
            refused.append(unreadable(line, now, f"{origin}", number, expected, field))
        else:
            messages.append((number, message))
    return messages, refused


def unreadable(line: bytes, now: int, source: str, number: int, expected: str, field: str = "") -> Rejected:
    """The refusal of a line that is no message, or that no step can take."""
    shown = line[:64].decode("utf-8", "backslashreplace")
    refused = reject(line, "record", "not_a_message", field, shown, expected, source, now)
    return refused._replace(rejection_id=f"{source}:{number}")

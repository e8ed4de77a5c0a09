"""Mutants of the broker, of duplicates and refusals, and of forwarding (`stream_mutants`)."""

from __future__ import annotations

from typing import Any

from profiles.rows import Rows
from schemas.instant import DAY
from schemas.messages import Event, Forward, Rejected, Transfer
from stream.core.effects import LINKS, Address
from stream.core.home import Home
from stream.simulation.broker import Transaction
from stream.simulation.simulator import Simulator


class Holds:
    """A member set that refuses nobody."""

    def __contains__(self, key: object) -> bool:
        return True


class NoFence(Simulator):
    """A replaced owner may still commit."""

    def thaw(self, lane: int, transaction: Transaction) -> None:
        self.commit(lane, transaction)


class LinkerWithoutFence(Simulator):
    """The linker's replaced owner may still commit."""

    def thaw(self, lane: int, transaction: Transaction) -> None:
        if lane < 0:
            self.commit(lane, transaction)


class PositionsApart(Simulator):
    """Positions are committed after the rows, so a crash between the two repeats input."""

    def commit(self, lane: int, transaction: Transaction) -> None:
        if self.chance.random() < 0.05:
            transaction.positions = {}
            self.lanes[lane].batch = None
            self.lanes[lane].next = dict(self.lanes[lane].positions)
        super().commit(lane, transaction)


class PositionOfOneTopic(Simulator):
    """A transaction that read two topics commits the position of one of them; a restart reads the other again."""

    def commit(self, lane: int, transaction: Transaction) -> None:
        known = dict(self.lanes[lane].positions)
        super().commit(lane, transaction)
        if len(transaction.positions) > 1 and self.chance.random() < 0.1:
            self.lanes[lane].positions[Address("internal", lane)] = known[Address("internal", lane)]
            self.lanes[lane].batch = None
            self.lanes[lane].next = dict(self.lanes[lane].positions)


class AtLeastOnce(Simulator):
    """Outputs and messages leave before the commit: what an aborted transaction sent is read all the same."""

    def abort(self, transaction: Transaction) -> None:
        transaction.state = "committed"


class OrdersAtLeastOnce(Simulator):
    """The linker's orders leave before its commit, so one decision may be followed twice."""

    def abort(self, transaction: Transaction) -> None:
        super().abort(transaction)
        if LINKS in transaction.positions:
            transaction.state = "committed"


class OrdersMixed(Simulator):
    """Orders leave in any order, across the decisions of a transaction."""

    def send(self, transaction: Transaction) -> None:
        self.chance.shuffle(transaction.sent)
        super().send(transaction)


class SeenForgotten(Rows):
    """Message ids are not part of the commit."""

    def changes(self) -> dict[bytes, bytes | None]:
        return {key: value for key, value in super().changes().items() if key[:1] != b"m"}


class SeenAnew(Home):
    """A duplicate is remembered anew, so that retries without end are never taken for what they are: too late."""

    def event(self, event: Event, now: int) -> None:
        before = self.effects.duplicate
        super().event(event, now)
        if self.effects.duplicate > before:
            self._rows.put(
                b"m" + event.identifiers[0].encode() + b"\0" + event.message_id.encode(),
                event.received_at.to_bytes(8, "big"),
            )


class SeenADayLess(Home):
    """Message ids are known a day less than promised."""

    def event(self, event: Event, now: int) -> None:
        promised, self._forget_after = self._forget_after, self._forget_after - DAY
        super().event(event, now)
        self._forget_after = promised


class RefusedForEver(Home):
    """Refused input is remembered for ever, and recorded once only."""

    def reject(self, rejected: Rejected, now: int) -> None:
        if self._rows.get(b"m\0" + rejected.rejection_id.encode()) is None:
            super().reject(rejected, now)


class RefusalForgotten(Rows):
    """Refused input is not remembered across a commit."""

    def changes(self) -> dict[bytes, bytes | None]:
        return {key: value for key, value in super().changes().items() if key[:2] != b"m\0"}


class NoMemberCheck(Home):
    """A root takes whatever component or event reaches it."""

    def message(self, message: Any, now: int) -> None:
        row = self._rows.find(message.to) if isinstance(message, Transfer | Forward) else None
        if row is None:
            super().message(message, now)
            return
        members, row.members = row.members, Holds()
        super().message(message, now)
        row.members = members


class ForwardedToTheMoved(Home):
    """A forwarded event is applied where it arrives, also when that row has moved meanwhile."""

    def _forward(self, message: Forward, now: int) -> None:
        row = self._row(message.to, now)
        if message.event.identifiers[0] == row.key:
            self._apply(row.key, row.key, message.event, now)
        else:
            super()._forward(message, now)


class StrangerStays(Home):
    """A forwarded event of somebody who left is counted for the root it reaches."""

    def _forward(self, message: Forward, now: int) -> None:
        row = self._row(message.to, now)
        if row.to is None and message.hops > 1:
            self._apply(row.key, row.key, message.event, now)
        else:
            super()._forward(message, now)

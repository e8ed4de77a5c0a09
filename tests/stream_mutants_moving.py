"""Mutants of moving components, and of marks and wakes (`stream_mutants`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from profiles.rows import Row, Rows
from schemas.messages import (
    Absorb,
    Add,
    Piece,
    Release,
)
from stream.core.home import Home


class MarksStay(Rows):
    """Fired marks are left behind when a component moves."""

    def _lift(self, root: Row, member: str) -> Iterator[tuple[str, bytes]]:
        return (named for named in super()._lift(root, member) if named[0][0] != "f")


class PiecesOneByOne(Home):
    """Rules judge while half of a profile has arrived."""

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        for piece in pieces:
            self._send(Add(to, (piece,), 1, 0, False), now)


class NothingIsMissed(Home):
    """A run that a split or a merge reopens after its time fires late."""

    def _add(self, message: Add, now: int) -> None:
        super()._add(message._replace(missed_before=0), now)


class NothingIsMissedOnTheWay(Home):
    """Strangers' pieces that go on lose until when the root had fired what was due."""

    def _add(self, message: Add, now: int) -> None:
        super()._add(message._replace(missed_before=0) if message.hops > 1 else message, now)


class StrangersDropped(Home):
    """Strangers among several pieces are dropped; alone they are sent on."""

    def _add(self, message: Add, now: int) -> None:
        row = self._row(message.to, now)
        if row.to is None and len(message.pieces) > 1:
            mine = tuple(each for each in message.pieces if each.member == row.key or each.member in row.members)
            message = message._replace(pieces=mine or message.pieces)
        super()._add(message, now)


class StrangersKept(Home):
    """Who comes with a member stays with it."""

    def _add(self, message: Add, now: int) -> None:
        row = self._row(message.to, now)
        known = row.members
        if row.to is None and any(each.member in known for each in message.pieces):
            row.members = known | {each.member for each in message.pieces} - {row.key}
            super()._add(message, now)
            row.members = known
        else:
            super()._add(message, now)


class ReleaseWithoutPieces(Home):
    """A split moves the components and leaves the parts' list as it was."""

    def _release(self, order: Release, now: int) -> None:
        row = self._row(order.row, now)
        parts = row.parts
        super()._release(order, now)
        row.parts = parts


class ReopenedByRelease(Home):
    """What a member that leaves had closed is looked at when the next event comes."""

    def _release(self, order: Release, now: int) -> None:
        row = self._row(order.row, now)
        self._schedule(row, now, 0)
        pieces = self._rows.take_out(row, order.members)
        row.members -= set(order.members)
        self._schedule(row, now, 0)
        self._hand_over(order.to, pieces, now)


class LeavesUnfired(Home):
    """A root that is absorbed does not fire what is due by then."""

    def _absorb(self, order: Absorb, now: int) -> None:
        row, schedule = self._row(order.row, now), self._schedule
        self._schedule = lambda root, *rest: None if root is row else schedule(root, *rest)
        super()._absorb(order, now)
        self._schedule = schedule


class TraitsOfTheOther(Rows):
    """Where components of one identifier meet, the traits that arrive win."""

    merges: ClassVar = {"t": lambda mine, other: other}


class OrderOfOne(Rows):
    """Where components of one identifier meet, an order is what the larger one says."""

    merges: ClassVar = {"o": max}


class WakeStays(Home):
    """A wake is not moved forward by an earlier timer."""

    def _set_wake(self, root: Row, wake: int) -> None:
        if root.wake == 0 or wake == 0 or wake > root.wake:
            super()._set_wake(root, wake)


class NoMarks(Home):
    """A fired run leaves no mark."""

    def _mark(self, root: Row, member: str, rule: str, run_key: str, at: int) -> None:
        pass


class MarksAtTheRoot(Home):
    """A fired run is marked at the root, not at the member whose events made it: a split takes it from one of them."""

    def _mark(self, root: Row, member: str, rule: str, run_key: str, at: int) -> None:
        super()._mark(root, root.key, rule, run_key, at)


class MarksOfTheRoot(Home):
    """Whether a run has fired is asked of the root's own marks only."""

    def _marked(self, root: Row, rule: str, run_key: str) -> bool:
        parts, root.parts = root.parts, frozenset()
        try:
            return super()._marked(root, rule, run_key)
        finally:
            root.parts = parts

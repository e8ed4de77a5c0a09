"""Mutants of moving components, and of marks and wakes (`stream_mutants`)."""

from __future__ import annotations

from typing import Any, ClassVar

from profiles.kinds import MARKS
from profiles.row import Row
from profiles.rows import Rows
from schemas.messages import Piece, Release, Transfer
from stream.core.home import Home
from stream.core.waits import NOT_YET


class MarksStay(Home):
    """Fired marks are left behind when a component moves."""

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        bare = [piece._replace(rows=tuple(row for row in piece.rows if row[0][0] != MARKS.letter)) for piece in pieces]
        super()._hand_over(to, bare, now)


class PiecesOneByOne(Home):
    """Rules judge while half of a profile has arrived."""

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        for piece in pieces:
            self._send(Transfer(to, (piece,), 1, 0, False), now)


class NothingIsMissed(Home):
    """A run that a split or a merge reopens after its time fires late."""

    def _receive(self, message: Transfer, now: int) -> None:
        super()._receive(message._replace(missed_before=0), now)


class StrangersDropped(Home):
    """Strangers among several pieces are dropped; alone they are sent on."""

    def _receive(self, message: Transfer, now: int) -> None:
        row = self._row(message.to, now)
        if row.to is None and len(message.pieces) > 1:
            mine = tuple(each for each in message.pieces if each.member == row.key or each.member in row.members)
            message = message._replace(pieces=mine or message.pieces)
        super()._receive(message, now)


class StrangersKept(Home):
    """Who comes with a member stays with it."""

    def _receive(self, message: Transfer, now: int) -> None:
        row = self._row(message.to, now)
        known = row.members
        if row.to is None and any(each.member in known for each in message.pieces):
            row.members = known | {each.member for each in message.pieces} - {row.key}
            super()._receive(message, now)
            row.members = known
        else:
            super()._receive(message, now)


class ReleaseWithoutPieces(Home):
    """A split moves the components and leaves the parts' list as it was."""

    def _release(self, order: Release, now: int) -> None:
        row = self._row(order.row, now)
        parts = dict(row.parts)
        super()._release(order, now)
        row.parts = parts


class ReopenedByRelease(Home):
    """What a member that leaves had closed is looked at when the next event comes."""

    def _look(self, root: Row, now: int, fire: Any = NOT_YET, missed: Any = NOT_YET, without: Any = ()) -> None:
        super()._look(root, now, fire, NOT_YET if missed is self.reached else missed, without)


class LeavesUnfired(Home):
    """A root whose members change does not fire before what is due by then."""

    def _fire(self, root: Row, now: int) -> None:
        pass


class TraitsOfTheOther(Rows):
    """Where components of one identifier meet, the traits that arrive win."""

    merges: ClassVar = {"t": lambda mine, other: other}


class OrderOfOne(Rows):
    """Where components of one identifier meet, an order is what the larger one says."""

    merges: ClassVar = {"o": max}


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
        parts, root.parts = root.parts, {}
        try:
            return super()._marked(root, rule, run_key)
        finally:
            root.parts = parts

"""The proof can fail: take one rule of the protocol away and the simulator finds a seed that goes wrong.

Each mutant is the real code with one rule missing. `SEEDS` says after how many seeds it must have been found.
"""

from __future__ import annotations

from typing import Any

import pytest

from profiles.kinds import MARKS
from profiles.linker import Linker
from profiles.row import Row
from profiles.rows import Rows
from schemas.messages import Add, Forward, Piece, Request, Split
from stream.core.home import Home
from stream.simulation.broker import Transaction
from stream.simulation.simulator import Simulator
from stream_oracle import judge
from stream_world import make

SEEDS = 250


class Holds:
    """A member set that refuses nobody."""

    def __contains__(self, key: object) -> bool:
        return True


class NoFence(Simulator):
    """A replaced owner may still commit."""

    def thaw(self, lane: int, transaction: Transaction) -> None:
        self.commit(lane, transaction)


class PositionsApart(Simulator):
    """Positions are committed after the rows, so a crash between the two repeats input."""

    def commit(self, lane: int, transaction: Transaction) -> None:
        if self.chance.random() < 0.05:
            transaction.positions = {}
            self.lanes[lane].owner = None
        super().commit(lane, transaction)


class AtLeastOnce(Simulator):
    """Outputs and messages leave before the commit: what an aborted transaction sent is read all the same."""

    def abort(self, transaction: Transaction) -> None:
        transaction.state = "committed"


class OrdersMixed(Simulator):
    """Orders leave in any order, across the decisions of a transaction."""

    def send(self, transaction: Transaction) -> None:
        self.chance.shuffle(transaction.sent)
        super().send(transaction)


class LosingRowFirst(Linker):
    """Within a decision the losing row is told first."""

    def decide(self, request: Request) -> Any:
        decisions, orders = super().decide(request)
        return decisions, orders[::-1]


class NoMemberCheck(Home):
    """A root takes whatever component or event reaches it."""

    def message(self, message: Any, now: int) -> None:
        row = self._rows.find(message.to) if isinstance(message, Add | Forward) else None
        if row is None:
            super().message(message, now)
            return
        members, row.members = row.members, Holds()  # type: ignore[assignment]
        super().message(message, now)
        row.members = members


class AskedForEver(Home):
    """A pair is asked about once and never again."""

    def _ask(self, key: str, event: Any) -> None:
        known = [other for other in event.identifiers[1:] if other in self._rows.there(key).asked]
        super()._ask(key, event._replace(identifiers=tuple(k for k in event.identifiers if k not in known)))


class WakeStays(Home):
    """A wake is not moved forward by an earlier timer."""

    def _set_wake(self, root: Row, wake: int) -> None:
        if root.wake == 0 or wake == 0 or wake > root.wake:
            super()._set_wake(root, wake)


class NaiveSplit(Linker):
    """A split cuts, and declares nothing for pairs that are not together yet."""

    def decide(self, request: Request) -> Any:
        if isinstance(request, Split):
            together = {key for key in request.b for root in map(self.cluster, request.a) if key in root[1]}
            request = request._replace(b=tuple(key for key in request.b if key in together))
        return super().decide(request)


class NoNegativeLinks(Linker):
    """A split cuts and is forgotten."""

    def _forbid(self, x: str, y: str) -> None:
        pass


class MarksStay(Home):
    """Fired marks are left behind when a component moves."""

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        bare = [piece._replace(rows=tuple(row for row in piece.rows if row[0][0] != MARKS.letter)) for piece in pieces]
        super()._hand_over(to, bare, now)


class SeenForgotten(Rows):
    """Message ids are not part of the commit."""

    def changes(self) -> dict[bytes, bytes | None]:
        return {key: value for key, value in super().changes().items() if key[:1] != b"m"}


class PiecesOneByOne(Home):
    """Rules judge while half of a profile has arrived."""

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        for piece in pieces:
            self._send(Add(to, (piece,), 1, 0, False), now)


class NoMarks(Home):
    """A fired run leaves no mark."""

    def _mark(self, root: Row, member: str, rule: str, run_key: str, at: int) -> None:
        pass


class WeakestRoot(Linker):
    """The root depends on which side asked."""

    def _strength(self, key: str) -> Any:
        rank, name = super()._strength(key)
        return -rank[0], rank[1], name


def mutant(part: type) -> type[Simulator]:
    """The simulator with this part in it."""
    if issubclass(part, Simulator):
        return part
    slot = {Home: "home_type", Linker: "linker_type", Rows: "rows_type"}[part.__mro__[1]]
    return type(part.__name__, (Simulator,), {slot: part})


@pytest.mark.parametrize(
    "part",
    [
        NoFence,
        PositionsApart,
        AtLeastOnce,
        OrdersMixed,
        LosingRowFirst,
        NoMemberCheck,
        AskedForEver,
        WakeStays,
        NaiveSplit,
        NoNegativeLinks,
        MarksStay,
        SeenForgotten,
        PiecesOneByOne,
        NoMarks,
        WeakestRoot,
    ],
    ids=lambda part: part.__name__,
)
def test_is_found(part: type) -> None:
    kind = mutant(part)
    for seed in range(SEEDS):
        world = make(seed)
        found = judge(world, kind(world.plan, world.partitions, seed, world.faults))
        if found:
            print(f"{part.__name__}: seed {seed}: {found[0]}")
            return
    pytest.fail(f"{part.__name__} survived {SEEDS} seeds")

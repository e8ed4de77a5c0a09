"""Mutants of the protocol: the real code, each with one rule taken away. None of them may survive the simulator.

`FOUND` says at which seed each is found first. Mutants that die early prove nothing about the seeds behind, so the
finest decides how many seeds a run has (`SEEDS`). After a change of the worlds or the oracle, record them anew:

    python tests/stream_mutants.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, ClassVar
from unittest.mock import patch

from profiles import transfer
from profiles.kinds import MARKS
from profiles.linker import Linker
from profiles.row import Row
from profiles.rows import Rows
from schemas.instant import DAY, HOUR
from schemas.messages import Add, Event, Forward, Piece, Rejected, Release, Request, SourceMark, Split, Wake
from stream.core.effects import LINKS, Address
from stream.core.home import NOT_YET, WATERMARK, Home, Reached
from stream.core.timers import Timers
from stream.core.watermark import Watermark
from stream.simulation.broker import Transaction
from stream.simulation.simulator import Simulator
from stream_oracle import judge
from stream_world import make


class Holds:
    """A member set that refuses nobody."""

    def __contains__(self, key: object) -> bool:
        return True


# --- the broker -------------------------------------------------------------------------------------------------------


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
            self.lanes[lane].run = None
        super().commit(lane, transaction)


class PositionOfOneTopic(Simulator):
    """A transaction that read two topics commits the position of one of them; a restart reads the other again."""

    def commit(self, lane: int, transaction: Transaction) -> None:
        known = dict(self.lanes[lane].positions)
        super().commit(lane, transaction)
        if len(transaction.positions) > 1 and self.chance.random() < 0.1:
            self.lanes[lane].positions[Address("internal", lane)] = known[Address("internal", lane)]
            self.lanes[lane].run = None


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


# --- identity ---------------------------------------------------------------------------------------------------------


class LosingRowFirst(Linker):
    """Within a decision the losing row is told first."""

    def decide(self, request: Request) -> Any:
        decisions, orders = super().decide(request)
        return decisions, orders[::-1]


class SplitRowFirst(Linker):
    """Within the decision of a split the row that loses members is told first."""

    def decide(self, request: Request) -> Any:
        decisions, orders = super().decide(request)
        return decisions, sorted(orders, key=lambda order: not isinstance(order, Release))


class NaiveSplit(Linker):
    """A split cuts, and declares nothing for pairs that are not together yet."""

    def decide(self, request: Request) -> Any:
        if isinstance(request, Split):
            together = {key for key in request.b for root in map(self.cluster, request.a) if key in root[1]}
            request = request._replace(b=tuple(key for key in request.b if key in together))
        return super().decide(request)


class SplitOfOneRoot(Linker):
    """A split cuts the first profile only, where its first side is spread over several."""

    def decide(self, request: Request) -> Any:
        decisions, orders = super().decide(request)
        if isinstance(request, Split) and len(decisions) > 1:
            first = decisions[0].decision
            return decisions[:1], [order for order in orders if order.decision == first]
        return decisions, orders


class SharedKeyLeaves(Linker):
    """A key that a split names on both sides goes with the second."""

    def decide(self, request: Request) -> Any:
        if isinstance(request, Split) and set(request.b) - set(request.a):
            request = request._replace(a=tuple(key for key in request.a if key not in request.b) or request.a)
        return super().decide(request)


class NoNegativeLinks(Linker):
    """A split cuts and is forgotten."""

    def _forbid(self, x: str, y: str) -> None:
        pass


class NegativeLinksOfOneSide(Linker):
    """Of a forbidden pair only the first remembers that it is in one."""

    def _forbid(self, x: str, y: str) -> None:
        known = self._know(y).negatives
        super()._forbid(x, y)
        self._know(y).negatives = known


class OnlyNamedPairsApart(Linker):
    """A split forbids the pairs it names, and not those of members that stay with one side or go with the other."""

    def _cut(self, root: str, leaving: set[str], *rest: Any) -> None:
        forbid, self._forbid = self._forbid, lambda x, y: None
        super()._cut(root, leaving, *rest)
        self._forbid = forbid


class RefusalOncePerPair(Linker):
    """A refusal is remembered per pair: when the reason changes, nobody is told."""

    def _refuse(self, request: Any, winner: str, loser: str, why: str) -> Any:
        pair = b"r" + b"\0".join(key.encode() for key in sorted((request.a, request.b))) + b"\0"
        known = any(key.startswith(pair) for key in self._raw) or any(True for _ in self._store.scan(pair))
        return [] if known else super()._refuse(request, winner, loser, why)


class RefusalByDirection(Linker):
    """A refused pair is another one when it is asked about the other way round."""

    def _refuse(self, request: Any, winner: str, loser: str, why: str) -> Any:
        told = super()._refuse(request, winner, loser, why)
        mark = b"r%b>%b%b" % (request.a.encode(), request.b.encode(), why.encode())
        if not told and mark not in self._raw and self._store.get(mark) is None:
            self._raw = {key: value for key, value in self._raw.items() if key[:1] != b"r"}
            store, self._store = self._store, Empty()
            told = super()._refuse(request, winner, loser, why)
            self._store = store
        self._raw[mark] = b""
        return told


class Empty:
    """A store that holds nothing."""

    def get(self, key: bytes) -> None:
        return None

    def scan(self, prefix: bytes, start: bytes = b"") -> Sequence[Any]:
        return ()


class WeakestRoot(Linker):
    """The root depends on which side asked."""

    def _strength(self, key: str) -> Any:
        rank, name = super()._strength(key)
        return -rank[0], rank[1], name


class CapOfTheLarger(Linker):
    """Caps look at each side for itself."""

    def _refusal(self, ours: list[str], theirs: list[str]) -> str | None:
        why = super()._refusal(ours, theirs)
        return None if why is not None and why.startswith("cap_") and len(theirs) == 1 else why


class AskedForEver(Home):
    """A pair is asked about once and never again."""

    def _ask(self, key: str, event: Any) -> None:
        known = [other for other in event.identifiers[1:] if other in self._rows.there(key).asked]
        super()._ask(key, event._replace(identifiers=tuple(k for k in event.identifiers if k not in known)))


class MovedAsksOnce(Home):
    """A row that has moved asks about a pair once and never again."""

    def _ask(self, key: str, event: Any) -> None:
        row = self._rows.there(key)
        known = [other for other in event.identifiers[1:] if row.to is not None and other in row.asked]
        super()._ask(key, event._replace(identifiers=tuple(k for k in event.identifiers if k not in known)))


class MovedAsksAlways(Home):
    """A row that has moved asks about a pair with each event."""

    def _ask(self, key: str, event: Any) -> None:
        row = self._rows.there(key)
        if row.to is not None:
            row.asked.clear()
        super()._ask(key, event)


class AsksForTheFirst(Home):
    """Of an event's identifiers only the two strongest are asked about."""

    def _ask(self, key: str, event: Any) -> None:
        super()._ask(key, event._replace(identifiers=event.identifiers[:2]))


class AliasOfTheKnownOnly(Home):
    """An alias that names nobody yet is not remembered."""

    def _settle_alias(self, key: str, message_id: str, now: int) -> None:
        pass


class AliasOfEventsOnly(Home):
    """An alias is not linked where an order of the linker is the first to reach whom it named."""

    def _settle_alias(self, key: str, message_id: str, now: int) -> None:
        if message_id:
            super()._settle_alias(key, message_id, now)


class AliasForgotten(Rows):
    """What an alias said of an identifier not seen yet is no part of the commit."""

    def changes(self) -> dict[bytes, bytes | None]:
        return {key: value for key, value in super().changes().items() if key[:1] != b"a"}


# --- duplicates and refusals ------------------------------------------------------------------------------------------


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


# --- forwarding -------------------------------------------------------------------------------------------------------


class NoMemberCheck(Home):
    """A root takes whatever component or event reaches it."""

    def message(self, message: Any, now: int) -> None:
        row = self._rows.find(message.to) if isinstance(message, Add | Forward) else None
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


# --- moving components ------------------------------------------------------------------------------------------------


class MarksStay(Home):
    """Fired marks are left behind when a component moves."""

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        bare = [piece._replace(rows=tuple(row for row in piece.rows if row[0][0] != MARKS.letter)) for piece in pieces]
        super()._hand_over(to, bare, now)


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


# --- marks and wakes --------------------------------------------------------------------------------------------------


class WakeStays(Home):
    """A wake is not moved forward by an earlier timer."""

    def _wait(self, root: Row, runs: list[Any], latest: int, woken: bool) -> None:
        wake = root.wake
        super()._wait(root, runs, latest, woken)
        if not woken and wake > 0 and root.wake < wake:
            root.wake = wake


class WakesForgotten(Timers):
    """Of two that wait in one row only the earlier is looked at."""

    def push(self, due: int, row: str, late: bool) -> None:
        if not any(row == other for _, other in self._ahead):
            super().push(due, row, late)


class NowForBy(Home):
    """A timer fires when the clock shows its time."""

    def _wake(self, wake: Wake, now: int) -> None:
        super()._wake(wake._replace(by=now), now)


class MissedByNow(Home):
    """What a merge or a split reopens is measured by the clock."""

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        reached, self.reached = self.reached, Reached(now, now)
        super()._hand_over(to, pieces, now)
        self.reached = reached


class WatermarkForgotten(Rows):
    """How far the watermark has come is no part of the commit."""

    def changes(self) -> dict[bytes, bytes | None]:
        return {key: value for key, value in super().changes().items() if key != WATERMARK}


# --- the watermark ----------------------------------------------------------------------------------------------------


class OwnPartitionOnly(Simulator):
    """A lane waits for its own partition of `events`, and not for those whose lanes forward to it."""

    def ends(self, lane: int) -> dict[int, int]:
        return {lane: super().ends(lane)[lane]}


class PositionsNotAwaited(Watermark):
    """Ends are noted and not waited for."""

    def note(self, at: int, ends: Mapping[int, int]) -> None:
        super().note(at, {})
        self.reach({}, at)


class PositionsNotCommitted(Simulator):
    """The group is told of what is taken, whether or not it is committed."""

    def _report(self) -> None:
        for partition in self.reported:
            self.reported[partition] = self.lanes[partition].next[Address("events", partition)]


class NoAllowance(Watermark):
    """Late input is not allowed for: the watermark is where the clock was when ends were noted."""

    def note(self, at: int, ends: Mapping[int, int]) -> None:
        super().note(at + self._allowed, ends)

    @property
    def next(self) -> int | None:
        return self._timers.next


class NoMarksOfSources(Watermark):
    """What was due already when it was armed does not wait for its source."""

    def mark(self, mark: SourceMark) -> None:
        pass


class NewOwnersDoNotWait(Watermark):
    """A new owner takes it that no source is open, before any could have said so."""

    def __init__(self, timers: Timers, allowed: int, opened_at: int) -> None:
        super().__init__(timers, allowed, opened_at - HOUR)


class QuietWhenNoted(Watermark):
    """A source that says it is open after ends were noted, though in what they cover, is not heard."""

    def _release(self, cohort: Any) -> None:
        self._sources = {}
        super()._release(cohort)


# --- fired marks ------------------------------------------------------------------------------------------------------


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


SLOTS = {
    Home: "home_type",
    Linker: "linker_type",
    Rows: "rows_type",
    Timers: "timers_type",
    Watermark: "watermark_type",
}


def mutant(part: type) -> type[Simulator]:
    """The simulator with this part in it."""
    if issubclass(part, Simulator):
        return part
    slot = SLOTS[part.__mro__[1]]
    return type(part.__name__, (Simulator,), {slot: part})


def found(part: type, seeds: Iterable[int]) -> tuple[int, str] | None:
    """The first of these seeds that goes wrong with this part, and how."""
    merges: Mapping[str, Any] = getattr(part, "merges", {})
    with ExitStack() as stack:
        for letter, merge in merges.items():
            kind = transfer._BY_LETTER[letter]
            stack.enter_context(patch.dict(transfer._BY_LETTER, {letter: replace(kind, merge=merge)}))
        for seed in seeds:
            world = make(seed)
            breaches = judge(world, mutant(part)(world.plan, world.partitions, seed, world.faults))
            if breaches:
                return seed, breaches[0]
    return None


FOUND = {
    NoFence: 2,
    LinkerWithoutFence: 2,
    PositionsApart: 0,
    PositionOfOneTopic: 7,
    AtLeastOnce: 0,
    OrdersAtLeastOnce: 0,
    OrdersMixed: 0,
    LosingRowFirst: 0,
    SplitRowFirst: 1,
    NaiveSplit: 2,
    SplitOfOneRoot: 105,
    SharedKeyLeaves: 11,
    NoNegativeLinks: 1,
    NegativeLinksOfOneSide: 2,
    OnlyNamedPairsApart: 1,
    RefusalOncePerPair: 12,
    RefusalByDirection: 32,
    WeakestRoot: 0,
    CapOfTheLarger: 12,
    AskedForEver: 2,
    MovedAsksOnce: 2,
    MovedAsksAlways: 6,
    AsksForTheFirst: 1,
    AliasOfTheKnownOnly: 0,
    AliasOfEventsOnly: 16,
    AliasForgotten: 0,
    SeenForgotten: 0,
    SeenAnew: 167,
    SeenADayLess: 2,
    RefusedForEver: 54,
    RefusalForgotten: 25,
    NoMemberCheck: 11,
    ForwardedToTheMoved: 281,
    StrangerStays: 0,
    MarksStay: 1,
    PiecesOneByOne: 46,
    NothingIsMissed: 46,
    NothingIsMissedOnTheWay: 550,
    StrangersDropped: 271,
    StrangersKept: 271,
    ReleaseWithoutPieces: 2,
    ReopenedByRelease: 24,
    LeavesUnfired: 151,
    TraitsOfTheOther: 399,
    OrderOfOne: 11,
    WakeStays: 68,
    NoMarks: 0,
    MarksAtTheRoot: 1,
    MarksOfTheRoot: 0,
}
SEEDS = 3 * max(FOUND.values())
"""How many a usual run has: as many as the finest mutant needs, and a reserve."""


if __name__ == "__main__":
    for part in FOUND:
        print(part.__name__, found(part, range(SEEDS)))

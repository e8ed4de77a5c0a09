"""Many lanes in one thread, with a broker's rules and a hostile schedule: how the protocol is proven without a broker.

The steps, the rows, the linker and the codec are the real ones; logs, transactions, owners and time are simulated.
Logs behave like Kafka's: a record is appended while its transaction is open, readers stop at the first open one and
skip aborted ones, so the order of a log is that of appending, not of committing. Given the same seed, script and faults
a run repeats itself to the byte. It must never do for a lane what a broker would not.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from profiles import view
from profiles.linker import Linker
from profiles.rows import Rows
from schemas.instant import MINUTE, SECOND
from schemas.messages import (
    EndQuarantine,
    Event,
    Link,
    Merge,
    Quarantine,
    Rejected,
    Request,
    SourceMark,
    Split,
    Unsplit,
)
from stream.core.batch import Batch
from stream.core.effects import LINKS, Address, Effects
from stream.core.envelope import envelope
from stream.core.expiry import Expiry
from stream.core.home import INTERNAL, Home
from stream.core.owners import EVENTS, HomeLane, LinkerLane, Origin, Owner
from stream.core.plan import Plan
from stream.core.timers import Timers
from stream.core.watermark import SOURCE_INTERVAL, Watermark
from stream.simulation.broker import Fault, Log, Memory, Owned, Transaction, events_log

MAX_TICKS = 100_000
"""Ticks after which a run is taken to be endless: more than twenty times what one needs."""
STARVED = (20, 60, 150, 400)
"""Ticks for which a lane may be kept waiting."""

Input = Event | Rejected | SourceMark | Request
"""A mark goes to every partition."""


class Endless(Exception):
    """Messages or wakes circle for ever."""


class Pause(NamedTuple):
    """A script item: once nothing moves any more, this many microseconds pass and due timers fire."""

    duration: int


Item = Input | tuple[Event | Rejected, ...] | Pause
"""A tuple of events is one record; all have the same home."""


class Simulator:
    """Lanes 0 to `partitions`-1 and the linker (-1). Without a seed every input is worked off before the next.

    A subclass with one rule of the protocol taken out is a mutant: it overrides what is not private here.
    """

    home_type: type[Home] = Home
    linker_type: type[Linker] = Linker
    rows_type: type[Rows] = Rows
    timers_type: type[Timers] = Timers
    watermark_type: type[Watermark] = Watermark

    def __init__(
        self, plan: Plan, partitions: int = 4, seed: int | None = None, faults: Sequence[Fault] = (), now: int = 0
    ) -> None:
        self.plan = plan
        self.partitions = partitions
        self.now = now
        self.ticks = 0
        self.outputs = Effects()
        """What has been committed, and only that."""
        self.logs: dict[Address, Log] = {}
        self.accepted: dict[tuple[Address, int], int] = {}
        """When each input was appended: an instant."""
        self.lanes = {name: Owned() for name in (*range(partitions), -1)}
        for lane in self.lanes:
            for log in self._inputs(lane):
                self.logs[log] = Log()
                self.lanes[lane].positions[log] = self.lanes[lane].next[log] = 0
        self.reported: dict[int, int] = dict.fromkeys(range(partitions), 0)
        """Positions in `events` as the consumer group knows them: late."""
        self.chance = random.Random(0 if seed is None else seed)
        self.bundle = "step" if seed is None else self.chance.choice(("message", "step", "transaction"))
        self._longest = 1 if seed is None else 5
        self._haste = self.chance.choice((0.05, 0.15, 0.5, 0.9))
        self._faults = sorted(faults, reverse=True)
        self._zombies: list[tuple[int, Transaction]] = []
        self._sources: dict[str, SourceMark] = {}
        """Open ones, with what they said last."""
        self._quiet_until = now
        self._starved: int | None = None
        self._starved_until = 0

    # --- input ------------------------------------------------------------------------------------------------------

    def produce(self, *events: Event | Rejected) -> None:
        """One record of events that share a home."""
        log = events_log(events[0], self.partitions)
        self.now = max([self.now, *(each.now for each in events if isinstance(each, Event))])
        self.accepted[log, self.logs[log].end] = self.now
        self.logs[log].append(Transaction.done(), envelope(events))

    def mark(self, mark: SourceMark) -> None:
        """A source of history tells every lane whether it is still sending; while it does, it says so again and again.

        What time it is there is what time it is here.
        """
        mark = mark._replace(at=self.now)
        if mark.open:
            self._sources[mark.source] = mark
        else:
            self._sources.pop(mark.source, None)
        for partition in range(self.partitions):
            self.logs[Address(EVENTS, partition)].append(Transaction.done(), envelope((mark,)))

    def request(self, request: Request) -> None:
        """A request to the linker that no event makes."""
        self.logs[LINKS].append(Transaction.done(), envelope((request,)))

    def play(self, inputs: Iterable[Input]) -> None:
        """Takes inputs one by one, each with everything that follows from it, as the embedded runner does."""
        for each in inputs:
            match each:
                case Event():
                    stepwise = each.now != each.received_at
                    self.advance(each.now - stepwise, stepwise)  # at the due instant the event wins
                    self.produce(each)
                case Rejected():
                    self.produce(each)
                case SourceMark():
                    self.mark(each)
                case Link() | Split() | Merge() | Unsplit() | Quarantine() | EndQuarantine():
                    self.advance(each.at)
                    self.request(each)
            self._drain()

    def advance(self, now: int, stepwise: bool = False) -> None:
        """Fires the timers due by `now`, `stepwise` each at its own time."""
        self._drain()
        while (due := self._next_wake()) is not None and due <= now:
            self.now = due if stepwise else now
            self._drain()
        self.now = now
        self._drain()

    def run(self, script: Iterable[Item]) -> None:
        """Works the script off in the seed's order until nothing moves. Raises Endless when that never happens."""
        waiting = list(script)[::-1]
        while True:
            self._begin_tick()
            active = [lane for lane in self.lanes if self._has_work(lane)]
            if waiting and self._may_produce(waiting[-1], active):
                self._take_in(waiting.pop())
            elif active:
                starved = self._starved if self.ticks < self._starved_until else None
                self._move(self.chance.choice([lane for lane in active if lane != starved] or active))
            elif self.now < self._quiet_until:
                self.now = min(self._next_wake() or self._quiet_until, self._quiet_until)
            elif not waiting:
                return

    # --- what came of it --------------------------------------------------------------------------------------------

    @property
    def rows(self) -> Rows:
        """The committed rows of all lanes, to read."""
        union = Memory()
        for lane in range(self.partitions):
            union.update(self.lanes[lane].store)
        return Rows(union)

    def linker(self) -> Linker:
        """The linker as it was committed, to ask."""
        return Linker(self.lanes[-1].store, self.plan.identity)

    def people(self) -> dict[str, tuple[str, ...]]:
        """Root -> all its members, itself included, as the rows of the lanes have it."""
        rows = self.rows
        found = (rows.find(key[1:].decode()) for key, _ in rows.scan(b"i"))
        return {row.key: tuple(sorted({row.key, *row.members})) for row in found if row is not None and row.to is None}

    def profiles(self) -> dict[str, dict[str, Any]]:
        """Root -> `profiles.view.profile`."""
        rows = self.rows
        return {root: view.profile(rows, row) for root in self.people() if (row := rows.find(root)) is not None}

    # --- the broker -------------------------------------------------------------------------------------------------

    def commit(self, lane: int, transaction: Transaction) -> None:
        """Rows, emitted records, positions and outputs at once."""
        transaction.state = "committed"
        self.lanes[lane].store.write(transaction.rows)
        self.lanes[lane].positions.update(transaction.positions)
        self.outputs.add(transaction.outputs)

    def send(self, transaction: Transaction) -> None:
        """Appends what a transaction sends; nobody reads it before the commit."""
        if self.bundle == "message":
            for log, message in transaction.sent:
                self.logs[log].append(transaction, envelope((message,)))
        else:
            for log in dict.fromkeys(log for log, _ in transaction.sent):
                self.logs[log].append(transaction, envelope([each for to, each in transaction.sent if to == log]))
        transaction.sent = []

    def abort(self, transaction: Transaction) -> None:
        """A successor's fence ends what its predecessor had open."""
        transaction.state = "aborted"

    def thaw(self, lane: int, transaction: Transaction) -> None:
        """A fenced owner tries to commit: the broker refuses, so nothing happens."""

    # --- a tick -----------------------------------------------------------------------------------------------------

    def _begin_tick(self) -> None:
        self.ticks += 1
        if self.ticks > MAX_TICKS:
            raise Endless(f"still moving after {MAX_TICKS} ticks")
        self.now += self.chance.randrange(2) * SECOND
        if self.ticks >= self._starved_until + 20:
            self._starved = self.chance.choice((*self.lanes, None))
            self._starved_until = self.ticks + self.chance.choice(STARVED)
        while self._faults and self._faults[-1].tick <= self.ticks:
            fault = self._faults.pop()
            if self.lanes[fault.lane].dead is None:
                self.lanes[fault.lane].dead = fault
        if self.chance.random() < 0.2:
            self._report()
        for mark in [each for each in self._sources.values() if self.now - each.at >= SOURCE_INTERVAL]:
            self.mark(mark)
        if self._zombies and self.chance.random() < 0.05:
            self.thaw(*self._zombies.pop())

    def _may_produce(self, item: Item, active: list[int]) -> bool:
        if isinstance(item, Pause) or not active:
            return not active and self.now >= self._quiet_until
        return self.now >= self._quiet_until and self.chance.random() < self._haste

    def _take_in(self, item: Item) -> None:
        match item:
            case Pause():
                self._quiet_until = self.now + item.duration
            case Link() | Split() | Merge() | Unsplit() | Quarantine() | EndQuarantine():
                self.request(item)
            case SourceMark():
                self.mark(item)
            case Event() | Rejected():
                self.produce(item)
            case _:
                self.produce(*item)

    # --- lanes ------------------------------------------------------------------------------------------------------

    def ends(self, lane: int) -> dict[int, int]:  # noqa: ARG002 - a mutant's may depend on the lane
        """The ends of `events` as a lane notes them: those of all partitions."""
        return {partition: self.logs[Address(EVENTS, partition)].end for partition in range(self.partitions)}

    def _report(self) -> None:
        """The consumer group learns how far all lanes have come."""
        for partition in self.reported:
            self.reported[partition] = self.lanes[partition].positions[Address(EVENTS, partition)]

    def _inputs(self, lane: int) -> tuple[Address, ...]:
        return (LINKS,) if lane < 0 else (Address(EVENTS, lane), Address(INTERNAL, lane))

    def _readable(self, lane: int) -> list[Address]:
        return [log for log in self._inputs(lane) if self.logs[log].read(self.lanes[lane].next[log])]

    def _has_work(self, lane: int) -> bool:
        owned = self.lanes[lane]
        if owned.prepared is not None or owned.dead is not None or self._readable(lane):
            return True
        batch = self._batch(lane)
        watermark = batch.owner.watermark
        return not batch.empty or (
            watermark is not None
            and (bool(watermark.ready) or watermark.waits or watermark.wants_ends(self._clock(lane)))
        )

    def _clock(self, lane: int) -> int:
        """What the owner's clock shows."""
        return self.now - self.lanes[lane].slow

    def _next_wake(self) -> int | None:
        """When the next timer makes a lane note ends, by the true clock."""
        marks = ((lane, self._batch(lane).owner.watermark) for lane in self.lanes)
        looks = [
            mark.next + self.lanes[lane].slow for lane, mark in marks if mark is not None and mark.next is not None
        ]
        return min(looks, default=None)

    def _batch(self, lane: int) -> Batch[Transaction]:
        owned = self.lanes[lane]
        if owned.batch is None:
            owned.batch = Batch(lambda: self._owner(lane), lambda: self._begin(lane), lane)
        return owned.batch

    def _owner(self, lane: int) -> Owner:
        store = self.lanes[lane].store
        if lane < 0:
            return LinkerLane(self.linker_type(store, self.plan.identity), self.partitions)
        rows = self.rows_type(store)
        timers = self.timers_type(store.scan(b"w"))
        watermark = self.watermark_type(timers, self.plan.allow_late_input, self._clock(lane))
        home = self.home_type(rows, self.plan, timers, lane, self.partitions)
        expiry = Expiry(rows, store, self.plan.identity.forget_after)
        return HomeLane(home, rows, expiry, watermark, lane, self.partitions)

    def _begin(self, lane: int) -> Transaction:
        """The next transaction. One that is taken again after a failed step has sent what must not count."""
        batch = self.lanes[lane].batch
        if batch is not None and not batch.outcome.prepared:
            self.abort(batch.outcome)
        return Transaction(size=self.chance.randint(1, self._longest))

    def _move(self, lane: int) -> None:
        """One move of a lane: fence a dead owner, note or reach ends, take a record, prepare the commit, or commit."""
        owned = self.lanes[lane]
        if owned.dead is not None:
            self._fence(lane, owned.dead)
        elif owned.prepared is not None:
            self.commit(lane, owned.prepared)
            owned.prepared = None
        elif not self._move_watermark(lane):
            batch = self._batch(lane)
            if batch.taken >= batch.outcome.size or not self._work(lane, batch):
                self._prepare(lane, batch)

    def _move_watermark(self, lane: int) -> bool:
        """Notes ends where that is wanted; says whether that was the move."""
        watermark = self._batch(lane).owner.watermark
        if watermark is None:
            return False
        clock = self._clock(lane)
        if watermark.waits:
            watermark.reach(self.reported, clock)
        elif watermark.wants_ends(clock) and (not self._readable(lane) or self.chance.random() < 0.3):
            watermark.note(clock, self.ends(lane))
            return True
        return False

    def _fence(self, lane: int, fault: Fault) -> None:
        """A successor takes over: what the old owner had not committed never happened."""
        owned = self.lanes[lane]
        batch = self._batch(lane)
        if owned.prepared is None and not batch.empty:
            self._prepare(lane, batch)
            fault = fault._replace(reached=False)
        transaction, owned.prepared, owned.dead, owned.batch = owned.prepared, None, None, None
        if transaction is not None:
            if fault.reached:
                self.commit(lane, transaction)
            else:
                self.abort(transaction)
                if fault.thaws:
                    self._zombies.append((lane, transaction))
        owned.next = dict(owned.positions)
        owned.slow = self.chance.choice((0, 0, SECOND, MINUTE))

    def _work(self, lane: int, batch: Batch[Transaction]) -> bool:
        """One more record, or one wake, in this batch; False when there is neither."""
        logs = self._readable(lane)
        watermark = batch.owner.watermark
        if watermark is not None and watermark.ready and (not logs or self.chance.random() < 0.1):
            batch.wake(batch.woken + 1)
        elif logs:
            log = self.chance.choice(logs)
            found = self.logs[log].read(self.lanes[lane].next[log])
            assert found is not None
            position, record = found
            for _ in batch.take(Origin(*log, position - 1), record, self._clock(lane)):
                pass
            self.lanes[lane].next[log] = position
        else:
            return False
        if self.bundle != "transaction":
            self.send(batch.outcome)
        return True

    def _prepare(self, lane: int, batch: Batch[Transaction]) -> None:
        if batch.empty:
            return
        transaction, owned = batch.outcome, self.lanes[lane]
        self.send(transaction)
        transaction.prepared = True
        transaction.positions = dict(owned.next)
        transaction.rows, owned.prepared = batch.done(self._clock(lane))

    def _drain(self) -> None:
        """Lane after lane until nothing moves; the linker last."""
        while True:
            lane = next((lane for lane in self.lanes if self._has_work(lane)), None)
            if lane is None:
                return
            self.ticks += 1
            self._report()
            if self.ticks > MAX_TICKS * 10:
                raise Endless(f"still moving after {self.ticks} ticks")
            self._move(lane)

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
from schemas.messages import Event, Link, Rejected, Request, Split
from stream.core.envelope import envelope
from stream.core.home import Effects, Home
from stream.core.owners import LINKS, HomeLane, LinkerLane, Origin, gather, parts
from stream.core.plan import Plan
from stream.simulation.broker import Fault, Log, Memory, Owned, Transaction, events_log

LONGEST = 100_000
"""Ticks after which a run is taken to be endless: more than twenty times what one needs."""
STARVED = (20, 60, 150, 400)
"""Ticks for which a lane may be kept waiting."""

Input = Event | Rejected | Request


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

    def __init__(
        self, plan: Plan, partitions: int = 4, seed: int | None = None, faults: Sequence[Fault] = (), now: int = 0
    ) -> None:
        self.plan = plan
        self.partitions = partitions
        self.now = now
        self.ticks = 0
        self.outputs = Effects()
        """What has been committed, and only that."""
        self.logs: dict[str, Log] = {}
        self.lanes = {name: Owned() for name in (*range(partitions), -1)}
        for lane in self.lanes:
            for log in self._inputs(lane):
                self.logs[log] = Log()
                self.lanes[lane].positions[log] = 0
        self.chance = random.Random(0 if seed is None else seed)
        self.bundle = "step" if seed is None else self.chance.choice(("message", "step", "transaction"))
        self._longest = 1 if seed is None else 5
        self._haste = self.chance.choice((0.05, 0.15, 0.5, 0.9))
        self._faults = sorted(faults, reverse=True)
        self._zombies: list[tuple[int, Transaction]] = []
        self._quiet_until = now
        self._starved: int | None = None
        self._starved_until = 0

    # --- input ------------------------------------------------------------------------------------------------------

    def produce(self, *events: Event | Rejected) -> None:
        """One record of events that share a home."""
        self.logs[events_log(events[0], self.partitions)].append(Transaction.done(), envelope(events))
        self.now = max([self.now, *(each.now for each in events if isinstance(each, Event))])

    def request(self, request: Request) -> None:
        """A request to the linker that no event makes."""
        self.logs[LINKS].append(Transaction.done(), envelope((request,)))

    def play(self, inputs: Iterable[Input]) -> None:
        """Takes inputs one by one, each with everything that follows from it, as the embedded runner does."""
        for each in inputs:
            match each:
                case Event():
                    self.advance(each.now, stepwise=each.now != each.received_at)
                    self.produce(each)
                case Rejected():
                    self.produce(each)
                case Link() | Split():
                    self.advance(each.at)
                    self.request(each)
            self._settle()

    def advance(self, now: int, stepwise: bool = False) -> None:
        """Fires the timers due by `now`, `stepwise` each at its own time."""
        self._settle()
        while (due := self._next_wake()) is not None and due <= now:
            self.now = due if stepwise else now
            self._settle()
        self.now = now

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

    def clusters(self) -> dict[str, tuple[str, ...]]:
        """Root -> all its members, itself included, as the rows of the lanes have it."""
        rows = self.rows
        found = (rows.find(key[1:].decode()) for key, _ in rows.scan(b"i"))
        return {row.key: tuple(sorted({row.key, *row.members})) for row in found if row is not None and row.to is None}

    def profiles(self) -> dict[str, dict[str, Any]]:
        """Root -> `profiles.view.profile`."""
        rows = self.rows
        return {root: view.profile(rows, row) for root in self.clusters() if (row := rows.find(root)) is not None}

    # --- the broker -------------------------------------------------------------------------------------------------

    def commit(self, lane: int, transaction: Transaction) -> None:
        """Rows, emitted records, positions and outputs at once."""
        transaction.state = "committed"
        self.lanes[lane].store.write(transaction.rows)
        self.lanes[lane].positions.update(transaction.positions)
        gather(self.outputs, transaction.outputs)

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
        if self.ticks > LONGEST:
            raise Endless(f"still moving after {LONGEST} ticks")
        self.now += self.chance.randrange(2) * SECOND
        if self.ticks >= self._starved_until + 20:
            self._starved = self.chance.choice((*self.lanes, None))
            self._starved_until = self.ticks + self.chance.choice(STARVED)
        while self._faults and self._faults[-1].tick <= self.ticks:
            fault = self._faults.pop()
            if self.lanes[fault.lane].dead is None:
                self.lanes[fault.lane].dead = fault
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
            case Link() | Split():
                self.request(item)
            case Event() | Rejected():
                self.produce(item)
            case _:
                self.produce(*item)

    # --- lanes ------------------------------------------------------------------------------------------------------

    def _inputs(self, lane: int) -> tuple[str, ...]:
        return (LINKS,) if lane < 0 else (f"events/{lane}", f"internal/{lane}")

    def _readable(self, lane: int) -> list[str]:
        owned = self.lanes[lane]
        inside = owned.transaction.positions if owned.transaction else {}
        return [log for log in self._inputs(lane) if self.logs[log].read(inside.get(log, owned.positions[log]))]

    def _has_work(self, lane: int) -> bool:
        owned = self.lanes[lane]
        if owned.transaction is not None or owned.dead is not None or self._readable(lane):
            return True
        due = self._due(lane)
        return due is not None and due <= self.now

    def _due(self, lane: int) -> int | None:
        """When the owner's clock will show that its next timer is due."""
        due = self._owner(lane).due()
        return None if due is None else due + self.lanes[lane].slow

    def _next_wake(self) -> int | None:
        return min((due for lane in self.lanes if (due := self._due(lane)) is not None), default=None)

    def _owner(self, lane: int) -> HomeLane | LinkerLane:
        owned = self.lanes[lane]
        if owned.owner is None:
            if lane < 0:
                owned.owner = LinkerLane(self.linker_type(owned.store, self.plan.identity), self.partitions)
            else:
                rows = self.rows_type(owned.store)
                home = self.home_type(rows, self.plan, lane, self.partitions)
                owned.owner = HomeLane(home, rows, owned.store, lane, self.partitions)
        return owned.owner

    def _move(self, lane: int) -> None:
        """One move of a lane: fence a dead owner, take a record, prepare the commit, or commit."""
        owned = self.lanes[lane]
        if owned.dead is not None:
            self._fence(lane, owned.dead)
        elif owned.transaction is None:
            owned.transaction = Transaction(size=self.chance.randint(1, self._longest))
        elif owned.transaction.prepared:
            self.commit(lane, owned.transaction)
            owned.transaction = None
        elif owned.transaction.taken >= owned.transaction.size or not self._work(lane, owned.transaction):
            self._prepare(lane, owned.transaction)

    def _fence(self, lane: int, fault: Fault) -> None:
        """A successor takes over: what the old owner had not committed never happened."""
        owned = self.lanes[lane]
        transaction, owned.transaction, owned.dead = owned.transaction, None, None
        if transaction is not None:
            if transaction.prepared and fault.reached:
                self.commit(lane, transaction)
            else:
                if not transaction.prepared:
                    self._prepare(lane, transaction)
                self.abort(transaction)
                if fault.thaws:
                    self._zombies.append((lane, transaction))
        owned.owner = None
        owned.slow = self.chance.choice((0, 0, SECOND, MINUTE))

    def _work(self, lane: int, transaction: Transaction) -> bool:
        """One more record, or one wake, in this transaction; False when there is neither."""
        owner = self._owner(lane)
        logs = self._readable(lane)
        late = (self._due(lane) or self.now + 1) <= self.now
        if isinstance(owner, HomeLane) and late and (not logs or self.chance.random() < 0.1):
            transaction.sent.append((f"internal/{lane}", owner.wake()))
        elif logs:
            log = self.chance.choice(logs)
            found = self.logs[log].read(transaction.positions.get(log, self.lanes[lane].positions[log]))
            assert found is not None
            transaction.positions[log], record = found
            origin = Origin(log.partition("/")[0], lane, transaction.positions[log] - 1)
            for part in parts(record):
                effects, sent = owner.step(part, self.now - self.lanes[lane].slow, origin)
                transaction.sent += sent
                gather(transaction.outputs, effects)
        else:
            return False
        transaction.taken += 1
        if self.bundle != "transaction":
            self.send(transaction)
        return True

    def _prepare(self, lane: int, transaction: Transaction) -> None:
        self.send(transaction)
        transaction.rows = self._owner(lane).changes()
        transaction.prepared = True

    def _settle(self) -> None:
        """Lane after lane until nothing moves; the linker last."""
        while True:
            lane = next((lane for lane in self.lanes if self._has_work(lane)), None)
            if lane is None:
                return
            self.ticks += 1
            if self.ticks > LONGEST * 10:
                raise Endless(f"still moving after {self.ticks} ticks")
            self._move(lane)

"""One partition with everything it owns: its rows, its input positions, its outputs and its transactional producer.

A lane takes a run of records, steps each, and commits rows, positions and everything emitted in one transaction, then
in one local write. Only then does the next run begin, and only then may anybody believe that a record was taken. Input
below its positions is skipped: they are the truth, whatever offsets a consumer group remembers.

Every error of the producer ends the process, so nothing here tries again.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from profiles.linker import Linker
from profiles.rows import Rows
from schemas import codec
from schemas.instant import HOUR, SECOND
from schemas.keys import profile_id
from schemas.messages import Forward, Message
from stream.core.envelope import envelopes
from stream.core.home import Effects, Home
from stream.core.lanestats import AGE_BOUNDS, LaneStats
from stream.core.owners import LINES, LINKS, HomeLane, LinkerLane, Origin, Part, Sent, Unreadable, gather, parts
from stream.core.plan import Plan
from stream.kafka.cluster import Cluster
from stream.kafka.lanestore import POSITIONS, LaneStore, Memory, Reached
from stream.kafka.recovery import bounds, first_offsets, reader, recovered
from stream.kafka.transactions import Entry, Log, Transactions

WAKES = 500
"""Due timers taken into one run."""
FEW = 4
"""Lines between two turns of others while no further run waits: every answer that another lane's commit or a customer's
query needs comes that much later. With a backlog nobody waits for a line, and there are `LINES`."""
LOOK = 0.1
"""Seconds after which an idle lane looks whether a timer is due."""
FULL_RECORDS = 100
FULL_BYTES = 4 << 20
"""A lane that has so much waiting is fed no more until half of it is done."""

Clock = Callable[[], int]
"""Microseconds."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a lane owns."""

    name: str
    """As in transactional ids and folders: `lane-3`, `linker`."""
    partition: int
    inputs: tuple[str, ...]
    rows: str
    """The topic of its changelog."""


LINKER = Ownership("linker", 0, (LINKS,), "linker-rows")


def home(partition: int) -> Ownership:
    """The lane of a partition."""
    return Ownership(f"lane-{partition}", partition, ("events", "internal"), "rows")


class _Run:
    """Records taken together, and what came of them."""

    def __init__(self) -> None:
        self.records: list[tuple[Origin, bytes | None, int]] = []
        self.refused: dict[Origin, set[int]] = {}
        self.woken: list[Sent] = []
        self.clear()

    def clear(self) -> None:
        self.effects = Effects()
        """All but the facts."""
        self.facts: list[bytes] = []
        """Encoded. A thousand decoded events would be larger than any cache, and slow to make and to let go of."""
        self.newest_event = 0
        """When the last of them was accepted."""
        self.sent: list[Sent] = []
        self.received: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()

    def refuse(self, origin: Origin, failed: Unreadable) -> None:
        """Raises what is given where the line had been refused already and cannot be the reason."""
        lines = self.refused.setdefault(origin, set())
        if failed.line in lines:
            raise failed
        lines.add(failed.line)


class Lane:
    """Fence, open, run, close; in this order, each once."""

    def __init__(
        self, owns: Ownership, cluster: Cluster, plan: Plan, clock: Clock, memory: Memory, turn: asyncio.Lock
    ) -> None:
        self.owns = owns
        self.stats = LaneStats()
        self.inputs = {topic: (cluster.topic(topic), owns.partition) for topic in owns.inputs}
        """Input topic -> its log."""
        self.positions: dict[str, int] = {}
        """Input topic -> the next offset, as committed; empty until the lane is open."""
        self.store: LaneStore | None = None
        """Committed rows, to read; None until the lane is open."""
        self._cluster = cluster
        self._plan = plan
        self._clock = clock
        self._memory = memory
        self._turn = turn
        self._transactions = Transactions(cluster, owns.name)
        self._changelog: Log = (cluster.topic(owns.rows), owns.partition)
        self._reached = Reached(0, 0)
        self._next: dict[str, int] = {}
        self._inbox: deque[tuple[Origin, bytes | None]] = deque()
        self._inbox_bytes = 0
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        """Set when a whole run waits, or none is wanted any more."""
        self._stopping = False
        self.fed: Callable[[bool], None] = lambda _: None
        """Called with False when the lane has enough waiting, with True when it wants more."""
        self._wants_more = True
        self._committed_at = 0.0
        """When the last commit was done, by the monotonic clock."""

    # --- opening ----------------------------------------------------------------------------------------------------

    async def fence(self) -> None:
        """Shuts older owners out. Raises Fenced."""
        await self._transactions.fence()

    async def open(self) -> None:
        """Brings the rows up to date and finds the positions. Raises ClusterError or DataFolderError."""
        async with reader(self._cluster) as consumer:
            store = await recovered(consumer, self._changelog, self._folder, self._memory, _wall(), self._note_recovery)
            self.store = store
            found = await bounds(consumer, list(self.inputs.values()))
        self._reached = store.reached or self._reached
        self.positions = first_offsets(self.inputs, store.positions, found)
        self._next = dict(self.positions)
        self._owner = self._own(store)
        self.stats.positions = self.positions
        self.stats.timers = self._owner.pending
        self.stats.open = True

    @property
    def _folder(self) -> Path:
        return self._cluster.data / "lanes" / f"{self._cluster.consumer_group}-{self.owns.name}"

    def _note_recovery(self, done: int, total: int) -> None:
        self.stats.recovery_done, self.stats.recovery_total = done, total

    def _own(self, store: LaneStore) -> HomeLane | LinkerLane:
        partitions = self._cluster.partitions
        if self.owns is LINKER:
            return LinkerLane(Linker(store, self._plan.identity), partitions)
        rows = Rows(store, self._memory.rows)
        partition = self.owns.partition
        return HomeLane(Home(rows, self._plan, partition, partitions), rows, store, partition, partitions)

    # --- input ------------------------------------------------------------------------------------------------------

    def put(self, topic: str, offset: int, record: bytes | None) -> None:
        """A record has been delivered; it is taken as soon as there is time."""
        self._inbox.append((Origin(topic, self.owns.partition, offset), record))
        self._inbox_bytes += len(record or b"")
        self._arrived.set()
        if self._is_behind:
            self._enough.set()
        if self._wants_more and (len(self._inbox) >= FULL_RECORDS or self._inbox_bytes >= FULL_BYTES):
            self._wants_more = False
            self.fed(False)

    @property
    def _is_behind(self) -> bool:
        """Whether a whole run waits."""
        return len(self._inbox) >= self._cluster.commit_records

    def _next_record(self) -> tuple[Origin, bytes | None]:
        origin, record = self._inbox.popleft()
        self._inbox_bytes -= len(record or b"")
        if not self._wants_more and len(self._inbox) * 2 <= FULL_RECORDS and self._inbox_bytes * 2 <= FULL_BYTES:
            self._wants_more = True
            self.fed(True)
        return origin, record

    # --- running ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Takes what arrives and what is due, commit after commit, until it is told to stop. Raises Fenced."""
        while not self._stopping:
            if not self._inbox and not self._is_due():
                await self._wait()
                continue
            await self._gather()
            async with self._turn:
                run = await self._take_run()
            if run.records or run.sent:
                await self._commit(run)

    async def _gather(self) -> None:
        """Lets more arrive for a while after a commit: a transaction costs about the same whatever it holds."""
        rest = self._committed_at + self._cluster.commit_ms / 1_000 - time.monotonic()
        if rest > 0 and not self._is_behind and not self._stopping:
            self._enough.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._enough.wait()

    def stop(self) -> None:
        """Nothing more is taken; `run` returns once what has been taken is committed."""
        self._stopping = True
        self._arrived.set()
        self._enough.set()

    async def close(self) -> None:
        """Lets go of the rows at once, then of the producer. What was not committed never happened."""
        store, self.store = self.store, None
        self.stats.open = False
        if store is not None:
            store.close()
        await self._transactions.close()

    def _is_due(self) -> bool:
        due = self._owner.due()
        return due is not None and due <= self._clock()

    async def _wait(self) -> None:
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await self._arrived.wait()
        if self.store is not None and _wall() - self._reached.at > HOUR:
            self._reached = self._reached._replace(at=_wall())
            self.store.write((), self._reached)

    async def _take_run(self) -> _Run:
        """As many records as belong into one commit. Others do small things between two, other lanes nothing."""
        run = _Run()
        started = time.monotonic()
        self._wake(run)
        while self._inbox and len(run.records) < self._cluster.commit_records and not self._stopping:
            origin, record = self._next_record()
            if origin.offset < self._next[origin.topic]:
                continue
            self._next[origin.topic] = origin.offset + 1
            await self._take(run, origin, record)
            if (time.monotonic() - started) * 1_000 >= self._cluster.commit_ms:
                break
        self.stats.step_seconds += time.monotonic() - started
        self.stats.waiting = len(self._inbox)
        return run

    def _wake(self, run: _Run) -> None:
        """Time passing is just another record: a message to this lane itself."""
        now = self._clock()
        log = f"internal/{self.owns.partition}"
        while len(run.woken) < WAKES and (due := self._owner.due()) is not None and due <= now:
            run.woken.append((log, self._owner.wake()))
        run.sent += run.woken
        due = self._owner.due()
        self.stats.timers_late = max(0.0, (now - due) / SECOND) if due is not None else 0.0

    async def _take(self, run: _Run, origin: Origin, record: bytes | None) -> None:
        now = self._clock()
        run.records.append((origin, record, now))
        try:
            for part in parts(record, LINES if self._is_behind else FEW):
                self._step(run, origin, part, now)
                await _others()
        except Unreadable as error:
            run.refuse(origin, error)
            self._take_again(run)

    def _take_again(self, run: _Run) -> None:
        """A step failed half-way: everything since the last commit is done anew, without the line that it failed at."""
        assert self.store is not None
        done = False
        while not done:
            self._owner = self._own(self.store)
            run.clear()
            run.sent += run.woken
            try:
                for origin, record, now in run.records:
                    for part in parts(record):
                        self._step(run, origin, part, now)
                done = True
            except Unreadable as error:
                run.refuse(origin, error)

    def _step(self, run: _Run, origin: Origin, part: Part, now: int) -> None:
        effects, sent = self._owner.step(part, now, origin, run.refused.get(origin, ()))
        facts, effects.facts = effects.facts, []
        gather(run.effects, effects)
        run.sent += sent
        if facts:
            run.facts += map(codec.encode, facts)
            run.newest_event = facts[-1].received_at
        lines = len(part.lines)
        run.received[origin.topic] += lines
        if origin.topic == "events":
            run.refusals[origin.topic] += lines - len(facts) - effects.duplicate
        else:
            run.refusals[origin.topic] += len(effects.rejected)

    # --- committing -------------------------------------------------------------------------------------------------

    async def _commit(self, run: _Run) -> None:
        """One transaction, one local write; nothing of it exists before the first, all of it after."""
        store = self.store
        assert store is not None
        started = time.monotonic()
        positions = dict(self._next)
        rows = {**self._owner.changes(), POSITIONS: orjson.dumps(positions)}
        await _others()
        entries = self._entries(run)
        entries[self._changelog] = rows.items()
        await _others()
        ends = await self._transactions.commit(entries)
        self._reached = Reached(ends[self._changelog], _wall())
        store.write(rows.items(), self._reached)
        self.positions = self.stats.positions = positions
        self._count(run, rows)
        self._committed_at = time.monotonic()
        self.stats.commit_seconds += self._committed_at - started

    def _entries(self, run: _Run) -> dict[Log, Iterable[Entry]]:
        effects = run.effects
        outputs: dict[str, list[Entry]] = {
            "facts": [(None, record) for record in envelopes(run.facts)],
            "triggers": [_keyed(each.profile_id, each) for each in effects.triggers],
            "decisions": [_keyed(each.profile_id, each) for each in effects.decisions],
            "identity": [_keyed(profile_id(each.winner), each) for each in effects.identity],
            "rejected": [(None, codec.encode(each)) for each in effects.rejected],
        }
        entries: dict[Log, Iterable[Entry]] = {
            (self._cluster.topic(topic), self.owns.partition): each for topic, each in outputs.items() if each
        }
        for log in dict.fromkeys(log for log, _ in run.sent):
            topic, _, partition = log.partition("/")
            messages = [message for to, message in run.sent if to == log]
            records = envelopes(map(codec.encode, messages))
            entries[self._cluster.topic(topic), int(partition or 0)] = [(None, each) for each in records]
        return entries

    def _count(self, run: _Run, rows: Mapping[bytes, bytes | None]) -> None:
        stats, effects = self.stats, run.effects
        stats.received.update(run.received)
        stats.applied += len(run.facts)
        stats.duplicate += effects.duplicate
        stats.rejected.update(run.refusals)
        stats.late += effects.late
        stats.forwarded += sum(isinstance(message, Forward) for _, message in run.sent)
        stats.merges += sum(each.kind == "merge" for each in effects.identity)
        stats.triggers += len(effects.triggers)
        stats.decisions += len(effects.decisions)
        stats.rows += len(rows)
        stats.row_bytes += sum(map(len, rows)) + sum(map(len, filter(None, rows.values())))
        stats.commits += 1
        stats.timers = self._owner.pending
        if run.facts:
            stats.newest_event = run.newest_event
            age = max(0, self._clock() - stats.newest_event) / SECOND
            stats.ages[bisect_left(AGE_BOUNDS, age)] += 1
            stats.ages_sum += age
        for refused in effects.rejected:
            stats.stages[refused.stage] = stats.stages.get(refused.stage, 0) + 1


async def _others() -> None:
    """Gives others a turn of the loop."""
    await asyncio.sleep(0)


def _keyed(key: str, message: Message) -> Entry:
    return key.encode(), codec.encode(message)


def _wall() -> int:
    """The age of a local copy is a matter of wall time, whatever the lane's clock shows."""
    return time.time_ns() // 1_000

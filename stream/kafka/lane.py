"""One partition with everything it owns: its rows, its input positions, its outputs and its transactional producer.

A lane takes a batch of records, steps each, and commits rows, positions and everything emitted in one transaction, then
in one local write. Only then does the next batch begin, and only then may anybody believe that a record was taken.
Input below its positions is skipped: they are the truth, whatever offsets a consumer group remembers.

Every error of the producer ends the process, so nothing here tries again.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import orjson

from profiles.linker import Linker
from profiles.rows import Rows
from schemas.errors import ClusterError
from schemas.instant import HOUR, SECOND
from schemas.messages import Event, Forward
from stream.clock import wall_now
from stream.core.batch import Batch
from stream.core.expiry import Expiry
from stream.core.home import Home
from stream.core.lanestats import AGE_BOUNDS, LaneStats
from stream.core.outbox import Entry, Outbox
from stream.core.owners import LINES_PER_PART, HomeLane, LinkerLane, Origin, Owner
from stream.core.plan import Plan
from stream.core.timers import Timers
from stream.core.waits import rules_known
from stream.core.watermark import Watermark
from stream.kafka.cluster import Cluster
from stream.kafka.inbox import Inbox
from stream.kafka.lanestore import POSITIONS, LaneStore, Memory, Reached
from stream.kafka.ownership import LINKER, Ownership
from stream.kafka.recovery import bounds, first_offsets, reader, recovered
from stream.kafka.transactions import Log, Transactions

MAX_WAKES = 500
"""Due timers taken into one batch."""
LINES_PER_TURN = 4
"""Lines between two turns of others while no further batch waits: every answer that another lane's commit or a
customer's query needs comes that much later. With a backlog nobody waits for a line, and there are `LINES_PER_PART`."""
IDLE_INTERVAL = 0.1
"""Seconds after which an idle lane looks around."""

Clock = Callable[[], int]
"""Microseconds."""


class Lane:
    """Fence, open, run, close; in this order, each once."""

    def __init__(
        self, owns: Ownership, cluster: Cluster, plan: Plan, clock: Clock, memory: Memory, turn: asyncio.Lock
    ) -> None:
        self.owns = owns
        self.stats = LaneStats()
        self.inputs = {topic: (cluster.topic(topic), owns.partition) for topic in owns.inputs}
        """Input topic -> its log."""
        self.store: LaneStore | None = None
        """Committed rows, to read; None until the lane is open."""
        self._cluster = cluster
        self._plan = plan
        self._clock = clock
        self._memory = memory
        self._turn = turn
        self._transactions = Transactions(cluster, owns.name)
        self._changelog: Log = (cluster.topic(owns.rows), owns.partition)
        self.inbox = Inbox(cluster.commit_records)
        self._reached = Reached(0, 0)
        self._next: dict[str, int] = {}
        self._stopping = False
        self._committed_at = 0.0
        """When the last commit was done, by the monotonic clock."""

    # --- opening ----------------------------------------------------------------------------------------------------

    async def fence(self) -> None:
        """Shuts older owners out. Raises Fenced."""
        await self._transactions.fence()

    async def open(self) -> None:
        """Brings the rows up to date and finds the positions. Raises ClusterError or DataFolderError."""
        async with reader(self._cluster) as consumer:
            store = await recovered(
                consumer, self._changelog, self._folder, self._memory, wall_now(), self._note_recovery
            )
            self.store = store
            found = await bounds(consumer, list(self.inputs.values()))
        self._check_rules(store)
        self._reached = store.reached or self._reached
        self._next = first_offsets(self.inputs, store.positions, found)
        self._batch = Batch(lambda: self._owner(store), Outbox, self.owns.partition)
        self.stats.positions = dict(self._next)
        self._count_timers()
        self.stats.open = True

    def _check_rules(self, store: LaneStore) -> None:
        """A worker that was started without its rules would let go of everybody who waits."""
        if not self._plan.rules.rules and (known := rules_known(store)):
            raise ClusterError(
                f"customers wait under {known} {'rule' if known == 1 else 'rules'}, and this worker has none."
                " Start it with --plan DIR; to end a rule, set its status to draft."
            )

    @property
    def positions(self) -> Mapping[str, int]:
        """Input topic -> the next offset, as committed; empty until the lane is open."""
        return self.stats.positions

    @property
    def watermark(self) -> Watermark | None:
        """Its owner's, once the lane is open; the linker has none."""
        return self._batch.owner.watermark if self.stats.open else None

    @property
    def _folder(self) -> Path:
        return self._cluster.data / "lanes" / f"{self._cluster.consumer_group}-{self.owns.name}"

    def _note_recovery(self, done: int, total: int) -> None:
        self.stats.recovery_done, self.stats.recovery_total = done, total

    def _owner(self, store: LaneStore) -> Owner:
        """An owner of the rows as they were committed."""
        plan, partition, partitions = self._plan, self.owns.partition, self._cluster.partitions
        if self.owns is LINKER:
            return LinkerLane(Linker(store, plan.identity), partitions)
        rows = Rows(store, self._memory.rows)
        timers = Timers(store.scan(b"w"))
        return HomeLane(
            Home(rows, plan, timers, partition, partitions),
            rows,
            Expiry(rows, store, plan.identity.forget_after),
            Watermark(timers, plan.allow_late_input, self._clock()),
            partition,
            partitions,
        )

    # --- input ------------------------------------------------------------------------------------------------------

    def put(self, topic: str, offset: int, record: bytes | None) -> None:
        """A record has been delivered; it is taken as soon as there is time."""
        self.inbox.put(Origin(topic, self.owns.partition, offset), record)

    # --- running ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Takes what arrives and what is due, commit after commit, until it is told to stop. Raises Fenced."""
        while not self._stopping:
            if not self.inbox and not self._has_wakes:
                await self._wait()
                continue
            rest = self._committed_at + self._cluster.commit_ms / 1_000 - time.monotonic()
            if rest > 0 and not self.inbox.is_behind:
                # A transaction costs about the same whatever it holds.
                await self.inbox.gather(rest)
            async with self._turn:
                await self._take_batch()
            if not self._batch.empty:
                await self._commit()

    def stop(self) -> None:
        """Nothing more is taken; `run` returns once what has been taken is committed."""
        self._stopping = True
        self.inbox.stop()

    async def close(self) -> None:
        """Lets go of the rows at once, then of the producer. What was not committed never happened."""
        store, self.store = self.store, None
        self.stats.open = False
        if store is not None:
            store.close()
        await self._transactions.close()

    @property
    def _has_wakes(self) -> bool:
        watermark = self._batch.owner.watermark
        return watermark is not None and bool(watermark.ready)

    async def _wait(self) -> None:
        await self.inbox.wait(IDLE_INTERVAL)
        if self.store is not None and wall_now() - self._reached.at > HOUR:
            self._reached = self._reached._replace(at=wall_now())
            self.store.write((), self._reached)

    async def _take_batch(self) -> None:
        """As many records as belong into one commit. Others do small things between two, other lanes nothing."""
        batch = self._batch
        started = time.monotonic()
        batch.wake(MAX_WAKES)
        while self.inbox and batch.taken < self._cluster.commit_records and not self._stopping:
            origin, record = self.inbox.next()
            if origin.offset < self._next[origin.topic]:
                continue
            self._next[origin.topic] = origin.offset + 1
            lines = LINES_PER_PART if self.inbox.is_behind else LINES_PER_TURN
            for _ in batch.take(origin, record, self._clock(), lines):
                await _others()
            if (time.monotonic() - started) * 1_000 >= self._cluster.commit_ms:
                break
        self.stats.step_seconds += time.monotonic() - started
        self.stats.waiting = len(self.inbox)

    # --- committing -------------------------------------------------------------------------------------------------

    async def _commit(self) -> None:
        """One transaction, one local write; nothing of it exists before the first, all of it after."""
        store = self.store
        assert store is not None
        started = time.monotonic()
        positions = dict(self._next)
        changed, outbox = self._batch.done(self._clock())
        rows = {**changed, POSITIONS: orjson.dumps(positions)}
        await _others()
        entries: dict[Log, Iterable[Entry]] = {
            (self._cluster.topic(to.topic), to.partition): each
            for to, each in outbox.entries(self.owns.partition).items()
        }
        entries[self._changelog] = rows.items()
        await _others()
        ends = await self._transactions.commit(entries)
        self._reached = Reached(ends[self._changelog], wall_now())
        store.write(rows.items(), self._reached)
        self.stats.positions = positions
        self._count(outbox, rows)
        self._committed_at = time.monotonic()
        self.stats.commit_seconds += self._committed_at - started

    def _count(self, outbox: Outbox, rows: Mapping[bytes, bytes | None]) -> None:
        stats, effects = self.stats, outbox.effects
        stats.received.update(effects.received)
        stats.applied += len(outbox.facts)
        stats.duplicate += effects.duplicate
        stats.rejected.update(effects.refused)
        stats.late += effects.late
        stats.unreadable += effects.unreadable
        stats.forwarded += sum(isinstance(message, Forward | Event) for _, message in effects.sent)
        stats.merges += sum(each.kind == "merge" for each in effects.identity)
        stats.triggers += len(effects.triggers)
        stats.decisions.update(each.verdict for each in effects.decisions)
        stats.rows += len(rows)
        stats.row_bytes += sum(map(len, rows)) + sum(map(len, filter(None, rows.values())))
        stats.commits += 1
        self._count_timers()
        if outbox.facts:
            stats.newest_event = outbox.newest_event
            age = max(0, self._clock() - stats.newest_event) / SECOND
            stats.ages[bisect_left(AGE_BOUNDS, age)] += 1
            stats.ages_sum += age
        for refused in effects.rejected:
            stats.stages[refused.stage] = stats.stages.get(refused.stage, 0) + 1

    def _count_timers(self) -> None:
        watermark, stats = self._batch.owner.watermark, self.stats
        if watermark is None:
            return
        stats.timers, stats.standing = len(watermark), len(watermark.standing)
        late = self._clock() - watermark.next if watermark.next is not None else 0
        stats.timers_late = max(0.0, late / SECOND)


async def _others() -> None:
    """Gives others a turn of the loop."""
    await asyncio.sleep(0)

"""How far the readers of a cluster's topics are: how much they lag, and which partitions stand still.

Part of the doctor: it looks several times within some seconds, reads, and changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rapport.doctor.local import Finding, Verdict, listed
from schemas.topics import OUTPUTS
from stream.kafka.clients import connection
from stream.kafka.cluster import Cluster

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, TopicPartition
    from kafka.consumer.fetcher import ConsumerRecord

INPUTS = ("events", "internal", "links")
WATCHED, WATCHED_LONG = 2.0, 8.0
"""Seconds: lanes report their positions twice a second, sinks after each write, every five seconds."""
OBSERVATION_SECONDS = 3.0
"""Seconds for which it is looked whether there is anything to take."""
MAX_LAG, MAX_AGE = 100_000, 60.0
"""Events, or rows of sinks, and seconds: a lag above either is warned of."""
LOOKING: Mapping[str, Any] = {
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "max_partition_fetch_bytes": 64 * 1024,
    "metrics_enabled": False,
}
"""A consumer that looks whether there is anything to take."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Offsets of all partitions of some topics, at one moment."""

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    stable: Mapping[TopicPartition, int]
    """Before the first open transaction."""
    committed: Mapping[TopicPartition, int]
    """By the groups of workers and sinks."""

    def taken(self, at: TopicPartition) -> int:
        """Where its reader goes on."""
        return max(self.committed.get(at, 0), self.starts[at])

    def lag(self, at: TopicPartition) -> int:
        """Offsets not taken yet, markers of transactions and what was aborted included."""
        return max(0, self.ends[at] - self.taken(at))


class _Waiting(NamedTuple):
    """What a reader has not taken of a partition."""

    lines: int
    """Events, messages or rows: a record holds one to fifty. Estimated from the first ones where there are many."""
    since: float | None
    """When the first was appended, seconds since 1970; None behind an open transaction."""


def _standing(before: _Seen, now: _Seen) -> list[TopicPartition]:
    """Partitions of which nothing was taken in between though something was left."""
    return [at for at in now.ends if before.lag(at) and now.lag(at) and now.taken(at) == before.taken(at)]


def _ahead(first: Sequence[ConsumerRecord], end: int) -> _Waiting:
    """By the first records of what waits, up to an offset."""
    lines = sum(record.value.count(b"\n") + 1 for record in first if record.value)
    seen, rest = first[-1].offset + 1 - first[0].offset, end - first[-1].offset - 1
    return _Waiting(lines + round(rest * lines / seen), first[0].timestamp / 1_000)


class Flow:
    """`counts`: how many partitions each topic of the topic table has that exists."""

    def __init__(self, client: KafkaAdminClient, cluster: Cluster, counts: Mapping[str, int]) -> None:
        self._client = client
        self._cluster = cluster
        self._counts = counts

    def findings(self) -> Iterator[Finding]:
        """Lag of workers and sinks, partitions that stand still, records that expired untaken. Raises KafkaError."""
        started = time.monotonic()
        before = now = self._look()
        while time.monotonic() - started < (WATCHED_LONG if _standing(before, now) else WATCHED):
            time.sleep(1)
            now = self._look()
        waiting = self._waiting(now)
        for who, of, topics in (("workers", "events", INPUTS), ("sinks", "rows", OUTPUTS)):
            yield self._lag(waiting, who, of, topics)
        yield from self._stuck(before, now, waiting)
        yield from self._lost(now)

    def _lag(self, waiting: Mapping[TopicPartition, _Waiting], who: str, of: str, topics: tuple[str, ...]) -> Finding:
        found = {name: [waiting[at] for at in self._partitions(name) if at in waiting] for name in topics}
        by_topic = {name: sum(each.lines for each in there) for name, there in found.items()}
        since = [each.since for there in found.values() for each in there if each.since is not None]
        lines, age = sum(by_topic.values()), time.time() - min(since) if since else 0.0
        told = f"{who}: {lines:,} {of} behind"
        if lines:
            told += f", the oldest for {max(0.0, age):,.0f} s, most in {max(by_topic, key=by_topic.__getitem__)}"
        if lines <= MAX_LAG and age <= MAX_AGE:
            return Finding("lag", Verdict.ok, told)
        more = "rapport_step_seconds_total shows whether they are busy; add a process, up to one a partition"
        return Finding("lag", Verdict.warn, told, more)

    def _stuck(self, before: _Seen, now: _Seen, waiting: Mapping[TopicPartition, object]) -> Iterator[Finding]:
        stuck = []
        for at in _standing(before, now):
            if at in waiting:
                open_ = now.stable[at] < now.ends[at] and now.stable[at] == before.stable[at]
                stuck.append(f"{at.topic}/{at.partition}" + (" behind an open transaction" if open_ else ""))
        if stuck:
            advice = "see /ready and the log of who has it; an open transaction ends by itself within 10 s"
            yield Finding("stuck", Verdict.fail, f"not moving: {listed(stuck)}", advice)
        else:
            yield Finding("stuck", Verdict.ok, "no partition")

    def _lost(self, now: _Seen) -> Iterator[Finding]:
        gone = [f"{at.topic}/{at.partition}" for at, taken in now.committed.items() if taken < now.starts.get(at, 0)]
        if gone:
            yield Finding(
                "lag",
                Verdict.fail,
                f"records expired before they were taken: {listed(gone)}",
                "their reader stops and says what is possible; keep topics for longer",
            )

    def _look(self) -> _Seen:
        from kafka.admin import OffsetSpec
        from kafka.protocol.consumer import IsolationLevel

        every = [at for name in (*INPUTS, *OUTPUTS) for at in self._partitions(name)]

        def offsets(spec: Any, **more: Any) -> dict[TopicPartition, int]:
            found = self._client.list_partition_offsets(dict.fromkeys(every, spec), **more)
            return {at: each.offset for at, each in found.items()}

        committed: dict[TopicPartition, int] = {}
        for group in (self._cluster.consumer_group, self._cluster.sink_group):
            found = self._client.list_group_offsets(group)[group]
            committed |= {at: each.offset for at, each in found.items() if at in set(every)}
        return _Seen(
            offsets(OffsetSpec.EARLIEST),
            offsets(OffsetSpec.LATEST),
            offsets(OffsetSpec.LATEST, isolation_level=IsolationLevel.READ_COMMITTED),
            committed,
        )

    def _waiting(self, now: _Seen) -> dict[TopicPartition, _Waiting]:
        """Partitions that hold something to take, not only markers and aborted records; or an open transaction."""
        from kafka import KafkaConsumer
        from kafka.errors import UnsupportedCodecError

        unclear = {at for at in now.ends if now.taken(at) < now.stable[at]}
        waiting = {at: _Waiting(now.lag(at), None) for at in now.ends if now.stable[at] < now.ends[at]}
        if not unclear:
            return waiting
        with closing(KafkaConsumer(**connection(self._cluster), **LOOKING)) as consumer:
            consumer.assign(sorted(unclear))
            for at in unclear:
                consumer.seek(at, now.taken(at))
            until = time.monotonic() + OBSERVATION_SECONDS
            while unclear and time.monotonic() < until:
                try:
                    polled = consumer.poll(timeout_ms=200)
                except UnsupportedCodecError:  # told by the check of topics
                    break
                for at in polled.keys() & unclear:
                    waiting[at] = _ahead(polled[at], now.stable[at])
                unclear -= {at for at in unclear if at in polled or (consumer.position(at) or 0) >= now.stable[at]}
        return waiting | {at: _Waiting(now.lag(at), None) for at in unclear}

    def _partitions(self, name: str) -> list[TopicPartition]:
        from kafka import TopicPartition

        return [TopicPartition(self._cluster.topic(name), number) for number in range(self._counts.get(name, 0))]

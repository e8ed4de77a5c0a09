"""The consumer: what the lanes put out, from Kafka into the chains of the lake, each record once.

Any number of processes share the work. The group deals the partitions out and decides nothing else: a partition is
read from where its manifest ends, and written by whoever holds its lock, so neither a late rebalance nor a frozen
process that wakes up again can make two write one chain. Only committed transactions are seen. The consumer must never
skip a record: only lanes write these topics, so one that cannot be read, or that is gone before it was read, ends the
process and says which.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, OffsetOutOfRangeError, RetriableError

from schemas.errors import ClusterError
from schemas.topics import OUTPUTS
from sinks.columns import records
from sinks.columns.rows import record_batch
from sinks.kafka.group import Group
from sinks.kafka.ownership import Ownership
from sinks.lake import compaction
from sinks.lake.chain import Chain
from sinks.lake.durable import Standing

FLUSH_ROWS = 25_000
"""A chain is written when it has taken so many rows."""
FLUSH_BYTES = 64 << 20
"""All chains are written when their rows hold so much memory together."""
FLUSH_INTERVAL = 5.0
"""Seconds after which all chains are written, whatever they hold."""
COMPACT_FILES = 32
"""Small files of a chain that are worth merging."""
SWEEP_INTERVAL = 300.0
"""Seconds between two looks for files that nothing reads any more."""

log = logging.getLogger("rapport.sink")


@dataclass(slots=True)
class Tally:
    """What a consumer has done since it started. Plain numbers, for whoever reports them."""

    records: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTPUTS, 0))
    """By topic, those that are in the lake."""
    flushes: int = 0
    compacted: int = 0
    """Rows that compaction rewrote."""
    deleted: int = 0
    """Files that compaction had replaced, or that a crash had left."""
    assigned: int = 0
    """Partitions held now."""
    beat: float = field(default_factory=time.monotonic)
    """When the last turn ended, by the monotonic clock; at first, when the consumer was made."""


class Consumer:
    """One member of the sinks' group. Use it as a context manager: leaving it well writes what was taken."""

    def __init__(self, lake_root: Path, names: Mapping[str, str], group: str, connection: Mapping[str, Any]) -> None:
        """`names`: the full name of each output topic; `connection`: kafka-python's settings of the cluster.

        Raises ClusterError where the cluster cannot be reached or lacks a topic.
        """
        self.tally = Tally()
        self._standing = Standing(lake_root)
        self._ownership = Ownership(lake_root, {name: topic for topic, name in names.items()})
        self._flushed_at = self._swept_at = time.monotonic()
        try:
            self._group = Group(group, names.values(), connection)
            missing = self._group.missing_topics()
        except KafkaError as error:
            raise ClusterError(
                f"The brokers do not answer ({error}). Check their addresses and the security."
            ) from error
        if missing:
            self._group.close()
            raise ClusterError(f"The cluster lacks {', '.join(missing)}. Run `rapport topics create`.")

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            with suppress(KafkaError):
                self._group.close()
            self._ownership.release_all()

    @property
    def joined(self) -> bool:
        """Whether the group has dealt out its partitions once."""
        return self._group.assigned_once

    def missing(self) -> list[str]:
        """What keeps it from its work, a sentence each."""
        if not self._group.assigned_once:
            return ["the group has not dealt out its partitions yet"]
        waiting = sorted(self._ownership.waiting)
        return [f"{topic}-{number} is still held by another sink" for topic, number in waiting]

    def turn(self, wait: float = 0.5) -> None:
        """Takes what there is, waiting for up to `wait` seconds, and writes what is due.

        Raises ClusterError, FolderUnwritable or DataFolderError; what is in the lake then is whole, and a consumer that
        is started again goes on behind it. Where the lake's folder was deleted, nothing is made anew.
        """
        self._standing.check()
        try:
            with _as_cluster_error():
                for partition, polled in self._group.poll(wait).items():
                    if partition in self._ownership.owned:
                        self._append(partition, polled)
                self._follow_assignment()
        except RetriableError as error:
            log.warning("Kafka: %s; trying again", error)
            self._group.read_again()
        chains = [owned.chain for owned in self._ownership.owned.values()]
        now = time.monotonic()
        if now - self._flushed_at >= FLUSH_INTERVAL or sum(chain.bytes for chain in chains) >= FLUSH_BYTES:
            self.flush()
            self._compact()
        self.tally.beat = time.monotonic()

    def flush(self) -> None:
        """Writes everything taken. Raises FolderUnwritable or DataFolderError."""
        self._standing.check()
        for partition, owned in self._ownership.owned.items():
            self._append_markers(partition, owned.chain)
            self._write(owned.chain)
        self._flushed_at = time.monotonic()
        self._group.commit({partition: owned.chain.next_offset for partition, owned in self._ownership.owned.items()})

    def sweep(self, published: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        """Deletes files that nothing has read for a while, now and then.

        `published` tells the compactions, by topic and partition, that the publication of today was built from.
        """
        now = time.monotonic()
        if now - self._swept_at < SWEEP_INTERVAL:
            return
        self._swept_at = now
        compactions = published()
        for owned in self._ownership.owned.values():
            seen = compactions.get((owned.chain.topic, owned.chain.partition), 0)
            self.tally.deleted += compaction.sweep(owned.chain, seen, time.time())

    def _follow_assignment(self) -> None:
        """Writes and lets go of what went away, opens what came."""
        assigned, owned = self._group.assignment(), self._ownership.owned
        for partition in [*owned]:
            if partition not in assigned:
                self._write(owned[partition].chain)
                self._ownership.release(partition)
        self._standing.check()
        self._ownership.acquire([each for each in self._group.unread if each not in owned], self._group.bounds)
        for partition in [*self._group.unread]:
            if partition in owned:
                self._group.read_from(partition, owned[partition].chain.expected)
        self.tally.assigned = len(owned)

    def _append(self, partition: TopicPartition, polled: Sequence[ConsumerRecord]) -> None:
        chain = self._ownership.owned[partition].chain
        for chunk in records.chunks([record for record in polled if record.offset >= chain.expected]):
            chain.append(chain.expected, chunk[-1].offset + 1, records.rows(chain.topic, chunk))
            self.tally.records += len(chunk)
            if chain.rows >= FLUSH_ROWS:
                self._write(chain)

    def _append_markers(self, partition: TopicPartition, chain: Chain) -> None:
        """Behind the last record lie markers of transactions and what was aborted: read, too, without a row.

        Without it a partition that falls silent would seem to have lost records when retention takes its last ones.
        """
        position = self._group.position(partition)
        if position is not None and position > chain.expected:
            chain.append(chain.expected, position, record_batch(chain.topic, []))

    def _write(self, chain: Chain) -> None:
        rows = chain.rows
        chain.flush()
        self.tally.rows[chain.topic] += rows
        self.tally.flushes += bool(rows)

    def _compact(self) -> None:
        """One round for one chain: the others' records wait meanwhile."""
        for owned in self._ownership.owned.values():
            if rewritten := compaction.compact_round(owned.chain, at_least=COMPACT_FILES):
                self.tally.compacted += rewritten
                return


@contextmanager
def _as_cluster_error() -> Iterator[None]:
    """What Kafka's client raises, in a sentence. What passes by itself is left to the next turn."""
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise ClusterError(
            f"Retention took records before they were read ({error}). Keep topics for longer, run more sinks,"
            " and name another data folder with --data."
        ) from error
    except RetriableError:
        raise
    except KafkaError as error:
        raise ClusterError(f"Kafka refused: {error}. Check the brokers and the settings, then start again.") from error

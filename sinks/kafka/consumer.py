"""The consumer: what the lanes put out, from Kafka into the chains of the lake, each record once.

Any number of processes share the work. The consumer group deals the partitions out and decides nothing else: a
partition is read from where its manifest ends, and written by whoever holds its lock, so neither a late rebalance nor a
frozen process that wakes up again can make two write one chain. Offsets committed to the group are for lag tools; they
are never read. Only committed transactions are seen. It must never skip a record: only lanes write these topics, so one
that cannot be read, or that is gone before it was read, ends the process and says which.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, OffsetOutOfRangeError, RetriableError
from kafka.structs import OffsetAndMetadata

from schemas.errors import ClusterError
from schemas.topics import OUTPUTS
from sinks.columns import records
from sinks.columns.rows import batch
from sinks.lake import compaction, locks
from sinks.lake.chain import Chain
from sinks.lake.compaction import Leftovers
from sinks.lake.locks import Lock

FLUSH_ROWS = 25_000
"""A chain is written when it has taken so many rows."""
FLUSH_BYTES = 64 << 20
"""All chains are written when their rows hold so much memory together."""
FLUSH_AFTER = 5.0
"""Seconds after which all chains are written, whatever they hold."""
MANY_FILES = 32
"""Small files of a chain that are worth merging."""
REFUSED_OFTEN = 2
"""Offsets that the group refused in a row before the sink joins anew."""
SWEEP_AFTER = 300.0
GRACE = 900.0
"""Seconds for which a query may still read files that the newest publication no longer names."""
SETTINGS: Mapping[str, Any] = {
    "isolation_level": "read_committed",
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "allow_auto_create_topics": False,
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 2_000,
    "max_poll_records": 200,
    "max_partition_fetch_bytes": 2 << 20,
    "fetch_max_bytes": 16 << 20,
    "bootstrap_timeout_ms": 10_000,
    "metrics_enabled": False,
}
"""How the lake reads Kafka, whichever cluster it is. A larger single record is fetched all the same."""

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


@dataclass(frozen=True, slots=True)
class _Owned:
    chain: Chain
    lock: Lock
    leftovers: Leftovers


class Consumer(ConsumerRebalanceListener):
    """One member of the sinks' group. Use it as a context manager: leaving it well writes what was taken."""

    def __init__(self, lake_root: Path, names: Mapping[str, str], group: str, connection: Mapping[str, Any]) -> None:
        """`names`: the full name of each output topic; `connection`: kafka-python's settings of the cluster.

        Raises ClusterError where the cluster cannot be reached or lacks a topic.
        """
        self.tally = Tally()
        self._root = lake_root
        self._topics = {name: topic for topic, name in names.items()}
        self._owned: dict[TopicPartition, _Owned] = {}
        self._fresh: set[TopicPartition] = set()
        """Assigned, but not read before they are opened: the group does not know from where."""
        self._waiting: set[TopicPartition] = set()
        """Fresh, and another process still has them."""
        self._dealt = False
        self._flushed_at = self._swept_at = time.monotonic()
        self._refused = 0
        self._settings = {"group_id": group, **connection, **SETTINGS}
        try:
            self._kafka = self._joined()
            missing = sorted(set(self._topics) - set(self._kafka.topics()))
        except KafkaError as error:
            raise ClusterError(
                f"The brokers do not answer ({error}). Check their addresses and the security."
            ) from error
        if missing:
            self._kafka.close(autocommit=False)
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
                self._kafka.close(autocommit=False, timeout_ms=2_000)
            for owned in self._owned.values():
                owned.lock.release()

    def missing(self) -> list[str]:
        """What keeps it from its work, a sentence each."""
        if not self._dealt:
            return ["the group has not dealt out its partitions yet"]
        return [f"{topic}-{number} is still held by another sink" for topic, number in sorted(self._waiting)]

    def turn(self, wait: float = 0.5) -> None:
        """Takes what there is, waiting for up to `wait` seconds, and writes what is due.

        Raises ClusterError, FolderUnwritable or DataFolderError; what is in the lake then is whole, and a consumer that
        is started again goes on behind it.
        """
        try:
            with _told_plainly():
                if self._refused >= REFUSED_OFTEN:
                    self._join_again()
                for partition, polled in self._kafka.poll(timeout_ms=int(wait * 1000)).items():
                    if partition in self._owned and partition not in self._fresh:
                        self._take(partition, polled)
                self._settle()
        except RetriableError as error:
            log.warning("Kafka: %s; trying again", error)
            self._fresh |= self._kafka.assignment()  # whatever was handed over is read again, from the chains' ends
        chains = [owned.chain for owned in self._owned.values()]
        now = time.monotonic()
        if now - self._flushed_at >= FLUSH_AFTER or sum(chain.bytes for chain in chains) >= FLUSH_BYTES:
            self.flush()
            self._merge()
        self.tally.beat = time.monotonic()

    def flush(self) -> None:
        """Writes everything taken. Raises FolderUnwritable or DataFolderError."""
        for partition, owned in self._owned.items():
            self._catch_up(partition, owned.chain)
            self._write(owned.chain)
        self._flushed_at = time.monotonic()
        done = {
            partition: OffsetAndMetadata(owned.chain.next_offset, "", -1) for partition, owned in self._owned.items()
        }
        if done:
            self._kafka.commit_async(done, callback=self._committed)

    def sweep(self, published: Mapping[tuple[str, int], int]) -> None:
        """Deletes files that nothing has read for a while, now and then.

        `published`: the compactions, by topic and partition, that the publication of today was built from.
        """
        now = time.monotonic()
        if now - self._swept_at < SWEEP_AFTER:
            return
        self._swept_at = now
        for owned in self._owned.values():
            seen = published.get((owned.chain.topic, owned.chain.partition), 0)
            self.tally.deleted += owned.leftovers.sweep(owned.chain, seen, now)

    # --- the group --------------------------------------------------------------------------------------------------

    def _joined(self) -> Any:
        """A client that will ask for its share of the partitions. Raises KafkaError."""
        member = KafkaConsumer(**self._settings)
        member.subscribe(sorted(self._topics), listener=self)
        member.topics()  # with metadata that is older than its subscription it would join a second time at once
        return member

    def _committed(self, _offsets: object, answer: object) -> None:
        """Called by `poll`. A group that knows its member takes its offsets; what passes by itself does not count."""
        if not isinstance(answer, Exception):
            self._refused = 0
        elif not isinstance(answer, RetriableError):
            self._refused += 1

    def _join_again(self) -> None:
        """kafka-python may miss the end of a rebalance that outlasts a poll: no heartbeat, no record, for ever after.

        Seen with 3.0.12 where new metadata had caused the rebalance. A new client takes the old one's place.
        """
        log.warning("the group has forgotten this sink; joining again")
        member = self._joined()
        self._kafka.close(autocommit=False, timeout_ms=1_000)
        self._kafka, self._refused = member, 0
        self._fresh.clear()

    # --- partitions come and go -------------------------------------------------------------------------------------

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Called by `poll`. With a position, any, the group's own is not looked for; what is paused is not read."""
        self._dealt = True
        for partition in assigned:
            self._kafka.pause(partition)
            self._kafka.seek(partition, 0)
            self._fresh.add(partition)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Called by `poll`, which must not be held up: locks keep the next owner waiting until `_settle`."""

    def _settle(self) -> None:
        """Lets go of what went away and opens what came."""
        assigned = self._kafka.assignment()
        for partition in [*self._owned]:
            if partition not in assigned:
                owned = self._owned.pop(partition)
                self._write(owned.chain)
                owned.lock.release()
                log.info("%s-%d is another's now", *partition)
        self._fresh &= assigned
        self._waiting &= self._fresh
        self._open([partition for partition in self._fresh if partition not in self._owned])
        for partition in [*self._fresh]:
            if owned_now := self._owned.get(partition):
                self._kafka.seek(partition, owned_now.chain.expected)
                self._kafka.resume(partition)
                self._fresh.discard(partition)
        self.tally.assigned = len(self._owned)

    def _open(self, partitions: Sequence[TopicPartition]) -> None:
        locked = {partition: lock for partition in partitions if (lock := self._lock(partition))}
        if not locked:
            return
        try:
            firsts, ends = self._kafka.beginning_offsets([*locked]), self._kafka.end_offsets([*locked])
            for partition, lock in locked.items():
                chain = Chain(self._root, self._topics[partition.topic], partition.partition, partition.topic)
                _begin(chain, firsts[partition], ends[partition])
                self._owned[partition] = _Owned(chain, lock, Leftovers(GRACE))
                log.info("%s-%d from offset %d", *partition, chain.expected)
        finally:
            for partition, lock in locked.items():
                if partition not in self._owned:
                    lock.release()

    def _lock(self, partition: TopicPartition) -> Lock | None:
        lock = Lock(self._root, locks.of_chain(self._topics[partition.topic], partition.partition))
        if lock.take():
            return lock
        if partition not in self._waiting:
            self._waiting.add(partition)
            log.info("%s-%d waits until another sink lets it go", *partition)
        return None

    # --- records into chains ----------------------------------------------------------------------------------------

    def _take(self, partition: TopicPartition, polled: Sequence[ConsumerRecord]) -> None:
        chain = self._owned[partition].chain
        for chunk in records.chunks([record for record in polled if record.offset >= chain.expected]):
            chain.append(chain.expected, chunk[-1].offset + 1, records.rows(chain.topic, chunk))
            self.tally.records += len(chunk)
            if chain.rows >= FLUSH_ROWS:
                self._write(chain)

    def _catch_up(self, partition: TopicPartition, chain: Chain) -> None:
        """Behind the last record lie markers of transactions and what was aborted: read, too, without a row.

        Without it a partition that falls silent would seem to have lost records when retention takes its last ones.
        """
        if partition in self._fresh or partition not in self._kafka.assignment():
            return
        position = self._kafka.position(partition, timeout_ms=1_000)
        if position is not None and position > chain.expected:
            chain.append(chain.expected, position, batch(chain.topic, []))

    def _write(self, chain: Chain) -> None:
        rows = chain.rows
        chain.flush()
        self.tally.rows[chain.topic] += rows
        self.tally.flushes += bool(rows)

    def _merge(self) -> None:
        """One round for one chain: the others' records wait meanwhile."""
        for owned in self._owned.values():
            if rewritten := compaction.merge(owned.chain, at_least=MANY_FILES):
                self.tally.compacted += rewritten
                return


def _begin(chain: Chain, first: int, end: int) -> None:
    """Checks that the log holds what the chain is to read next. Raises ClusterError."""
    place, wanted = f"{chain.source}, partition {chain.partition}", chain.expected
    if wanted == 0 and first > 0:
        chain.begin(first)
        log.warning("%s begins at offset %d: what was before has expired", place, first)
    elif wanted < first:
        raise ClusterError(
            f"{place}: the lake ends before offset {wanted}, but the log now begins at {first}: retention took what"
            " lies between. Keep topics for longer, and name another data folder with --data."
        )
    elif wanted > end:
        raise ClusterError(
            f"{place}: the lake reaches offset {wanted}, but the log ends at {end}: it is another log than before."
            " Name the cluster that filled this lake, or another data folder with --data."
        )


@contextmanager
def _told_plainly() -> Iterator[None]:
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

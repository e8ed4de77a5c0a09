"""The sinks' consumer group: which partitions this process is to read, and the client that reads them.

A partition that is assigned is paused and waits, unread, until its reader says from which offset: the group does not
know it. Offsets committed to the group are for lag tools and are never read. A rebalance must never wait for a write:
what went away is seen in `assignment`, when the poll is over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import RetriableError
from kafka.structs import OffsetAndMetadata

REJOIN_AFTER_REFUSALS = 2
"""Commits that the group refused in a row before the sink joins anew."""
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


class Group(ConsumerRebalanceListener):
    """One membership. Every method may raise KafkaError."""

    def __init__(self, name: str, topics: Iterable[str], connection: Mapping[str, Any]) -> None:
        """`connection`: kafka-python's settings of the cluster."""
        self.assigned_once = False
        """Whether the group has told this member its partitions, be they none."""
        self.unread: set[TopicPartition] = set()
        """Assigned, and not read before `read_from` says where."""
        self._topics = sorted(topics)
        self._settings = {"group_id": name, **connection, **SETTINGS}
        self._refusals = 0
        self._client = self._joined()

    def missing_topics(self) -> list[str]:
        """Those that the cluster does not have."""
        return sorted(set(self._topics) - set(self._client.topics()))

    def assignment(self) -> set[TopicPartition]:
        """The partitions that are this process's now."""
        assigned: set[TopicPartition] = self._client.assignment()
        self.unread &= assigned
        return assigned

    def poll(self, wait: float) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        """Committed records of partitions that are read, waiting for up to `wait` seconds."""
        if self._refusals >= REJOIN_AFTER_REFUSALS:
            self._join_again()
        polled = self._client.poll(timeout_ms=int(wait * 1000))
        return {partition: found for partition, found in polled.items() if partition not in self.unread}

    def read_from(self, partition: TopicPartition, offset: int) -> None:
        """The partition flows from here on."""
        self._client.seek(partition, offset)
        self._client.resume(partition)
        self.unread.discard(partition)

    def read_again(self) -> None:
        """Whatever was handed over may be lost: every partition waits for its offset."""
        self.unread |= self._client.assignment()

    def position(self, partition: TopicPartition) -> int | None:
        """The offset that is read next; None where the partition is not read."""
        if partition in self.unread or partition not in self._client.assignment():
            return None
        position: int | None = self._client.position(partition, timeout_ms=1_000)
        return position

    def bounds(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """The first offset that each log still has, and its end."""
        firsts, ends = self._client.beginning_offsets([*partitions]), self._client.end_offsets([*partitions])
        return {partition: (firsts[partition], ends[partition]) for partition in partitions}

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Tells the group how far each partition has come; returns at once."""
        if offsets:
            told = {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
            self._client.commit_async(told, callback=self._committed)

    def close(self) -> None:
        self._client.close(autocommit=False, timeout_ms=2_000)

    # --- called by the client, within `poll` ------------------------------------------------------------------------

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """With a position, any, the group's own is not looked for; what is paused is not read."""
        self.assigned_once = True
        for partition in assigned:
            self._client.pause(partition)
            self._client.seek(partition, 0)
            self.unread.add(partition)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Must not hold the client up: a lock keeps the next owner waiting until the chain is written."""

    def _committed(self, _offsets: object, answer: object) -> None:
        """A group that knows its member takes its offsets; what passes by itself does not count."""
        if not isinstance(answer, Exception):
            self._refusals = 0
        elif not isinstance(answer, RetriableError):
            self._refusals += 1

    # --- joining ----------------------------------------------------------------------------------------------------

    def _joined(self) -> Any:
        client = KafkaConsumer(**self._settings)
        client.subscribe(self._topics, listener=self)
        client.topics()  # with metadata that is older than its subscription it would join a second time at once
        return client

    def _join_again(self) -> None:
        """kafka-python may miss the end of a rebalance that outlasts a poll: no heartbeat, no record, for ever after.

        Seen with 3.0.12 where new metadata had caused the rebalance. A new client takes the old one's place.
        """
        log.warning("the group has forgotten this sink; joining again")
        client = self._joined()
        self._client.close(autocommit=False, timeout_ms=1_000)
        self._client, self._refusals = client, 0
        self.unread.clear()

"""Accepted input into the topic `events`: envelopes by home partition, each in the log before it counts as sent.

The producer is idempotent, so a retry inside one run writes nothing twice; a repeated run does, and the homes drop what
they have seen. Must never hold more than `MAX_IN_FLIGHT_BYTES` that the brokers have not acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from schemas import codec
from schemas.errors import ClusterError
from schemas.keys import partition_of
from schemas.messages import Event, Rejected, SourceMark
from schemas.topics import MAX_RECORD_BYTES
from stream.core.owners import EVENTS
from stream.core.watermark import SOURCE_INTERVAL
from stream.kafka.clients import admin, producer, told
from stream.kafka.cluster import Cluster

if TYPE_CHECKING:
    from kafka import KafkaProducer

MAX_ENVELOPE_EVENTS = 50
MAX_ENVELOPE_BYTES = 64 * 1024
"""An envelope is sent when it holds so much: more per record saves little, and lanes commit whole records."""
MAX_IN_FLIGHT_BYTES = 16 * 1024 * 1024
DELIVERY_TIMEOUT = 120
"""How long brokers may be away before a run gives up."""
_HOMES_CACHED = 65_536


class Feed:
    """One run's way into `events`. `sent` and `rejected` count inputs, `records` the records that hold them."""

    def __init__(self, producer: KafkaProducer, cluster: Cluster, partitions: int, source: str) -> None:
        self._producer = producer
        self._source = source
        self._marked_at: int | None = None
        """When the lanes were last told that this source is open; None while it is not."""
        self._cluster = cluster
        self._topic = cluster.topic(EVENTS)
        self._home = lru_cache(_HOMES_CACHED)(lambda key: partition_of(key, partitions))
        self._waiting: list[list[bytes]] = [[] for _ in range(partitions)]
        self._bytes = [0] * partitions
        self._acknowledged = threading.Condition()
        self._in_flight = 0
        self._failed: Exception | None = None
        self.partitions = partitions
        self.sent = 0
        self.rejected = 0
        self.records = 0

    def send(self, outcomes: Iterable[Event | Rejected]) -> int:
        """Sends what fills an envelope; says how many inputs these were. Waits while too much is in flight.

        Raises ClusterError when the brokers refuse a record or stay away; what they took by then stays taken.
        """
        before = self.sent + self.rejected
        waiting, sizes, home = self._waiting, self._bytes, self._home
        for outcome in outcomes:
            if isinstance(outcome, Event):
                partition = home(outcome.identifiers[0])
                self.sent += 1
            else:
                partition = home(outcome.rejection_id)
                self.rejected += 1
            line = codec.encode(outcome)
            if sizes[partition] + len(line) > MAX_ENVELOPE_BYTES:
                self._send(partition)
            waiting[partition].append(line)
            sizes[partition] += len(line) + 1
            if len(waiting[partition]) == MAX_ENVELOPE_EVENTS:
                self._send(partition)
        return self.sent + self.rejected - before

    def open(self, now: int) -> None:
        """Tells every lane that more may come of what has happened before: timers of the past wait for it.

        To be called again and again while that is so; most calls do nothing.
        """
        if self._marked_at is None or now - self._marked_at >= SOURCE_INTERVAL:
            self._marked_at = now
            self._mark(SourceMark(self._source, True, now))

    def close(self, now: int) -> None:
        """Tells every lane that nothing more is at hand. `open` opens it again."""
        if self._marked_at is not None:
            self._marked_at = None
            self._mark(SourceMark(self._source, False, now))

    def _mark(self, mark: SourceMark) -> None:
        line = codec.encode(mark)
        for partition in range(self.partitions):
            self._send(partition)
            self._append(partition, line)

    def push(self) -> None:
        """Sends envelopes that are not full: nothing more is at hand."""
        for partition in range(self.partitions):
            self._send(partition)

    def finish(self) -> None:
        """Sends the rest and returns when the brokers have acknowledged everything. Raises ClusterError as `send`."""
        self.push()
        self._wait(0)

    def _send(self, partition: int) -> None:
        lines = self._waiting[partition]
        if not lines:
            return
        record = b"\n".join(lines)
        lines.clear()
        self._bytes[partition] = 0
        self.records += 1
        self._append(partition, record)

    def _append(self, partition: int, record: bytes) -> None:
        self._wait(MAX_IN_FLIGHT_BYTES - len(record))
        with self._acknowledged:
            self._in_flight += len(record)
        future = self._producer.send(self._topic, record, partition=partition)
        future.add_callback(self._done, len(record))
        future.add_errback(self._done, len(record))

    def _done(self, size: int, result: Any) -> None:
        """Called by the producer's own thread."""
        with self._acknowledged:
            self._in_flight -= size
            if isinstance(result, Exception) and self._failed is None:
                self._failed = result
            self._acknowledged.notify()

    def _wait(self, allowed: int) -> None:
        with self._acknowledged:
            self._acknowledged.wait_for(lambda: self._failed is not None or self._in_flight <= max(allowed, 0))
            if self._failed is not None:
                raise self._told(self._failed) from self._failed

    def _told(self, error: Exception) -> ClusterError:
        from kafka.errors import KafkaTimeoutError

        if not isinstance(error, KafkaTimeoutError):
            return told(error, self._cluster)
        where = ", ".join(self._cluster.brokers)
        return ClusterError(
            f"The brokers at {where} have acknowledged nothing for {DELIVERY_TIMEOUT} s: look after them and run the "
            "same command again; what is in already counts as duplicate."
        )


@contextmanager
def feeding(cluster: Cluster, source: str = "") -> Iterator[Feed]:
    """A feed into an existing topic; `source` names it to the lanes while it sends history.

    Raises ClusterError where the topic is missing or the cluster cannot be used.
    """
    with admin(cluster) as client:
        (topic,) = client.describe_topics([cluster.topic(EVENTS)])
    if topic["error_code"]:
        raise ClusterError(f"There is no topic {cluster.topic(EVENTS)}: rapport topics create makes it.")
    limits = {
        "batch_size": 8 * MAX_ENVELOPE_BYTES,
        "linger_ms": 5,
        "max_request_size": MAX_RECORD_BYTES,
        "reconnect_backoff_max_ms": 1_000,
        "request_timeout_ms": DELIVERY_TIMEOUT * 250,
        "delivery_timeout_ms": DELIVERY_TIMEOUT * 1_000,
    }
    with producer(cluster, "rapport-feed", **limits) as sending:
        yield Feed(sending, cluster, len(topic["partitions"]), source)

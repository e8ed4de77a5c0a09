"""Outputs on a real broker's topics, written as lanes write them: transactions, some of them given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from schemas import codec
from schemas.messages import Output
from schemas.topics import OUTPUTS, TOPICS
from sinks.lake import manifest
from sinks.marts import publisher

WAIT_TIMEOUT = 40.0
LANES = 2


def make_topics(address: str, prefix: str, lanes: int = LANES) -> Mapping[str, str]:
    """Creates the output topics; returns their full names."""
    names = {topic: prefix + topic for topic in OUTPUTS}
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        admin.create_topics(
            {
                name: {"num_partitions": lanes if TOPICS[topic].partitions == "P" else 1, "replication_factor": 1}
                for topic, name in names.items()
            }
        )
        admin.wait_for_topics([*names.values()])
    return names


class Lanes:
    """Writes outputs into topics, a transaction a call."""

    def __init__(self, address: str, identity: str, prefix: str | None = None) -> None:
        self._prefix = identity if prefix is None else prefix
        self._producer = KafkaProducer(bootstrap_servers=address, transactional_id=f"{identity}lanes", acks="all")
        self._producer.init_transactions()

    def close(self) -> None:
        self._producer.close()

    def write(
        self, topic: str, partition: int, outputs: Sequence[Output], *, together: int = 1, abort: bool = False
    ) -> None:
        """`together`: messages in a record."""
        lines = [codec.encode(output) for output in outputs]
        records = [b"\n".join(lines[at : at + together]) for at in range(0, len(lines), together)]
        self.raw(topic, partition, records, abort=abort)

    def raw(self, topic: str, partition: int, records: Sequence[bytes | None], *, abort: bool = False) -> None:
        finish = self._begin(topic, partition, records)
        if abort:
            self._producer.abort_transaction()
        else:
            finish()

    def begin(self, topic: str, partition: int, outputs: Sequence[Output]) -> Callable[[], None]:
        """Writes, and leaves the transaction open until what it returns is called."""
        return self._begin(topic, partition, [codec.encode(output) for output in outputs])

    def _begin(self, topic: str, partition: int, records: Sequence[bytes | None]) -> Callable[[], None]:
        self._producer.begin_transaction()
        for record in records:
            self._producer.send(self._prefix + topic, record, partition=partition, key=b"k")
        self._producer.flush()
        return self._producer.commit_transaction


def until(condition: Callable[[], bool], turn: Callable[[], None] = lambda: time.sleep(0.02)) -> None:
    """Turns until it is so. Fails after a while."""
    end = time.monotonic() + WAIT_TIMEOUT
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        turn()


def ends(address: str, names: Mapping[str, str]) -> dict[tuple[str, int], int]:
    """Where each partition of the topics ends, markers included."""
    with closing(KafkaConsumer(bootstrap_servers=address, isolation_level="read_committed")) as consumer:
        partitions = {
            TopicPartition(name, number): (topic, number)
            for topic, name in names.items()
            for number in consumer.partitions_for_topic(name) or ()
        }
        return {partitions[each]: end for each, end in consumer.end_offsets([*partitions]).items()}


def reached(lake_root: Path) -> dict[tuple[str, int], int]:
    """Where each chain of the lake ends."""
    return {
        (topic, each.partition): each.next_offset for topic in OUTPUTS for each in manifest.load_all(lake_root, topic)
    }


def caught_up(lake_root: Path, wanted: Mapping[tuple[str, int], int]) -> bool:
    """Whether the lake holds everything up to these ends. A partition without a record has no chain."""
    there = reached(lake_root)
    return all(there.get(partition, 0) >= end for partition, end in wanted.items())


def leave_published(lake_root: Path, target: Path) -> None:
    """Publishes what ended sinks had no time for: that is for the next sink that starts, and none does."""
    if not publisher.is_current(lake_root, target):
        publisher.publish(lake_root, target)

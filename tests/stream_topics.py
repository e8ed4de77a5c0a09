"""What lies in a topic, read to its end."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from schemas import codec
from schemas.messages import Message


def records(address: str, topic: str) -> list[Any]:
    """Every committed record of a topic, partition by partition in their order; each has `partition` and `value`."""
    with closing(
        KafkaConsumer(
            bootstrap_servers=address, isolation_level="read_committed", enable_auto_commit=False, group_id=None
        )
    ) as consumer:
        partitions = [TopicPartition(topic, each) for each in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        found: dict[TopicPartition, list[Any]] = {each: [] for each in partitions}
        while any(consumer.position(each) < ends[each] for each in partitions):
            for partition, batch in consumer.poll(timeout_ms=200).items():
                found[partition] += batch
    return [record for partition in partitions for record in found[partition]]


def opened(record: bytes) -> list[Message]:
    """The messages of a record that this system wrote."""
    return [codec.decode(line) for line in record.split(b"\n")]

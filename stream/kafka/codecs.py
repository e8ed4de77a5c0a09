"""Which compressions of records this installation reads. Workers and sinks use different clients, which need different
packages; the extra `cluster` brings all of them, and whoever installs less is told what is missing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

from schemas.topics import OUTPUTS
from stream.kafka.clients import connection
from stream.kafka.cluster import Cluster

FOR_WORKERS = {"snappy": "cramjam", "lz4": "cramjam", "zstd": "cramjam"}
"""aiokafka's packages, by codec."""
FOR_SINKS = {"snappy": "python-snappy", "lz4": "lz4", "zstd": "zstandard"}
"""kafka-python's."""
LOOK_BACK = 50
"""Offsets before the end of a partition that are looked at: the last ones may be markers of transactions."""
LOOK_MS = 2_000
_NAMED = re.compile(r"Libraries for (\w+) compression codec not found")


class Missing(NamedTuple):
    """Records of a topic are compressed by a codec that its reader lacks a package for."""

    topic: str
    codec: str
    package: str


def lacking(topic: str) -> dict[str, str]:
    """The package that is missing, by codec, of the process that reads a topic of the topic table."""
    if topic in OUTPUTS:
        from kafka import codec

        needed = FOR_SINKS
    else:
        from aiokafka import codec

        needed = FOR_WORKERS
    return {name: package for name, package in needed.items() if not getattr(codec, f"has_{name}")()}


def missing(cluster: Cluster, counts: Mapping[str, int], types: Mapping[str, str]) -> list[Missing]:
    """By `compression.type` and by the oldest and the newest records. Both are by the name in the topic table.

    `counts` are partitions. Raises KafkaError where the records cannot be looked at.
    """
    found = []
    for name, count in counts.items():
        packages = lacking(name)
        if not packages:
            continue
        topic = cluster.topic(name)
        codecs = {types[name]} | _met(cluster, topic, count, name in OUTPUTS)
        found += [Missing(topic, codec, packages[codec]) for codec in sorted(codecs & packages.keys())]
    return found


def told(error: BaseException) -> str:
    """What to do about a codec that a client has no package for; "" where the error is another."""
    named = _NAMED.search(str(error))
    if named is None:
        return ""
    return (
        f"records are compressed by {named[1]}, which this installation cannot read: install what reads it with pip "
        "install '.[cluster]' in the clone of Rapport and start again; rapport topics check names the topic"
    )


def _met(cluster: Cluster, topic: str, count: int, by_sinks: bool) -> set[str]:
    look = _seen_by_sinks if by_sinks else _seen_by_workers
    return {named[1] for error in look(cluster, topic, count) if (named := _NAMED.search(str(error)))}


def _seen_by_sinks(cluster: Cluster, topic: str, count: int) -> list[Exception]:
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import UnsupportedCodecError

    errors: list[Exception] = []
    for partition in (TopicPartition(topic, number) for number in range(count)):
        with closing(KafkaConsumer(**connection(cluster), enable_auto_commit=False, metrics_enabled=False)) as consumer:
            consumer.assign([partition])
            start, end = (found([partition])[partition] for found in (consumer.beginning_offsets, consumer.end_offsets))
            for at in {start, max(start, end - LOOK_BACK)} - {end}:
                consumer.seek(partition, at)
                try:
                    consumer.poll(timeout_ms=LOOK_MS)
                except UnsupportedCodecError as error:
                    errors.append(error)
    return errors


def _seen_by_workers(cluster: Cluster, topic: str, count: int) -> list[Exception]:
    return asyncio.run(_seen(cluster, topic, count))


async def _seen(cluster: Cluster, topic: str, count: int) -> list[Exception]:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.errors import UnsupportedCodecError

    errors: list[Exception] = []
    for partition in (TopicPartition(topic, number) for number in range(count)):
        async with AIOKafkaConsumer(**connection(cluster), enable_auto_commit=False) as consumer:
            consumer.assign([partition])
            start = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            for at in {start, max(start, end - LOOK_BACK)} - {end}:
                consumer.seek(partition, at)
                try:
                    await consumer.getmany(partition, timeout_ms=LOOK_MS)
                except UnsupportedCodecError as error:
                    errors.append(error)
    return errors

"""Bringing a lane's local rows up to its changelog, and finding where its inputs go on.

To be called after the lane has been fenced: before that an older owner may still commit. Memory is bounded by one
fetch, and other lanes get their turn between two.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import ClusterError
from schemas.instant import DAY
from schemas.topics import MAX_RECORD_BYTES, TOMBSTONES_DAYS
from stream.kafka import codecs
from stream.kafka.clients import connection
from stream.kafka.cluster import Cluster
from stream.kafka.lanestore import LaneStore, Memory, Reached, remove
from stream.kafka.transactions import Log, told

CHUNK_ROWS = 4_000
"""Rows that are applied together."""
STALE_AFTER = TOMBSTONES_DAYS * DAY
"""Older copies may miss deletions that the changelog itself has forgotten."""

Progress = Callable[[int, int], None]
"""Changelog offsets done and to do."""


class LaneStopped(ClusterError):
    """A lane cannot go on without losing or repeating something; a person must look."""


@asynccontextmanager
async def reader(cluster: Cluster) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer outside any group that sees committed records only. Raises ClusterError."""
    consumer = AIOKafkaConsumer(
        **connection(cluster),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        fetch_max_wait_ms=50,
    )
    try:
        await consumer.start()
        yield consumer
    except (KafkaError, OSError) as error:
        raise ClusterError(f"The changelog cannot be read: {codecs.told(error) or told(error)}") from error
    finally:
        await consumer.stop()


async def bounds(consumer: AIOKafkaConsumer, logs: Sequence[Log]) -> dict[Log, tuple[int, int]]:
    """The first offset of each log and the one behind its last."""
    partitions = [TopicPartition(*log) for log in logs]
    starts = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    return {(each.topic, each.partition): (starts[each], ends[each]) for each in partitions}


async def recovered(
    consumer: AIOKafkaConsumer, changelog: Log, folder: Path, memory: Memory, now: int, progress: Progress
) -> LaneStore:
    """The lane's store, as the changelog has it by now. Rebuilt where the local copy cannot be continued.

    Raises LaneStopped where the local copy knows more than the changelog, and DataFolderError.
    """
    start, end = (await bounds(consumer, [changelog]))[changelog]
    store = LaneStore(folder, memory)
    reached = store.reached
    if reached is not None and not (start <= reached.offset <= end and now - reached.at <= STALE_AFTER):
        store.release()
        if reached.offset > end:
            raise LaneStopped(
                f"{folder} follows a changelog up to {reached.offset:,}, but {_name(changelog)} ends at {end:,}: it "
                "was made anew or lost records. Restore the topic, or move the folder away if nothing in it is needed."
            )
        remove(folder)
        store, reached = LaneStore(folder, memory), None
    position = start if reached is None else reached.offset
    try:
        await _apply(consumer, TopicPartition(*changelog), store, position, end, now, progress)
    except BaseException:
        store.release()
        raise
    return store


async def _apply(
    consumer: AIOKafkaConsumer,
    changelog: TopicPartition,
    store: LaneStore,
    position: int,
    end: int,
    now: int,
    progress: Progress,
) -> None:
    start = position
    consumer.assign([changelog])
    consumer.seek(changelog, position)
    while position < end:
        progress(position - start, end - start)
        found = await consumer.getmany(changelog, timeout_ms=500, max_records=CHUNK_ROWS)
        position = await consumer.position(changelog)
        store.write(((each.key, each.value) for each in found.get(changelog, ())), Reached(position, now))
    store.write((), Reached(position, now))
    progress(position - start, position - start)


def first_offsets(
    inputs: Mapping[str, Log], stored: Mapping[str, int], found: Mapping[Log, tuple[int, int]]
) -> dict[str, int]:
    """Where each input topic goes on: at its stored position, in a lane's first life at the log's start.

    Raises LaneStopped where records that were never taken are gone, or where the log is shorter than the position.
    """
    positions = {}
    for topic, log in inputs.items():
        start, end = found[log]
        kept_for_ever = topic != "events"
        position = stored.get(topic, 0 if kept_for_ever else start)
        if position < start:
            raise LaneStopped(
                f"{_name(log)} starts at {start:,}, but the lane has only taken what lies before {position:,}: the "
                "records between are lost to it. Restore the topic, or start with a new RAPPORT_TOPIC_PREFIX."
            )
        if position > end:
            raise LaneStopped(
                f"{_name(log)} ends at {end:,}, but the lane has taken everything before {position:,}: the topic was "
                "made anew or lost records. Restore it, or start with a new RAPPORT_TOPIC_PREFIX."
            )
        positions[topic] = position
    return positions


def _name(log: Log) -> str:
    return f"{log[0]}/{log[1]}"

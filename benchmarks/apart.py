"""What is measured in a process of its own: plain Faust, recovery, the linker. Their processor time is theirs alone."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
from aiokafka import TopicPartition
from kafka import KafkaProducer

import plain_faust
from rapport.bench.throughput import first_contacts, mixed_events
from rapport.process.gc import tuned_collector
from schemas.instant import HOUR
from stack import LOOK, PATIENCE, held, make_topics, pace, peak_memory, processor_seconds, shop
from stream.clock import wall_now
from stream.kafka import topics as topology
from stream.kafka.clients import connection
from stream.kafka.cluster import Cluster
from stream.kafka.lane import Lane
from stream.kafka.lanestore import Memory
from stream.kafka.ownership import LINKER
from stream.kafka.recovery import bounds, reader
from stream.kafka.recovery import recovered as recover

QUIET = 3.0
"""Seconds in which plain Faust learns the identifiers that first contacts named."""


def in_own_process(measure: Callable[..., Any], *given: Any) -> Any:
    """The result of a function of this module. Raises where it raises."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, given)


# --- plain Faust ------------------------------------------------------------------------------------------------------


def plain(address: str, folder: Path, events: int, customers: int) -> dict[str, float]:
    """One worker of plain Faust: first every customer once, then the events."""
    cluster = Cluster((address,), folder, prefix=f"{folder.name}-", partitions=plain_faust.PARTITIONS)
    folder.mkdir(parents=True)
    make_topics(cluster, (*plain_faust.TOPICS, *plain_faust.CHANGELOGS))
    command = [sys.executable, plain_faust.__file__, address, cluster.prefix, str(folder / "data")]
    with (folder / "log").open("wb") as log:
        worker = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        taken = folder / "data" / plain_faust.TAKEN
        _until(worker, lambda: _number(taken) == 0)
        now = wall_now()
        _send(cluster, first_contacts(range(customers), now - 2 * HOUR))
        _until(worker, lambda: _number(taken) >= customers)
        time.sleep(QUIET)
        pace_before = pace()
        used = processor_seconds([worker.pid])
        with held([worker.pid]):
            _send(cluster, mixed_events(events, customers, now - HOUR))
        started = time.monotonic()
        _until(worker, lambda: _number(taken) >= customers + events)
        seconds, used = time.monotonic() - started, processor_seconds([worker.pid]) - used
        return {
            "rate": events / seconds,
            "per_core": events / used,
            "cpu": used / events,
            "memory": peak_memory(worker.pid),
            "pace": (pace_before + pace()) / 2,
        }
    finally:
        worker.terminate()
        worker.wait(30)


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return -1


def _until(worker: subprocess.Popen[bytes], there: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not there():
        if time.monotonic() > until:
            raise TimeoutError(f"plain Faust takes longer than {PATIENCE:.0f} s")
        if worker.poll() is not None:
            raise RuntimeError(f"plain Faust ended with {worker.returncode}")
        time.sleep(LOOK)


def _send(cluster: Cluster, lines: Iterable[bytes]) -> None:
    producer = KafkaProducer(acks="all", batch_size=512 * 1024, linger_ms=5, **connection(cluster))
    topic = cluster.topic(plain_faust.TOPICS[0])
    for line in lines:
        producer.send(topic, line, key=orjson.loads(line)["userId"].encode())
    producer.flush()
    producer.close()


# --- recovery ---------------------------------------------------------------------------------------------------------


def recovered(cluster: Cluster, folder: Path) -> dict[str, float]:
    """All lanes of a cluster, at once and from nothing: what a worker does that has lost its disk."""
    offsets, seconds, used = asyncio.run(_recovered(cluster, folder))
    return {"offsets": offsets, "rate": offsets / seconds, "per_core": offsets / used, "pace": pace()}


async def _recovered(cluster: Cluster, folder: Path) -> tuple[int, float, float]:
    memory, topic = Memory(), cluster.topic("rows")
    started, used = time.monotonic(), time.process_time()

    async def one(partition: int) -> int:
        log = (topic, partition)
        async with reader(cluster) as consumer:
            store = await recover(consumer, log, folder / str(partition), memory, wall_now(), lambda _done, _all: None)
            found = (await bounds(consumer, [log]))[log]
        store.release()
        return found[1] - found[0]

    done = await asyncio.gather(*map(one, range(cluster.partitions)))
    return sum(done), time.monotonic() - started, time.process_time() - used


# --- the linker -------------------------------------------------------------------------------------------------------


def linked(cluster: Cluster, folder: Path) -> dict[str, float]:
    """The linker's lane by itself, over the requests that the homes of a cluster have sent it."""
    with tuned_collector():
        return asyncio.run(_linked(cluster, folder))


async def _linked(source: Cluster, folder: Path) -> dict[str, float]:
    cluster = Cluster(source.brokers, folder, prefix="linker-", partitions=source.partitions)
    topology.create(cluster)
    records = await _requests(source)
    lane = Lane(LINKER, cluster, shop(), wall_now, Memory(), asyncio.Lock())
    await lane.fence()
    await lane.open()
    for offset, record in enumerate(records):
        lane.put("links", offset, record)
    started, used = time.monotonic(), time.process_time()
    running = asyncio.create_task(lane.run())
    while lane.positions["links"] < len(records) and not running.done():
        await asyncio.sleep(0.01)
    seconds, used = time.monotonic() - started, time.process_time() - used
    lane.stop()
    await running
    await lane.close()
    shutil.rmtree(folder, ignore_errors=True)
    merges = lane.stats.merges
    return {"links": merges, "rate": merges / seconds, "per_core": merges / used, "pace": pace()}


async def _requests(cluster: Cluster) -> list[bytes]:
    log = (cluster.topic("links"), 0)
    records: list[bytes] = []
    async with reader(cluster) as consumer:
        start, end = (await bounds(consumer, [log]))[log]
        partition = TopicPartition(*log)
        consumer.assign([partition])
        consumer.seek(partition, start)
        while await consumer.position(partition) < end:
            for found in (await consumer.getmany(partition, timeout_ms=500)).values():
                records += [each.value for each in found]
    return records

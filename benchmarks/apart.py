"""What is measured in a process of its own, so that its processor time is its own: opponents, recovery, the linker."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiokafka import TopicPartition
from kafka import KafkaProducer

import plain_faust
from fold import PARTITIONS, TAKEN
from rapport.bench.events import first_contacts, mixed_events
from rapport.process.gc import tuned_collector
from schemas.instant import HOUR
from stack import POLL_INTERVAL, WAIT_TIMEOUT, held, make_topics, pace, peak_memory, processor_seconds, shop
from stream.clock import wall_now
from stream.kafka import topics as topology
from stream.kafka.clients import admin, connection
from stream.kafka.cluster import Cluster
from stream.kafka.lane import Lane
from stream.kafka.lanestore import Memory
from stream.kafka.ownership import LINKER
from stream.kafka.recovery import bounds, reader
from stream.kafka.recovery import recovered as recover

QUIX = Path(__file__).with_name("quix.py")
QUIX_TOPIC = "quix-events"
QUIX_PYTHON = Path(__file__).parents[1] / ".venv" / "quix" / "bin" / "python"
"""In the environment that `make` prepares for it."""
QUIET = 3.0
"""Seconds in which plain Faust learns the identifiers that first contacts named."""


def in_own_process(measure: Callable[..., Any], *given: Any) -> Any:
    """The result of a function of this module. Raises where it raises."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, given)


# --- the opponents ----------------------------------------------------------------------------------------------------


def plain(address: str, folder: Path, events: int, customers: int) -> dict[str, float]:
    """One worker of plain Faust."""
    topics = (*plain_faust.TOPICS, *plain_faust.CHANGELOGS)
    command = (sys.executable, plain_faust.__file__)
    return _opponent(address, folder, events, customers, command, topics, lambda _taken, _cluster: time.sleep(QUIET))


def quix(address: str, folder: Path, events: int, customers: int) -> dict[str, float]:
    """One worker of Quix Streams."""
    return _opponent(address, folder, events, customers, (str(QUIX_PYTHON), str(QUIX)), (QUIX_TOPIC,), _committed)


def _opponent(
    address: str,
    folder: Path,
    events: int,
    customers: int,
    program: Sequence[str],
    topics: Sequence[str],
    settled: Callable[[int, Cluster], None],
) -> dict[str, float]:
    """First every customer once, then the events; `settled` returns when what was taken so far is done with.

    The rate is that of taking, the processor time counts until all is settled.
    """
    cluster = Cluster((address,), folder, prefix=f"{folder.name}-", partitions=PARTITIONS)
    folder.mkdir(parents=True)
    make_topics(cluster, topics)
    with (folder / "log").open("wb") as log:
        command = [*program, address, cluster.prefix, str(folder / "data")]
        worker = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        taken = folder / "data" / TAKEN
        _until(worker, lambda: _number(taken) == 0)
        now = wall_now()
        _send(cluster, topics[0], first_contacts(range(customers), now - 2 * HOUR))
        _until(worker, lambda: _number(taken) >= customers)
        settled(customers, cluster)
        pace_before = pace()
        used = processor_seconds([worker.pid])
        with held([worker.pid]):
            _send(cluster, topics[0], mixed_events(events, customers, now - HOUR))
        started = time.monotonic()
        _until(worker, lambda: _number(taken) >= customers + events)
        seconds = time.monotonic() - started
        settled(customers + events, cluster)
        used = processor_seconds([worker.pid]) - used
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


def _committed(taken: int, cluster: Cluster) -> None:
    """Waits until Quix Streams has committed so many events."""
    until = time.monotonic() + WAIT_TIMEOUT
    with admin(cluster) as client:
        group = f"{cluster.prefix}quix"
        while sum(max(each.offset, 0) for each in client.list_group_offsets(group)[group].values()) < taken:
            if time.monotonic() > until:
                raise TimeoutError(f"Quix Streams commits no {taken:,} events within {WAIT_TIMEOUT:.0f} s")
            time.sleep(POLL_INTERVAL)


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return -1


def _until(worker: subprocess.Popen[bytes], there: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_TIMEOUT
    while not there():
        if time.monotonic() > until:
            raise TimeoutError(f"the opponent takes longer than {WAIT_TIMEOUT:.0f} s")
        if worker.poll() is not None:
            raise RuntimeError(f"the opponent ended with {worker.returncode}")
        time.sleep(POLL_INTERVAL)


def _send(cluster: Cluster, topic: str, lines: Iterable[bytes]) -> None:
    producer = KafkaProducer(acks="all", batch_size=512 * 1024, linger_ms=5, **connection(cluster))
    for line in lines:
        producer.send(cluster.topic(topic), line, key=orjson.loads(line)["userId"].encode())
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

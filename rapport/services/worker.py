"""A worker process: the Faust app in an event loop of its own, until a signal or a failure ends it.

It decides nothing about events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from socket import socket

from rapport.http.serve import bound, run, url_of
from rapport.http.worker import answering
from rapport.process.gc import tuned_collector
from rapport.process.logs import speak_plainly
from rapport.process.signals import stop_signals
from schemas.errors import ClusterError, FolderBusy
from schemas.topics import OUTPUTS
from sinks.lake.locks import Lock
from stream.clock import wall_now
from stream.core.plan import Plan
from stream.kafka import codecs
from stream.kafka import topics as topology
from stream.kafka.cluster import Cluster
from stream.kafka.lane import Clock
from stream.kafka.worker import Worker, build_app, end, fail

log = logging.getLogger("rapport.worker")

LEAVE_TIMEOUT = 9.0
"""Seconds a worker takes at most to end after SIGTERM."""


def work(cluster: Cluster, plan: Plan, clock: Clock = wall_now) -> int:
    """Works until SIGTERM or SIGINT; returns the exit code.

    Raises ClusterError where the brokers cannot be reached or their topics do not fit, and DataFolderError.
    """
    speak_plainly()
    with only_one(cluster), closing(bound(cluster.http_host, cluster.http_port)) as listening, tuned_collector():
        check_topics(cluster)
        return run(_work(cluster, plan, clock, listening))


async def _work(cluster: Cluster, plan: Plan, clock: Clock, listening: socket) -> int:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in stop_signals():
        loop.add_signal_handler(signum, asked.set)
    url = url_of(listening)
    app = build_app(cluster, plan, clock, url)
    async with answering(app, listening):
        await app.start()
        log.info("working on %s as %s; %s", ", ".join(cluster.brokers), cluster.consumer_group, url)
        ended = asyncio.create_task(app.wait_until_stopped())
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.is_set():
            why = app.crash_reason
            assert why is not None
            fail(f"the consumer failed: {codecs.told(why) or f'{type(why).__name__}: {why}'}")
        await _leave(app)
    return 0


async def _leave(app: Worker) -> None:
    """Commits what was taken, then leaves the group, so that others take over at once.

    The process ends in time whatever happens: a timer waits for nobody, where a cancellation may be swallowed.
    """
    log.info("leaving")
    asyncio.get_running_loop().call_later(LEAVE_TIMEOUT, _give_up)
    await app.tap.commit_group(await app.lanes.finish())
    await app.stop()


def _give_up() -> None:
    log.warning("ended without a word to the brokers: leaving took more than %.0f s", LEAVE_TIMEOUT)
    end(0)


def check_topics(cluster: Cluster) -> None:
    """Raises ClusterError where a topic is missing or has another number of partitions; names what else differs."""
    differences = topology.check(cluster)
    if missing := [each.topic for each in differences if each.what == "topic"]:
        raise ClusterError(f"Topics are missing ({', '.join(missing)}): run `rapport topics create` first.")
    for each in differences:
        if each.what == "partitions":
            raise ClusterError(
                f"Topic {each.topic} has {each.found} partitions and not {each.wanted}: set RAPPORT_PARTITIONS to what "
                "the topics were created with."
            )
        if each.what == topology.COMPRESSION and each.topic not in map(cluster.topic, OUTPUTS):
            raise ClusterError(f"Topic {each.topic} is compressed by {each.found}: install that and start again.")
        log.warning("topic %s: %s is %s and not %s", each.topic, each.what, each.found, each.wanted)


@contextmanager
def only_one(cluster: Cluster) -> Iterator[None]:
    """A data folder is one process's: rows of two copies of a lane would mix. Raises FolderBusy, DataFolderError."""
    lock = Lock(cluster.data, "worker")
    if not lock.acquire():
        raise FolderBusy(f"{cluster.data} belongs to another worker that runs: give each worker its own with --data.")
    try:
        yield
    finally:
        lock.release()

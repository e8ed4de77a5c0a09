"""The Faust worker: Faust brings records and says which partitions are this process's; lanes do everything else.

Agents hold no logic and never raise. On assignment all new lanes are fenced before the first of them recovers; on
revocation all are dropped with whatever they had not committed. What a lane cannot do ends the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, cast

import faust
from faust.types import TP
from yarl import URL

from schemas.errors import RapportError
from schemas.topics import TOPICS
from stream.clock import wall_now
from stream.core.effects import LINKS
from stream.core.home import INTERNAL
from stream.core.owners import EVENTS
from stream.core.plan import Plan
from stream.kafka.clients import tls
from stream.kafka.cluster import Cluster
from stream.kafka.faust_driver import Consumer, Transport
from stream.kafka.lane import Clock, Lane
from stream.kafka.lanestore import Memory
from stream.kafka.ownership import LINKER, Ownership, home
from stream.kafka.retention import delete_records
from stream.kafka.transactions import Fenced, Log
from stream.kafka.watermarks import Watermarks

log = logging.getLogger("rapport.worker")

EXIT_FAILED = 70
"""Exit code of a worker that cannot go on."""
SESSION_TIMEOUT = 6.0
"""Seconds without a sign of life until a worker's partitions go to others; brokers allow no less."""
REPORT_INTERVAL = 0.5
"""Seconds between two reports of positions to the consumer group."""
MAX_POLL_RECORDS = 200
"""Records in one delivery of the consumer's thread."""
BUFFER_RECORDS = 2 * MAX_POLL_RECORDS
"""Records between Faust and the lanes, for each agent: room for a delivery and more, since lanes bound what waits."""
MAX_FETCH_BYTES = 256 << 10
"""Of a partition in one fetch, or one record that is larger."""
DELETE_INTERVAL = 30.0
"""Seconds between two rounds of deleting what lanes have consumed of topics that keep their records for ever."""
MIN_DELETED_RECORDS = 1_000
"""Fewer consumed records are left alone."""
STOP_TIMEOUT = 6.0
"""Seconds that lanes get to commit what they have taken."""


def fail(reason: str) -> NoReturn:
    """Ends the process at once: what is not committed never happened."""
    log.critical("%s", reason)
    end(EXIT_FAILED)


def end(code: int) -> NoReturn:
    """Ends the process without waiting for threads: a client's may wait for a broker that is away."""
    logging.shutdown()
    os._exit(code)


class Lanes:
    """The lanes of this process, and the feeding of them."""

    def __init__(self, cluster: Cluster, plan: Plan, clock: Clock, fail: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.plan = plan
        self.owned: dict[Ownership, Lane] = {}
        """Those assigned to this process, open or not."""
        self._clock = clock
        self._fail = fail
        self._memory = Memory(cluster.rows_cached)
        self._turn = asyncio.Lock()
        """Held by the lane that steps: a run is worth more in one piece."""
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._fencing: asyncio.Future[Any] | None = None
        self._parting: set[asyncio.Task[None]] = set()
        self._by_log: dict[tuple[str, int], Lane] = {}
        self._topics = {cluster.topic(name): name for name in (EVENTS, INTERNAL, LINKS.topic)}

    def deliver(self, topic: str, partition: int, offset: int, record: bytes | None) -> None:
        """Hands a record to its lane. One for a lane that is gone is not lost: nobody has said it was taken."""
        lane = self._by_log.get((topic, partition))
        if lane is not None and lane.stats.open:
            lane.put(self._topics[topic], offset, record)

    def assign(self, partitions: Iterable[TP], app: Worker) -> None:
        """Opens the lanes of newly assigned partitions, and begins to feed each as soon as it is open."""
        wanted = {LINKER if tp.topic == self.cluster.topic(LINKS.topic) else home(tp.partition) for tp in partitions}
        new = []
        for owns in wanted - self.owned.keys():
            lane = Lane(owns, self.cluster, self.plan, self._clock, self._memory, self._turn)
            self.owned[owns] = lane
            self._by_log |= dict.fromkeys(lane.inputs.values(), lane)
            new.append(lane)
        fenced = self._fencing = asyncio.gather(*(lane.fence() for lane in new))
        for lane in new:
            self._tasks[lane] = asyncio.create_task(self._live(lane, fenced, app))

    async def drop(self) -> None:
        """Lets all lanes go, with whatever they have not committed. Stores are closed when this returns."""
        lanes, tasks = list(self.owned.values()), list(self._tasks.values())
        self.owned, self._tasks, self._by_log = {}, {}, {}
        if lanes:
            log.info("letting go of %s", ", ".join(sorted(lane.owns.name for lane in lanes)))
        if self._fencing is not None:
            self._fencing.cancel()  # lest it shuts out whoever is next
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in lanes:
            parting = asyncio.create_task(lane.close())
            self._parting.add(parting)
            parting.add_done_callback(self._parting.discard)
        await asyncio.sleep(0)

    async def finish(self) -> dict[TP, int]:
        """Commits what has been taken, takes no more and lets all lanes go; returns their last positions."""
        for lane in self.owned.values():
            lane.stop()
        working = [task for lane, task in self._tasks.items() if lane.stats.open]
        if working:
            await asyncio.wait(working, timeout=STOP_TIMEOUT)
        positions = self.positions()
        await self.drop()
        await asyncio.gather(*self._parting)
        return positions

    def positions(self) -> dict[TP, int]:
        """Of all open lanes, as committed."""
        return {
            TP(*lane.inputs[topic]): offset for lane in self.owned.values() for topic, offset in lane.positions.items()
        }

    def consumed(self, tidied: Mapping[Log, int]) -> dict[Log, int]:
        """Logs that never expire, with `MIN_DELETED_RECORDS` more before their positions than were deleted."""
        return {
            lane.inputs[topic]: offset
            for lane in self.owned.values()
            for topic, offset in lane.positions.items()
            if TOPICS[topic].retention_days is None
            and offset - tidied.get(lane.inputs[topic], 0) >= MIN_DELETED_RECORDS
        }

    async def _live(self, lane: Lane, fenced: asyncio.Future[Any], app: Worker) -> None:
        """The whole life of a lane. Only being dropped ends it without ending the process."""
        try:
            await asyncio.shield(fenced)
            await lane.open()
            log.info("%s is open at %s", lane.owns.name, lane.positions)
            await _rebalanced(app)
            self._feed(lane, app)
            await app.tap.start_at({TP(*lane.inputs[topic]): at for topic, at in lane.positions.items()})
            await lane.run()
        except asyncio.CancelledError:
            raise
        except Fenced as error:
            self._fail(f"{lane.owns.name} {error}")
        except RapportError as error:
            self._fail(f"{lane.owns.name}: {error}")
        except Exception as error:
            log.exception("%s failed", lane.owns.name)
            self._fail(f"{lane.owns.name} failed: {type(error).__name__}: {error}")

    @staticmethod
    def _feed(lane: Lane, app: Worker) -> None:
        partitions = [TP(*each) for each in lane.inputs.values()]

        def fed(more: bool) -> None:
            (app.tap.flow if more else app.tap.hold)(partitions)

        lane.inbox.fed = fed


async def _rebalanced(app: faust.App) -> None:
    """Faust seeks to the group's offsets at the end of a rebalance; the lanes' positions come after that."""
    while app.rebalancing:
        await asyncio.sleep(0.02)


class Worker(faust.App):
    """A Faust app with lanes."""

    lanes: Lanes

    @property
    def tap(self) -> Consumer:
        """Its consumer, by what Faust does not offer."""
        return cast(Consumer, self.consumer)


def build_app(
    cluster: Cluster,
    plan: Plan,
    clock: Clock = wall_now,
    url: str = "",
    fail: Callable[[str], None] = fail,
) -> Worker:
    """The worker of a cluster, ready to be started in a running event loop.

    `url` is where this worker answers over HTTP; the group's other members learn it. `fail` is told why it must end.
    """
    app = Worker(cluster.consumer_group, **_settings(cluster, url))
    app.transport = Transport([URL(f"kafka://{broker}") for broker in cluster.brokers], app)
    lanes = app.lanes = Lanes(cluster, plan, clock, fail)

    async def deliver(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            lanes.deliver(message.topic, message.partition, message.offset, message.value)

    for name, topics in (("homes", (EVENTS, INTERNAL)), ("linker", (LINKS.topic,))):
        channel = app.topic(
            *(cluster.topic(topic) for topic in topics),
            value_type=bytes,
            value_serializer="raw",
            key_serializer="raw",
            acks=False,
            allow_empty=True,
        )
        app.agent(channel, name=name)(deliver)

    async def assigned(_app: Any, *given: Any, **_: Any) -> None:
        lanes.assign(given[0], app)

    async def revoked(_app: Any, *given: Any, **_: Any) -> None:
        app.tap.hold(given[0])
        await lanes.drop()

    async def report() -> None:
        while not app.should_stop:
            await asyncio.sleep(REPORT_INTERVAL)
            if not app.rebalancing:
                await app.tap.commit_group(lanes.positions())

    async def watch() -> None:
        watermarks = Watermarks(cluster, clock)
        try:
            while not app.should_stop:
                await asyncio.sleep(REPORT_INTERVAL)
                await watermarks.move(lanes.owned.values())
        finally:
            await watermarks.close()

    async def tidy() -> None:
        tidied: dict[Log, int] = {}
        while not app.should_stop:
            await asyncio.sleep(DELETE_INTERVAL)
            if consumed := lanes.consumed(tidied):
                await delete_records(cluster, consumed)
                tidied |= consumed

    app.on_partitions_assigned.connect(cast(Any, assigned), weak=False)
    app.on_partitions_revoked.connect(cast(Any, revoked), weak=False)
    app.task(report)
    app.task(watch)
    app.task(tidy)
    return app


def _settings(cluster: Cluster, url: str) -> dict[str, Any]:
    return {
        "canonical_url": url or None,
        "broker": [URL(f"kafka://{broker}") for broker in cluster.brokers],
        "broker_credentials": _credentials(cluster),
        "broker_session_timeout": SESSION_TIMEOUT,
        "broker_heartbeat_interval": SESSION_TIMEOUT / 6,
        "broker_max_poll_records": MAX_POLL_RECORDS,
        "consumer_max_fetch_size": MAX_FETCH_BYTES,
        "consumer_auto_offset_reset": "earliest",
        "datadir": str(cluster.data / "faust"),
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "topic_partitions": cluster.partitions,
        "stream_buffer_maxsize": BUFFER_RECORDS,
        "stream_wait_empty": False,
        "stream_recovery_delay": 0.0,
        "web_enabled": False,
        "worker_redirect_stdouts": False,
    }


def _credentials(cluster: Cluster) -> Any:
    security, context = cluster.security, tls(cluster.security)
    if security.mechanism is not None:
        return faust.SASLCredentials(
            mechanism=security.mechanism,
            username=security.username,
            password=security.password,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None

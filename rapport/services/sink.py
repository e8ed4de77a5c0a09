"""A sink process: outputs from Kafka into the lake, and the lake published, until a signal or a failure ends it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapport import disk
from rapport.http import metrics
from rapport.http.application import application
from rapport.http.brokers import Watch
from rapport.http.probes import probes
from rapport.http.serve import bound, serving_beside, url_of
from rapport.process.logs import speak_plainly
from rapport.process.signals import Stop
from schemas.errors import ClusterError
from schemas.topics import OUTPUTS
from sinks.kafka.consumer import Consumer, Tally
from sinks.lake import locks
from sinks.marts.schedule import PublishSchedule
from stream.embedded.store import LAKE, PUBLISHED
from stream.kafka import codecs
from stream.kafka.clients import connection, enter
from stream.kafka.cluster import Cluster
from stream.kafka.placement import clients_of

log = logging.getLogger("rapport.sink")

CLIENT = "rapport-sink-"
"""What sinks call themselves towards the brokers, before what tells their folder from others."""
STUCK_AFTER = 120.0
"""Seconds a turn may take, a round of compaction included, before the process counts as stuck."""


@dataclass(frozen=True, slots=True)
class SinkReport:
    """What a sink did from start to end."""

    tally: Tally
    published: int
    seconds: float

    def json(self) -> dict[str, Any]:
        tally = self.tally
        return {
            "records": tally.records,
            "rows": tally.rows,
            "flushes": tally.flushes,
            "compacted": tally.compacted,
            "deleted": tally.deleted,
            "published": self.published,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """Answers the probes, from the server's thread."""

    consumer: Consumer
    brokers: Watch
    data: Path

    def live(self) -> bool:
        return time.monotonic() - self.consumer.tally.beat < STUCK_AFTER

    def missing(self) -> Sequence[str]:
        away = [] if self.brokers.up else ["no broker takes a connection"]
        full = disk.shortage(self.data)
        return [*away, *([full] if full else []), *self.consumer.missing()]

    def broker_up(self) -> bool:
        return self.brokers.up

    def disk_free(self) -> int:
        return disk.free(self.data)

    def about(self) -> Mapping[str, str]:
        return {}


def sink(cluster: Cluster) -> SinkReport:
    """Works until SIGTERM or SIGINT, then writes and publishes what it has taken.

    Raises UsageError, ClusterError or DataFolderError; the lake is whole then, too, and the next sink goes on there.
    """
    speak_plainly()
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)  # it warns of each large fetch
    started = time.monotonic()
    lake = cluster.data / LAKE
    names = {topic: cluster.topic(topic) for topic in OUTPUTS}
    publishing = PublishSchedule(lake, cluster.data / PUBLISHED)
    enter(cluster)
    mine = CLIENT + locks.tag(lake)
    check_folder(cluster, mine)
    with closing(publishing), Stop() as stop:
        consumer = Consumer(lake, names, cluster.sink_group, {**connection(cluster), "client_id": mine})
        with _readable(), consumer, _served(cluster, consumer, publishing):
            while not (stop or consumer.joined):
                consumer.turn()
            check_folder(cluster, mine)  # another may have joined at the same time
            while not stop:
                consumer.turn()
                publishing.turn()
                consumer.sweep(publishing.compactions)
        publishing.finish()
    return SinkReport(consumer.tally, publishing.published, time.monotonic() - started)


def check_folder(cluster: Cluster, mine: str) -> None:
    """Each sink would have a part of the tables if they wrote to several folders. Raises ClusterError where they do."""
    others = {name for name in clients_of(cluster, cluster.sink_group) if name.startswith(CLIENT)} - {mine}
    if others:
        raise ClusterError(
            f"A sink of the group {cluster.sink_group} writes to another folder than {cluster.data}: each would have a"
            " part of the tables. Name its folder with --data, or set another RAPPORT_GROUP for all tables in a second"
            " folder. A sink that was killed counts for ten seconds."
        )


@contextmanager
def _readable() -> Iterator[None]:
    """A codec without its package is told with what to install."""
    try:
        yield
    except ClusterError as error:
        if said := codecs.told(error):
            raise ClusterError(f"The sink cannot go on: {said}.") from error
        raise


@contextmanager
def _served(cluster: Cluster, consumer: Consumer, publishing: PublishSchedule) -> Iterator[None]:
    """Probes and metrics, answered from a thread of their own."""
    listening = bound(cluster.http_host, cluster.http_port)
    brokers = Watch(cluster.brokers)
    health = SinkHealth(consumer, brokers, cluster.data)
    routes = probes(health, metrics.of_sink(consumer.tally, publishing, health))
    app = application(routes, cluster.http_token)
    with closing(listening), brokers.looking(), serving_beside(app, listening):
        log.info("working on %s as %s; %s", ", ".join(cluster.brokers), cluster.sink_group, url_of(listening))
        yield

"""A sink process: outputs from Kafka into the lake, and the lake published, until a signal or a failure ends it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from rapport.http import metrics
from rapport.http.application import application
from rapport.http.probes import probes
from rapport.http.serve import bound, serving_beside, url_of
from rapport.process.logs import speak_plainly
from rapport.process.signals import Stop
from schemas.errors import ClusterError
from schemas.topics import OUTPUTS
from sinks.kafka.consumer import Consumer, Tally
from sinks.marts.schedule import PublishSchedule
from stream.embedded.store import LAKE, PUBLISHED
from stream.kafka import codecs
from stream.kafka.clients import connection, enter
from stream.kafka.cluster import Cluster

log = logging.getLogger("rapport.sink")

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

    def live(self) -> bool:
        return time.monotonic() - self.consumer.tally.beat < STUCK_AFTER

    def missing(self) -> Sequence[str]:
        return self.consumer.missing()

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
    with Stop() as stop:
        consumer = Consumer(lake, names, cluster.sink_group, connection(cluster))
        with _readable(), consumer, _served(cluster, consumer, publishing):
            while not stop:
                consumer.turn()
                publishing.turn()
                consumer.sweep(publishing.compactions())
        publishing.finish()
    return SinkReport(consumer.tally, publishing.published, time.monotonic() - started)


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
    routes = probes(SinkHealth(consumer), metrics.of_sink(consumer.tally, publishing))
    app = application(routes, cluster.http_token)
    with closing(listening), serving_beside(app, listening):
        log.info("working on %s as %s; %s", ", ".join(cluster.brokers), cluster.sink_group, url_of(listening))
        yield

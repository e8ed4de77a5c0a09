"""A run into Kafka: sources in, everything they hold accepted or refused, and acknowledged by the brokers at the end.

What the workers make of it is theirs to count. Whatever ends the run, what it read is in the log first. A run that does
not come to its end never says that it is done: its mark lapses, and what it did not send may follow until then.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rapport.process.gc import tuned_collector
from rapport.process.signals import Stop
from rapport.replay.local import PIPE_WAIT, batches
from rapport.replay.sources import BATCH, Source, is_piped, is_silent
from rapport.terminal.output import Progress
from schemas.errors import InputError
from stream.clock import wall_now
from stream.core.intake import Intake
from stream.core.plan import Plan
from stream.kafka.cluster import Cluster
from stream.kafka.producer import feeding


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did, in inputs, but for `records`."""

    sent: int
    rejected: int
    records: int
    topic: str
    partitions: int
    seconds: float
    exit_code: int
    """128 + signal where one ended the run, else 0."""
    broken: InputError | None = None
    """What kept a source from being read to its end."""

    @property
    def read(self) -> int:
        return self.sent + self.rejected

    def json(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "sent": self.sent,
            "rejected": self.rejected,
            "records": self.records,
            "topic": self.topic,
            "partitions": self.partitions,
            "seconds": round(self.seconds, 3),
        }


def run(cluster: Cluster, plan: Plan, sources: Sequence[Source], progress: Progress) -> Report:
    """Sends all sources. A second run sends the same once more, and the homes find every event a duplicate.

    Raises ClusterError before anything is read where the cluster cannot be used, and later when the brokers stay away.
    """
    started = time.monotonic()
    broken: InputError | None = None
    with tuned_collector(), Stop() as stop, feeding(cluster, secrets.token_hex(8)) as feed:
        intake = Intake(plan, wall_now)
        try:
            busy_since = wall_now()
            for batch in batches(sources, intake, stop, progress, lambda: feed.sent + feed.rejected):
                now = wall_now()
                silent = is_silent(batch)
                if not silent and not (is_piped(batch) and now - busy_since >= PIPE_WAIT):
                    feed.open(now)
                if feed.send(batch) < BATCH:
                    feed.push()
                if silent:
                    feed.close(now)
                    busy_since = now
        except InputError as error:
            broken = error
        if not broken and not stop.exit_code:
            feed.close(wall_now())
        progress(1, None, "waiting for the brokers")
        feed.finish()
        seconds = time.monotonic() - started
        topic = cluster.topic("events")
        return Report(feed.sent, feed.rejected, feed.records, topic, feed.partitions, seconds, stop.exit_code, broken)

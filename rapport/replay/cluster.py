"""A run into Kafka: sources in, everything they hold accepted or refused, and acknowledged by the brokers at the end.

What the workers make of it is theirs to count. Whatever ends the run, what it read is in the log first. A run that does
not come to its end never says that it is done: its mark lapses, and what it did not send may follow until then.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapport.process.gc import tuned_collector
from rapport.process.signals import Stop
from rapport.replay.again import looked_at
from rapport.replay.local import PIPE_WAIT, batches
from rapport.replay.sources import Outcome, Source
from rapport.terminal.output import Progress
from schemas.errors import InputError, UsageError
from schemas.instant import DAY
from sinks.marts.known import KnownInput
from stream.clock import wall_now
from stream.core.intake import Intake
from stream.core.owners import EVENTS
from stream.core.plan import Plan
from stream.embedded.store import LAKE
from stream.kafka import topics as topology
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
    broken: InputError | UsageError | None = None
    """What kept the input from being sent to its end."""
    unique: int = 0
    """Events from a pipe that state neither an id nor a time."""
    unknown: int = 0
    """Rejected for a `type` that the spec does not have."""
    known: int = 0
    """Not sent, for the sinks' tables have them."""

    @property
    def read(self) -> int:
        return self.sent + self.rejected + self.known

    def json(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "sent": self.sent,
            "rejected": self.rejected,
            "known": self.known,
            "records": self.records,
            "topic": self.topic,
            "partitions": self.partitions,
            "seconds": round(self.seconds, 3),
        }


def run(
    cluster: Cluster,
    plan: Plan,
    sources: Sequence[Source],
    progress: Progress,
    tables: Path | None = None,
    count_again: bool = False,
) -> Report:
    """Sends all sources. A second run sends the same once more, and the homes find every event a duplicate.

    What may have been taken longer ago than they remember is looked up in `tables`, a sink's data folder. Without one,
    such input ends the run with a UsageError in the report, unless the cluster is younger than that, or it is to
    `count_again`. Raises ClusterError before anything is read where the cluster cannot be used, and later when the
    brokers stay away.
    """
    started = time.monotonic()
    broken: InputError | UsageError | None = None
    memory = plan.identity.forget_after
    with (
        tuned_collector(),
        Stop() as stop,
        feeding(cluster, secrets.token_hex(8)) as feed,
        KnownInput(tables / LAKE, wall_now() - memory + DAY) if tables else nullcontext() as known,
    ):
        intake = Intake(plan, wall_now)
        gone = 0
        certain = count_again or (known is None and topology.begins_after(cluster, EVENTS, wall_now() - memory))

        def look(doubtful: Sequence[Outcome]) -> Sequence[Outcome]:
            nonlocal gone
            if known is None:
                raise UsageError(
                    "Some of this input states an old time or none, and may have been taken before workers forgot it."
                    " Name a sink's data folder with --tables DIR to leave out what is there, or add --count-again."
                )
            found = known.among(doubtful)
            gone += len(found)
            return found

        try:
            busy_since = wall_now()
            for batch in batches(sources, intake, stop, progress, lambda: feed.sent + feed.rejected + gone):
                now = wall_now()
                if not batch.silent and not (batch.piped and now - busy_since >= PIPE_WAIT):
                    feed.open(now)
                feed.send(batch.outcomes if certain else looked_at(batch.outcomes, memory, look))
                if batch.silent:
                    feed.push()
                    feed.close(now)
                    busy_since = now
        except (InputError, UsageError) as error:
            broken = error
        if not broken and not stop.exit_code:
            feed.close(wall_now())
        progress(1, None, "waiting for the brokers")
        feed.finish()
        seconds = time.monotonic() - started
        topic = cluster.topic("events")
        return Report(
            feed.sent,
            feed.rejected,
            feed.records,
            topic,
            feed.partitions,
            seconds,
            stop.exit_code,
            broken,
            intake.unique,
            intake.unknown,
            gone,
        )

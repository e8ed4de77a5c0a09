"""Whatever fails, in the end a cluster has come to what one process makes of the same input: lost 0, doubled 0."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import stream_crowd
from kafka_faulty import STEPS
from rapport.demo.broker import Broker
from schemas import codec
from sinks_topics import ends
from stream.kafka.producer import feeding
from stream_chaos import KINDS, Cluster, chaos, crowded, feed, schedule
from stream_cluster import until
from stream_verdict import breaches

EVENTS = 12_000
AWAY = 10.0
"""Seconds without a broker."""
LITTLE = 128 * 1024
"""Bytes on their way to a broker; less than is fed while it is away."""
FEW = 3_000
MEMORY = 500 << 20
"""Bytes a worker may have in memory, with the broker there or away."""


@pytest.fixture
def cluster(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Cluster]:
    """As many lanes as there are steps of a commit: a worker for each has one."""
    made = Cluster(broker, prefix, tmp_path / "cluster", len(STEPS))
    yield made
    made.close()


def test_every_fault_at_least_once(own_broker: Broker, tmp_path: Path) -> None:
    """Set RAPPORT_SEED for other faults; `make chaos` draws them anew each time."""
    seed = int(os.environ.get("RAPPORT_SEED", "2373"))
    print(f"RAPPORT_SEED={seed}")
    diary, wrong = chaos(own_broker, tmp_path, seed, EVENTS)
    assert not wrong, "\n".join(wrong)
    assert len(diary.faults) >= len(KINDS)
    assert diary.memory < MEMORY


def test_a_seed_is_the_same_input_and_the_same_faults() -> None:
    assert schedule(3, EVENTS) == schedule(3, EVENTS) != schedule(4, EVENTS)
    assert {fault.kind for fault in schedule(3, EVENTS)} == set(KINDS)
    assert stream_crowd.make(3, 500) == stream_crowd.make(3, 500)


# --- the broker, and the time it takes ------------------------------------------------------------------------------


def test_a_broker_that_is_away_costs_nothing_but_time(
    own_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever feeds waits for it, once as much is on its way as may be."""
    monkeypatch.setattr("stream.kafka.producer.MAX_IN_FLIGHT_BYTES", LITTLE)
    cluster = Cluster(own_broker, "away-", tmp_path / "cluster")
    crowd, embedded = crowded(cluster, tmp_path, 6, 3 * FEW)
    try:
        cluster.want("one", "two")
        for phase in crowd.phases:
            cluster.pass_time(phase.now)
            cluster.raw("links", 0, *map(codec.encode, phase.splits))
            half = len(phase.inputs) // 2
            with feeding(cluster.cluster) as into:
                cluster.take(into, phase.inputs[:half])
                if phase is crowd.phases[1]:
                    cluster.break_broker(AWAY)
                cluster.take(into, phase.inputs[half:])
                assert not cluster.away, "whoever feeds has to wait, and went on"
                into.finish()
            cluster.settled()
        cluster.expire(crowd, stream_crowd.triggers(embedded))
        wrong = breaches(embedded, cluster)
    finally:
        cluster.close()
    print(f"{cluster.diary.memory >> 20} MB at most; ended: {dict(cluster.diary.endings)}")
    assert not wrong, "\n".join(wrong)
    assert cluster.diary.memory < MEMORY


def test_the_partitions_of_a_killed_worker_move_on(cluster: Cluster, tmp_path: Path) -> None:
    crowd, embedded = crowded(cluster, tmp_path, 7, FEW)
    first, *others = crowd.phases
    facts = {"facts": cluster.cluster.topic("facts")}
    for name in ("one", "two"):
        cluster.start(name)
    until(lambda: all(cluster.said(name, "is open") for name in ("one", "two")), "both have lanes")
    feed(cluster, first)
    cluster.settled()
    had = ends(cluster.cluster.brokers[0], facts)
    cluster.signal("one", signal.SIGKILL)
    assert cluster.ended("one") == -signal.SIGKILL
    killed = time.monotonic()
    feed(cluster, others[0])
    until(
        lambda: all(end > had[log] for log, end in ends(cluster.cluster.brokers[0], facts).items()),
        "every partition has moved on",
    )
    print(f"Failover: {time.monotonic() - killed:.1f} s")
    cluster.settled()
    for phase in others[1:]:
        feed(cluster, phase)
        cluster.settled()
    cluster.expire(crowd, stream_crowd.triggers(embedded))
    assert breaches(embedded, cluster) == []

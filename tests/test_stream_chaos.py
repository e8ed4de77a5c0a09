"""Whatever fails, in the end a cluster has come to what one process makes of the same input: lost 0, doubled 0."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import stream_crowd
from kafka_faulty import FREEZE, MUTANT, STEPS
from rapport.demo.broker import Broker
from schemas import codec
from sinks_topics import ends
from stream.kafka.producer import feeding
from stream.kafka.worker import EXIT_FAILED
from stream_chaos import KINDS, Cluster, chaos, schedule
from stream_cluster import ENVIRONMENT, until
from stream_crowd import Crowd, Phase
from stream_verdict import breaches

EVENTS = 60_000
AWAY = 10.0
"""Seconds without a broker."""
LITTLE = 256 * 1024
"""Bytes on their way to a broker; less than is fed while it is away."""
FEW = 6_000
LETTING_GO = "letting go of"
"""What a worker says that has been told to leave its lanes."""
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


def crowded(cluster: Cluster, folder: Path, seed: int, events: int) -> tuple[Crowd, Path]:
    """A crowd, and the file of what one process made of it."""
    crowd = stream_crowd.make(seed, events)
    return crowd, stream_crowd.embedded(crowd, stream_crowd.loaded(cluster.plan), folder / "embedded")


# --- zombies --------------------------------------------------------------------------------------------------------


def feed(cluster: Cluster, phase: Phase) -> None:
    if phase.splits and not ENVIRONMENT.get(MUTANT):
        cluster.pass_time(phase.now)
    cluster.set_clock(phase.now)
    cluster.raw("links", 0, *map(codec.encode, phase.splits))
    cluster.feed(phase.inputs)


def stopped(cluster: Cluster, name: str) -> bool:
    """Whether a worker is frozen; one that has ended never will be."""
    pid = cluster.processes[name].pid
    found = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG)
    assert found is None or found.si_code == os.CLD_STOPPED, f"{name}: {cluster.log(name).read_text()[-1500:]}"
    return found is not None


def haunted(cluster: Cluster, crowd: Crowd, steps: Mapping[str, str]) -> dict[str, int | None]:
    """Each worker freezes at its step of a commit, an heir does their work, and all thaw while it does more.

    Gives how they left: the exit code, or None for one that let its lanes go before one of them could be told, and
    joined the group anew.
    """
    first, meanwhile, last = crowd.phases
    half = len(meanwhile.inputs) // 2
    cluster.want(*steps)
    until(lambda: all(cluster.said(name, "is open") for name in steps), "all have lanes")
    feed(cluster, first)
    cluster.settled()
    feed(cluster, meanwhile._replace(inputs=meanwhile.inputs[:half]))
    cluster.settled()
    for name, step in steps.items():
        (cluster.data(name) / FREEZE).write_text(step)
    cluster.feed(meanwhile.inputs[half:])
    until(lambda: all(stopped(cluster, name) for name in steps), "all are frozen")
    cluster.want("heir")
    until(lambda: cluster.count("heir", "is open") > cluster.cluster.partitions, "the heir has every lane")
    cluster.settled()
    let_go = {name: cluster.count(name, LETTING_GO) for name in steps}
    feed(cluster, last)
    for name in steps:
        cluster.signal(name, signal.SIGCONT)
    return {name: left_by(cluster, name, let_go[name]) for name in steps}


def left_by(cluster: Cluster, name: str, let_go: int) -> int | None:
    """How a thawed worker leaves."""
    process = cluster.processes[name]
    until(lambda: process.poll() is not None or cluster.count(name, LETTING_GO) > let_go, f"{name} has left")
    return process.poll()


def test_what_a_frozen_worker_still_sends_is_never_seen(cluster: Cluster, tmp_path: Path) -> None:
    crowd, embedded = crowded(cluster, tmp_path, 5, FEW)
    left = haunted(cluster, crowd, {step: step for step in STEPS})
    print(left)
    cluster.settled()
    cluster.expire(crowd, stream_crowd.triggers(embedded))
    wrong = breaches(embedded, cluster)
    assert not wrong, "\n".join(wrong)
    assert set(left.values()) <= {EXIT_FAILED, None}


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
            if phase.splits:
                cluster.pass_time(phase.now)
            cluster.set_clock(phase.now)
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


# --- the proof can fail ---------------------------------------------------------------------------------------------


def test_owners_without_a_fence_are_found(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two linkers may send an event round in circles for ever: what is doubled is looked for before all has settled."""
    monkeypatch.setitem(ENVIRONMENT, MUTANT, "no-fence")
    crowd, embedded = crowded(cluster, tmp_path, 5, FEW)
    haunted(cluster, crowd, dict.fromkeys(STEPS, STEPS[0]))

    def found() -> bool:
        facts = [line for line in breaches(embedded, cluster) if line.startswith("facts: ")]
        print(*facts, sep="\n")
        return any(" 0 too many" not in line for line in facts)

    until(found, "facts are doubled")


@pytest.mark.parametrize("mutant", ["no-positions", "outputs-apart"])
def test_commits_that_are_not_whole_are_found(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: str
) -> None:
    monkeypatch.setitem(ENVIRONMENT, MUTANT, mutant)
    crowd, embedded = crowded(cluster, tmp_path, 5, FEW)
    cluster.want("one", "two")
    for phase in crowd.phases:
        had = len(cluster.records("facts"))
        feed(cluster, phase)
        until(lambda: len(cluster.records("facts")) > had, "work has begun")  # noqa: B023 - used up in this round
        cluster.signal("one", signal.SIGKILL)
        cluster.settled()
    cluster.expire(crowd, stream_crowd.triggers(embedded))
    wrong = breaches(embedded, cluster)
    print(*wrong, sep="\n")
    assert wrong

"""Owners that are frozen and thaw, and what happens without the rules that shut them out: the proof can fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kafka_faulty import FREEZE, MUTANT, STEPS
from rapport.demo.broker import Broker
from stream.kafka.worker import EXIT_FAILED
from stream_chaos import Cluster, crowded, feed
from stream_cluster import ENVIRONMENT, until
from stream_crowd import Crowd, triggers
from stream_verdict import breaches

FEW = 2_000
LETTING_GO = "letting go of"
"""What a worker says that has been told to leave its lanes."""
HOPELESS = 5.0
"""Seconds for timers to fire where something has been lost."""


@pytest.fixture
def cluster(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Cluster]:
    """As many lanes as there are steps of a commit: a worker for each has one."""
    made = Cluster(broker, prefix, tmp_path / "cluster", len(STEPS))
    yield made
    made.close()


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
    cluster.expire(crowd, triggers(embedded))
    wrong = breaches(embedded, cluster)
    assert not wrong, "\n".join(wrong)
    assert set(left.values()) <= {EXIT_FAILED, None}


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
    cluster.expire(crowd, triggers(embedded), HOPELESS)
    wrong = breaches(embedded, cluster)
    print(*wrong, sep="\n")
    assert wrong

"""What the Kafka benchmark measures on: a real broker, real workers and sinks as processes, and what they use.

Processor time and memory are read from /proc, so it runs on Linux. It measures and must never change what it measures:
it asks a worker's metrics about twice a second and nothing else.
"""

from __future__ import annotations

import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kafka.admin import NewTopic

from rapport.demo.processes import LocalCluster, end
from rapport.demo.tour import plan_of_shop
from rapport.plan.folder import load
from schemas.messages import Event
from stream.core.intake import Intake
from stream.core.plan import Plan
from stream.kafka.clients import admin
from stream.kafka.cluster import Cluster
from stream.kafka.producer import feeding

PARTITIONS = 8
POLL_INTERVAL = 0.5
"""Seconds between two questions to a worker."""
WAIT_TIMEOUT = 300.0
HELD = 5.0
"""Seconds workers may be held: after six the broker gives their partitions to others."""
TICKS = os.sysconf("SC_CLK_TCK")

PACED = 3
"""Calculations in a look at the pace; the quickest counts, since a process of ours may have been in the way."""
PACED_STEPS = 100_000

Figures = Mapping[tuple[str, str], float]
"""(metric, lane) -> value."""


class Stack(LocalCluster):
    """Workers and a sink on a broker that other stacks use, too, each with topics of its own."""

    def __init__(self, folder: Path, address: str, prefix: str, plan: Path | None = None) -> None:
        super().__init__(folder / prefix, address=address, prefix=prefix)
        self.plan_folder = plan or plan_of_shop()
        self.cluster = Cluster((address,), self.folder, prefix=prefix, partitions=PARTITIONS)
        self.environment["RAPPORT_PARTITIONS"] = str(PARTITIONS)

    def start_workers(self, count: int) -> None:
        """Waits until all are ready; then no partition moves any more."""
        for number in range(1, count + 1):
            self.start(f"worker-{number}", "worker", "--plan", str(self.plan_folder))
        self.ready()

    def create_topics(self) -> None:
        self.run("topics", "topics", "create", "--brokers", self.address)

    def ready(self) -> None:
        """Every lane is open, and every worker has some: none joins later and has them dealt out anew."""

        def dealt() -> bool:
            lanes = self._open()
            return all(lanes) and sum(map(len, lanes)) == PARTITIONS + 1

        self.until(dealt)

    def _open(self) -> list[list[str]]:
        """The open lanes of each worker."""
        return [
            [lane for (metric, lane), value in self._figures(name).items() if metric == "rapport_lane_open" and value]
            for name in self.running("worker")
        ]

    def end_workers(self) -> None:
        for name in self.running("worker"):
            end(self.take(name))
            del self.urls[name]

    # --- looking ----------------------------------------------------------------------------------------------------

    def pids(self) -> list[int]:
        return [self.pid_of(name) for name in self.running("worker")]

    def figures(self) -> dict[tuple[str, str], float]:
        """All metrics of all lanes, of input topics those of events. A lane that no worker has open is missing."""
        return {key: value for name in self.running("worker") for key, value in self._figures(name).items()}

    def _figures(self, worker: str) -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        with suppress(OSError), urllib.request.urlopen(f"{self.urls[worker]}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if told := re.match(r'(rapport_\w+)\{lane="([\w-]+)"(?:,topic="events")?\} (\S+)', line):
                    found[told[1], told[2]] = float(told[3])
        return found

    def values(self, metric: str) -> dict[str, float]:
        """One metric by lane."""
        return {lane: value for (name, lane), value in self.figures().items() if name == metric}

    def total(self, metric: str) -> float:
        return sum(self.values(metric).values())

    def until(self, there: Callable[[], bool], look: float = POLL_INTERVAL) -> None:
        """Raises Failed where a process ends and TimeoutError where it takes too long."""
        until = time.monotonic() + WAIT_TIMEOUT
        while not there():
            self.check()
            if time.monotonic() > until:
                raise TimeoutError(f"not there within {WAIT_TIMEOUT:.0f} s; {self.folder} has the logs")
            time.sleep(look)

    def settled(self) -> None:
        """Nothing moves any more: what was sent is applied, and so is everything that came of it."""
        last: list[Figures] = [{}]

        def still() -> bool:
            seen = {key: value for key, value in self.figures().items() if key[0] == "rapport_transactions_total"}
            last.append(seen)
            return bool(seen) and last[-1] == last[-2]

        self.until(still, 2 * POLL_INTERVAL)

    def feed(self, events: Iterable[Event]) -> None:
        """All of them, acknowledged by the broker."""
        with feeding(self.cluster) as feed:
            feed.send(events)
            feed.finish()

    def pile_up(self, events: Iterable[Event]) -> None:
        """Feeds them to workers that stand still. Raises TimeoutError where it takes so long that they are missed."""
        started = time.monotonic()
        with held(self.pids()):
            self.feed(events)
        if time.monotonic() - started > HELD:
            raise TimeoutError(f"{self.folder.name}: its backlog took longer than {HELD:.0f} s to send")


def accepted(lines: Iterable[bytes], plan: Plan) -> list[Event]:
    """As a run accepts them, now."""
    return [
        each for each in Intake(plan, lambda: time.time_ns() // 1_000).lines(lines, "bench") if isinstance(each, Event)
    ]


def shop() -> Plan:
    """The shop's plan: the rules everything is measured with."""
    return load(plan_of_shop())


def make_topics(cluster: Cluster, names: Iterable[str]) -> None:
    """Topics that are not Rapport's, and waits until clients see them."""
    with admin(cluster) as client:
        client.create_topics([NewTopic(cluster.topic(name), PARTITIONS, 1) for name in names])
        while set(map(cluster.topic, names)) - set(client.list_topics()):
            time.sleep(0.1)


def processor_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, with all their threads, since they began."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


@contextmanager
def held(pids: Iterable[int]) -> Iterator[None]:
    """These processes stand still meanwhile: what is sent is all there when they go on, however many they are."""
    holding = list(pids)
    for pid in holding:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in holding:
            os.kill(pid, signal.SIGCONT)


def peak_memory(pid: int) -> float:
    """MiB a process has held at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def pace() -> float:
    """How often a second this machine makes a small calculation just now, with whatever its neighbours do."""
    rates = []
    for _ in range(PACED):
        started, values = time.perf_counter(), {}
        for number in range(PACED_STEPS):
            values[number % 1_024] = str(number)
        rates.append(1 / (time.perf_counter() - started))
    return max(rates)

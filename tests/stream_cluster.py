"""Worker processes on a real broker, what is fed to them, and what became visible to a reader of committed records."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import RetriableError

from rapport.demo.tour import plan_of_shop
from schemas import codec
from schemas.instant import MINUTE
from schemas.messages import Event, Message, Rejected
from schemas.topics import TOPICS
from stream.core.waits import WATERMARK
from stream.kafka import topics as topology
from stream.kafka.cluster import Cluster
from stream.kafka.producer import feeding

INPUTS = ("events", "internal", "links")
WAIT_TIMEOUT = 90.0
"""Seconds a condition may take; a busy machine is slow."""
WORKER = Path(__file__).with_name("kafka_worker.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


class Workers:
    """Topics of their own on a broker, and the worker processes that share them."""

    def __init__(self, address: str, prefix: str, folder: Path, partitions: int = 4, plan: Path | None = None) -> None:
        self.cluster = Cluster((address,), folder, prefix=prefix, partitions=partitions)
        self.folder = folder
        self.plan = plan or plan_of_shop()
        self.clock = folder / "clock"
        """What the workers take for the time, in microseconds."""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        topology.create(self.cluster)
        self.set_clock(0)

    def set_clock(self, now: int) -> None:
        beside = self.clock.with_suffix(".new")
        beside.write_text(str(now))
        beside.replace(self.clock)

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """A worker with its own data folder, which it may have used before."""
        assert name not in self.processes, f"{name} runs already"
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *self.command(name)],
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                start_new_session=True,
            )

    def command(self, name: str) -> list[str]:
        """The program of a worker, and its arguments."""
        cluster = self.cluster
        told = [*cluster.brokers, cluster.prefix, cluster.partitions, self.data(name), self.plan, self.clock]
        return [str(WORKER), *map(str, told)]

    def data(self, name: str) -> Path:
        return self.folder / name

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def signal(self, name: str, signum: signal.Signals) -> None:
        os.kill(self.processes[name].pid, signum)

    def ended(self, name: str) -> int:
        """The exit code of a worker that is ending by itself."""
        code = self.processes[name].wait(WAIT_TIMEOUT)
        del self.processes[name]
        return code

    def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        self.signal(name, signal.SIGTERM)
        return self.ended(name)

    def tend(self) -> None:
        """Looks after the workers while something is waited for: none may have ended."""
        for name, process in self.processes.items():
            assert process.poll() is None, f"{name} has ended: {self.log(name).read_text()[-2000:]}"

    def close(self) -> None:
        for name in list(self.processes):
            self.processes[name].kill()
            self.processes.pop(name).wait()

    def said(self, name: str, text: str) -> bool:
        """Whether a worker's log has this text."""
        return self.count(name, text) > 0

    def count(self, name: str, text: str) -> int:
        """How often it has it."""
        return self.log(name).read_text(errors="replace").count(text)

    # --- records ----------------------------------------------------------------------------------------------------

    def feed(self, inputs: Iterable[Event | Rejected]) -> None:
        with feeding(self.cluster) as feed:
            feed.send(inputs)
            feed.finish()

    def raw(self, topic: str, partition: int, *records: bytes | None) -> None:
        """Bytes as they are."""
        with closing(KafkaProducer(bootstrap_servers=self.cluster.brokers[0])) as producer:
            for record in records:
                producer.send(self.cluster.topic(topic), record, key=b"k", partition=partition).get(WAIT_TIMEOUT)

    def logs(self, *topics: str) -> list[TopicPartition]:
        """All partitions of these topics."""
        return [
            TopicPartition(self.cluster.topic(topic), partition)
            for topic in topics
            for partition in range(TOPICS[topic].count(self.cluster.partitions))
        ]

    def settled(self) -> None:
        """Until every committed record of every input has been taken, and nothing that follows from it is under way."""
        with self._reading(*INPUTS) as (reader, last), closing(self._admin()) as admin:
            group = self.cluster.consumer_group

            def still() -> bool:
                self.tend()
                try:
                    found = admin.list_group_offsets({group: self.logs(*INPUTS)})[group]
                except RetriableError:  # a new broker makes its topic of offsets first
                    return False
                for records in _all(reader):
                    last[records[-1].topic, records[-1].partition] = records[-1].offset
                return all(_offset(found, log) > offset for log, offset in last.items())

            until(still, "the workers have taken everything")

    def pass_time(self, now: int) -> None:
        """Sets the clock, and waits until what was due by then has been looked at: every lane's watermark is there.

        Without that a split or a merge that comes next races the timers of before.
        """
        self.set_clock(now)
        marks: dict[int, int] = {}
        deadline = time.monotonic() + WAIT_TIMEOUT
        with self._reading("rows") as (reader, _):
            while len(marks) < self.cluster.partitions or min(marks.values()) < now - MINUTE:
                assert time.monotonic() < deadline, f"the watermarks are at {marks}, not near {now}"
                self.tend()
                for records in _all(reader):
                    marks |= {
                        each.partition: int(each.value.split(b",")[0]) for each in records if each.key == WATERMARK
                    }
                time.sleep(0.05)
        self.settled()

    def overdue(self, now: int) -> int:
        """Timers among the committed rows that are due by an instant and have not been looked at since."""
        wakes = {record.key: record.value for record in self.records("rows") if record.key[:1] == b"w"}
        return sum(value is not None and int.from_bytes(key[1:9], "big") <= now for key, value in wakes.items())

    def messages(self, topic: str) -> list[Message]:
        """All committed messages of a topic."""
        return [codec.decode(line) for record in self.records(topic) for line in record.value.split(b"\n")]

    def records(self, topic: str) -> list[Any]:
        """All committed records of a topic."""
        with self._reading(topic) as (reader, _):
            return [record for records in _all(reader) for record in records]

    def _admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(bootstrap_servers=self.cluster.brokers[0])

    @contextmanager
    def _reading(self, *topics: str) -> Iterator[tuple[KafkaConsumer, dict[tuple[str, int], int]]]:
        reader = KafkaConsumer(
            bootstrap_servers=self.cluster.brokers[0],
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )
        with closing(reader):
            reader.assign(self.logs(*topics))
            reader.seek_to_beginning()
            yield reader, {}


def _all(reader: KafkaConsumer) -> Iterator[list[Any]]:
    """Everything that is committed by now and has not been read."""
    ends = reader.end_offsets(reader.assignment())
    while any(reader.position(log) < end for log, end in ends.items()):
        yield from (records for records in reader.poll(timeout_ms=100).values() if records)


def _offset(found: Any, log: tuple[str, int]) -> int:
    entry = found.get(TopicPartition(*log))
    return -1 if entry is None else entry.offset


def until(condition: Callable[[], bool], what: str, patience: float = WAIT_TIMEOUT) -> float:
    """Waits; returns the seconds that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < patience, f"waited {patience} s for this: {what}"
        time.sleep(0.05)
    return time.monotonic() - started

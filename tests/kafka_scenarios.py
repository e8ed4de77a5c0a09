"""Scenarios on a real broker: what two worker processes come to, on the scenarios' own time.

Every scenario has topics of its own, and all are played side by side. One goes on, and its clock with it, as soon as
nothing in it moves any more: every record of every input is behind the positions that its lane committed, no
transaction is open, and no timer is due. Profiles are read from the changelog, which is what lanes are rebuilt from.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from kafka_scenario_workers import CLOCKS, cluster_of
from schemas import codec
from schemas.messages import EndQuarantine, Event, Merge, Quarantine, Rejected, Split, Unsplit
from schemas.topics import OUTPUTS, TOPICS
from stream.core.effects import LINKS, Effects
from stream.core.envelope import envelope
from stream.kafka.cluster import Cluster
from stream.kafka.lanestore import POSITIONS
from stream.simulation.broker import Memory, events_log
from stream_cluster import ENVIRONMENT, WAIT_TIMEOUT
from stream_scenarios import Item, Outcome, Scenario, Wait, files, load, outcome_of, profiles_in

TROUPE = Path(__file__).with_name("kafka_scenario_workers.py")
INPUTS = ("events", "internal", LINKS.topic)
CHANGELOGS = ("rows", "linker-rows")
READ = (*INPUTS, *CHANGELOGS, *OUTPUTS)


def played(address: str, prefix: str, folder: Path) -> dict[str, Outcome]:
    """What every scenario came to, by the name of its file."""
    plays = [Play(path, address, prefix, folder) for path in files()]
    logs = {log: play for play in plays for log in play.logs()}
    with ExitStack() as stack:
        stack.enter_context(_topics(address, plays))
        troupe = dict(stack.enter_context(_worker(folder / name, address, prefix)) for name in ("one", "two"))
        reader = stack.enter_context(_reader(address, "read_committed", logs))
        ahead = stack.enter_context(_reader(address, "read_uncommitted", logs))
        producer = stack.enter_context(closing(KafkaProducer(bootstrap_servers=address, acks="all")))
        acts = {play: play.acts(producer) for play in plays}
        reached: dict[TopicPartition, int] = {}
        moved = time.monotonic()
        while acts:
            for records in reader.poll(timeout_ms=100).values():
                for record in records:
                    logs[TopicPartition(record.topic, record.partition)].see(record)
            done = list(_still(acts, reader, ahead, reached))
            for play in done:
                if next(acts[play], True):
                    del acts[play]
            producer.flush()
            moved = time.monotonic() if done else moved
            _tend(troupe, [play.name for play in acts] if time.monotonic() - moved > WAIT_TIMEOUT else [])
    return {play.name: play.outcome() for play in plays}


class Play:
    """One scenario on its own cluster, and what became visible of it."""

    def __init__(self, path: Path, address: str, prefix: str, folder: Path) -> None:
        self.name = path.stem
        self.scenario: Scenario = load(path)
        self.cluster: Cluster = cluster_of(self.name, address, prefix, folder)
        self._clock = folder / CLOCKS / self.name
        self._rows = Memory()
        self._made = Effects()
        self._last: dict[tuple[str, int], int] = {}
        self._positions: dict[tuple[str, int], int] = {}
        self._now = 0
        self._clock.parent.mkdir(parents=True, exist_ok=True)
        self._set_clock(0)

    def logs(self) -> list[TopicPartition]:
        """Everything that is read."""
        partitions = self.cluster.partitions
        return [
            TopicPartition(self.cluster.topic(name), p) for name in READ for p in range(TOPICS[name].count(partitions))
        ]

    # --- playing ----------------------------------------------------------------------------------------------------

    def acts(self, producer: KafkaProducer) -> Iterator[None]:
        """Plays; whenever it yields, it goes on once nothing moves any more."""
        for item in self.scenario.items:
            match item:
                case Event():
                    yield from self._advance(item.now - self.scenario.stepwise, self.scenario.stepwise)
                case Wait():
                    yield from self._advance(item.at, self.scenario.stepwise)
                case Split() | Merge() | Unsplit() | Quarantine() | EndQuarantine():
                    yield from self._advance(item.at, stepwise=False)
            self._send(producer, item)
            yield

    def _advance(self, now: int, stepwise: bool) -> Iterator[None]:
        """Time passes, `stepwise` so that every timer fires at its own."""
        while (due := self._due()) is not None and due <= now:
            self._set_clock(due if stepwise else now)
            yield
        self._set_clock(now)

    def _send(self, producer: KafkaProducer, item: Item) -> None:
        if isinstance(item, Wait):
            return
        log = events_log(item, self.cluster.partitions) if isinstance(item, Event | Rejected) else LINKS
        producer.send(self.cluster.topic(log.topic), envelope([item]), partition=log.partition)

    def _set_clock(self, now: int) -> None:
        self._now = now
        beside = self._clock.with_suffix(".new")
        beside.write_text(str(now))
        beside.replace(self._clock)

    # --- seeing -----------------------------------------------------------------------------------------------------

    def see(self, record: Any) -> None:
        """A committed record."""
        topic = record.topic.removeprefix(self.cluster.prefix)
        if topic in INPUTS:
            self._last[topic, record.partition] = record.offset
        elif topic in OUTPUTS:
            made: list[Any] = getattr(self._made, topic)
            made += map(codec.decode, record.value.split(b"\n"))
        elif record.key == POSITIONS:
            positions = orjson.loads(record.value)
            self._positions.update(((name, record.partition), offset) for name, offset in positions.items())
        else:
            self._rows.write({record.key: record.value})

    def settled(self) -> bool:
        """Whether, by what has been seen, nothing moves."""
        due = self._due()
        taken = all(self._positions.get(log, 0) > offset for log, offset in self._last.items())
        return taken and (due is None or due > self._now)

    def _due(self) -> int | None:
        """When the next timer is due."""
        return min((int.from_bytes(key[1:9], "big") for key, _ in self._rows.scan(b"w")), default=None)

    def outcome(self) -> Outcome:
        """What it came to. Kafka's topics do not tell duplicates: what was sent and is no fact."""
        made = self._made
        made.duplicate = sum(isinstance(item, Event) for item in self.scenario.items) - len(made.facts)
        return outcome_of(profiles_in(self._rows), made)


def _still(
    acts: Mapping[Play, Any], reader: KafkaConsumer, ahead: KafkaConsumer, reached: dict[TopicPartition, int]
) -> Iterator[Play]:
    """Those in which nothing moves: what is appended by now, open transactions included, has been seen.

    `reached` remembers how far the reader is, which takes it long to say.
    """
    likely = {play: play.logs() for play in acts if play.settled()}
    if not likely:
        return
    ends = ahead.end_offsets([log for logs in likely.values() for log in logs])
    reached |= {log: reader.position(log) for log, end in ends.items() if reached.get(log, 0) < end}
    yield from (play for play, logs in likely.items() if all(reached.get(log, 0) >= ends[log] for log in logs))


def _tend(troupe: Mapping[Path, subprocess.Popen[bytes]], stuck: list[str]) -> None:
    for log, worker in troupe.items():
        assert worker.poll() is None, f"a worker has ended: {log.read_text()[-2000:]}"
    assert not stuck, f"nothing has come to rest for {WAIT_TIMEOUT} s in {stuck}"


# --- the cluster ----------------------------------------------------------------------------------------------------


@contextmanager
def _topics(address: str, plays: list[Play]) -> Iterator[None]:
    """All topics of all scenarios, made and deleted together."""
    orders = {
        play.cluster.topic(topic.name): {
            "num_partitions": topic.count(play.cluster.partitions),
            "replication_factor": 1,
            "configs": dict(topic.settings()),
        }
        for play in plays
        for topic in TOPICS.values()
    }
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        admin.create_topics(orders)
        admin.wait_for_topics([*orders])
        yield
        admin.delete_topics([*orders], raise_errors=False)


@contextmanager
def _worker(folder: Path, address: str, prefix: str) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """What it says is written beside its folder."""
    told = folder.with_suffix(".log")
    command = [sys.executable, str(TROUPE), address, prefix, str(folder)]
    with told.open("ab") as log:
        worker = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True)
    try:
        yield told, worker
    finally:
        worker.kill()
        worker.wait()


@contextmanager
def _reader(address: str, isolation: str, logs: Mapping[TopicPartition, Play]) -> Iterator[KafkaConsumer]:
    reader = KafkaConsumer(
        bootstrap_servers=address, isolation_level=isolation, enable_auto_commit=False, fetch_max_wait_ms=20
    )
    with closing(reader):
        reader.assign([*logs])
        for log in logs:
            reader.seek(log, 0)
        yield reader

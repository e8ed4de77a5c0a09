"""A lane against a real broker: what a fence stops, how a local copy catches up, and when a lane must stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from aiokafka.conn import AIOKafkaConnection
from kafka import KafkaAdminClient, TopicPartition

from rapport.demo.broker import Broker
from rules.evaluator import RuleSet
from rules.load import load_rules
from schemas import codec
from schemas.errors import ClusterError, DataFolderError
from schemas.instant import DAY
from schemas.messages import Event
from stream.core.plan import Plan
from stream.kafka import topics as topology
from stream.kafka.cluster import Cluster
from stream.kafka.lane import IDLE_INTERVAL, Lane
from stream.kafka.lanestore import LaneStore, Memory, Reached
from stream.kafka.ownership import home
from stream.kafka.producer import feeding
from stream.kafka.recovery import STALE_AFTER, LaneStopped, first_offsets, reader, recovered
from stream.kafka.retention import delete_records
from stream.kafka.transactions import Fenced, Transactions
from stream_world import event

NOW = 20_000 * DAY
MARKED = 0.5
"""Seconds after which the broker is done with a transaction: until then the next one is told to try again."""


@pytest.fixture
def cluster(broker: Broker, prefix: str, tmp_path: Path) -> Cluster:
    made = Cluster((broker.address,), tmp_path, prefix=prefix, partitions=1)
    topology.create(made)
    return made


async def committed(cluster: Cluster, topic: str) -> list[tuple[bytes, bytes | None]]:
    """Every committed record of partition 0."""
    log = aiokafka.TopicPartition(cluster.topic(topic), 0)
    found: list[tuple[bytes, bytes | None]] = []
    async with reader(cluster) as consumer:
        end = (await consumer.end_offsets([log]))[log]
        consumer.assign([log])
        consumer.seek(log, 0)
        while await consumer.position(log) < end:
            for records in (await consumer.getmany(log, timeout_ms=200)).values():
                found += [(record.key, record.value) for record in records]
    return found


# --- fences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["begin_transaction", "send_batch", "commit_transaction"])
def test_nothing_of_an_owner_becomes_visible_once_another_has_fenced_it(cluster: Cluster, step: str) -> None:
    log = (cluster.topic("triggers"), 0)

    async def run() -> None:
        old, new = Transactions(cluster, "lane-0"), Transactions(cluster, "lane-0")
        await old.fence()
        await old.commit({log: [(b"k", b"before")]})
        frozen_at(old, step, new.fence)
        with pytest.raises(Fenced):
            async with asyncio.timeout(30):
                await old.commit({log: [(b"k", b"late")]})
        await new.commit({log: [(b"k", b"after")]})
        assert await committed(cluster, "triggers") == [(b"k", b"before"), (b"k", b"after")]
        await asyncio.gather(old.close(), new.close())

    asyncio.run(run())


def frozen_at(transactions: Transactions, step: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """The owner freezes before this step of its next commit; meanwhile something happens."""
    producer: Any = transactions._producer
    real = getattr(producer, step)

    async def thawed(*args: Any, **named: Any) -> Any:
        setattr(producer, step, real)
        await meanwhile()
        return await real(*args, **named)

    setattr(producer, step, thawed)


# --- its price ------------------------------------------------------------------------------------------------------


def test_a_transaction_is_three_requests_however_many_logs_it_writes(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    send = AIOKafkaConnection.send

    def noted(connection: AIOKafkaConnection, request: Any, **named: Any) -> Any:
        asked.append(type(request).__name__)
        return send(connection, request, **named)

    async def run() -> None:
        transactions = Transactions(cluster, "lane-0")
        await transactions.fence()
        entries = {(cluster.topic(topic), 0): [(b"k", b"v")] for topic in ("facts", "triggers", "decisions", "rows")}
        await transactions.commit(entries)
        await asyncio.sleep(MARKED)
        monkeypatch.setattr(AIOKafkaConnection, "send", noted)
        await transactions.commit(entries)
        await transactions.close()

    asyncio.run(run())
    assert asked == ["AddPartitionsToTxnRequest", "ProduceRequest", "EndTxnRequest"]


# --- the local copy -------------------------------------------------------------------------------------------------


def test_a_copy_follows_its_changelog_and_survives_a_crash_between_the_two_writes(cluster: Cluster) -> None:
    async def run() -> None:
        transactions = Transactions(cluster, "lane-0")
        await transactions.fence()
        log = (cluster.topic("rows"), 0)
        await transactions.commit({log: [(b"a", b"1"), (b"b", b"1")]})
        store = await bring_up(cluster)
        assert (store.get(b"a"), store.get(b"b")) == (b"1", b"1")
        store.close()
        await transactions.commit({log: [(b"a", None), (b"b", b"2")]})  # and the process dies before the local write
        store = await bring_up(cluster)
        assert (store.get(b"a"), store.get(b"b")) == (None, b"2")
        store.close()
        await transactions.close()

    asyncio.run(run())


async def bring_up(cluster: Cluster, now: int = NOW) -> LaneStore:
    async with reader(cluster) as consumer:
        folder = cluster.data / "copy"
        return await recovered(consumer, (cluster.topic("rows"), 0), folder, Memory(), now, lambda *_: None)


def test_a_copy_that_may_have_missed_deletions_is_rebuilt(cluster: Cluster) -> None:
    async def run() -> None:
        store = await bring_up(cluster)
        store.write([(b"ghost", b"its deletion is forgotten")], Reached(0, NOW))
        store.close()
        store = await bring_up(cluster, NOW + STALE_AFTER - 1)
        assert store.get(b"ghost") is not None
        store.write((), Reached(0, NOW))
        store.close()
        store = await bring_up(cluster, NOW + STALE_AFTER + 1)
        assert store.get(b"ghost") is None
        store.close()

    asyncio.run(run())


def test_a_copy_that_cannot_be_removed_says_so(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(folder: Path) -> None:
        raise DataFolderError(f"{folder} cannot be removed")

    async def run() -> None:
        store = await bring_up(cluster)
        store.write((), Reached(0, NOW))
        store.close()
        with monkeypatch.context() as patched:
            patched.setattr("stream.kafka.recovery.remove", stuck)
            with pytest.raises(DataFolderError, match="cannot be removed"):
                await bring_up(cluster, NOW + STALE_AFTER + 1)
        (await bring_up(cluster, NOW + STALE_AFTER + 1)).close()

    asyncio.run(run())


def test_a_copy_that_knows_more_than_the_changelog_stops_the_lane(cluster: Cluster) -> None:
    async def run() -> None:
        store = await bring_up(cluster)
        store.write((), Reached(7, NOW))
        store.close()
        with pytest.raises(LaneStopped, match="was made anew or lost records"):
            await bring_up(cluster)

    asyncio.run(run())


# --- positions ------------------------------------------------------------------------------------------------------

LOGS = {"events": ("events", 0), "internal": ("internal", 0)}


def test_positions_are_the_stored_ones_and_in_a_first_life_the_start_of_what_expires() -> None:
    found = {("events", 0): (5, 9), ("internal", 0): (0, 9)}
    assert first_offsets(LOGS, {}, found) == {"events": 5, "internal": 0}
    assert first_offsets(LOGS, {"events": 7, "internal": 9}, found) == {"events": 7, "internal": 9}


@pytest.mark.parametrize(
    ("stored", "found", "said"),
    [
        ({}, {("events", 0): (0, 9), ("internal", 0): (4, 9)}, "internal/0 starts at 4"),
        ({"events": 3, "internal": 0}, {("events", 0): (5, 9), ("internal", 0): (0, 9)}, "events/0 starts at 5"),
        ({"events": 12, "internal": 0}, {("events", 0): (0, 9), ("internal", 0): (0, 9)}, "events/0 ends at 9"),
    ],
)
def test_a_position_outside_its_log_stops_the_lane(
    stored: dict[str, int], found: dict[tuple[str, int], tuple[int, int]], said: str
) -> None:
    with pytest.raises(LaneStopped, match=said):
        first_offsets(LOGS, stored, found)


# --- upkeep ---------------------------------------------------------------------------------------------------------


def test_consumed_records_are_deleted_and_the_rest_stays(cluster: Cluster) -> None:
    log = (cluster.topic("internal"), 0)

    async def run() -> None:
        transactions = Transactions(cluster, "lane-9")
        await transactions.fence()
        await transactions.commit({log: [(b"k", b"%d" % number) for number in range(5)]})
        await transactions.close()
        await delete_records(cluster, {log: 3})

    asyncio.run(run())
    with closing(KafkaAdminClient(bootstrap_servers=cluster.brokers[0])) as admin:
        assert admin.list_partition_offsets({TopicPartition(*log): -2})[TopicPartition(*log)].offset == 3


def test_a_lane_with_enough_waiting_asks_not_to_be_fed(cluster: Cluster) -> None:
    async def run() -> None:
        lane = Lane(home(0), cluster, Plan(), lambda: NOW, Memory(), asyncio.Lock())
        told: list[bool] = []
        lane.inbox.fed = told.append
        await lane.fence()
        await lane.open()
        for offset in range(400):
            lane.put("events", offset, b"x")
        assert told == [False]
        running = asyncio.create_task(lane.run())
        while lane.positions["events"] < 400:
            await asyncio.sleep(0.02)
        assert told == [False, True]
        assert lane.stats.rejected == lane.stats.received == {"events": 400}
        lane.stop()
        await running
        await lane.close()

    asyncio.run(run())


def test_a_worker_without_rules_does_not_take_a_lane_whose_customers_wait_under_some(cluster: Cluster) -> None:
    rule = "rule: r\nowner: o\nstatus: {}\npurpose: p\nwhen: {{event: A, not_followed_by: {{event: B}}, within: 1h}}\n"
    then = "then: [{send: email, template: x}]\n"
    body = {"type": "track", "event": "A"}
    event = Event(("user_id:1",), "m1", "track", "A", None, NOW, NOW, NOW, "test", None, (), body)

    def under(status: str) -> Lane:
        plan = Plan(rules=load_rules({"r.yaml": rule.format(status) + then}) if status else RuleSet())
        return Lane(home(0), cluster, plan, lambda: NOW, Memory(), asyncio.Lock())

    with feeding(cluster) as feed:
        feed.send([event])
        feed.finish()

    async def run() -> None:
        first = under("live")
        await first.fence()
        await first.open()
        first.put("events", 0, codec.encode(event))
        running = asyncio.create_task(first.run())
        while first.positions["events"] < 1:
            await asyncio.sleep(0.02)
        first.stop()
        await running
        await first.close()
        bare = under("")
        await bare.fence()
        with pytest.raises(ClusterError, match=r"wait under 1 rule, and this worker has none\. Start it with"):
            await bare.open()
        await bare.close()
        last = under("draft")
        await last.fence()
        await last.open()
        await last.close()

    asyncio.run(run())


def test_a_lane_counts_the_amounts_that_cannot_be_read_once(cluster: Cluster) -> None:
    async def run() -> None:
        lane = Lane(home(0), cluster, Plan(), lambda: NOW, Memory(), asyncio.Lock())
        await lane.fence()
        await lane.open()
        for offset, total in enumerate(("1,234", "a lot", "1.234,50", None, "1,234")):
            said = {"order_id": "o", "total": total}
            sent = event(("user_id:1",), offset % 4, "Order Completed", NOW, NOW, **said)
            lane.put("events", offset, codec.encode(sent))
        running = asyncio.create_task(lane.run())
        while lane.positions["events"] < 5:
            await asyncio.sleep(0.02)
        assert (lane.stats.applied, lane.stats.duplicate, lane.stats.unreadable) == (4, 1, 2)
        lane.stop()
        await running
        await lane.close()

    asyncio.run(run())


@pytest.mark.parametrize("gathering", [False, True])
def test_a_lane_that_is_dropped_just_as_records_arrive_is_dropped(cluster: Cluster, gathering: bool) -> None:
    """Whether it waits for the first record or, after a commit, for more."""

    async def run() -> None:
        lane = Lane(home(0), replace(cluster, commit_ms=5_000), Plan(), lambda: NOW, Memory(), asyncio.Lock())
        await lane.fence()
        await lane.open()
        running = asyncio.create_task(lane.run())
        offsets = iter(range(1_000))
        if gathering:
            lane.put("events", next(offsets), b"x")
            while lane.positions["events"] < 1:
                await asyncio.sleep(0.02)
            lane.put("events", next(offsets), b"x")
        await asyncio.sleep(2.5 * IDLE_INTERVAL)
        for offset in islice(offsets, cluster.commit_records):
            lane.put("events", offset, b"x")
        running.cancel()
        await asyncio.wait({running}, timeout=10)
        assert running.cancelled()
        await lane.close()

    asyncio.run(run())

"""The private attributes that the Faust driver relies on: an upgrade that changes one fails here, by name."""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import aiokafka
import pytest
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.queues import FlowControlEvent

from stream.core.plan import Plan
from stream.kafka.cluster import Cluster
from stream.kafka.faust_driver import FETCH_WAIT_MS, Consumer, ConsumerThread, Transport
from stream.kafka.worker import Worker, build_app


@pytest.fixture
def app(tmp_path: Path) -> Worker:
    async def build() -> Worker:
        return build_app(Cluster(("127.0.0.1:9",), tmp_path), Plan())

    return asyncio.run(build())


@pytest.mark.parametrize(
    ("package", "tested"), [("faust-streaming", "0.15.3"), ("aiokafka", "0.14.0"), ("kafka-python", "3.0.12")]
)
def test_the_tested_versions_are_installed(package: str, tested: str) -> None:
    assert version(package) == tested


def test_the_consumer_in_the_thread_reads_committed_and_does_not_wait_long(app: Worker) -> None:
    async def run() -> None:
        consumer = app.consumer
        thread = ConsumerThread(consumer, loop=asyncio.get_running_loop(), beacon=consumer.beacon)
        made = thread._create_worker_consumer(app.transport)
        assert made._isolation_level == "read_committed"
        assert made._fetch_max_wait_ms == FETCH_WAIT_MS
        assert thread._assignor is app.assignor, "any other deals events and internal out to different workers"
        made._closed = True  # it was never started

    asyncio.run(run())


def test_aiokafka_takes_both_settings_under_these_names() -> None:
    source = inspect.getsource(aiokafka.AIOKafkaConsumer.__init__)
    assert "self._isolation_level = isolation_level" in source
    assert "self._fetch_max_wait_ms = fetch_max_wait_ms" in source
    started = inspect.getsource(aiokafka.AIOKafkaConsumer.start)
    assert "isolation_level=self._isolation_level" in started
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in started


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (ThreadDelegateConsumer, "_getmany", ["self", "active_partitions", "timeout"]),
        (ThreadDelegateConsumer, "seek_wait", ["self", "partitions"]),
        (driver.Consumer, "verify_event_path", ["self", "now", "tp"]),
    ],
)
def test_what_is_overridden_or_called_is_still_there(owner: type, name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


def test_faust_asks_only_this_method_for_records() -> None:
    assert "self._getmany(" in inspect.getsource(driver.Consumer._wait_next_records)
    assert Transport.Consumer is Consumer


def test_only_partitions_that_flow_are_asked_for(app: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def getmany(_self: object, active_partitions: object, timeout: float) -> dict[str, str]:
        asked.append(active_partitions)
        return {}

    monkeypatch.setattr(ThreadDelegateConsumer, "_getmany", getmany)
    one, two = TP("events", 1), TP("events", 2)

    async def run() -> None:
        consumer = Consumer.__new__(Consumer)
        consumer._flowing = set()
        assert await consumer._getmany({one, two}, 1.0) == {}
        consumer.flow([one])
        await consumer._getmany({one, two}, 1.0)
        consumer.hold([one])
        await consumer._getmany({one, two}, 1.0)
        assert asked == [{one}]

    asyncio.run(run())


def test_faust_waits_for_each_record_here_and_one_that_can_be_delivered_is() -> None:
    assert "self.wait_first(\n" in inspect.getsource(driver.Consumer._drain_messages)
    assert "callback(message), self.suspend_flow.wait()" in inspect.getsource(driver.Consumer._drain_messages)
    told: list[str] = []

    async def deliver() -> None:
        told.append("delivered")

    async def run() -> None:
        consumer = Consumer.__new__(Consumer)
        consumer.app = SimpleNamespace(flow_control=FlowControlEvent(initially_suspended=False))
        consumer.suspend_flow = asyncio.Event()
        before = asyncio.all_tasks()
        waiting = consumer.wait_first(deliver(), consumer.suspend_flow.wait())
        with pytest.raises(StopIteration):
            waiting.send(None)
        assert told == ["delivered"]
        assert asyncio.all_tasks() == before, "no task, no turn of the loop"

    asyncio.run(run())


def test_a_worker_is_built_without_a_broker_and_serves_nothing_of_fausts(app: Worker) -> None:
    assert len(app.agents) == 2
    assert not app.conf.web_enabled

"""A worker's probes while it comes up, works, loses its broker and gets it back."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rapport import disk
from rapport.customers.cluster import got
from rapport.demo.broker import JarBroker
from rapport.demo.processes import LocalCluster
from rapport.http.brokers import any_takes_a_connection
from rapport.http.serve import bound
from rapport.http.worker import _Self
from rapport.plan.folder import digest, load
from rapport_shell import SHOP, ran
from stream.kafka.cluster import Cluster
from stream.kafka.worker import Worker

WAIT_TIMEOUT = 60.0


def until(there: Callable[[], Any]) -> Any:
    """What it gives, once that is something."""
    end = time.monotonic() + WAIT_TIMEOUT
    while not (found := there()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def test_it_is_alive_throughout_and_ready_when_it_works(own_broker: JarBroker, tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster", address=own_broker.address) as cluster:
        cluster.run("topics", "topics", "create", "--brokers", own_broker.address)
        cluster.start("worker-1", "worker", "--plan", str(SHOP))
        url = cluster.urls["worker-1"]
        seen: set[str] = set()

        def ready() -> bool:
            cluster.check()
            status, said = got(url, "/ready")
            if status:
                assert got(url, "/live") == (200, {"live": True})
            seen.update(reason.partition(":")[0].rstrip("0123456789") for reason in said.get("missing", ()))
            assert (status == 200) == (said.get("ready") is True)
            return status == 200

        until(ready)
        assert seen
        cluster.start("sink", "sink")
        sink = cluster.urls["sink"]
        until(lambda: got(sink, "/ready")[0] == 200)
        own_broker.kill()
        plan = digest(load(SHOP))
        away = {"ready": False, "missing": ["no broker takes a connection"], "plan": plan}
        until(lambda: got(url, "/ready") == (503, away))
        assert got(url, "/live")[0] == 200
        until(lambda: got(sink, "/ready") == (503, {"ready": False, "missing": ["no broker takes a connection"]}))
        assert got(sink, "/live")[0] == 200
        own_broker.restart()
        until(ready)
        until(lambda: got(sink, "/ready")[0] == 200)
        worker = cluster.take("worker-1")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = SimpleNamespace(cluster=Cluster(("a:1",), tmp_path / "data"), plan=load(None), owned={})
    worker = _Self(cast(Worker, SimpleNamespace(lanes=lanes, rebalancing=False, unassigned=True)))
    assert (worker.missing(), worker.disk_free() > 0) == ([], True)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_500_000))
    assert worker.missing() == [f"the disk under {tmp_path / 'data'} is full or nearly so: 1.5 MB are free"]
    assert worker.disk_free() == 1_500_000


def test_a_port_that_is_taken_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    with closing(bound("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        second = ran("worker", "--brokers", "127.0.0.1:9", "--http-port", port, "--data", tmp_path / "second")
    assert second.code == 2
    assert "choose another port with --http-port" in second.err


def test_a_worker_whose_broker_is_away_ends_in_time(own_broker: JarBroker, tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster", address=own_broker.address) as cluster:
        cluster.run("topics", "topics", "create", "--brokers", own_broker.address)
        cluster.start("worker-1", "worker", "--plan", str(SHOP))
        until(lambda: got(cluster.urls["worker-1"], "/ready")[0] == 200)
        own_broker.kill()
        worker = cluster.take("worker-1")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        own_broker.restart()


def test_a_look_for_a_broker_ends_when_it_is_told_to_though_one_answers_just_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        answers = asyncio.Event()

        async def connected(_host: str, _port: int) -> tuple[None, SimpleNamespace]:
            await answers.wait()
            return None, SimpleNamespace(close=lambda: None)

        monkeypatch.setattr(asyncio, "open_connection", connected)
        looking = asyncio.create_task(any_takes_a_connection(["127.0.0.1:1"]))
        await asyncio.sleep(0.05)
        answers.set()
        looking.cancel()
        await asyncio.wait({looking}, timeout=10)
        assert looking.cancelled()

    asyncio.run(run())

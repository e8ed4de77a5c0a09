"""Latency while a worker is half busy: from accepting an event to its trigger, and of asking for a customer.

Events are sent as a collector would, every 25 milliseconds what has arrived by then. They are accepted beforehand and
stamped as they are sent: accepting is the work of other machines, and this one has few cores. Triggers are read as a
receiver reads them, committed ones only. The same load goes before for a while: a broker and the kernel's caches are
slower with anything new.

How long an idle process takes to answer at the same time, with the same HTTP server, is measured beside the worker: a
busy machine alone costs every answer that much.
"""

from __future__ import annotations

import gc
import http.client
import multiprocessing
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from urllib.parse import urlsplit

import orjson
from kafka import KafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from rapport.bench import mixed_events
from rapport.probes import application, bound, serving_beside, url_of
from schemas.instant import HOUR
from stack import Stack, accepted, load_average, shop
from stream.clients import connection
from stream.cluster import Cluster
from stream.feed import feeding
from stream.worker import wall

SECONDS = 15
WARM_UP = 3
BEFORE = 4
"""How often `SECONDS` of load go before those that are measured."""
STARTING = 60.0
"""Seconds within which those who send and ask are both there; none waits for one that failed."""
TICK = 0.025
ASKED_EVERY = 0.01
"""Seconds before each question; every other one goes to the worker."""
SAME_RULES = ("low-survey-score", "big-order")
"""Rules that fire at once; what a timer fires was not accepted just now."""


def half_load(stack: Stack, rate: float, customers: int) -> dict[str, float]:
    """Milliseconds at `rate` events/s. The stack's only worker owns every customer.

    Who sends, who asks and who receives are processes of their own: none waits for another's interpreter.
    """
    own = multiprocessing.get_context("spawn")
    alone, together = own.Barrier(1), own.Barrier(2)
    for seed in range(BEFORE):
        warming = own.Process(target=steady, args=(stack.cluster, rate, customers, seed, alone))
        warming.start()
        _ended(warming)
    answers, asks = own.Pipe(duplex=False)
    loading = own.Process(target=steady, args=(stack.cluster, rate, customers, BEFORE, together))
    asking = own.Process(target=_ask, args=(stack.urls["worker-1"], customers, together, asks))
    with_triggers = _consumer(stack.cluster)
    before = stack.total("rapport_received_total")
    loading.start()
    asking.start()
    asks.close()
    latencies = []
    while loading.is_alive():
        for records in with_triggers.poll(timeout_ms=100).values():
            now = wall()
            fired = [orjson.loads(record.value) for record in records]
            latencies += [now - each["fired_at"] for each in fired if each["rule"] in SAME_RULES]
    load = load_average()
    _ended(loading)
    told, idle = answers.recv()
    _ended(asking)
    with_triggers.close()
    stack.settled()
    latencies, told, idle = map(_warm, (latencies, told, idle))
    return {
        "rate": rate,
        "sent": stack.total("rapport_received_total") - before,
        "triggers": len(latencies),
        "trigger p50": _at(latencies, 0.5) / 1_000,
        "trigger p99": _at(latencies, 0.99) / 1_000,
        "asked": len(told),
        "profile p50": _at(told, 0.5) * 1_000,
        "profile p95": _at(told, 0.95) * 1_000,
        "idle p50": _at(idle, 0.5) * 1_000,
        "idle p95": _at(idle, 0.95) * 1_000,
        "load": load,
    }


def steady(cluster: Cluster, rate: float, customers: int, seed: int, together: Barrier) -> None:
    """Sends `rate` events/s for `SECONDS`; each occurs as it is sent."""
    waiting = iter(accepted(mixed_events(int(rate * SECONDS), customers, wall() - HOUR, seed=2 + seed), shop()))
    gc.freeze()  # else the collector looks through all that wait, again and again
    with feeding(cluster) as feed:
        together.wait(STARTING)
        started, sent = time.monotonic(), 0
        while sent < int(rate * SECONDS):
            due = min(int((time.monotonic() - started) * rate), int(rate * SECONDS))
            now = wall()
            feed.take(each._replace(occurred_at=now, received_at=now, now=now) for each in islice(waiting, due - sent))
            feed.push()
            sent = due
            time.sleep(TICK)
        feed.finish()


def _consumer(cluster: Cluster) -> KafkaConsumer:
    """At the end of the triggers, as of now."""
    consumer = KafkaConsumer(isolation_level="read_committed", enable_auto_commit=False, **connection(cluster))
    partitions = [TopicPartition(cluster.topic("triggers"), each) for each in range(cluster.partitions)]
    consumer.assign(partitions)
    consumer.seek_to_end(*partitions)
    for each in partitions:
        consumer.position(each)
    return consumer


def _ask(url: str, customers: int, together: Barrier, answers: Connection) -> None:
    """Asks the worker for one customer after the other, and an idle process between two; sends the seconds of each."""
    dice = random.Random(3)
    told: list[float] = []
    idle: list[float] = []
    with _idle() as nothing:
        asked, beside = (http.client.HTTPConnection(urlsplit(each).netloc, timeout=10) for each in (url, nothing))
        together.wait(STARTING)
        over = time.monotonic() + SECONDS
        while time.monotonic() < over:
            told += _took(asked, f"/profile?id=user_id:customer-{dice.randrange(customers):07d}")
            idle += _took(beside, "/live")
        asked.close()
        beside.close()
    answers.send((told, idle))


def _took(server: http.client.HTTPConnection, path: str) -> list[float]:
    time.sleep(ASKED_EVERY)
    started = time.perf_counter()
    server.request("GET", path)
    answer = server.getresponse()
    answer.read()
    return [time.perf_counter() - started] if answer.status == 200 else []


@contextmanager
def _idle() -> Iterator[str]:
    """The URL of a process that has nothing to do but to answer /live, as a worker does."""
    own = multiprocessing.get_context("spawn")
    ready, here = own.Pipe(duplex=False)
    process = own.Process(target=_serve, args=(here,), daemon=True)
    process.start()
    here.close()
    try:
        yield ready.recv()
    finally:
        process.terminate()
        process.join()


def _serve(there: Connection) -> None:
    with (
        bound("127.0.0.1", 0) as listening,
        serving_beside(application(_Alive(), CollectorRegistry(), None), listening),
    ):
        there.send(url_of(listening))
        signal.pause()


class _Alive:
    """The health of a process that does nothing."""

    def live(self) -> bool:
        return True

    def missing(self) -> list[str]:
        return []

    def about(self) -> dict[str, str]:
        return {}


def _ended(process: SpawnProcess) -> None:
    """Raises RuntimeError where it failed: what it has said already tells why."""
    process.join()
    if process.exitcode:
        raise RuntimeError(f"a process of the benchmark ended with {process.exitcode}")


def _warm(values: list[float]) -> list[float]:
    """Without those of the first seconds, the smallest first."""
    return sorted(values[len(values) * WARM_UP // SECONDS :])


def _at(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)] if values else float("nan")

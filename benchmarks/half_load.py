"""Latency while a worker is half busy: from accepting an event to its trigger, and of asking for a customer.

Half load is half of what the worker took just before of events that were sent as fast as they go, over the same
customers: a machine's pace may vary threefold within minutes, and what was half of it a while ago may be all of it now.
After a warm-up (a broker and the kernel's caches are slower with anything new) that is repeated, and every round is
told.

Events are sent as a collector would, every 25 milliseconds what has arrived by then. They are accepted and encoded
beforehand and stamped as they are sent: that is the work of other machines, and this one has few cores. Triggers are
read as a receiver reads them, committed ones only.

A customer is asked for in turn with an empty answer of the same worker, `/live`: what a customer costs is the ratio of
the two, whatever the machine. How long an idle process with the same HTTP server takes is measured beside them: a busy
machine alone costs every answer that much.
"""

from __future__ import annotations

import http.client
import multiprocessing
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from urllib.parse import urlsplit

import orjson
from kafka import KafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from rapport.bench.throughput import mixed_events
from rapport.http.application import application
from rapport.http.probes import probes
from rapport.http.serve import bound, serving_beside, url_of
from rapport.process.gc import tuned_collector
from schemas import codec
from schemas.instant import HOUR
from schemas.messages import Event
from stack import Stack, accepted, pace, processor_seconds, shop
from stream.clock import wall_now
from stream.kafka.clients import connection
from stream.kafka.cluster import Cluster
from stream.kafka.producer import feeding

SECONDS = 15
COLD = 3
"""Of these, those whose latencies are left out."""
WARM_UP = 4
"""How often the load goes before."""
ROUNDS = 5
AT_ONCE = 100_000
"""Events that show what the worker can take."""
POLL_INTERVAL = 0.1
STARTING = 60.0
"""Seconds within which those who send and ask are both there; none waits for one that failed."""
TICK = 0.025
SOON = 1_111_111_111_111_111
"""Stands for the instant at which an event is sent."""
ASKED_EVERY = 0.01
"""Seconds before each question; two of three go to the worker."""
SAME_RULES = ("low-survey-score", "big-order")
"""Rules that fire at once; what a timer fires was not accepted just now."""


def half_load(stack: Stack, customers: int, broker: int, say: Callable[[str], None]) -> list[dict[str, float]]:
    """The rounds, in milliseconds. The stack's only worker owns every customer.

    Who sends, who asks and who receives are processes of their own: none waits for another's interpreter.
    """
    seeds = count(2)
    rate = _capacity(stack, customers, next(seeds)) / 2
    own = multiprocessing.get_context("spawn")
    alone = own.Barrier(1)
    for _ in range(WARM_UP):
        warming = own.Process(target=steady, args=(stack.cluster, rate, customers, next(seeds), alone))
        warming.start()
        _ended(warming)
    rounds = []
    for _ in range(ROUNDS):
        rate = _capacity(stack, customers, next(seeds)) / 2
        rounds.append(_round(stack, rate, customers, next(seeds), broker))
        told = "{rate:,.0f} events/s: {trigger p99:.0f} ms, {profile p95:.1f} ms, {profile ratio:.1f} times, {pace:.0f}"
        say(told.format(**rounds[-1]))
    return rounds


def _capacity(stack: Stack, customers: int, seed: int) -> float:
    """How many events/s are taken when they are sent as fast as they go."""
    events = _waiting(AT_ONCE, customers, seed)
    target = stack.total("rapport_received_total") + AT_ONCE
    started = time.monotonic()
    stack.feed(_stamped(events))
    stack.until(lambda: stack.total("rapport_received_total") >= target, POLL_INTERVAL)
    seconds = time.monotonic() - started
    stack.settled()
    return AT_ONCE / seconds


def _round(stack: Stack, rate: float, customers: int, seed: int, broker: int) -> dict[str, float]:
    own = multiprocessing.get_context("spawn")
    together = own.Barrier(3)
    answers, asks = own.Pipe(duplex=False)
    loading = own.Process(target=steady, args=(stack.cluster, rate, customers, seed, together))
    asking = own.Process(target=_ask, args=(stack.urls["worker-1"], customers, together, asks))
    with_triggers = _consumer(stack.cluster)
    pace_before = pace()
    loading.start()
    asking.start()
    asks.close()
    together.wait(STARTING)
    used, brokered = processor_seconds(stack.pids()), processor_seconds([broker])
    latencies = []
    while loading.is_alive():
        for records in with_triggers.poll(timeout_ms=100).values():
            now = wall_now()
            fired = [orjson.loads(record.value) for record in records]
            latencies += [now - each["fired_at"] for each in fired if each["rule"] in SAME_RULES]
    used, brokered = processor_seconds(stack.pids()) - used, processor_seconds([broker]) - brokered
    _ended(loading)
    told, empty, idle = answers.recv()
    _ended(asking)
    with_triggers.close()
    stack.settled()
    latencies, told, empty, idle = map(_warm, (latencies, told, empty, idle))
    return {
        "rate": rate,
        "worker": used / SECONDS,
        "broker": brokered / SECONDS,
        "triggers": len(latencies),
        "trigger p50": _at(latencies, 0.5) / 1_000,
        "trigger p99": _at(latencies, 0.99) / 1_000,
        "asked": len(told),
        "profile p50": _at(told, 0.5) * 1_000,
        "profile p95": _at(told, 0.95) * 1_000,
        "empty p50": _at(empty, 0.5) * 1_000,
        "empty p95": _at(empty, 0.95) * 1_000,
        "profile ratio": _at(told, 0.95) / _at(empty, 0.95),
        "idle p50": _at(idle, 0.5) * 1_000,
        "idle p95": _at(idle, 0.95) * 1_000,
        "pace": (pace_before + pace()) / 2,
    }


def steady(cluster: Cluster, rate: float, customers: int, seed: int, together: Barrier) -> None:
    """Sends `rate` events/s for `SECONDS`; each occurs as it is sent."""
    total = int(rate * SECONDS)
    events = _stamped(_waiting(total, customers, seed))
    with tuned_collector(), feeding(cluster) as feed:
        together.wait(STARTING)
        started, sent = time.monotonic(), 0
        while sent < total:
            due = min(int((time.monotonic() - started) * rate), total)
            feed.send(islice(events, due - sent))
            feed.push()
            sent = due
            time.sleep(TICK)
        feed.finish()


def _waiting(number: int, customers: int, seed: int) -> list[Event]:
    """Accepted and encoded, but for when: each has a line with `SOON` in it, and no body besides."""
    events = accepted(mixed_events(number, customers, wall_now() - HOUR, seed=seed), shop())
    soon = (event._replace(occurred_at=SOON, received_at=SOON, now=SOON) for event in events)
    return [event._replace(body={}, line=codec.encode(event)) for event in soon]


def _stamped(events: Iterable[Event]) -> Iterator[Event]:
    """Each as of when it is asked for."""
    for event in events:
        assert event.line is not None
        yield event._replace(line=event.line.replace(b"%d" % SOON, b"%d" % wall_now()))


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
    """Asks the worker for a customer, then it and an idle process for nothing, in turn; sends the seconds of each."""
    dice = random.Random(3)
    told: list[float] = []
    empty: list[float] = []
    idle: list[float] = []
    with tuned_collector(), _idle() as nothing:
        asked, beside = (http.client.HTTPConnection(urlsplit(each).netloc, timeout=10) for each in (url, nothing))
        together.wait(STARTING)
        over = time.monotonic() + SECONDS
        while time.monotonic() < over:
            told += _took(asked, f"/profile?id=user_id:customer-{dice.randrange(customers):07d}")
            empty += _took(asked, "/live")
            idle += _took(beside, "/live")
        asked.close()
        beside.close()
    answers.send((told, empty, idle))


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
        tuned_collector(),
        bound("127.0.0.1", 0) as listening,
        serving_beside(application(probes(_Alive(), CollectorRegistry()), None), listening),
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
    return sorted(values[len(values) * COLD // SECONDS :])


def _at(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)] if values else float("nan")

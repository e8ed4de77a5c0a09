"""Latency while a worker is half busy: from accepting an event to its trigger, and of asking for a customer.

Events are accepted and sent as a collector would, every 25 milliseconds what has arrived by then. Triggers are read as
a receiver reads them, committed ones only. The same load goes before for a while: a broker's compiler takes half of a
core for the first minute of anything new.
"""

from __future__ import annotations

import http.client
import multiprocessing
import random
import time
from itertools import islice
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import orjson
from kafka import KafkaConsumer, TopicPartition

from rapport.bench import mixed_events
from schemas.instant import HOUR
from stack import Stack, load_average, shop
from stream.clients import connection
from stream.cluster import Cluster
from stream.feed import feeding
from stream.intake import Intake
from stream.worker import wall

SECONDS = 15
WARM_UP = 3
BEFORE = 4
"""How often `SECONDS` of load go before those that are measured."""
TICK = 0.025
ASKED_EVERY = 0.02
SAME_RULES = ("low-survey-score", "big-order")
"""Rules that fire at once; what a timer fires was not accepted just now."""


def half_load(stack: Stack, rate: float, customers: int) -> dict[str, float]:
    """Milliseconds at `rate` events/s. The stack's only worker owns every customer.

    Who sends, who asks and who receives are processes of their own: none waits for another's interpreter.
    """
    own = multiprocessing.get_context("spawn")
    for seed in range(BEFORE):
        warming = own.Process(target=steady, args=(stack.cluster, rate, customers, seed))
        warming.start()
        warming.join()
    answers, asks = own.Pipe(duplex=False)
    loading = own.Process(target=steady, args=(stack.cluster, rate, customers, BEFORE))
    asking = own.Process(target=_ask, args=(stack.urls["worker-1"], customers, asks))
    with_triggers = _consumer(stack.cluster)
    before = stack.total("rapport_received_total")
    loading.start()
    asking.start()
    latencies = []
    while loading.is_alive():
        for records in with_triggers.poll(timeout_ms=100).values():
            now = wall()
            fired = [orjson.loads(record.value) for record in records]
            latencies += [now - each["fired_at"] for each in fired if each["rule"] in SAME_RULES]
    load = load_average()
    asked = answers.recv()
    asking.join()
    loading.join()
    with_triggers.close()
    stack.settled()
    latencies = sorted(latencies[len(latencies) * WARM_UP // SECONDS :])
    asked = sorted(asked[len(asked) * WARM_UP // SECONDS :])
    return {
        "rate": rate,
        "sent": stack.total("rapport_received_total") - before,
        "triggers": len(latencies),
        "trigger p50": _at(latencies, 0.5) / 1_000,
        "trigger p99": _at(latencies, 0.99) / 1_000,
        "asked": len(asked),
        "profile p50": _at(asked, 0.5) * 1_000,
        "profile p95": _at(asked, 0.95) * 1_000,
        "load": load,
    }


def steady(cluster: Cluster, rate: float, customers: int, seed: int) -> None:
    """Sends `rate` events/s for `SECONDS`; each occurs when it is accepted."""
    lines = map(orjson.loads, mixed_events(int(rate * SECONDS), customers, wall() - HOUR, seed=2 + seed))
    waiting = iter([orjson.dumps(line | {"timestamp": None}) for line in lines])
    intake = Intake(shop(), wall)
    with feeding(cluster) as feed:
        started, sent = time.monotonic(), 0
        while sent < int(rate * SECONDS):
            due = min(int((time.monotonic() - started) * rate), int(rate * SECONDS))
            feed.take(intake.lines(islice(waiting, due - sent), "steady"))
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


def _ask(url: str, customers: int, answers: Connection) -> None:
    """One customer after the other for `SECONDS`, on a connection that stays; sends the seconds that each took."""
    dice = random.Random(3)
    server = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    took = []
    over = time.monotonic() + SECONDS
    while time.monotonic() < over:
        time.sleep(ASKED_EVERY)
        started = time.perf_counter()
        server.request("GET", f"/profile?id=user_id:customer-{dice.randrange(customers):07d}")
        answer = server.getresponse()
        answer.read()
        if answer.status == 200:
            took.append(time.perf_counter() - started)
    server.close()
    answers.send(took)


def _at(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)] if values else float("nan")

"""The benchmark: how fast one process on one core takes events, beside the floor of what that core can do at all.

    make bench                      everything, into docs/benchmarks.md
    rapport bench --events 50000    a quick look

The floor does per event no more than any such system must: decode the JSON, read a 0.9 KB profile from RocksDB, decode,
encode and write it. The pipeline does everything: JSON in to rows durable, triggers written, Parquet published. Both
run in this process, one after the other, on the same core, over the same events.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

import orjson
import rocksdict

from rapport.bench.report import rendered
from rapport.demo.tour import plan_of_shop
from rapport.plan.folder import load
from rapport.process.gc import tuned_collector
from schemas.instant import HOUR, LAST, render
from stream.clock import wall_now
from stream.core.intake import Intake
from stream.core.plan import Plan
from stream.embedded.engine import Engine

BATCH = 4_000
ROUNDS = 3
"""How often everything is measured with `--all`, turn by turn: a machine's pace varies by a fifth within minutes."""
PRODUCTS = 500
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
_MIX = (
    ("Product Viewed", 34),
    ("page", 18),
    ("Product Added", 10),
    ("Cart Updated", 8),
    ("Checkout Started", 4),
    ("Order Completed", 6),
    ("Email Opened", 8),
    ("Email Link Clicked", 4),
    ("identify", 4),
    ("Ticket Created", 2),
    ("Survey Answered", 2),
)


@dataclass(slots=True)
class Stages:
    """Seconds spent per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted under `name` and taken off whatever stage called it."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            before = sum(self.seconds.values())
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                inside = sum(self.seconds.values()) - before
                spent = time.perf_counter() - started - inside
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return timed


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: events, seconds, where they went, the process's memory high-water mark, what it read from disk (MiB)."""

    events: int
    seconds: float
    stages: dict[str, float]
    memory: float
    from_disk: float
    row_bytes: int
    triggers: int
    merges: int

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def first_contacts(customers: range, start: int) -> Iterator[bytes]:
    """One identify call a customer, naming all of a customer's identifiers."""
    for number in customers:
        yield _line(random.Random(number), number, "identify", start + number * HOUR // len(customers), number)


def mixed_events(events: int, customers: int, start: int, seed: int = 1) -> Iterator[bytes]:
    """An hour of events of about 600 B, customers in random order: the worst case for any cache."""
    chance = random.Random(seed)
    names, weights = zip(*_MIX, strict=True)
    for number, name in enumerate(chance.choices(names, weights, k=events)):
        yield _line(chance, chance.randrange(customers), name, start + number * HOUR // events, number)


def _line(chance: random.Random, customer: int, name: str, at: int, number: int) -> bytes:
    product = chance.randrange(PRODUCTS)
    price = round(5 + product * 0.37, 2)
    by_mail = name.startswith("Email")
    event: dict[str, Any] = {
        "type": name if name in ("page", "identify") else "track",
        "messageId": f"{chance.getrandbits(64):016x}-{number:012d}",
        "timestamp": render(at),
        "userId": f"customer-{customer:07d}",
        "context": {
            "channel": "email" if by_mail else "web",
            "ip": f"198.51.100.{customer % 250}",
            "library": {"name": "analytics.js", "version": "2.11.1"},
            "locale": "en-GB",
            "userAgent": _AGENT,
            "page": {
                "url": f"https://shop.example/p/{product}",
                "path": f"/p/{product}",
                "title": f"Product {product}",
            },
        },
    }
    if not by_mail:
        event["anonymousId"] = f"6f1d2c3b-8a7e-4c5d-9e0f-{customer:012d}"
    if name == "identify":
        event["traits"] = {"email": f"customer.{customer}@mail.example", "name": f"Customer {customer}", "plan": "gold"}
        return orjson.dumps(event)
    if name == "page":
        event["properties"] = {"path": f"/p/{product}", "referrer": "https://search.example/?q=shoes"}
        return orjson.dumps(event)
    event["event"] = name
    event["properties"] = {
        "cart_id": f"cart-{customer}",
        "order_id": f"order-{number}",
        "product_id": f"sku-{product}",
        "name": f"Product {product}",
        "price": price,
        "quantity": 2,
        "currency": "EUR",
        "total": round(price * 2, 2),
        "score": chance.randrange(11),
        "sentiment": round(chance.uniform(-1, 1), 2),
    }
    return orjson.dumps(event)


def floor(lines: Path, customers: int, folder: Path) -> float:
    """Events/s of the bare minimum over these lines."""
    profile = {
        "traits": {f"trait_{n}": f"value of trait {n}" for n in range(12)},
        "events": {f"Event {n}": [n, 1_763_785_425_028_000, 1_763_785_425_028_000] for n in range(8)},
        "pad": "x" * 120,
    }
    stored = orjson.dumps(profile)
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    database = rocksdict.Rdict(str(folder / "floor"), options)
    keys = [b"customer-%07d" % number for number in range(customers)]
    for key in keys:
        database.put(key, stored)
    chance = random.Random(2)
    events = 0
    started = time.perf_counter()
    with lines.open("rb") as file:
        for line in file:
            orjson.loads(line)
            key = keys[chance.randrange(customers)]
            database.put(key, orjson.dumps(orjson.loads(database.get(key) or b"")))
            events += 1
    seconds = time.perf_counter() - started
    database.close()
    return events / seconds


def live(start: int, events: int) -> Callable[[], int]:
    """A wall clock at which each event arrives when it occurs: an hour passes while they are taken."""
    return count(start, HOUR // events).__next__


def pipeline(engine: Engine, plan: Plan, lines: Path, clock: Callable[[], int]) -> Measured:
    """Takes the lines through an open engine, to Parquet on disk."""
    stages = Stages()
    intake = Intake(plan, clock)
    row_bytes = 0
    commit = engine._store.commit

    def weigh(rows: Any) -> None:
        nonlocal row_bytes
        row_bytes += sum(len(key) + len(value or b"") for key, value in rows.items())

    weigh = stages.time("weighing", weigh)

    def weighed(rows: Any, log: Any) -> None:
        weigh(rows)
        commit(rows, log)

    engine._store.commit = weighed  # type: ignore[method-assign]
    watched = [(owner, name, getattr(owner, name)) for owner, name in _places(engine)]
    for (owner, name, original), stage in zip(watched, _STAGES, strict=True):
        setattr(owner, name, stages.time(stage, original))
    counts = engine.counts
    before = (counts.read, counts.triggers, counts.merges)
    blocks = resource.getrusage(resource.RUSAGE_SELF).ru_inblock
    started = time.perf_counter()
    with lines.open("rb") as file:
        events = intake.lines(file, "bench")
        while engine.take(islice(events, BATCH)):
            pass
    engine._flush()
    seconds = time.perf_counter() - started - stages.seconds.pop("weighing")
    for owner, name, original in watched:
        setattr(owner, name, original)
    engine._store.commit = commit  # type: ignore[method-assign]
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory, from_disk = used.ru_maxrss / 1024, (used.ru_inblock - blocks) / 2048
    taken, triggers, merges = (
        after - earlier for after, earlier in zip((counts.read, counts.triggers, counts.merges), before, strict=True)
    )
    accepting = _accept_only(plan, lines)
    stepping = seconds - sum(stages.seconds.values()) - accepting
    shares = {"accept": accepting, "step": stepping, **stages.seconds}
    return Measured(taken, seconds, shares, memory, from_disk, row_bytes, triggers, merges)


def _let_rest(engine: Engine) -> None:
    """Waits until RocksDB has tidied up after the warm-up, which is not what is measured."""
    names = ("mem-table-flush-pending", "num-running-flushes", "compaction-pending", "num-running-compactions")
    while any(engine._store._db.property_int_value(f"rocksdb.{name}") for name in names):
        time.sleep(0.05)


def _accept_only(plan: Plan, lines: Path) -> float:
    """Seconds that the same lines take as far as accepted events: in the pipeline it interleaves with the steps."""
    started = time.perf_counter()
    with lines.open("rb") as file:
        for _ in Intake(plan, lambda: LAST).lines(file, "bench"):
            pass
    return time.perf_counter() - started


_STAGES = ("encode rows", "write", "columns", "parquet")


def _places(engine: Engine) -> list[tuple[Any, str]]:
    return [
        (engine._rows, "encode"),
        (engine._store, "commit"),
        (engine, "_columns_of_facts"),
        (engine._lake, "flush"),
    ]


# --- scenarios: each runs in a process of its own, pinned to one core -------------------------------------------------


def scenario(events: int, customers: int, existing: int, plan_folder: str) -> dict[str, Any]:
    """One measurement: `existing` profiles are there before, then `events` over `customers` of them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    plan = load(Path(plan_folder))
    now = wall_now()
    before, start = now - 2 * HOUR, now - HOUR
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as name:
        folder = Path(name)
        warm = _write(folder / "warm.ndjson", first_contacts(range(existing), before))
        mixed = _write(folder / "mixed.ndjson", mixed_events(events, customers, start))
        bare = floor(mixed, customers, folder)
        with tuned_collector(), Engine.open(folder / "data", plan) as engine:
            first = pipeline(engine, plan, warm, live(before, existing))
            _let_rest(engine)
            measured = pipeline(engine, plan, mixed, live(start, events))
            bare = (bare + floor(mixed, customers, folder)) / 2
        return {
            "floor": bare,
            "first": {**asdict(first), "rate": first.rate},
            "mixed": {**asdict(measured), "rate": measured.rate},
            "rules": len(plan.rules.rules),
        }


def _write(path: Path, lines: Iterable[bytes]) -> Path:
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines)
    return path


def apart(events: int, customers: int, existing: int, plan_folder: Path) -> dict[str, Any]:
    """`scenario` in a fresh process, so that its memory is its own."""
    command = [
        sys.executable,
        "-m",
        "rapport.bench.throughput",
        str(events),
        str(customers),
        str(existing),
        str(plan_folder),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def machine() -> str:
    """What the figures were measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, CPython {platform.python_version()}"


# --- the report -------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """`rapport bench`: measures, prints the report and, with `--report FILE`, keeps it as Markdown."""
    parser = argparse.ArgumentParser(prog="rapport bench", description="The speed of this machine, beside its floor.")
    parser.add_argument("--events", type=int, default=200_000, help="how many events are measured")
    parser.add_argument("--customers", type=int, default=50_000, help="how many customers they belong to")
    parser.add_argument("--all", action="store_true", help="also growth to 1,000,000 profiles and busy customers")
    parser.add_argument("--plan", type=Path, default=plan_of_shop(), help="the plan folder, by default the shop's")
    parser.add_argument("--report", type=Path, help="write the report to this file, too")
    asked = parser.parse_args(arguments)
    runs = {"Standard": (asked.events, asked.customers, asked.customers)}
    if asked.all:
        runs["10,000 profiles"] = (asked.events, 10_000, 10_000)
        runs["1,000,000 profiles"] = (asked.events, 1_000_000, 1_000_000)
        runs["200 events a customer"] = (asked.events, asked.events // 200, asked.events // 200)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    rounds = ROUNDS if asked.all else 1
    for number in range(1, rounds + 1):
        for name, (events, customers, existing) in runs.items():
            told = f"{name}: {events:,} events over {customers:,} customers, {number} of {rounds} ..."
            print(told, file=sys.stderr, flush=True)
            found[name].append(apart(events, customers, existing, asked.plan))
    report = rendered(found, runs, machine())
    print(report)
    if asked.report:
        asked.report.write_text(report + "\n")
    return 0


if __name__ == "__main__":
    print(json.dumps(scenario(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))

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
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from rapport.bench.events import first_contacts, mixed_events
from rapport.bench.pipeline import Measured, Stages, floor, pipeline, rest
from rapport.bench.report import MANY_STRANGERS, STANDARD, STRANGERS, rendered
from rapport.demo.tour import plan_of_shop
from rapport.plan.folder import load
from rapport.process.gc import tuned_collector
from schemas.instant import HOUR
from stream.core.plan import Plan
from stream.embedded.engine import Engine

EVENTS = 200_000
CUSTOMERS = 50_000
ROUNDS = 3
"""How often everything is measured with `--all`, turn by turn: a machine's pace varies by a fifth within minutes."""
MANY = 5
"""Times as many strangers with `--all`, too: their rate must stay what it is."""


# --- scenarios: each runs in a process of its own, pinned to one core -------------------------------------------------


def scenario(events: int, customers: int, existing: int, plan_folder: str) -> dict[str, Any]:
    """One measurement: `existing` profiles are there before, then `events` over `customers` of them.

    Where nobody is there before, what the standard run takes comes afterwards, in a folder of its own, to compare with.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    plan = load(Path(plan_folder))
    with tempfile.TemporaryDirectory(prefix="rapport-bench-") as name:
        folder = Path(name)
        if existing:
            found = _of_known(folder, plan, events, customers, existing)
        else:
            new = _of_strangers(folder, plan, events, customers)
            known = min(customers, CUSTOMERS)
            warm = _of_known(folder, plan, min(events, EVENTS), known, known)
            found = {"floor": warm["floor"], "mixed": new, "warm": warm["mixed"]}
    return {**found, "rules": len(plan.rules.rules)}


def _of_strangers(folder: Path, plan: Plan, events: int, customers: int) -> dict[str, Any]:
    """History of people whom nobody has seen before; its own time is the run's."""
    now = time.time_ns() // 1000
    lines = _write(folder / "new.ndjson", mixed_events(events, customers, now - HOUR, visitors=True))
    stages = Stages()
    with tuned_collector(), Engine.open(folder / "new", plan, stages) as engine:
        measured = pipeline(engine, stages, plan, lines, lambda: now, by_event_time=True)
    rest()
    return _told(measured)


def _of_known(folder: Path, plan: Plan, events: int, customers: int, existing: int) -> dict[str, Any]:
    """Events as they arrive, of people who have all had a contact before."""
    now = time.time_ns() // 1000
    before, start = now - 2 * HOUR, now - HOUR
    met = _write(folder / "met.ndjson", first_contacts(range(existing), before))
    mixed = _write(folder / "mixed.ndjson", mixed_events(events, customers, start))
    bare = floor(mixed, customers, folder)
    stages = Stages()
    with tuned_collector(), Engine.open(folder / "known", plan, stages) as engine:
        first = pipeline(engine, stages, plan, met, _live(before, existing))
        rest()
        measured = pipeline(engine, stages, plan, mixed, _live(start, events))
        bare = (bare + floor(mixed, customers, folder)) / 2
    return {"floor": bare, "first": _told(first), "mixed": _told(measured)}


def _live(start: int, events: int) -> Callable[[], int]:
    """A wall clock at which each event arrives when it occurs: an hour passes while they are taken."""
    return count(start, HOUR // events).__next__


def _told(measured: Measured) -> dict[str, Any]:
    return {**asdict(measured), "rate": measured.rate}


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
    parser.add_argument("--events", type=int, default=EVENTS, help="how many events are measured")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="how many customers they belong to")
    parser.add_argument(
        "--all", action="store_true", help="also many strangers, growth to 1,000,000 profiles and busy customers"
    )
    parser.add_argument("--plan", type=Path, default=plan_of_shop(), help="the plan folder, by default the shop's")
    parser.add_argument("--report", type=Path, help="write the report to this file, too")
    asked = parser.parse_args(arguments)
    runs = {STRANGERS: (asked.events, asked.customers, 0), STANDARD: (asked.events, asked.customers, asked.customers)}
    if asked.all:
        runs[MANY_STRANGERS] = (MANY * asked.events, MANY * asked.customers, 0)
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

"""The benchmark on Kafka: Rapport's workers beside what a good engineer would write with Faust or Quix Streams.

    make bench-kafka                                                 everything, into docs/benchmarks_kafka.md
    PYTHONPATH=tests python benchmarks/on_kafka.py --events 20000

One broker, one run, the same events (`rapport.bench.events.mixed_events`) for all, turn by turn. Compared is
processor time of the worker processes, so that broker, feeder and whatever else the machine does count for nobody; they
still slow each other down through shared caches, and a machine's pace changes with its neighbours, so it stands beside
each figure.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from apart import in_own_process, linked, plain, quix, recovered
from half_load import STARTING, half_load
from on_kafka_report import rendered
from rapport.bench.events import first_contacts, mixed_events
from rapport.bench.throughput import machine
from rapport.demo.broker import JarBroker
from schemas import codec
from schemas.instant import HOUR
from stack import Stack, accepted, pace, peak_memory, processor_seconds, shop

TURNS = 5
"""How often workers are measured beside each other, after a turn that only warms the broker up."""
BUSY = 3
"""Processes beside one worker, to see what sharing this machine's cores costs it: as many as four workers have."""
CONTACT_FRACTION = 4
"""Events a customer, as in the standard run of `make bench`."""
STRANGERS = 3
"""Times as many events of strangers."""
CONTACTS = 50_000
"""Profiles that are made at once."""
SINK_SETTLES = 6.0
"""Seconds after which a sink has written and published what it got."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=TURNS, help="how often everything is measured")
    parser.add_argument("--profiles", type=int, default=0, help="measure the memory of a worker that has so many, too")
    parser.add_argument("--report", type=Path, help="write the report to this file, too")
    asked = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="rapport-bench-kafka-"))
    try:
        with _broker() as broker:
            found = _everything(asked.events, asked.turns, folder, broker)
            if asked.profiles:
                _say(f"{asked.profiles:,} profiles")
                found["profiles"] = _with_profiles(asked.profiles, folder, broker)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report = rendered(found, machine())
    print(report)
    if asked.report:
        asked.report.write_text(report + "\n")
    return 0


@contextmanager
def _broker() -> Iterator[JarBroker]:
    broker = JarBroker(long_lived=True)
    try:
        yield broker
    finally:
        broker.stop()


def _everything(events: int, turns: int, folder: Path, broker: JarBroker) -> dict[str, Any]:
    found: dict[str, Any] = {"events": events, "customers": events // CONTACT_FRACTION, "turns": []}
    customers = found["customers"]
    for number in range(turns + 1):
        turn: dict[str, Any] = {}
        if number:
            found["turns"].append(turn)
            _say(f"turn {number} of {turns}: plain Faust")
            turn["plain"] = in_own_process(plain, broker.address, folder / f"plain-{number}", events, customers)
            _say(f"turn {number} of {turns}: Quix Streams")
            turn["quix"] = in_own_process(quix, broker.address, folder / f"quix-{number}", events, customers)
            _say(f"turn {number} of {turns}: Rapport, strangers")
            with Stack(folder, broker.address, f"strangers-{number}-") as stack:
                turn["strangers"] = _strangers(stack, broker.pid, STRANGERS * events, STRANGERS * customers)
        for workers, others in ((1, 0), (1, BUSY), (2, 0), (4, 0)):
            name = f"{workers} beside {others}" if others else f"workers {workers}"
            _say(f"turn {number} of {turns}: Rapport, {name}")
            with Stack(folder, broker.address, f"{name.replace(' ', '-')}-{number}-") as stack:
                one = turn[name] = _drained(stack, broker.pid, workers, others, events, customers)
                _say(f"{one['per_core']:,.0f} events a worker core second, pace {one['pace']:.0f}")
                if number == turns and not others:
                    found |= _once(stack, workers, customers, folder, broker)
    return found


def _once(stack: Stack, workers: int, customers: int, folder: Path, broker: JarBroker) -> dict[str, Any]:
    """What is measured once, on a stack that has drained its events."""
    found: dict[str, Any] = {}
    if workers == 1:
        _say("half load")
        found["half load"] = half_load(stack, customers, broker.pid, _say)
        stack.end_workers()
        _say("recovery of a lost disk")
        found["recovery"] = in_own_process(recovered, stack.cluster, folder / "recovery")
        _say("linker")
        found["linker"] = in_own_process(linked, stack.cluster, folder / "linker")
    if workers == 2:
        found["memory"] = _memory_of_all(stack, broker)
    return found


def _drained(stack: Stack, broker: int, workers: int, others: int, events: int, customers: int) -> Mapping[str, Any]:
    """First every customer once, then, beside so many other busy processes, all events; both as fast as they go."""
    plan = shop()
    stack.create_topics()
    stack.start_workers(workers)
    now = time.time_ns() // 1_000
    first = _through(stack, accepted(first_contacts(range(customers), now - 2 * HOUR), plan), broker, rest=True)
    linked_before = _of_linker(stack)
    started = time.process_time()
    mixed = accepted(mixed_events(events, customers, time.time_ns() // 1_000 - HOUR), plan)
    accepting = time.process_time() - started
    with _busy(others):
        measured = _through(stack, mixed, broker)
    stack.settled()
    return {
        **measured,
        "first": first,
        "accept": accepting / events,
        "linker_commits": _of_linker(stack) - linked_before,
        "triggers": stack.total("rapport_triggers_total"),
        "memory": max(map(peak_memory, stack.pids())),
    }


def _strangers(stack: Stack, broker: int, events: int, customers: int) -> Mapping[str, Any]:
    """One worker and the linker get events of people whom nobody has seen before, backlog by backlog."""
    plan = shop()
    stack.create_topics()
    stack.start_workers(1)
    lines = mixed_events(events, customers, time.time_ns() // 1_000 - HOUR, visitors=True)
    backlogs = []
    while backlog := accepted(islice(lines, events // STRANGERS), plan):
        backlogs.append(_through(stack, backlog, broker, rest=True))
    return {
        "rate": events / sum(each["events"] / each["rate"] for each in backlogs),
        "cpu": sum(each["cpu"] * each["events"] for each in backlogs) / events,
        "per_core": events / sum(each["cpu"] * each["events"] for each in backlogs),
        "events": events,
        "merges": stack.total("rapport_merged_total"),
        "memory": max(map(peak_memory, stack.pids())),
        "pace": sum(each["pace"] for each in backlogs) / len(backlogs),
    }


def _through(stack: Stack, events: list[Any], broker: int, rest: bool = False) -> dict[str, float]:
    """Sends events to workers that stand still and waits until they have taken them.

    With `rest`, until nothing that they caused moves any more.
    """
    pace_before = pace()
    before, used, fed = stack.figures(), processor_seconds(stack.pids()), time.process_time()
    target, brokered = stack.total("rapport_received_total") + len(events), processor_seconds([broker])
    stack.pile_up(events)
    fed, started = time.process_time() - fed, time.monotonic()
    stack.until(lambda: stack.total("rapport_received_total") >= target)
    seconds = time.monotonic() - started
    if rest:
        stack.settled()
    used = processor_seconds(stack.pids()) - used
    brokered = processor_seconds([broker]) - brokered
    after = stack.figures()

    def each(metric: str) -> float:
        return sum(value - before.get(key, 0.0) for key, value in after.items() if key[0] == metric) / len(events)

    return {
        "events": len(events),
        "rate": len(events) / seconds,
        "cpu": used / len(events),
        "per_core": len(events) / used,
        "feed": fed / len(events),
        "broker": brokered / len(events),
        "line": sum(len(codec.encode(event)) for event in events) / len(events),
        "rows": each("rapport_changelog_rows_total"),
        "row_bytes": each("rapport_changelog_bytes_total"),
        "transactions": each("rapport_transactions_total"),
        "pace": (pace_before + pace()) / 2,
    }


@contextmanager
def _busy(processes: int) -> Iterator[None]:
    """So many processes that have nothing to do with Rapport's workers but that they use the same processor."""
    own = multiprocessing.get_context("spawn")
    started = own.Barrier(processes + 1)
    busy = [own.Process(target=_accepting, args=(started,), daemon=True) for _ in range(processes)]
    for each in busy:
        each.start()
    started.wait(STARTING)
    try:
        yield
    finally:
        for each in busy:
            each.terminate()
            each.join()


def _accepting(started: Barrier) -> None:
    plan = shop()
    started.wait(STARTING)
    while True:
        accepted(mixed_events(CONTACTS, CONTACTS, time.time_ns() // 1_000), plan)


def _of_linker(stack: Stack) -> float:
    return stack.values("rapport_transactions_total").get("linker", 0.0)


def _memory_of_all(stack: Stack, broker: JarBroker) -> dict[str, float]:
    """MiB at most, process by process, once a sink has taken everything, too."""
    stack.start("sink", "sink")
    stack.until((stack.sink_data / "rapport.duckdb").exists)
    time.sleep(SINK_SETTLES)
    pids = {"broker": broker.pid, "sink": stack.pid_of("sink")}
    pids |= {name: stack.pid_of(name) for name in stack.running("worker")}
    return {name: peak_memory(pid) for name, pid in pids.items()}


def _with_profiles(profiles: int, folder: Path, broker: JarBroker) -> dict[str, float]:
    """One worker that gets so many profiles, then events for any of them."""
    with Stack(folder, broker.address, "memory-") as stack:
        stack.create_topics()
        stack.start_workers(1)
        (pid,) = stack.pids()
        plan, start = shop(), time.time_ns() // 1_000 - 2 * HOUR
        for begin in range(0, profiles, CONTACTS):
            customers = range(begin, min(begin + CONTACTS, profiles))
            _through(stack, accepted(first_contacts(customers, start), plan), broker.pid, rest=True)
            _say(f"{customers.stop:,} profiles, {peak_memory(pid):,.0f} MiB")
        _through(stack, accepted(mixed_events(2 * CONTACTS, profiles, start + HOUR), plan), broker.pid)
        return {"profiles": profiles, "memory": peak_memory(pid), "pace": pace()}


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""What the benchmark on Kafka found, as the page docs/benchmarks_kafka.md, and what follows for a larger cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Found = Mapping[str, Any]

BESIDE = "1 beside 3"
"""One worker, measured while three other processes are busy."""
WORKERS = 10
LANES = 100
PROFILES = 10_000_000
DISK = 500e6
"""Bytes/s: what a broker's single NVMe disk writes for long, to reckon with."""

_HEAD = """\
# Benchmarks on Kafka

One broker, workers and everything that feeds and asks them on one machine; {events:,} events of {customers:,} customers
(those of [make bench](benchmarks.md)) with the shop's rules, triggers and decisions written. Repeat it with
`make bench-kafka`.

Machine: {machine}. The broker has 512 MB of heap and, as in production, a Java
that optimizes what runs often; a turn of all workers that does not count goes before.

*Per worker core* is events by processor seconds of the worker processes, all their threads included: what a worker gets
from one core of its own. *Pace* is how fast the machine made a small calculation around that moment, against its
fastest of this run: it depends on its neighbours, and everything else is as much slower. Plain Faust and workers were
measured {count} times, turn by turn; shown are those with the middle processor time, and of ratios the middle of all
turns.

| | goal | measured | pace |
|---|---|---|---|"""

_WORKERS = """
## Workers

Backlogs of {events:,} events, each with topics of its own. Workers stand still until all of it has been sent, so that
all of them, however many, are behind until its end, and nobody sends while they are measured. What sharing the cores
with three others costs a worker is also measured with one worker, beside processes that accept events and have nothing
to do with it; they are in the pace that stands there.

| | events/s here | per worker core | µs an event | µs in all turns | memory a worker | pace |
|---|---|---|---|---|---|---|"""

_OPPONENT = """
*Plain Faust* is [benchmarks/plain_faust.py](../benchmarks/plain_faust.py): one JSON event a record, tables in RocksDB
for profiles, identifiers and open windows, the same fold and rules, tuned as far as Faust's settings go. It promises
less: its changes and outputs are not atomic, and it merges nobody. Accepting an event ({accept:.0f} µs) and sending it
({feed:.0f} µs) happen before a worker gets it; plain Faust is sent raw events and checks nothing of them.
"""

_HALF_LOAD = """\
## Half load

Half of what one worker took just before when events of the same customers were sent as fast as they go, {rounds} times;
the figures above are the middle ones. Milliseconds from accepting an event until a receiver of committed records has
its trigger, and until an answer to the question for a customer is there. In turn with it the worker is asked for an
*empty* answer, whether it lives, and so is an *idle* process with the same HTTP server, which has nothing else to do:
so much is the machine's, shared by broker, worker, and those who send, receive and ask. Events are accepted and encoded
beforehand.

| events/s | worker, broker: cores | triggers | p50 | p99 | questions | p50 | p95 | empty | p95 | idle | p95 | pace |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""

_LARGER = """
## What a larger cluster would carry

By arithmetic from the figures above, for {workers} workers with a core each, {lanes} partitions and one broker:

| | |
|---|---|"""

_BREAKS = """
**The broker breaks first**: a disk that writes {disk:,.0f} MB/s for long is full at {ceiling:,.0f} events/s, that is
with {filling:.0f} workers, and {workers} workers keep {cores:.0f} of its cores busy. With three brokers and three
copies each writes as much, so a larger cluster needs more brokers than copies, and partitions spread by
themselves. Next is the linker, the one lane that cannot be split, when more events than shown above are somebody's
first. Lanes come last: {lanes} of them allow {lanes} workers."""


def rendered(found: Found, machine: str) -> str:
    """The page as Markdown."""
    turns = found["turns"]
    fastest = max(_paces(found))
    middle = {key: _middle((turn[key] for turn in turns), "cpu") for key in turns[0]}
    seen = {**found, **middle}
    lines = [_HEAD.format(machine=machine, count=len(turns), **found)]
    lines += map(_row, _goals(seen, fastest))
    lines += [_WORKERS.format(**found), *map(_row, _by_worker(seen, fastest))]
    one = seen["workers 1"]
    lines.append(_OPPONENT.format(accept=one["accept"] * 1e6, feed=one["feed"] * 1e6))
    lines.append(_HALF_LOAD.format(rounds=len(found["half load"])))
    lines += [_row(_half_load(each, fastest)) for each in found["half load"]]
    lines.append(_LARGER.format(workers=WORKERS, lanes=LANES))
    lines += map(_row, _larger(seen))
    return "\n".join([*lines, *_breaks(seen)])


def _paces(value: Any) -> Iterator[float]:
    """All that were measured."""
    if isinstance(value, Mapping):
        if "pace" in value:
            yield value["pace"]
        value = value.values()
    if not isinstance(value, str) and isinstance(value, Iterable):
        for each in value:
            yield from _paces(each)


def _middle(measured: Iterable[Found], figure: str) -> Found:
    by_figure = sorted(measured, key=lambda each: each[figure])
    return by_figure[len(by_figure) // 2]


def _middle_of(found: Found, ratio: Callable[[Found], float]) -> float:
    """Of all turns."""
    ratios = sorted(map(ratio, found["turns"]))
    return ratios[len(ratios) // 2]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _goals(found: Found, fastest: float) -> Iterator[tuple[str, str, str, str]]:
    plain, one = found["plain"], found["workers 1"]
    linker, recovery, memory = (found[name] for name in ("linker", "recovery", "memory"))
    triggers, queries = (_middle(found["half load"], figure) for figure in ("trigger p99", "profile ratio"))

    def at(measured: Found) -> str:
        return f"{measured['pace'] / fastest:.2f}"

    yield "plain Faust, events/s", "3,000", f"{plain['per_core']:,.0f} a core", at(plain)
    times = _middle_of(found, lambda turn: turn["plain"]["cpu"] / turn["workers 1"]["cpu"])
    yield "Rapport beside it, per core", "5 times", f"{times:.1f} times", at(one)
    yield "Rapport, per worker core", "20,000 events/s", f"{one['per_core']:,.0f} events/s", at(one)

    def more(key: str) -> str:
        return f"{_middle_of(found, lambda turn: turn[key]['cpu'] / turn['workers 1']['cpu'] - 1):+.0%}"

    growth = f"{more('workers 2')}, {more('workers 4')}; one worker beside three busy processes {more(BESIDE)}"
    yield "CPU an event, from 1 to 2 and 4 workers", "at most +10%", growth, at(found["workers 4"])
    links = f"{linker['rate']:,.0f}, per core {linker['per_core']:,.0f}"
    yield "the linker's lane, new links/s", "5,000", links, at(linker)
    commits = f"{one['linker_commits']:,.0f} transactions in {one['events']:,} events"
    yield "the linker, for known pairs", "idle", commits, at(one)
    rows = f"{recovery['rate']:,.0f}, per core {recovery['per_core']:,.0f}"
    yield "recovery of a lost disk, rows/s", "100,000", rows, at(recovery)
    yield "accepted to trigger, half load, p99", "250 ms", f"{triggers['trigger p99']:,.0f} ms", at(triggers)
    asked = f"{queries['profile ratio']:.1f} times ({queries['profile p95']:.1f} ms)"
    yield "profile query, half load, p95", "3 times an empty answer", asked, at(queries)
    if profiles := found.get("profiles"):
        told = f"{profiles['memory']:,.0f} MiB"
        yield f"a worker with {profiles['profiles']:,} profiles", "500 MB", told, at(profiles)
    parts = ", ".join(f"{name} {mib:,.0f}" for name, mib in memory.items())
    yield "broker, 2 workers and a sink", "2 GB", f"{sum(memory.values()):,.0f} MiB ({parts})", at(found["workers 2"])


def _by_worker(found: Found, fastest: float) -> Iterator[tuple[str, ...]]:
    names = {"plain": "plain Faust", "workers 1": "Rapport, 1 worker", BESIDE: "the same beside 3 busy processes"}
    names |= {f"workers {n}": f"Rapport, {n} workers" for n in (2, 4)}
    for key, name in names.items():
        one = found[key]
        in_turns = ", ".join(f"{turn[key]['cpu'] * 1e6:.0f}" for turn in found["turns"])
        yield _measured(name, one, in_turns, f"{one['memory']:,.0f} MiB", fastest)
    yield _measured("first contacts, 1 worker with the linker", found["workers 1"]["first"], "", "", fastest)


def _measured(name: str, one: Found, in_turns: str, memory: str, fastest: float) -> tuple[str, ...]:
    return (
        name,
        f"{one['rate']:,.0f}",
        f"{one['per_core']:,.0f}",
        f"{one['cpu'] * 1e6:.0f}",
        in_turns,
        memory,
        f"{one['pace'] / fastest:.2f}",
    )


def _half_load(one: Found, fastest: float) -> tuple[str, ...]:
    return (
        f"{one['rate']:,.0f}",
        f"{one['worker']:.2f}, {one['broker']:.2f}",
        f"{one['triggers']:,}",
        f"{one['trigger p50']:,.0f} ms",
        f"{one['trigger p99']:,.0f} ms",
        f"{one['asked']:,}",
        f"{one['profile p50']:.1f} ms",
        f"{one['profile p95']:.1f} ms",
        f"{one['empty p50']:.1f} ms",
        f"{one['empty p95']:.1f} ms",
        f"{one['idle p50']:.1f} ms",
        f"{one['idle p95']:.1f} ms",
        f"{one['pace'] / fastest:.2f}",
    )


# --- arithmetic -------------------------------------------------------------------------------------------------------


def _written(one: Found) -> float:
    """Bytes an event costs the broker's disk: itself, itself again as a fact, and its rows."""
    return float(2 * one["line"] + one["row_bytes"])


def _larger(found: Found) -> Iterator[tuple[str, str]]:
    one, recovery = found["workers 1"], found["recovery"]
    rate = WORKERS * one["per_core"]
    rows = PROFILES * one["first"]["rows"]
    yield "events/s", f"{WORKERS} x {one['per_core']:,.0f} = {rate:,.0f}, {rate / LANES:,.0f} a lane"
    written = f"2 x {one['line']:,.0f} B (event and fact) + {one['row_bytes']:,.0f} B of rows"
    yield "written to the broker", f"{written} an event = {rate * _written(one) / 1e6:,.0f} MB/s"
    yield "read from the broker", f"events by workers, facts by sinks: {rate * 2 * one['line'] / 1e6:,.0f} MB/s"
    busy = f"{one['broker'] * 1e6:.0f} µs an event = {rate * one['broker']:.1f} cores"
    yield "the broker's processor", busy
    transactions = rate * one["transactions"]
    yield "transactions", f"{transactions:,.0f}/s at the batching measured here"
    newcomers = found["linker"]["per_core"] / 2
    share = newcomers / rate
    yield "new customers (two links each)", f"{newcomers:,.0f}/s from the one linker: {share:.0%} of the events"
    seconds = rows / WORKERS / recovery["per_core"]
    lost = f"{rows / WORKERS:,.0f} rows at {recovery['per_core']:,.0f}/s = {seconds:,.0f} s"
    yield f"a lost disk, {PROFILES:,} profiles in all", lost


def _breaks(found: Found) -> Iterator[str]:
    one = found["workers 1"]
    ceiling = DISK / _written(one)
    cores = WORKERS * one["per_core"] * one["broker"]
    yield _BREAKS.format(
        disk=DISK / 1e6,
        ceiling=ceiling,
        filling=ceiling / one["per_core"],
        workers=WORKERS,
        cores=cores,
        lanes=LANES,
    )

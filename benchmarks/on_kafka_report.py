"""What the benchmark on Kafka found, as the page docs/benchmarks_kafka.md, and what follows for a larger cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Found = Mapping[str, Any]

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

Machine: {machine}. The broker's Java compiles with its first compiler alone: the second one
would work against everything measured here for minutes, and make a broker that runs for long cheaper.

*Per worker core* is events by processor seconds of the worker processes, all their threads included: what a worker gets
from one core of its own. *Load* is the machine's load average of the last minute at the end of the measurement; above
the number of cores the figures, above all those in seconds, are worse than they would be on a machine of one's own.

| | goal | measured | load |
|---|---|---|---|"""

_WORKERS = """
## Workers

Backlogs of {events:,} events, each with topics of its own.

| | events/s here | per worker core | µs an event | memory a worker | load |
|---|---|---|---|---|---|"""

_OPPONENT = """
*Plain Faust* is [benchmarks/plain_faust.py](../benchmarks/plain_faust.py): one JSON event a record, tables in RocksDB
for profiles, identifiers and open windows, the same fold and rules, tuned as far as Faust's settings go. It promises
less: its changes and outputs are not atomic, and it merges nobody. Accepting an event ({accept:.0f} µs) and sending it
({feed:.0f} µs) happen before a worker gets it; plain Faust is sent raw events and checks nothing of them.
"""

_HALF_LOAD = """\
Half load was {rate:,.0f} events/s, half of what one worker drained here: {triggers:,} triggers reached a receiver of
committed records after {trigger_p50:,.0f} ms (p50) and {trigger_p99:,.0f} ms (p99), {asked:,} customers were told after
{profile_p50:.1f} ms (p50) and {profile_p95:.1f} ms (p95). An idle process with the same HTTP server, asked in turn with
the worker whether it lives, answered after {idle_p50:.1f} ms (p50) and {idle_p95:.1f} ms (p95): so much is the
machine's, shared by broker, worker, and those who send, receive and ask. Events are accepted beforehand."""

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
    lines = [_HEAD.format(machine=machine, **found)]
    lines += map(_row, _goals(found))
    lines += [_WORKERS.format(**found), *map(_row, _by_worker(found))]
    one = found["workers 1"]
    lines.append(_OPPONENT.format(accept=one["accept"] * 1e6, feed=one["feed"] * 1e6))
    lines.append(_half_load(found["half load"]))
    lines.append(_LARGER.format(workers=WORKERS, lanes=LANES))
    lines += map(_row, _larger(found))
    return "\n".join([*lines, *_breaks(found)])


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _goals(found: Found) -> Iterator[tuple[str, str, str, str]]:
    plain, one = found["plain"], found["workers 1"]
    linker, recovery, half, memory = (found[name] for name in ("linker", "recovery", "half load", "memory"))
    dearest = max((found[name] for name in ("workers 2", "workers 4")), key=lambda each: each["cpu"])

    def load(*measured: Found) -> str:
        return " / ".join(f"{each['load']:.1f}" for each in measured)

    yield "plain Faust, events/s", "3,000", f"{plain['per_core']:,.0f} a core", load(plain)
    yield "Rapport beside it, per core", "5 times", f"{one['per_core'] / plain['per_core']:.1f} times", load(one)
    yield "Rapport, per worker core", "20,000 events/s", f"{one['per_core']:,.0f} events/s", load(one)
    growth = f"{dearest['cpu'] / one['cpu'] - 1:+.0%}"
    yield "CPU an event, from 1 to 2 and 4 workers", "at most +10%", growth, load(one, dearest)
    links = f"{linker['rate']:,.0f}, per core {linker['per_core']:,.0f}"
    yield "the linker's lane, new links/s", "5,000", links, load(linker)
    commits = f"{one['linker_commits']:,.0f} transactions in {one['events']:,} events"
    yield "the linker, for known pairs", "idle", commits, load(one)
    rows = f"{recovery['rate']:,.0f}, per core {recovery['per_core']:,.0f}"
    yield "recovery of a lost disk, rows/s", "100,000", rows, load(recovery)
    yield "accepted to trigger, half load, p99", "250 ms", f"{half['trigger p99']:,.0f} ms", load(half)
    yield "profile query, half load, p95", "5 ms", f"{half['profile p95']:.1f} ms", load(half)
    if profiles := found.get("profiles"):
        told = f"{profiles['memory']:,.0f} MiB"
        yield f"a worker with {profiles['profiles']:,} profiles", "500 MB", told, load(profiles)
    parts = ", ".join(f"{name} {mib:,.0f}" for name, mib in memory.items())
    yield "broker, 2 workers and a sink", "2 GB", f"{sum(memory.values()):,.0f} MiB ({parts})", load(found["workers 2"])


def _by_worker(found: Found) -> Iterator[tuple[str, ...]]:
    names = {"plain": "plain Faust"} | {f"workers {n}": f"Rapport, {n} worker{'s' * (n > 1)}" for n in (1, 2, 4)}
    for key, name in names.items():
        one = found[key]
        yield _measured(name, one, f"{one['memory']:,.0f} MiB")
    yield _measured("first contacts, 1 worker with the linker", found["workers 1"]["first"], "")


def _measured(name: str, one: Found, memory: str) -> tuple[str, ...]:
    return (
        name,
        f"{one['rate']:,.0f}",
        f"{one['per_core']:,.0f}",
        f"{one['cpu'] * 1e6:.0f}",
        memory,
        f"{one['load']:.1f}",
    )


def _half_load(half: Found) -> str:
    return _HALF_LOAD.format(**{name.replace(" ", "_"): value for name, value in half.items()})


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

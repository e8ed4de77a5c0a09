"""What the benchmark on Kafka found, as the page docs/benchmarks_kafka.md, beside its goals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from larger_cluster import larger_cluster

Found = Mapping[str, Any]

BESIDE = "1 beside 3"
"""One worker, measured while three other processes are busy."""
_HEAD = """\
# Benchmarks on Kafka

One broker, workers and everything that feeds and asks them on one machine; {events:,} events of {customers:,} customers
(those of [make bench](benchmarks.md)) with the shop's rules, triggers and decisions written. Repeat it with
`make bench-kafka`.

Machine: {machine}. The broker has 512 MB of heap and, as in production, a Java
that optimizes what runs often; a turn of all workers that does not count goes before.

*Per worker core* is events by processor seconds of the worker processes, all their threads included: what a worker gets
from one core of its own. *Pace* is how fast the machine made a small calculation around that moment, against its
fastest of this run: it depends on its neighbours, and everything else is as much slower. Opponents and workers were
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

_OPPONENTS = """
*Strangers* are people whom nobody has seen before: {events:,} events in three backlogs, {merges:,} merges, one worker
with the linker. Their rate is compared with that of one worker for known customers, of the same turn; the processor
time counts until nothing that they caused moves any more.

## The opponents

What is done with an event, and what for:

| | plain Faust | Quix Streams | Rapport |
|---|---|---|---|
| checked, its clock corrected, or refused with a reason | no | no | yes |
| duplicates dropped | of the user's last 50 events | of the user's last 50 events | of 7 days |
| profile folded | yes | yes | yes |
| identifiers | listed, and a table of them | listed | looked up by all of them |
| people merged and split | no | no | yes |
| rules at once | yes | no | yes |
| windows and timers | yes | no | yes |
| triggers and decisions written | yes | no | yes |
| facts for analytics written | no | no | yes |
| profile, outputs and positions are one | no, each by itself | yes, every 5 s | yes, every run (50 ms) |
| µs an event | {plain:.0f} | {quix:.0f} | {everything:.0f}: accept {accept:.0f}, send {feed:.0f}, take {one:.0f} |

Both are given one JSON event a record, raw and keyed by user, and use [the same fold](../benchmarks/fold.py).
*Plain Faust* is [benchmarks/plain_faust.py](../benchmarks/plain_faust.py) with tables in RocksDB, tuned as far as its
settings go. *Quix Streams* is [benchmarks/quix.py](../benchmarks/quix.py), exactly once, with state in RocksDB and its
changelog, and settings as they come; its processor time counts until all is committed. Compared is always the processor
time of the whole process.
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


def rendered(found: Found, machine: str) -> str:
    """The page as Markdown."""
    turns = found["turns"]
    fastest = max(_paces(found))
    middle = {key: _middle((turn[key] for turn in turns), "cpu") for key in turns[0]}
    seen = {**found, **middle}
    lines = [_HEAD.format(machine=machine, count=len(turns), **found)]
    lines += map(_row, _goals(seen, fastest))
    lines += [_WORKERS.format(**found), *map(_row, _by_worker(seen, fastest))]
    lines.append(_OPPONENTS.format(**_opponents(seen)))
    lines.append(_HALF_LOAD.format(rounds=len(found["half load"])))
    lines += [_row(_half_load(each, fastest)) for each in found["half load"]]
    return "\n".join([*lines, *larger_cluster(seen)])


def _opponents(found: Found) -> dict[str, float]:
    one, new = found["workers 1"], found["strangers"]
    prices = {"plain": found["plain"]["cpu"], "quix": found["quix"]["cpu"], "one": one["cpu"]}
    prices |= {"accept": one["accept"], "feed": one["feed"], "everything": _all_in(found)}
    figures = {name: price * 1e6 for name, price in prices.items()}
    return {**figures, "events": new["events"], "merges": int(new["merges"])}


def _all_in(turn: Found) -> float:
    """Seconds of processor that an event costs Rapport from its bytes to its profile."""
    one = turn["workers 1"]
    return float(one["accept"] + one["feed"] + one["cpu"])


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

    beside_known = _middle_of(found, lambda turn: turn["strangers"]["rate"] / turn["workers 1"]["rate"])
    per_core = _middle_of(found, lambda turn: turn["workers 1"]["cpu"] / turn["strangers"]["cpu"])
    new = found["strangers"]
    told = f"{beside_known:.2f}, per core {per_core:.2f}: {new['rate']:,.0f} events/s against {one['rate']:,.0f}"
    yield "strangers beside known customers, one worker", "0.6", told, at(new)
    yield "plain Faust, events/s", "3,000", f"{plain['per_core']:,.0f} a core", at(plain)
    times = _middle_of(found, lambda turn: turn["plain"]["cpu"] / turn["workers 1"]["cpu"])
    yield "Rapport beside it, per core", "5 times", f"{times:.1f} times", at(one)
    dearer = _middle_of(found, lambda turn: _all_in(turn) / turn["quix"]["cpu"])
    price = f"{dearer:.1f} times: {_all_in(found) * 1e6:.0f} µs against {found['quix']['cpu'] * 1e6:.0f}"
    yield "all of it beside what Quix Streams does, CPU", "at most its price", price, at(found["quix"])
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
    names = {
        "plain": "plain Faust",
        "quix": "Quix Streams",
        "workers 1": "Rapport, 1 worker",
        BESIDE: "the same beside 3 busy processes",
    }
    names |= {f"workers {n}": f"Rapport, {n} workers" for n in (2, 4)}
    names = {"strangers": "strangers, 1 worker with the linker", **names}
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

"""What the benchmark found, as the page docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Found = Mapping[str, Sequence[Mapping[str, Any]]]
"""Name of a run -> what was measured, each time."""
Runs = Mapping[str, tuple[int, int, int]]
"""Name of a run -> events, customers, profiles that were there before."""

STRANGERS = "Strangers"
STANDARD = "Standard"
MANY_STRANGERS = "Strangers, 5 times as many"
"""Names of runs that goals are about."""

_HEAD = """\
# Benchmarks

One process on one core, JSON lines in to rows durable, triggers written and Parquet published, with {rules} rules
loaded. Repeat it with `make bench`. What workers do on Kafka is [on a page of its own](benchmarks_kafka.md).

Machine: {machine}.

*Floor*: what the same core does per event with nothing but decoding the JSON and reading, decoding, encoding and
writing a 0.9 KB profile in RocksDB, measured in the same process before and after (the mean is shown).
{rounds}
| | goal | measured |
|---|---|---|"""

_RUNS = """
| run | events | customers | events/s | all times | warm | floor/s | share | rows an event | memory | from disk |
|---|---|---|---|---|---|---|---|---|---|---|"""

_ROUNDS = """
Everything was measured {rounds} times, turn by turn, each time in a new process with a new data folder. The figures of
a run are those of the time with the middle rate, and of ratios the middle of all times.
"""

_STAGES = """\

Microseconds an event, by stage; of strangers and in the standard run:

| stage | strangers | standard | first contacts |
|---|---|---|---|"""

_FOOT = """\

*Strangers* are what a business's first day with its history is, or a site with new visitors: nobody in the folder
before, each customer a visitor up to a moment of their own and known by name after it, {merges:.1f} merges a customer,
and the time of the events is the run's.
*Warm* is the rate of the standard run, in the same process and right after.
*accept* parses, validates and finds identifiers (timed apart, over the same lines); *step* is identity,
profile and rules; *encode rows* and *write* commit the input and all it changed (one synced write); *columns* and
*parquet* are the analytics side.
Customers come in random order, the worst case for any cache. Before the measurement every customer has had one
contact (*first contacts*: each a new customer with three identifiers, so two merges).
*from disk* is what had to be read from there: the operating system had dropped it from its cache since it was
written, which costs time in proportion."""


def rendered(found: Found, runs: Runs, machine: str) -> str:
    """The report as Markdown; of each run, all the times it was measured."""
    middle = {name: _middle(times) for name, times in found.items()}
    standard, new = middle[STANDARD], middle[STRANGERS]
    times = len(found[STANDARD])
    rounds = _ROUNDS.format(rounds=times) if times > 1 else ""
    lines = [_HEAD.format(rules=standard["rules"], machine=machine, rounds=rounds)]
    lines += [_row(cells) for cells in _goals(found, middle)]
    lines += [_RUNS, *(_row(_run(name, runs[name], found[name])) for name in runs)]
    if "200 events a customer" in middle:
        busy = _ratio(found, "200 events a customer", STANDARD)
        lines += ["", f"With 200 events a customer instead of 4: {busy:.0%} of the rate."]
    lines += [f"In the standard run {standard['mixed']['triggers']:,} triggers were written.", _STAGES]
    parts = (new["mixed"], standard["mixed"], standard["first"])
    for stage in standard["mixed"]["stages"]:
        lines.append(_row([stage, *(f"{each['stages'][stage] / each['events'] * 1e6:.1f}" for each in parts)]))
    lines += [_row(["**all**", *(f"{1e6 / each['rate']:.1f}" for each in parts)])]
    lines += [_FOOT.format(merges=new["mixed"]["merges"] / runs[STRANGERS][1])]
    return "\n".join(lines)


def _goals(found: Found, middle: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    beside_warm = _middle_of(each["mixed"]["rate"] / each["warm"]["rate"] for each in found[STRANGERS])
    yield "strangers, beside the warm rate of the same process", "0.6", f"{beside_warm:.2f}"
    if many := found.get(MANY_STRANGERS):
        events = f"{many[0]['mixed']['events']:,}"
        beside_warm = _middle_of(each["mixed"]["rate"] / each["warm"]["rate"] for each in many)
        yield f"{events} events of strangers, beside warm", "0.6", f"{beside_warm:.2f}"
        yield "their rate beside that of a fifth of them", "0.9", f"{_ratio(found, MANY_STRANGERS, STRANGERS):.2f}"
        yield "their memory", "600 MB", f"{middle[MANY_STRANGERS]['mixed']['memory']:,.0f} MiB"
    beside_floor = _middle_of(each["mixed"]["rate"] / each["floor"] for each in found[STANDARD])
    yield "the standard run, beside the floor", "0.30", f"{beside_floor:.2f}"
    if "1,000,000 profiles" in found:
        growth = _ratio(found, "1,000,000 profiles", "10,000 profiles")
        yield "the rate with 1,000,000 profiles beside that with 10,000", "70%", f"{growth:.0%}"
    memory = max(each["mixed"]["memory"] for each in middle.values())
    yield "memory, all runs", "1 GiB", f"{memory:,.0f} MiB"


def _run(name: str, run: tuple[int, int, int], times: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    events, customers, _ = run
    middle = _middle(times)
    one, floor = middle["mixed"], middle["floor"]
    rates = [each["mixed"]["rate"] for each in times]
    return (
        name,
        f"{events:,}",
        f"{customers:,}",
        f"{one['rate']:,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        f"{middle['warm']['rate']:,.0f}" if "warm" in middle else "",
        f"{floor:,.0f}",
        f"{one['rate'] / floor:.2f}",
        f"{one['row_bytes'] / one['events']:,.0f} B",
        f"{one['memory']:,.0f} MiB",
        f"{one['from_disk']:,.0f} MiB",
    )


def _ratio(found: Found, name: str, other: str) -> float:
    """One run's rate beside another's, of the same round."""
    pairs = zip(found[name], found[other], strict=True)
    return _middle_of(one["mixed"]["rate"] / two["mixed"]["rate"] for one, two in pairs)


def _middle(times: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return sorted(times, key=lambda each: each["mixed"]["rate"])[len(times) // 2]


def _middle_of(values: Iterable[float]) -> float:
    """The one in the middle."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

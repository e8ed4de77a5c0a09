"""What the benchmark found, as the page docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Runs = Mapping[str, tuple[int, int, int]]
"""Name of a run -> events, customers, profiles that were there before."""

_HEAD = """\
# Benchmarks

One process on one core, JSON lines in to rows durable, triggers written and Parquet published, with {rules} rules
loaded. Repeat it with `make bench`. What workers do on Kafka is [on a page of its own](benchmarks_kafka.md).

Machine: {machine}.

*Floor*: what the same core does per event with nothing but decoding the JSON and reading, decoding, encoding and
writing a 0.9 KB profile in RocksDB, measured in the same process before and after (the mean is shown).
{rounds}
| run | events | customers | events/s | slowest to fastest | floor/s | share | rows an event | memory | from disk |
|---|---|---|---|---|---|---|---|---|---|"""

_ROUNDS = """
Everything was measured {rounds} times, turn by turn, each time in a new process with a new data folder. The figures of
a run are those of the time with the middle rate.
"""

_STAGES = """\

Microseconds an event, by stage, in the standard run:

| stage | µs | first contacts |
|---|---|---|"""

_FOOT = """\

The goals are 0.30 of the floor in the standard run, 70% of the rate with a million profiles, and 1 GiB of memory.

*accept* parses, validates and finds identifiers (timed apart, over the same lines); *step* is identity,
profile and rules; *encode rows* and *write* commit the input and all it changed (one synced write); *columns* and
*parquet* are the analytics side.
Customers come in random order, the worst case for any cache. Before the measurement every customer has had one
contact (*first contacts*: each a new customer with three identifiers, so two merges).
*from disk* is what had to be read from there: the operating system had dropped it from its cache since it was
written, which costs time in proportion."""


def rendered(found: Mapping[str, Sequence[Mapping[str, Any]]], runs: Runs, machine: str) -> str:
    """The report as Markdown; of each run, all the times it was measured."""
    middle = {name: _middle(times) for name, times in found.items()}
    standard = middle["Standard"]
    mixed, first = standard["mixed"], standard["first"]
    rounds = _ROUNDS.format(rounds=len(found["Standard"])) if len(found["Standard"]) > 1 else ""
    lines = [_HEAD.format(rules=standard["rules"], machine=machine, rounds=rounds)]
    for name, (events, customers, _) in runs.items():
        one, floor = middle[name]["mixed"], middle[name]["floor"]
        rates = [each["mixed"]["rate"] for each in found[name]]
        cells = (
            name,
            f"{events:,}",
            f"{customers:,}",
            f"{one['rate']:,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
            f"{floor:,.0f}",
            f"{one['rate'] / floor:.2f}",
            f"{one['row_bytes'] / one['events']:,.0f} B",
            f"{one['memory']:,.0f} MiB",
            f"{one['from_disk']:,.0f} MiB",
        )
        lines.append(f"| {' | '.join(cells)} |")
    if "1,000,000 profiles" in found:
        rate = {name: each["mixed"]["rate"] for name, each in middle.items()}
        growth = rate["1,000,000 profiles"] / rate["10,000 profiles"]
        busy = rate["200 events a customer"] / rate["Standard"]
        lines += ["", f"With 1,000,000 profiles: {growth:.0%} of the rate with 10,000."]
        lines += [f"With 200 events a customer instead of 4: {busy:.0%} of the rate."]
    lines += [f"In the standard run {mixed['triggers']:,} triggers were written.", _STAGES]
    for stage, seconds in mixed["stages"].items():
        spent, at_first = seconds / mixed["events"] * 1e6, first["stages"][stage] / first["events"] * 1e6
        lines.append(f"| {stage} | {spent:.1f} | {at_first:.1f} |")
    lines += [f"| **all** | {1e6 / mixed['rate']:.1f} | {1e6 / first['rate']:.1f} |", _FOOT]
    return "\n".join(lines)


def _middle(times: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return sorted(times, key=lambda each: each["mixed"]["rate"])[len(times) // 2]

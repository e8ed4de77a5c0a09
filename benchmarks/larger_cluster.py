"""What a larger cluster would carry, by arithmetic from what was measured on a small one. Measures nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Found = Mapping[str, Any]

WORKERS = 10
LANES = 100
PROFILES = 10_000_000
DISK = 500e6
"""Bytes/s: what a broker's single NVMe disk writes for long, to reckon with."""

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


def larger_cluster(found: Found) -> list[str]:
    """The section of the page."""
    rows = [f"| {what} | {told} |" for what, told in _larger(found)]
    return [_LARGER.format(workers=WORKERS, lanes=LANES), *rows, _breaks(found)]


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


def _breaks(found: Found) -> str:
    one = found["workers 1"]
    ceiling = DISK / _written(one)
    cores = WORKERS * one["per_core"] * one["broker"]
    return _BREAKS.format(
        disk=DISK / 1e6,
        ceiling=ceiling,
        filling=ceiling / one["per_core"],
        workers=WORKERS,
        cores=cores,
        lanes=LANES,
    )

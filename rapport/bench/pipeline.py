"""What is measured in one process: the bare minimum a system must do an event, and all that the engine does.

It looks at the engine from outside, through `Watch` and `Counts`, and never changes what it measures.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import orjson
import rocksdict

from schemas.instant import LAST
from schemas.messages import Event, Rejected
from stream.core.intake import Intake, at
from stream.core.plan import Plan
from stream.embedded.engine import Engine
from stream.embedded.stages import Function, Stage

BATCH = 4_000
QUIET_LOOKS = 4
LOOK_INTERVAL = 0.05
QUIET_SHARE = 0.02
"""Of a look's time, what a process may use that has nothing to do."""


class Stages:
    """Seconds by stage of an engine that it watches, and the bytes of the rows that were written."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts anew."""
        self.seconds: dict[str, float] = {}
        self.weighing = 0.0
        """Seconds that looking at the rows took: no part of what is measured."""
        self.row_bytes = 0

    def __call__(self, stage: Stage, function: Function, /) -> Function:
        def timed(*given: Any) -> Any:
            if stage == "write":
                self._weigh(given[0])
            started = time.perf_counter()
            try:
                return function(*given)
            finally:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

        return cast(Function, timed)

    def _weigh(self, rows: dict[bytes, bytes | None]) -> None:
        started = time.perf_counter()
        self.row_bytes += sum(len(key) + len(value or b"") for key, value in rows.items())
        self.weighing += time.perf_counter() - started


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


def pipeline(
    engine: Engine, stages: Stages, plan: Plan, lines: Path, arrives: Callable[[], int], by_event_time: bool = False
) -> Measured:
    """Takes the lines through an open engine, which `stages` watch, to Parquet on disk.

    An event is accepted at the time `arrives` tells; `by_event_time`, its own time is that of the run, as in a replay.
    """
    stages.reset()
    counts = engine.counts
    before = (counts.read, counts.triggers, counts.merges)
    blocks = resource.getrusage(resource.RUSAGE_SELF).ru_inblock
    started = time.perf_counter()
    with lines.open("rb") as file:
        events = Intake(plan, arrives).lines(file, "bench")
        if by_event_time:
            events = _as_history(events)
        while engine.take(islice(events, BATCH)):
            pass
    engine.flush()
    seconds = time.perf_counter() - started - stages.weighing
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory, from_disk = used.ru_maxrss / 1024, (used.ru_inblock - blocks) / 2048
    read, triggers, merges = (
        after - earlier for after, earlier in zip((counts.read, counts.triggers, counts.merges), before, strict=True)
    )
    accepting = _accept_only(plan, lines)
    stepping = seconds - sum(stages.seconds.values()) - accepting
    shares = {"accept": accepting, "step": stepping, **stages.seconds}
    return Measured(read, seconds, shares, memory, from_disk, stages.row_bytes, triggers, merges)


def _as_history(events: Iterator[Event | Rejected]) -> Iterator[Event | Rejected]:
    """Events in the order of their time, each the time of the run."""
    for each in events:
        yield at(each, each.occurred_at) if isinstance(each, Event) else each


def _accept_only(plan: Plan, lines: Path) -> float:
    """Seconds that the same lines take as far as accepted events: in the pipeline it interleaves with the steps."""
    started = time.perf_counter()
    with lines.open("rb") as file:
        for _ in Intake(plan, lambda: LAST).lines(file, "bench"):
            pass
    return time.perf_counter() - started


def rest() -> None:
    """Waits until this process stands still: RocksDB tidies up behind a run, which is not what is measured next."""
    quiet = 0
    while quiet < QUIET_LOOKS:
        used = time.process_time()
        time.sleep(LOOK_INTERVAL)
        quiet = quiet + 1 if time.process_time() - used < LOOK_INTERVAL * QUIET_SHARE else 0


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

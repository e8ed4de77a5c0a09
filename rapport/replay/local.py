"""A run: sources in, everything they hold accepted or refused, applied, and at the end published.

Whatever ends it (the end of the input, a broken file, Ctrl-C, SIGTERM), what it took is committed and published first.
A run decides nothing about an event; it only hands batches from a source to the engine and watches the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from rapport.plan.folder import keep
from rapport.process.gc import tuned_collector
from rapport.process.signals import Stop
from rapport.replay.again import looked_at
from rapport.replay.sort import Sorter, sorter
from rapport.replay.sources import BATCH, Batch, Outcome, Source
from rapport.terminal.output import Progress
from schemas.errors import InputError
from schemas.instant import DAY, MINUTE
from schemas.messages import Event
from sinks.marts.known import KnownInput
from stream.clock import wall_now
from stream.core.intake import Intake, at
from stream.core.plan import Plan
from stream.embedded.engine import CHUNK_INPUTS, Counts, Engine
from stream.embedded.store import LAKE

PIPE_WAIT = 10 * MINUTE
"""A pipe may never end: what was armed after its time fires when it has waited so long."""


class Clock(StrEnum):
    """What `now` is while a run lasts."""

    wall = "wall"
    events = "events"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. `counts` are of this run, except `counts.profiles`: how many there are now."""

    counts: Counts
    seconds: float
    exit_code: int
    """128 + signal where one ended the run, else 0."""
    broken: InputError | None = None
    """What kept a source from being read to its end."""
    unique: int = 0
    """Events from a pipe that state neither an id nor a time."""
    unknown: int = 0
    """Rejected for a `type` that the spec does not have."""

    def json(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "read": counts.read,
            "applied": counts.applied,
            "duplicate": counts.duplicate,
            "rejected": counts.rejected,
            "profiles": counts.profiles,
            "merges": counts.merges,
            "triggers": counts.triggers,
            "decisions": dict(sorted(counts.decisions.items())),
            "unreadable_amounts": counts.unreadable,
            "seconds": round(self.seconds, 3),
        }


def run(
    data: Path,
    plan: Plan,
    sources: Sequence[Source],
    *,
    clock: Clock,
    progress: Progress,
    until: int | None = None,
    plan_folder: Path | None = None,
) -> Report:
    """Takes all sources into the data folder and publishes. The folder keeps the plan that `plan_folder` holds.

    A second run over the same input changes nothing: every event is a duplicate then. A source that breaks is told in
    the report; what came before it is published. Raises DataFolderError before anything is read where the folder cannot
    be used.
    """
    started = time.monotonic()
    broken: InputError | None = None
    memory = plan.identity.forget_after
    with (
        tuned_collector(),
        Stop() as stop,
        Engine.open(data, plan) as engine,
        KnownInput(data / LAKE, max(forgotten := wall_now() - memory + DAY, engine.aligned_at)) as known,
    ):
        if plan_folder is not None:
            keep(plan_folder, data)
        intake = Intake(plan, wall_now)
        doubted_after = memory if engine.aligned_at < forgotten else -DAY
        feed = _Feed(engine, intake, sources, stop, progress, known, doubted_after)
        try:
            if clock is Clock.events:
                feed.by_event_time(data, until)
            else:
                feed.as_it_comes()
        except InputError as error:
            broken = error
        progress(1, None, "publishing")
        engine.publish()
        return Report(engine.counts, time.monotonic() - started, stop.exit_code, broken, intake.unique, intake.unknown)


@dataclass(frozen=True, slots=True)
class _Feed:
    engine: Engine
    intake: Intake
    sources: Sequence[Source]
    stop: Stop
    progress: Progress
    known: KnownInput
    """What the lake took longer ago than message ids are remembered, and a day more; or before offsets were set."""
    doubted_after: int
    """Input that states a time so long ago, or none, may be known."""

    def as_it_comes(self) -> None:
        """The wall clock: timers fire when all input has been taken, that of a pipe whenever it falls silent."""
        waited = wall_now()
        for batch in self._batches(lambda: self.engine.counts.read):
            silent = wall_now() if batch.silent else None
            self._take(batch.outcomes)
            if silent is not None:
                # What was armed after its time waits for the end of the pipe, but not for ever.
                history_by = silent - PIPE_WAIT if silent - waited >= MINUTE else 0
                waited = silent if history_by else waited
                self.engine.advance(silent, history_by=history_by)
        if not self.stop:
            self.engine.advance(wall_now())

    def _take(self, outcomes: Iterable[Outcome]) -> None:
        """Takes a batch while it is read; where that ends in an InputError, what came before is taken first."""
        few: list[Outcome] = []
        broken = None
        try:
            for outcome in outcomes:
                few.append(outcome)
                if len(few) == CHUNK_INPUTS:
                    self.engine.step(few)
                    few = []
        except InputError as error:
            broken = error
        self.engine.step(few)
        self.engine.commit()
        if broken is not None:
            raise broken

    def by_event_time(self, data: Path, until: int | None) -> None:
        """The events clock: history runs as if it were live, so it must be in order first."""
        with sorter(data) as history:
            broken = self._sort_into(history)
            if not self.stop:
                now = self._play(iter(history), history.count)
                if until is not None and until > now and not self.stop:
                    self.engine.advance(until, stepwise=True)
        if broken is not None:
            raise broken

    def _sort_into(self, history: Sorter) -> InputError | None:
        """Refused input has no time to be sorted by: it is taken at once. What a broken source held is not lost."""
        events: list[Event] = []
        refused: list[Outcome] = []
        broken = None
        try:
            for batch in self._batches(lambda: history.count + self.engine.counts.read):
                for outcome in batch.outcomes:
                    if isinstance(outcome, Event):
                        events.append(outcome)
                    else:
                        refused.append(outcome)
                history.add(events)
                self.engine.take(refused)
                events, refused = [], []
        except InputError as error:
            broken = error
        history.add(events)
        self.engine.take(refused)
        return broken

    def _play(self, history: Iterator[Event], total: int) -> int:
        now = done = 0

        def live() -> Iterator[Event]:
            nonlocal now
            for event in history:
                now = max(now, event.occurred_at)
                yield at(event, now)

        events = live()
        while taken := self.engine.take(islice(events, BATCH)):
            done += taken
            self.progress(done, total, f"{done:,} events")
            if self.stop:
                return now
        if now:
            self.engine.advance(now, stepwise=True)
        return now

    def _batches(self, read: Callable[[], int]) -> Iterator[Batch]:
        for batch in batches(self.sources, self.intake, self.stop, self.progress, read):
            yield replace(batch, outcomes=self._looked_at(batch.outcomes)) if self.known.count else batch

    def _looked_at(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        return looked_at(outcomes, self.doubted_after, self._remind)

    def _remind(self, doubtful: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """What is known is taken as any other input, and is a duplicate then."""
        self.engine.remember(self.known.among(doubtful))
        return ()


def batches(
    sources: Sequence[Source], intake: Intake, stop: Stop, progress: Progress, read: Callable[[], int]
) -> Iterator[Batch]:
    """Batches of all sources one after the other, until somebody asks to stop; each must be read to its end."""
    for number, source in enumerate(sources):
        consumed: list[int | None] = [0, None]

        def seen(done: int, total: int | None, consumed: list[int | None] = consumed) -> None:
            consumed[:] = [done, total]

        for batch in source.batches(intake, seen):
            yield batch
            if stop:
                return
            done, total = consumed
            share = (done or 0) / total if total else 0.0
            progress(number + share, len(sources) if total else None, f"{read():,} read")

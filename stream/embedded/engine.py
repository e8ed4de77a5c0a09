"""The embedded runner: the whole of Rapport in one process, with no broker.

One synced write batch commits a batch of input with everything it caused: rows, linker rows, outputs (the applied
events among them) and positions. What was taken is durable when `take` returns; a crash leaves all of a batch or
nothing, so there is never anything to catch up with and nothing happens twice. Results depend on the order of the input
alone, never on the size of the batches.

Outputs wait in the store, as compressed columns, until a Parquet file holds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import orjson
import pyarrow as pa

from profiles.linker import Linker
from profiles.rows import Rows
from schemas import codec
from schemas.instant import MINUTE, SECOND
from schemas.messages import ByHand, Event, IdentityDecision, Output, Rejected, Request, Wake
from schemas.rejection import CODES
from schemas.topics import OUTPUTS
from sinks.columns.rows import packed, record_batch, unpacked
from sinks.lake import compaction
from sinks.lake.chain import Lake
from sinks.lake.durable import Standing
from sinks.marts.publisher import PublishReport, publish
from stream.clock import wall_now
from stream.core.effects import LINKS, Effects
from stream.core.expiry import Expiry
from stream.core.home import Home
from stream.core.owners import FAILURES, HomeLane, LinkerLane, unreadable
from stream.core.plan import Plan
from stream.core.timers import Timers, Wait
from stream.core.watermark import NOBODY
from stream.embedded import ages
from stream.embedded.stages import Watch, unwatched
from stream.embedded.store import LAKE, PUBLISHED, STATE, STORE, LocalStore

CHUNK_INPUTS = 32
"""Inputs that are read, stepped and encoded together: few enough to stay in the processor's cache."""
CHUNK_FACTS = 64
"""Facts that become columns together: enough to make a column worth while."""
FLUSH_ROWS = 25_000
"""Outputs after which Parquet files are written."""


@dataclass(slots=True)
class Counts:
    """What became of the input since the engine was opened, and what it caused."""

    read: int = 0
    applied: int = 0
    duplicate: int = 0
    rejected: int = 0
    merges: int = 0
    triggers: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    """Of rules, by verdict."""
    late: int = 0
    """Applied, but too old to start a rule."""
    unreadable: int = 0
    """Amounts of orders that could not be read."""
    profiles: int = 0
    """All profiles there are now, earlier runs included."""


class _Failed(Exception):
    """An input that makes a step fail, by its place in the batch."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


class Engine:
    """One data folder, open for writing. Use it as a context manager."""

    def __init__(self, folder: Path, store: LocalStore, plan: Plan, watch: Watch = unwatched) -> None:
        self.folder = folder
        self.counts = Counts()
        self._store = store
        self._plan = plan
        self._lake = Lake(folder / LAKE)
        self._standing = Standing(folder / STORE)
        self._standing.check()
        self._watch = watch
        self._as_columns = watch("columns", record_batch)
        self._write = watch("write", store.commit)
        self._write_parquet = watch("parquet", self._lake.flush)
        state: dict[str, Any] = orjson.loads(store.get(STATE) or b"{}")
        self._outputs: dict[str, int] = {topic: state.get("outputs", {}).get(topic, 0) for topic in OUTPUTS}
        self.counts.profiles = state.get("profiles", 0)
        self.aligned_at: int = state.get(ages.ALIGNED_AT, 0)
        """When the offsets of a store and a lake of different days were set (`ages.align`); 0: never."""
        self._inputs: list[Event | Rejected] = []
        """Those of the batch in hand."""
        self._reminded: list[Event | Rejected] = []
        """What was said, since the last commit, to have been taken long ago."""
        self._facts: list[pa.RecordBatch] = []
        """Those of the batch in hand, in columns."""
        self._advanced_at = 0
        """When it was last written down how far the watermark has come."""
        self._open_lanes()

    def _open_lanes(self) -> None:
        """The owners of the rows as they were committed."""
        self._rows = Rows(self._store)
        self._encode = self._watch("encode rows", self._rows.encode)
        self._timers = Timers(self._store.scan(b"w"))
        self._home = Home(self._rows, self._plan, self._timers)
        expiry = Expiry(self._rows, self._store, self._plan.identity.forget_after)
        self._homes = HomeLane(self._home, self._rows, expiry)
        self._linker = LinkerLane(Linker(self._store, self._plan.identity))

    @classmethod
    def open(cls, folder: Path, plan: Plan, watch: Watch = unwatched) -> Self:
        """Opens a data folder, new or old, and finishes what a crash left. `watch` sees where the time of a run goes.

        Raises FolderBusy, FolderTooNew, FolderUnwritable or DataFolderError.
        """
        ages.check_store(folder)
        store = LocalStore(folder)
        try:
            ages.check(folder, store)
            engine = cls(folder, store, plan, watch)
            engine._recover()
        except BaseException as error:
            store.release(error)
            raise
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._store.close()
        else:
            self._store.release(error)

    # --- input ------------------------------------------------------------------------------------------------------

    def take(self, inputs: Iterable[Event | Rejected]) -> int:
        """Takes a batch of input: durable, applied and committed when this returns. Returns how many there were."""
        inputs = iter(inputs)
        taken = 0
        while chunk := list(islice(inputs, CHUNK_INPUTS)):
            self.step(chunk)
            taken += len(chunk)
        self.commit()
        return taken

    def step(self, inputs: Sequence[Event | Rejected]) -> None:
        """Takes a few inputs, best `CHUNK_INPUTS` of them; nothing is durable before `commit`."""
        first = len(self._inputs)
        self._inputs += inputs
        try:
            self._take(first, inputs)
        except _Failed as failed:
            self._take_again(failed)

    def remember(self, inputs: Sequence[Event | Rejected]) -> None:
        """These were taken before, longer ago than is remembered: taken again, they are duplicates."""
        self._reminded += inputs
        for each in inputs:
            self._home.remember_id(each)

    def advance(self, now: int, *, history_by: int | None = None, stepwise: bool = False) -> None:
        """All input up to `now` has been taken: fires what is due by then, and commits what came of it.

        Runs that were due already when they were armed fire where they were armed by `history_by`, which is `now`
        unless told otherwise. `stepwise`, under the events clock, each timer fires at its own time.
        """
        self._standing.check()
        woken = self._fire_due(now, now if history_by is None else history_by, stepwise)
        if woken or self._inputs or now - self._advanced_at >= MINUTE:
            self._advanced_at = now
            self.commit()

    def ask(self, request: ByHand) -> list[IdentityDecision]:
        """Has the linker decide what somebody asks for by hand, with all that follows. Returns what it decided.

        No timer fires: that somebody asks says nothing about the input up to now.
        """
        effects = self._home.effects
        before = len(effects.identity)
        effects.sent.append((LINKS, request))
        self._deliver(request.at)
        decided = effects.identity[before:]
        self.commit()
        return decided

    def publish(self) -> PublishReport:
        """Everything taken so far as Parquet and in the published DuckDB; then nobody need keep what that replaced."""
        self.flush()
        report = publish(self.folder / LAKE, self.folder / PUBLISHED)
        for chain in self._lake.chains.values():
            compaction.sweep(chain, chain.manifest.compactions, wall_now() / SECOND)
        return report

    # --- a batch ----------------------------------------------------------------------------------------------------

    def _take(self, first: int, inputs: Sequence[Event | Rejected]) -> None:
        """Steps a few inputs, the first at its place in the batch. Raises _Failed where one makes a step fail."""
        homes = [each.identifiers[0] for each in inputs if isinstance(each, Event)]
        self._rows.expect(homes, self._store.get_all)
        place = first
        try:
            for place, each in enumerate(inputs, first):  # noqa: B007 - where it failed
                self._step(each)
            self._encode()
        except FAILURES as error:
            raise _Failed(place) from error
        if len(self._home.effects.facts) >= CHUNK_FACTS:
            self._columns_of_facts()

    def _take_again(self, failed: _Failed) -> None:
        """A step failed half-way: the whole batch is done anew, and what it failed at is refused."""
        done = False
        while not done:
            self._inputs[failed.place] = _refused(self._inputs[failed.place], failed)
            self._facts = []
            self._open_lanes()
            for each in self._reminded:
                self._home.remember_id(each)
            try:
                for first in range(0, len(self._inputs), CHUNK_INPUTS):
                    self._take(first, self._inputs[first : first + CHUNK_INPUTS])
                done = True
            except _Failed as error:
                failed = error

    def _step(self, each: Event | Rejected) -> None:
        if isinstance(each, Rejected):
            self._homes.take(each, each.rejected_at)
            return
        now = each.now
        if now != each.received_at and now - 1 > self._home.reached.by:
            self._fire_due(now - 1, now - 1, stepwise=True)  # at the due instant the event wins
        self._home.event(each, now)
        if self._home.effects.sent:
            self._deliver(now)

    def _columns_of_facts(self) -> None:
        """Facts become columns while they are fresh in the processor's cache; nothing is written yet."""
        facts = self._home.effects.facts
        if facts:
            self._facts.append(self._as_columns("facts", facts))
            facts.clear()

    def _deliver(self, now: int) -> None:
        """Requests to the linker, its orders and what follows, until nothing is left to do."""
        effects = self._home.effects
        while effects.sent:
            sent, effects.sent = effects.sent, []
            for address, message in sent:
                if address == LINKS:
                    self._linker.take(cast(Request, message), effects)
                else:
                    self._homes.take(message, now)

    def _fire_due(self, by: int, history_by: int, stepwise: bool) -> int:
        """Wakes every row whose time has come; the watermark is at `by` afterwards. Returns how many rows that were."""
        timers, woken = self._timers, 0
        while stepwise and (due := timers.next) is not None and due <= by:
            woken += self._wake(timers.due(due, late=False), due, history_by, due)
        if not stepwise or timers.late:
            woken += self._wake(timers.due(by, late=history_by > 0), by, history_by, by)
        self._home.message(Wake(NOBODY, by, history_by), by)
        return woken

    def _wake(self, waits: Sequence[Wait], by: int, history_by: int, now: int) -> int:
        for _, row in waits:
            self._home.message(Wake(row, by, history_by), now)
        return len(waits)

    # --- committing -------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Commits what was taken with all its effects, then lets Parquet files be written where enough has gathered.

        Raises DataFolderError where the folder was deleted; nothing is made anew.
        """
        self._standing.check()
        self._columns_of_facts()
        effects = self._homes.drain()
        read, self._inputs, self._reminded = len(self._inputs), [], []
        wall = self._home.newest
        rows = {**self._homes.changes(wall), **self._linker.changes(wall)}
        if not rows and not read:
            return
        batches, self._facts = {"facts": self._facts, **_columns(effects)}, []
        taken = {topic: packed(made) for topic, made in batches.items() if made}
        log = {ages.at(topic, self._outputs[topic]): stored for topic, (_, stored) in taken.items()}
        for topic, (made, _) in taken.items():
            self._outputs[topic] += made.num_rows
        self.counts.read += read
        self.counts.applied += sum(each.num_rows for each in batches["facts"])
        self.counts.duplicate += effects.duplicate
        self.counts.rejected += effects.refused.total()
        self.counts.late += effects.late
        self.counts.unreadable += effects.unreadable
        self.counts.triggers += len(effects.triggers)
        self.counts.decisions.update(each.verdict for each in effects.decisions)
        self.counts.merges += sum(decision.kind == "merge" for decision in effects.identity)
        self.counts.profiles += effects.profiles

        rows[STATE] = self._state()
        self._write(rows, log)
        for topic, (made, _) in taken.items():
            self._lake.append(topic, self._outputs[topic] - made.num_rows, self._outputs[topic], made)
        if self._lake.buffered >= FLUSH_ROWS:
            self.flush()

    def _state(self) -> bytes:
        state = {"outputs": self._outputs, "profiles": self.counts.profiles}
        return orjson.dumps({**state, ages.ALIGNED_AT: self.aligned_at} if self.aligned_at else state)

    def flush(self) -> None:
        """Everything taken so far as Parquet; then the store need not keep it any longer."""
        self._standing.check()
        published = self._write_parquet()
        done: dict[bytes, bytes | None] = {}
        for topic in OUTPUTS:
            for offset, _ in ages.waiting(self._store, topic):
                if offset >= published[topic]:
                    break
                done[ages.at(topic, offset)] = None
        if done:
            self._store.commit({}, done)

    # --- recovery ---------------------------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Hands the lake the outputs that a crash kept from reaching a Parquet file; puts away what else it left."""
        for topic in OUTPUTS:
            compaction.tidy(self._lake.chains[topic])
            for offset, stored in ages.waiting(self._store, topic):
                rows = unpacked(topic, stored)
                self._lake.append(topic, offset, offset + rows.num_rows, rows)


def _refused(failed: Event | Rejected, error: _Failed) -> Rejected:
    """What no step can take is refused; a refusal that fails cannot be refused again."""
    if isinstance(failed, Rejected):
        raise error
    refused = unreadable(codec.encode(failed), failed.now, failed.source, 0, CODES["not_a_message"])
    return refused._replace(rejection_id=f"{failed.source}:{failed.message_id}")


def _columns(effects: Effects) -> dict[str, list[pa.RecordBatch]]:
    """Outputs by topic, all but the facts, which become columns while they gather."""
    outputs: dict[str, Sequence[Output]] = {
        "triggers": effects.triggers,
        "decisions": effects.decisions,
        "identity": effects.identity,
        "rejected": effects.rejected,
    }
    return {topic: [record_batch(topic, made)] for topic, made in outputs.items() if made}

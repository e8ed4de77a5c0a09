"""The embedded runner: the whole of Rapport in one process, with no broker.

One synced write batch commits a run of input with everything it caused: rows, linker rows, outputs (the applied
events among them) and positions. What was taken is durable when `take` returns; a crash leaves all of a run or nothing,
so there is never anything to catch up with and nothing happens twice. Results depend on the order of the input alone,
never on the size of the runs.

Outputs wait in the store, as compressed columns, until a Parquet file holds them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson
import pyarrow as pa

from profiles.linker import Linker
from profiles.rows import Rows
from schemas.errors import InputError
from schemas.instant import DAY
from schemas.messages import Event, Output, Rejected, Request, Split, Wake
from schemas.topics import OUTPUTS
from sinks.columns.rows import batch, packed, unpacked
from sinks.lake.chain import Lake
from sinks.marts.publisher import PublishReport, publish
from stream.core.home import Effects, Home
from stream.core.plan import Plan
from stream.embedded.stages import Watch, unwatched
from stream.embedded.store import LAKE, PUBLISHED, STATE, LocalStore

CHUNK = 32
"""Inputs that are read, stepped and encoded together: few enough to stay in the processor's cache."""
COLUMNS = 64
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
    late: int = 0
    """Applied, but too old to start a rule."""
    profiles: int = 0
    """All profiles there are now, earlier runs included."""


class Engine:
    """One data folder, open for writing. Use it as a context manager."""

    def __init__(self, folder: Path, store: LocalStore, plan: Plan, watch: Watch = unwatched) -> None:
        self.folder = folder
        self.counts = Counts()
        self._store = store
        self._rows = Rows(store)
        self._home = Home(self._rows, plan)
        self._linker = Linker(store, plan.identity)
        self._lake = Lake(folder / LAKE)
        self._encode = watch("encode rows", self._rows.encode)
        self._as_columns = watch("columns", batch)
        self._write = watch("write", store.commit)
        self._write_parquet = watch("parquet", self._lake.flush)
        self._forget_after = plan.identity.forget_after
        state: dict[str, Any] = orjson.loads(store.get(STATE) or b"{}")
        self._outputs: dict[str, int] = {topic: state.get("outputs", {}).get(topic, 0) for topic in OUTPUTS}
        self._swept: int = state.get("swept", 0)
        self.counts.profiles = state.get("profiles", 0)
        self._facts: list[pa.RecordBatch] = []
        """Those of the run in hand, in columns."""
        self._wakes = [(int.from_bytes(key[1:9], "big"), key[9:].decode()) for key, _ in store.scan(b"w")]
        heapq.heapify(self._wakes)

    @classmethod
    def open(cls, folder: Path, plan: Plan, watch: Watch = unwatched) -> Engine:
        """Opens a data folder, new or old, and finishes what a crash left. `watch` sees where the time of a run goes.

        Raises FolderBusy, FolderTooNew, FolderUnwritable or DataFolderError.
        """
        store = LocalStore(folder)
        try:
            engine = cls(folder, store, plan, watch)
            engine._recover()
        except BaseException as error:
            store.release(error)
            raise
        return engine

    def __enter__(self) -> Engine:
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
        """Takes a run of input: durable, applied and committed when this returns. Returns how many there were.

        Where reading the input ends in an InputError, what came before is taken and the error goes on to the caller.
        """
        inputs = iter(inputs)
        broken: InputError | None = None
        more = True
        taken = 0
        while more:
            chunk: list[Event | Rejected] = []
            try:
                chunk.extend(islice(inputs, CHUNK))
            except InputError as error:
                broken = error
            more = len(chunk) == CHUNK and broken is None
            homes = [each.identifiers[0] for each in chunk if isinstance(each, Event)]
            self._rows.expect(homes, self._store.get_all)
            for each in chunk:
                self._step(each)
            taken += len(chunk)
            if len(self._home.effects.facts) >= COLUMNS:
                self._columns_of_facts()
            self._encode()
        if taken:
            self.counts.read += taken
            self._commit()
        if broken is not None:
            raise broken
        return taken

    def advance(self, now: int, stepwise: bool = False) -> None:
        """Fires the timers due by `now`, under the events clock (`stepwise`) each at its own time."""
        if self._fire_due(now, stepwise):
            self._commit()

    def split(self, a: Sequence[str], b: Sequence[str], now: int) -> int:
        """Takes two people apart; returns how many profiles that cut."""
        self._fire_due(now, stepwise=False)
        before = len(self._home.effects.identity)
        self._settle_identity([Split(tuple(a), tuple(b), now)], now)
        cut = len(self._home.effects.identity) - before
        self._commit()
        return cut

    def publish(self) -> PublishReport:
        """Everything taken so far as Parquet and in the published DuckDB."""
        self.flush()
        return publish(self.folder / LAKE, self.folder / PUBLISHED)

    # --- a run ------------------------------------------------------------------------------------------------------

    def _step(self, each: Event | Rejected) -> None:
        home, effects = self._home, self._home.effects
        if isinstance(each, Rejected):
            self.counts.rejected += 1
            home.reject(each, each.rejected_at)
            return
        if self._wakes and self._wakes[0][0] <= each.now:
            self._fire_due(each.now, stepwise=each.now != each.received_at)
        home.event(each)
        if effects.links:
            requests, effects.links = effects.links, []
            self._settle_identity(requests, each.now)
        if effects.wakes:
            self._note_wakes()

    def _columns_of_facts(self) -> None:
        """Facts become columns while they are fresh in the processor's cache; nothing is written yet."""
        facts = self._home.effects.facts
        if facts:
            self._facts.append(self._as_columns("facts", facts))
            self.counts.applied += len(facts)
            facts.clear()

    def _settle_identity(self, requests: Sequence[Request], now: int) -> None:
        """Requests to the linker, its orders and what follows, until nothing is left to do."""
        effects = self._home.effects
        waiting = deque(requests)
        while waiting:
            decisions, orders = self._linker.decide(waiting.popleft())
            effects.identity += decisions
            for order in orders:
                self._home.message(order, now)
            waiting.extend(effects.links)
            effects.links = []
        self._note_wakes()

    def _note_wakes(self) -> None:
        for wake in self._home.effects.wakes:
            heapq.heappush(self._wakes, wake)
        self._home.effects.wakes = []

    def _fire_due(self, now: int, stepwise: bool) -> bool:
        """Wakes every row whose time has come; a wake that the row no longer wants is dropped."""
        woken = False
        while self._wakes and self._wakes[0][0] <= now:
            due, key = heapq.heappop(self._wakes)
            row = self._rows.find(key)
            if row is not None and row.wake == due:
                self._home.message(Wake(key), due if stepwise else now)
                self._note_wakes()
                woken = True
        return woken

    # --- committing -------------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Commits the run with all its effects, then lets Parquet files be written where enough has gathered."""
        self._columns_of_facts()
        effects, self._home.effects = self._home.effects, Effects()
        batches, self._facts = {"facts": self._facts, **_columns(effects)}, []
        taken = {topic: packed(made) for topic, made in batches.items() if made}
        log = {_at(topic, self._outputs[topic]): stored for topic, (_, stored) in taken.items()}
        for topic, (made, _) in taken.items():
            self._outputs[topic] += made.num_rows
        self.counts.duplicate += effects.duplicate
        self.counts.late += effects.late
        self.counts.triggers += len(effects.triggers)
        self.counts.merges += sum(decision.kind == "merge" for decision in effects.identity)
        self.counts.profiles += effects.profiles

        rows = self._rows.changes()
        rows.update(self._linker.changes())
        rows[STATE] = self._state()
        self._write(rows, log)
        for topic, (made, _) in taken.items():
            self._lake.append(topic, self._outputs[topic] - made.num_rows, self._outputs[topic], made)
        if self._lake.buffered >= FLUSH_ROWS:
            self.flush()

    def _state(self) -> bytes:
        return orjson.dumps({"outputs": self._outputs, "profiles": self.counts.profiles, "swept": self._swept})

    def flush(self) -> None:
        """Everything taken so far as Parquet; then the store need not keep it any longer."""
        published = self._write_parquet()
        done: dict[bytes, bytes | None] = {}
        for topic in OUTPUTS:
            for key, _ in self._store.scan_log(_prefix(topic)):
                if _offset(key) >= published[topic]:
                    break
                done[key] = None
        if done:
            self._store.commit({}, done)

    # --- recovery ---------------------------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Hands the lake the outputs that a crash kept from reaching a Parquet file."""
        for topic in OUTPUTS:
            for key, stored in self._store.scan_log(_prefix(topic)):
                rows = unpacked(stored)
                self._lake.append(topic, _offset(key), _offset(key) + rows.num_rows, rows)

    def sweep(self, now: int) -> int:
        """Forgets message ids whose time is over, at most once a day; returns how many."""
        if now - self._swept < DAY:
            return 0
        old = [key for key, value in self._store.scan(b"m") if now - int.from_bytes(value, "big") >= self._forget_after]
        for start in range(0, len(old), 10_000):
            self._store.commit(dict.fromkeys(old[start : start + 10_000]), {})
        self._swept = now
        self._store.commit({STATE: self._state()}, {})
        return len(old)


def _columns(effects: Effects) -> dict[str, list[pa.RecordBatch]]:
    """Outputs by topic, all but the facts, which become columns while they gather."""
    outputs: dict[str, Sequence[Output]] = {
        "triggers": effects.triggers,
        "decisions": effects.decisions,
        "identity": effects.identity,
        "rejected": effects.rejected,
    }
    return {topic: [batch(topic, made)] for topic, made in outputs.items() if made}


def _prefix(topic: str) -> bytes:
    return topic.encode() + b"/"


def _at(topic: str, offset: int) -> bytes:
    """Where outputs lie that no Parquet file holds yet, by the offset of their first."""
    return _prefix(topic) + offset.to_bytes(8, "big")


def _offset(key: bytes) -> int:
    return int.from_bytes(key[-8:], "big")

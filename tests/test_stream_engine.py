"""The embedded engine: it fails at every call that writes, is opened again, and nothing is lost or doubled."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rapport.demo.shop import Month
from rapport.plan import folder as plan_folder
from rapport_shell import SHOP, assert_same, tables
from schemas.errors import FolderBusy, FolderTooNew
from schemas.instant import DAY, parse
from schemas.messages import Event, Rejected
from stream.core.home import Home
from stream.core.intake import Intake, at
from stream.core.plan import Plan
from stream.embedded import engine as engine_module
from stream.embedded.engine import Engine
from stream.embedded.store import LocalStore
from stream_scenarios import stored_profiles

PLAN = plan_folder.load(SHOP)
RUN = 60
WRITES = ((LocalStore, "commit"), (Path, "replace"))
"""All that makes a change to a data folder count: what went before a rename or a commit never happened."""


class Crash(BaseException):
    """What comes after it never happens."""


class Crashing:
    """Lets the nth write, and so all that come after it, not happen."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def wrapped(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise Crash
            return write(*arguments)

        return call


@pytest.fixture(scope="module")
def shop() -> list[Event | Rejected]:
    """Two days of the shop as the events clock plays them; the last timers are due at the end."""
    events = list(Intake(PLAN, lambda: parse("2030-01-01")).lines(islice(Month(1).lines(), 300), "shop"))
    return [at(each, each.occurred_at) if isinstance(each, Event) else each for each in events]


@pytest.fixture(autouse=True)
def _often_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet files are written every few runs, and no write waits for the disk: here only processes die."""
    monkeypatch.setattr(engine_module, "FLUSH_ROWS", 200)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def replay(folder: Path, inputs: list[Event | Rejected]) -> None:
    with Engine.open(folder, PLAN) as engine:
        for start in range(0, len(inputs), RUN):
            engine.take(inputs[start : start + RUN])
        engine.advance(max(each.now for each in inputs if isinstance(each, Event)) + DAY, stepwise=True)
        engine.publish()


def crash(folder: Path, inputs: list[Event | Rejected], nth: int) -> bool:
    """Replays up to the nth write. False when there are not that many."""
    crashing = Crashing(nth)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for owner, name in WRITES:
            patch.setattr(owner, name, crashing.wrapped(getattr(owner, name)))
        try:
            replay(folder, inputs)
        except Crash:
            return True
    return False


class Result(NamedTuple):
    """What a data folder holds."""

    tables: dict[str, list[tuple[Any, ...]]]
    profiles: dict[str, Any]


def result(folder: Path) -> Result:
    return Result(tables(folder), stored_profiles(folder))


@pytest.fixture(scope="module")
def undisturbed(shop: list[Event | Rejected], tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("undisturbed")
    replay(folder, shop)
    return result(folder)


def assert_like(folder: Path, undisturbed: Result) -> None:
    found = result(folder)
    assert_same(found.tables, undisturbed.tables)
    assert found.profiles == undisturbed.profiles


def test_the_sample_has_something_to_lose(undisturbed):
    found = undisturbed.tables
    assert len(found["fct_event"]) > 250
    assert len(found["fct_trigger"]) > 10
    assert sum(row[1] == "merge" for row in found["fct_identity_decision"]) > 5


def test_a_crash_at_any_write_leaves_no_trace(shop, undisturbed, tmp_path):
    nth = 1
    while crash(folder := tmp_path / str(nth), shop, nth):
        replay(folder, shop)
        assert_like(folder, undisturbed)
        nth += 1
    assert nth > 25


@pytest.mark.parametrize("seed", range(8))
def test_crash_upon_crash_leaves_no_trace(shop, undisturbed, tmp_path, seed):
    dice = random.Random(seed)
    for _ in range(6):
        crash(tmp_path, shop, dice.randint(1, 25))
    replay(tmp_path, shop)
    assert_like(tmp_path, undisturbed)


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_the_size_of_a_run_changes_nothing(shop, undisturbed, tmp_path, monkeypatch, size):
    monkeypatch.setattr("test_stream_engine.RUN", size)
    replay(tmp_path, shop)
    assert_like(tmp_path, undisturbed)
    replay(tmp_path, shop)
    assert_like(tmp_path, undisturbed)


def test_every_input_has_one_outcome(shop, tmp_path):
    with Engine.open(tmp_path, PLAN) as engine:
        engine.take(shop)
        engine.take(shop[:50])
        counts = engine.counts
    assert counts.read == len(shop) + 50
    assert counts.read == counts.applied + counts.duplicate + counts.rejected
    assert counts.duplicate >= 40


def test_an_event_that_no_step_can_take_is_refused_and_all_others_count(shop, tmp_path, monkeypatch):
    """Whatever an event does to a step, half-done changes and all: as if it had been refused before."""
    events = [each for each in shop if isinstance(each, Event)]
    broken = {events[3].message_id, events[40].message_id, events[-1].message_id}
    real = Home._apply

    def apply(self, root, member, event, now):
        real(self, root, member, event, now)
        if event.message_id in broken:
            raise TypeError("half-way")

    monkeypatch.setattr(Home, "_apply", apply)
    with Engine.open(tmp_path / "broken", PLAN) as engine:
        engine.take(shop)
        assert engine.take(shop[:10]) == 10
        engine.publish()
        counts = engine.counts
    monkeypatch.undo()
    ids = [row[0] for row in tables(tmp_path / "broken")["fct_event"]]
    assert broken.isdisjoint(ids)
    assert counts.read == len(shop) + 10 == counts.applied + counts.duplicate + counts.rejected
    others = [each for each in shop if isinstance(each, Rejected) or each.message_id not in broken]
    with Engine.open(tmp_path / "others", PLAN) as engine:
        engine.take(others)
        engine.publish()
    for name in ("fct_event", "fct_trigger", "dim_customer", "bridge_identity"):
        assert tables(tmp_path / "broken")[name] == tables(tmp_path / "others")[name]


def test_a_year_of_traffic_leaves_no_more_message_ids_than_some_weeks_need(tmp_path):
    """A store keeps ids for a week, and what it forgets later never grows with time."""
    start, sizes = parse("2026-01-01"), []
    with Engine.open(tmp_path, Plan()) as engine:
        for day in range(365):
            now = start + day * DAY
            engine.take(_event(f"d{day}-{n}", now + n, f"user_id:u{n % 10}", "page") for n in range(60))
            sizes.append(sum(1 for _ in engine._store.scan(b"m")))
        again = _event("d360-7", start + 364 * DAY + 60, "user_id:u7", "page")
        engine.take([again])
        assert engine.counts.duplicate == 1
    assert 8 * 60 <= sizes[364] <= max(sizes[60:120]) * 1.1 <= 3 * 9 * 60 + 1_000


def _event(id_, now, key, name):
    body = {"type": "page", "messageId": id_, "properties": {}, "context": {}}
    return Event((key,), id_, "page", name, None, now, now, now, "test", None, (), body)


def test_a_folder_belongs_to_one_engine(tmp_path):
    with Engine.open(tmp_path, Plan()), pytest.raises(FolderBusy, match="in use by another Rapport process"):
        Engine.open(tmp_path, Plan())
    with Engine.open(tmp_path, Plan()):
        pass


def test_a_folder_of_a_newer_version_is_left_alone(tmp_path):
    with Engine.open(tmp_path, Plan()):
        pass
    (tmp_path / "layout").write_text("2\n")
    with pytest.raises(FolderTooNew, match="upgrade Rapport"):
        Engine.open(tmp_path, Plan())
    assert (tmp_path / "layout").read_text() == "2\n"

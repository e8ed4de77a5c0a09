"""What the head of a root says of the rows beside its components is true, and no change of a row is forgotten.

Worlds of the simulator, crashes, merges and splits included, are run over rows that are watched.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from profiles import kinds, rows, transfer
from profiles.kinds import BESIDE, HISTORY, MARKS, ORDERS, TRAITS, Kind
from profiles.row import Row
from profiles.rows import Rows
from profiles.transfer import put_in, take_out
from profiles_watched import Watched, layout_1, wrong_flags
from stream.simulation.broker import Memory
from stream.simulation.simulator import Pause, Simulator
from stream_world import event, make

SEEDS = range(100)


class WatchedSimulator(Simulator):
    rows_type = Watched


def lived(seed: int, kind: type[Simulator] = WatchedSimulator, scale: int = 1) -> Simulator:
    world = make(seed, scale)
    simulator = kind(world.plan, world.partitions, seed, world.faults)
    for items, pause in zip(world.phases, world.pauses, strict=True):
        simulator.run([*items, Pause(pause)])
    return simulator


def stores(simulator: Simulator) -> list[Memory]:
    return [simulator.lanes[lane].store for lane in range(simulator.partitions)]


# --- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", range(4))
def test_no_change_is_forgotten_and_every_flag_is_true(chunk: int) -> None:
    for seed in SEEDS[chunk::4]:
        simulator = lived(seed)
        for store in stores(simulator):
            assert wrong_flags(store) == [], f"seed {seed}"


def test_flags_are_true_after_long_lives_of_few_people() -> None:
    seen = set()
    for seed in range(6):
        for store in stores(lived(seed, scale=8)):
            assert wrong_flags(store) == [], f"seed {seed}"
            seen.update(key[:1].decode() for key in store)
    assert seen >= {kind.letter for kind in BESIDE}


class Forgetful(Watched):
    """Other times are kept only where the wake is another."""

    def keep(self, row: Row) -> None:
        if row.wake != row.stored_times[0]:
            super().keep(row)


def test_the_law_sees_a_change_that_is_not_marked() -> None:
    kind: Any = type("Forgetting", (Simulator,), {"rows_type": Forgetful})
    with pytest.raises(AssertionError, match="was not marked"):
        deque((lived(seed, kind) for seed in SEEDS), maxlen=0)


# --- rows that do not know --------------------------------------------------------------------------------------------


def test_people_of_layout_1_live_on_as_they_would_have() -> None:
    """In the middle of their lives all rows lose what they know."""
    compared = 0
    for seed in range(60):
        world = make(seed)
        if len(world.phases) < 2:
            continue
        told = []
        for forget in (False, True):
            simulator = WatchedSimulator(world.plan, 1, seed, ())
            for items, pause in zip(world.phases, world.pauses, strict=True):
                simulator.run([*items, Pause(pause)])
                if items is world.phases[0]:
                    lane = simulator.lanes[0]
                    lane.store, lane.batch = Memory(layout_1(lane.store) if forget else lane.store), None
            assert wrong_flags(simulator.lanes[0].store, known_only=forget) == [], f"seed {seed}"
            told.append((simulator.profiles(), simulator.outputs.decisions, simulator.outputs.triggers))
        assert told[0] == told[1], f"seed {seed}"
        compared += 1
    assert compared > 20


def filled(root: Row, rows_: Rows, member: str) -> None:
    """Something of every kind beside a member's component."""
    component = rows_.own(root, member)
    component.note(event((member,), 1, "A", 1, 1), None)
    rows_.settle(root, member, component, 0, set)
    rows_.lay(TRAITS, root.key, member, b'{"city":["Ulm",1,"m","s"]}')
    rows_.lay(ORDERS, root.key, member, b'[1,"m","5","EUR","0",false]', b"o1")
    rows_.lay(MARKS, root.key, member, b'["r","k",1]', b"\x00\xff")


class Counted(Memory):
    """Tells what was scanned for."""

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self.scans: list[bytes] = []
        self.gets: list[bytes] = []

    def scan(self, prefix: bytes) -> Any:
        self.scans.append(prefix)
        return super().scan(prefix)

    def get(self, key: bytes) -> bytes | None:  # type: ignore[override]
        self.gets.append(key)
        return super().get(key)


def test_a_row_that_does_not_know_looks_once_and_then_knows() -> None:
    store = Memory()
    writer = Rows(store)
    root = writer.born("user_id:1")
    root.members = frozenset({"email:a"})
    filled(root, writer, "email:a")
    writer.own(root, "user_id:1").note(event(("user_id:1",), 2, "A", 2, 2), None)
    store.write(writer.changes())
    old = Counted(layout_1(store))
    again = Rows(old)
    root = again.there("user_id:1")
    assert (root.own, root.parts) == (None, {"email:a": None})
    assert [again.beside(root, member) for member in ("user_id:1", "email:a")] == [0, 15]
    assert len(old.scans) == 4
    old.write(again.changes())
    assert wrong_flags(old) == []
    old.scans.clear()
    root = Rows(old).there("user_id:1")
    assert (root.own, root.parts) == (0, {"email:a": 15})
    for member in ("user_id:1", "email:a"):
        take_out(again, again.there("user_id:1"), (member,))
    assert [prefix[:1] for prefix in old.scans] == [b"o", b"f"]


def test_two_people_with_nothing_beside_them_meet_without_a_look_at_the_store() -> None:
    store = Counted()
    writer = Rows(store)
    for key in ("user_id:1", "email:a"):
        writer.own(writer.born(key), key).note(event((key,), 1, "A", 1, 1), None)
    store.write(writer.changes())
    again = Rows(store)
    here, there = again.there("user_id:1"), again.there("email:a")
    store.gets.clear()
    here.members = frozenset({"email:a"})
    for piece in take_out(again, there, ("email:a",)):
        put_in(again, here, piece, 0, set)
    assert (store.gets, store.scans) == ([], [])


# --- the registry -----------------------------------------------------------------------------------------------------

TAGS = Kind("g", 16, max, many=True)
"""A facet that somebody may add."""


@pytest.fixture
def with_tags(monkeypatch: pytest.MonkeyPatch) -> tuple[Kind, ...]:
    more = (*BESIDE, TAGS)
    for module in (kinds, rows, transfer):
        monkeypatch.setattr(module, "BESIDE", more)
    monkeypatch.setattr(transfer, "_BY_LETTER", {kind.letter: kind for kind in more})
    return more


VALUES = {
    HISTORY: b'[[1,"m1","track","A","web"]]',
    TRAITS: b'{"city":["Ulm",1,"m","s"]}',
    ORDERS: b'[1,"m","5","EUR","0",false]',
    MARKS: b'["r","k",1]',
    TAGS: b'"vip"',
}


def test_letters_and_flags_are_given_once(with_tags: tuple[Kind, ...]) -> None:
    letters = [kind.letter.encode() for kind in with_tags]
    assert len({*letters, *kinds.PLAIN}) == len(letters) + len(kinds.PLAIN)
    assert sum(kind.flag for kind in with_tags) == 2 ** len(with_tags) - 1
    assert {kind.letter: kind.flag for kind in BESIDE} == {"h": 1, "t": 2, "o": 4, "f": 8}


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.letter)
def test_each_kind_moves_with_its_component_there_and_back(kind: Kind, with_tags: tuple[Kind, ...]) -> None:
    store = Memory()
    lane = Rows(store)
    here, there = lane.born("user_id:1"), lane.born("email:a")
    end = b"\x00e" if kind.many else b""
    lane.own(there, "email:a").note(event(("email:a",), 1, "A", 1, 1), None)
    lane.lay(kind, "email:a", "email:a", VALUES[kind], end)
    here.members = frozenset({"email:a"})
    store.write(lane.changes())
    before = dict(store)
    for root, other in ((there, here), (here, there)):
        for piece in take_out(lane, root, ("email:a",)):
            put_in(lane, other, piece, 0, set)
        store.write(lane.changes())
        assert wrong_flags(store) == []
        assert lane.row_of(kind, other.key, "email:a", end) == VALUES[kind]
        assert lane.row_of(kind, root.key, "email:a", end) is None
        assert kind.key(other.key, "email:a", end) in store
        assert kind.key(root.key, "email:a", end) not in store
    assert {**store, b"iuser_id:1": b""} == {**before, b"iuser_id:1": b""}


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.letter)
def test_two_rows_of_each_kind_become_one_by_its_merge(kind: Kind, with_tags: tuple[Kind, ...]) -> None:
    lane = Rows(Memory())
    here, there = lane.born("user_id:1"), lane.born("user_id:2")
    end = b"e" if kind.many else b""
    for root in (here, there):
        lane.own(root, "email:a")
        lane.lay(kind, root.key, "email:a", VALUES[kind], end)
    for piece in take_out(lane, there, ("email:a",)):
        put_in(lane, here, piece, 0, set)
    assert lane.row_of(kind, here.key, "email:a", end) == kind.merge(VALUES[kind], VALUES[kind])
    assert lane.rows_of(kind, there.key, "email:a") == []


def test_what_left_and_came_back_in_one_commit_is_not_what_was_stored_before() -> None:
    store = Memory()
    lane = Rows(store)
    root = lane.born("user_id:1")
    filled(root, lane, "user_id:1")
    store.write(lane.changes())
    take_out(lane, root, ("user_id:1",))
    lane.own(root, "user_id:1")
    lane.lay(ORDERS, root.key, root.key, b"[2]", b"o2")
    assert lane.rows_of(ORDERS, root.key, root.key) == [(b"o2", b"[2]")]
    store.write(lane.changes())
    assert wrong_flags(store) == []

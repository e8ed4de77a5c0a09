"""Rows in a lane's store: what is written is read again, what moves arrives whole, what is too big is cut as stated."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.component import MAX_TAIL_BYTES, MAX_TAIL_LINES
from profiles.kinds import MARKS, ORDERS, TRAITS, place
from profiles.row import Row, moved_to
from profiles.rows import Rows
from profiles.transfer import MAX_PIECE_BYTES, bundled, put_in, take_out
from schemas.errors import RowError
from schemas.messages import Event, Piece
from stream.simulation.broker import Memory
from stream_world import event

KEY = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12)
AT = st.integers(0, 2**53)


def commit(rows: Rows, store: Memory) -> Rows:
    """What a commit stores, opened anew."""
    store.write(rows.changes())
    return Rows(store)


def filled(rows: Rows, root: Row, member: str, events: list[Event]) -> None:
    component = rows.own(root, member)
    for each in events:
        component.note(each, [["v1", 0, "k", ""]] if each.name == "C" else None)
        if component.full:
            rows.settle(root, member, component, 0, set)
        rows.lay(MARKS, root.key, member, b'["r","k",1]', bytes((0, 10, each.occurred_at % 256)))
        order = f"o{each.occurred_at % 5}\n\0".encode()
        rows.lay(ORDERS, root.key, member, b'[0,"",null,null,"0",false]', order)
    rows.lay(TRAITS, root.key, member, b'{"city":["K\xc3\xb6ln",1,"m","s"]}')


def layout_1(row: Row) -> bytes:
    """The row as it was stored before heads told what lies beside a component."""
    head = [1, row.to, sorted(row.members), sorted(row.parts), row.asked, *row.extra]
    return orjson.dumps(head) + b"\n" + row.encode().partition(b"\n")[2]


def some(count: int, name: str = "C", start: int = 0) -> list[Event]:
    return [event(("email:a",), start + n, name, start + n, start + n) for n in range(count)]


# --- encoding ---------------------------------------------------------------------------------------------------------


@given(KEY, st.none() | KEY, st.frozensets(KEY, max_size=4), st.dictionaries(KEY, AT, max_size=4), AT)
def test_a_row_comes_back(key: str, to: str | None, members: frozenset[str], asked: dict[str, int], wake: int) -> None:
    store = Memory()
    rows = Rows(store)
    row = rows.born(key)
    row.to, row.members, row.asked, row.wake = to, frozenset(members), asked, wake
    found = commit(rows, store).find(key)
    assert found is not None
    assert (found.to, found.members, list(found.asked.items()), found.wake) == (to, members, list(asked.items()), wake)
    assert found.encode() == row.encode()


TANGLED = st.lists(st.sampled_from(("a", '"', "\\", "],[", ",", "]", ":", "é", "{}", "null")), max_size=5).map(
    lambda parts: "email:" + "".join(parts)
)
"""Keys that look like parts of the JSON around them."""


@given(st.frozensets(TANGLED, max_size=4), st.dictionaries(TANGLED, AT, max_size=3), TANGLED, st.none() | TANGLED)
def test_a_stored_row_knows_its_members_and_where_it_went(
    members: frozenset[str], asked: dict[str, int], other: str, to: str | None
) -> None:
    store = Memory()
    writer = Rows(store)
    written = writer.born("email:a")
    written.members, written.parts, written.asked, written.to = members, dict.fromkeys(members, 3), asked, to
    store.write(writer.changes())
    for stored in (store[b"iemail:a"], layout_1(written)):
        store[b"iemail:a"] = stored
        assert moved_to(stored) == to
        for key in (other, *members, *asked):
            rows = Rows(store)
            assert rows.moved_to("email:a") == to
            assert rows.holds("email:a", key) == (key in members)


@given(st.integers(-1, MAX_TAIL_LINES + 3), st.booleans(), st.booleans(), st.sampled_from((0, 1000, MAX_TAIL_BYTES)))
def test_an_event_counts_the_same_in_a_row_that_is_opened_and_in_one_that_is_not(
    before: int, armed: bool, settled: bool, long: int
) -> None:
    """One more line at the end of the stored row is what decoding, counting and encoding come to."""
    store = Memory()
    rows = Rows(store)
    root = rows.born("email:a")
    if before >= 0:  # otherwise there is no component yet
        filled(rows, root, "email:a", some(before, "C" if armed else "B"))
    if settled and root.component:
        rows.settle(root, "email:a", root.component, 0, set)
    store.write(rows.changes())
    event_ = some(1, "B", 99)[0]._replace(identifiers=("email:a", "crm_id:" + "x" * long))
    results = []
    for opened in (False, True):
        again = Rows(store)
        row = again.find("email:a") if opened else None
        if row is None and again.append("email:a", event_):
            full = None
        else:
            full = again.note(again.there("email:a"), "email:a", event_, None)
        results.append((full is not None, dict(again.changes())))
    assert results[0] == results[1]


def test_a_quiet_event_decodes_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Memory()
    rows = Rows(store)
    filled(rows, rows.born("email:a"), "email:a", some(3))
    rows = commit(rows, store)
    monkeypatch.delattr(Row, "decode")
    assert rows.known("email:a")
    assert rows.append("email:a", some(1, "B", 9)[0])
    assert rows.row_of(ORDERS, "email:a", "email:a", b"o1\n\0") is not None
    rows.lay(ORDERS, "email:a", "email:a", b"[]", b"o1\n\0")
    changed = rows.changes()[b"iemail:a"]
    assert changed is not None
    assert changed.count(b"\n") == 7


def test_what_a_later_version_appended_is_kept() -> None:
    frame, hot = Row("email:a").encode().split(b"\n")
    row = Row.decode("email:a", frame[:-1] + b',"later",{"x":1}]\n' + hot)
    Rows(Memory()).touch(row)
    assert row.encode() == frame[:-1] + b',"later",{"x":1}]\n' + hot


@pytest.mark.parametrize("stored", [b"[3]", b'[3,null,[],"whatever"]\n0,0,0'])
def test_a_newer_layout_is_refused_with_what_to_do(stored: bytes) -> None:
    store = Memory({b"iemail:a": stored, place(b"c", "email:b", "email:a"): stored})
    with pytest.raises(RowError, match="Upgrade Rapport"):
        Rows(store).known("email:a")
    root = Row("email:b")
    root.parts["email:a"] = 0
    with pytest.raises(RowError, match="Upgrade Rapport"):
        Rows(store).component(root, "email:a")


def test_nothing_is_written_that_did_not_change() -> None:
    store = Memory()
    rows = Rows(store)
    rows.own(rows.born("email:a"), "email:a").note(some(1)[0], None)
    store.write(rows.changes())
    row = rows.find("email:a")
    assert row is not None
    assert list(rows.members(row))
    assert rows.get(b"mx") is None
    assert rows.changes() == {}


@given(st.lists(st.integers(0, 5), max_size=8))
def test_there_is_one_wake_row_a_waiting_row(wakes: list[int]) -> None:
    store = Memory()
    rows = Rows(store)
    row = rows.born("email:a")
    for wake in wakes:
        rows.touch(row)
        row.wake = wake
        rows = commit(rows, store)
        found = rows.find("email:a")
        assert found is not None
        row = found
        expected = [b"w" + wake.to_bytes(8, "big") + b"email:a"] if wake else []
        assert [key for key, _ in store.scan(b"w")] == expected


def test_a_row_survives_the_change_of_cache_generations() -> None:
    """A row that is changed, put away and read again within one commit is one row."""
    store = Memory()
    rows = Rows(store, lambda: 4)
    for number in range(9):
        row = rows.born(f"email:{number}")
        row.members |= {"phone:1"}
        if number % 2:
            store.write(rows.changes())
    for number in range(9):
        found = rows.find(f"email:{number}")
        assert found is not None
        assert found.members == {"phone:1"}
        assert rows.find(f"email:{number}") is found


def test_a_row_is_kept_decoded_only_where_it_may_be_needed_so() -> None:
    """One that moved away is only asked where to; one of the old generation, perhaps nothing any more."""
    store = Memory()
    rows = Rows(store, lambda: 4)
    rows.born("email:a").to = "user_id:1"
    rows.born("user_id:1").members = frozenset({"email:a"})
    store.write(rows.changes())
    assert {key: type(held) for key, held in rows._cache.young.items()} == {"email:a": bytes, "user_id:1": Row}
    rows.born("user_id:2")
    store.write(rows.changes())
    assert rows._cache.old == {key: store[b"i" + key.encode()] for key in ("email:a", "user_id:1", "user_id:2")}
    assert rows.there("user_id:1").members == {"email:a"}


def test_rows_that_are_expected_are_read_in_one_go() -> None:
    store = Memory()
    writer = Rows(store)
    for number in range(4):
        writer.born(f"email:{number}")
    rows = commit(writer, store)
    rows.find("email:0")
    asked: list[list[bytes]] = []

    def read(keys: list[bytes]) -> list[bytes | None]:
        asked.append(keys)
        return [store.get(key) for key in keys]

    rows.expect(["email:0", "email:1", "email:9"], read)
    store.clear()  # what was read is not read again
    found = rows.find("email:1")
    assert asked == [[b"iemail:1", b"iemail:9"]]
    assert found is not None
    assert rows.find("email:9") is None
    assert rows.born("email:9") is rows.find("email:9")
    rows.expect(["email:1", "email:9"], read)
    assert len(asked) == 1
    assert rows.find("email:1") is found


def test_regulars_are_cached_again_after_a_crowd_of_strangers(monkeypatch) -> None:
    monkeypatch.setattr("profiles.row_cache.SMALL_CACHE", 4)
    monkeypatch.setattr("profiles.row_cache.LARGE_EVERY", 3)
    reads: list[bytes] = []

    class Counting(Memory):
        def get(self, key: bytes) -> bytes | None:  # type: ignore[override]
            reads.append(key)
            return super().get(key)

    store = Counting()
    writer = Rows(store)
    for number in range(400):
        writer.born(f"email:{number}")
    store.write(writer.changes())
    rows = Rows(store, lambda: 64)

    def met(numbers: range) -> int:
        before = len(reads)
        for number in numbers:
            found = rows.find(f"email:{number}")
            assert found is not None
            rows.touch(found)
            store.write(rows.changes())
        return len(reads) - before

    assert [met(range(20)), met(range(20))] == [20, 0]
    assert met(range(20, 400)) == 380
    assert [met(range(20)) for _ in range(10)][-1] == 0


# --- moving -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.booleans(), st.booleans())
def test_taken_out_and_put_in_is_where_it_was(count: int, own: bool, between: bool) -> None:
    store = Memory()
    rows = Rows(store)
    root = rows.born("user_id:1")
    root.members |= {"email:a"}
    member = root.key if own else "email:a"
    filled(rows, root, member, some(count))
    if between:
        rows = commit(rows, store)
        root = rows.find("user_id:1") or root
    before = Memory(store)
    before.write(rows.changes())
    rows = Rows(Memory(before))
    root = rows.find("user_id:1") or root
    pieces = take_out(rows, root, (member,))
    assert list(rows.members(root)) == []
    for piece in pieces:
        put_in(rows, root, piece, 0, set)
    after = Memory(before)
    after.write(rows.changes())
    assert after == before


def test_a_root_that_gave_everything_away_keeps_nothing() -> None:
    store = Memory()
    rows = Rows(store)
    root = rows.born("user_id:1")
    root.members |= {"email:a"}
    for member in ("user_id:1", "email:a"):
        filled(rows, root, member, some(40))
    rows = commit(rows, store)
    root = rows.find("user_id:1") or root
    take_out(rows, root, ("user_id:1", "email:a"))
    store.write(rows.changes())
    assert [key[:1] for key in store] == [b"i"]


def test_two_halves_of_a_component_meet() -> None:
    """Signals of both settled histories count, or a timer would be overlooked."""
    store = Memory()
    rows = Rows(store)
    here, there = rows.born("user_id:1"), rows.born("user_id:2")
    filled(rows, here, "email:a", some(MAX_TAIL_LINES, "X"))
    filled(rows, there, "email:a", [*some(MAX_TAIL_LINES + 1, "C", 100), *some(3, "X", 200)])
    for piece in take_out(rows, there, ("email:a",)):
        put_in(rows, here, piece, 0, set)
    component = rows.component(here, "email:a")
    assert component is not None
    assert component.totals(component.lines()).count == 2 * MAX_TAIL_LINES + 4
    assert component.signals == MAX_TAIL_LINES + 1 == len(rows.signalled(here, "email:a", component))
    assert len(rows.history(here, "email:a", component)) == 2 * MAX_TAIL_LINES + 4


def test_a_part_that_comes_before_its_component_is_not_left_behind() -> None:
    store = Memory()
    rows = Rows(store)
    root = rows.born("user_id:1")
    put_in(rows, root, Piece("email:a", (("oo1", '[0,"",null,null,"0",false]'),)), 0, set)
    assert [piece.member for piece in take_out(rows, root, ("email:a",))] == ["email:a"]
    assert [key[:1] for key, value in rows.changes().items() if value is not None] == [b"i"]


def test_fired_marks_travel_before_what_would_fire_again() -> None:
    rows = Rows(Memory())
    root = rows.born("user_id:1")
    filled(rows, root, root.key, some(30))
    (piece,) = take_out(rows, root, (root.key,))
    kinds = [name[0] for name, _ in piece.rows]
    assert kinds == sorted(kinds, key="fchto".index)


def test_pieces_and_messages_stay_small() -> None:
    rows = Rows(Memory())
    root = rows.born("user_id:1")
    rows.own(root, root.key).note(some(1)[0], None)
    for number in range(6_000):
        order = orjson.dumps([1, "m" * 60, "9.99", "EUR", "0", False])
        rows.lay(ORDERS, root.key, root.key, order, b"%060d" % number)
    pieces = take_out(rows, root, (root.key,))
    assert sum(len(piece.rows) for piece in pieces) == 6_001
    assert all(sum(len(name) + len(value) for name, value in piece.rows) <= MAX_PIECE_BYTES for piece in pieces)
    assert len(pieces) == 4


@given(st.lists(st.integers(1, MAX_PIECE_BYTES - 1), max_size=12))
def test_messages_hold_as_much_as_fits(sizes: list[int]) -> None:
    pieces = [Piece(f"m{number}", (("c", "x" * size),)) for number, size in enumerate(sizes)]
    parts = bundled(pieces)
    assert [piece for part in parts for piece in part] == pieces
    weights = [sum(1 + len(rows[0][1]) for _, rows in part) for part in parts]
    assert all(weight <= MAX_PIECE_BYTES for weight in weights)
    assert all(a + 1 + len(part[0].rows[0][1]) > MAX_PIECE_BYTES for a, part in zip(weights, parts[1:], strict=False))


# --- caps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [True, False])
def test_no_row_grows_beyond_its_cap(own: bool) -> None:
    """The longest names and values that events may bring, in the widest characters there are."""
    store = Memory()
    rows = Rows(store)
    root = rows.born("user_id:1")
    root.asked = {f"crm_id:{n}" + "\U0001f600" * 1000: n for n in range(32)}
    member = root.key if own else "email:a"
    component = rows.own(root, member)
    for number in range(300):
        wide = f"{number:03d}" + "\U0001f600" * 1000
        sighted = tuple(f"crm_id:{wide}{n}" for n in range(3))
        body = {
            "context": {"device": {"id": wide, "name": wide}, "campaign": {"source": wide, "name": wide}},
            "groupId": wide,
        }
        component.note(
            Event((root.key, *sighted), wide[:100], "group", wide, None, number, number, number, "", None, (), body),
            None,
        )
        if component.full:
            rows.settle(root, member, component, 0, set)
    store.write(rows.changes())
    sizes = {key[:1]: len(value) for key, value in store.items()}
    assert max(sizes.values()) <= 64 * 1024, sizes
    found = Rows(store).component(root, member) if not own else Rows(store).find("user_id:1").component  # type: ignore[union-attr]
    assert found is not None
    assert found.totals(found.lines()).count == 300

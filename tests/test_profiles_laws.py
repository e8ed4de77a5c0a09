"""Components and the rows beside them: events in any order, merged in any order, give the same profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from profiles.component import Component
from profiles.facets import (
    MAX_HISTORY,
    RECENT_ENTRIES,
    fold_traits,
    merge_history,
    merge_traits,
    settle,
    stamp,
)
from profiles.totals import Line, Totals
from schemas.messages import Event

AT = st.integers(1, 50)
CENTS = st.integers(0, 99_999).map(lambda cents: f"{cents / 100:.2f}")
NAMED = st.sampled_from(("a", "b", "c"))


@st.composite
def some_events(draw: st.DrawFn, **wanted: Any) -> list[Event]:
    """A few events with ids of their own."""
    count = draw(st.integers(0, 6))
    return [draw(one_event(f"m{number:02d}", **wanted)) for number in draw(st.permutations(range(count)))]


@st.composite
def one_event(draw: st.DrawFn, message_id: str, type_: str | None = None, name: str | None = None) -> Event:
    type_ = type_ or draw(st.sampled_from(("track", "identify", "group", "page")))
    body: dict[str, Any] = {"type": type_, "groupId": draw(NAMED)}
    if draw(st.booleans()):
        body["context"] = {
            "device": draw(st.fixed_dictionaries({}, optional={"id": NAMED, "model": NAMED, "type": NAMED})),
            "campaign": draw(st.fixed_dictionaries({}, optional={"source": NAMED, "name": NAMED})),
        }
    body["traits"] = draw(st.dictionaries(NAMED, st.integers(0, 3) | NAMED, max_size=3))
    body["properties"] = draw(
        st.fixed_dictionaries({"order_id": NAMED}, optional={"total": CENTS, "currency": st.just("eur")})
    )
    called = draw(st.sampled_from(("Order Completed", "Order Updated", "Order Refunded", "Order Cancelled")))
    keys = ("user_id:1", *draw(st.lists(NAMED, max_size=2, unique=True)))
    channel = draw(st.none() | st.sampled_from(("web", "email")))
    at = draw(AT)
    return Event(
        keys, message_id, type_, name or called, channel, at, at, at, "laws", None, (), body, draw(st.integers(0, 2))
    )


def component(events: Sequence[Event]) -> Component:
    folded = Component()
    for event in events:
        folded.note(event, [["v", 0, "", ""]] if event.name == "Order Completed" else None)
    return folded


def stored(part: Component, settled: bool) -> Component:
    """As a row has it, its tail added up or not."""
    if settled:
        part = Component.of(part.encode())
        part.settle(part.lines(), ())
    return Component.of(part.encode())


def merged(*parts: Component, settled: bool = False) -> Component:
    total = Component()
    for part in parts:
        total.merge(stored(part, settled))
    return total


def state(of: Component) -> tuple[Any, int]:
    return of.totals(of.lines()).state(), of.signals


@given(some_events(), st.randoms(use_true_random=False))
def test_events_in_any_order_fold_to_the_same_component(events: list[Event], chance: Any) -> None:
    shuffled = chance.sample(events, len(events))
    assert state(component(events)) == state(component(shuffled))


@given(some_events(), st.data())
def test_merging_parts_is_folding_the_whole(events: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    parts = component(events[:cut]), component(events[cut:])
    whole = component(events)
    for settled in (False, True):
        assert state(merged(*parts, settled=settled)) == state(whole) == state(stored(whole, settled))
    assert sorted(merged(*parts).lines(), key=stamp) == sorted(whole.lines(), key=stamp)


@given(some_events(), st.data())
def test_merging_is_commutative_and_associative(events: list[Event], data: st.DataObject) -> None:
    first, second = sorted((data.draw(st.integers(0, len(events))), data.draw(st.integers(0, len(events)))))
    a, b, c = component(events[:first]), component(events[first:second]), component(events[second:])
    for settled in (False, True):
        assert state(merged(a, b, settled=settled)) == state(merged(b, a, settled=settled))
        assert state(merged(merged(a, b), c, settled=settled)) == state(merged(a, merged(b, c), settled=settled))


@given(some_events())
def test_merging_leaves_the_other_as_it_was(events: list[Event]) -> None:
    mine, other = component(events[::2]), component(events[1::2])
    before = other.encode()
    mine.merge(other)
    mine.merge(component(events))
    mine.settle(mine.lines(), ())
    assert other.encode() == before


def test_a_component_keeps_what_a_later_version_appended() -> None:
    totals = orjson.dumps([*Totals().state(), {"loyalty": 3}, 7])
    lines = b"\n".join((b'[1,2,3,"later"]', totals, b'[1,"m","page","page",null]'))
    assert Component.of(lines).encode() == lines
    assert Totals.of(totals).encode() == totals
    kept = Component.of(lines)
    kept.merge(Component.of(lines))
    assert kept.totals(kept.lines()).state()[-2:] == [{"loyalty": 3}, 7]


@given(some_events(type_="identify"), st.randoms(use_true_random=False), st.data())
def test_traits_do_not_depend_on_order_or_on_where_they_merge(events: list[Event], chance: Any, data: Any) -> None:
    def folded(some: Sequence[Event]) -> bytes:
        row = None
        for event in some:
            row = fold_traits(row, event)
        return row or b"{}"

    cut = data.draw(st.integers(0, len(events)))
    a, b, whole = folded(events[:cut]), folded(events[cut:]), orjson.loads(folded(events))
    assert orjson.loads(folded(chance.sample(events, len(events)))) == whole
    assert orjson.loads(merge_traits(a, b)) == orjson.loads(merge_traits(b, a)) == whole


def lines(count: int, every: int, start: int = 0) -> list[Line]:
    """History entries, every so manieth with signals."""
    return [
        [at, f"m{at:05d}", "track", "A", None, 0, *([[["v", 0, "", ""]]] if at % every == 0 else [])]
        for at in range(start, start + count)
    ]


@given(st.lists(st.integers(0, 400), unique=True, max_size=40), st.data())
def test_history_is_a_union(numbers: list[int], data: st.DataObject) -> None:
    entries = [line for at in numbers for line in lines(1, 3, at)]
    cut = data.draw(st.integers(0, len(entries)))
    a, b, whole = (settle(None, some, 0, set)[0] for some in (entries[:cut], entries[cut:], entries))
    assert merge_history(a, b) == merge_history(b, a) == whole


@given(st.integers(0, 400), st.integers(1, 4), st.integers(0, 400))
def test_settling_keeps_the_newest_and_says_what_it_forgot(count: int, every: int, horizon: int) -> None:
    entries = lines(count, every)
    row, signals, lost, forgotten = settle(None, entries, horizon, set)
    kept = orjson.loads(row)
    assert kept == sorted(kept, key=stamp)
    assert [entry[1] for entry in kept[-RECENT_ENTRIES:]] == [f"m{at:05d}" for at in range(count)][-RECENT_ENTRIES:]
    assert len(kept) <= MAX_HISTORY
    assert signals == sum(len(entry) > 6 for entry in kept)
    dropped = [at for at in range(0, count, every) if at not in {entry[0] for entry in kept}]
    assert forgotten == max(dropped, default=0)
    assert lost == sum(at >= horizon for at in dropped)


def test_settling_bit_by_bit_is_settling_at_once() -> None:
    at_once = settle(None, lines(600, 2), 100, set)
    row, lost, forgotten = None, 0, 0
    for start in range(0, 600, 17):
        row, signals, more, newest = settle(row, lines(min(17, 600 - start), 2, start), 100, set)
        lost, forgotten = lost + more, max(forgotten, newest)
    assert (row, signals, lost, forgotten) == at_once

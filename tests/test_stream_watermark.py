"""The watermark: up to when all input has been taken, told by ends that were noted and positions that reached them."""

from __future__ import annotations

import pytest

from schemas.instant import MINUTE, SECOND
from schemas.messages import SourceMark, Wake
from stream.core.timers import Timers
from stream.core.watermark import IDLE_INTERVAL, NOBODY, SOURCE_TIMEOUT, STANDSTILL_TIMEOUT, Watermark

T = 20_000 * 24 * 60 * MINUTE
ALLOWED = 30 * SECOND


@pytest.fixture
def timers() -> Timers:
    return Timers()


@pytest.fixture
def mark(timers: Timers) -> Watermark:
    """One whose owner has been at work for long, and that moved just now."""
    made = Watermark(timers, ALLOWED, T - 24 * 60 * MINUTE)
    made.note(T, {})
    made.reach({}, T)
    made.ready.clear()
    return made


def woken(mark: Watermark) -> list[str]:
    """The rows woken, beside the word that the watermark has moved."""
    rows = [wake.row for wake in mark.ready]
    assert rows[:1] in ([], [NOBODY])
    mark.ready.clear()
    return rows[1:]


def test_ends_are_noted_when_a_timer_has_been_due_for_as_long_as_late_input_is_allowed(mark, timers):
    timers.push(T + SECOND, "a:1", late=False)
    due = T + SECOND + ALLOWED
    assert mark.next == due
    assert not mark.wants_ends(due - 1)
    assert mark.wants_ends(due)


def test_a_timer_fires_when_every_partition_has_committed_what_was_there(mark, timers):
    timers.push(T + SECOND, "a:1", late=False)
    at = T + MINUTE
    mark.note(at, {0: 10, 1: 20})
    mark.reach({0: 10, 1: 19}, at)
    assert not mark.ready
    mark.reach({0: 10}, at)
    assert not mark.ready
    mark.reach({0: 11, 1: 20}, at + SECOND)
    assert list(mark.ready) == [Wake(NOBODY, at - ALLOWED, at), Wake("a:1", at - ALLOWED, at)]


def test_an_empty_partition_is_not_waited_for(mark, timers):
    timers.push(T, "a:1", late=False)
    mark.note(T + MINUTE, {0: 0, 1: 0})
    mark.reach({}, T + MINUTE)
    assert woken(mark) == ["a:1"]


def test_what_was_noted_is_not_noted_again_however_much_comes_behind_it(mark, timers):
    timers.push(T, "a:1", late=False)
    mark.note(T + MINUTE, {0: 100})
    for second in range(60):
        now = T + MINUTE + second * SECOND
        timers.push(now, f"b:{second}", late=False)
        assert not mark.wants_ends(now)
        mark.reach({0: 50 + second}, now)
    assert woken(mark) == ["a:1"]


def test_who_becomes_due_later_waits_for_ends_of_its_own(mark, timers):
    timers.push(T, "a:1", late=False)
    timers.push(T + 2 * MINUTE, "b:1", late=False)
    mark.note(T + MINUTE, {0: 100})
    mark.reach({0: 100}, T + MINUTE)
    assert woken(mark) == ["a:1"]
    assert len(mark) == 1


def test_a_row_that_waits_twice_is_woken_once(mark, timers):
    for due in (T - SECOND, T):
        timers.push(due, "a:1", late=False)
    mark.note(T + MINUTE, {0: 0})
    mark.reach({}, T + MINUTE)
    assert woken(mark) == ["a:1"]


@pytest.mark.parametrize("done", [True, False])
def test_what_was_due_when_it_was_armed_waits_for_every_open_source(mark, timers, done):
    timers.push(T - MINUTE, "late:1", late=True)
    timers.push(T, "ahead:1", late=False)
    mark.mark(SourceMark("file", True, T))
    now = T + MINUTE - 1
    mark.note(now, {0: 5})
    mark.mark(SourceMark("file", True, T + 10 * SECOND))
    mark.reach({0: 5}, now)
    assert {wake.history_by for wake in mark.ready} == {0}
    assert woken(mark) == ["ahead:1"]
    now = T + MINUTE if done else T + 10 * SECOND + SOURCE_TIMEOUT
    if done:
        mark.mark(SourceMark("file", False, now))
    assert mark.wants_ends(now)
    mark.note(now, {0: 5})
    mark.reach({0: 5}, now)
    assert {wake.history_by for wake in mark.ready} == {now}
    assert woken(mark) == ["late:1"]


def test_a_source_that_opens_while_positions_are_waited_for_keeps_what_came_with_it_waiting(mark, timers):
    timers.push(T - MINUTE, "late:1", late=True)
    mark.note(T + MINUTE, {0: 5})
    mark.mark(SourceMark("file", True, T + MINUTE - SECOND))
    mark.reach({0: 5}, T + MINUTE)
    assert {wake.history_by for wake in mark.ready} == {0}, "a row that is woken looks, and waits on"


def test_a_source_that_was_open_when_ends_were_noted_counts_as_open_though_it_is_done_by_now(mark, timers):
    """What it sent after the ends were noted is not behind them."""
    timers.push(T, "ahead:1", late=False)
    mark.mark(SourceMark("file", True, T))
    mark.note(T + MINUTE - 1, {0: 5})
    mark.mark(SourceMark("file", False, T + MINUTE))
    mark.reach({0: 5}, T + MINUTE)
    assert {wake.history_by for wake in mark.ready} == {0}


def test_a_new_owner_waits_for_what_sources_have_to_say(timers):
    mark = Watermark(timers, ALLOWED, T)
    timers.push(T - MINUTE, "late:1", late=True)
    mark.note(T, {})
    mark.reach({}, T)
    assert woken(mark) == []
    assert mark.next == T + SOURCE_TIMEOUT


def test_a_partition_that_stands_still_is_not_waited_for_for_ever_and_is_named(mark, timers):
    timers.push(T, "a:1", late=False)
    at = T + MINUTE
    mark.note(at, {0: 10, 1: 10})
    mark.reach({0: 10, 1: 3}, at)
    mark.reach({0: 10, 1: 3}, at + STANDSTILL_TIMEOUT - 1)
    assert not mark.ready
    mark.reach({0: 10, 1: 4}, at + STANDSTILL_TIMEOUT)
    assert not mark.ready, "it has moved"
    mark.reach({0: 10, 1: 4}, at + 2 * STANDSTILL_TIMEOUT)
    assert {wake.without for wake in mark.ready} == {(1,)}
    assert woken(mark) == ["a:1"]
    timers.push(at, "b:1", late=False)
    mark.note(at + 2 * STANDSTILL_TIMEOUT, {0: 10, 1: 12})
    mark.reach({0: 10, 1: 4}, at + 2 * STANDSTILL_TIMEOUT)
    assert woken(mark) == ["b:1"], "it is known to stand still"
    mark.note(at + 3 * STANDSTILL_TIMEOUT, {0: 10, 1: 12})
    mark.reach({0: 10, 1: 12}, at + 3 * STANDSTILL_TIMEOUT)
    assert {wake.without for wake in mark.ready} == {()}


def test_it_moves_without_timers_too(mark):
    assert mark.next is None
    assert not mark.wants_ends(T + IDLE_INTERVAL - 1)
    assert mark.wants_ends(T + IDLE_INTERVAL)
    mark.note(T + IDLE_INTERVAL, {0: 1})
    mark.reach({0: 1}, T + IDLE_INTERVAL)
    assert [wake.by for wake in mark.ready] == [T + IDLE_INTERVAL - ALLOWED]

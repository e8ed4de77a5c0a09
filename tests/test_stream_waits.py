"""What customers wait under: plans that change, pauses, lateness and limits, in one process and on several lanes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import duckdb
import pytest

from rules.load import load_rules
from schemas.instant import DAY, HOUR, MINUTE, parse
from schemas.messages import Event, Split
from stream.core.plan import Plan
from stream.core.waits import MAX_WAITS
from stream.embedded.engine import Engine
from stream.embedded.store import PUBLISHED
from stream.simulation.simulator import Simulator

T = parse("2026-03-02T10:00")
CART = "{event: Cart, not_followed_by: {event: Order, same: cart}, within: 1h, key: cart}"
Told = tuple[str, str]
"""Run key and verdict."""


def plan(when: str = CART, status: str = "live", then: str = "email", name: str = "cart") -> Plan:
    text = (
        f"rule: {name}\nowner: o\nstatus: {status}\npurpose: p\nwhen: {when}\nthen: [{{send: {then}, template: x}}]\n"
    )
    return Plan(rules=load_rules({"a.yaml": text}), allow_late_input=0)


def sent(name: str, cart: str, at: int, user: str = "ann", now: int | None = None, number: int = 0) -> Event:
    body = {"type": "track", "event": name, "properties": {"cart": cart}}
    keys, id_, taken = (f"user_id:{user}",), f"{name}-{cart}-{at}-{number}", at if now is None else now
    return Event(keys, id_, "track", name, None, at, taken, taken, "test", None, (), body, number)


class Runner(Protocol):
    def under(self, plan: Plan) -> None:
        """From now on this plan counts."""

    def take(self, *events: Event) -> None: ...

    def until(self, now: int) -> None:
        """All that there is until then has been taken."""

    def decided(self) -> list[Told]:
        """In the order of their times."""


class Embedded:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plan = Plan()

    def under(self, plan: Plan) -> None:
        self._plan = plan

    def take(self, *events: Event) -> None:
        with Engine.open(self._folder, self._plan) as engine:
            engine.take(events)

    def until(self, now: int) -> None:
        with Engine.open(self._folder, self._plan) as engine:
            engine.advance(now)

    def decided(self) -> list[Told]:
        with Engine.open(self._folder, self._plan) as engine:
            engine.publish()
        with duckdb.connect(str(self._folder / PUBLISHED), read_only=True) as mart:
            return mart.execute(
                "SELECT run_key, verdict FROM mart.fct_rule_decision ORDER BY decided_at, run_key"
            ).fetchall()


class Lanes:
    def __init__(self) -> None:
        self._simulator = Simulator(Plan(allow_late_input=0), partitions=3)

    def under(self, plan: Plan) -> None:
        self._simulator.plan = plan
        for lane in self._simulator.lanes.values():
            lane.batch = None

    def take(self, *events: Event) -> None:
        self._simulator.play(events)

    def until(self, now: int) -> None:
        self._simulator.advance(now)

    def decided(self) -> list[Told]:
        made = sorted(self._simulator.outputs.decisions, key=lambda each: (each.decided_at, each.run_key))
        return [(each.run_key, each.verdict) for each in made]


@pytest.fixture(params=["embedded", "lanes"])
def runner(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return Embedded(tmp_path) if request.param == "embedded" else Lanes()


# --- plans that change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [plan(status="paused"), plan(status="shadow"), plan(then="sms")])
def test_what_happens_under_a_changed_text_or_status_counts(runner: Runner, between: Plan) -> None:
    runner.under(plan())
    runner.take(sent("Cart", "bought", T), sent("Cart", "left", T))
    runner.under(between)
    runner.take(sent("Order", "bought", T + 10 * MINUTE))
    runner.under(plan())
    runner.until(T + HOUR)
    assert runner.decided() == [("left", "fired")]


def test_a_paused_rule_fires_nothing_and_its_windows_go_on(runner: Runner) -> None:
    runner.under(plan(status="paused"))
    runner.take(sent("Cart", "bought", T), sent("Cart", "left", T), sent("Order", "bought", T + 10 * MINUTE))
    runner.until(T + 2 * HOUR)
    assert runner.decided() == []
    runner.under(plan())
    runner.until(T + 3 * HOUR)
    assert runner.decided() == [("left", "fired")]


def test_a_decision_by_hand_says_nothing_about_the_input_up_to_now(tmp_path: Path) -> None:
    """Who bought in an export that comes after it gets no reminder."""
    with Engine.open(tmp_path, plan()) as engine:
        engine.take([sent("Cart", "1", T), sent("Cart", "2", T, user="bob")])
        engine.ask(Split(("user_id:ann",), ("user_id:bob",), T + 2 * HOUR))
        engine.take([sent("Order", "1", T + 20 * MINUTE, now=T + 2 * HOUR)])
        engine.advance(T + 2 * HOUR)
    assert Embedded(tmp_path).decided() == [("2", "fired")]


def test_what_a_pause_kept_too_long_is_missed(runner: Runner) -> None:
    runner.under(plan())
    runner.take(sent("Cart", "old", T))
    runner.under(plan(status="paused"))
    runner.take(sent("Cart", "new", T + 10 * HOUR))
    runner.until(T + 26 * HOUR)
    runner.under(plan())
    runner.until(T + 26 * HOUR)
    assert sorted(runner.decided()) == [("new", "fired"), ("old", "missed")]


def test_a_pause_does_not_hold_up_other_rules_of_the_same_customer(runner: Runner) -> None:
    both = load_rules(
        {
            f"{name}.yaml": f"rule: {name}\nowner: o\nstatus: {status}\npurpose: p\nwhen: {when}\n"
            "then: [{send: email, template: x}]\n"
            for name, status, when in (("one", "paused", CART), ("two", "live", CART.replace("1h", "2h")))
        }
    )
    runner.under(Plan(rules=both, allow_late_input=0))
    runner.take(sent("Cart", "a", T))
    runner.until(T + 90 * MINUTE)
    runner.take(sent("Cart", "b", T + 95 * MINUTE))
    runner.until(T + 2 * HOUR)
    runner.until(T + 4 * HOUR)
    assert runner.decided() == [("a", "fired"), ("b", "fired")]


@pytest.mark.parametrize("gap", [Plan(allow_late_input=0), plan(status="draft"), plan(CART.replace("1h", "5h"))])
def test_what_began_before_a_break_in_the_plan_is_told_and_not_fired(runner: Runner, gap: Plan) -> None:
    """While the rule was away nobody noted what ends its windows: an order may have come."""
    runner.under(plan())
    runner.take(sent("Cart", "before", T))
    runner.under(gap)
    runner.take(sent("Order", "before", T + 10 * MINUTE), sent("Cart", "meanwhile", T + 11 * MINUTE))
    runner.under(plan())
    runner.take(sent("Cart", "after", T + 20 * MINUTE))
    runner.until(T + HOUR)
    runner.until(T + 2 * HOUR)
    runner.until(T + 3 * HOUR)
    assert runner.decided() == [("before", "before_active"), ("after", "fired")]


def test_a_rule_that_stays_is_not_broken_by_others_that_change(runner: Runner) -> None:
    def with_other(within: str) -> Plan:
        other = plan(CART.replace("1h", within), name="other").rules.rules
        return Plan(rules=type(plan().rules)([*plan().rules.rules, *other]), allow_late_input=0)

    runner.under(with_other("2h"))
    runner.take(sent("Cart", "a", T))
    runner.under(with_other("3h"))
    runner.take(sent("Cart", "b", T + MINUTE))
    runner.until(T + 90 * MINUTE)
    assert runner.decided() == [("a", "fired"), ("b", "fired")]


# --- lateness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("found", "verdict"), [(24 * HOUR, "fired"), (24 * HOUR + 1, "missed")])
def test_what_nobody_looked_at_for_a_day_is_missed(runner: Runner, found: int, verdict: str) -> None:
    runner.under(plan())
    runner.take(sent("Cart", "a", T))
    runner.until(T + HOUR + found)
    assert runner.decided() == [("a", verdict)]
    runner.until(T + 9 * DAY)
    assert runner.decided() == [("a", verdict)]


@pytest.mark.parametrize(("age", "told"), [(20 * HOUR, "fired"), (30 * HOUR, "missed"), (73 * HOUR, None)])
def test_history_that_comes_late_starts_what_is_not_too_late(runner: Runner, age: int, told: str | None) -> None:
    runner.under(plan())
    runner.take(sent("Cart", "a", T - age, now=T))
    runner.until(T + 2 * HOUR)
    assert runner.decided() == ([("a", told)] if told else [])


# --- limits ---------------------------------------------------------------------------------------------------------


def carts(count: int, start: int = 0) -> Iterable[Event]:
    return (sent("Cart", f"c{number}", T + number, number=number) for number in range(start, start + count))


def bought(count: int, start: int = 0) -> Iterable[Event]:
    return (sent("Order", f"c{number}", T + number, number=number) for number in range(start, start + count))


def test_a_customer_has_so_many_windows_open_and_of_more_it_is_told(runner: Runner) -> None:
    runner.under(plan())
    runner.take(*carts(300))
    runner.until(T + 2 * HOUR)
    told = runner.decided()
    assert Counter(verdict for _, verdict in told) == {"fired": MAX_WAITS, "full": 300 - MAX_WAITS}
    assert {key for key, verdict in told if verdict == "fired"} == {f"c{number}" for number in range(MAX_WAITS)}
    assert len({key for key, _ in told}) == 300


def test_room_is_made_by_what_closes_and_by_what_has_fired(runner: Runner) -> None:
    runner.under(plan())
    runner.take(*carts(MAX_WAITS), *bought(10), *carts(12, MAX_WAITS))
    runner.until(T + 2 * HOUR)
    told = Counter(verdict for _, verdict in runner.decided())
    assert told == {"fired": MAX_WAITS, "full": 2}
    later = (sent("Cart", f"d{number}", T + 3 * HOUR + number, number=number) for number in range(100))
    runner.take(*later)
    runner.until(T + 5 * HOUR)
    assert Counter(verdict for _, verdict in runner.decided()) == {"fired": MAX_WAITS + 100, "full": 2}


@pytest.mark.parametrize("order", ["cart first", "one by one"])
def test_an_open_window_outlives_any_number_of_closed_ones(runner: Runner, order: str) -> None:
    runner.under(plan())
    first = sent("Cart", "left", T - MINUTE)
    pairs = [event for pair in zip(carts(400), bought(400), strict=True) for event in pair]
    runner.take(first, *(pairs if order == "one by one" else [*pairs[::2][:200], *pairs[1::2][:200], *pairs[400:]]))
    runner.until(T + 2 * HOUR)
    assert runner.decided() == [("left", "fired")]


def test_what_comes_later_than_what_history_let_go_starts_nothing_and_is_told(runner: Runner) -> None:
    runner.under(plan())
    runner.take(*(event for pair in zip(carts(400), bought(400), strict=True) for event in pair))
    runner.take(sent("Cart", "c0", T, now=T + MINUTE, number=7))
    runner.until(T + 2 * HOUR)
    assert [verdict for _, verdict in runner.decided()] == ["missed"]


def test_what_windows_keep_of_their_events_counts_towards_the_room_there_is(runner: Runner) -> None:
    """Two rules that keep a long text each: an event has room for one of them."""
    keeping = "rule: {}\nowner: o\nstatus: live\npurpose: p\nwhen: " + CART + "\nthen:\n  - webhook: w\n"
    texts = {f"{name}.yaml": keeping.replace("{}", name) + "    body: {t: '{{ event.note }}'}\n" for name in "ab"}
    runner.under(Plan(rules=load_rules(texts), allow_late_input=0))
    for event in carts(40):
        properties = {**event.body["properties"], "note": "n" * 3_000}
        runner.take(event._replace(body={**event.body, "properties": properties}))
    runner.until(T + 2 * HOUR)
    told = Counter(verdict for _, verdict in runner.decided())
    assert told["fired"] + told["full"] == 80
    assert 20 < told["fired"] < 40

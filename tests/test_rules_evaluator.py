"""What one event means to the rules: fires at once, and signals for windows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.evaluator import KEY_LIMIT, Fire, Reaction, RuleSet, Unusable
from rules.load import load_rules
from rules.patterns.absence import CLOSES
from schemas import instant
from schemas.messages import Event

HEAD = "owner: shop@example.com\npurpose: marketing\nthen: [{send: email, template: x}]\n"


def rules_of(*whens: str, status: str = "live") -> RuleSet:
    documents = (f"rule: r{number}\nstatus: {status}\nwhen: {when}\n{HEAD}" for number, when in enumerate(whens))
    return load_rules({"a.yaml": "---\n".join(documents)})


def event(name: str, properties: Any = None, type_: str = "track", **body: Any) -> Event:
    whole = {"type": type_, **({} if properties is None else {"properties": properties}), **body}
    return Event(("user_id:u",), "m1", type_, name, None, 5, 5, 5, "test", None, (), whole)


def signals_of(rules: RuleSet, happened: Event, late: bool = False) -> list[list[Any]]:
    reaction = rules.on_event(happened, late)
    return [signal[1:4] for signal in reaction.signals] if reaction else []


def test_an_event_that_no_rule_mentions_means_nothing() -> None:
    rules = rules_of("{event: Signed Up}")
    assert rules.on_event(event("Signed Up"))
    assert rules.on_event(event("Signed In")) is None
    assert RuleSet().on_event(event("Signed In")) is None


def test_a_rule_without_a_window_fires_at_once_once_per_event() -> None:
    rules = rules_of("{event: Signed Up}", "{event: Signed Up, where: {plan: pro}}")
    first, second = rules.rules
    assert rules.on_event(event("Signed Up")) == Reaction((Fire(first, "m1"),), [])
    assert rules.on_event(event("Signed Up", {"plan": "pro"})) == Reaction((Fire(first, "m1"), Fire(second, "m1")), [])


def test_a_late_event_fires_nothing() -> None:
    assert rules_of("{event: Signed Up}").on_event(event("Signed Up"), late=True) is None


@pytest.mark.parametrize(
    ("value", "run_key"),
    [
        ("o-1", "o-1"),
        (7, "7"),
        (7.0, "7"),
        (7.5, "7.5"),
        (2**70, str(2**70)),
        (True, "true"),
        (False, "false"),
        ("x" * KEY_LIMIT, "x" * KEY_LIMIT),
    ],
)
def test_the_run_key_is_the_value_of_key_as_text(value: Any, run_key: str) -> None:
    rules = rules_of("{event: Order Completed, key: order_id}")
    assert rules.on_event(event("Order Completed", {"order_id": value})) == Reaction(
        (Fire(rules.rules[0], run_key),), []
    )


UNUSABLE: tuple[Any, ...] = (None, "", [], {}, ["a"], "x" * (KEY_LIMIT + 1))


@pytest.mark.parametrize("properties", [None, {}, "odd", *({"order_id": value} for value in UNUSABLE)])
def test_without_a_usable_key_a_rule_does_nothing_and_says_why(properties: Any) -> None:
    for when in ("key: order_id", "key: order_id, not_followed_by: {event: B}, within: 1h"):
        rules = rules_of(f"{{event: Order Completed, {when}}}")
        reaction = rules.on_event(event("Order Completed", properties))
        assert reaction is not None
        assert (reaction.fires, reaction.signals) == ((), [])
        (unusable,) = reaction.unusable
        assert unusable.rule is rules.rules[0]
        assert re.fullmatch(
            r"`order_id` is (missing|empty|a list or an object|longer than 256 characters)", unusable.why
        )


@pytest.mark.parametrize("name", ["A", "B"])
def test_a_value_that_must_be_the_same_and_is_not_there_is_told(name: str) -> None:
    rules = rules_of("{event: A, not_followed_by: {event: B, same: cart_id, where: {x: 1}}, within: 1h, where: {x: 1}}")
    reaction = rules.on_event(event(name, {"x": 1}))
    assert reaction == Reaction((), [], (Unusable(rules.rules[0], "`cart_id` is missing", closing=name == "B"),))
    assert rules.on_event(event(name, {"x": 2})) is None, "it did not match in the first place"


def test_what_is_late_opens_nothing_and_lacks_nothing() -> None:
    rules = rules_of("{event: A, key: k}", "{event: A, key: k, not_followed_by: {event: B}, within: 1h}")
    assert rules.on_event(event("A"), late=True) is None


def test_the_fields_of_identify_and_group_are_their_traits() -> None:
    rules = rules_of("{event: identify, where: {plan: pro}}", "{event: group, where: {plan: pro}}")
    assert rules.on_event(event("identify", type_="identify", traits={"plan": "pro"}))
    assert rules.on_event(event("group", type_="group", traits={"plan": "pro"}))
    assert rules.on_event(event("identify", {"plan": "pro"}, type_="identify")) is None
    assert rules.on_event(event("identify", type_="identify", traits="odd")) is None
    assert rules_of("{event: page, where: {path: /}}").on_event(event("page", {"path": "/"}, type_="page"))


@pytest.mark.parametrize(
    ("status", "decides", "listens"),
    [("live", True, True), ("shadow", True, True), ("draft", False, False), ("paused", False, True)],
)
def test_drafts_see_nothing_and_paused_rules_keep_their_windows(status: str, decides: bool, listens: bool) -> None:
    window = "{event: A, not_followed_by: {event: B}, within: 1h}"
    rules = rules_of("{event: A}", window, status=status)
    reaction = rules.on_event(event("A"))
    assert bool(reaction and reaction.fires) is decides
    assert bool(reaction and reaction.signals) is bool(rules.on_event(event("B"))) is listens
    assert rules.horizon == (instant.HOUR if listens else 0)
    assert len(rules.rules) == 2
    signal = [rules.rules[1].wait, 0, "", "", 0]
    assert bool(rules.open_runs([(0, 0, "m", [signal])], {})) is listens


CART = """{event: Cart Updated, where: {total: {at_least: 50}}, within: 3h, restart_on: Cart Updated, key: cart_id,
  not_followed_by: {event: Order Completed, same: cart_id}}"""


def test_signals_of_a_window() -> None:
    rules = rules_of(CART)
    arming = rules.on_event(event("Cart Updated", {"cart_id": "c1", "total": 80}))
    assert arming == Reaction((), [[rules.rules[0].wait, 0, "c1", "c1", 0]])
    assert signals_of(rules, event("Cart Updated", {"cart_id": "c1", "total": 20})) == [[2, "c1", "c1"]]
    assert signals_of(rules, event("Order Completed", {"cart_id": "c1"})) == [[1, "", "c1"]]
    assert signals_of(rules, event("Order Completed", {"order_id": "o1"})) == []
    assert signals_of(rules, event("Cart Updated", {"total": 80})) == []


def test_what_sets_a_due_time_says_when_it_was_taken() -> None:
    rules = rules_of(CART)
    for properties, taken in (({"cart_id": "c1", "total": 80}, [7]), ({"cart_id": "c1", "total": 20}, [7])):
        reaction = rules.on_event(event("Cart Updated", properties), taken=7)
        assert reaction is not None
        assert [signal[4:] for signal in reaction.signals] == [taken]
    closing = rules.on_event(event("Order Completed", {"cart_id": "c1"}), taken=7)
    assert closing is not None
    assert [len(signal) for signal in closing.signals] == [4]


def test_a_late_event_only_closes_and_restarts() -> None:
    rules = rules_of(CART, "{event: Order Completed, not_followed_by: {event: Review Written}, within: 7d}")
    assert signals_of(rules, event("Cart Updated", {"cart_id": "c1", "total": 80}), late=True) == [[2, "c1", "c1"]]
    assert signals_of(rules, event("Order Completed", {"cart_id": "c1"}), late=True) == [[1, "", "c1"]]
    assert signals_of(rules, event("Order Completed", {"cart_id": "c1"})) == [[1, "", "c1"], [0, "", ""]]


def test_one_event_may_close_and_arm() -> None:
    rules = rules_of(
        "{event: Visit, where: {long: true}, not_followed_by: {event: Visit, where: {short: true}}, within: 30d}"
    )
    assert signals_of(rules, event("Visit", {"long": True, "short": True})) == [[1, "", ""], [0, "", ""]]
    assert signals_of(rules, event("Visit", {"short": True})) == [[1, "", ""]]
    assert signals_of(rules, event("Visit", {})) == []


def test_without_the_same_value_nothing_is_armed_and_nothing_closed() -> None:
    rules = rules_of("{event: A, not_followed_by: {event: B}, within: 1h, same: ticket, restart_on: C}")
    assert signals_of(rules, event("A", {"ticket": 5})) == [[0, "", "5"]]
    assert signals_of(rules, event("B", {"ticket": "5"})) == [[1, "", "5"]]
    assert signals_of(rules, event("C", {"ticket": "5"})) == [[2, "", "5"]]
    for name in "ABC":
        assert signals_of(rules, event(name, {})) == []


def test_the_horizon_is_the_longest_window() -> None:
    rules = rules_of("{event: A}", CART, "{event: A, not_followed_by: {event: B}, within: 7d}")
    assert rules.horizon == 7 * instant.DAY
    assert RuleSet().horizon == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cart_id", "total", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(JSON, JSON, JSON, st.sampled_from(["Cart Updated", "Order Completed"]), st.sampled_from(["track", "identify"]))
def test_no_body_makes_it_raise(properties: Any, traits: Any, context: Any, name: str, type_: str) -> None:
    rules = rules_of(
        CART, "{event: Cart Updated, where: {context.x: {above: 1}, traits.x: {contains: a}}, key: context.y.x}"
    )
    body = {"properties": properties, "traits": traits, "context": context}
    reaction = rules.on_event(event(name, type_=type_, **body))
    for signal in reaction.signals if reaction else ():
        assert [type(part) for part in signal] == [str, int, str, str, int][: 4 + (signal[1] != CLOSES)]

"""Order of arrival: the same events in any order come to the same people, and to the same knowledge of them.

What is left out depends on order by intent: a cap or a unique type favours who came first, an alias means an anonymous
id only once that is known, and rules act on what they know at the time.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.settings import IdentitySettings, TypeSettings
from schemas.instant import HOUR, MINUTE, parse, render
from schemas.messages import Event
from stream.core.plan import Plan
from stream.embedded.engine import Engine
from stream.simulation.simulator import Simulator
from stream_scenarios import Scenario, accepted, files, load, stored_profiles

NOW = parse("2026-03-10")
TYPES = ("user_id", "email", "phone", "anonymous_id", "device_id")
LOOSE = Plan(IdentitySettings(types=tuple(TypeSettings(name, cap=1_000, unique=False) for name in TYPES)))


def free_of_order(scenario: Scenario) -> bool:
    events = [item for item in scenario.items if isinstance(item, Event)]
    told = scenario.expect
    limited = "refusals" in told or "splits" in told or told.get("counts", {}).get("duplicate")
    return not limited and not any(event.type == "alias" for event in events)


SCENARIOS = {path.stem: scenario for path in files() if free_of_order(scenario := load(path))}


def profiles(events: list[Event], plan: Plan) -> dict[str, dict[str, Any]]:
    simulator = Simulator(plan, partitions=4)
    simulator.play(events)
    return simulator.profiles()


def all_at_once(scenario: Scenario) -> tuple[Plan, list[Event]]:
    """Its events, all arriving after the last of them happened, and nobody to act on them."""
    events = [item for item in scenario.items if isinstance(item, Event)]
    now = max(event.occurred_at for event in events)
    arrived = accepted([(now, dict(event.body)) for event in events], Plan(scenario.plan.identity))
    return Plan(scenario.plan.identity), [event for event in arrived if isinstance(event, Event)]


def test_most_scenarios_are_free_of_order():
    assert len(SCENARIOS) > 12


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_in_any_order_tells_the_same_of_everybody(name):
    plan, events = all_at_once(SCENARIOS[name])
    expected = profiles(events, plan)

    @settings(max_examples=25, deadline=None)
    @given(st.permutations(events))
    def holds(shuffled):
        assert profiles(shuffled, plan) == expected

    holds()


# --- made-up crowds -------------------------------------------------------------------------------------------------

_PEOPLE = {
    "userId": st.sampled_from("uvw"),
    "anonymousId": st.sampled_from("abcdef"),
    "email": st.sampled_from(["x@x.example", "y@x.example", "z@x.example"]),
    "phone": st.sampled_from(["+4930901820", "+4930901821"]),
}
_MOMENTS = st.integers(0, 12).map(lambda minutes: NOW - 4 * HOUR + minutes * MINUTE)
_AMOUNTS = st.integers(0, 9_999).map(lambda cents: f"{cents / 100:.2f}")


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from(sorted(_PEOPLE)), min_size=1, max_size=3))
    who = {name: draw(_PEOPLE[name]) for name in sorted(names)}
    sent_along = {name: who.pop(name) for name in ("email", "phone") if name in who}
    context = {"traits": sent_along, "channel": draw(st.sampled_from(("web", "mobile", "email")))}
    if draw(st.booleans()):
        context["campaign"] = {"source": draw(st.sampled_from(("google", "news"))), "name": "spring"}
    if draw(st.booleans()):
        context["device"] = {"id": draw(st.sampled_from(("d1", "d2"))), "model": draw(st.sampled_from(("P1", "P2")))}
    call = {**who, "context": context, "timestamp": render(draw(_MOMENTS))}
    kind = draw(
        st.sampled_from(
            (
                "identify",
                "group",
                "page",
                "Signed In",
                "Order Completed",
                "Order Updated",
                "Order Refunded",
                "Order Cancelled",
            )
        )
    )
    if kind == "identify":
        traits = st.dictionaries(st.sampled_from(("city", "name", "plan")), st.integers(0, 3) | st.none(), max_size=3)
        return {**call, "type": "identify", "traits": draw(traits)}
    if kind == "group":
        return {**call, "type": "group", "groupId": draw(st.sampled_from(("club", "choir")))}
    if kind == "page":
        return {**call, "type": "page"}
    properties: dict[str, Any] = {}
    if kind.startswith("Order"):
        properties = {
            "order_id": draw(st.sampled_from(("o1", "o2", "o3"))),
            "currency": draw(st.sampled_from(("EUR", "USD"))),
        }
        if draw(st.booleans()):
            properties["total"] = draw(_AMOUNTS)
    return {**call, "type": "track", "event": kind, "properties": properties}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(calls(), min_size=2, max_size=25).flatmap(
        lambda made: st.tuples(st.just(made), st.permutations(range(len(made))))
    )
)
def test_a_crowd_in_any_order_is_the_same_people(crowd):
    made, order = crowd
    numbered = [{**call, "messageId": f"m{number:02}"} for number, call in enumerate(made)]
    events = [each for each in accepted([(NOW, call) for call in numbered], LOOSE) if isinstance(each, Event)]
    assert len(events) == len(made)
    assert profiles([events[place] for place in order], LOOSE) == profiles(events, LOOSE)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_history_in_any_order_is_the_same_on_the_engine(tmp_path, seed):
    """So long that history is settled and the profile shows only the newest of it."""
    dice = random.Random(seed)
    sent = [
        {
            "type": "track",
            "event": dice.choice(("Product Viewed", "Email Opened", "Signed In")),
            "messageId": f"m{number:04}",
            "timestamp": render(NOW - dice.randrange(3_000) * MINUTE),
            "anonymousId": f"a{dice.randrange(6)}",
            **({"userId": f"u{dice.randrange(3)}"} if dice.random() < 0.1 else {}),
        }
        for number in range(900)
    ]
    found = []
    for name in ("first", "second"):
        events = list(accepted([(NOW, call) for call in sent], LOOSE))
        with Engine.open(tmp_path / name, LOOSE) as engine:
            for start in range(0, len(events), 100):
                engine.take(events[start : start + 100])
        found.append(stored_profiles(tmp_path / name))
        dice.shuffle(sent)
    assert found[0] == found[1]
    assert any(len(profile["recent"]) == 50 for profile in found[0].values())

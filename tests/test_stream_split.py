"""A split through the command line: everything is still there, each part with its own, and nothing rejoins."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ANN, BOB = "user_id:ann", "anonymous_id:tablet"


def call(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "messageId": f"m{number}", "timestamp": f"2026-03-02T10:{number:02}:00Z", **fields}


def order(number: int, event: str, order_id: str, total: object, currency: str = "EUR", **who: str) -> dict[str, Any]:
    properties = {"order_id": order_id, "total": total, "currency": currency}
    return call(number, event=event, properties=properties, **who)


HISTORY = [
    call(1, type="identify", userId="ann", traits={"email": "ann@x.example", "name": "Ann", "city": "Bonn"}),
    order(2, "Order Completed", "o1", "19.99", userId="ann"),
    call(3, type="identify", anonymousId="tablet", traits={"email": "ann@x.example", "city": "Köln"}),
    order(4, "Order Completed", "o2", 30.01, anonymousId="tablet"),
    order(5, "Order Refunded", "o2", 10, anonymousId="tablet"),
    order(6, "Order Completed", "o3", 5, "USD", anonymousId="tablet"),
    order(7, "Order Cancelled", "o1", None, userId="ann"),
    call(8, event="Email Opened", context={"traits": {"email": "ann@x.example"}, "channel": "email"}),
    call(9, event="Signed In", userId="ann", context={"channel": "web"}),
]
"""The tablet is Bob's, but somebody once typed Ann's address into it."""
MONEY = (
    "SELECT currency, sum(revenue)::VARCHAR AS revenue, sum(refunded)::VARCHAR AS refunded, count(*) AS orders"
    " FROM mart.fct_order {} GROUP BY currency ORDER BY currency"
)


@pytest.fixture
def world(rapport, ndjson, tmp_path):
    """The history taken in; asks about it."""
    file = ndjson("history.ndjson", *HISTORY)

    class World:
        def replay(self, *more: Path) -> dict[str, Any]:
            ended = rapport("replay", *(more or (file,)), "--data", tmp_path / "data", "--json")
            assert ended.code == 0, ended.err
            return ended.json

        def profile(self, key: str) -> dict[str, Any]:
            return rapport("profile", key, "--data", tmp_path / "data", "--json").json

        def sql(self, query: str) -> list[dict[str, Any]]:
            return rapport("query", query, "--data", tmp_path / "data", "--json").json

        def split(self, *arguments: str) -> dict[str, Any]:
            ended = rapport("identity", "split", *arguments, "--data", tmp_path / "data", "--json")
            assert ended.code == 0, ended.err
            return ended.json

    made = World()
    made.replay()
    return made


def _added(*profiles: dict[str, Any]) -> dict[str, Any]:
    sums: dict[str, Any] = {"orders": 0, "events": Counter(), "channels": Counter()}
    for found in profiles:
        sums["orders"] += found["orders"]["count"]
        sums["events"].update({name: each["count"] for name, each in found["events"].items()})
        sums["channels"].update({name: each["count"] for name, each in found["channels"].items()})
        for kind in ("revenue", "refunded"):
            money = sums.setdefault(kind, Counter())
            for currency, amount in found["orders"][kind].items():
                money[currency] += Decimal(amount)
    return sums


def test_the_parts_sum_to_the_whole(world):
    whole = world.profile(ANN)
    money = world.sql(MONEY.format(""))
    assert whole["orders"]["revenue"] == {"EUR": "50", "USD": "5"}
    assert whole["orders"]["refunded"] == {"EUR": "29.99"}
    assert whole["profile_id"] == world.profile(BOB)["profile_id"]

    world.split(ANN, BOB)
    ann, bob = world.profile(ANN), world.profile(BOB)
    assert _added(ann, bob) == _added(whole)
    assert ann["event_count"] + bob["event_count"] == whole["event_count"] == len(HISTORY)
    assert world.sql(MONEY.format("")) == money
    for found in (ann, bob):
        mine = f"WHERE profile_id = '{found['profile_id']}'"
        shown = {each["currency"]: Decimal(each["revenue"]) for each in world.sql(MONEY.format(mine))}
        assert shown == {unit: Decimal(amount) for unit, amount in found["orders"]["revenue"].items()}
        (customer,) = world.sql(f"SELECT event_count, order_count FROM mart.dim_customer {mine}")
        assert customer == {"event_count": found["event_count"], "order_count": found["orders"]["count"]}


def test_facts_follow_their_identifiers(world):
    facts = (
        "SELECT message_id, identifier_type || ':' || identifier_value AS key, profile_id FROM mart.fct_event"
        " ORDER BY message_id"
    )
    before = world.sql(facts)
    assert len({each["profile_id"] for each in before}) == 1
    world.split(ANN, BOB)
    ann, bob = world.profile(ANN), world.profile(BOB)
    assert ann["profile_id"] == before[0]["profile_id"] != bob["profile_id"]
    after = world.sql(facts)
    assert [(each["message_id"], each["key"]) for each in after] == [
        (each["message_id"], each["key"]) for each in before
    ]
    assert {each["key"]: each["profile_id"] for each in after} == {
        ANN: ann["profile_id"],
        "email:ann@x.example": bob["profile_id"] if "email:ann@x.example" in _keys(bob) else ann["profile_id"],
        BOB: bob["profile_id"],
    }
    assert [each["message_id"] for each in bob["recent"]] == ["m6", "m5", "m4"]
    assert (ann["traits"], bob["traits"]) == ({"city": "Köln", "email": "ann@x.example", "name": "Ann"}, {})


def _keys(profile: dict[str, Any]) -> set[str]:
    return {f"{each['type']}:{each['value']}" for each in profile["identifiers"]}


def test_both_sides_may_be_named_in_full(world):
    parts = world.split(ANN, BOB, "--with-b", "email:ann@x.example")
    assert parts["a"]["identifiers"] == [ANN]
    assert sorted(parts["b"]["identifiers"]) == [BOB, "email:ann@x.example"]
    assert world.profile(BOB)["traits"] == {"city": "Köln", "email": "ann@x.example"}
    assert world.profile(ANN)["traits"] == {"city": "Bonn", "email": "ann@x.example", "name": "Ann"}


def test_nothing_rejoins_whatever_comes_again(world, ndjson):
    world.split(ANN, BOB)
    ids = {key: world.profile(key)["profile_id"] for key in (ANN, BOB)}
    again = world.replay()
    assert (again["applied"], again["duplicate"]) == (0, len(HISTORY))
    retold = [{**each, "messageId": f"{each['messageId']}-retold"} for each in HISTORY]
    direct = call(30, event="Signed In", userId="ann", anonymousId="tablet")
    roundabout = [
        call(31, event="Signed In", anonymousId="tablet", context={"device": {"id": "d1"}}),
        call(32, event="Signed In", userId="ann", context={"device": {"id": "d1"}}),
    ]
    told = world.replay(ndjson("again.ndjson", *retold, direct, *roundabout))
    assert told["applied"] == len(HISTORY) + 3
    assert world.profile(ANN)["profile_id"] != world.profile(BOB)["profile_id"]
    assert world.profile(ANN)["profile_id"] == ids[ANN]
    refused = world.sql("SELECT DISTINCT reason FROM mart.fct_identity_decision WHERE kind = 'refuse'")
    assert refused == [{"reason": "negative_link"}]
    world.split(ANN, BOB)
    assert world.profile(ANN)["profile_id"] == ids[ANN]

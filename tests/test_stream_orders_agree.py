"""The profile's orders and mart.fct_order are two folds of the same events: they must tell the same, whatever comes."""

from __future__ import annotations

import os
import random
from decimal import Decimal
from typing import Any

import duckdb
import orjson
import pytest

from schemas.instant import parse
from stream.core.intake import Intake
from stream.core.plan import Plan
from stream.embedded.engine import Engine
from stream.embedded.reader import Reader
from stream.embedded.store import PUBLISHED

SEED = int(os.environ.get("RAPPORT_SEED", "20260302"))
NOW = 1_772_500_000_000_000

MONEY = (
    12, 0, 19.99, -5, 0.333, 1e-7, 0.0000005, 1e17, 123456789012345678, "7", " 7", "7.50 ", "+3", ".5", "1e2",
    "0.0000005", "\u000b7", "1_000", "seven", "", " " * 41 + "7", "0.3333333333333333",
    "999999999999999999.9999999", True, None, [], {},
)  # fmt: skip
CURRENCIES = ("EUR", "usd", "", "ß", "USDT", "a currency of too many words", 5, None)
NAMES = ("Order Completed", "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled")


ORDERS = 120
SHOWN = 10
"""Orders that a profile shows, and that each customer here has: so it shows all of them."""
NO_IDS = (True, None, "", 1.5, ["o1"])
"""Values of order_id that are none: the event is an order by itself."""


def order_event(dice: random.Random, number: int) -> dict[str, object]:
    order = dice.randrange(ORDERS)
    customer, order_id = f"c{order // SHOWN}", order if dice.random() < 0.2 else str(order)
    if dice.random() < 0.05:
        customer, order_id = f"odd{number}", dice.choice(NO_IDS)
    properties: dict[str, object] = {"order_id": order_id}
    for name in ("revenue", "total"):
        if dice.random() < 0.4:
            properties[name] = dice.choice(MONEY)
    if dice.random() < 0.5:
        properties["currency"] = dice.choice(CURRENCIES)
    if dice.random() < 0.5:
        properties["products"] = [
            {name: dice.choice(MONEY) for name in ("price", "quantity") if dice.random() < 0.8}
            for _ in range(dice.randrange(4))
        ]
    return {
        "type": "track",
        "event": dice.choice(NAMES),
        "userId": customer,
        "messageId": f"m{number:04d}",
        "timestamp": f"2026-03-0{dice.randrange(1, 3)}T10:00:{dice.randrange(60):02d}Z",
        "properties": properties,
    }


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_profile_and_sql_tell_the_same_of_every_order(tmp_path, seed):
    dice = random.Random(seed)
    events = [order_event(dice, number) for number in range(600)]
    lines = map(orjson.dumps, events)
    with Engine.open(tmp_path, Plan()) as engine:
        assert engine.take(Intake(Plan(), lambda: NOW).lines(lines, "orders")) == 600
        engine.publish()
    with duckdb.connect(str(tmp_path / PUBLISHED), read_only=True) as mart:
        told = {order[0]: order for order in mart.execute(TOLD).fetchall()}
    with Reader.open(tmp_path) as reader:
        profiles = [reader.profile(f"user_id:{customer}") for customer in {event["userId"] for event in events}]
    for orders in [profile["orders"] for profile in profiles if profile]:
        shown = [_as_told(order) for order in orders["last"]]
        mine = [told.pop(order_id) for order_id, *_ in shown]
        assert shown == mine
        placed = [order for order in mine if order[1] is not None]
        assert orders["count"] == len(placed)
        for part, column in (("revenue", 2), ("refunded", 4)):
            totals: dict[str, Decimal] = {}
            for order in mine:
                totals[order[3] or ""] = totals.get(order[3] or "", Decimal(0)) + order[column]
            assert {unit: Decimal(amount) for unit, amount in orders[part].items()} == {
                unit: amount for unit, amount in totals.items() if amount or part == "revenue"
            }
    assert not told


TOLD = """
    SELECT o.order_id, any_value(e.placed_at), any_value(o.revenue), any_value(o.currency), any_value(o.refunded)
    FROM mart.fct_order o JOIN (
        SELECT
            coalesce(nullif(CASE WHEN json_type(properties, '$.order_id') IN ('VARCHAR', 'UBIGINT', 'BIGINT')
                THEN properties ->> '$.order_id' END, ''), message_id) AS order_id,
            epoch_us(max(occurred_at) FILTER (name IN ('Order Completed', 'Order Updated'))) AS placed_at
        FROM mart.fct_event GROUP BY 1
    ) e USING (order_id)
    GROUP BY 1
"""
"""The mart's orders: id, newest placement, amount, currency, refunded."""


def _as_told(shown: dict[str, Any]) -> tuple[object, ...]:
    """An order of a profile."""
    at = None if shown["at"] is None else parse(shown["at"])
    return shown["order_id"], at, Decimal(shown["amount"]), shown["currency"] or None, Decimal(shown["refunded"])


def test_a_currency_that_is_none_keeps_nobody_from_publishing(tmp_path):
    lines = [
        orjson.dumps(
            {
                "type": "track",
                "event": "Order Completed",
                "userId": "u",
                "properties": {"order_id": "a", "revenue": 1, **more},
            }
        )
        for more in ({"currency": ""}, {}, {"currency": None})
    ]
    with Engine.open(tmp_path, Plan()) as engine:
        engine.take(Intake(Plan(), lambda: NOW).lines(lines, "orders"))
        assert engine.publish().orders == 1


def test_every_member_of_a_large_profile_keeps_when_it_was_seen(tmp_path):
    devices = [
        {
            "type": "page",
            "userId": "u",
            "messageId": f"d{n}",
            "context": {"device": {"id": f"d{n}"}},
            "timestamp": "2026-01-01T00:00:00Z",
        }
        for n in range(300)
    ]
    with Engine.open(tmp_path, Plan()) as engine:
        engine.take(Intake(Plan(), lambda: NOW).lines(map(orjson.dumps, devices), "pages"))
    with Reader.open(tmp_path) as reader:
        profile = reader.profile("user_id:u")
    assert profile is not None
    assert len(profile["identifiers"]) == 6
    assert {each["first_seen"] for each in profile["identifiers"]} == {"2026-01-01T00:00:00Z"}

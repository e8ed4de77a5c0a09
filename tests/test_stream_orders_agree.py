"""The profile's orders and mart.fct_order are two folds of the same events: they must tell the same, whatever comes."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
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
    "999999999999999999.9999999", True, None, [], {}, "1,234.56", "1.234,56", "19,99", "1,234", "5 EUR", "USD 5",
    "5 \u20ac", "$7", "1\u00a0234,5",
)  # fmt: skip
PLAIN = (1, 2, 3, 0.5, 12, 19.99, "7,50", "30")
CURRENCIES = ("EUR", " eur\n", "€", "usd", "", "ß", "USDT", "a currency of too many words", 5, None)
NAMES = ("Order Completed", "Order Completed", "Order Updated", "Order Refunded", "Order Refunded", "Order Cancelled")
PRODUCTS = ("a", "b", "c", 7, 7.0, "7", "", None, True, 1.5)


ORDERS = 120
SHOWN = 10
"""Orders that a profile shows, and that each customer here has: so it shows all of them."""
NO_IDS = (True, None, "", 1.5, ["o1"])
"""Values of order_id that are none: the event is an order by itself."""


def order_event(dice: random.Random, number: int) -> dict[str, object]:
    order = dice.randrange(ORDERS)
    name = dice.choice(NAMES)
    customer = f"c{order // SHOWN}"
    properties: dict[str, object] = {
        dice.choice(("order_id", "orderId")): dice.choice((order, str(order), float(order))),
    }
    if dice.random() < 0.05:
        customer, properties = f"odd{number}", {"order_id": dice.choice(NO_IDS)}
    amounts = MONEY if dice.random() < 0.5 else PLAIN
    for field in ("revenue", "total"):
        if dice.random() < (0.2 if name == "Order Refunded" else 0.4):
            properties[field] = dice.choice(amounts)
    if dice.random() < 0.4:
        properties["currency"] = dice.choice(CURRENCIES)
    if dice.random() < 0.6:
        properties["products"] = [_product(dice, amounts) for _ in range(dice.randrange(4))]
    elif dice.random() < 0.05:
        properties["products"] = dice.choice((None, "", "a", [], {"product_id": "a"}))
    return {
        "type": "track",
        "event": name,
        "userId": customer,
        "messageId": f"m{dice.randrange(10)}-{number}",
        "timestamp": f"2026-03-0{dice.randrange(1, 3)}T10:00:0{dice.randrange(6)}Z",
        "properties": properties,
    }


def _product(dice: random.Random, amounts: Sequence[object]) -> object:
    if dice.random() < 0.05:
        return dice.choice(("a", None, 7))
    product: dict[str, object] = {name: dice.choice(amounts) for name in ("price", "quantity") if dice.random() < 0.5}
    product |= {name: dice.choice(PRODUCTS) for name in ("product_id", "sku") if dice.random() < 0.6}
    return product


@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_profile_and_sql_tell_the_same_of_every_order(tmp_path, seed):
    dice = random.Random(seed)
    events = [order_event(dice, number) for number in range(900)]
    told, quality, unreadable = compared(tmp_path, events)
    assert quality == unreadable > 0
    assert not told


def test_profile_and_sql_keep_the_same_refunds(tmp_path):
    """More refunds, products and refunded products than are told apart, in an order of arrival of their own."""
    listed = [{"product_id": f"p{number}", "price": number} for number in range(230)]
    events = [order_call("many", "Order Completed", 0, revenue=900, currency="EUR", products=listed)]
    events += [order_call("many", "Order Refunded", number % 150, total=1) for number in range(1, 250)]
    events += [order_call("lines", "Order Completed", 0, products=listed[:60])]
    events += [
        order_call("lines", "Order Refunded", number, products=listed[number : number + 60]) for number in range(9)
    ]
    named = [{"product_id": f"p{number}"} for number in range(60)]
    events += [order_call("named", "Order Completed", 0, products=listed[:60])]
    events += [order_call("named", "Order Refunded", number, products=named) for number in range(9)]
    events += [order_call("wide", "Order Completed", 0, products=listed)]
    events += [order_call("wide", "Order Refunded", 1, products=[{"product_id": f"p{n}"} for n in (7, 199, 200, 220)])]
    events += [order_call("whole", "Order Completed", 0, products=listed)]
    events += [order_call("whole", "Order Refunded", 1, products=[{"product_id": f"p{n}"} for n in range(230)])]
    random.Random(SEED).shuffle(events)
    with_ids = [{**event, "messageId": f"m{number:04d}"} for number, event in enumerate(events)]
    told, *_ = compared(tmp_path, with_ids)
    assert not told
    with duckdb.connect(str(tmp_path / PUBLISHED), read_only=True) as mart:
        cut = mart.execute("SELECT order_id, refunded, refunds_cut FROM mart.fct_order ORDER BY 1").fetchall()
    assert cut == [
        ("lines", sum(sum(range(number, number + 60)) for number in range(9)), False),
        ("many", 200, True),
        ("named", 3 * sum(range(60)), True),
        ("whole", sum(range(200)), True),
        ("wide", 7 + 199, True),
    ]


def order_call(order: str, name: str, second: int, **said: object) -> dict[str, object]:
    at = f"2026-03-01T10:{second // 60:02d}:{second % 60:02d}Z"
    return {"type": "track", "event": name, "userId": "u", "timestamp": at, "properties": {"order_id": order, **said}}


def compared(folder: Path, events: Sequence[dict[str, object]]) -> tuple[dict[str, Any], int, int]:
    """Takes events; compares each profile's orders with SQL's. Returns the orders that no profile shows, the rows of
    mart.data_quality, and the unreadable amounts that the engine counted."""
    with Engine.open(folder, Plan()) as engine:
        assert engine.take(Intake(Plan(), lambda: NOW).lines(map(orjson.dumps, events), "orders")) == len(events)
        engine.publish()
        unreadable = engine.counts.unreadable
    with duckdb.connect(str(folder / PUBLISHED), read_only=True) as mart:
        told = {order[0]: order for order in mart.execute(TOLD).fetchall()}
        customers = {row[0]: row[1:] for row in mart.execute(CUSTOMERS).fetchall()}
        [(quality,)] = mart.execute("SELECT count(*) FROM mart.data_quality").fetchall()
    with Reader.open(folder) as reader:
        profiles = [reader.profile(f"user_id:{customer}") for customer in {event["userId"] for event in events}]
    for profile in filter(None, profiles):
        orders = profile["orders"]
        shown = [_as_told(order) for order in orders["last"]]
        mine = [told.pop(order_id) for order_id, *_ in shown]
        assert shown == mine
        assert orders["unreadable"] == sum(order[9] for order in mine)
        count, revenue, refunded, currency, by_currency = customers[profile["profile_id"]]
        assert orders["count"] == count
        assert {unit: Decimal(amount) for unit, amount in orders["revenue"].items()} == (by_currency or {})
        known = orders["revenue"].get(currency or "") if count else "0"
        assert revenue == (None if known is None else Decimal(known))
        assert refunded == Decimal(orders["refunded"].get(currency or "", 0))
    return told, quality, unreadable


TOLD = """
    SELECT
        order_id, epoch_us(occurred_at), epoch_us(updated_at), status, revenue, currency, refunded,
        refunded_other::VARCHAR, lines, unreadable, refunds_cut
    FROM mart.fct_order
"""
CUSTOMERS = "SELECT profile_id, order_count, revenue, refunded, currency, revenue_by_currency FROM mart.dim_customer"


def _as_told(shown: dict[str, Any]) -> tuple[object, ...]:
    """An order of a profile."""
    other = ",".join(f'"{unit}":{amount}' for unit, amount in shown["refunded_other"].items())
    return (
        shown["order_id"],
        parse(shown["at"]),
        parse(shown["updated_at"]),
        shown["status"],
        None if shown["amount"] is None else Decimal(shown["amount"]),
        shown["currency"],
        None if shown["refunded"] is None else Decimal(shown["refunded"]),
        f"{{{other}}}" if other else None,
        shown["lines"],
        shown["unreadable"],
        shown["refunds_cut"],
    )


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

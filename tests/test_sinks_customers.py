"""Customers in SQL: one row a profile, the newest of everything, nothing damaged."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from schemas.keys import profile_id
from sinks_samples import (
    event,
    identify,
    merge,
    order,
    published,
    refusal,
    rows,
)

NAUGHTY = Path(__file__).parents[2] / "shared" / "data" / "security" / "blns.json"
moment = datetime.fromisoformat
U1, U2, ANON, MAIL = "user_id:1", "user_id:2", "anonymous_id:a", "email:a@b.c"
NINE, TEN, NOON = "2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z", "2026-03-02T12:00:00Z"
REFUND = "Order Refunded"


def test_a_customer_row_sums_up_a_profile(tmp_path):
    connection = published(
        tmp_path,
        facts=[
            event(U1, ANON, MAIL, message_id="m1", when=TEN),
            event(ANON, message_id="m2", when=NINE, channel="mobile", type_="page"),
            order(U1, "m3", TEN, order_id="o1", revenue=10, currency="EUR"),
            order(U1, "m4", TEN, order_id="o2", revenue=20, currency="EUR"),
            order(U1, "m5", NOON, REFUND, order_id="o2", total=5)._replace(channel=None),
            order(U1, "m6", TEN, order_id="o3", revenue=900, currency="USD"),
            event(U2, "email:old@b.c", message_id="m7", when=TEN),
            event("email:new@b.c", message_id="m8", when=NOON),
        ],
        identity=[merge(1, U1, ANON, [ANON, MAIL]), merge(2, U2, "email:old@b.c", ["email:old@b.c", "email:new@b.c"])],
    )
    found = connection.execute("FROM mart.dim_customer WHERE user_id = '1'")
    row = dict(zip([column[0] for column in found.description], found.fetchone(), strict=True))
    assert row == {
        "profile_id": profile_id(U1),
        "first_seen": moment("2026-03-02 09:00"),
        "last_seen": moment("2026-03-02 12:00"),
        "event_count": 6,
        "order_count": 3,
        "revenue": Decimal(30),
        "refunded": Decimal(5),
        "net_revenue": Decimal(25),
        "currency": "EUR",
        "revenue_by_currency": {"EUR": Decimal(30), "USD": Decimal(900)},
        "first_order_at": moment("2026-03-02 10:00"),
        "last_order_at": moment("2026-03-02 10:00"),
        "traits": "{}",
        "email": "a@b.c",
        "phone": None,
        "user_id": "1",
        "identifier_count": 3,
        "channels": ["mobile", "web"],
        "first_channel": "mobile",
        "last_channel": None,
        "last_event": "Order Refunded",
    }
    assert rows(
        connection, "SELECT email, order_count, revenue, currency FROM mart.dim_customer WHERE user_id = '2'"
    ) == [("new@b.c", 0, 0, None)]


def test_unknown_amounts_are_in_no_sum_and_refunds_count_in_their_own_currency(tmp_path):
    connection = published(
        tmp_path,
        facts=[
            order(U1, "m1", TEN, order_id="o1", revenue=10, currency="EUR"),
            order(U1, "m2", TEN, order_id="o2", revenue="1,234", currency="EUR"),
            order(U1, "m3", TEN, order_id="o3", revenue=1000, currency="SEK"),
            order(U1, "m4", NOON, REFUND, order_id="o3", total=4, currency="EUR"),
            order(U1, "m5", NOON, REFUND, order_id="o3", total=100),
            order(U2, "m6", TEN, order_id="o4", revenue="x", currency="EUR"),
            order(U2, "m7", TEN, order_id="o5", currency="SEK"),
            order("user_id:3", "m8", TEN, REFUND, order_id="o6", total=5, currency="SEK"),
        ],
    )
    sql = (
        "SELECT order_count, revenue, refunded, net_revenue, currency, revenue_by_currency"
        " FROM mart.dim_customer ORDER BY user_id"
    )
    assert rows(connection, sql) == [
        (3, 10, 4, 6, "EUR", {"EUR": 10, "SEK": 1000}),
        (2, None, 0, None, "EUR", None),
        (0, 0, 5, -5, "SEK", None),
    ]
    sql = "SELECT order_id, unreadable, refunded, refunded_other->>'EUR' FROM mart.fct_order ORDER BY 1"
    assert rows(connection, sql) == [
        ("o1", 0, 0, None),
        ("o2", 1, 0, None),
        ("o3", 0, 100, "4"),
        ("o4", 1, 0, None),
        ("o5", 0, 0, None),
        ("o6", 0, 5, None),
    ]


def test_an_identifier_without_events_is_no_customer(tmp_path):
    connection = published(tmp_path, facts=[event(U1, ANON, message_id="m1")], identity=[refusal(1, U1, U2)])
    assert rows(connection, "SELECT profile_id FROM mart.dim_customer") == [(profile_id(U1),)]


def traits_of(connection: duckdb.DuckDBPyConnection) -> Mapping[str, Any]:
    [(text,)] = rows(connection, "SELECT traits FROM mart.dim_customer")
    return json.loads(text)


def test_the_newest_trait_wins_in_any_order_of_arrival(tmp_path):
    """A customer for each order."""
    facts, identity = [], []
    for number, order_of_arrival in enumerate(itertools.permutations(range(4)), 1):
        user, device = f"user_id:{number}", f"anonymous_id:{number}"
        said = [
            identify(user, f"{number}-1", NINE, {"plan": "free", "name": "Ada", "nested": {"a": [1.10, None]}}),
            identify(user, f"{number}-2", TEN, {"plan": "pro", "big": 12345678901234567}),
            identify(device, f"{number}-3", TEN, {"plan": "gold", "name": None}),
            event(user, message_id=f"{number}-4", type_="group", when=NOON, traits={"plan": "no"}),
        ]
        facts += [said[place] for place in order_of_arrival]
        identity.append(merge(number, user, device, [device]))
    found = rows(published(tmp_path, facts=facts, identity=identity), "SELECT traits FROM mart.dim_customer")
    newest = {"plan": "gold", "name": None, "nested": {"a": [1.1, None]}, "big": 12345678901234567}
    assert [json.loads(traits) for (traits,) in found] == [newest] * 24


@pytest.mark.parametrize("calls", [1, 2])
def test_naughty_strings_come_back_as_names_and_values(tmp_path, calls):
    if not NAUGHTY.exists():
        pytest.skip(f"{NAUGHTY} is missing")
    naughty = json.loads(NAUGHTY.read_text(encoding="utf-8"))
    traits = {f"value_{number}": text for number, text in enumerate(naughty)} | {
        text: number for number, text in enumerate(naughty)
    }
    connection = published(tmp_path, facts=[identify(U1, f"m{call}", TEN, traits) for call in range(calls)])
    assert traits_of(connection) == traits
    for number, text in enumerate(naughty):
        assert rows(connection, f"SELECT traits->>'value_{number}' FROM mart.dim_customer") == [(text,)]

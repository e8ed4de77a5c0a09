"""Orders in SQL: exact money, refunds netted, one row an order id."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path

import duckdb
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import money
from schemas.keys import profile_id
from schemas.messages import Event
from sinks.marts.models import functions
from sinks_samples import (
    event,
    merge,
    order,
    published,
    rows,
    split,
)

U1, U2, MAIL = "user_id:1", "user_id:2", "email:a@b.c"
NINE, TEN, NOON = "2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z", "2026-03-02T12:00:00Z"
REFUND, CANCEL = "Order Refunded", "Order Cancelled"


@pytest.fixture(scope="module")
def macros():
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA raw")
        for file in functions():
            connection.execute(file)
        yield connection


MONEY = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False, places=8).map(str),
    st.from_regex(r"\A[ \t\n]?[+-]?[0-9]{0,4}\.?[0-9]{0,9}([eE][+-]?[0-9]{1,2})?[ \t\n]?\Z"),
    st.sampled_from(
        [
            True,
            None,
            [],
            {},
            "",
            " ",
            "NaN",
            "-Infinity",
            "1e400",
            "1" + "0" * 39,
            "0" * 39 + "1",
            "0" * 40 + "1",
            "0.0000005",
            "0.0000015",
            "x",
            1e18,
        ]
    ),
)


@settings(max_examples=25)
@given(st.lists(MONEY, max_size=60))
@example(["0" * 39 + "1", "0" * 40 + "1", "1" + "0" * 18, "0.0000005", "-0.0000015", "1e-400", True, None])
def test_amounts_are_those_of_the_money_module(macros, values):
    documents = [orjson.dumps({"a": value}).decode() for value in values]
    expected = [money.amount(orjson.loads(document)["a"]) for document in documents]
    found = rows(
        macros, "SELECT money(CAST(each AS JSON), '$.a') FROM (SELECT unnest(CAST(? AS VARCHAR[])) AS each)", documents
    )
    assert [amount for (amount,) in found] == expected


def the_order(tmp_path: Path, *facts: Event) -> tuple[str, Decimal, Decimal, str | None, int]:
    [found] = rows(
        published(tmp_path, facts=facts), "SELECT status, revenue, refunded, currency, lines FROM mart.fct_order"
    )
    return found


PRODUCTS = [{"price": 19.99, "quantity": 2}, {"price": "0.02"}, {"price": 5, "quantity": None}, "?", {"price": True}]


@pytest.mark.parametrize(
    ("properties", "revenue", "currency", "lines"),
    [
        ({"revenue": 0.1, "total": 9, "currency": "eur"}, "0.1", "EUR", 0),
        ({"revenue": "n/a", "total": "9.90"}, "9.9", None, 0),
        ({"products": PRODUCTS, "currency": 7}, "40", None, 5),
        ({"revenue": 999999999999999999, "products": []}, "999999999999999999", None, 0),
        ({"revenue": 1e18, "total": 1e17, "products": {"price": 1}}, "1e17", None, 0),
        ({"products": [{"price": 1e17, "quantity": 1e17}, {"price": 3}]}, "3", None, 2),
        ({"revenue": -3}, "-3", None, 0),
        ({}, "0", None, 0),
    ],
)
def test_an_order_amount_is_exact(tmp_path, properties, revenue, currency, lines):
    found = the_order(tmp_path, order(U1, "m1", TEN, order_id="o1", **properties))
    assert found == ("completed", Decimal(revenue), Decimal(0), currency, lines)


@pytest.mark.parametrize(
    ("facts", "status", "refunded"),
    [
        ([order(U1, "r", NOON, REFUND, order_id="o1", total=3)], "partly_refunded", "3"),
        ([order(U1, "r", NOON, REFUND, order_id="o1", revenue="-3.5", total="x")], "partly_refunded", "3.5"),
        ([order(U1, "r", NOON, REFUND, order_id="o1", products=[{"price": 2}])], "partly_refunded", "2"),
        ([order(U1, "r", NINE, REFUND, order_id="o1")], "refunded", "10"),
        ([order(U1, "r", NOON, CANCEL, order_id="o1", total=1)], "cancelled", "10"),
        ([order(U1, f"r{n}", NOON, REFUND, order_id="o1", total=4) for n in range(3)], "refunded", "12"),
        (
            [order(U1, "r", NOON, REFUND, order_id="o1", total=12), order(U1, "c", NOON, CANCEL, order_id="o1")],
            "cancelled",
            "12",
        ),
        (
            [order(U1, "r", NOON, REFUND, order_id="o1", total=4), order(U1, "c", NOON, CANCEL, order_id="o1")],
            "cancelled",
            "10",
        ),
    ],
)
def test_refunds_and_cancellations_are_netted(tmp_path, facts, status, refunded):
    found = the_order(tmp_path, order(U1, "m1", TEN, order_id="o1", revenue=10, currency="EUR"), *facts)
    assert found == (status, Decimal(10), Decimal(refunded), "EUR", 0)


def test_the_newest_placement_states_the_amount_in_any_order_of_arrival(tmp_path):
    facts = [
        order(U1, "m1", NINE, order_id="o1", revenue=1, currency="USD"),
        order(U1, "m2", TEN, "Order Updated", order_id="o1", revenue=2, currency="EUR"),
        order(U1, "m3", TEN, "Order Updated", order_id="o1", revenue=3, currency="EUR", products=[{}]),
    ]
    for number, permuted in enumerate(itertools.permutations(facts)):
        assert the_order(tmp_path / str(number), *permuted) == ("completed", Decimal(3), Decimal(0), "EUR", 1)


def test_one_row_an_order_id_owned_by_who_placed_it(tmp_path):
    connection = published(
        tmp_path,
        facts=[
            order(U1, "m1", TEN, order_id=17, revenue=5),
            order(U2, "m2", NOON, REFUND, order_id="17", total=5),
            order(U1, "m3", TEN, revenue=7),
            order(U1, "m4", TEN, order_id=True, revenue=1),
            order(U1, "m5", TEN, order_id="", revenue=1),
            order(U2, "m6", TEN, REFUND, order_id="gone", total=2, currency="EUR"),
            event(U1, message_id="m7", type_="page", properties={"order_id": "no"}),
        ],
    )
    assert rows(
        connection, "SELECT order_id, profile_id, revenue, refunded, status FROM mart.fct_order ORDER BY 1"
    ) == [
        ("17", profile_id(U1), 5, 5, "refunded"),
        ("gone", profile_id(U2), 0, 2, "unplaced"),
        ("m3", profile_id(U1), 7, 0, "completed"),
        ("m4", profile_id(U1), 1, 0, "completed"),
        ("m5", profile_id(U1), 1, 0, "completed"),
    ]


def test_a_split_takes_orders_along_and_sums_stay(tmp_path):
    facts = [order(U1, "m1", TEN, order_id="o1", revenue="0.1"), order(MAIL, "m2", TEN, order_id="o2", revenue="0.2")]
    together = published(tmp_path / "1", facts=facts, identity=[merge(1, U1, MAIL, [MAIL])])
    apart = published(tmp_path / "2", facts=facts, identity=[merge(1, U1, MAIL, [MAIL]), split(2, U1, MAIL, [MAIL])])
    sql = "SELECT profile_id, order_count, revenue FROM mart.dim_customer ORDER BY revenue"
    assert rows(together, sql) == [(profile_id(U1), 2, Decimal("0.3"))]
    assert rows(apart, sql) == [(profile_id(U1), 1, Decimal("0.1")), (profile_id(MAIL), 1, Decimal("0.2"))]

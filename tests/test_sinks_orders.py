"""Orders in SQL: exact money, refunds netted, one row an order id."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

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


SPELLINGS: list[list[Any]] = json.loads((Path(__file__).parent / "data" / "amounts.json").read_text())
"""A JSON value, the amount it states, the currency its text names."""


def read_in_sql(macros: duckdb.DuckDBPyConnection, values: list[Any]) -> list[tuple[Decimal | None, str | None, bool]]:
    documents = [orjson.dumps({"a": value}).decode() for value in values]
    return rows(
        macros,
        "SELECT says.amount, says.code, says.stated FROM (SELECT unnest(amounts_in(["
        " each -> '$.a' FOR each IN CAST(? AS JSON[])])) AS says)",
        documents,
    )


def test_sql_reads_the_shared_table_of_spellings(macros):
    assert len(SPELLINGS) > 100
    found = read_in_sql(macros, [value for value, *_ in SPELLINGS])
    for (value, amount, code), (read, named, says) in zip(SPELLINGS, found, strict=True):
        assert (read, named) == (None if amount is None else Decimal(amount), code), repr(value)
        assert says is money.stated(value), repr(value)


MONEY = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False, places=8).map(str),
    st.from_regex(r"\A[ \t\n]?[+-]?[0-9]{0,4}\.?[0-9]{0,9}([eE][+-]?[0-9]{1,2})?[ \t\n]?\Z"),
    st.text(alphabet="0123456789.,' \u2019\u2212+-$€£eEURkr\u00a0\u202f\n", max_size=14),
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


@settings(max_examples=50)
@given(st.lists(MONEY, max_size=60))
@example(["0" * 39 + "1", "0" * 40 + "1", "1" + "0" * 18, "0.0000005", "-0.0000015", "1e-400", True, None])
def test_amounts_are_those_of_the_money_module(macros, values):
    values = [orjson.loads(orjson.dumps(value)) for value in values]
    expected = [(money.amount(value), money.code(value), money.stated(value)) for value in values]
    assert read_in_sql(macros, values) == expected


@given(st.lists(st.tuples(*[st.decimals(-(10**9), 10**9, places=6)] * 3), min_size=1, max_size=40))
@example([(Decimal("9e18"), Decimal("9e17"), Decimal(1)), (Decimal(10), Decimal(1), Decimal(3))])
def test_shares_are_those_of_the_money_module(macros, parts):
    found = rows(
        macros,
        "SELECT share_of(CAST(p.v AS DECIMAL(38, 6)), CAST(p.p AS DECIMAL(28, 6)), CAST(p.w AS DECIMAL(28, 6)))"
        " FROM (SELECT unnest(CAST(? AS STRUCT(v VARCHAR, p VARCHAR, w VARCHAR)[])) AS p)",
        [{"v": f"{value:f}", "p": f"{part:f}", "w": f"{whole:f}"} for value, part, whole in parts],
    )
    assert [share for (share,) in found] == [money.share(*each) for each in parts]


def the_order(tmp_path: Path, *facts: Event) -> tuple[str, Decimal | None, Decimal | None, str | None, int]:
    [found] = rows(
        published(tmp_path, facts=facts), "SELECT status, revenue, refunded, currency, lines FROM mart.fct_order"
    )
    return found


PRODUCTS = [{"price": 19.99, "quantity": 2}, {"price": "0.02"}, {"price": 5, "quantity": None}, "?", {"price": None}]


@pytest.mark.parametrize(
    ("properties", "revenue", "currency", "lines"),
    [
        ({"revenue": 0.1, "total": 9, "currency": "eur"}, "0.1", "EUR", 0),
        ({"revenue": "n/a", "total": "9.90"}, "9.9", None, 0),
        ({"revenue": "1.234,56 €"}, "1234.56", "EUR", 0),
        ({"products": PRODUCTS, "currency": 7}, "45", None, 5),
        ({"products": [*PRODUCTS, {"price": True}]}, None, None, 6),
        ({"revenue": 999999999999999999, "products": []}, "999999999999999999", None, 0),
        ({"revenue": 1e18, "total": 1e17, "products": {"price": 1}}, "1e17", None, 0),
        ({"products": [{"price": 1e17, "quantity": 1e17}, {"price": 3}]}, None, None, 2),
        ({"revenue": -3}, "-3", None, 0),
        ({"revenue": "1,234", "products": [{"price": 3}]}, None, None, 1),
        ({}, None, None, 0),
    ],
)
def test_an_order_amount_is_exact(tmp_path, properties, revenue, currency, lines):
    found = the_order(tmp_path, order(U1, "m1", TEN, order_id="o1", **properties))
    assert found == ("completed", None if revenue is None else Decimal(revenue), Decimal(0), currency, lines)


@pytest.mark.parametrize(
    ("facts", "status", "refunded"),
    [
        ([order(U1, "r", NOON, REFUND, order_id="o1", total=3)], "partly_refunded", "3"),
        ([order(U1, "r", NOON, REFUND, order_id="o1", revenue="-3.5")], "partly_refunded", "3.5"),
        ([order(U1, "r", NOON, REFUND, order_id="o1", revenue="-3.5", total="x")], "completed", "0"),
        ([order(U1, "r", NOON, REFUND, order_id="o1", products=[{"price": 2}])], "partly_refunded", "2"),
        (
            [order(who, "r", when, REFUND, order_id="o1", total=3) for who, when in ((U1, NOON), (MAIL, TEN))],
            "partly_refunded",
            "3",
        ),
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
        ("gone", profile_id(U2), None, 2, "unplaced"),
        ("m3", profile_id(U1), 7, 0, "completed"),
        ("m4", profile_id(U1), 1, 0, "completed"),
        ("m5", profile_id(U1), 1, 0, "completed"),
    ]


def test_every_amount_that_cannot_be_read_is_a_row_of_data_quality(tmp_path):
    bad = {"price": "x", "quantity": 2}
    connection = published(
        tmp_path,
        facts=[
            order(U1, "m1", NINE, order_id="o1", revenue="1,234", total="n/a", products=[bad, {"price": 1}]),
            order(U1, "m2", TEN, REFUND, orderId=7.0, total="a lot"),
            order(U2, "m3", NOON, "Order Updated", revenue=1, products="a, b"),
            order(U2, "m4", NOON, CANCEL, order_id="o1", total="a lot"),
            order(U2, "m5", NOON, order_id="o2", revenue="", total=None, products=[]),
            event(U1, message_id="m6", name="Cart Updated", properties={"total": "a lot"}),
        ],
    )
    sql = "SELECT problem, field, value, event_name, order_id, message_id, profile_id FROM mart.data_quality"
    assert rows(connection, f"{sql} ORDER BY message_id, field, value") == [
        ("unreadable_amount", *row)
        for row in (
            ("products", json.dumps(bad, separators=(",", ":")), "Order Completed", "o1", "m1", profile_id(U1)),
            ("revenue", "1,234", "Order Completed", "o1", "m1", profile_id(U1)),
            ("total", "n/a", "Order Completed", "o1", "m1", profile_id(U1)),
            ("total", "a lot", "Order Refunded", "7", "m2", profile_id(U1)),
            ("products", "a, b", "Order Updated", "m3", "m3", profile_id(U2)),
        )
    ]


def test_a_split_takes_orders_along_and_sums_stay(tmp_path):
    facts = [order(U1, "m1", TEN, order_id="o1", revenue="0.1"), order(MAIL, "m2", TEN, order_id="o2", revenue="0.2")]
    together = published(tmp_path / "1", facts=facts, identity=[merge(1, U1, MAIL, [MAIL])])
    apart = published(tmp_path / "2", facts=facts, identity=[merge(1, U1, MAIL, [MAIL]), split(2, U1, MAIL, [MAIL])])
    sql = "SELECT profile_id, order_count, revenue FROM mart.dim_customer ORDER BY revenue"
    assert rows(together, sql) == [(profile_id(U1), 2, Decimal("0.3"))]
    assert rows(apart, sql) == [(profile_id(U1), 1, Decimal("0.1")), (profile_id(MAIL), 1, Decimal("0.2"))]

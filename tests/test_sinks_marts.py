"""The marts: given outputs, expect rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sinks_samples import (
    at,
    event,
    identify,
    merge,
    order,
    published,
    refusal,
    rejected,
    rows,
    rule_decision,
    split,
    trigger,
)

from schemas import money
from schemas.keys import profile_id
from schemas.messages import Dropped, Event
from sinks.publisher import scripts

NAUGHTY = Path(__file__).parents[2] / "shared" / "data" / "security" / "blns.json"
moment = datetime.fromisoformat
U1, U2, ANON, MAIL = "user_id:1", "user_id:2", "anonymous_id:a", "email:a@b.c"


@pytest.fixture(scope="module")
def macros():
    with duckdb.connect() as connection:
        connection.execute(scripts()[0])
        yield connection


# --- rules that SQL shares with Python --------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("email:é\x00")
@example("anonymous_id:😀")
def test_profile_ids_are_those_of_the_keys_module(macros, key):
    assert rows(macros, "SELECT profile_id_of(?)", key) == [(profile_id(key),)]


MONEY = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False, places=8).map(str),
    st.from_regex(r"\A[ \t\n]?[+-]?[0-9]{0,4}\.?[0-9]{0,9}([eE][+-]?[0-9]{1,2})?[ \t\n]?\Z"),
    st.sampled_from([True, None, [], {}, "", " ", "NaN", "-Infinity", "1e400", "0.0000005", "0.0000015", "x", 1e18]),
)


@settings(max_examples=25)
@given(st.lists(MONEY, max_size=60))
def test_amounts_are_those_of_the_money_module(macros, values):
    documents = [orjson.dumps({"a": value}).decode() for value in values]
    expected = [money.amount(orjson.loads(document)["a"]) for document in documents]
    found = rows(
        macros, "SELECT money(CAST(each AS JSON), '$.a') FROM (SELECT unnest(CAST(? AS VARCHAR[])) AS each)", documents
    )
    assert [amount for (amount,) in found] == expected


# --- who is who -----------------------------------------------------------------------------------------------------


def owners(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(
        connection.execute(
            "SELECT identifier_type || ':' || identifier_value, profile_id FROM mart.bridge_identity"
        ).fetchall()
    )


def test_every_identifier_is_its_own_profile_until_linked(tmp_path):
    connection = published(tmp_path, facts=[event(U1, ANON, message_id="m1"), event(MAIL, message_id="m2")])
    assert owners(connection) == {key: profile_id(key) for key in (U1, ANON, MAIL)}


def test_the_latest_decision_places_an_identifier(tmp_path):
    connection = published(
        tmp_path,
        facts=[event(U1, ANON, message_id="m1"), event(ANON, message_id="m2", when="2026-03-02T09:00:00Z")],
        identity=[
            merge(1, MAIL, ANON, [ANON]),
            merge(2, U1, MAIL, [MAIL, ANON]),
            refusal(3, U1, U2),
            split(4, U1, MAIL, [MAIL, "email:z"]),
        ],
    )
    assert owners(connection) == {
        U1: profile_id(U1),
        ANON: profile_id(U1),
        MAIL: profile_id(MAIL),
        "email:z": profile_id(MAIL),
        U2: profile_id(U2),
    }
    linked = rows(connection, "SELECT identifier_value, linked_at FROM mart.bridge_identity ORDER BY ALL")
    assert linked == [
        ("1", moment("2026-03-02 10:00")),
        ("2", moment("2026-03-02 11:00")),
        ("a", moment("2026-03-02 11:00")),
        ("a@b.c", moment("2026-03-03 11:00")),
        ("z", moment("2026-03-03 11:00")),
    ]
    events = rows(connection, "SELECT message_id, profile_id FROM mart.fct_event ORDER BY ALL")
    assert events == [("m1", profile_id(U1)), ("m2", profile_id(U1))]


def test_a_key_keeps_its_colons_and_odd_characters(tmp_path):
    key = "device_id:a:b\x00'\"ü"
    connection = published(tmp_path, facts=[event(key, message_id="m")])
    assert rows(connection, "SELECT identifier_type, identifier_value, profile_id FROM mart.fct_event") == [
        ("device_id", "a:b\x00'\"ü", profile_id(key))
    ]


def test_identity_decisions_name_profiles_and_drops(tmp_path):
    dropped = (Dropped("user_id", "null", "blocked"), Dropped("phone", "x:y", "malformed"))
    connection = published(
        tmp_path,
        facts=[event(U1, message_id="m9", when="2026-03-04T00:00:00Z", dropped=dropped)],
        identity=[merge(1, U1, ANON, [ANON]), refusal(2, U2, U1)],
    )
    found = rows(
        connection, "SELECT decision, kind, winner, loser, reason, message_id, a, moved FROM mart.fct_identity_decision"
    )
    assert found == [
        (1, "merge", profile_id(U1), profile_id(ANON), "shared event", "m", U1, [ANON]),
        (2, "refuse", profile_id(U2), profile_id(U1), "unique user_id", "m", U2, []),
        (None, "drop", None, None, "malformed", "m9", "phone:x:y", []),
        (None, "drop", None, None, "blocked", "m9", "user_id:null", []),
    ]


# --- orders ---------------------------------------------------------------------------------------------------------


def the_order(tmp_path: Path, *facts: Event) -> tuple[str, Decimal, Decimal, str | None, int]:
    [found] = rows(
        published(tmp_path, facts=facts), "SELECT status, revenue, refunded, currency, lines FROM mart.fct_order"
    )
    return found


NINE, TEN, NOON = "2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z", "2026-03-02T12:00:00Z"
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


REFUND, CANCEL = "Order Refunded", "Order Cancelled"


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


# --- customers ------------------------------------------------------------------------------------------------------


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


def test_an_identifier_without_events_is_no_customer(tmp_path):
    connection = published(tmp_path, facts=[event(U1, ANON, message_id="m1")], identity=[refusal(1, U1, U2)])
    assert rows(connection, "SELECT profile_id FROM mart.dim_customer") == [(profile_id(U1),)]


def traits_of(connection: duckdb.DuckDBPyConnection) -> Mapping[str, Any]:
    [(text,)] = rows(connection, "SELECT traits FROM mart.dim_customer")
    return json.loads(text)


def test_the_newest_trait_wins_in_any_order_of_arrival(tmp_path):
    facts = [
        identify(U1, "m1", NINE, {"plan": "free", "name": "Ada", "nested": {"a": [1.10, None]}}),
        identify(U1, "m2", TEN, {"plan": "pro", "big": 12345678901234567}),
        identify(ANON, "m3", TEN, {"plan": "gold", "name": None}),
        event(U1, message_id="m4", type_="group", when=NOON, traits={"plan": "no"}),
    ]
    for number, permuted in enumerate(itertools.permutations(facts)):
        connection = published(tmp_path / str(number), facts=permuted, identity=[merge(1, U1, ANON, [ANON])])
        assert traits_of(connection) == {
            "plan": "gold",
            "name": None,
            "nested": {"a": [1.1, None]},
            "big": 12345678901234567,
        }


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


# --- the rest -------------------------------------------------------------------------------------------------------


def test_triggers_and_rule_decisions_are_kept_whole(tmp_path):
    connection = published(tmp_path, triggers=[trigger("t1", {"to": "ü"})], decisions=[rule_decision("cart-1")])
    assert rows(connection, "FROM mart.fct_trigger") == [
        (
            "t1",
            "cart",
            "v1",
            "p",
            "cart-1",
            "send",
            '{"to":"ü"}',
            moment("2026-03-02 13:00"),
            moment("2026-03-02 12:00"),
        )
    ]
    assert rows(connection, "FROM mart.fct_rule_decision") == [
        ("cart", "v1", "p", "cart-1", "m", "fired", "no purchase in 3 h", moment("2026-03-02 13:00"))
    ]


@pytest.mark.parametrize(
    ("payload", "shown"),
    [(b'{"a": \xc3\xbc', '{"a": ü'), (b"\xff{", "/3s="), (b"a\x00b", "YQBi"), (b"", "")],
)
def test_refused_input_is_readable_and_exact(tmp_path, payload, shown):
    connection = published(tmp_path, rejected=[rejected(payload, value="v")])
    assert rows(
        connection, "SELECT rejected_at, code, value, payload, payload_bytes, payload_length FROM mart.fct_rejected"
    ) == [(moment("2026-03-02 10:00"), "not_json", "v", shown, payload, len(payload))]


def test_raw_has_segments_tables(tmp_path):
    def call(type_: str, **body: Any) -> Event:
        return event(U1, "anonymous_id:b", message_id=type_, type_=type_, **body)

    connection = published(
        tmp_path,
        facts=[
            call("track", properties={"a": 1}),
            call("identify", traits={"b": 2}),
            call("page")._replace(body={"name": "Home", "properties": {}}),
            call("screen")._replace(body={"name": "Start"}),
            call("group", groupId="g", traits={"c": 3}),
            event(U1, message_id="alias", type_="alias", previous="old"),
        ],
    )
    assert rows(connection, "SELECT id, user_id, anonymous_id, event, properties FROM raw.tracks") == [
        ("track", "1", "b", "Product Viewed", '{"a":1}')
    ]
    assert rows(connection, "SELECT id, traits FROM raw.identifies") == [("identify", '{"b":2}')]
    assert rows(connection, "SELECT id, name, properties FROM raw.pages") == [("page", "Home", "{}")]
    assert rows(connection, "SELECT id, name, properties FROM raw.screens") == [("screen", "Start", None)]
    assert rows(connection, "SELECT id, group_id, traits FROM raw.groups") == [("group", "g", '{"c":3}')]
    assert rows(connection, "SELECT id, user_id, previous_id, timestamp FROM raw.aliases") == [
        ("alias", "1", "old", moment("2026-03-02 10:00"))
    ]
    assert at("2026-03-02T10:00:00Z") == rows(connection, "SELECT epoch_us(timestamp) FROM raw.tracks")[0][0]

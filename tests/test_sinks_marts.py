"""Identities, raw tables and decisions in SQL: given outputs, expect rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.keys import profile_id
from schemas.messages import Dropped, Event
from sinks.marts.models import functions
from sinks_samples import (
    at,
    event,
    merge,
    published,
    refusal,
    rejected,
    rows,
    rule_decision,
    split,
    trigger,
)

moment = datetime.fromisoformat
U1, U2, ANON, MAIL = "user_id:1", "user_id:2", "anonymous_id:a", "email:a@b.c"


@pytest.fixture(scope="module")
def macros():
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA raw")
        for file in functions():
            connection.execute(file)
        yield connection


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("email:é\x00")
@example("anonymous_id:😀")
def test_profile_ids_are_those_of_the_keys_module(macros, key):
    assert rows(macros, "SELECT profile_id_of(?)", key) == [(profile_id(key),)]


# --- who is who -----------------------------------------------------------------------------------------------------


def owners(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(
        connection.execute(
            "SELECT identifier_type || ':' || identifier_value, profile_id FROM mart.bridge_identity"
        ).fetchall()
    )


def test_every_identifier_is_its_own_profile_until_linked(tmp_path):
    connection = published(tmp_path, facts=[event(U1, message_id="m1"), event(MAIL, message_id="m2")])
    assert owners(connection) == {key: profile_id(key) for key in (U1, MAIL)}


def test_an_identifier_that_was_only_refused_has_no_profile(tmp_path):
    connection = published(tmp_path, facts=[event(U1, ANON, message_id="m1")], identity=[refusal(1, U1, ANON)])
    assert owners(connection) == {U1: profile_id(U1)}


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
    }
    linked = rows(connection, "SELECT identifier_value, linked_at FROM mart.bridge_identity ORDER BY ALL")
    assert linked == [
        ("1", moment("2026-03-02 10:00")),
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
    [(b'{"a": \xc3\xbc', '{"a": ü'), (b"\xff{", "/3s="), (b"a\x00b", "YQBi"), (b"", ""), (b"\xed\xa0\x80", "7aCA")],
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

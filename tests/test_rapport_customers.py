"""Looking customers up: what support sees, what programs get, and what hostile values do to neither."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rapport.customers.explanation import between, chain
from rapport.terminal import customer_card, output

BLNS = Path(__file__).parents[2] / "shared" / "data" / "security" / "blns.json"


def call(type_: str, number: int, **fields: Any) -> dict[str, Any]:
    return {"type": type_, "messageId": f"m{number}", "timestamp": f"2026-03-02T10:{number:02}:00Z", **fields}


@pytest.fixture
def data(rapport, ndjson, tmp_path) -> Path:
    """Ann, seen first without a name, then with one; Bob; and a tablet that both use."""
    order = {"order_id": "o1", "total": 1234.5, "currency": "EUR", "products": [{"product_id": "p", "price": 1234.5}]}
    file = ndjson(
        "a.ndjson",
        call("page", 1, anonymousId="tablet", name="Home", context={"channel": "web"}),
        call(
            "identify", 2, anonymousId="tablet", userId="ann", traits={"email": "Ann@Example.com", "name": "Ann Ahrens"}
        ),
        call("track", 3, userId="ann", event="Order Completed", properties=order, context={"channel": "store"}),
        call("identify", 4, anonymousId="tablet", userId="bob", traits={"phone": "+4930901820", "city": "Köln"}),
        call("track", 5, userId="zoe", event="Signed Up"),
    )
    folder = tmp_path / "data"
    assert rapport("replay", file, "--data", folder).code == 0
    return folder


def test_a_profile_tells_the_whole_customer(rapport, data):
    found = rapport("profile", "user_id:ann", "--data", data, "--json").json
    assert [f"{each['type']}:{each['value']}" for each in found["identifiers"]] == [
        "user_id:ann",
        "anonymous_id:tablet",
        "email:ann@example.com",
    ]
    assert found["traits"]["name"] == "Ann Ahrens"
    assert found["events"]["Order Completed"]["count"] == 1
    assert found["orders"]["revenue"] == {"EUR": "1234.5"}
    assert set(found["channels"]) == {"web", "store"}
    assert found["recent"][0]["name"] == "Order Completed"
    assert found["triggers"] == []

    shown = rapport("profile", "user_id:ann", "--data", data).text
    for expected in ("Ann Ahrens", "ann@example.com", "1,234.50 EUR", "Order Completed", "2026-03-02 10:03"):
        assert expected in shown


@pytest.mark.parametrize("key", ["email:ANN@example.com", "email: Ann@Example.com ", "anonymous_id:tablet"])
def test_an_identifier_is_found_as_people_write_it(rapport, data, key):
    ann = rapport("profile", "user_id:ann", "--data", data, "--json").json
    assert rapport("profile", key, "--data", data, "--json").json["profile_id"] == ann["profile_id"]


def test_an_unknown_identifier_is_one_line_with_a_hint(rapport, data):
    ended = rapport("profile", "user_id:nobody", "--data", data, "--json")
    assert ended.code == 1
    assert ended.out == b""
    assert ended.err == "rapport: nobody has user_id 'nobody'; search by a part of it: rapport find nobody\n"


def test_a_folder_without_data_says_how_to_get_some(rapport, tmp_path):
    for command in (
        ("profile", "user_id:ann"),
        ("find", "ann"),
        ("query", "SELECT 1"),
        ("rejected", "list"),
        ("compact",),
    ):
        ended = rapport(*command, "--data", tmp_path / "none")
        assert ended.code == 1
        assert "rapport replay" in ended.err
        assert ended.err.count("\n") == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("ann", ["ann"]),
        ("AHRENS", ["ann"]),
        ("köln", ["bob"]),
        ("930901", ["bob"]),
        ("tablet", ["ann"]),
        ("%", []),
        ("no such thing", []),
    ],
)
def test_find_looks_into_identifiers_and_trait_values(rapport, data, text, users):
    ended = rapport("find", text, "--data", data, "--json")
    assert [each["customer"].removeprefix("user_id:") for each in ended.json] == users
    assert ended.code == (0 if users else 1)


@pytest.mark.parametrize("text", ['"The Rock"', "C:\\dir", "tab\there", "Ünï"])
def test_find_takes_a_value_as_it_is(rapport, ndjson, tmp_path, text):
    file = ndjson("b.ndjson", call("identify", 1, userId="dwayne", traits={"nick": f"so {text} so"}))
    assert rapport("replay", file, "--data", tmp_path / "b").code == 0
    (found,) = rapport("find", text, "--data", tmp_path / "b", "--json").json
    assert found["customer"] == "user_id:dwayne"


def test_explain_tells_why_an_identifier_is_nobody_s(rapport, ndjson, tmp_path):
    calls = [call("page", n, userId="ann", context={"traits": {"email": f"e{n}@x.example"}}) for n in range(7)]
    assert rapport("replay", ndjson("c.ndjson", *calls), "--data", tmp_path / "c").code == 0
    told = rapport("identity", "explain", "user_id:ann", "email:e6@x.example", "--data", tmp_path / "c", "--json").json
    assert told["same"] is False
    assert [each["reason"] for each in told["against"]] == ["cap_email"]


def test_explain_says_that_a_refused_identifier_has_no_customer(rapport, ndjson, tmp_path):
    calls = [call("page", n, userId="ann", context={"traits": {"email": f"e{n}@x.example"}}) for n in range(7)]
    file = ndjson("c.ndjson", *calls)
    assert rapport("replay", file, "--data", tmp_path / "c").code == 0
    for keys in (("email:e6@x.example",), ("email:E6@x.example", "user_id:ann"), ("user_id:ann", "email:e6@x.example")):
        shown = rapport("identity", "explain", *keys, "--data", tmp_path / "c").text
        assert "refused" in shown
        assert "it has no customer" in shown or "has no customer: joining" in shown
        for expected in ("cap_email", "c.ndjson", "m6"):
            assert expected in shown
        assert "None" not in shown


@pytest.mark.parametrize(
    ("named", "key", "reason", "rejected"),
    [
        ({"userId": "N/A", "anonymousId": "a"}, "user_id:n/a", "blocked", False),
        ({"userId": "{{id}}", "anonymousId": "a"}, "user_id:{{id}}", "blocked", False),
        (
            {"userId": "a", "context": {"traits": {"email": "x at y.example"}}},
            "email:x at y.example",
            "malformed",
            False,
        ),
        ({"userId": "a", "context": {"traits": {"phone": "112"}}}, "phone:112", "malformed", False),
        ({"userId": "(not set)"}, "user_id:(not set)", "no_identifier", True),
    ],
)
def test_explain_says_why_and_where_an_identifier_was_not_used(rapport, ndjson, tmp_path, named, key, reason, rejected):
    calls = [call("page", n, **named) for n in range(2)]
    data = tmp_path / "d"
    rapport("replay", ndjson("named.ndjson", call("page", 9, userId="zoe"), *calls), "--data", data)
    for keys in ((key,), (key, "user_id:zoe"), ("user_id:zoe", key)):
        ended = rapport("identity", "explain", *keys, "--data", data)
        assert ended.code == 0, ended.err
        assert f"{key} is nobody's" in ended.text
        for expected in (reason, "named.ndjson", "" if rejected else "m1"):
            assert expected in ended.text
        assert "None" not in ended.text
    (dropped,) = rapport("identity", "explain", key, "--data", data, "--json").json["dropped"]
    assert (dropped["reason"], dropped["times"], dropped["source"]) == (reason, 2, "named.ndjson")


def test_explain_shows_the_chain_between_two_identifiers(rapport, data):
    found = rapport(
        "identity", "explain", "email:ann@example.com", "anonymous_id:tablet", "--data", data, "--json"
    ).json
    assert found["same"] is True
    assert [(step["a"], step["b"]) for step in found["links"]] == [
        ("user_id:ann", "email:ann@example.com"),
        ("user_id:ann", "anonymous_id:tablet"),
    ]
    assert all(step["message_id"] == "m2" for step in found["links"])


def test_explain_shows_what_keeps_two_apart(rapport, data):
    found = rapport("identity", "explain", "user_id:bob", "anonymous_id:tablet", "--data", data, "--json").json
    assert found["same"] is False
    assert [step["kind"] for step in found["against"]] == ["refuse"]
    shown = rapport("identity", "explain", "user_id:bob", "user_id:zoe", "--data", data).text
    assert "no event has named an identifier of each" in shown


def test_split_takes_two_apart_for_good(rapport, data, ndjson):
    parts = rapport("identity", "split", "user_id:ann", "anonymous_id:tablet", "--data", data, "--json").json
    assert parts["a"]["identifiers"] == ["user_id:ann", "email:ann@example.com"]
    assert parts["b"]["identifiers"] == ["anonymous_id:tablet"]
    assert (parts["a"]["event_count"], parts["b"]["event_count"]) == (2, 1)

    again = ndjson("b.ndjson", call("identify", 30, anonymousId="tablet", userId="ann", traits={}))
    rapport("replay", again, "--data", data)
    found = rapport("identity", "explain", "user_id:ann", "anonymous_id:tablet", "--data", data, "--json").json
    assert (found["same"], found["declared_apart"]) == (False, True)
    log = rapport("identity", "log", "anonymous_id:tablet", "--data", data, "--json").json
    assert "split" in {each["kind"] for each in log}


def test_an_identifier_on_both_sides_of_a_split_is_refused(rapport, data):
    ended = rapport(
        "identity", "split", "user_id:ann", "email:ann@example.com", "--with-b", "user_id:ann", "--data", data
    )
    assert ended.code == 2


def test_hostile_values_reach_a_terminal_as_text():
    strings: list[str] = (
        json.loads(BLNS.read_text()) if BLNS.exists() else ["\x1b[31mred\x1b[0m", "[bold]x[/]", "a\nb\u202e"]
    )
    seen = io.StringIO()
    terminal = Console(file=seen, force_terminal=True, color_system=None, width=10_000)
    for value in strings:
        terminal.print(output.plain(value))
        terminal.print(output.table("", ("value",), [[value]]))
    written = seen.getvalue()
    assert "\x1b" not in written
    assert "\x07" not in written
    assert "\u202e" not in written
    assert "[bold]x[/]" in written or BLNS.exists()


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        ({}, "0.00"),
        ({"EUR": "1234567.5"}, "1,234,567.50 EUR"),
        ({"EUR": "-0.5", "USD": "3"}, "-0.50 EUR, 3.00 USD"),
        ({"": "0.000001"}, "0.000001"),
    ],
)
def test_money_is_shown_exactly(amounts, shown):
    assert customer_card.money(amounts) == shown


def test_amounts_that_are_not_known_are_shown_as_unknown(rapport, ndjson, tmp_path):
    orders = (
        ("o1", "Order Completed", {"revenue": "1,234", "currency": "EUR"}),
        ("o2", "Order Completed", {}),
        ("o2", "Order Cancelled", {}),
        ("o3", "Order Completed", {"revenue": 1000, "currency": "SEK"}),
        ("o3", "Order Refunded", {"total": 50, "currency": "EUR"}),
        ("o3", "Order Refunded", {"total": 10}),
    )
    calls = [
        call("track", number, userId="ann", event=name, properties={"order_id": order, **said})
        for number, (order, name, said) in enumerate(orders)
    ]
    rapport("replay", ndjson("a.ndjson", *calls), "--data", tmp_path / "all")
    found = rapport("profile", "user_id:ann", "--data", tmp_path / "all", "--json").json["orders"]
    assert (found["count"], found["unreadable"]) == (3, 1)
    assert (found["revenue"], found["refunded"]) == ({"SEK": "1000"}, {"EUR": "50", "SEK": "10"})
    assert [(each["amount"], each["refunded"]) for each in found["last"]] == [
        ("1000", "10"),
        (None, None),
        (None, "0"),
    ]
    shown = rapport("profile", "user_id:ann", "--data", tmp_path / "all").text
    for expected in ("3, 1,000.00 SEK", "1 of the amounts, so unknown", "unknown", "10.00, 50.00 EUR"):
        assert expected in shown

    rapport("replay", ndjson("b.ndjson", *calls[:3]), "--data", tmp_path / "none")
    assert "2, amount unknown" in rapport("profile", "user_id:ann", "--data", tmp_path / "none").text
    query = "SELECT order_count, revenue, refunded, net_revenue, revenue_by_currency FROM dim_customer"
    assert rapport("query", query, "--data", tmp_path / "none", "--json").json == [
        {
            "order_count": 2,
            "revenue": None,
            "refunded": 0,
            "net_revenue": None,
            "revenue_by_currency": None,
        }
    ]


def _merge(number: int, a: str, b: str, kind: str = "merge") -> dict[str, Any]:
    return {"decision": number, "kind": kind, "a": a, "b": b}


def test_a_chain_is_the_shortest_and_walks_over_merges_only():
    decisions = [
        _merge(1, "a", "b"),
        _merge(2, "b", "c"),
        _merge(3, "c", "d"),
        _merge(4, "a", "c"),
        _merge(5, "a", "d", "refuse"),
    ]
    assert [step["decision"] for step in chain(decisions, "abcd", "a", "d")] == [4, 3]
    assert chain(decisions, "abcd", "a", "nobody") == []
    assert chain(decisions, "abcd", "a", "a") == []
    assert [step["decision"] for step in chain(decisions, "abd", "a", "d")] == []
    assert [step["decision"] for step in between(decisions, ["a", "b"], ["d"])] == [5]


def test_starting_the_command_loads_no_database():
    heavy = {"duckdb", "pyarrow", "pydantic", "rocksdict", "ruamel"}
    code = f"import sys, rapport.cli; print(sorted({heavy!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=Path(__file__).parents[1])
    assert shown.stdout.decode().strip() == "[]"

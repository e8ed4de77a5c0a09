"""Real inputs through the command line, with figures that others have computed.

The data is no part of the repository: see its README for the sources. Without it these tests are skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from rapport_shell import DATA, ROOT, SHOP, assert_same, tables
from schemas.instant import HOUR, parse

EXAMPLES = ROOT / "examples"
RETAIL = DATA / "online_retail_first_10_trading_days.parquet"
CLICKS = DATA / "retentioneering_ecom.csv.gz"
WIRE = DATA / "wire"
NAUGHTY = DATA / "security" / "blns.json"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"{path.relative_to(ROOT.parent)} is not here")


@pytest.fixture
def sql(rapport, tmp_path):
    def ask(query: str) -> list[dict[str, Any]]:
        ended = rapport("query", query, "--data", tmp_path / "data", "--json")
        assert ended.code == 0, ended.err
        return json.loads(ended.out, parse_float=Decimal)

    return ask


def taken(rapport, *arguments: object) -> dict[str, Any]:
    ended = rapport(*arguments, "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    assert found["read"] == found["applied"] + found["duplicate"] + found["rejected"]
    return found


def assert_again_changes_nothing(rapport, data: Path, *arguments: object) -> None:
    before = tables(data, {})
    again = taken(rapport, *arguments, "--data", data)
    assert (again["applied"], again["merges"], again["triggers"]) == (0, 0, 0)
    assert_same(tables(data, {}), before)


@needs(RETAIL)
def test_online_retail_to_the_cent(rapport, sql, tmp_path):
    expected = orjson.loads(RETAIL.with_suffix(".expected.json").read_bytes())
    command = ("import", RETAIL, "--sql", EXAMPLES / "online_retail.sql")
    report = taken(rapport, *command, "--data", tmp_path / "data")
    assert (report["applied"], report["rejected"]) == (expected["invoices"], 0)

    (found,) = sql(
        "SELECT count(*) AS invoices, count(DISTINCT order_id) AS orders, sum(lines) AS placed_rows,"
        " (sum(revenue) - sum(refunded))::VARCHAR AS total, count(*) FILTER (status = 'unplaced') AS cancellations"
        " FROM mart.fct_order"
    )
    assert found["invoices"] == found["orders"] == expected["invoices"]
    assert Decimal(found["total"]) == Decimal(expected["sum_quantity_x_price"])
    (rows,) = sql(
        "SELECT sum(n) AS all_rows, sum(n) FILTER (identifier_type = 'anonymous_id') AS without_customer"
        " FROM (SELECT *, json_array_length(properties, '$.products') AS n FROM mart.fct_event)"
    )
    assert rows == {"all_rows": expected["rows"], "without_customer": expected["rows_without_customer"]}
    customers = sql(
        "SELECT count(*) AS n, count(user_id) AS known, sum(net_revenue)::VARCHAR AS total FROM mart.dim_customer"
    )
    assert customers[0]["known"] == expected["customers"]
    assert Decimal(customers[0]["total"]) == Decimal(expected["sum_quantity_x_price"])
    assert_again_changes_nothing(rapport, tmp_path / "data", *command)


@needs(CLICKS)
def test_sessions_of_a_click_stream(rapport, sql, tmp_path):
    command = ("import", CLICKS, "--sql", EXAMPLES / "retentioneering.sql")
    report = taken(rapport, *command, "--data", tmp_path / "data")
    assert {name: report[name] for name in ("applied", "duplicate", "rejected", "profiles")} == {
        "applied": 31_106,
        "duplicate": 0,
        "rejected": 0,
        "profiles": 600,
    }
    events = sql(
        "WITH gap AS (SELECT *, occurred_at - lag(occurred_at) OVER visit > INTERVAL 30 MINUTE AS long"
        " FROM mart.fct_event WINDOW visit AS (PARTITION BY profile_id ORDER BY occurred_at, message_id))"
        " SELECT message_id, profile_id || '/' || (count(*) FILTER (long) OVER"
        " (PARTITION BY profile_id ORDER BY occurred_at, message_id)) AS computed,"
        " profile_id || '/' || json_extract_string(properties, '$.session_id') AS own FROM gap"
    )
    assert len(events) == 31_106
    sessions: dict[str, dict[str, set[str]]] = {"computed": {}, "own": {}}
    for event in events:
        for kind, found in sessions.items():
            found.setdefault(event[kind], set()).add(event["message_id"])
    assert set(map(frozenset, sessions["computed"].values())) == set(map(frozenset, sessions["own"].values()))
    assert_again_changes_nothing(rapport, tmp_path / "data", *command)


def _bodies(path: Path) -> list[Any]:
    """What an SDK posted: a batch, or one call."""
    return [request["json"] for request in map(orjson.loads, path.read_bytes().splitlines()) if request.get("json")]


@needs(WIRE)
def test_what_real_sdks_send(rapport, sql, ndjson, tmp_path):
    files = sorted(WIRE.glob("*.jsonl"))
    sent = Counter()
    paths = []
    for path in files:
        bodies = _bodies(path)
        for body in bodies:
            sent.update(call["messageId"] for call in body.get("batch", [body]))
        paths.append(ndjson(f"{path.stem}.ndjson", *bodies))
    report = taken(rapport, "replay", *paths, "--data", tmp_path / "data")
    assert report["read"] == sum(sent.values())
    assert (report["applied"], report["rejected"]) == (len(sent), 0)
    assert report["duplicate"] == sum(sent.values()) - len(sent) > 0
    events = sql("SELECT message_id FROM mart.fct_event")
    assert Counter(each["message_id"] for each in events) == Counter(sent.keys())
    assert_again_changes_nothing(rapport, tmp_path / "data", "replay", *paths)


@needs(WIRE)
@pytest.mark.parametrize("name", ["py-segment-analytics", "node-segment", "browser-segment-standard"])
def test_traits_and_identifiers_of_a_real_sdk_arrive(rapport, ndjson, tmp_path, name):
    bodies = _bodies(WIRE / f"{name}.jsonl")
    calls = [call for body in bodies for call in body.get("batch", [body])]
    taken(rapport, "replay", ndjson("sent.ndjson", *bodies), "--data", tmp_path / "data")
    identifies = [call for call in calls if call["type"] == "identify" and call.get("traits")]
    assert identifies
    for call in identifies:
        found = rapport("profile", f"user_id:{call['userId']}", "--data", tmp_path / "data", "--json").json
        assert found["traits"].items() >= call["traits"].items()
        identifiers = {(each["type"], each["value"]) for each in found["identifiers"]}
        assert ("email", call["traits"]["email"].lower()) in identifiers
        if call.get("anonymousId"):
            assert ("anonymous_id", call["anonymousId"]) in identifiers
        mine = [each for each in calls if each.get("userId") == call["userId"]]
        assert found["event_count"] >= len({each["messageId"] for each in mine})


@needs(NAUGHTY)
def test_every_naughty_string_comes_back_as_it_went_in(rapport, sql, ndjson, tmp_path):
    strings = orjson.loads(NAUGHTY.read_bytes())
    assert len(strings) > 400
    calls = [
        {"type": "identify", "userId": f"user-{number:03}", "messageId": f"m{number}", "traits": {"naughty": text}}
        for number, text in enumerate(strings)
    ]
    for part in (0, 1):
        half = {f"t{number}": text for number, text in enumerate(strings) if number % 2 == part}
        calls.append({"type": "identify", "userId": "collector", "messageId": f"half-{part}", "traits": half})
    report = taken(rapport, "replay", ndjson("blns.ndjson", *calls), "--data", tmp_path / "data")
    assert report["applied"] == len(calls)
    rows = sql("SELECT user_id, json_extract_string(traits, '$.naughty') AS naughty FROM mart.dim_customer")
    assert {each["user_id"]: each["naughty"] for each in rows if each["user_id"] != "collector"} == {
        f"user-{number:03}": text for number, text in enumerate(strings)
    }
    collector = rapport("profile", "user_id:collector", "--data", tmp_path / "data", "--json").json
    everything = {f"t{number}": text for number, text in enumerate(strings)}
    assert collector["traits"] == everything
    (row,) = sql("SELECT traits FROM mart.dim_customer WHERE user_id = 'collector'")
    assert row["traits"] == everything
    shown = rapport("profile", "user_id:collector", "--data", tmp_path / "data")
    assert shown.code == 0
    assert "\x1b" not in shown.text


@needs(NAUGHTY)
def test_a_naughty_string_as_identifier_name_or_key_breaks_nothing(rapport, ndjson, tmp_path):
    strings = orjson.loads(NAUGHTY.read_bytes())
    calls = [
        {
            "type": "track",
            "event": text or "x",
            "userId": text,
            "anonymousId": f"a{number}",
            "messageId": f"m{number}",
            "properties": {text: text, "order_id": text},
            "context": {"campaign": {"name": text}, "device": {"id": text}},
        }
        for number, text in enumerate(strings)
    ]
    report = taken(rapport, "replay", ndjson("blns.ndjson", *calls), "--data", tmp_path / "data", "--plan", SHOP)
    assert report["rejected"] == sum(not (text or "x").strip() for text in strings)
    for number, text in enumerate(strings[::25]):
        ended = rapport("profile", f"anonymous_id:a{number * 25}", "--data", tmp_path / "data", "--json")
        assert ended.code == (0 if (text or "x").strip() else 1)
    for text in strings[::25]:
        assert rapport("find", f"x{text}", "--data", tmp_path / "data").code in (0, 1)
    found = tables(tmp_path / "data")
    assert len(found["fct_event"]) == report["applied"]


def test_abandoned_carts_of_a_month_of_history(rapport, sql, tmp_path):
    """Computed anew from the input: three hours after the last change of a cart, unless it was bought by then."""
    from rapport.demo.shop import Month

    lines = list(Month(5).lines())
    history = tmp_path / "history.ndjson"
    history.write_bytes(b"\n".join(reversed(lines)))
    command = ("replay", history, "--plan", SHOP, "--clock", "events")
    taken(rapport, *command, "--data", tmp_path / "data")

    carts: dict[str, list[tuple[int, str, float]]] = {}
    last = 0
    for line in dict.fromkeys(lines):
        try:
            call = orjson.loads(line)
            at = parse(call["timestamp"])
        except (ValueError, KeyError):
            continue
        last = max(last, at)
        if call.get("event") in ("Cart Updated", "Order Completed") and (cart := call["properties"].get("cart_id")):
            carts.setdefault(cart, []).append((at, call["event"], call["properties"].get("total", 0)))
    expected = {cart: due for cart, story in carts.items() if (due := _due(sorted(story))) and due <= last}
    found = sql("SELECT run_key, epoch_us(fired_at) AS at FROM mart.fct_trigger WHERE rule = 'cart-abandonment'")
    assert len(expected) > 50
    assert {each["run_key"]: each["at"] for each in found} == expected
    assert len(found) == len(expected)
    assert_again_changes_nothing(rapport, tmp_path / "data", *command)


def _due(story: list[tuple[int, str, float]]) -> int:
    """When a cart's reminder is due; 0 for never. A cart of less than 50 does not start one."""
    due = 0
    for at, event, total in story:
        if due and at > due:
            return due
        if event == "Order Completed":
            due = 0
        elif due or total >= 50:
            due = at + 3 * HOUR
    return due

"""Finding customers as people ask: any words, numbers as they are spoken, ids of all kinds, one slip."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from rapport import cli
from rapport.customers import patterns
from schemas.keys import profile_id


def call(type_: str, number: int, **fields: Any) -> dict[str, Any]:
    return {"type": type_, "messageId": f"m{number}", "timestamp": f"2026-03-02T10:{number:02}:00Z", **fields}


def person(number: int, user: str, **traits: Any) -> dict[str, Any]:
    return call("identify", number, userId=user, traits=traits)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Uwe in Köln, with an order, a ticket and a cart; Ute in Bonn; one hostile, one without a name."""
    folder = tmp_path_factory.mktemp("find")
    calls = [
        person(1, "u-0321", email="uwe.dietz@mail.example", first_name="Uwe", last_name="Dietz", phone="+49301000356"),
        person(2, "u-0322", email="ute.mueller@mail.example", firstName="Ute", lastName="Müller", city="Bonn"),
        person(3, "u-0323", name="Zoë O'Neil \"%_\\ 100%\n<b>", note="030 / 555 66 77", city="Köln"),
        call("track", 4, userId="u-0321", event="Order Completed", properties={"order_id": "s-20537", "total": 5}),
        call(
            "track", 5, userId="u-0321", event="Ticket Created", properties={"ticket_id": "T-77", "subject": "parcel"}
        ),
        call("track", 6, userId="u-0322", event="Cart Updated", properties={"cartId": 4711}),
        call("track", 7, anonymousId="w-1", event="Seen"),
        call("identify", 8, userId="u-0321", anonymousId="old-1", traits={"city": "Köln", "street": "Große Gasse 1"}),
    ]
    (folder / "a.ndjson").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in calls))
    assert cli.main(["replay", str(folder / "a.ndjson"), "--data", str(folder / "data"), "--json"]) == 0
    return folder / "data"


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("Uwe Dietz", ["u-0321"]),
        ("dietz  uwe", ["u-0321"]),
        ("\t dietz ", ["u-0321"]),
        ("\ufeffDietz\u200b", ["u-0321"]),
        ("iet uw", ["u-0321"]),
        ("Dietz Köln", ["u-0321"]),
        ("KOLN", ["u-0321", "u-0323"]),
        ("Ute Muller", ["u-0322"]),
        ("MÜLLER bonn", ["u-0322"]),
        ("Mueller", ["u-0322"]),
        ("grosse GASSE", ["u-0321"]),
        ("zoe o'neil", ["u-0323"]),
        ("100%", ["u-0323"]),
        ('"%_\\', ["u-0323"]),
        ("s-20537", ["u-0321"]),
        ("20537", ["u-0321"]),
        ("T-77", ["u-0321"]),
        ("t-77 dietz", ["u-0321"]),
        ("4711", ["u-0322"]),
        ("030 1000356", ["u-0321"]),
        ("+49 (0)30 1000356", ["u-0321"]),
        ("0049-30-1000356", ["u-0321"]),
        ("(030) 100 03 56", ["u-0321"]),
        ("030/1000356", ["u-0321"]),
        ("uwe 030 1000356", ["u-0321"]),
        ("ute 030 1000356", []),
        ("030 5556677", ["u-0323"]),
        ("Deitz", ["u-0321"]),
        ("Dietzz uwe", ["u-0321"]),
        ("Dtz", []),
        ("uwe.deitz@mail.example", ["u-0321"]),
        ("s-20538", []),
        ("Dietz Bonn", []),
        ("city", []),
        ("parcel", []),
        ("%", ["u-0323"]),
        (".*", []),
        ("x' OR 1=1 --", []),
    ],
)
def test_who_is_found(rapport, data, text, users):
    ended = rapport("find", text, "--data", data, "--json")
    assert sorted(each["customer"].removeprefix("user_id:") for each in ended.json) == users
    assert ended.code == (0 if users else 1)


def test_a_narrow_screen_has_fewer_columns(rapport, data, monkeypatch):
    headings = {}
    for width in (120, 85, 75, 60):
        monkeypatch.setenv("COLUMNS", str(width))
        headings[width] = rapport("find", "mail.example", "--data", data).text.splitlines()[0]
    assert [len(re.split(" {2,}", heading)) for heading in headings.values()] == [7, 5, 4, 1]
    assert headings[60] == "record 1"


def test_words_need_no_quotes(rapport, data):
    assert rapport("find", "uwe", "dietz", "--data", data, "--json").json[0]["customer"] == "user_id:u-0321"


def test_a_profile_id_finds_whoever_has_it_or_had_it(rapport, data):
    for key in ("user_id:u-0321", "anonymous_id:old-1"):
        (found,) = rapport("find", profile_id(key).upper(), "--data", data, "--json").json
        assert found["customer"] == "user_id:u-0321"
        assert found["found"] == f"profile_id:{profile_id(key)}"
    assert rapport("find", profile_id("user_id:nobody"), "--data", data).code == 1


def test_the_list_shows_whom_it_found_and_how_many_more_there_are(rapport, data):
    shown = rapport("find", "mail.example", "--limit", 1, "--data", data)
    assert [re.split(" {2,}", line) for line in shown.text.splitlines()] == [
        ["customer", "name", "email", "last seen, UTC", "found as", "events", "orders"],
        ["user_id:u-0321", "Uwe Dietz", "uwe.dietz@mail.example", "2026-03-02 10:08", "email", "4", "1"],
        ["and 1 more: --limit, or one more word"],
    ]
    near = rapport("find", "Deitz", "--data", data)
    assert near.err == "nobody has 'Deitz'; these have Dietz\n"
    stranger = rapport("find", "w-1", "--data", data)
    assert "anonymous_id:w-1" in stranger.text
    nobody = rapport("find", "nobody at all", "--data", data)
    assert (nobody.code, nobody.out, nobody.err.count("\n")) == (1, b"", 1)
    for text in ("", " \t", "\u200b", "x" * 1001):
        assert rapport("find", text, "--data", data).code == 2


@pytest.mark.parametrize("text", ["Müller", "MULLER", "mu\u0308ller", "Mueller"])
def test_a_pattern_matches_a_name_in_all_its_spellings(text):
    matched = duckdb.execute("SELECT regexp_matches('Frau Müller', ?)", [patterns.of_text(text)]).fetchall()
    assert matched == [(True,)]

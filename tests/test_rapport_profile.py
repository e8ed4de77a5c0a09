"""Showing a customer by whatever names them: a value without its type, a profile id of today or of before a merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from rapport import cli
from schemas.keys import profile_id
from stream.embedded.store import PUBLISHED

RULE = """\
rule: trial
owner: ann@example.com
status: shadow
purpose: service
when: {event: Order Completed}
then: [{webhook: hello}]
"""


def call(type_: str, number: int, **fields: Any) -> dict[str, Any]:
    return {"type": type_, "messageId": f"m{number}", "timestamp": f"2026-03-02T10:{number:02}:00Z", **fields}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Ann, who was an anonymous visitor before; a Bob whose loyalty card has the number of Ann's user id."""
    folder = tmp_path_factory.mktemp("profile")
    (folder / "plan" / "rules").mkdir(parents=True)
    (folder / "plan" / "rules" / "trial.yaml").write_text(RULE)
    card = {"externalIds": [{"id": "7", "type": "loyalty_card", "collection": "users", "encoding": "none"}]}
    traits = {"email": "Ann@Example.com", "first_name": "Ann", "phone": "+49301000356"}
    calls = [
        call("page", 1, anonymousId="w-1", name="Home", properties={"path": "/"}),
        call("identify", 2, anonymousId="w-1", userId="7", traits=traits),
        call("track", 3, userId="7", event="Order Completed", properties={"order_id": "o\x1b[1m", "total": 5}),
        call("identify", 4, userId="bob", context=card, traits={"name": "Bob Berg"}),
    ]
    (folder / "a.ndjson").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in calls))
    options = ["--data", str(folder / "data"), "--plan", str(folder / "plan"), "--clock", "events", "--json"]
    assert cli.main(["replay", str(folder / "a.ndjson"), *options]) == 0
    return folder / "data"


@pytest.mark.parametrize(
    "who",
    [
        "w-1",
        "ann@example.com",
        " ANN@example.com ",
        "+49 30 1000356",
        profile_id("user_id:7"),
        profile_id("anonymous_id:w-1"),
        profile_id("anonymous_id:w-1").upper(),
        f"profile_id:{profile_id('email:ann@example.com')}",
    ],
)
def test_a_value_alone_and_every_profile_id_name_a_customer(rapport, data, who):
    assert rapport("profile", who, "--data", data, "--json").json["profile_id"] == profile_id("user_id:7")
    explained = rapport("identity", "explain", who, "user_id:7", "--data", data, "--json").json
    assert explained["same"] is True


def test_a_value_of_two_customers_is_asked_about(rapport, data):
    ended = rapport("profile", "7", "--data", data)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.err == (
        "rapport: '7' may be 2 customers: user_id:7 (Ann), loyalty_card:7 (Bob Berg); write which, as TYPE:VALUE\n"
    )
    assert "Bob Berg" in rapport("profile", "loyalty_card:7", "--data", data).text


@pytest.mark.parametrize("who", ["nobody", profile_id("user_id:nobody"), "x' OR 1=1 --", "../../etc"])
def test_nobody_is_one_line(rapport, data, who):
    ended = rapport("profile", who, "--data", data)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, b"", 1)
    assert ended.err.startswith("rapport: nobody has ")


def test_decisions_by_hand_take_profile_ids(rapport, data):
    told = rapport("identity", "split", profile_id("user_id:7"), "w-1", "--dry-run", "--data", data, "--json").json
    assert [side[0]["identifier"] for side in (told["a"], told["b"])] == ["user_id:7", "anonymous_id:w-1"]
    log = rapport("identity", "log", profile_id("anonymous_id:w-1"), "--data", data, "--json").json
    assert {each["kind"] for each in log} == {"merge"}


def test_the_last_events_are_shown_with_what_they_said(rapport, data):
    events = rapport("profile", "w-1", "--events", 2, "--data", data, "--json").json["last_events"]
    assert [(each["at"], each["name"]) for each in events] == [
        ("2026-03-02T10:03:00Z", "Order Completed"),
        ("2026-03-02T10:02:00Z", None),
    ]
    assert events[0]["properties"]["total"] == 5
    assert events[1]["traits"]["first_name"] == "Ann"
    shown = rapport("profile", "w-1", "--events", 50, "--data", data).text
    assert (
        "Last 3 events\n2026-03-02 10:03  Order Completed  user_id:7\n    order_id  o\\x1b[1m\n    total  5\n" in shown
    )
    assert "    path  /\n" in shown
    assert "last_events" not in rapport("profile", "w-1", "--data", data, "--json").json


def test_rules_on_trial_are_shown_as_such(rapport, data):
    told = rapport("profile", "w-1", "--data", data, "--json").json
    assert [(each["rule"], each["message_id"]) for each in told["shadow"]] == [("trial", "m3")]
    shown = rapport("profile", "w-1", "--data", data).text
    assert "Shadow rules, on trial: nothing was done" in shown
    assert "2026-03-02 10:01 to 2026-03-02 10:03 UTC, 3 events" in shown


def test_without_tables_the_rows_tell_who_it_is(rapport, data):
    (data / PUBLISHED).rename(data / "aside")
    try:
        for who in ("w-1", profile_id("anonymous_id:w-1")):
            told = rapport("profile", who, "--events", 1, "--data", data, "--json").json
            assert told["profile_id"] == profile_id("user_id:7")
            assert (told["shadow"], told["last_events"]) == (None, None)
            assert "Ann" in rapport("profile", who, "--events", 1, "--data", data).text
    finally:
        (data / "aside").rename(data / PUBLISHED)

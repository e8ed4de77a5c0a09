"""The message on the topic `triggers` is what docs/triggers.md says, and holds all that it takes to deliver it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from jsonschema import Draft202012Validator

from conftest import Rapport
from rapport_shell import ROOT
from rules.actions.placeholders import fields, traits
from rules.evaluator import FIELDS_LIMIT
from rules.language.model import Action
from schemas import codec
from schemas.messages import Trigger

RULES = """
rule: order
title: Tell everybody
owner: care@shop.example
status: live
purpose: service
when: {event: Order Completed}
then:
  - {alert: [slack, email], to: "#orders", message: "{{ profile.first_name }}: {{ event.total }} {{ event.note }}"}
  - {send: email, template: thanks}
  - {send: push, template: thanks}
  - webhook: crm
    body: {who: "{{profile.email}}", what: ["{{ event.order_id }}"]}
"""


def schema() -> dict[str, Any]:
    page = (ROOT / "docs" / "triggers.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- schema: .*?-->\n```json\n(.*?)```", page, re.DOTALL)
    assert block
    told: dict[str, Any] = json.loads(block[1])
    return told


@pytest.fixture
def sent(rapport: Rapport, tmp_path: Path) -> list[dict[str, Any]]:
    """Triggers of an order as the topic has them: an address of the order's own, and a note that is too long."""
    (tmp_path / "plan" / "rules").mkdir(parents=True)
    (tmp_path / "plan" / "rules" / "order.yaml").write_text(RULES)
    assert rapport("rules", "check", tmp_path / "plan").text.count("nothing fills") == 0
    events = [
        {
            "type": "identify",
            "userId": "7",
            "traits": {"email": "ann@a.example", "first_name": "Ann"},
            "messageId": "1",
        },
        {
            "type": "track",
            "event": "Order Completed",
            "userId": "7",
            "context": {"traits": {"email": "ann@b.example"}},
            "properties": {"order_id": "o1", "total": 80, "note": "x" * FIELDS_LIMIT},
            "messageId": "2",
        },
    ]
    (tmp_path / "events.ndjson").write_bytes(b"\n".join(map(orjson.dumps, events)))
    data = tmp_path / "data"
    assert rapport("replay", tmp_path / "events.ndjson", "--data", data, "--plan", tmp_path / "plan").code == 0
    with duckdb.connect(str(data / "rapport.duckdb"), read_only=True) as mart:
        rows = mart.execute(
            "SELECT trigger_id, rule, version, profile_id, run_key, action, payload, epoch_us(fired_at),"
            " epoch_us(event_at) FROM mart.fct_trigger"
        ).fetchall()
    return [orjson.loads(codec.encode(Trigger(*map(str, row[:6]), orjson.loads(row[6]), *row[7:]))) for row in rows]


def test_triggers_are_what_the_page_says_and_complete(sent: list[dict[str, Any]]) -> None:
    told = schema()
    Draft202012Validator.check_schema(told)
    assert [error.message for each in sent for error in Draft202012Validator(told).iter_errors(each)] == []
    payloads = {(each["action"], each["payload"].get("channel")): each["payload"] for each in sent}
    shown = {name for payload in payloads.values() for name in payload}
    assert shown == told["properties"]["payload"]["properties"].keys(), "each of them is there"
    assert payloads["send", "email"]["address"] == "ann@b.example"
    assert payloads["send", "push"]["address"] is None
    alert, webhook = payloads["alert", None], payloads["webhook", None]
    assert alert["traits"] == {"first_name": "Ann"}
    assert alert["event"] == {"name": "Order Completed", "message_id": "2", "fields": {"total": 80, "note": None}}
    assert webhook["traits"] == {"email": "ann@a.example"}
    assert webhook["event"]["fields"] == {"order_id": "o1"}


def test_the_schema_would_notice_a_field_that_it_does_not_know(sent: list[dict[str, Any]]) -> None:
    assert list(Draft202012Validator(schema()).iter_errors({**sent[0], "more": 1}))


def test_what_texts_name() -> None:
    texts = ["{{profile.a}} {{- event.b.c -}}", {"x": "{{ event.context.ip | x: 'y' }} {{ profile.a }}", "y": 5}]
    action = Action("webhook", {"name": "w", "body": {"texts": texts}})
    assert traits(action) == ("a",)
    assert [(path.root, path.steps) for path in fields([action, action])] == [
        ("properties", ("b", "c")),
        ("context", ("ip",)),
    ]

"""The example plan and the files that `rapport init` writes: they load, and they do what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from rules.evaluator import RuleSet
from rules.load import load_rules
from rules.patterns.absence import Entry
from schemas import instant
from schemas.messages import Event

ROOT = Path(__file__).parents[1]
SHOP = ROOT / "examples" / "shop" / "rules"
TEMPLATES = ROOT / "rapport" / "plan" / "templates"


@pytest.fixture(scope="module")
def shop() -> RuleSet:
    return load_rules({path.name: path.read_bytes() for path in SHOP.glob("*.yaml")})


def happened(number: int, name: str, properties: dict[str, Any], at: int = 0, **body: Any) -> Event:
    whole = {"type": "track", "event": name, "properties": properties, **body}
    return Event(("user_id:u",), f"m{number}", "track", name, None, at, at, at, "test", None, (), whole)


def fired(rules: RuleSet, name: str, properties: dict[str, Any], **body: Any) -> set[str]:
    reaction = rules.on_event(happened(0, name, properties, **body))
    return {fire.rule.name for fire in reaction.fires} if reaction else set()


def armed(rules: RuleSet, name: str, properties: dict[str, Any]) -> set[str]:
    reaction = rules.on_event(happened(0, name, properties))
    names = {rule.wait: rule.name for rule in rules.rules}
    return {names[str(signal[0])] for signal in reaction.signals if signal[1] == 0} if reaction else set()


def test_the_shop_has_its_rules(shop: RuleSet) -> None:
    assert {rule.name: rule.status for rule in shop.rules} == {
        "cart-abandonment": "live",
        "checkout-not-completed": "live",
        "browse-abandonment": "live",
        "welcome": "live",
        "loyalty-card-scanned": "live",
        "email-bounced": "live",
        "big-order": "live",
        "refund-follow-up": "shadow",
        "unhappy-ticket": "live",
        "ticket-left-open": "live",
        "low-survey-score": "live",
    }
    assert shop.horizon == 7 * instant.DAY
    assert not fired(shop, "page", {}) | armed(shop, "page", {})


def test_what_fires_at_once(shop: RuleSet) -> None:
    assert fired(shop, "Signed Up", {}) == {"welcome"}
    assert fired(shop, "Order Completed", {"order_id": "o1", "total": 300}) == {"big-order"}
    assert fired(shop, "Order Completed", {"order_id": "o1", "revenue": "412.50"}) == {"big-order"}
    assert fired(shop, "Order Completed", {"order_id": "o1", "total": 299.99}) == set()
    assert fired(shop, "Store Visited", {"loyalty_card": "l1"}, context={"channel": "store"}) == {
        "loyalty-card-scanned"
    }
    assert fired(shop, "Store Visited", {"loyalty_card": "l1"}, context={"channel": "web"}) == set()
    assert fired(shop, "Email Bounced", {"reason": "mailbox full"}) == {"email-bounced"}
    assert fired(shop, "Email Bounced", {"reason": "out of office until May"}) == set()
    assert fired(shop, "Ticket Created", {"ticket_id": "t1", "sentiment": -0.7}) == {"unhappy-ticket"}
    assert fired(shop, "Ticket Created", {"ticket_id": "t1", "sentiment": -0.4}) == set()
    assert fired(shop, "Survey Answered", {"score": 6}) == {"low-survey-score"}
    assert fired(shop, "Survey Answered", {"score": 7}) == set()


def test_what_opens_a_window(shop: RuleSet) -> None:
    assert armed(shop, "Cart Updated", {"cart_id": "c1", "total": 50}) == {"cart-abandonment"}
    assert armed(shop, "Cart Updated", {"cart_id": "c1", "total": 49.99}) == set()
    assert armed(shop, "Checkout Started", {"cart_id": "c1"}) == {"checkout-not-completed"}
    assert armed(shop, "Product Viewed", {"price": 129}) == {"browse-abandonment"}
    assert armed(shop, "Order Refunded", {"order_id": "o1"}) == {"refund-follow-up"}
    assert armed(shop, "Ticket Created", {"ticket_id": "t1", "sentiment": 0.4}) == {"ticket-left-open"}


def test_the_templates_load_and_their_scenario_comes_true() -> None:
    rules = load_rules({"rule.yaml": (TEMPLATES / "rule.yaml").read_bytes()})
    assert [rule.status for rule in rules.rules] == ["shadow"]
    scenario = YAML(typ="safe", pure=True).load((TEMPLATES / "scenario.yaml").read_text())
    history: list[Entry] = []
    for number, told in enumerate(scenario["events"]):
        event = happened(number, told["event"], told["properties"], instant.parse(told["at"]))
        if reaction := rules.on_event(event):
            history.append((event.occurred_at, number, event.message_id, reaction.signals))
    until = instant.parse(scenario["until"])
    decided = [
        {"rule": run.rule.name, "run_key": run.run_key, "verdict": run.rule.status, "at": instant.render(run.due)}
        for run in rules.open_runs(history, {})
        if run.due <= until
    ]
    assert decided == scenario["expect"]["decisions"]

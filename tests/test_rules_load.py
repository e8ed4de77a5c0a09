"""Rule files: what is read, and every mistake at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.language.model import Action, Compare, Group, Rule, When, Window
from rules.language.model import Path as Field
from rules.load import load_rules
from schemas import instant
from schemas.errors import PlanError

DATA = Path(__file__).parent / "data" / "rules"
BAD = sorted(DATA.glob("*.bad.yaml"))

CART = """\
rule: cart-reminder
title: A cart is left
owner: shop@example.com
status: live
purpose: marketing
when:
  event: Cart Updated
  where: {total: {at_least: 50}}
  not_followed_by: {event: Order Completed, same: cart_id}
  within: 3h
  restart_on: Cart Updated
  key: cart_id
then:
  - send: email
    template: cart-reminder
"""


def but(old: str, new: str, text: str = CART) -> str:
    """A rule file with something else in one place."""
    assert old in text
    return text.replace(old, new)


def only(text: str) -> Rule:
    (rule,) = load_rules({"a.yaml": text}).rules
    return rule


def problems_of(**texts: str | bytes) -> list[str]:
    with pytest.raises(PlanError) as caught:
        load_rules({f"{name}.yaml": text for name, text in texts.items()})
    return [str(problem) for problem in caught.value.problems]


def test_a_whole_rule_becomes_its_model() -> None:
    cart_id = Field("properties", ("cart_id",))
    assert only(CART) == Rule(
        name="cart-reminder",
        title="A cart is left",
        owner="shop@example.com",
        status="live",
        purpose="marketing",
        when=When(
            event="Cart Updated",
            where=Compare(Field("properties", ("total",)), "at_least", 50),
            window=Window("Order Completed", None, 3 * instant.HOUR, cart_id, "Cart Updated"),
            key=cart_id,
        ),
        then=(Action("send", {"channel": "email", "template": "cart-reminder"}),),
        file="a.yaml",
        line=1,
    )


def test_same_stands_in_when_or_in_not_followed_by() -> None:
    beside = but("  within", "  same: cart_id\n  within", but(", same: cart_id", ""))
    assert only(beside) == only(CART)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name.removesuffix(".bad.yaml"))
def test_each_mistake_is_reported_at_its_place(path: Path) -> None:
    text = path.read_text()
    expected = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    with pytest.raises(PlanError) as caught:
        load_rules({path.name: text})
    assert [str(problem).removeprefix(f"{path.name}:") for problem in caught.value.problems] == expected
    assert expected


def test_problems_of_all_files_come_in_one_run_in_the_order_of_files_and_lines() -> None:
    broken = but("live", "lively", but("within: 3h", "within: soon", but("send: email", "send: fax")))
    assert problems_of(b=broken, a="x: '", c=b"\xff", d=CART) == [
        "a.yaml:1:5: This is not valid YAML: while scanning a quoted scalar found unexpected end of stream.",
        "b.yaml:4:9: rule `cart-reminder`: status cannot be `lively`. Did you mean `live`?",
        "b.yaml:10:11: rule `cart-reminder`: within is `soon`; it must be a duration like 30s, 15m, 3h or 7d.",
        "b.yaml:14:11: rule `cart-reminder`: send cannot be `fax`. Known are: email, sms, push, in_app, whatsapp.",
        "c.yaml:1:1: The file is not UTF-8; save it with that encoding.",
        "d.yaml:1:7: The rule `cart-reminder` is already in b.yaml:1; rename one.",
    ]


def test_rules_come_in_the_order_of_files_and_documents() -> None:
    def named(name: str) -> str:
        return but("rule: cart-reminder", f"rule: {name}")

    rules = load_rules({"b.yaml": named("b"), "a.yaml": f"{named('z')}---\n---\n{named('a')}"})
    assert [(rule.name, rule.file, rule.line) for rule in rules.rules] == [
        ("z", "a.yaml", 1),
        ("a", "a.yaml", 18),
        ("b", "b.yaml", 1),
    ]
    assert load_rules({}).rules == ()


def test_the_title_is_the_name_where_there_is_none() -> None:
    assert only(but("title: A cart is left\n", "")).title == "cart-reminder"


def test_every_way_to_write_a_condition() -> None:
    where = """
    total: 5
    country: [DE, AT]
    price: {at_least: 1, below: 9.5}
    a.b: {exists: false}
    context.page.path: {starts_with: /shop}
    traits.vip: true
    properties.context: x
    context: x
    any: [{x: 1}, {y: {contains: z}, z: {is_not: w}}]
    none: [{all: [{q: {equals: r}}]}]
"""
    rule = only(but("where: {total: {at_least: 50}}", f"where:{where}"))

    def field(*steps: str) -> Field:
        return Field("properties", steps)

    assert rule.when.where == Group(
        "all",
        (
            Compare(field("total"), "equals", 5),
            Compare(field("country"), "one_of", ("DE", "AT")),
            Compare(field("price"), "at_least", 1),
            Compare(field("price"), "below", 9.5),
            Compare(field("a", "b"), "exists", False),
            Compare(Field("context", ("page", "path")), "starts_with", "/shop"),
            Compare(Field("traits", ("vip",)), "equals", True),
            Compare(field("context"), "equals", "x"),
            Compare(field("context"), "equals", "x"),
            Group(
                "any",
                (
                    Compare(field("x"), "equals", 1),
                    Group("all", (Compare(field("y"), "contains", "z"), Compare(field("z"), "is_not", "w"))),
                ),
            ),
            Group("none", (Group("all", (Compare(field("q"), "equals", "r"),)),)),
        ),
    )


def test_every_action_becomes_a_payload() -> None:
    then = """
  - send: sms
    template: hello
  - alert: slack
    to: "#care"
    message: "{{ event.name }}"
  - alert: [slack, email]
    to: care@example.com
    message: Look
    severity: critical
  - webhook: crm
  - webhook: crm
    body: {task: call, tags: [a, {b: null}], at: 5}
"""
    assert only(CART.partition("then:")[0] + "then:" + then).then == (
        Action("send", {"channel": "sms", "template": "hello"}),
        Action("alert", {"channels": ["slack"], "severity": "medium", "to": "#care", "message": "{{ event.name }}"}),
        Action(
            "alert",
            {"channels": ["slack", "email"], "severity": "critical", "to": "care@example.com", "message": "Look"},
        ),
        Action("webhook", {"name": "crm", "body": {}}),
        Action("webhook", {"name": "crm", "body": {"task": "call", "tags": ["a", {"b": None}], "at": 5}}),
    )


# --- versions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        but("title: A cart is left\n", "title: Something else\n"),
        but("shop@example.com", "someone@example.com"),
        but("status: live", "status: shadow"),
        but("status: live", "status: live   # a comment"),
        but("when:\n", "when:\n  within: 180m\n", but("  within: 3h\n", "")),
        but("where: {total: {at_least: 50}}", "where:\n    total:\n      at_least: 50"),
        but("where: {total: {at_least: 50}}", "where: {properties.total: {at_least: 50}}"),
    ],
)
def test_what_does_not_change_the_work_does_not_change_the_version(changed: str) -> None:
    assert only(changed).version == only(CART).version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rule: cart-reminder", "rule: cart-memory"),
        ("purpose: marketing", "purpose: service"),
        ("at_least: 50", "at_least: 51"),
        ("at_least: 50", "above: 50"),
        ("{at_least: 50}", '["50"]'),
        ("within: 3h", "within: 4h"),
        (", same: cart_id", ""),
        ("  key: cart_id\n", ""),
        ("  restart_on: Cart Updated\n", ""),
        ("send: email", "send: sms"),
        ("template: cart-reminder", "template: other"),
    ],
)
def test_what_changes_the_work_changes_the_version(old: str, new: str) -> None:
    assert only(but(old, new)).version != only(CART).version


def test_the_order_of_conditions_does_not_change_the_version_but_their_kind_of_value_does() -> None:
    def version(where: str) -> str:
        return only(but("{total: {at_least: 50}}", where)).version

    assert version("{a: 1, b: [x, y]}") == version("{b: [y, x], a: 1}")
    assert version("{a: 1}") == version("{a: {equals: 1}}")
    assert len({version(f"{{a: {value}}}") for value in ("1", '"1"', "true", '"true"', "[1]", '["1"]')}) == 6


def test_the_version_of_a_rule_is_for_ever() -> None:
    """Stored signals carry it: another way to compute it would silently cancel every open window."""
    assert only(CART).version == "487e660e588e"

"""Warnings about rules that load: what they say, where, and when nothing is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.lint.names import NOTHING, WORDS, Seen
from rules.lint.walk import Lint, lints
from rules.load import load_rules

ROOT = Path(__file__).parents[1]
RULE = """\
rule: r
owner: ann
status: live
purpose: service
when:
  event: {event}
  where: {where}{more}
then: [{action}]
"""
CALM = "{webhook: w}"
AWAITED = "\n  not_followed_by: {{event: {event}, where: {where}}}\n  within: 1h"


def warned(
    event: str = "Order Completed", where: str = "{total: 5}", more: str = "", action: str = CALM, seen: Seen = NOTHING
) -> list[str]:
    """The warnings of a rule, `line:column: message` without the rule's name."""
    texts = {"r.yaml": RULE.format(event=event, where=where, more=more, action=action)}
    load_rules(texts)
    found = [str(lint) for lint in lints(texts, seen)]
    assert all(each.startswith("r.yaml:") and ": rule `r`: " in each for each in found)
    return [each.removeprefix("r.yaml:").replace("rule `r`: ", "") for each in found]


def test_nothing_is_said_of_the_rules_that_we_give() -> None:
    templates = ROOT / "rapport" / "plan" / "templates" / "rule.yaml"
    texts = {str(path): path.read_bytes() for path in (*(ROOT / "examples").rglob("rules/*.yaml"), templates)}
    assert len(texts) >= 5
    assert lints(texts) == []


# --- names of events ------------------------------------------------------------------------------------------------

NEARLY = {
    "order completed": "Order Completed",
    "ORDER COMPLETED": "Order Completed",
    "order_completed": "Order Completed",
    "OrderCompleted": "Order Completed",
    "Order-Completed": "Order Completed",
    "Order Complete": "Order Completed",
    "Ordre Completed": "Order Completed",
    "Identify": "identify",
    "Page": "page",
}
UNSEEN = (
    '"Order Completed "',
    '" Order Completed"',
    '"Order  Completed"',
    '"Order\N{NO-BREAK SPACE}Completed"',
    '"Order Completed\N{ZERO WIDTH SPACE}"',
)


@pytest.mark.parametrize(("name", "meant"), NEARLY.items())
@pytest.mark.parametrize(
    ("event", "more", "place"),
    [
        ("{name}", "", "6:10"),
        ("Signed Up", "\n  not_followed_by: {{event: {name}}}\n  within: 1h", "8:28"),
        ("Signed Up", "\n  not_followed_by: {{event: Signed In}}\n  within: 1h\n  restart_on: {name}", "10:15"),
    ],
)
def test_an_event_that_is_nearly_known_is_named(name: str, meant: str, event: str, more: str, place: str) -> None:
    found = warned(event.format(name=name), "{x: 1}", more.format(name=name))
    assert found == [f"{place}: no event is known as `{name}`; did you mean `{meant}`?"]


@pytest.mark.parametrize("name", UNSEEN)
def test_spaces_that_count_in_the_name_of_an_event_are_told(name: str) -> None:
    (found,) = warned(name, "{x: 1}")
    assert found.startswith("6:10: ")
    assert found.endswith("has spaces or unseen characters that count; write `Order Completed`.")


@pytest.mark.parametrize("name", ["Warehouse Shipped", "Demo Requested", "Trial Paused", "Order Shipped", "bestellt"])
def test_an_event_of_ones_own_is_no_reason_for_a_warning(name: str) -> None:
    assert warned(name, "{anything: 1, orderNumber: 5}") == []


def test_track_is_no_event() -> None:
    assert warned("track", "{x: 1}") == [
        "6:10: `track` is a kind of call; write the name of the event, like `Order Completed`."
    ]


def test_where_events_were_seen_each_other_name_is_told() -> None:
    seen = Seen("data", ["Warehouse Shipped", "order completed", "Order Done "], {})
    for known in ("Warehouse Shipped", "order completed", '"Order Done "', "Signed Up", "identify"):
        assert warned(known, "{x: 1}", seen=seen) == [], known
    assert warned("Demo Requested", seen=seen) == [
        "6:10: `Demo Requested` is neither in the vocabulary nor an event in data."
    ]
    assert warned("warehouse shipped", seen=seen) == [
        "6:10: no event is known as `warehouse shipped`; did you mean `Warehouse Shipped`?"
    ]


# --- names of fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"), [("orderId", "order_id"), ("Total", "total"), ("totl", "total"), ("cupon", "coupon")]
)
@pytest.mark.parametrize(
    ("where", "more", "place"),
    [
        ('{{{name}: "x"}}', "", "7:11"),
        ('{{any: [{{none: [{{{name}: "x"}}]}}]}}', "", "7:26"),
        ("{{total: 5}}", "\n  key: {name}", "8:8"),
        ("{{total: 5}}", "\n  not_followed_by: {{event: x, where: {{{name}: 5}}}}\n  within: 1h", ""),
        ("{{total: 5}}", AWAITED.replace("{event}", "Order Updated").replace("{where}", '{{{name}: "x"}}'), "8:51"),
        ("{{total: 5}}", "\n  not_followed_by: {{event: x, same: {name}}}\n  within: 1h", "8:37"),
    ],
)
def test_a_field_that_is_nearly_known_is_named(name: str, meant: str, where: str, more: str, place: str) -> None:
    found = warned(where=where.format(name=name), more=more.format(name=name))
    event = "Order Updated" if "Updated" in more else "Order Completed"
    told = f"{place}: `{event}` is not known to have `{name}`; did you mean `{meant}`?"
    assert found == ([told] if place else [])


def test_a_field_of_ones_own_is_no_reason_for_a_warning_before_events_were_seen() -> None:
    where = "{sentiment: 1, warehouse: x, price_group: b, context.tenant: t, custom.path.of: 3}"
    assert warned(where=where) == []


def test_where_events_were_seen_each_other_field_of_them_is_told() -> None:
    seen = Seen("data", ["Order Completed"], {"Order Completed": ["orderId", "region", "box"]})
    assert warned(where='{orderId: "5", region: x, box.width: 5, total: 5}', seen=seen) == []
    assert warned(where="{warehouse: x, Region: y1}", seen=seen) == [
        "7:11: neither the vocabulary nor any `Order Completed` in data has `warehouse`.",
        "7:25: `Order Completed` is not known to have `Region`; did you mean `region`?",
    ]
    assert warned("Signed Up", "{warehouse: x}", seen=seen) == []  # never taken in: nothing is known of it


@pytest.mark.parametrize("name", ["userId", "anonymousId", "messageId", "timestamp", "receivedAt"])
def test_what_stands_beside_the_properties_is_no_field(name: str) -> None:
    (found,) = warned(where=f"{{{name}: x}}")
    assert found == f"7:11: `{name}` is no property; conditions read properties, `context.` and `traits.` fields."


def test_fields_of_the_context() -> None:
    assert warned(where="{channel: web}") == [
        "7:11: `Order Completed` is not known to have `channel`; did you mean `context.channel`?"
    ]
    assert warned(where="{context.Page.path: /x, context.useragent: y1}") == [
        "7:11: no context is known to have `Page`; did you mean `context.page`?",
        "7:34: no context is known to have `useragent`; did you mean `context.userAgent`?",
    ]
    assert warned(where="{context.channel: [web, website]}") == [
        "7:34: no event has the channel `website`. Did you mean `web`?"
    ]
    assert warned(where="{context.channel: {is_not: website}}") == []


@pytest.mark.parametrize("field", ['" total"', '"total "', '"context.page .path"', '"to\N{ZERO WIDTH SPACE}tal"'])
def test_spaces_that_count_in_a_field_are_told(field: str) -> None:
    (found,) = warned(where=f"{{{field}: 5}}")
    assert "has spaces or unseen characters that count" in found


@pytest.mark.parametrize("event", ["Order Completed", "page", "screen", "alias", "Warehouse Shipped"])
def test_traits_on_a_call_that_is_not_about_them_are_told(event: str) -> None:
    told = f"`traits.city` is looked up in what `{event}` itself carries; the customer's traits are not asked yet."
    assert warned(event, "{traits.city: Bonn}") == [f"7:11: {told}"]
    assert warned(event, "{none: [{traits.city: Bonn}]}") == [f"7:19: {told}"]
    assert warned(event, "{x: 1}", "\n  key: traits.city") == [f"8:8: {told}"]
    for own in ("identify", "group"):
        assert warned(own, "{traits.city: Bonn, city: Bonn}") == []
    awaited = AWAITED.format(event=event, where="{traits.city: Bonn}")
    assert [found.split(": ", 1)[1] for found in warned("identify", "{x: 1}", awaited)] == [told]


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["yes", "Yes", "YES", "on", "y", "no", "off", "N"])
@pytest.mark.parametrize(
    "condition", ["{word}", "{{equals: {word}}}", "{{is_not: {word}}}", "[{word}]", "{{contains: {word}}}"]
)
def test_words_that_older_yaml_took_for_true_or_false_are_told(word: str, condition: str) -> None:
    meant = "true" if word.lower() in ("yes", "on", "y") else "false"
    (found,) = warned("x", f"{{vip: {condition.format(word=word)}}}")
    assert f"`{word}` is text, not {meant}; write {meant}, or put quotes" in found
    quoted = condition.format(word='"' + word + '"')
    assert warned("x", f"{{vip: {quoted}}}") == []


def test_norway_may_stand_among_countries() -> None:
    assert warned("x", "{country: [DE, NO]}") == []
    assert len(warned("x", "{answer: [yes, no]}")) == 2


@pytest.mark.parametrize("text", ['"true"', "'True'", '"FALSE"', "tRue"])
def test_true_and_false_as_text_are_told(text: str) -> None:
    (found,) = warned("x", f"{{vip: {text}}}")
    assert "is text, which never equals " in found


WRITTEN = {
    "15%": "is text and equals no number",
    "1k": "is text and equals no number",
    "2.5 Mio": "is text and equals no number",
    "16:40": "is text and equals no number",
    "1.000": "is the number 1; write 1000",
    "12.500": "is the number 12.5; write 12500",
    '">= 5"': "is compared as text; write an operator",
    '" DE"': "has spaces or unseen characters that count; remove them",
    '"DE\N{NO-BREAK SPACE}"': "has spaces or unseen characters that count; remove them",
}
FINE = (
    "2XL",
    "100ml",
    '"15%"',
    '"16:40"',
    "1.5",
    "1.234",
    "0.500",
    "DE",
    "New York",
    "2026-03-01",
    "yesterday",
    "none",
)


@pytest.mark.parametrize(("value", "told"), WRITTEN.items())
def test_a_value_that_is_written_like_another_is_told(value: str, told: str) -> None:
    (found,) = warned("x", f"{{y: {value}}}")
    assert told in found
    (found,) = warned("x", f"{{any: [{{z: {{one_of: [a, {value}]}}}}]}}")
    assert told in found


@pytest.mark.parametrize("value", FINE)
def test_a_value_that_is_written_like_itself_is_not(value: str) -> None:
    assert warned("x", f"{{y: {value}, z: [{value}]}}") == []


KINDS = [
    ("Product Viewed", '{quantity: "2"}', "is a number, which never equals `2`"),
    ("Product Viewed", "{quantity: [1, two]}", "is a number, which never equals `two`"),
    ("Product Viewed", "{price: {at_least: 2026-03-01}}", "is a number, and `2026-03-01` is compared as text"),
    ("Survey Answered", "{score: {above: low}}", "is a number, and `low` is compared as text"),
    ("Order Completed", "{order_id: 777}", 'is text, which never equals 777; put quotes around it: "777"'),
    ("Order Completed", "{coupon: true}", "is text, which never equals true"),
    ("Chat Started", "{bot: 1}", "is true or false, never `1`"),
    ("Order Completed", "{products: x1}", "is a list; ask what it contains"),
    ("Order Completed", "{products: {at_least: 3}}", "is a list; ask what it contains"),
    ("Order Completed", "{products: {contains: p1}}", "is a list of objects"),
]


@pytest.mark.parametrize(("event", "where", "told"), KINDS)
def test_a_value_that_its_field_never_has_is_told(event: str, where: str, told: str) -> None:
    (found,) = warned(event, where)
    assert told in found
    assert warned("Own Event", where) == []


def test_one_warning_a_value_is_enough() -> None:
    assert len(warned("Product Viewed", '{quantity: "true"}')) == 1
    assert len(warned("Survey Answered", '{score: " >= 5 "}')) == 1


def test_values_that_their_fields_may_have_are_fine() -> None:
    assert warned("Product Viewed", '{quantity: 2, price: "19.99", name: {at_least: m}, sku: {contains: "5"}}') == []
    assert warned("Order Completed", "{order_id: {at_least: 5}, products: {exists: true}, total: [5, 6.5]}") == []
    assert warned("Product List Filtered", "{filters: {contains: red}}") == []


@pytest.mark.parametrize("more", ["\n  key: products", "\n  not_followed_by: {event: x, same: products}\n  within: 1h"])
def test_a_list_is_no_key(more: str) -> None:
    (found,) = warned(more=more)
    assert found.endswith("`products` is a list, and an event with a list there cannot be used; name one value.")


# --- alternatives ---------------------------------------------------------------------------------------------------


def test_an_alternative_that_never_holds_is_told() -> None:
    assert warned("x", "{any: [{y: {above: 5, below: 3}}, {z: 1}]}") == [
        "7:39: this item of `any` never holds: `y` cannot be `above: 5` and `below: 3` at once; change one of them."
    ]
    (found,) = warned("x", "{a: 1, none: [{all: [{y: {exists: false}}, {y: 3}]}]}")
    assert found.startswith("7:57: this item of `none` never holds: `y` cannot be `exists: false` and `equals: 3` at")


# --- placeholders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "placeholder",
    ["{name}", "{{ name }}", "{{ customer.name }}", "${name}", "{first name}", "*|FNAME|*", "%%name%%", "%(name)s",
     "%name%", "<%= name %>", "[[name]]", "{% if x %}"],
)  # fmt: skip
@pytest.mark.parametrize(
    "action",
    [
        '{{alert: slack, to: "#x", message: "Hi {}!"}}',
        '{{alert: slack, to: "{}", message: hi}}',
        '{{webhook: w, body: {{a: [{{b: "x {}"}}]}}}}',
    ],
)
def test_a_placeholder_that_nothing_fills_is_told(placeholder: str, action: str) -> None:
    (found,) = warned("x", "{y: 1}", action=action.format(placeholder))
    assert f"nothing fills `{placeholder}`; write {{{{ profile.TRAIT }}}}" in found


@pytest.mark.parametrize(
    "text",
    [
        "5% off, 10% on",
        "a {} b",
        "#care",
        "{ 5 }",
        "50 %",
        "[x](y)",
        "{1}",
        "{{ profile.first_name | upcase }} {{event.total}}",
    ],
)
def test_other_texts_hold_no_placeholder(text: str) -> None:
    assert warned("x", "{y: 1}", action=f'{{alert: slack, to: "#x", message: "{text}"}}') == []


# --- all together ---------------------------------------------------------------------------------------------------


def test_warnings_of_all_files_and_rules_come_in_order_each_once() -> None:
    one = RULE.format(event="order completed", where="{vip: yes}", more="", action=CALM)
    other = RULE.format(event="x", where="{vip: no}", more="", action=CALM).replace("rule: r", "rule: s")
    found = lints({"b.yaml": one, "a.yaml": one.replace("rule: r", "rule: t") + "---\n" + other})
    assert [(lint.file, lint.line) for lint in found] == [
        ("a.yaml", 6),
        ("a.yaml", 7),
        ("a.yaml", 16),
        ("b.yaml", 6),
        ("b.yaml", 7),
    ]
    assert isinstance(found[0], Lint)


def test_every_property_of_the_vocabulary_is_known_where_it_belongs() -> None:
    for event, kinds in WORDS.items():
        where = ", ".join(f"{name}: {{exists: true}}" for name in kinds)
        assert warned(event, f"{{{where}}}") == [], event

"""A customer on a screen: what each of their identifiers holds is one whole, and nothing of anybody else's is in it."""

from __future__ import annotations

import orjson

from profiles import view
from profiles.component import MAX_TAIL_LINES
from profiles.facets import RECENT_ENTRIES
from profiles.kinds import ORDERS, TRAITS
from profiles.row import Row
from profiles.rows import Rows
from stream.simulation.broker import Memory
from stream_world import event


def note(rows: Rows, root: Row, member: str, ats: range) -> None:
    for at in ats:
        full = rows.note(root, member, event((member,), at, f"E{at}", at, at), None)
        if full:
            rows.settle(root, member, full, 0, set)


def ordered(rows: Rows, root: Row, member: str, order: str, amount: str | None, refunded: str = "0") -> None:
    placed = [0 if amount is None else 1, f"m-{order}", amount, "EUR", refunded, False]
    rows.lay(ORDERS, root.key, member, orjson.dumps(placed), order.encode())


def trait(rows: Rows, root: Row, member: str, name: str, value: str, at: int) -> None:
    rows.lay(TRAITS, root.key, member, orjson.dumps({name: [value, at, f"m{at}", "shop"]}))


def customers() -> tuple[Rows, Row]:
    """Ann with two more identifiers, and two neighbours whose keys begin as hers does."""
    rows = Rows(Memory())
    ann = rows.born("user_id:1")
    ann.members = frozenset({"email:ann", "anonymous_id:seldom"})
    for root in (ann, rows.born("user_id:12"), rows.born("user_id:1x")):
        rows.own(root, root.key)
    rows.own(ann, "email:ann")
    return rows, ann


def test_orders_of_all_identifiers_count_once_and_those_of_neighbours_never() -> None:
    rows, ann = customers()
    ordered(rows, ann, "user_id:1", "o1", "10.50")
    ordered(rows, ann, "email:ann", "o1", None, refunded="0.50")
    ordered(rows, ann, "email:ann", "o\0\n2", "5")
    for neighbour in ("user_id:12", "user_id:1x"):
        root = rows.find(neighbour)
        assert root is not None
        ordered(rows, root, neighbour, "o3", "1000")
    orders = view.profile(rows, ann)["orders"]
    assert (orders["count"], orders["revenue"], orders["refunded"]) == (2, {"EUR": "15.5"}, {"EUR": "0.5"})
    assert [each["order_id"] for each in orders["last"]] == ["o1", "o\0\n2"]


def test_the_newest_value_of_a_trait_counts_whichever_identifier_it_came_by() -> None:
    rows, ann = customers()
    trait(rows, ann, "user_id:1", "city", "Ulm", 2)
    trait(rows, ann, "email:ann", "city", "Bonn", 3)
    assert view.profile(rows, ann)["traits"] == {"city": "Bonn"}
    assert view.profile(rows, ann)["trait_sources"]["city"]["message_id"] == "m3"


def test_recent_events_are_those_of_all_identifiers_settled_or_not() -> None:
    rows, ann = customers()
    note(rows, ann, "user_id:1", range(2 * MAX_TAIL_LINES))
    note(rows, ann, "email:ann", range(2 * MAX_TAIL_LINES, 4 * MAX_TAIL_LINES))
    shown = view.profile(rows, ann)
    assert [each["name"] for each in shown["recent"]] == [f"E{at}" for at in range(4 * MAX_TAIL_LINES - 1, -1, -1)][
        :RECENT_ENTRIES
    ]
    assert {each["identifier"] for each in shown["recent"]} == {"user_id:1", "email:ann"}
    assert shown["event_count"] == 4 * MAX_TAIL_LINES == sum(each["count"] for each in shown["events"].values())

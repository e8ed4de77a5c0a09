"""An order: what its events said in any order of arrival, and what that comes to."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import orders
from profiles.facets import MAX_ROW_BYTES
from profiles.orders import MAX_REFUNDS, Order, fold_order, merge_order, order_id, statement, told
from schemas.messages import Event

COMPLETED, UPDATED, REFUNDED, CANCELLED = "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled"


def event(name: str, message_id: str = "m", at: int = 1, sequence: int = 0, **properties: Any) -> Event:
    body = {"type": "track", "event": name, "properties": {"order_id": "o", **properties}}
    return Event(("user_id:1",), message_id, "track", name, None, at, at, at, "test", None, (), body, sequence=sequence)


def folded(events: Iterable[Event]) -> bytes:
    row = None
    for each in events:
        row = fold_order(row, statement(each))
    return row or b"{}"


def order(*events: Event) -> Order:
    """What events come to; the same in every order of arrival."""
    row = folded(events)
    for others in itertools.islice(itertools.permutations(events), 24):
        assert folded(others) == row
    return told(row)


def money(*events: Event) -> tuple[Decimal | None, Decimal | None, str]:
    found = order(*events)
    return found.amount, found.refunded, found.status


# --- laws -----------------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(("a", "b", 7, 7.0, "7", "", None, True))
AMOUNTS = st.sampled_from((0, 12, 19.99, -5, "7,50", "1.234,56", "1,234", "a lot", "", None, "5 EUR", True))
QUANTITIES = st.sampled_from((1, 2, 0.5, "3", "", None, 0, "two"))
PRODUCTS = st.lists(
    st.fixed_dictionaries({}, optional={"product_id": KEYS, "sku": KEYS, "price": AMOUNTS, "quantity": QUANTITIES}),
    max_size=3,
)
SAID = st.fixed_dictionaries(
    {},
    optional={
        "revenue": AMOUNTS,
        "total": AMOUNTS,
        "currency": st.sampled_from(("EUR", "sek", "", None, 5)),
        "products": PRODUCTS | st.sampled_from((None, "", {}, "a, b")),
    },
)


@st.composite
def some_events(draw: st.DrawFn) -> list[Event]:
    """Events of one order, some of them at one instant; one may come twice, under another identifier, later."""
    events = [
        event(
            draw(st.sampled_from((COMPLETED, UPDATED, REFUNDED, REFUNDED, CANCELLED))),
            f"m{number}",
            draw(st.integers(1, 4)),
            draw(st.integers(0, 2)),
            **draw(SAID),
        )
        for number in range(draw(st.integers(1, 7)))
    ]
    again = draw(st.none() | st.sampled_from(events))
    return events if again is None else [*events, again._replace(occurred_at=again.occurred_at + 1)]


def in_any_tree(data: st.DataObject, rows: list[bytes]) -> bytes:
    """Rows merged two by two, as draws have it."""
    while len(rows) > 1:
        mine = rows.pop(data.draw(st.integers(0, len(rows) - 1)))
        other = rows.pop(data.draw(st.integers(0, len(rows) - 1)))
        rows.append(merge_order(mine, other))
    return rows[0]


@settings(max_examples=300)
@given(some_events(), st.randoms(use_true_random=False), st.data())
def test_neither_arrival_nor_merges_matter(events: list[Event], chance: Any, data: st.DataObject) -> None:
    whole = folded(events)
    assert folded(chance.sample(events, len(events))) == whole
    shuffled, parts = chance.sample(events, len(events)), []
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        parts.append(folded(shuffled[:size]))
        shuffled = shuffled[size:]
    assert in_any_tree(data, parts) == whole


OLD = st.builds(
    lambda at, number, amount, currency, refunded, undone: orjson.dumps(
        [at if amount else 0, f"m{number}", amount, currency, refunded, undone]
    ),
    st.integers(1, 4),
    st.integers(0, 9),
    st.sampled_from((None, "0", "19.99", "100")),
    st.sampled_from((None, "EUR", "SEK")),
    st.sampled_from(("0", "5", "0.333333")),
    st.booleans(),
)


@given(st.lists(OLD, min_size=1, max_size=4), some_events(), st.data())
def test_rows_of_the_first_version_merge_in_any_order(old: list[bytes], events: list[Event], data: Any) -> None:
    rows = [*old, *(folded([each]) for each in events)]
    assert told(in_any_tree(data, list(rows))) == told(in_any_tree(data, list(rows)))


@given(some_events())
def test_the_same_events_again_change_nothing(events: list[Event]) -> None:
    row = folded(events)
    assert merge_order(row, row) == row == folded([*events, *events])


# --- what a placement says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "amount"),
    [
        ({"revenue": 120}, "120"),
        ({"total": "120,00 €"}, "120"),
        ({"revenue": 100, "total": 120}, "100"),
        ({"revenue": None, "total": 120}, "120"),
        ({"revenue": " ", "total": 120}, "120"),
        ({"revenue": "a lot", "total": 120}, "120"),
        ({"revenue": 0, "total": 120}, "0"),
        ({"products": [{"price": 60, "quantity": 2}]}, "120"),
        ({"products": [{"price": "60,00", "quantity": "2"}]}, "120"),
        ({"products": [{"price": 120}, {"product_id": "gift"}, "?"]}, "120"),
        ({"products": [{"price": 120, "quantity": None}]}, "120"),
        ({"products": [{"price": 120, "quantity": ""}]}, "120"),
        ({"revenue": 5, "products": [{"price": 120}]}, "5"),
    ],
)
def test_an_amount_is_revenue_else_total_else_the_products(said: dict[str, Any], amount: str) -> None:
    assert order(event(COMPLETED, **said)).amount == Decimal(amount)
    assert not order(event(COMPLETED, **said)).unreadable


@pytest.mark.parametrize(
    ("said", "unreadable"),
    [
        ({}, 0),
        ({"revenue": None, "total": ""}, 0),
        ({"products": []}, 0),
        ({"products": [{"product_id": "a", "quantity": 2}]}, 0),
        ({"revenue": "1,234"}, 1),
        ({"revenue": {"amount": 5}}, 1),
        ({"revenue": "a lot", "total": "1,234"}, 1),
        ({"revenue": "a lot", "products": [{"price": 5}]}, 1),
        ({"products": [{"price": 5}, {"price": "1,234"}]}, 1),
        ({"products": [{"price": 5, "quantity": "two"}]}, 1),
        ({"products": [{"price": 1e17, "quantity": 1e17}, {"price": 3}]}, 1),
    ],
)
def test_an_amount_that_nobody_stated_or_can_read_is_none(said: dict[str, Any], unreadable: int) -> None:
    found = order(event(COMPLETED, **said))
    assert (found.amount, found.refunded, found.status) == (None, 0, "completed")
    assert found.unreadable == unreadable


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ({"revenue": "x", "total": "1,234"}, 2),
        ({"revenue": 1, "total": "x"}, 1),
        ({"revenue": 1, "products": [{"price": "x"}, {"quantity": "x"}, {"price": None}, "x"]}, 2),
        ({"products": {"price": 1}}, 1),
        ({"revenue": "", "total": 5}, 0),
        ({"total": None, "products": []}, 0),
    ],
)
def test_every_amount_that_cannot_be_read_is_counted(said: dict[str, Any], count: int) -> None:
    for name in (COMPLETED, UPDATED, REFUNDED):
        assert statement(event(name, **said)).unreadable == count
    assert statement(event(CANCELLED, **said)).unreadable == 0


@pytest.mark.parametrize("said", [{"revenue": ""}, {"total": " ", "products": []}, {"products": ""}])
def test_an_empty_text_says_nothing_and_in_a_refund_not_the_whole(said: dict[str, Any]) -> None:
    assert statement(event(COMPLETED, **said)).unreadable == 0
    assert statement(event(REFUNDED, **said)).unreadable == 1
    assert order(event(REFUNDED, **said)).unreadable == 1


def test_an_update_says_only_what_it_says() -> None:
    placed = event(COMPLETED, "1", 10, revenue=120, currency="EUR", products=[{"price": 60}, {"price": 60}])
    found = order(placed, event(UPDATED, "2", 20, status="shipped"))
    assert (found.amount, found.currency, found.lines, found.at, found.updated_at) == (120, "EUR", 2, 10, 20)
    found = order(placed, event(UPDATED, "2", 20, products=[{"price": 1}]))
    assert (found.amount, found.lines) == (120, 1)
    found = order(placed, event(UPDATED, "2", 20, total=90), event(UPDATED, "3", 15, revenue=100, currency="SEK"))
    assert (found.amount, found.currency, found.lines) == (90, "SEK", 2)


def test_the_newest_statement_counts_even_where_it_cannot_be_read() -> None:
    found = order(event(COMPLETED, "1", 10, revenue=120), event(UPDATED, "2", 20, revenue="1,234"))
    assert (found.amount, found.unreadable) == (None, 1)
    found = order(event(COMPLETED, "1", 10, revenue="1,234"), event(UPDATED, "2", 20, revenue=120))
    assert (found.amount, found.unreadable) == (120, 0)


def test_of_one_instant_the_sequence_counts_then_the_message_id() -> None:
    found = order(event(UPDATED, "b", 10, 1, revenue=1), event(UPDATED, "a", 10, 2, revenue=2))
    assert found.amount == 2
    found = order(event(UPDATED, "b", 10, 1, revenue=1), event(UPDATED, "a", 10, 1, revenue=2))
    assert found.amount == 1


@pytest.mark.parametrize(
    ("events", "at", "status"),
    [
        ([event(UPDATED, "1", 5), event(COMPLETED, "2", 20), event(COMPLETED, "3", 10)], 10, "completed"),
        ([event(UPDATED, "1", 7), event(UPDATED, "2", 5), event(REFUNDED, "3", 1, total=1)], 5, "partly_refunded"),
        ([event(REFUNDED, "1", 3, total=1), event(REFUNDED, "2", 2, total=1)], 2, "unplaced"),
        ([event(CANCELLED, "1", 3)], 3, "unplaced"),
    ],
)
def test_it_was_placed_by_its_first_completion(events: list[Event], at: int, status: str) -> None:
    found = order(*events)
    assert (found.at, found.status) == (at, status)
    assert found.updated_at == max(each.occurred_at for each in events)


# --- refunds ----------------------------------------------------------------------------------------------------------

LIST = [
    {"product_id": "a", "sku": "s", "price": 25, "quantity": 2},
    {"product_id": "a", "price": 40, "quantity": 1},
    {"sku": "b", "price": "10,00"},
    {"product_id": 7, "price": 3},
    {"product_id": "free"},
]
"""`a` costs 30 on the average."""
PLACED = event(COMPLETED, "1", 10, revenue=100, currency="EUR", products=LIST)


@pytest.mark.parametrize(
    ("said", "refunded", "status"),
    [
        ({"total": 25}, "25", "partly_refunded"),
        ({"total": "25,00"}, "25", "partly_refunded"),
        ({"total": -25}, "25", "partly_refunded"),
        ({"revenue": 25}, "25", "partly_refunded"),
        ({"total": 25, "revenue": 100}, "25", "partly_refunded"),
        ({"total": 0}, "0", "completed"),
        ({"total": 100}, "100", "refunded"),
        ({"total": 120}, "120", "refunded"),
        ({"total": 25, "products": [{"product_id": "a"}]}, "25", "partly_refunded"),
        ({"total": "", "revenue": 25}, "25", "partly_refunded"),
        ({"total": "", "products": [{"product_id": "a"}]}, "30", "partly_refunded"),
        # the whole
        ({}, "100", "refunded"),
        ({"total": None, "products": []}, "100", "refunded"),
        # unknown
        ({"total": "a lot"}, "0", "completed"),
        ({"total": "1,234"}, "0", "completed"),
        ({"total": "a lot", "revenue": 100}, "0", "completed"),
        ({"total": "a lot", "products": [{"product_id": "a"}]}, "0", "completed"),
        ({"total": {"amount": 5}}, "0", "completed"),
        ({"total": ""}, "0", "completed"),
        ({"revenue": " ", "products": []}, "0", "completed"),
        ({"products": ""}, "0", "completed"),
        ({"products": {"product_id": "a"}}, "0", "completed"),
        ({"products": "a"}, "0", "completed"),
        # products
        ({"products": [{"product_id": "a", "quantity": 1}]}, "30", "partly_refunded"),
        ({"products": [{"product_id": "a"}]}, "30", "partly_refunded"),
        ({"products": [{"product_id": "a", "quantity": "2"}]}, "60", "partly_refunded"),
        ({"products": [{"product_id": "a", "quantity": -1}]}, "30", "partly_refunded"),
        ({"products": [{"product_id": "a"}, {"sku": "b"}]}, "40", "partly_refunded"),
        ({"products": [{"product_id": "a", "quantity": 3}, {"sku": "b"}]}, "100", "refunded"),
        ({"products": [{"product_id": "a", "price": 7, "quantity": 2}]}, "14", "partly_refunded"),
        ({"products": [{"price": "5,50"}]}, "5.5", "partly_refunded"),
        ({"products": [{"product_id": 7.0}]}, "3", "partly_refunded"),
        ({"products": [{"product_id": "7"}]}, "3", "partly_refunded"),
        ({"products": [{"product_id": "", "sku": "b"}]}, "10", "partly_refunded"),
        ({"products": [{"product_id": "b"}]}, "10", "partly_refunded"),
        # products that take nothing back
        ({"products": [{"sku": "s"}]}, "0", "completed"),
        ({"products": [{"product_id": "unknown"}]}, "0", "completed"),
        ({"products": [{"product_id": "free"}]}, "0", "completed"),
        ({"products": [{"product_id": "a", "quantity": "two"}]}, "0", "completed"),
        ({"products": [{"product_id": "a", "price": "a lot"}]}, "0", "completed"),
        ({"products": [{"quantity": 1}, "a", None]}, "0", "completed"),
        ({"products": [{"product_id": "unknown"}, {"product_id": "a"}]}, "30", "partly_refunded"),
    ],
)
def test_a_refund_takes_back_what_it_says(said: dict[str, Any], refunded: str, status: str) -> None:
    assert money(PLACED, event(REFUNDED, "2", 20, **said)) == (100, Decimal(refunded), status)
    assert money(PLACED, event(REFUNDED, "2", 5, **said)) == (100, Decimal(refunded), status)


def test_products_are_priced_by_the_newest_list() -> None:
    refund = event(REFUNDED, "3", 15, products=[{"product_id": "a", "quantity": 2}])
    assert order(refund, event(UPDATED, "2", 20, products=[{"product_id": "a", "price": 10}]), PLACED).refunded == 20
    assert order(refund, event(UPDATED, "2", 20, products=[{"product_id": "a"}]), PLACED).refunded == 0
    assert order(refund, event(UPDATED, "2", 20, products=[]), PLACED).refunded == 60
    assert order(refund).refunded == 0


def test_a_mean_price_is_exact() -> None:
    prices = [{"product_id": "a", "price": price, "quantity": quantity} for price, quantity in ((10, 1), (5, 2))]
    for quantity, refunded in ((1, "6.666667"), (2, "13.333333"), (3, "20")):
        refund = event(REFUNDED, "2", products=[{"product_id": "a", "quantity": quantity}])
        assert order(event(COMPLETED, "1", products=prices), refund).refunded == Decimal(refunded)


def test_refunds_add_up_each_message_once() -> None:
    once = event(REFUNDED, "2", 20, total=10)
    assert order(PLACED, once, once._replace(occurred_at=30), event(REFUNDED, "3", 20, total=10)).refunded == 20


@pytest.mark.parametrize("said", [{"total": "a lot"}, {"products": [{"product_id": "a", "price": "x"}]}])
def test_a_refund_that_cannot_be_read_is_counted(said: dict[str, Any]) -> None:
    found = order(PLACED, event(REFUNDED, "2", **said), event(REFUNDED, "3", total=1))
    assert (found.refunded, found.unreadable) == (1, 1)


def test_another_currency_is_kept_apart() -> None:
    found = order(
        event(COMPLETED, "1", revenue=1000, currency="SEK", products=[{"product_id": "a", "price": 400}]),
        event(REFUNDED, "2", total=50, currency="eur"),
        event(REFUNDED, "3", total="25 EUR"),
        event(REFUNDED, "4", total="5", currency="USD"),
        event(REFUNDED, "5", total=100),
    )
    assert (found.refunded, found.refunded_other, found.status) == (100, {"EUR": 75, "USD": 5}, "partly_refunded")
    found = order(event(COMPLETED, "1", revenue=1000, currency="SEK"), event(REFUNDED, "2", total=1000, currency="EUR"))
    assert (found.refunded, found.refunded_other, found.status) == (0, {"EUR": 1000}, "partly_refunded")


def test_what_the_order_prices_is_in_its_own_currency() -> None:
    placed = event(COMPLETED, "1", currency="SEK", products=[{"product_id": "a", "price": 400}])
    refund = event(REFUNDED, "2", currency="EUR", products=[{"product_id": "a"}, {"product_id": "b", "price": 7}])
    found = order(placed, refund)
    assert (found.refunded, found.refunded_other) == (400, {"EUR": 7})


@pytest.mark.parametrize(
    ("events", "currency"),
    [
        ([event(COMPLETED, "1", revenue="5 EUR")], "EUR"),
        ([event(COMPLETED, "1", revenue="5 EUR", currency="sek")], "SEK"),
        ([event(COMPLETED, "1", revenue="$5")], None),
        ([event(COMPLETED, "1", revenue=5), event(REFUNDED, "2", 9, total=1, currency="EUR")], "EUR"),
        ([event(REFUNDED, "2", 9, total=1, currency="EUR"), event(REFUNDED, "3", 8, total=1, currency="SEK")], "SEK"),
        ([event(COMPLETED, "1", revenue=5, currency="a currency of too many words")], None),
    ],
)
def test_the_currency_is_the_one_that_somebody_stated_first_of_all_the_placement(
    events: list[Event], currency: str | None
) -> None:
    assert order(*events).currency == currency


@pytest.mark.parametrize(
    ("events", "refunded", "status"),
    [
        ([PLACED, event(CANCELLED, "2", total=1)], 100, "cancelled"),
        ([PLACED, event(CANCELLED, "2"), event(REFUNDED, "3", total=120)], 120, "cancelled"),
        ([PLACED, event(CANCELLED, "2"), event(REFUNDED, "3", total=20)], 100, "cancelled"),
        ([event(COMPLETED, "1"), event(CANCELLED, "2")], None, "cancelled"),
        ([event(COMPLETED, "1", revenue="x"), event(REFUNDED, "2")], None, "refunded"),
        ([event(COMPLETED, "1", revenue="x"), event(REFUNDED, "2"), event(REFUNDED, "3", total=5)], 5, "refunded"),
        ([event(COMPLETED, "1"), event(REFUNDED, "2", total=5)], 5, "partly_refunded"),
        ([event(REFUNDED, "2", total=5)], 5, "unplaced"),
    ],
)
def test_the_whole_of_an_unknown_amount_is_unknown(events: list[Event], refunded: int | None, status: str) -> None:
    found = order(*events)
    assert (found.refunded, found.status) == (refunded, status)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_the_first_refunds_are_kept_and_the_rest_is_told() -> None:
    refunds = [event(REFUNDED, f"r{n:03}", 1000 - n // 2, total=1) for n in range(MAX_REFUNDS + 50)]
    for some in (refunds, refunds[::-1], refunds[1::2] + refunds[::2]):
        found = told(folded([PLACED, *some]))
        assert (found.refunded, found.refunds_cut) == (MAX_REFUNDS, True)
    assert not told(folded([PLACED, *refunds[:MAX_REFUNDS]])).refunds_cut
    row = folded(refunds)
    assert row == merge_order(folded(refunds[:120]), folded(refunds[120:])) == folded(refunds[::-1])
    assert min(orjson.loads(row)["refunds"]) == "r050"


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=9), st.data())
def test_whatever_is_cut_is_cut_in_any_order(refunds: list[tuple[int, int]], data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders, "MAX_REFUNDS", 4)
        patch.setattr(orders, "MAX_PRODUCTS", 5)
        events = [
            event(REFUNDED, f"m{number}", at, products=[{"product_id": "a"}] * lines or [{"price": 1}])
            for number, (at, lines) in enumerate(refunds)
        ]
        whole = folded(events)
        assert in_any_tree(data, [folded([each]) for each in events]) == whole
        kept = orjson.loads(whole)["refunds"]
        in_order = sorted(events, key=lambda each: (each.occurred_at, each.message_id))
        assert kept.keys() == {each.message_id for each in in_order[: len(kept)]}
        assert told(whole).refunds_cut == (len(kept) < len(events))


LONG = st.sampled_from(("x" * 90, "ü" * 90, "\N{GRINNING FACE}" * 90, "x"))


@settings(max_examples=20, deadline=None)
@given(LONG, LONG, st.integers(1, 400), st.integers(0, 250), st.integers(0, 40))
def test_a_row_stays_small_and_says_what_it_lost(
    message: str, product: str, refunds: int, products: int, named: int
) -> None:
    listed = [{"product_id": f"{product}{n}", "price": 12.5, "quantity": 2} for n in range(products)]
    back = [{"product_id": f"{product}{n}"} for n in range(named)]
    events = [
        event(COMPLETED, f"{message}m", 1, products=listed),
        *(event(REFUNDED, f"{message}{n}", n, products=back) if named else event(REFUNDED, f"{message}{n}", n, total=1)
          for n in range(refunds)),
    ]  # fmt: skip
    row = folded(events)
    assert len(row) <= MAX_ROW_BYTES
    assert row == folded(events[::-1])
    found = told(row)
    expected = refunds * min(named, products) * 12.5 if named else refunds
    assert found.refunds_cut or found.refunded == Decimal(str(expected))


def test_one_refund_of_many_products_is_priced_as_far_as_they_are_told_apart() -> None:
    listed = [{"product_id": f"p{n}", "price": 1} for n in range(250)]
    found = order(event(COMPLETED, "1", products=listed), event(REFUNDED, "2", products=[{"product_id": "p7"}]))
    assert (found.amount, found.lines, found.refunded, found.refunds_cut) == (250, 250, 1, True)
    back = event(REFUNDED, "2", products=[{"product_id": f"p{n}"} for n in range(250)])
    found = order(event(COMPLETED, "1", products=listed[:200]), back)
    assert (found.refunded, found.refunds_cut, found.status) == (200, True, "refunded")


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "id_"),
    [
        ({"order_id": "777"}, "777"),
        ({"order_id": 777}, "777"),
        ({"order_id": 777.0}, "777"),
        ({"order_id": -0.0}, "0"),
        ({"order_id": None, "orderId": "777"}, "777"),
        ({"order_id": "", "orderId": 777}, "777"),
        ({"order_id": True, "orderId": 777.0}, "777"),
        ({"order_id": "a", "orderId": "b"}, "a"),
        ({"order_id": "777.0"}, "777.0"),
        ({"order_id": 7.5}, "m"),
        ({"order_id": 1e16}, "m"),
        ({"order_id": ["o1"]}, "m"),
        ({"order_id": {}}, "m"),
    ],
)
def test_spellings_of_an_order_id_are_one_order(said: dict[str, Any], id_: str) -> None:
    assert order_id(event(COMPLETED, **said)) == id_
    assert statement(event(REFUNDED, **said)).order_id == id_


# --- rows of the first version ----------------------------------------------------------------------------------------


def old(at: int, amount: str | None, currency: str | None, refunded: str = "0", undone: bool = False) -> bytes:
    return orjson.dumps([at, "m0", amount, currency, refunded, undone])


def with_events(row: bytes, events: Sequence[Event]) -> Order:
    for each in events:
        row = fold_order(row, statement(each))
    return told(row)


@pytest.mark.parametrize(
    ("row", "events", "amount", "refunded", "status"),
    [
        (old(5, "100", "EUR"), [], 100, 0, "completed"),
        (old(5, "100", "EUR", "25"), [], 100, 25, "partly_refunded"),
        (old(5, "100", "EUR", "25", True), [], 100, 100, "refunded"),
        (old(0, None, "EUR", "25"), [], None, 25, "unplaced"),
        (old(0, None, "EUR", "25"), [event(COMPLETED, "1", 9, revenue=100)], 100, 25, "partly_refunded"),
        (old(5, "100", "EUR", "25"), [event(REFUNDED, "1", 9, total=5)], 100, 30, "partly_refunded"),
        (old(5, "100", "EUR", "25"), [event(REFUNDED, "1", 9)], 100, 100, "refunded"),
        (old(5, "100", "EUR"), [event(UPDATED, "1", 9, status="x")], 100, 0, "completed"),
        (old(5, "100", "EUR"), [event(UPDATED, "1", 9, revenue=90)], 90, 0, "completed"),
        (old(5, "100", "EUR"), [event(UPDATED, "1", 4, revenue=90)], 100, 0, "completed"),
        (old(5, "0", None), [], None, 0, "completed"),
        (old(5, "0", None), [event(UPDATED, "1", 9, products=[{"price": 7}])], 7, 0, "completed"),
    ],
)
def test_a_row_of_the_first_version_goes_on(
    row: bytes, events: list[Event], amount: int | None, refunded: int, status: str
) -> None:
    found = with_events(row, events)
    assert (found.amount, found.refunded, found.status) == (amount, refunded, status)
    assert told(merge_order(folded(events), row)) == found
    assert found.at == (5 if status != "unplaced" and row[1:2] == b"5" else (found.at and 9))


def test_two_rows_of_the_first_version_add_their_refunds_up() -> None:
    found = told(merge_order(old(5, "100", "EUR", "25"), old(0, None, "SEK", "10", True)))
    assert (found.amount, found.currency, found.refunded) == (100, "EUR", 100)
    assert told(merge_order(old(0, None, "SEK", "10"), old(0, None, None, "5"))).currency == "SEK"


def test_a_part_that_a_later_version_added_stays() -> None:
    later = orjson.dumps({"tier": "gold"})
    for row in (merge_order(later, folded([PLACED])), merge_order(folded([PLACED]), later)):
        assert orjson.loads(row)["tier"] == "gold"
        assert told(row).amount == 100

"""An order: what its events said, kept so that the order of arrival does not matter, and what that comes to.

The row of an order is JSON. Each of its parts has a merge of its own that is commutative and associative, and nothing
is computed before somebody reads it. What nobody has said is not there.

    amount     [amount | null, at, sequence, message id]  newest one a placement states; null where it is unreadable
    currency   [code, at, sequence, message id]           newest one a placement states
    products   [products, at, sequence, message id]       newest list of a placement, summed up: `_products`
    completed, updated                                    when it was placed: the first event of each name
    first, last                                           its first and its last event of any name
    cancelled  true
    refunds    {message id: [at, ...]}                    refunds, as `_refund` reads them
    cut        [at, message id]                           the first refund not kept; none is kept from there on
    carried    [refunded, undone, currency, message id]   what a row of version 0.1.0 had summed up

`sinks/sql/orders` folds the same events by the same rules. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from schemas import money
from schemas.messages import Event

PLACED = frozenset({"Order Completed", "Order Updated"})
REFUNDED = "Order Refunded"
ORDER_EVENTS = PLACED | {REFUNDED, "Order Cancelled"}
MAX_REFUNDS = 200
"""Refunds that an order keeps: the first ones, by time and message id."""
MAX_PRODUCTS = 200
"""Products of an order, or of a refund, that are told apart; and of all its refunds together that the order prices."""
MAX_REFUND_BYTES = 36 * 1024
MAX_PRODUCT_BYTES = 22 * 1024
"""Together less than a row may have, however long ids are."""
_WHOLE_BELOW = 2**53
"""Up to where every whole number is a double."""

Parts = dict[str, Any]
"""A row of an order, decoded."""


# --- what an event says -----------------------------------------------------------------------------------------------


class Statement(NamedTuple):
    """What one event says of an order."""

    order_id: str
    parts: Parts
    unreadable: int
    """Amounts it states that cannot be read."""


def statement(event: Event) -> Statement:
    """What an event of `ORDER_EVENTS` says."""
    said: Mapping[str, Any] = event.body.get("properties") or {}
    at = event.occurred_at
    parts: Parts = {"first": at, "last": at}
    if event.name == "Order Cancelled":
        return Statement(order_id(event), {**parts, "cancelled": True}, 0)
    amounts = _Amounts(said)
    if event.name == REFUNDED:
        parts["refunds"] = {event.message_id: [at, *_refund(said, amounts)]}
    else:
        parts["completed" if event.name == "Order Completed" else "updated"] = at
        for name, value in _placement(said, amounts).items():
            parts[name] = [value, at, event.sequence, event.message_id]
    return Statement(order_id(event), parts, amounts.unreadable)


def order_id(event: Event) -> str:
    """`order_id`, else `orderId`, as text; else the message id: then the event is an order by itself."""
    said = event.body.get("properties") or {}
    return id_text(said.get("order_id")) or id_text(said.get("orderId")) or event.message_id


def id_text(value: object) -> str | None:
    """An id as text: 777, 777.0 and "777" are one. None where it is none."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE_BELOW:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value) or None


class _Product(NamedTuple):
    """One entry of a list of products."""

    key: str | None
    value: Decimal | None
    """Price times quantity; None where it states no price."""
    quantity: Decimal
    unreadable: bool
    """It states a price or a quantity that cannot be read, so its value is not known."""


class _Amounts:
    """The amounts that an event states, each of them read once."""

    __slots__ = ("listed", "products", "revenue", "total", "unreadable")

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.revenue = _stated(said.get("revenue"))
        self.total = _stated(said.get("total"))
        self.listed = said.get("products")
        """As they were stated."""
        self.products = [_product(each) for each in self.listed] if isinstance(self.listed, list) else []
        self.unreadable = sum(each is not None and each[0] is None for each in (self.revenue, self.total))
        """How many are stated and cannot be read: of revenue, total, and price times quantity of each product."""
        if self.products:
            self.unreadable += sum(product.unreadable for product in self.products)
        elif self.listed is not None and not isinstance(self.listed, list):
            self.unreadable += money.stated(self.listed)


def _stated(value: object) -> tuple[str | None, object] | None:
    """(amount or None, as it was stated); None where nothing is stated."""
    if not money.stated(value):
        return None
    amount = money.amount(value)
    return (None if amount is None else money.text(amount)), value


_ONE = Decimal(1)


def _product(entry: object) -> _Product:
    said = entry if isinstance(entry, dict) else {}
    key = id_text(said.get("product_id")) or id_text(said.get("sku"))
    price, pieces = said.get("price"), said.get("quantity")
    quantity = money.amount(pieces) if money.stated(pieces) else _ONE
    if quantity is None or not money.stated(price):
        return _Product(key, None, quantity or money.ZERO, quantity is None)
    amount = money.amount(price)
    value = None if amount is None else money.times(amount, quantity)
    return _Product(key, value, quantity, value is None)


def _placement(said: Mapping[str, Any], amounts: _Amounts) -> Parts:
    """What a placement says of amount, currency and products; what it leaves open is left out."""
    parts: Parts = {}
    unit = money.currency(said.get("currency"))
    stated = [each for each in (amounts.revenue, amounts.total) if each]
    if stated:
        amount, value = next((each for each in stated if each[0] is not None), stated[0])
        parts["amount"] = amount
        unit = unit or money.code(value)
    if unit:
        parts["currency"] = unit
    if amounts.products:
        parts["products"] = _products(amounts.products)
    return parts


def _products(products: list[_Product]) -> Parts:
    """`{"sum"?, "lines", "of": {key: [value, quantity]}, "unreadable"?, "cut"?}` of a list of products.

    There is no sum where none states a price, or one cannot be read. `of` has the prices that refunds may ask for.
    """
    parts: Parts = {"lines": len(products)}
    values = [product.value for product in products if product.value is not None]
    if any(product.unreadable for product in products):
        parts["unreadable"] = True
    elif values:
        parts["sum"] = money.text(money.total(values))
    of: dict[str, list[Decimal]] = {}
    for key, value, quantity, _ in products[:MAX_PRODUCTS]:
        if key is not None and value is not None:
            known = of.get(key)
            of[key] = [value, quantity] if known is None else [known[0] + value, known[1] + quantity]
    kept: dict[str, list[str]] = {}
    size = 0
    for key, (value, quantity) in of.items():
        shown = [money.text(money.rounded(value)), money.text(quantity)]
        size += 6 * len(key) + len(shown[0]) + len(shown[1]) + 9
        if size > MAX_PRODUCT_BYTES:
            size = sum(len(orjson.dumps(each)) + 1 for each in (*kept.items(), (key, shown)))
            if size > MAX_PRODUCT_BYTES:
                break
        kept[key] = shown
    if kept:
        parts["of"] = kept
    if len(products) > MAX_PRODUCTS or len(kept) < len(of):
        parts["cut"] = True
    return parts


def _refund(said: Mapping[str, Any], amounts: _Amounts) -> list[Any]:
    """[amount, currency, [[key, quantity], ...], unreadable, cut]; what is empty at the end is left out.

    The amount is `true` where the whole order goes back, and null where it cannot be read. Of a list of products it is
    the sum of those with a price; the others are listed, for the order to price them.
    """
    stated = amounts.total or amounts.revenue
    amount: str | bool | None
    unit = money.currency(said.get("currency"))
    lines: list[list[str]] = []
    unreadable = cut = False
    if stated is not None:
        amount, value = stated
        unit = unit or money.code(value)
        unreadable = amount is None
    elif amounts.products:
        named = amounts.products[:MAX_PRODUCTS]
        amount = money.text(money.total(product.value for product in named if product.value is not None))
        unreadable, cut = any(product.unreadable for product in named), len(amounts.products) > MAX_PRODUCTS
        lines = [
            [product.key, money.text(product.quantity)]
            for product in named
            if product.key is not None and product.value is None and not product.unreadable
        ]
    elif said.get("total") is None and said.get("revenue") is None and amounts.listed in (None, []):
        amount = True
    else:
        amount, unreadable = None, True
        if amounts.listed == [] or not money.stated(amounts.listed):
            amounts.unreadable += 1  # an empty text, which may have meant a part as well as nothing
    refund = [amount, unit, lines, unreadable, cut]
    while len(refund) > 1 and not refund[-1]:
        refund.pop()
    return refund


# --- the row ----------------------------------------------------------------------------------------------------------


def fold_order(row: bytes | None, said: Statement) -> bytes:
    return _encoded(said.parts if row is None else _merged(_parts(row), said.parts))


def merge_order(mine: bytes, other: bytes) -> bytes:
    return _encoded(_merged(_parts(mine), _parts(other)))


def _encoded(parts: Parts) -> bytes:
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


def _parts(row: bytes) -> Parts:
    stored: Parts | list[Any] = orjson.loads(row)
    return _carried_on(*stored) if isinstance(stored, list) else stored


def _carried_on(
    placed_at: int, message_id: str, amount: str | None, currency: str | None, refunded: str, undone: bool, *later: Any
) -> Parts:
    """A row of 0.1.0: [placed at, message id, amount, currency, refunded, undone], placed at 0 where it was not.

    It wrote the amount 0 of a placement that stated none, too, so 0 says nothing.
    """
    parts: Parts = {"later": later} if later else {}
    if amount is not None:
        stamp = [placed_at, 0, message_id]
        parts |= {"completed": placed_at, "first": placed_at, "last": placed_at}
        parts |= {"amount": [amount, *stamp]} if amount != "0" else {}
        parts |= {"currency": [currency, *stamp]} if currency else {}
    if amount is None or refunded != "0" or undone:
        parts["carried"] = [refunded, undone, None if amount else currency, message_id]
    return parts


def _merged(mine: Parts, other: Parts) -> Parts:
    """What both say, together; a part that only a later version knows stays."""
    merged = {**other, **mine}
    for name, merge in _MERGES.items():
        if name in mine and name in other:
            merged[name] = merge(mine[name], other[name])
    return _bounded(merged)


def _newer(mine: list[Any], other: list[Any]) -> list[Any]:
    return max(mine, other, key=lambda said: (said[1:4], orjson.dumps(said[0])))


def _every(mine: Mapping[str, list[Any]], other: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Each refund once, by message id; of two with one id the first."""
    first = dict(mine)
    for message_id, refund in other.items():
        known = first.setdefault(message_id, refund)
        if refund is not known:
            first[message_id] = min(known, refund, key=lambda said: (said[0], orjson.dumps(said)))
    return first


def _sum(mine: list[Any], other: list[Any]) -> list[Any]:
    refunded = money.text(money.exact(mine[0]) + money.exact(other[0]))
    newest = max(mine, other, key=lambda carried: (carried[3], carried[2] or ""))
    return [refunded, mine[1] or other[1], *newest[2:]]


_MERGES: Mapping[str, Callable[[Any, Any], Any]] = {
    "amount": _newer,
    "currency": _newer,
    "products": _newer,
    "completed": min,
    "updated": min,
    "first": min,
    "last": max,
    "refunds": _every,
    "cut": min,
    "carried": _sum,
}


def _bounded(parts: Parts) -> Parts:
    """Keeps the first refunds that fit. `cut` says from where on none is kept: any order of arrival keeps the same."""
    refunds = parts.get("refunds")
    if not refunds:
        return parts
    in_order = _in_order(refunds)
    cut, lines, size = parts.get("cut"), 0, 0
    for place, (message_id, refund) in enumerate(in_order):
        lines += len(_padded(refund)[2])
        size += len(orjson.dumps((message_id, refund)))
        stamp = [refund[0], message_id]
        if place == MAX_REFUNDS or lines > MAX_PRODUCTS or size > MAX_REFUND_BYTES or (cut and stamp >= cut):
            return {**parts, "refunds": dict(in_order[:place]), "cut": min(cut or stamp, stamp)}
    return parts


def _in_order(refunds: Mapping[str, list[Any]]) -> list[tuple[str, list[Any]]]:
    return sorted(refunds.items(), key=lambda item: (item[1][0], item[0]))


def _padded(refund: list[Any]) -> tuple[str | bool | None, str | None, list[list[str]], bool, bool]:
    """A stored refund without its time, what was left out filled in."""
    amount, unit, lines, unreadable, cut = [*refund[1:], *_LEFT_OUT[len(refund) - 1 :]]
    return amount, unit, lines, unreadable, cut


_LEFT_OUT: list[Any] = [None, None, [], False, False]


# --- what it comes to -------------------------------------------------------------------------------------------------


class Order(NamedTuple):
    """An order as it is told. Amounts are None where they are not known."""

    at: int | None
    """When it was placed: the first Order Completed, else the first Order Updated, else its first event."""
    updated_at: int | None
    status: str
    """`completed`, `partly_refunded`, `refunded`, `cancelled` or `unplaced`."""
    amount: Decimal | None
    currency: str | None
    """The newest that a placement states, else that of the first refund that states one."""
    refunded: Decimal | None
    refunded_other: dict[str, Decimal]
    """Refunds in other currencies."""
    lines: int
    """Entries of its list of products."""
    unreadable: int
    """Its amount, and its refunds, that are stated and cannot be read."""
    refunds_cut: bool
    """It has more refunds, or products, than are kept: `refunded` may be too small."""


def told(row: bytes) -> Order:
    """What an order's row comes to."""
    parts = _parts(row)
    products = parts.get("products", [{}])[0]
    stated = parts["amount"][0] if "amount" in parts else products.get("sum")
    amount = None if stated is None else money.exact(stated)
    carried, undone, carried_currency, _ = parts.get("carried", ("0", False, None, ""))
    refunds = [_padded(refund) for _, refund in _in_order(parts.get("refunds", {}))]
    currency = parts["currency"][0] if "currency" in parts else _first(unit for _, unit, *_ in refunds)
    currency = currency or carried_currency

    back, other = money.exact(carried), dict[str, Decimal]()
    for part, unit, lines, _, _ in refunds:
        own = money.exact(part) if isinstance(part, str) else money.ZERO
        priced = money.total(_priced(lines, products.get("of", {})))
        if unit is None or unit == currency:
            back += abs(own + priced)
        else:
            other[unit] = other.get(unit, money.ZERO) + abs(own)
            back += abs(priced)
    other = {unit: value for unit, value in sorted(other.items()) if value}

    placed_at = parts.get("completed", parts.get("updated"))
    cancelled = parts.get("cancelled", False)
    whole = undone or cancelled or any(part is True for part, *_ in refunds)
    unknown = amount is None and ("amount" in parts or products.get("unreadable", False))
    return Order(
        at=placed_at or parts.get("first"),
        updated_at=parts.get("last"),
        status=_status(placed_at is not None, cancelled, whole, amount, back, bool(other)),
        amount=amount,
        currency=currency,
        refunded=_taken_back(whole, amount, back),
        refunded_other=other,
        lines=products.get("lines", 0),
        unreadable=unknown + sum(unreadable for _, _, _, unreadable, _ in refunds),
        refunds_cut="cut" in parts or any(cut or (lines and "cut" in products) for _, _, lines, _, cut in refunds),
    )


def _first(units: Iterable[str | None]) -> str | None:
    return next((unit for unit in units if unit), None)


def _priced(lines: Iterable[list[str]], of: Mapping[str, list[str]]) -> Iterable[Decimal]:
    """What the order says that these products cost; one that it does not price costs nothing here."""
    for key, quantity in lines:
        if key in of:
            value, pieces = map(money.exact, of[key])
            cost = money.share(value, money.exact(quantity), pieces)
            if cost is not None:
                yield cost


def _taken_back(whole: bool, amount: Decimal | None, back: Decimal) -> Decimal | None:
    """What was refunded; None where the whole of an unknown amount was."""
    if not whole:
        return back
    return max(amount, back) if amount is not None else back or None


def _status(placed: bool, cancelled: bool, whole: bool, amount: Decimal | None, back: Decimal, other: bool) -> str:
    if not placed:
        return "unplaced"
    if cancelled:
        return "cancelled"
    if whole or (back > 0 and amount is not None and back >= amount):
        return "refunded"
    return "partly_refunded" if back > 0 or other else "completed"

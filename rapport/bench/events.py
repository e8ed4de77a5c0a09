"""The events that are measured: made up from numbers alone, so that two runs get the same ones. Asks no clock."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import orjson

from schemas.instant import HOUR, render

PRODUCTS = 500
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
_MIX = (
    ("Product Viewed", 34),
    ("page", 18),
    ("Product Added", 10),
    ("Cart Updated", 8),
    ("Checkout Started", 4),
    ("Order Completed", 6),
    ("Email Opened", 8),
    ("Email Link Clicked", 4),
    ("identify", 4),
    ("Ticket Created", 2),
    ("Survey Answered", 2),
)
_NAMED_ONLY = ("identify", "Email Opened", "Email Link Clicked")
"""What a visitor does not do."""
_SCATTER = 0.618_034
"""Multiples of the golden ratio, taken modulo 1, are spread evenly."""


def first_contacts(customers: range, start: int) -> Iterator[bytes]:
    """One identify call a customer, naming all of a customer's identifiers."""
    for number in customers:
        yield _line(random.Random(number), number, "identify", start + number * HOUR // len(customers), number)


def mixed_events(events: int, customers: int, start: int, seed: int = 1, *, visitors: bool = False) -> Iterator[bytes]:
    """An hour of events of about 600 B, customers in random order: the worst case for any cache.

    With `visitors`, each customer is a visitor up to a moment of their own and says who they are after it: 0.8 merges
    a customer, where there are four events of each.
    """
    chance = random.Random(seed)
    names, weights = zip(*_MIX, strict=True)
    for number, name in enumerate(chance.choices(names, weights, k=events)):
        customer = chance.randrange(customers)
        visitor = visitors and number / events < customer * _SCATTER % 1
        yield _line(chance, customer, name, start + number * HOUR // events, number, visitor)


def _line(chance: random.Random, customer: int, name: str, at: int, number: int, visitor: bool = False) -> bytes:
    if visitor and name in _NAMED_ONLY:
        name = "page"
    product = chance.randrange(PRODUCTS)
    price = round(5 + product * 0.37, 2)
    by_mail = name.startswith("Email")
    event: dict[str, Any] = {
        "type": name if name in ("page", "identify") else "track",
        "messageId": f"{chance.getrandbits(64):016x}-{number:012d}",
        "timestamp": render(at),
        "context": {
            "channel": "email" if by_mail else "web",
            "ip": f"198.51.100.{customer % 250}",
            "library": {"name": "analytics.js", "version": "2.11.1"},
            "locale": "en-GB",
            "userAgent": _AGENT,
            "page": {
                "url": f"https://shop.example/p/{product}",
                "path": f"/p/{product}",
                "title": f"Product {product}",
            },
        },
    }
    if not visitor:
        event["userId"] = f"customer-{customer:07d}"
    if not by_mail:
        event["anonymousId"] = f"6f1d2c3b-8a7e-4c5d-9e0f-{customer:012d}"
    if name == "identify":
        event["traits"] = {"email": f"customer.{customer}@mail.example", "name": f"Customer {customer}", "plan": "gold"}
        return orjson.dumps(event)
    if name == "page":
        event["properties"] = {"path": f"/p/{product}", "referrer": "https://search.example/?q=shoes"}
        return orjson.dumps(event)
    event["event"] = name
    event["properties"] = {
        "cart_id": f"cart-{customer}",
        "order_id": f"order-{number}",
        "product_id": f"sku-{product}",
        "name": f"Product {product}",
        "price": price,
        "quantity": 2,
        "currency": "EUR",
        "total": round(price * 2, 2),
        "score": chance.randrange(11),
        "sentiment": round(chance.uniform(-1, 1), 2),
    }
    return orjson.dumps(event)

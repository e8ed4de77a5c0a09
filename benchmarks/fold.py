"""What both opponents do with an event, written by hand as a good engineer would: the shop's profile, one per user.

Events are remembered by the last 50 message ids. It imports nothing of Rapport's: opponents run without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

Json = dict[str, Any]

RECENT = 50
"""Events and orders kept in a profile."""
PARTITIONS = 8
TAKEN = "taken"
"""A file in an opponent's data folder: how many events it has taken so far."""


def name_of(event: Json) -> str:
    """What happened: the name of a track call, the type of any other."""
    name: str = event["event"] if event["type"] == "track" else event["type"]
    return name


def time_of(event: Json) -> float:
    """When it occurred, as seconds since 1970."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def seen(profile: Json, event: Json) -> bool:
    """Whether this event was counted before."""
    return any(each[1] == event["messageId"] for each in profile["recent"])


def fold(profile: Json, event: Json, name: str, at: float) -> None:
    """Counts an event into its user's profile."""
    counted = profile["names"].setdefault(name, [0, at, at])
    counted[0] += 1
    counted[1] = min(counted[1], at)
    counted[2] = max(counted[2], at)
    profile["count"] += 1
    profile["first"] = min(profile["first"], at)
    profile["last"] = max(profile["last"], at)
    channel = event["context"].get("channel")
    if channel:
        used = profile["channels"].setdefault(channel, [0, at])
        used[0] += 1
        used[1] = max(used[1], at)
    for trait, value in (event.get("traits") or {}).items():
        known = profile["traits"].get(trait)
        if known is None or known[1] <= at:
            profile["traits"][trait] = [value, at]
    if name in ("Order Completed", "Order Refunded"):
        _order(profile["orders"], event["properties"], name, at)
    recent = profile["recent"]
    recent.append([at, event["messageId"], name])
    del recent[:-RECENT]


def _order(orders: Json, properties: Json, name: str, at: float) -> None:
    kept = orders.setdefault(properties["order_id"], {"total": 0.0, "refunded": 0.0, "at": at})
    if name == "Order Completed":
        kept.update(total=properties.get("total", 0.0), currency=properties.get("currency"), at=at)
    else:
        kept["refunded"] += properties.get("total", 0.0)
    if len(orders) > RECENT:
        del orders[min(orders, key=lambda order: orders[order]["at"])]


def newcomer() -> Json:
    return {
        "count": 0,
        "first": float("inf"),
        "last": 0.0,
        "names": {},
        "channels": {},
        "traits": {},
        "orders": {},
        "identifiers": [],
        "recent": [],
        "fired": {},
    }


def identifiers_of(event: Json) -> Iterator[str]:
    if anonymous := event.get("anonymousId"):
        yield f"anonymous_id:{anonymous}"
    traits = event.get("traits") or {}
    if email := traits.get("email"):
        yield f"email:{email.strip().lower()}"
    if phone := traits.get("phone"):
        yield f"phone:{phone}"
    card = traits.get("loyalty_card") or (event.get("properties") or {}).get("loyalty_card")
    if card:
        yield f"loyalty_card:{card}"

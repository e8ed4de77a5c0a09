"""One customer on a screen, for the person who has them on the phone: who, what they bought, what happened last.

Takes what `lookup` found and lays it out; knows no store. Every value of the customer is shown as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.columns import Columns
from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

from rapport.customers.asked import name_of
from rapport.terminal.output import counted, fields, minute, plain, table
from schemas.money import as_written

RECENT = 12
TRAITS = 30
TO_DO = {"send": "to send", "alert": "to alert", "webhook": "to call"}
"""Triggers say what to do; nothing delivers it yet."""


def card(customer: Mapping[str, Any]) -> list[RenderableType]:
    """The whole customer."""
    shown: list[RenderableType] = [_head(customer)]
    shown.append(_identifiers(customer))
    if traits := _traits(customer["traits"]):
        shown.append(traits)
    if customer["orders"]["count"] or customer["orders"]["last"]:
        shown.append(_orders(customer["orders"]))
    shown.append(_activity(customer))
    if customer["triggers"]:
        shown.append(_triggers(customer["triggers"]))
    if customer["shadow"]:
        shown.append(_shadow(customer["shadow"]))
    last = customer.get("last_events")
    shown.append(_recent(customer["recent"]) if last is None else _events(last))
    return _spaced(shown)


def money(amounts: Mapping[str, str]) -> str:
    """`{"EUR": "1234.5"}` as `1,234.50 EUR`."""
    return (
        ", ".join(f"{_amount(amount, currency)} {currency}".strip() for currency, amount in amounts.items()) or "0.00"
    )


def _amount(amount: str | None, currency: str | None) -> str:
    return "unknown" if amount is None else f"{Decimal(as_written(amount, currency)):,f}"


def _revenue(orders: Mapping[str, Any]) -> str:
    return money(orders["revenue"]) if orders["revenue"] else "amount unknown"


def _head(customer: Mapping[str, Any]) -> Panel:
    orders = customer["orders"]
    first, last = minute(customer["first_seen"]), minute(customer["last_seen"])
    lines = {
        "seen": f"{first} to {last} UTC, {counted(customer['event_count'], 'event')}",
        "orders": f"{orders['count']:,}, {_revenue(orders)}" if orders["count"] else "none",
        "profile": customer["profile_id"],
    }
    if orders["refunded"]:
        lines["refunded"] = money(orders["refunded"])
    if orders["unreadable"]:
        lines["unreadable"] = f"{orders['unreadable']:,} of the amounts, so unknown"
    return Panel(fields(lines), title=plain(name_of(customer), "bold"), title_align="left", expand=False)


def _identifiers(customer: Mapping[str, Any]) -> RenderableType:
    return table(
        "Identifiers",
        ("type", "value", "first seen", "last seen"),
        (
            (each["type"], each["value"], minute(each["first_seen"]), minute(each["last_seen"]))
            for each in customer["identifiers"]
        ),
    )


def _traits(traits: Mapping[str, Any]) -> RenderableType | None:
    if not traits:
        return None
    shown = table("Traits", ("trait", "value"), list(traits.items())[:TRAITS])
    if len(traits) > TRAITS:
        shown.add_row("", Text(f"and {len(traits) - TRAITS} more: --json", style="dim"))
    return shown


def _orders(orders: Mapping[str, Any]) -> RenderableType:
    return table(
        "Orders",
        ("order", "at", ">amount", ">refunded", "currency"),
        (
            (
                each["order_id"],
                minute(each["at"]),
                _amount(each["amount"], each["currency"]),
                _refunded(each),
                each["currency"],
            )
            for each in orders["last"]
        ),
    )


def _refunded(order: Mapping[str, Any]) -> str:
    """What went back: in the order's currency, which the next column names, and in others."""
    own = "" if order["refunded"] == "0" else _amount(order["refunded"], order["currency"])
    other = money(order["refunded_other"]) if order["refunded_other"] else ""
    return ", ".join(part for part in (own, other) if part)


def _activity(customer: Mapping[str, Any]) -> RenderableType:
    channels = sorted(customer["channels"].items(), key=lambda item: -item[1]["count"])
    events = sorted(customer["events"].items(), key=lambda item: -item[1]["count"])[:10]
    side_by_side: list[RenderableType] = [
        table(
            "Channels",
            ("channel", ">events", "last"),
            ((name, at["count"], minute(at["last_at"])) for name, at in channels),
        ),
        table(
            "Most frequent",
            ("event", ">times", "last"),
            ((name, at["count"], minute(at["last_at"])) for name, at in events),
        ),
    ]
    for title, kind in (("Devices", "device"), ("Campaigns", "campaign"), ("Groups", "group")):
        if found := customer[f"{kind}s"][:5]:
            side_by_side.append(table(title, (kind, "last"), ((each[kind], minute(each["last_at"])) for each in found)))
    return Columns(side_by_side, padding=(1, 4))


def _triggers(triggers: list[Mapping[str, Any]]) -> RenderableType:
    return table(
        "Triggers",
        ("fired", "rule", "what", "for"),
        (
            (minute(each["fired_at"]), each["rule"], _to_do(each["action"], each["payload"]), each["run_key"])
            for each in triggers
        ),
    )


def _to_do(action: str, payload: Mapping[str, Any]) -> str:
    target = payload.get("channel") or payload.get("name") or ", ".join(payload.get("channels", ()))
    about = payload.get("template") or payload.get("message") or ""
    return " ".join(part for part in (TO_DO.get(action, action), str(target), str(about)) if part)


def _shadow(decisions: list[Mapping[str, Any]]) -> RenderableType:
    return table(
        "Shadow rules, on trial: nothing was done",
        ("decided", "rule", "for"),
        ((minute(each["decided_at"]), each["rule"], each["run_key"]) for each in decisions),
    )


def _events(events: list[Mapping[str, Any]]) -> RenderableType:
    """Each with its properties and traits below it."""
    shown = Text(f"Last {counted(len(events), 'event')}", style="bold")
    for each in events:
        said = {**(each["properties"] or {}), **(each["traits"] or {})}
        heading = ("", minute(each["at"]), each["channel"] or "", each["name"] or each["type"], each["identifier"])
        shown.append("\n")
        shown.append_text(Text("  ").join(plain(part) for part in heading if part))
        for name, value in said.items():
            shown.append_text(Text.assemble("\n    ", plain(name, "dim"), "  ", plain(value)))
    return shown


def _recent(recent: list[Mapping[str, Any]]) -> RenderableType:
    shown = table(
        "Recent events",
        ("at", "channel", "event", "through"),
        ((minute(each["at"]), each["channel"], each["name"], each["identifier"]) for each in recent[:RECENT]),
    )
    if len(recent) > RECENT:
        shown.add_row("", "", Text(f"and {len(recent) - RECENT} more: --json", style="dim"), "")
    return shown


def explanation(found: Mapping[str, Any]) -> list[RenderableType]:
    """Why these are one person, or are not, and which were named and not used."""
    people = found["people"][:1] if found["same"] else found["people"]
    sections: list[RenderableType] = [plain(_verdict(found), "bold")]
    sections += [
        table(f"Customer {person['profile_id']}", ("identifier",), ([member] for member in person["members"]))
        for person in people
        if person["profile_id"] is not None
    ]
    for title, decisions, where in (
        ("Joined by", found["links"], ()),
        ("Kept apart by", found["against"], ("source",)),
    ):
        names = ("decision", "kind", "a", "b", "reason", *where, "message_id")
        rows = [[*(each[name] for name in names), minute(each["decided_at"])] for each in decisions]
        if rows:
            sections.append(table(title, (*names[:-1], "message", "at"), rows))
    if found["dropped"]:
        shown = ("identifier", "reason", "times", "source", "message_id")
        rows = [[*(each[name] for name in shown), minute(each["newest_at"])] for each in found["dropped"]]
        columns = ("identifier", "reason", ">times", "source", "newest message", "at")
        sections.append(table("Named and not used", columns, rows))
    return _spaced(sections)


def _spaced(sections: list[RenderableType]) -> list[RenderableType]:
    return [part for section in sections for part in (section, "")][:-1]


def _verdict(found: Mapping[str, Any]) -> str:
    first, *others = found["people"]
    strangers = [person["identifier"] for person in found["people"] if person["profile_id"] is None]
    if strangers and not (others and found["against"]):
        return " ".join(_nobodys(key, found) for key in strangers)
    if found["quarantined"]:
        return " ".join(f"{key} is in quarantine: no event joins it to anybody." for key in found["quarantined"])
    if found["same"] is None:
        return f"{first['identifier']} is one of {len(first['members'])} identifiers of a customer."
    pair = f"{first['identifier']} and {others[0]['identifier']}"
    if found["same"]:
        return f"{pair} are one customer."
    if found["declared_apart"]:
        return f"{pair} were declared to be different people (a split)."
    if strangers:
        return f"Joining {pair} was refused, and no event was {strangers[0]}'s own: it has no customer."
    if any(each["kind"] == "refuse" for each in found["against"]):
        return f"{pair} are two customers: joining them was refused."
    if any(each["kind"] == "regroup" for each in found["against"]):
        return f"{pair} are two customers: what joined them is in quarantine."
    if found["against"]:
        return f"{pair} are two customers: a split was taken back, and nothing has joined them since."
    return f"{pair} are two customers: no event has named an identifier of each."


def _nobodys(key: str, found: Mapping[str, Any]) -> str:
    if any(each["identifier"].lower() == key.lower() for each in found["dropped"]):
        return f"{key} is nobody's: events named it, and it was not used."
    return f"{key} has no customer: joining it to others was refused, and no event was its own."

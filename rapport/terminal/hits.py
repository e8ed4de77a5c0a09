"""The customers whom a search found, a line each. Every value is shown as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.terminal import output
from rapport.terminal.layout import Column

COLUMNS = (
    Column("customer"),
    Column("name"),
    Column("email"),
    Column("last seen, UTC"),
    Column("found as", prose=True),
    Column("events", right=True),
    Column("orders", right=True),
)
NARROWER = (7, 5, 4)
"""How many of these are shown where the screen is narrow."""


def show(customers: Sequence[Mapping[str, Any]], of_all: int) -> None:
    """Writes them to stdout, and how many more there are."""
    rows = [
        (
            each["customer"],
            each["name"],
            each["email"],
            output.minute(each["last_seen"]),
            _found(each["found"], each["email"]),
            f"{each['event_count']:,}",
            f"{each['order_count']:,}",
        )
        for each in customers
    ]
    shown = output.fitting(COLUMNS, rows, NARROWER)
    output.show_rows(COLUMNS[:shown], [row[:shown] for row in rows])
    if of_all > len(customers):
        output.show(f"and {of_all - len(customers):,} more: --limit, or one more word")


def _found(found: str, email: str | None) -> str:
    """The address stands beside it."""
    return "email" if found in (f"email:{email}", f"email = {email}") else found

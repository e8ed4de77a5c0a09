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
    Column("found as", prose=True),
    Column("last seen, UTC"),
    Column("events", right=True),
    Column("orders", right=True),
)


def show(customers: Sequence[Mapping[str, Any]], of_all: int) -> None:
    """Writes them to stdout, and how many more there are."""
    output.show_rows(
        COLUMNS,
        [
            (
                each["customer"],
                each["name"],
                each["email"],
                _found(each["found"], each["email"]),
                output.minute(each["last_seen"]),
                f"{each['event_count']:,}",
                f"{each['order_count']:,}",
            )
            for each in customers
        ],
    )
    if of_all > len(customers):
        output.show(f"and {of_all - len(customers):,} more: --limit, or one more word")


def _found(found: str, email: str | None) -> str:
    """The address stands beside it."""
    return "email" if found in (f"email:{email}", f"email = {email}") else found

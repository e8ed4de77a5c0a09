"""What the events in a data folder are called and hold, to compare a plan's names with. It only reads."""

from __future__ import annotations

from pathlib import Path

from rapport.customers import queries
from rules.language.model import Rule
from rules.lint.names import Seen


def seen_in(data: Path, rules: tuple[Rule, ...]) -> Seen:
    """The names of all events in a data folder, and the fields of those that the rules name.

    Raises NotPublished and QueryError.
    """
    asked = {name for rule in rules for name in (rule.when.event, rule.when.window and rule.when.window.event) if name}
    events = [str(row["event"]) for row in queries.rows(data, "seen_events", package=__package__)]
    fields: dict[str, list[str]] = {}
    for row in queries.rows(data, "seen_fields", {"events": sorted(asked)}, __package__):
        fields.setdefault(str(row["event"]), []).append(str(row["field"]))
    return Seen(str(data), events, fields)

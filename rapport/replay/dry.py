"""What an import would bring, without taking any of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from rapport.replay.sources import Source
from schemas.instant import render
from schemas.messages import Event, Rejected
from schemas.rejection import READ
from stream.clock import wall_now
from stream.core.intake import Intake
from stream.core.plan import Plan


class Dry(NamedTuple):
    """The first events, and rows that could not be read, in order; and how many could not be read in all."""

    outcomes: list[Event | Rejected]
    unreadable: int


def run(plan: Plan, source: Source, count: int) -> Dry:
    """Reads so many events, and shows at most as many unreadable rows. Raises InputError as reading does."""
    shown: list[Event | Rejected] = []
    events = unreadable = 0
    for outcome in source.outcomes(Intake(plan, wall_now), lambda _done, _total: None):
        if isinstance(outcome, Rejected) and outcome.stage == READ:
            unreadable += 1
            if unreadable <= count:
                shown.append(outcome)
        elif events == count:
            break
        else:
            events += 1
            shown.append(outcome)
    return Dry(shown, unreadable)


def as_json(outcome: Event | Rejected) -> dict[str, Any]:
    """An event, or a refusal with its original."""
    if isinstance(outcome, Event):
        return {
            "outcome": "accepted",
            "identifiers": list(outcome.identifiers),
            "occurred_at": render(outcome.occurred_at),
            "event": outcome.body,
        }
    return {
        "outcome": "rejected",
        "code": outcome.code,
        "field": outcome.field,
        "value": outcome.value,
        "expectation": outcome.expectation,
        "original": outcome.payload.decode("utf-8", "backslashreplace"),
    }


def as_lines(outcome: Event | Rejected) -> str:
    """The same for a person: what becomes of it, then its text."""
    if isinstance(outcome, Event):
        of = ", ".join(outcome.identifiers)
        return (
            f"accepted: {outcome.name} of {of} at {render(outcome.occurred_at)}\n{orjson.dumps(outcome.body).decode()}"
        )
    where = f"{outcome.field} {outcome.value}".strip()
    original = outcome.payload.decode("utf-8", "backslashreplace")
    return f"rejected: {outcome.code}, {where}; needed is {outcome.expectation}\n{original}"

"""What steps want done. A runner commits all of it together with the rows, or nothing of it.

Pure values; what a lane must not forget has a field here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from schemas.messages import Event, IdentityDecision, Message, Rejected, RuleDecision, Trigger


class Address(NamedTuple):
    """Where a message goes, or a record lies: a partition of a topic, by the topic's own name."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


LINKS = Address("links", 0)
"""What the linker is asked."""

Sent = tuple[Address, Message]


@dataclass(slots=True)
class Effects:
    """What some steps came to. `add` takes in all of another's, whatever fields there will be."""

    facts: list[Event] = field(default_factory=list)
    triggers: list[Trigger] = field(default_factory=list)
    decisions: list[RuleDecision] = field(default_factory=list)
    identity: list[IdentityDecision] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    """Messages to lanes and to the linker, in the order in which they must leave."""
    received: Counter[str] = field(default_factory=Counter)
    """Messages read, by topic. Those of `events` are applied, duplicate or refused, here or, where it is another lane,
    at home."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages refused, by topic; those included whose refusal had been recorded before."""
    duplicate: int = 0
    late: int = 0
    """Applied, but too old to start a rule."""
    unreadable: int = 0
    """Amounts of orders that applied events state and that cannot be read."""
    profiles: int = 0
    """Profiles gained or lost."""

    def add(self, other: Effects) -> None:
        """Takes in what other steps came to: lists are appended, counts are added."""
        for name in _NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_NAMES = tuple(each.name for each in fields(Effects))

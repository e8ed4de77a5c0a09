"""The topic table: names, partitioning, keys, retention and what a record holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Partitions = Literal["P", 1]


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    partitions: Partitions
    """`P`: as many as there are lanes, the same for all such topics."""
    key: str
    cleanup: Literal["delete", "compact"]
    retention_days: int | None
    """None: never by time."""
    holds: str


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("events", "P", "home identifier", "delete", 7, "accepted events"),
        Topic("internal", "P", "none: addressed by partition", "delete", None, "messages between homes"),
        Topic("links", 1, "none", "delete", None, "requests to the linker"),
        Topic("identity", 1, "profile", "delete", None, "every decision of the linker, numbered"),
        Topic("facts", "P", "home identifier", "delete", 7, "applied events, once each"),
        Topic("triggers", "P", "profile", "delete", 30, "what must be done for a customer"),
        Topic("decisions", "P", "profile", "delete", 30, "what rules decided and why"),
        Topic("rejected", "P", "none", "delete", 30, "refused input, original bytes and why"),
        Topic("plan", 1, "content hash", "compact", None, "the active plan"),
        Topic("rows", "P", "row", "compact", None, "changelog of the lanes"),
        Topic("linker-rows", 1, "row", "compact", None, "changelog of the linker"),
    )
}

OUTPUTS = ("facts", "triggers", "decisions", "identity", "rejected")
"""The topics that sinks read."""

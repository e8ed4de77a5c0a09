"""The topic table: names, partitioning, keys, retention and what a record holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Partitions = Literal["P", 1]

MAX_RECORD_BYTES: Final = 4 * 1024 * 1024
"""What every topic takes at most; producers are set to the same."""
TOMBSTONES_DAYS: Final = 7
"""How long a changelog remembers that a row was deleted. Local state that is older must be rebuilt."""
_SEGMENT_BYTES: Final = 64 * 1024 * 1024
_DAY_MS: Final = 24 * 60 * 60 * 1000


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

    def settings(self) -> Mapping[str, str]:
        """Kafka's settings of the topic, as `rapport topics` creates and checks them.

        Only closed segments are compacted or expire, so a segment is closed after a day or 64 MiB: a lane that lost its
        disk reads little that is superseded, and retention means what it says. Nothing expires by size.
        """
        common = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "segment.bytes": str(_SEGMENT_BYTES),
            "segment.ms": str(_DAY_MS),
        }
        if self.cleanup == "compact":
            return common | {
                "delete.retention.ms": str(TOMBSTONES_DAYS * _DAY_MS),
                "min.cleanable.dirty.ratio": "0.5",
            }
        kept = -1 if self.retention_days is None else self.retention_days * _DAY_MS
        return common | {"retention.bytes": "-1", "retention.ms": str(kept)}

    def count(self, partitions: int) -> int:
        """How many partitions it has where there are so many lanes."""
        return partitions if self.partitions == "P" else self.partitions


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

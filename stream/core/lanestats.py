"""What a lane tells of its work: plain numbers, added up by whole commits and read whenever somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

AGE_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0)
"""Seconds; the buckets of `LaneStats.ages`."""


@dataclass(slots=True)
class LaneStats:
    """What a lane has done since it was opened; read at any time, changed by whole commits."""

    received: Counter[str] = field(default_factory=Counter)
    """Inputs read, by topic. Those of `events` are applied, duplicate or rejected."""
    applied: int = 0
    duplicate: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Refused inputs, by topic: those recorded before included, and lines that are no messages."""
    late: int = 0
    """Applied, but too old to start a rule."""
    unreadable: int = 0
    """Amounts of orders that could not be read."""
    forwarded: int = 0
    """Events sent on to another lane."""
    merges: int = 0
    triggers: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    """Of rules, by verdict."""
    rows: int = 0
    """Rows written or deleted, and the bytes of their keys and values."""
    row_bytes: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    step_seconds: float = 0.0
    newest_event: int = 0
    """When the event that was applied last had been accepted: an instant."""
    ages: list[int] = field(default_factory=lambda: [0] * (len(AGE_BOUNDS) + 1))
    """Commits by the age of their last event, from accepting to committing: a count for each bound, and one above."""
    ages_sum: float = 0.0
    stages: dict[str, int] = field(default_factory=dict)
    """Refusals recorded, by stage."""
    timers: int = 0
    """Waiting now; `timers_late` is how many seconds the earliest is overdue."""
    timers_late: float = 0.0
    standing: int = 0
    """Partitions of `events` that timers did not wait for, lately, because nothing moved there."""
    waiting: int = 0
    """Records delivered and not yet taken."""
    recovery_done: int = 0
    recovery_total: int = 0
    """Changelog offsets; equal once recovered."""
    open: bool = False
    positions: Mapping[str, int] = field(default_factory=dict)
    """Input topic -> next offset, as committed."""

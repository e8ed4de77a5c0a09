"""Why two identifiers are one customer, or are not: the identity decisions between them as a chain.

Decisions in, an account of them out. It decides nothing about anybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

Decision = Mapping[str, Any]
"""`{"decision", "kind", "a", "b", "reason", "message_id", "decided_at"}`."""


def chain(decisions: Sequence[Decision], members: Sequence[str], a: str, b: str) -> list[Decision]:
    """The shortest way from `a` to `b` over merges of who is there today (`members`); empty where there is none."""
    links: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision["kind"] == "merge" and {decision["a"], decision["b"]} <= set(members):
            links.setdefault(decision["a"], []).append(decision)
            links.setdefault(decision["b"], []).append(decision)
    came_by: dict[str, tuple[str, Decision] | None] = {a: None}
    waiting = deque([a])
    while waiting and b not in came_by:
        here = waiting.popleft()
        for decision in links.get(here, ()):
            there = decision["b"] if decision["a"] == here else decision["a"]
            if there not in came_by:
                came_by[there] = (here, decision)
                waiting.append(there)
    steps = []
    while (step := came_by.get(b)) is not None:
        b, decision = step
        steps.append(decision)
    return steps[::-1]


def split_between(decisions: Sequence[Decision], mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether the newest word on these two people is a split; an unsplit takes splits back."""
    kinds = [each["kind"] for each in between(decisions, mine, theirs) if each["kind"] in ("split", "unsplit")]
    return bool(kinds) and kinds[-1] == "split"


def quarantined(decisions: Sequence[Decision], key: str) -> bool:
    """Whether an identifier is in quarantine."""
    kinds = [each["kind"] for each in decisions if each["a"] == key and each["kind"] in ("quarantine", "release")]
    return bool(kinds) and kinds[-1] == "quarantine"


def named(rows: Sequence[Mapping[str, Any]]) -> list[Decision]:
    """Pairs that events named together (`sql/named.sql`), in the form of decisions without a number."""
    return [
        {
            "decision": None,
            "kind": "merge",
            "a": a,
            "b": b,
            "reason": "named_together",
            "message_id": None,
            "source": row["source"],
            "decided_at": row["newest_at"],
        }
        for row in rows
        for a, b in combinations(row["keys"], 2)
    ]


def between(decisions: Sequence[Decision], mine: Sequence[str], theirs: Sequence[str]) -> list[Decision]:
    """Refusals, splits and unsplits that named one identifier of each side; what a quarantine left apart on one."""
    left, right = set(mine), set(theirs)
    return [
        decision
        for decision in decisions
        if (decision["kind"] == "regroup" and decision["b"] in left | right)
        or (
            decision["kind"] != "merge"
            and (
                (decision["a"] in left and decision["b"] in right) or (decision["a"] in right and decision["b"] in left)
            )
        )
    ]

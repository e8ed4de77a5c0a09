"""Why two identifiers are one customer, or are not: the identity decisions between them as a chain.

Decisions in, an account of them out. It decides nothing about anybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

Decision = Mapping[str, Any]
"""`{"decision", "kind", "a", "b", "reason", "message_id", "decided_at"}`."""


def chain(decisions: Sequence[Decision], a: str, b: str) -> list[Decision]:
    """The shortest way from `a` to `b` over merges; empty where there is none."""
    links: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision["kind"] == "merge":
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


def between(decisions: Sequence[Decision], mine: Sequence[str], theirs: Sequence[str]) -> list[Decision]:
    """Refusals and splits that named one identifier of each side."""
    left, right = set(mine), set(theirs)
    return [
        decision
        for decision in decisions
        if decision["kind"] != "merge"
        and ((decision["a"] in left and decision["b"] in right) or (decision["a"] in right and decision["b"] in left))
    ]

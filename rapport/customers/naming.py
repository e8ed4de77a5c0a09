"""Who of a customer belongs together, by what events named: the sides of a split, the groups that a quarantine leaves.

Answers of `sql/named.sql` in, sets of identifiers out. It decides nothing about anybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations
from typing import Any


class Naming:
    """What named the identifiers of a customer, and which of them together."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.together: dict[str, Counter[str]] = {}
        """Identifier -> with which others it was named, and by how many events; 0 where an alias or a merge joined."""
        self._rows = list(rows)
        for row in self._rows:
            for key, other in permutations(row["keys"], 2):
                self.together.setdefault(key, Counter())[other] += row["times"]

    def told(self, key: str) -> dict[str, Any]:
        """`{"identifier", "named_with": {other: times}, "sources": [...], "newest_at"}`."""
        rows = [row for row in self._rows if key in row["keys"] and row["times"]]
        return {
            "identifier": key,
            "named_with": dict(self.together.get(key, Counter()).most_common()),
            "sources": sorted({row["source"] for row in rows}),
            "newest_at": max((row["newest_at"] for row in rows), default=None),
        }

    def sides(self, members: Iterable[str], a: Iterable[str], b: Iterable[str]) -> tuple[set[str], set[str]]:
        """Who goes with `a` and who with `b`: whoever was named with one side only, then with those, and so on.

        Whoever was named with both, or with none, is on neither side.
        """
        mine, theirs = set(a), set(b)
        rest = set(members) - mine - theirs
        while True:
            with_a = {key for key in rest if self._named_with(key, mine) and not self._named_with(key, theirs)}
            with_b = {key for key in rest if self._named_with(key, theirs) and not self._named_with(key, mine)}
            if not with_a and not with_b:
                return mine, theirs
            mine |= with_a
            theirs |= with_b
            rest -= with_a | with_b

    def groups(self, members: Iterable[str], without: str) -> list[list[str]]:
        """The connected components of the members without one of them, each sorted, in order."""
        rest = set(members) - {without}
        groups = []
        while rest:
            group = {min(rest)}
            while more := {key for key in rest - group if self._named_with(key, group)}:
                group |= more
            groups.append(sorted(group))
            rest -= group
        return groups

    def _named_with(self, key: str, others: set[str]) -> bool:
        return not others.isdisjoint(self.together.get(key, ()))


def on_side(naming: Naming, keys: Iterable[str], asked: Sequence[str], decided: set[str]) -> list[dict[str, Any]]:
    """What is told of each identifier of a side, and why it is there, those asked for first."""
    ordered = [*asked, *sorted(set(keys) - set(asked))]
    return [{**naming.told(key), "why": _why(key, asked, decided)} for key in ordered]


def _why(key: str, asked: Sequence[str], decided: set[str]) -> str:
    if key in asked:
        return "asked for"
    return "named with this side only" if key in decided else "stays, named with both sides or with none"

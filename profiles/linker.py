"""The linker: one total order of decisions about which identifiers are one person.

It knows for each identifier whose it is (a root and all members), applies caps, unique types and negative links, and
answers each request with numbered decisions and the orders that carry them out. Only its orders change a pointer, a
root or a member set. It never sees a profile. Deciding the same request again changes nothing:
a pair of one person is a no-op, a repeated refusal silent.

Rows, by first byte:

    l KEY                [layout, root, members (at the root), negative links held]
    n KEY \\0 KEY         a negative link, the smaller key first
    r KEY \\0 KEY \\0 WHY   a refusal that has been recorded
    #                    the number of the last decision

What a later version appends to the first is kept.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson

from profiles.layout import versioned
from profiles.rows import Store
from profiles.settings import IdentitySettings
from schemas.keys import split_key
from schemas.messages import Absorb, Admit, IdentityDecision, Link, MakeRoot, Order, Redirect, Release, Request

NUMBER = b"#"
LAYOUT = 1


class _Known:
    """What the linker knows of one identifier."""

    __slots__ = ("extra", "members", "negatives", "root")

    def __init__(self, root: str, members: list[str], negatives: int, *extra: Any) -> None:
        self.root = root
        self.members = members
        self.negatives = negatives
        self.extra = extra


class Linker:
    """Decides requests against its rows; `changes` hands the rows over for a commit."""

    def __init__(self, store: Store, settings: IdentitySettings, cache: int = 16_384) -> None:
        self._store = store
        self._settings = settings
        self._generation = cache
        self._cache: dict[str, _Known] = {}
        self._dirty: dict[str, _Known] = {}
        self._raw: dict[bytes, bytes] = {}
        number = store.get(NUMBER)
        self._number = int(number) if number else 0

    def decide(self, request: Request) -> tuple[list[IdentityDecision], list[Order]]:
        """The decisions on one request and their orders: the gaining row first, pointers next, the losing row last.

        A key that a split names on both sides stays with the first.
        """
        if isinstance(request, Link):
            return self._link(request)
        decisions: list[IdentityDecision] = []
        orders: list[Order] = []
        others = [key for key in request.b if key not in request.a]
        for a in request.a:
            for b in others:
                self._forbid(a, b)
        for root in sorted({self._know(key).root for key in request.a}):
            members = self._know(root).members
            side_a, side_b = set(request.a) & set(members), set(others) & set(members)
            if side_a and side_b:
                leaving = side_a if root in side_b else side_b
                self._cut(root, leaving, request.a[0], others[0], request.at, decisions, orders)
        return decisions, orders

    def person(self, key: str) -> tuple[str, tuple[str, ...]]:
        """The root and all members of the person an identifier belongs to."""
        root = self._know(key).root
        return root, tuple(self._know(root).members)

    # --- link -------------------------------------------------------------------------------------------------------

    def _link(self, request: Link) -> tuple[list[IdentityDecision], list[Order]]:
        a, b = self._know(request.a), self._know(request.b)
        if a.root == b.root:
            return [], []
        winner, loser = sorted((a.root, b.root), key=self._strength)
        gaining, losing = self._know(winner), self._know(loser)
        why = self._refusal(gaining.members, losing.members)
        if why is not None:
            return self._refuse(request, winner, loser, why), []
        moved = losing.members
        for key in moved:
            self._change(key).root = winner
        self._change(loser).members = []
        kept = self._change(winner)
        kept.members = sorted([*gaining.members, *moved])
        number = self._next()
        decision = IdentityDecision(
            number,
            "merge",
            request.a,
            request.b,
            winner,
            loser,
            tuple(moved),
            winner,
            "named_together",
            request.message_id,
            request.at,
        )
        orders: list[Order] = [Admit(winner, tuple(moved), number)]
        orders += [Redirect(key, winner, number) for key in moved if key != loser]
        orders.append(Absorb(loser, winner, number))
        return [decision], orders

    def _refusal(self, ours: list[str], theirs: list[str]) -> str | None:
        if any(self._know(key).negatives for key in theirs) and any(self._apart(x, y) for x in ours for y in theirs):
            return "negative_link"
        if len(ours) == 1 and len(theirs) == 1 and split_key(ours[0])[0] != split_key(theirs[0])[0]:
            return None
        mine = Counter(split_key(key)[0] for key in ours)
        others = Counter(split_key(key)[0] for key in theirs)
        for type_ in sorted(mine.keys() & others.keys()):
            if type_ in self._settings.unique:
                return f"unique_{type_}"
            if mine[type_] + others[type_] > self._settings.cap(type_):
                return f"cap_{type_}"
        return None

    def _refuse(self, request: Link, winner: str, loser: str, why: str) -> list[IdentityDecision]:
        """A repeated refusal is recorded once per pair and reason."""
        mark = b"r" + _pair(request.a, request.b) + b"\0" + why.encode()
        if mark in self._raw or self._store.get(mark) is not None:
            return []
        self._raw[mark] = b""
        number = self._next()
        return [
            IdentityDecision(
                number, "refuse", request.a, request.b, winner, loser, (), "", why, request.message_id, request.at
            )
        ]

    # --- split ------------------------------------------------------------------------------------------------------

    def _cut(
        self,
        root: str,
        leaving: set[str],
        a: str,
        b: str,
        at: int,
        decisions: list[IdentityDecision],
        orders: list[Order],
    ) -> None:
        staying = set(self._know(root).members) - leaving
        moved = sorted(leaving)
        away = min(moved, key=self._strength)
        for x in moved:
            for y in staying:
                self._forbid(x, y)
            self._change(x).root = away
        self._change(away).members = moved
        self._change(root).members = sorted(staying)
        number = self._next()
        decisions.append(IdentityDecision(number, "split", a, b, root, away, tuple(moved), away, "requested", "", at))
        orders.append(MakeRoot(away, tuple(moved), number))
        orders += [Redirect(key, away, number) for key in moved if key != away]
        orders.append(Release(root, tuple(moved), away, number))

    def _apart(self, x: str, y: str) -> bool:
        mark = negative_link(x, y)
        return mark in self._raw or self._store.get(mark) is not None

    def _forbid(self, x: str, y: str) -> None:
        if not self._apart(x, y):
            self._raw[negative_link(x, y)] = b""
            self._change(x).negatives += 1
            self._change(y).negatives += 1

    # --- rows -------------------------------------------------------------------------------------------------------

    def _strength(self, key: str) -> Any:
        return self._settings.rank(split_key(key)[0]), key

    def _know(self, key: str) -> _Known:
        known = self._cache.get(key)
        if known is None:
            stored = self._store.get(b"l" + key.encode())
            known = _Known(key, [key], 0) if stored is None else _Known(*versioned(stored, LAYOUT)[1:])
            self._cache[key] = known
        return known

    def _change(self, key: str) -> _Known:
        known = self._dirty[key] = self._know(key)
        return known

    def _next(self) -> int:
        self._number += 1
        self._raw[NUMBER] = b"%d" % self._number
        return self._number

    def changes(self) -> dict[bytes, bytes | None]:
        """The changed rows since the last call, encoded. The caller commits them, all or nothing."""
        changed: dict[bytes, bytes | None] = dict(self._raw)
        for key, known in self._dirty.items():
            row = [LAYOUT, known.root, known.members, known.negatives, *known.extra]
            changed[b"l" + key.encode()] = orjson.dumps(row)
        self._raw = {}
        self._dirty = {}
        if len(self._cache) > self._generation:
            self._cache = {}
        return changed


def negative_link(x: str, y: str) -> bytes:
    """The row that keeps two identifiers apart."""
    return b"n" + _pair(x, y)


def _pair(x: str, y: str) -> bytes:
    return b"\0".join(key.encode() for key in sorted((x, y)))

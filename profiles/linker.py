"""The linker: one total order of decisions about which identifiers are one person.

It knows for each identifier whose it is (a root and all members), applies caps, unique types and negative links, and
answers each request with numbered decisions and the orders that carry them out. Only its orders change a pointer, a
root or a member set. It never sees a profile. Deciding the same request again changes nothing:
a pair of one person is a no-op, a repeated refusal silent.

Rows, by first byte:

    l KEY                [layout, root, members (at the root), negative links held]
    n KEY \\0 KEY         a negative link, the smaller key first; `cut` where a split took the two apart
    q KEY                identifiers in quarantine: who was of one customer with it
    r KEY \\0 KEY \\0 WHY   a refusal that has been recorded
    #                    the number of the last decision

What a later version appends to the first is kept.

What people ask for by hand (`schemas.messages.ByHand`) is not held up by caps and unique types; only a split and a
quarantine are stronger.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson

from profiles.layout import versioned
from profiles.rows import Store
from profiles.settings import IdentitySettings
from schemas.keys import split_key
from schemas.messages import (
    Absorb,
    Admit,
    EndQuarantine,
    IdentityDecision,
    Link,
    MakeRoot,
    Merge,
    Order,
    Quarantine,
    Redirect,
    Release,
    Request,
    Split,
    Unsplit,
)

NUMBER = b"#"
LAYOUT = 1
CUT = b"cut"
"""The value of a negative link between two that a split took apart."""


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
        self._raw: dict[bytes, bytes | None] = {}
        self._quarantined = {key[1:].decode() for key, _ in store.scan(b"q")}
        number = store.get(NUMBER)
        self._number = int(number) if number else 0

    def decide(self, request: Request) -> tuple[list[IdentityDecision], list[Order]]:
        """The decisions on one request and their orders: the gaining row first, pointers next, the losing row last.

        A key that a split names on both sides stays with the first.
        """
        match request:
            case Link():
                return self._link(request)
            case Split():
                return self._split(request)
            case Merge():
                return self._join(Link(request.a, request.b, "", request.at), "requested")
            case Unsplit():
                return self._unsplit(request)
            case Quarantine():
                return self._quarantine(request)
            case EndQuarantine():
                return self._end_quarantine(request)

    def person(self, key: str) -> tuple[str, tuple[str, ...]]:
        """The root and all members of the person an identifier belongs to."""
        root = self._know(key).root
        return root, tuple(self._know(root).members)

    # --- link -------------------------------------------------------------------------------------------------------

    def _link(self, request: Link) -> tuple[list[IdentityDecision], list[Order]]:
        return self._joined(request, "named_together", by_hand=False)

    def _join(self, request: Link, reason: str) -> tuple[list[IdentityDecision], list[Order]]:
        """As `_link`, by hand: caps and unique types are not asked."""
        return self._joined(request, reason, by_hand=True)

    def _joined(self, request: Link, reason: str, by_hand: bool) -> tuple[list[IdentityDecision], list[Order]]:
        winner, loser = self._ranked(request.a, request.b)
        if winner == loser:
            return [], []
        why = self._forbidden(request, winner, loser)
        if why is None and not by_hand:
            why = self._excess(winner, loser, self._trusted(request))
        if why is not None:
            return self._refuse(request, winner, loser, why), []
        return self._merge(request, winner, loser, reason)

    def _ranked(self, a: str, b: str) -> list[str]:
        """The roots of two, the stronger first."""
        return sorted((self._know(a).root, self._know(b).root), key=self._strength)

    def _merge(self, request: Link, winner: str, loser: str, reason: str) -> tuple[list[IdentityDecision], list[Order]]:
        gaining, losing = self._know(winner), self._know(loser)
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
            reason,
            request.message_id,
            request.at,
        )
        orders: list[Order] = [Admit(winner, tuple(moved), number)]
        orders += [Redirect(key, winner, number) for key in moved if key != loser]
        orders.append(Absorb(loser, winner, number))
        return [decision], orders

    def _trusted(self, request: Link) -> bool:
        """Whether the link may join two user ids: an alias named both, and identity.yaml trusts it."""
        pair = (split_key(request.a)[0], split_key(request.b)[0])
        return request.alias and self._settings.trust_alias and pair == ("user_id", "user_id")

    def _forbidden(self, request: Link, winner: str, loser: str) -> str | None:
        """Why nothing may join these two, whoever asks."""
        if request.a in self._quarantined or request.b in self._quarantined:
            return "quarantined"
        ours, theirs = self._know(winner).members, self._know(loser).members
        if any(self._know(key).negatives for key in theirs) and any(self._apart(x, y) for x in ours for y in theirs):
            return "negative_link"
        return None

    def _excess(self, winner: str, loser: str, trusted: bool) -> str | None:
        """The cap or unique type that would break."""
        ours, theirs = self._know(winner).members, self._know(loser).members
        if len(ours) == 1 and len(theirs) == 1 and split_key(ours[0])[0] != split_key(theirs[0])[0]:
            return None
        mine = Counter(split_key(key)[0] for key in ours)
        others = Counter(split_key(key)[0] for key in theirs)
        for type_ in sorted(mine.keys() & others.keys()):
            if trusted and type_ == "user_id":
                continue
            if type_ in self._settings.unique:
                return f"unique_{type_}"
            if mine[type_] + others[type_] > self._settings.cap(type_):
                return f"cap_{type_}"
        return None

    def _refuse(self, request: Link, winner: str, loser: str, why: str) -> list[IdentityDecision]:
        """A repeated refusal is recorded once per pair and reason."""
        mark = b"r" + _pair(request.a, request.b) + b"\0" + why.encode()
        if self._get(mark) is not None:
            return []
        self._raw[mark] = b""
        number = self._next()
        return [
            IdentityDecision(
                number, "refuse", request.a, request.b, winner, loser, (), "", why, request.message_id, request.at
            )
        ]

    # --- apart ------------------------------------------------------------------------------------------------------

    def _split(self, request: Split) -> tuple[list[IdentityDecision], list[Order]]:
        decisions: list[IdentityDecision] = []
        orders: list[Order] = []
        others = [key for key in request.b if key not in request.a]
        new = any(not self._apart(a, b) for a in request.a for b in others)
        for a in request.a:
            for b in others:
                self._forbid(a, b)
        for root in sorted({self._know(key).root for key in request.a}):
            members = set(self._know(root).members)
            side_a, side_b = set(request.a) & members, set(others) & members
            if side_a and side_b:
                leaving = side_a if root in side_b else side_b
                for x in leaving:
                    for y in members - leaving:
                        self._forbid(x, y, CUT)
                decision, moves = self._leave(root, leaving, "split", request.a[0], others[0], "requested", request.at)
                decisions.append(decision)
                orders += moves
        if new and not decisions:
            a, b = request.a[0], others[0]
            winner, loser = self._ranked(a, b)
            decisions.append(self._tell("split", a, b, winner, loser, request.at))
        return decisions, orders

    def _leave(
        self, root: str, leaving: set[str], kind: str, a: str, b: str, reason: str, at: int
    ) -> tuple[IdentityDecision, list[Order]]:
        """Some members leave a root and are a person of their own; nothing keeps them from coming back."""
        staying = set(self._know(root).members) - leaving
        moved = sorted(leaving)
        away = min(moved, key=self._strength)
        for x in moved:
            self._change(x).root = away
        self._change(away).members = moved
        self._change(root).members = sorted(staying)
        number = self._next()
        decision = IdentityDecision(number, kind, a, b, root, away, tuple(moved), away, reason, "", at)
        orders: list[Order] = [MakeRoot(away, tuple(moved), number)]
        orders += [Redirect(key, away, number) for key in moved if key != away]
        orders.append(Release(root, tuple(moved), away, number))
        return decision, orders

    def _unsplit(self, request: Unsplit) -> tuple[list[IdentityDecision], list[Order]]:
        """Takes the negative links between two people away; whom a split had cut becomes one again."""
        winner, loser = self._ranked(request.a, request.b)
        pairs = [(x, y) for x in self._know(winner).members for y in self._know(loser).members if self._apart(x, y)]
        if winner == loser or not pairs:
            return [], []
        was_one = any(self._get(negative_link(x, y)) == CUT for x, y in pairs)
        for x, y in pairs:
            self._raw[negative_link(x, y)] = None
            self._change(x).negatives -= 1
            self._change(y).negatives -= 1
        told = self._tell("unsplit", request.a, request.b, winner, loser, request.at)
        if not was_one:
            return [told], []
        decisions, orders = self._join(Link(request.a, request.b, "", request.at), "unsplit")
        return [told, *decisions], orders

    def _apart(self, x: str, y: str) -> bool:
        return self._get(negative_link(x, y)) is not None

    def _forbid(self, x: str, y: str, how: bytes = b"") -> None:
        mark = negative_link(x, y)
        if not self._apart(x, y):
            self._change(x).negatives += 1
            self._change(y).negatives += 1
        elif not how:
            return
        self._raw[mark] = how

    # --- quarantine -------------------------------------------------------------------------------------------------

    def _quarantine(self, request: Quarantine) -> tuple[list[IdentityDecision], list[Order]]:
        key = request.key
        if key in self._quarantined:
            return [], []
        root = self._know(key).root
        rest = set(self._know(root).members) - {key}
        self._quarantined.add(key)
        self._raw[quarantine(key)] = orjson.dumps(sorted(rest))
        groups: list[set[str]] = []
        for each in request.groups:
            if group := rest & set(each):
                groups.append(group)
                rest -= group
        groups.append(rest)
        decisions: list[IdentityDecision] = []
        orders: list[Order] = []
        if key == root:
            decisions.append(self._tell("quarantine", key, "", root, root, request.at))
        else:
            groups = [group for group in groups[:-1] if root not in group]
            decision, orders = self._leave(root, {key}, "quarantine", key, "", "requested", request.at)
            decisions.append(decision)
        for group in groups:
            if group:
                decision, moves = self._leave(root, group, "regroup", key, min(group), "quarantined", request.at)
                decisions.append(decision)
                orders += moves
        return decisions, orders

    def _end_quarantine(self, request: EndQuarantine) -> tuple[list[IdentityDecision], list[Order]]:
        """Takes a quarantine back: whoever was of one customer with the identifier is again, by hand."""
        key = request.key
        if key not in self._quarantined:
            return [], []
        mark = quarantine(key)
        members = orjson.loads(self._get(mark) or b"[]")
        self._raw[mark] = None
        self._quarantined.remove(key)
        root = self._know(key).root
        decisions = [self._tell("release", key, "", root, root, request.at)]
        orders: list[Order] = []
        for member in members:
            made, moves = self._join(Link(key, member, "", request.at), "released")
            decisions += made
            orders += moves
        return decisions, orders

    def _tell(self, kind: str, a: str, b: str, winner: str, loser: str, at: int) -> IdentityDecision:
        """A decision by which nobody moves."""
        return IdentityDecision(self._next(), kind, a, b, winner, loser, (), "", "requested", "", at)

    # --- rows -------------------------------------------------------------------------------------------------------

    def _get(self, row: bytes) -> bytes | None:
        return self._raw[row] if row in self._raw else self._store.get(row)

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


def quarantine(key: str) -> bytes:
    """The row that keeps an identifier in quarantine."""
    return b"q" + key.encode()


def _pair(x: str, y: str) -> bytes:
    return b"\0".join(key.encode() for key in sorted((x, y)))

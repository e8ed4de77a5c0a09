"""Mutants of who is one person: the linker, and what a home asks it (`stream_mutants`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from profiles.linker import Linker
from profiles.rows import Rows
from schemas.messages import Release, Request, Split
from stream.core.home import Home


class LosingRowFirst(Linker):
    """Within a decision the losing row is told first."""

    def decide(self, request: Request) -> Any:
        decisions, orders = super().decide(request)
        return decisions, orders[::-1]


class SplitRowFirst(Linker):
    """Within the decision of a split the row that loses members is told first."""

    def decide(self, request: Request) -> Any:
        decisions, orders = super().decide(request)
        return decisions, sorted(orders, key=lambda order: not isinstance(order, Release))


class NaiveSplit(Linker):
    """A split cuts, and declares nothing for pairs that are not together yet."""

    def decide(self, request: Request) -> Any:
        if isinstance(request, Split):
            together = {key for key in request.b for root in map(self.cluster, request.a) if key in root[1]}
            request = request._replace(b=tuple(key for key in request.b if key in together))
        return super().decide(request)


class SplitOfOneRoot(Linker):
    """A split cuts the first profile only, where its first side is spread over several."""

    def decide(self, request: Request) -> Any:
        decisions, orders = super().decide(request)
        if isinstance(request, Split) and len(decisions) > 1:
            first = decisions[0].decision
            return decisions[:1], [order for order in orders if order.decision == first]
        return decisions, orders


class SharedKeyLeaves(Linker):
    """A key that a split names on both sides goes with the second."""

    def decide(self, request: Request) -> Any:
        if isinstance(request, Split) and set(request.b) - set(request.a):
            request = request._replace(a=tuple(key for key in request.a if key not in request.b) or request.a)
        return super().decide(request)


class NoNegativeLinks(Linker):
    """A split cuts and is forgotten."""

    def _forbid(self, x: str, y: str) -> None:
        pass


class NegativeLinksOfOneSide(Linker):
    """Of a forbidden pair only the first remembers that it is in one."""

    def _forbid(self, x: str, y: str) -> None:
        known = self._know(y).negatives
        super()._forbid(x, y)
        self._know(y).negatives = known


class OnlyNamedPairsApart(Linker):
    """A split forbids the pairs it names, and not those of members that stay with one side or go with the other."""

    def _cut(self, root: str, leaving: set[str], *rest: Any) -> None:
        forbid, self._forbid = self._forbid, lambda x, y: None
        super()._cut(root, leaving, *rest)
        self._forbid = forbid


class RefusalOncePerPair(Linker):
    """A refusal is remembered per pair: when the reason changes, nobody is told."""

    def _refuse(self, request: Any, winner: str, loser: str, why: str) -> Any:
        pair = b"r" + b"\0".join(key.encode() for key in sorted((request.a, request.b))) + b"\0"
        known = any(key.startswith(pair) for key in self._raw) or any(True for _ in self._store.scan(pair))
        return [] if known else super()._refuse(request, winner, loser, why)


class RefusalByDirection(Linker):
    """A refused pair is another one when it is asked about the other way round."""

    def _refuse(self, request: Any, winner: str, loser: str, why: str) -> Any:
        told = super()._refuse(request, winner, loser, why)
        mark = b"r%b>%b%b" % (request.a.encode(), request.b.encode(), why.encode())
        if not told and mark not in self._raw and self._store.get(mark) is None:
            self._raw = {key: value for key, value in self._raw.items() if key[:1] != b"r"}
            store, self._store = self._store, Empty()
            told = super()._refuse(request, winner, loser, why)
            self._store = store
        self._raw[mark] = b""
        return told


class Empty:
    """A store that holds nothing."""

    def get(self, key: bytes) -> None:
        return None

    def scan(self, prefix: bytes, start: bytes = b"") -> Sequence[Any]:
        return ()


class WeakestRoot(Linker):
    """The root depends on which side asked."""

    def _strength(self, key: str) -> Any:
        rank, name = super()._strength(key)
        return -rank[0], rank[1], name


class CapOfTheLarger(Linker):
    """Caps look at each side for itself."""

    def _refusal(self, ours: list[str], theirs: list[str]) -> str | None:
        why = super()._refusal(ours, theirs)
        return None if why is not None and why.startswith("cap_") and len(theirs) == 1 else why


class AskedForEver(Home):
    """A pair is asked about once and never again."""

    def _ask(self, key: str, event: Any) -> None:
        known = [other for other in event.identifiers[1:] if other in self._rows.there(key).asked]
        super()._ask(key, event._replace(identifiers=tuple(k for k in event.identifiers if k not in known)))


class MovedAsksOnce(Home):
    """A row that has moved asks about a pair once and never again."""

    def _ask(self, key: str, event: Any) -> None:
        row = self._rows.there(key)
        known = [other for other in event.identifiers[1:] if row.to is not None and other in row.asked]
        super()._ask(key, event._replace(identifiers=tuple(k for k in event.identifiers if k not in known)))


class MovedAsksAlways(Home):
    """A row that has moved asks about a pair with each event."""

    def _ask(self, key: str, event: Any) -> None:
        row = self._rows.there(key)
        if row.to is not None:
            row.asked.clear()
        super()._ask(key, event)


class AsksForTheFirst(Home):
    """Of an event's identifiers only the two strongest are asked about."""

    def _ask(self, key: str, event: Any) -> None:
        super()._ask(key, event._replace(identifiers=event.identifiers[:2]))


class AliasOfTheKnownOnly(Home):
    """An alias that names nobody yet is not remembered."""

    def _link_alias(self, key: str, message_id: str, now: int) -> None:
        pass


class AliasOfEventsOnly(Home):
    """An alias is not linked where an order of the linker is the first to reach whom it named."""

    def _link_alias(self, key: str, message_id: str, now: int) -> None:
        if message_id:
            super()._link_alias(key, message_id, now)


class AliasForgotten(Rows):
    """What an alias said of an identifier not seen yet is no part of the commit."""

    def changes(self) -> dict[bytes, bytes | None]:
        return {key: value for key, value in super().changes().items() if key[:1] != b"a"}

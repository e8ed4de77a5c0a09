"""Mutants of who is one person: the linker, and what a home asks it (`stream_mutants`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from profiles.linker import CUT, Linker
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

    def _forbid(self, x: str, y: str, how: bytes = b"") -> None:
        pass


class NegativeLinksOfOneSide(Linker):
    """Of a forbidden pair only the first remembers that it is in one."""

    def _forbid(self, x: str, y: str, how: bytes = b"") -> None:
        known = self._know(y).negatives
        super()._forbid(x, y, how)
        self._know(y).negatives = known


class OnlyNamedPairsApart(Linker):
    """A split forbids the pairs it names, and not those of members that stay with one side or go with the other."""

    def _forbid(self, x: str, y: str, how: bytes = b"") -> None:
        if not how:
            super()._forbid(x, y)


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

    def _excess(self, winner: str, loser: str, trusted: bool) -> str | None:
        why = super()._excess(winner, loser, trusted)
        alone = len(self._know(loser).members) == 1
        return None if why is not None and why.startswith("cap_") and alone else why


class AnyLinkTrusted(Linker):
    """Where an alias may join two user ids, every event that names two may."""

    def _trusted(self, request: Any) -> bool:
        return super()._trusted(request._replace(alias=True))


class EveryAliasTrusted(Linker):
    """An alias joins two user ids whatever identity.yaml says."""

    def _trusted(self, request: Any) -> bool:
        return bool(request.alias)


class MergeWithinCaps(Linker):
    """Caps and unique types hold up what people ask for."""

    def _join(self, request: Any, reason: str) -> Any:
        return self._link(request)


class UnsplitOfOnePair(Linker):
    """An unsplit lifts the pair that it names, and no other of the same two people."""

    def _unsplit(self, request: Any) -> Any:
        apart, self._apart = self._apart, lambda x, y: {x, y} == {request.a, request.b} and apart(x, y)
        told = super()._unsplit(request)
        self._apart = apart
        return told


class UnsplitOnly(Linker):
    """An unsplit lifts, and nobody comes back."""

    def _forbid(self, x: str, y: str, how: bytes = b"") -> None:
        super()._forbid(x, y)


class UnsplitJoins(Linker):
    """An unsplit joins strangers that were only declared to be different."""

    def _forbid(self, x: str, y: str, how: bytes = b"") -> None:
        super()._forbid(x, y, CUT)


class QuarantineForgotten(Linker):
    """A quarantine is no part of the commit."""

    def changes(self) -> dict[bytes, bytes | None]:
        return {key: value for key, value in super().changes().items() if key[:1] != b"q"}


class QuarantineOfToday(Linker):
    """A quarantine takes an identifier out, and the next event that names it joins it again."""

    def _forbidden(self, request: Any, winner: str, loser: str) -> str | None:
        why = super()._forbidden(request, winner, loser)
        return None if why == "quarantined" else why


class RegroupedForGood(Linker):
    """What a quarantine leaves apart never joins again."""

    def _leave(self, root: str, leaving: set[str], kind: str, *rest: Any) -> Any:
        if kind == "regroup":
            for x in leaving:
                for y in set(self._know(root).members) - leaving:
                    self._forbid(x, y)
        return super()._leave(root, leaving, kind, *rest)


class RegroupsOfOne(Linker):
    """A quarantine forgets who belongs together without the identifier."""

    def _quarantine(self, request: Any) -> Any:
        return super()._quarantine(request._replace(groups=()))


class ReleasedAlone(Linker):
    """The end of a quarantine brings nobody back."""

    def _join(self, request: Any, reason: str) -> Any:
        return ([], []) if reason == "released" else super()._join(request, reason)


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

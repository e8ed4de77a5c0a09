"""From raw input to events that a lane can take: accept, then identify.

Composes the two pure halves and holds what a run needs to number equal inputs; it decides nothing itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from ingest.accept.event import Accepted, Ordinals, accept, accept_value
from ingest.accept.lines import events_of
from profiles.identifiers import extract, nothing_left
from schemas.messages import Event, Rejected
from schemas.rejection import READ, Oversized, Unreadable, reject
from stream.core.plan import Plan


class Intake:
    """Turns one source after another into events and rejections. `now` gives wall time, once per input."""

    def __init__(self, plan: Plan, now: Callable[[], int]) -> None:
        self._settings = plan.identity
        self._now = now
        self._pipes: list[Ordinals] = []
        self.unknown = 0
        """Events refused for a `type` that the spec does not have."""

    @property
    def unique(self) -> int:
        """Events from pipes that state neither an id nor a time: each counts, whatever came before."""
        return sum(each.unique for each in self._pipes)

    def lines(self, lines: Iterable[bytes | Oversized], source: str, pipe: str = "") -> Iterator[Event | Rejected]:
        """JSON lines: one event each, or a batch as SDKs post it. Blank lines are nothing.

        `pipe` is a text of this run alone where the source can never be read again (see `Ordinals`).
        """
        ordinals = Ordinals(pipe)
        if pipe:
            self._pipes.append(ordinals)
        refusals: Counter[str] = Counter()
        place = 0
        for line in lines:
            now = self._now()
            for raw in events_of(line):
                place += 1
                accepted = accept(raw, now=now, source=source, ordinals=ordinals)
                yield self._one(accepted, raw, source, now, refusals, place)

    def values(self, values: Iterable[dict[str, Any] | Unreadable], source: str) -> Iterator[Event | Rejected]:
        """Events as Python values, from an import, and rows that could not be read."""
        ordinals = Ordinals()
        refusals: Counter[str] = Counter()
        for place, value in enumerate(values, 1):
            now = self._now()
            if isinstance(value, Unreadable):
                raw, fault, file = value
                yield _numbered(reject(raw, READ, *fault, file, now), refusals)
                continue
            accepted = accept_value(value, now=now, source=source, ordinals=ordinals)
            yield self._one(accepted, None, source, now, refusals, place)

    def _one(
        self,
        accepted: Accepted | Rejected,
        original: bytes | Oversized | None,
        source: str,
        now: int,
        refusals: Counter[str],
        place: int,
    ) -> Event | Rejected:
        if isinstance(accepted, Rejected):
            self.unknown += accepted.code == "unknown_type"
            return _numbered(accepted, refusals)
        found = extract(accepted.body, accepted.type, self._settings)
        if not found.keys:
            raw = orjson.dumps(accepted.body) if original is None else original
            refused = nothing_left(raw, found.dropped, source, now)
            return _numbered(refused, refusals)
        return Event(
            found.keys,
            accepted.message_id,
            accepted.type,
            accepted.name,
            accepted.channel,
            accepted.occurred_at,
            accepted.received_at,
            now,
            source,
            found.previous,
            found.dropped,
            accepted.body,
            place,
        )


def at(event: Event, now: int) -> Event:
    """The same event with the run's clock at `now`."""
    return event._replace(now=now, line=None)


def _numbered(rejected: Rejected, refusals: Counter[str]) -> Rejected:
    """Gives a refusal its id: its content and its ordinal among equal inputs of the source."""
    content = b"\0".join((rejected.code.encode(), rejected.sha256.encode(), rejected.payload))
    digest = hashlib.sha256(content).hexdigest()[:32]
    refusals[digest] += 1
    return rejected._replace(rejection_id=f"{digest}-{refusals[digest]}")

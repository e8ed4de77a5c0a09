"""Up to when all input has been taken: the instant by which timers fire, never the clock.

At an instant T a lane notes the ends of all partitions of `events`. Once the positions that lanes have committed reach
them, everything that was accepted by T has been stepped, and what of it concerns this lane lies in its `internal`
log. A `Wake` sent then comes behind it all. What happened `allow_late_input` before T or earlier has arrived by T, so
that is how far the watermark moves. Noted ends are never noted again: a busy lane fires after the backlog of that
instant, not never. Messages of two and more hops are covered by `allow_late_input`.

A timer that was due already when its event arrived also waits until no source that sends history is still open: such
a source says so in marks on every partition, and the ends noted cover those.

Pure: whoever runs a lane reads ends and positions, and sends the wakes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.instant import MINUTE, SECOND
from schemas.messages import SourceMark, Wake
from stream.core.timers import Timers, Wait

STANDSTILL_TIMEOUT = 10 * MINUTE
"""A partition whose position has not moved for so long is no longer waited for; the decision names it."""
SOURCE_TIMEOUT = MINUTE
"""A source that has not said for so long that it is open is taken to have died."""
SOURCE_INTERVAL = 10 * SECOND
"""How often an open source says so."""
IDLE_INTERVAL = MINUTE
"""So often the watermark moves where no timer is due: splits and merges measure by it what has been missed."""
NOBODY = "watermark:"
"""No row: a wake that only says how far the watermark has come."""


@dataclass(slots=True)
class _Cohort:
    """Timers that wait for the same noted ends."""

    at: int
    """When the ends were noted."""
    rows: list[Wait]
    ends: Mapping[int, int]
    """Partition of `events` -> the offset that its lane must commit."""
    quiet: bool
    """Whether no source was open then, as far as is known: a mark that is still under way tells otherwise."""


class Watermark:
    """One lane's. `ready` holds the wakes that may be sent."""

    def __init__(self, timers: Timers, allowed: int, opened_at: int) -> None:
        """`allowed` is the plan's `allow_late_input`, in microseconds; `opened_at` when this owner began."""
        self.ready: deque[Wake] = deque()
        self.standing: frozenset[int] = frozenset()
        """Partitions that were not waited for, lately."""
        self._timers = timers
        self._allowed = allowed
        self._opened_at = opened_at
        self.noted_at = 0
        """When ends were noted last: what is taken from now on came after that, whatever the clock shows."""
        self._cohort: _Cohort | None = None
        self._sources: dict[str, int] = {}
        """Open source -> when it last said so, by its own clock."""
        self._behind: dict[int, tuple[int, int]] = {}
        """Partition that has not reached noted ends -> its committed position, and since when it has been there."""

    def __len__(self) -> int:
        """Timers that wait, whatever for."""
        return len(self._timers) + len(self.ready) + (len(self._cohort.rows) if self._cohort else 0)

    def mark(self, mark: SourceMark) -> None:
        """A source says that it still sends, or that it is done."""
        if self._cohort is not None:
            self._cohort.quiet = False
        if mark.open:
            self._sources[mark.source] = max(mark.at, self._sources.get(mark.source, 0))
        else:
            self._sources.pop(mark.source, None)

    @property
    def next(self) -> int | None:
        """The instant at which ends should be noted for the sake of a timer; None where none waits for that."""
        ahead = self._timers.next
        looks = [] if ahead is None else [ahead + self._allowed]
        if self._timers.late:
            looks.append(max(self._quiet_from, self.noted_at + 1))
        return min(looks, default=None)

    def wants_ends(self, now: int) -> bool:
        """Whether the ends of `events` should be noted now."""
        if self._cohort is not None or self.ready:
            return False
        timer = self.next
        return (timer is not None and timer <= now) or now - self.noted_at >= IDLE_INTERVAL

    @property
    def waits(self) -> bool:
        """Whether positions are waited for."""
        return self._cohort is not None

    def note(self, at: int, ends: Mapping[int, int]) -> None:
        """The ends of all partitions of `events`, read at or after the instant `at`."""
        self._sources = {source: said for source, said in self._sources.items() if at - said < SOURCE_TIMEOUT}
        quiet = at >= self._quiet_from
        rows = self._timers.due(at - self._allowed, late=quiet)
        self.noted_at = at
        self._cohort = _Cohort(at, rows, ends, quiet)

    def reach(self, positions: Mapping[int, int], now: int) -> None:
        """Committed positions of `events`: lower bounds. A partition that is not named has none yet."""
        cohort = self._cohort
        if cohort is None:
            return
        behind: dict[int, tuple[int, int]] = {}
        for partition, end in cohort.ends.items():
            position = positions.get(partition, 0)
            if position < end:
                known = self._behind.get(partition)
                behind[partition] = known if known is not None and known[0] == position else (position, now)
        self._behind = behind
        if all(now - since >= STANDSTILL_TIMEOUT for _, since in behind.values()):
            self.standing = frozenset(behind)
            self._release(cohort)

    def _release(self, cohort: _Cohort) -> None:
        self._cohort = None
        by, without = cohort.at - self._allowed, tuple(sorted(self.standing))
        history_by = cohort.at if cohort.quiet else 0
        self.ready.append(Wake(NOBODY, by, history_by, without))
        self.ready.extend(Wake(row, by, history_by, without) for row in dict.fromkeys(row for _, row in cohort.rows))

    @property
    def _quiet_from(self) -> int:
        """From when on no source is open, as far as marks have been taken. A new owner waits for them."""
        return max([self._opened_at, *self._sources.values()]) + SOURCE_TIMEOUT

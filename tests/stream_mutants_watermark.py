"""Mutants of timers: what they wait for, and how far the watermark has come (`stream_mutants`)."""

from __future__ import annotations

from collections.abc import Mapping

from profiles.rows import Rows
from schemas.instant import HOUR
from schemas.messages import Piece, SourceMark, Wake
from stream.core.effects import Address
from stream.core.home import Home
from stream.core.timers import Timers
from stream.core.waits import WATERMARK, Reached
from stream.core.watermark import Watermark
from stream.simulation.simulator import Simulator


class WakesForgotten(Timers):
    """Of two that wait in one row only the earlier is looked at."""

    def push(self, due: int, row: str, late: bool) -> None:
        if not any(row == other for _, other in self._ahead):
            super().push(due, row, late)


class NowForBy(Home):
    """A timer fires when the clock shows its time."""

    def _wake(self, wake: Wake, now: int) -> None:
        super()._wake(wake._replace(by=now), now)


class MissedByNow(Home):
    """What a merge or a split reopens is measured by the clock."""

    def _hand_over(self, to: str, pieces: list[Piece], now: int) -> None:
        reached, self.reached = self.reached, Reached(now, now)
        super()._hand_over(to, pieces, now)
        self.reached = reached


class WatermarkForgotten(Rows):
    """How far the watermark has come is no part of the commit."""

    def changes(self) -> dict[bytes, bytes | None]:
        return {key: value for key, value in super().changes().items() if key != WATERMARK}


class OwnPartitionOnly(Simulator):
    """A lane waits for its own partition of `events`, and not for those whose lanes forward to it."""

    def ends(self, lane: int) -> dict[int, int]:
        return {lane: super().ends(lane)[lane]}


class PositionsNotAwaited(Watermark):
    """Ends are noted and not waited for."""

    def note(self, at: int, ends: Mapping[int, int]) -> None:
        super().note(at, {})
        self.reach({}, at)


class PositionsNotCommitted(Simulator):
    """The group is told of what is taken, whether or not it is committed."""

    def _report(self) -> None:
        for partition in self.reported:
            self.reported[partition] = self.lanes[partition].next[Address("events", partition)]


class NoAllowance(Watermark):
    """Late input is not allowed for: the watermark is where the clock was when ends were noted."""

    def note(self, at: int, ends: Mapping[int, int]) -> None:
        super().note(at + self._allowed, ends)

    @property
    def next(self) -> int | None:
        return self._timers.next


class NoMarksOfSources(Watermark):
    """What was due already when it was armed does not wait for its source."""

    def mark(self, mark: SourceMark) -> None:
        pass


class NewOwnersDoNotWait(Watermark):
    """A new owner takes it that no source is open, before any could have said so."""

    def __init__(self, timers: Timers, allowed: int, opened_at: int) -> None:
        super().__init__(timers, allowed, opened_at - HOUR)


class QuietWhenNoted(Watermark):
    """A source that is heard after ends were noted, though in what they cover, does not count."""

    def mark(self, mark: SourceMark) -> None:
        cohort, self._cohort = self._cohort, None
        super().mark(mark)
        self._cohort = cohort

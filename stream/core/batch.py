"""A batch: what a lane takes between two commits, and how it gets past a line that makes a step fail.

Such a line is found only when the step fails half-way, with rows changed already. Then the owner is thrown away with
everything since the last commit, a new one opens the rows as they were committed, and the same records are taken
again without that line, which is refused. Every runner with records drives its lanes by this, the simulator too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from schemas.messages import Wake
from stream.core.effects import Address, Effects
from stream.core.home import INTERNAL
from stream.core.owners import LINES_PER_PART, Origin, Owner, Unreadable, parts


class Outcome(Protocol):
    """Takes in what the parts of a batch came to."""

    def add(self, effects: Effects) -> None:
        """The effects of some lines of a record, or of wakes."""


T = TypeVar("T", bound=Outcome)


class Batch(Generic[T]):
    """One lane's batches, one after the other."""

    def __init__(self, open_: Callable[[], Owner], begin: Callable[[], T], partition: int) -> None:
        """`open_` gives an owner of the rows as they were committed last, `begin` what a batch gathers in."""
        self.owner = open_()
        self.outcome = begin()
        self._open = open_
        self._begin = begin
        self._to_itself = Address(INTERNAL, partition)
        self._records: list[tuple[Origin, bytes | None, int]] = []
        self._refused: dict[Origin, set[int]] = {}
        self._wakes: list[Wake] = []

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self._records and not self._wakes

    @property
    def taken(self) -> int:
        """Records taken so far."""
        return len(self._records)

    @property
    def woken(self) -> int:
        """Wakes sent so far."""
        return len(self._wakes)

    def wake(self, most: int) -> None:
        """Sends the lane's own wakes that are ready, at most so many: time passing is a record like all others."""
        ready = self.owner.watermark.ready if self.owner.watermark else None
        while ready and len(self._wakes) < most:
            wake = ready.popleft()
            self._wakes.append(wake)
            self.outcome.add(self._sent(wake))

    def take(self, origin: Origin, record: bytes | None, now: int, most: int = LINES_PER_PART) -> Iterator[None]:
        """Takes a record; yields between its parts, so that others get their turn. To be used up."""
        self._records.append((origin, record, now))
        try:
            yield from self._step(origin, record, now, most)
        except Unreadable as error:
            self._refuse(origin, error)
            self._take_again()

    def done(self, now: int) -> tuple[Mapping[bytes, bytes | None], T]:
        """Ends the batch: the changed rows, and what it came to. Its owner goes on."""
        outcome, self.outcome = self.outcome, self._begin()
        self._records, self._refused, self._wakes = [], {}, []
        return self.owner.changes(now), outcome

    def _step(self, origin: Origin, record: bytes | None, now: int, most: int = LINES_PER_PART) -> Iterator[None]:
        for part in parts(record, most):
            self.outcome.add(self.owner.step(part, now, origin, self._refused.get(origin, ())))
            yield

    def _sent(self, wake: Wake) -> Effects:
        return Effects(sent=[(self._to_itself, wake)])

    def _refuse(self, origin: Origin, failed: Unreadable) -> None:
        """Raises what is given where the line had been refused already and cannot be the reason."""
        lines = self._refused.setdefault(origin, set())
        if failed.line in lines:
            raise failed
        lines.add(failed.line)

    def _take_again(self) -> None:
        """Everything since the last commit, without the lines that failed."""
        done = False
        while not done:
            self.owner, self.outcome = self._open(), self._begin()
            for wake in self._wakes:
                self.outcome.add(self._sent(wake))
            try:
                for origin, record, now in self._records:
                    for _ in self._step(origin, record, now):
                        pass
                done = True
            except Unreadable as error:
                self._refuse(origin, error)

"""When to look at which rows of a lane next. Instants only; whether a timer still stands is decided by the row.

Two heaps, because two things are waited for: a timer that was armed before it was due fires when all input up to its
time has been taken; one that was already due when its event arrived waits for the source of that event, too.
Looking at a row in vain does no harm, so nothing is ever removed but by looking.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

Wait = tuple[int, str]
"""When it is due, and the key of the row."""


class Timers:
    """The rows of one lane that wait for something."""

    def __init__(self, stored: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """`stored`: the wakes among the lane's rows (`w`). Whichever is late among them shows when it is looked at."""
        self._ahead: list[Wait] = [(int.from_bytes(key[1:9], "big"), key[9:].decode()) for key, _ in stored]
        self._late: list[Wait] = []
        heapq.heapify(self._ahead)

    def __len__(self) -> int:
        """How many wait; some may be no longer wanted."""
        return len(self._ahead) + len(self._late)

    def push(self, due: int, row: str, late: bool) -> None:
        """Look at the row once all input up to `due` has been taken; `late`: it was due already when it was armed."""
        heapq.heappush(self._late if late else self._ahead, (due, row))

    @property
    def next(self) -> int | None:
        """When the earliest is due, of those that were armed before their time."""
        return self._ahead[0][0] if self._ahead else None

    @property
    def late(self) -> bool:
        """Whether any was due already when it was armed."""
        return bool(self._late)

    def due(self, by: int, late: bool) -> list[Wait]:
        """Takes out what is due by an instant, in order; of those that were armed late only if `late`."""
        found = _popped(self._ahead, by)
        return sorted(found + _popped(self._late, by)) if late and self._late else found


def _popped(heap: list[Wait], by: int) -> list[Wait]:
    found = []
    while heap and heap[0][0] <= by:
        found.append(heapq.heappop(heap))
    return found

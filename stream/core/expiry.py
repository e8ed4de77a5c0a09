"""Forgetting message ids: a lane remembers which it has seen for some days and no longer, however long it lives.

A cursor goes round all remembered ids, `LOOKS_PER_EVENT` of them for each event taken, so neither the store nor the
cost of an event grows with traffic: in a steady state there are at most twice as many as are still needed. What is
deleted leaves in the lane's own commit. No clock here; a message id is compared with the newest event taken.
"""

from __future__ import annotations

from itertools import islice

from profiles.kinds import MESSAGE_ID
from profiles.rows import Rows, Store
from schemas.instant import DAY

LOOKS_PER_EVENT = 2
"""Remembered ids looked at for each event taken. With one, they would grow without end."""
MIN_LOOKS = 1_000
"""Looked at in one go: an iterator of the store costs as much as many steps of it."""
CURSOR = b"\0expiry"
"""The row that says where the cursor is: a process may end after few events."""


class Expiry:
    """The message ids of one lane."""

    def __init__(self, rows: Rows, store: Store, memory: int) -> None:
        """`memory`: microseconds for which an id is remembered; it stays a day longer, lest clocks matter."""
        self._rows = rows
        self._store = store
        self._keep = memory + DAY
        self._cursor = store.get(CURSOR) or MESSAGE_ID
        self._owed = 0

    def pay(self, events: int, newest: int) -> None:
        """Looks at as many ids as the events taken owe; `newest`: when the newest of them was accepted, or what the
        lane's clock shows, where that is earlier."""
        self._owed += events * LOOKS_PER_EVENT
        if self._owed < MIN_LOOKS:
            return
        before = newest - self._keep
        looks, self._owed = self._owed, 0
        looked = 0
        key = MESSAGE_ID
        for key, value in islice(self._store.scan(MESSAGE_ID, self._cursor), looks):
            looked += 1
            if int.from_bytes(value, "big") < before and self._is_old(key, before):
                self._rows.put(key, None)
        self._cursor = MESSAGE_ID if looked < looks else key + b"\0"
        self._rows.put(CURSOR, self._cursor)

    def _is_old(self, key: bytes, before: int) -> bool:
        """Whether it has not been seen again since the last commit."""
        seen = self._rows.get(key)
        return seen is not None and int.from_bytes(seen, "big") < before

"""Identifiers' rows in memory, in two generations: whoever was seen since the older one was young stays.

The young one holds rows as they were last needed, decoded or as they are stored; the old one all as they are stored,
which takes a fifth of the memory.
Where most rows had to be read anyway, a small cache does as well and stays in the processor's: then it is a small one
for a while. Reads and writes no store.
"""

from __future__ import annotations

from collections.abc import Callable

from profiles.row import Row

CACHED_ROWS = 131_072
"""Rows kept in memory unless told otherwise."""
SMALL_CACHE = 8_192
LARGE_EVERY = 200
"""Small generations after which a large one is tried again: whoever was strange may have become a regular."""

Held = bytes | Row
"""A row as it is stored, or decoded once somebody has asked for that."""


class RowCache:
    """As many rows as `room` says at the time. Rows leave it only in `turn_over`."""

    def __init__(self, room: Callable[[], int]) -> None:
        self.young: dict[str, Held] = {}
        self.old: dict[str, Held] = {}
        self._allowed = room
        self._room = room() // 2
        """Rows of a generation."""
        self._read = 0
        """Rows of the young generation that were in no cache."""
        self._small = 0
        """Small generations since the last large one."""

    def get(self, key: str) -> Held | None:
        """A row that is cached; from now on it is of the young generation."""
        held = self.young.get(key)
        if held is None:
            held = self.old.get(key)
            if held is not None:
                self.young[key] = held
        return held

    def read(self, key: str, stored: bytes) -> None:
        """Takes a row that was in no cache."""
        self.young[key] = stored
        self._read += 1

    def turn_over(self) -> None:
        """Where the young generation is full, it becomes the old one, which is forgotten. No row may be changed and not
        yet encoded: who holds a decoded one asks for it again."""
        if len(self.young) <= self._room:
            return
        useless = self._read > len(self.young) * 3 // 4
        self._small = (self._small + 1) % LARGE_EVERY if useless else 0
        room = self._allowed() // 2
        self._room = min(SMALL_CACHE, room) if self._small else room
        self.old = {key: held if isinstance(held, bytes) else held.encode() for key, held in self.young.items()}
        self.young, self._read = {}, 0

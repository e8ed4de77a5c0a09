"""Records that were delivered to a lane and that it has not taken yet. What waits is bounded by holding the source."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from stream.core.owners import Origin

MAX_WAITING_RECORDS = 100
MAX_WAITING_BYTES = 4 << 20
"""A lane that has so much waiting is fed no more until half of it is done."""


class Inbox:
    """One lane's."""

    def __init__(self, batch_records: int) -> None:
        """`batch_records`: so many make a whole batch."""
        self.fed: Callable[[bool], None] = lambda _: None
        """Called with False when the lane has enough waiting, with True when it wants more."""
        self._batch_records = batch_records
        self._records: deque[tuple[Origin, bytes | None]] = deque()
        self._bytes = 0
        self._wants_more = True
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        """Set when a whole batch waits, or none is wanted any more."""

    def __len__(self) -> int:
        return len(self._records)

    @property
    def is_behind(self) -> bool:
        """Whether a whole batch waits."""
        return len(self._records) >= self._batch_records

    def put(self, origin: Origin, record: bytes | None) -> None:
        """A record has been delivered."""
        self._records.append((origin, record))
        self._bytes += len(record or b"")
        self._arrived.set()
        if self.is_behind:
            self._enough.set()
        if self._wants_more and (len(self._records) >= MAX_WAITING_RECORDS or self._bytes >= MAX_WAITING_BYTES):
            self._wants_more = False
            self.fed(False)

    def next(self) -> tuple[Origin, bytes | None]:
        """Takes the oldest out."""
        origin, record = self._records.popleft()
        self._bytes -= len(record or b"")
        if (
            not self._wants_more
            and len(self._records) * 2 <= MAX_WAITING_RECORDS
            and self._bytes * 2 <= MAX_WAITING_BYTES
        ):
            self._wants_more = True
            self.fed(True)
        return origin, record

    def rouse(self) -> None:
        """Ends all waiting: there is something else to do."""
        self._arrived.set()

    def stop(self) -> None:
        """Nothing more is wanted."""
        self._arrived.set()
        self._enough.set()

    async def wait(self, seconds: float) -> None:
        """Until a record is there, somebody rouses, or so long."""
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrived.wait()

    async def gather(self, seconds: float) -> None:
        """Until a whole batch waits, or so long."""
        self._enough.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._enough.wait()

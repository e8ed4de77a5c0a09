"""Whether a broker is there: looked at now and then, for probes and metrics."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

BROKER_CHECK_INTERVAL = 2.0
"""Seconds between two looks."""


class Watch:
    """As of the last look; looks from a thread of its own while `looking` is entered."""

    def __init__(self, brokers: Sequence[str]) -> None:
        self.up = True
        self._brokers = brokers
        self._done = threading.Event()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """For a process without an event loop."""
        thread = threading.Thread(target=self._look, name="brokers", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()

    def _look(self) -> None:
        while not self._done.wait(BROKER_CHECK_INTERVAL):
            self.up = asyncio.run(any_takes_a_connection(self._brokers))


async def any_takes_a_connection(brokers: Sequence[str]) -> bool:
    """Whether any of them does, within a while."""
    for broker in brokers:
        host, _, port = broker.rpartition(":")
        try:
            async with asyncio.timeout(BROKER_CHECK_INTERVAL):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (TimeoutError, OSError):
            continue
        writer.close()
        return True
    return False

"""When to publish while outputs arrive: in a thread of its own, when the lake has something new, by one process of all.

Whoever holds the publisher's lock publishes until it ends; the others look now and then whether it is free. A
publication rebuilds what is looked up, so it takes its time: the next one waits for at least three times as long. A
turn must never wait for a publication: records are taken in the same thread.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from schemas.errors import FolderBusy, RapportError
from sinks.lake import locks
from sinks.lake.durable import Standing
from sinks.lake.locks import Lock
from sinks.marts import publisher
from sinks.marts.publisher import Position, PublishReport

CHECK_INTERVAL = 5.0
"""Seconds between two looks at the lake."""
REST_FACTOR = 3
"""So many times as long as a publication took, the next one waits."""
FINISH_TIMEOUT = 5.0
"""Seconds that the end waits for another process that is publishing."""
LOCK_POLL_INTERVAL = 0.05
"""Seconds between two tries to get its lock."""

log = logging.getLogger("rapport.sink")


class PublishSchedule:
    """Keeps `target` up to date with the lake. Use one per process."""

    def __init__(self, lake_root: Path, target: Path) -> None:
        self.published = 0
        """How often by this process."""
        self.published_at = 0.0
        """When last, by the wall clock, in seconds; 0: not yet."""
        self._positions: list[Position] | None = None
        """What the publication last seen was built from; None: not looked yet."""
        self._last_seconds = 0.0
        """How long the last publication took."""
        self._lake_root = lake_root.absolute()
        self._target = target
        self._standing = Standing(lake_root)
        self._lock = Lock(lake_root, locks.PUBLISHER)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="publisher")
        self._publication: Future[PublishReport | None] | None = None
        self._next_check = 0.0

    def turn(self) -> None:
        """Starts a publication where one is due, and tells how the last one went. Never waits."""
        if self._publication is not None:
            if self._publication.done():
                done, self._publication = self._publication, None
                self._log_outcome(done)
            return
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + CHECK_INTERVAL
            self._standing.check()
            if self._lock.acquire():
                self._publication = self._executor.submit(self._publish)

    def compactions(self) -> dict[tuple[str, int], int]:
        """How often each topic partition had been compacted when it was last published, by whichever process."""
        published = publisher.published_positions(self._target) or ()
        return {(topic, partition): compactions for topic, partition, _, compactions, _ in published}

    def finish(self) -> None:
        """The last publication: returns when everything in the lake is published, or another process sees to it.

        Where publications take longer than `FINISH_TIMEOUT`, it is left to the next sink that starts. Raises
        FolderUnwritable, FolderTooNew or DataFolderError.
        """
        self._executor.shutdown(wait=True)
        self._standing.check()
        until = time.monotonic() + FINISH_TIMEOUT
        while not publisher.is_current(self._lake_root, self._target):
            if self._last_seconds > FINISH_TIMEOUT or time.monotonic() > until:
                log.warning(
                    "%s does not show the newest outputs; the next sink that starts publishes them", self._target
                )
                break
            if self._lock.acquire():
                with suppress(FolderBusy):
                    self._publish()
            time.sleep(LOCK_POLL_INTERVAL)
        self.close()

    def close(self) -> None:
        """Lets another process publish; to be called however this one ends."""
        self._executor.shutdown(wait=True)
        self._lock.release()

    def _log_outcome(self, done: Future[PublishReport | None]) -> None:
        """A publication that failed is tried again: the lake itself is whole, and outputs go on arriving."""
        try:
            report = done.result()
        except RapportError as error:
            log.warning("not published: %s", error)
            report = None
        if report is not None:
            log.info("published %d events of %d customers in %.1f s", report.events, report.customers, report.seconds)
        self._next_check = time.monotonic() + max(CHECK_INTERVAL, REST_FACTOR * self._last_seconds)

    def _publish(self) -> PublishReport | None:
        """In the thread, or after it ended. None where there is nothing new."""
        self._standing.check()
        if publisher.lake_positions(self._lake_root) == self._positions:
            return None
        if publisher.is_current(self._lake_root, self._target):
            report = None
        else:
            report = publisher.publish(self._lake_root, self._target)
            self.published += 1
            self.published_at = time.time()
            self._last_seconds = report.seconds
        self._positions = publisher.published_positions(self._target)
        return report

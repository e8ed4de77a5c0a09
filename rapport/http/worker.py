"""A worker's HTTP: its probes, its metrics and its customers, served in the loop in which it works.

Answering at all shows that the loop turns. It looks at the lanes and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from socket import socket
from typing import Any

from faust.types import TP
from starlette.routing import Route

from profiles.rows import Store
from rapport import disk
from rapport.http import metrics
from rapport.http.application import application
from rapport.http.brokers import BROKER_CHECK_INTERVAL, any_takes_a_connection
from rapport.http.customers import PATH, Customers
from rapport.http.probes import probes
from rapport.http.serve import serving, url_of
from rapport.plan import folder as plan_folder
from stream.clock import wall_now
from stream.core.lanestats import LaneStats
from stream.kafka.ownership import home
from stream.kafka.worker import Worker


class _Self:
    """The worker, as probes, metrics and `/profile` ask about it."""

    def __init__(self, app: Worker) -> None:
        self._app = app
        self._lanes = app.lanes
        self._broker_up = True
        self.partitions = app.lanes.cluster.partitions
        self.plan = plan_folder.digest(app.lanes.plan)

    # --- probes -----------------------------------------------------------------------------------------------------

    def live(self) -> bool:
        """It answers in its own loop."""
        return True

    def missing(self) -> Sequence[str]:
        """In the order in which a worker comes up. Its plan is loaded before it listens."""
        return list(self._missing())

    def about(self) -> Mapping[str, str]:
        """Its plan, for whoever compares workers."""
        return {"plan": self.plan}

    def _missing(self) -> Iterator[str]:
        if not self._broker_up:
            yield "no broker takes a connection"
        if full := disk.shortage(self._lanes.cluster.data):
            yield full
        owned = self._lanes.owned
        if self._app.rebalancing:
            yield "partitions are being assigned"
        elif not owned and not self._app.unassigned:
            yield "no partitions are assigned yet"
        for owns, lane in owned.items():
            if not lane.stats.open:
                done, total = lane.stats.recovery_done, lane.stats.recovery_total
                yield f"{owns.name} recovers: {done:,} of {total:,} changelog offsets"

    def broker_up(self) -> bool:
        """As of the last look."""
        return self._broker_up

    async def watch(self) -> None:
        """Looks for a broker now and then, for ever."""
        while True:
            self._broker_up = await any_takes_a_connection(self._lanes.cluster.brokers)
            await asyncio.sleep(BROKER_CHECK_INTERVAL)

    def disk_free(self) -> int:
        """Bytes where the rows are."""
        return disk.free(self._lanes.cluster.data)

    # --- metrics ----------------------------------------------------------------------------------------------------

    def lanes(self) -> Mapping[str, LaneStats]:
        """Those assigned, open or not."""
        return {owns.name: lane.stats for owns, lane in self._lanes.owned.items()}

    def behind(self, lane: str) -> Mapping[str, float]:
        """What the last fetch saw beyond the positions. Markers of transactions count as records."""
        found = next((each for owns, each in self._lanes.owned.items() if owns.name == lane), None)
        if found is None:
            return {}
        logs = {topic: TP(*log) for topic, log in found.inputs.items()}
        assigned = self._app.consumer.assignment()
        return {
            topic: max(0, (self._app.consumer.highwater(logs[topic]) or 0) - position)
            for topic, position in found.positions.items()
            if logs[topic] in assigned
        }

    # --- customers --------------------------------------------------------------------------------------------------

    def store(self, partition: int) -> Store | None:
        """Committed rows of a lane that is open here."""
        lane = self._lanes.owned.get(home(partition))
        return lane.store if lane is not None else None

    def owner(self, partition: int) -> str | None:
        """As Faust's assignor told every worker when it dealt the partitions out."""
        events = self._lanes.cluster.topic("events")
        assignor: Any = self._app.assignor
        for url, topics in assignor.external_topics_metadata().items():
            if partition in topics.get(events, ()):
                return str(url).rstrip("/")
        return None


@asynccontextmanager
async def answering(app: Worker, listening: socket) -> AsyncIterator[None]:
    """Serves for as long as it is entered."""
    me = _Self(app)
    token = app.lanes.cluster.http_token
    customers = Customers(me, app.lanes.plan.identity, token, url_of(listening))
    routes = [*probes(me, metrics.of_worker(me, wall_now)), Route(PATH, customers.answer)]
    watching = asyncio.create_task(me.watch())
    try:
        async with customers.connected(), serving(application(routes, token), listening):
            yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

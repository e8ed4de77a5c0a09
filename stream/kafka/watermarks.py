"""The watermarks of a process's lanes: the ends of `events` noted, and the group's positions watched, by two requests.

Ends include what open transactions have appended. The positions are those that all workers have told the group, each
after the commit that made them true, so they are never ahead of what has been taken. Nothing is asked for while no lane
wants it, and what cannot be asked now is asked again: timers then fire later, never wrongly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream.core.owners import EVENTS
from stream.kafka.clients import connection
from stream.kafka.cluster import Cluster
from stream.kafka.lane import Clock, Lane
from stream.kafka.transactions import told

log = logging.getLogger("rapport.worker")

SPREAD = 0.25
"""Seconds over which lanes begin with what has come due: all at once they would hold up every event of that moment."""


class Watermarks:
    """Those of one process. `close` lets go of its connections."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        topic = cluster.topic(EVENTS)
        self._partitions = [TopicPartition(topic, each) for each in range(cluster.partitions)]
        self._reader: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self._warned = False

    async def move(self, lanes: Iterable[Lane]) -> None:
        """Lets the watermark of each lane come as far as it can."""
        marks = [(lane, mark) for lane in lanes if (mark := lane.watermark) is not None]
        now = self._clock()
        wanting = [mark for _, mark in marks if mark.wants_ends(now)]
        waiting = [(lane, mark) for lane, mark in marks if mark.waits or mark in wanting]
        if not waiting:
            return
        try:
            if wanting:
                ends = await self._ends()
                for mark in wanting:
                    mark.note(now, ends)
            positions = await self._positions()
        except (KafkaError, OSError) as error:
            if not self._warned:
                log.warning("timers wait, since the brokers do not say how far input is: %s", told(error))
            self._warned = True
            await self.close()
            return
        self._warned = False
        for lane, mark in waiting:
            mark.reach(positions, self._clock())
            if mark.ready:
                lane.inbox.rouse()
                await asyncio.sleep(SPREAD / len(waiting))

    async def _ends(self) -> dict[int, int]:
        if self._reader is None:
            self._reader = await _started(AIOKafkaConsumer(**connection(self._cluster), enable_auto_commit=False))
        ends = await self._reader.end_offsets(self._partitions)
        return {each.partition: end for each, end in ends.items()}

    async def _positions(self) -> dict[int, int]:
        if self._admin is None:
            self._admin = await _started(AIOKafkaAdminClient(**connection(self._cluster)))
        group = self._cluster.consumer_group
        found = await self._admin.list_consumer_group_offsets(group, partitions=self._partitions)
        return {each.partition: max(position.offset, 0) for each, position in found.items()}

    async def close(self) -> None:
        """Lets go of the connections; they are made anew when something is asked."""
        reader, admin, self._reader, self._admin = self._reader, self._admin, None, None
        if reader is not None:
            await reader.stop()
        if admin is not None:
            await admin.close()


async def _started(client: Any) -> Any:
    """A client that has connected, or that leaves nothing behind."""
    try:
        await client.start()
    except BaseException:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
        raise
    return client

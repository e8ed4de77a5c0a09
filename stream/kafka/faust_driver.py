"""What Faust and aiokafka do not offer as settings: the only module that touches their private attributes.

Tested against the pinned versions, each attribute by a test that fails when an upgrade changes it.

- The consumer reads committed records only, and its fetches do not wait long for idle partitions.
- A partition flows only after its lane is open and has said where to go on, and not while the lane has enough waiting.
- The offsets that are committed for the group are the lanes' positions, not Faust's acknowledgements.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

FETCH_WAIT_MS = 50
"""A fetch answers for all partitions of a broker, so one with news waits for the idle ones."""
POLL_INTERVAL = 0.1
"""Seconds after which a fetch is asked again for the partitions that flow by then."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer in its thread; reads committed records only, and knows how far it has come."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._delivered: dict[TP, int] = {}
        """The offset of the last record handed out."""
        self._reported: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def _fetch_records(self, *given: Any, **named: Any) -> Any:
        found = await super()._fetch_records(*given, **named)
        self._delivered |= {TP(*partition): records[-1].offset for partition, records in found.items()}
        return found

    async def commit_group(self, positions: Mapping[TP, int]) -> None:
        await self.call_thread(self._commit_group, positions)

    async def _commit_group(self, positions: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        mine = consumer.assignment()
        offsets = {tp: self._passed(consumer, tp, offset) for tp, offset in positions.items() if tp in mine}
        if offsets and offsets != self._reported:
            with suppress(KafkaError):  # a rebalance, or brokers that are away: the next report is as good
                await consumer.commit({aiokafka.TopicPartition(*tp): offset for tp, offset in offsets.items()})
                self._reported = offsets

    def _passed(self, consumer: aiokafka.AIOKafkaConsumer, tp: TP, taken: int) -> int:
        """How far a lane has come that has taken all before `taken`: beyond the markers of transactions behind it.

        Without them a reader that has read everything would never be seen at the end of its log.
        """
        state = consumer._subscription.subscription.assignment.state_value(tp)
        if state is None or not state.has_valid_position or self._delivered.get(tp, -1) >= taken:
            return taken
        return max(taken, int(state.position))


class Consumer(driver.Consumer):
    """Faust's consumer, with a tap for each partition."""

    _flowing: set[TP]
    _thread: ConsumerThread

    def _new_consumer_thread(self) -> ConsumerThread:
        self._flowing = set()
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def start_at(self, positions: Mapping[TP, int]) -> None:
        """Lets partitions flow from these offsets on."""
        await self.seek_wait(positions)
        self.flow(positions)

    def flow(self, partitions: Iterable[TP]) -> None:
        """Lets partitions flow from where they are."""
        self._flowing.update(partitions)

    def hold(self, partitions: Iterable[TP]) -> None:
        """Delivers no more of these, but for what is on its way."""
        self._flowing.difference_update(partitions)

    async def commit_group(self, positions: Mapping[TP, int]) -> None:
        """Tells the group how far its lanes are: timers and those who watch its lag go by that."""
        await self._thread.commit_group(positions)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        wanted = self._flowing & (active_partitions or set())
        if not wanted:
            await asyncio.sleep(POLL_INTERVAL / 4)
            return {}
        return await super()._getmany(active_partitions=wanted, timeout=min(timeout, POLL_INTERVAL))

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Faust waits here, for each record, until it is delivered or the flow suspended, at the price of four tasks
        and three turns of a loop that lanes are busy in. What can be delivered at once is."""
        if not self.app.flow_control.is_active() or self.suspend_flow.is_set():
            return await super().wait_first(*coros, timeout=timeout)
        delivering, suspended = coros
        suspended.close()
        return await delivering

    def verify_event_path(self, now: float, tp: TP) -> None:
        """A partition that is held on purpose is not stuck: the lanes' own figures tell."""


class Transport(driver.Transport):
    """Faust's transport with this module's consumer."""

    Consumer = Consumer

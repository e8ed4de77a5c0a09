"""A lane's transactional producer: what one transaction holds becomes true together, and an older owner's never does.

Every error of the producer is final (`Fenced`): what was not committed never happened, and only the next owner can say
whether an unanswered commit did.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.topics import MAX_RECORD_BYTES
from stream.core.outbox import Entry
from stream.kafka.clients import connection
from stream.kafka.cluster import Cluster

TRANSACTION_TIMEOUT_MS = 10_000
"""Until the broker gives up a transaction of an owner who died and has no successor: so long its readers wait."""
MAX_BATCH_BYTES = 1_000_000
OVERHEAD_BYTES = 64 * 1024
"""What a batch and a request add to a record."""
CLOSE_TIMEOUT = 2.0
"""Seconds a producer may take to say good-bye."""

Log = tuple[str, int]
"""Topic, as the cluster calls it, and partition."""


class Fenced(Exception):
    """The producer failed, or somebody else owns the lane by now."""


class Transactions:
    """The transactions of one lane, one after the other."""

    def __init__(self, cluster: Cluster, lane: str) -> None:
        self.id = f"{cluster.consumer_group}-{lane}"
        self._producer = AIOKafkaProducer(
            **connection(cluster),
            transactional_id=self.id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            linger_ms=0,
            max_batch_size=MAX_RECORD_BYTES,
            max_request_size=MAX_RECORD_BYTES + OVERHEAD_BYTES,
            retry_backoff_ms=20,
        )

    async def fence(self) -> None:
        """From now on no older owner can commit, and what one had open is given up. Raises Fenced."""
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            raise Fenced(f"cannot open its transactions: {told(error)}") from error

    async def commit(self, entries: Mapping[Log, Iterable[Entry]]) -> dict[Log, int]:
        """Appends all entries in one transaction; returns the offset behind the last one of each log. Raises Fenced."""
        try:
            await self._producer.begin_transaction()
            batches = [each async for each in self._batches(entries)]
            # All at once: the broker is told of all their partitions in one request, and gets all of them in another.
            sent = [
                (log, await self._producer.send_batch(batch, log[0], partition=log[1]), batch) for log, batch in batches
            ]
            ends = {log: (await placed).offset + batch.record_count() for log, placed, batch in sent}
            await self._producer.commit_transaction()
        except (KafkaError, OSError) as error:
            raise Fenced(f"cannot commit: {told(error)}") from error
        return ends

    async def _batches(self, entries: Mapping[Log, Iterable[Entry]]) -> AsyncIterator[tuple[Log, Any]]:
        """Others get a turn of the loop between two: making a large one takes a while."""
        for log, each in entries.items():
            batch = self._producer.create_batch()
            for key, value in each:
                full = batch.size() > MAX_BATCH_BYTES
                if full or batch.append(timestamp=None, key=key, value=value) is None:
                    batch.close()
                    yield log, batch
                    await asyncio.sleep(0)
                    batch = self._producer.create_batch()
                    batch.append(timestamp=None, key=key, value=value)
            batch.close()
            yield log, batch
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Lets go without finishing anything; the next owner's fence clears up."""
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._producer.stop()


def told(error: BaseException) -> str:
    """An error of a client, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]

"""Deleting what lanes have consumed: `internal` and `links` keep records until their lane has taken them."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from stream.kafka.clients import connection
from stream.kafka.cluster import Cluster
from stream.kafka.transactions import Log, told

log = logging.getLogger("rapport.worker")


async def delete_records(cluster: Cluster, before: Mapping[Log, int]) -> None:
    """Deletes the records of each log (topic and partition) before an offset that its own lane has committed.

    What cannot be deleted now goes with a later round.
    """
    client = AIOKafkaAdminClient(**connection(cluster))
    try:
        await client.start()
        await client.delete_records({TopicPartition(*each): RecordsToDelete(offset) for each, offset in before.items()})
    except (KafkaError, OSError) as error:
        log.warning("consumed records are not deleted: %s", told(error))
    finally:
        await client.close()

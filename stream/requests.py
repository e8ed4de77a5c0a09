"""A request to the linker from outside a lane: sent as a record of its own, and known to be decided.

Deciding a request again changes nothing, so whoever does not know whether one arrived sends it again.
"""

from __future__ import annotations

from schemas import codec
from schemas.messages import Request
from stream.clients import PATIENCE, admin, answered, connection
from stream.cluster import Cluster
from stream.owners import LINKS


def send(cluster: Cluster, request: Request) -> int:
    """Appends it to `links`; returns the offset behind it. Raises ClusterError."""
    from kafka import KafkaProducer

    with answered(cluster):
        producer = KafkaProducer(
            client_id="rapport-request",
            enable_idempotence=True,
            acks="all",
            allow_auto_create_topics=False,
            max_block_ms=int(PATIENCE * 1_000),
            metrics_enabled=False,
            **connection(cluster),
        )
        try:
            placed = producer.send(cluster.topic(LINKS), codec.encode(request), partition=0).get(PATIENCE)
        finally:
            producer.close(timeout=1)
    return int(placed.offset) + 1


def decided(cluster: Cluster, offset: int) -> bool:
    """Whether the linker has committed everything in `links` before an offset. Raises ClusterError."""
    from kafka import TopicPartition

    with admin(cluster) as client:
        positions = client.list_group_offsets(cluster.consumer_group)[cluster.consumer_group]
    position = positions.get(TopicPartition(cluster.topic(LINKS), 0))
    return position is not None and position.offset >= offset

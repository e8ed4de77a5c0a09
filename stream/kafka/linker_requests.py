"""A request to the linker from outside a lane: sent as a record of its own, and known to be decided.

Deciding a request again changes nothing, so whoever does not know whether one arrived sends it again.
"""

from __future__ import annotations

from schemas import codec
from schemas.messages import Request
from stream.core.effects import LINKS
from stream.kafka.clients import REQUEST_TIMEOUT, admin, producer
from stream.kafka.cluster import Cluster


def send(cluster: Cluster, request: Request) -> int:
    """Appends it to `links`; returns the offset behind it. Raises ClusterError."""
    with producer(cluster, "rapport-request", max_block_ms=int(REQUEST_TIMEOUT * 1_000)) as sending:
        placed = sending.send(cluster.topic(LINKS.topic), codec.encode(request), partition=0).get(REQUEST_TIMEOUT)
    return int(placed.offset) + 1


def decided(cluster: Cluster, offset: int) -> bool:
    """Whether the linker has committed everything in `links` before an offset. Raises ClusterError."""
    from kafka import TopicPartition

    with admin(cluster) as client:
        positions = client.list_group_offsets(cluster.consumer_group)[cluster.consumer_group]
    position = positions.get(TopicPartition(cluster.topic(LINKS.topic), 0))
    return position is not None and position.offset >= offset

"""Where the workers of a group are and which partitions each has, as the brokers know it.

A worker tells the group its address with Faust's own metadata, JSON at the end of what it joins with. This module and
`stream.kafka.faust_driver` are the only ones that know such things. It asks, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from stream.kafka.clients import admin
from stream.kafka.cluster import Cluster

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

METADATA = '{"assignment"'
"""How Faust's metadata begins; kafka-python cannot take it out of the envelope that Faust puts around it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The group at one moment."""

    state: str
    """Kafka's: `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, `Dead`."""
    members: int
    urls: Mapping[str, Mapping[str, frozenset[int]]] = field(default_factory=dict)
    """Worker's URL -> topic, as the cluster calls it -> partitions; no partitions while they are being dealt out."""

    def owned(self, topic: str) -> frozenset[int]:
        """Partitions of a topic that some worker has."""
        return frozenset().union(*(topics.get(topic, frozenset()) for topics in self.urls.values()))


def placement(cluster: Cluster) -> Placement:
    """Asks the brokers. Raises ClusterError."""
    with admin(cluster) as client:
        return placement_by(client, cluster)


def clients_of(cluster: Cluster, group: str) -> set[str]:
    """What the members of a group call themselves. Raises ClusterError."""
    from kafka.errors import CoordinatorNotAvailableError

    with admin(cluster) as client:
        try:
            return {member["client_id"] for member in client.describe_groups([group])[group]["members"]}
        except CoordinatorNotAvailableError:  # nobody has come to these brokers yet
            return set()


def placement_by(client: KafkaAdminClient, cluster: Cluster) -> Placement:
    """The same with a client that is open already. Raises kafka-python's errors."""
    group = client.describe_groups([cluster.consumer_group])[cluster.consumer_group]
    urls = {}
    for member in group["members"]:
        if (url := _url(member["member_metadata"])) is not None:
            urls[url] = _assigned(member["member_assignment"])
    return Placement(group["group_state"], len(group["members"]), urls)


def _url(metadata: Any) -> str | None:
    """The address that a worker announced; None of a member that is none."""
    if not isinstance(metadata, str) or METADATA not in metadata:
        return None
    try:
        url = orjson.loads(metadata[metadata.index(METADATA) :])["url"]
    except (LookupError, TypeError, ValueError):
        return None
    return str(url).rstrip("/") or None


def _assigned(assignment: Any) -> dict[str, frozenset[int]]:
    """By topic; nothing of a member that has not been told yet."""
    dealt = assignment["assigned_partitions"] if isinstance(assignment, dict) else ()
    return {topic["topic"]: frozenset(topic["partitions"]) for topic in dealt}

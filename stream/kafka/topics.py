"""The topics as they should be and as they are: created where they are missing, never changed where they exist.

A topic's partition count decides where every row lives, and a setting may have been changed on purpose, so what differs
is only named. Creating twice, or from two places at once, is safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.errors import ClusterError
from schemas.topics import TOPICS, Topic
from stream.kafka import codecs
from stream.kafka.clients import admin
from stream.kafka.cluster import Cluster

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

MISSING = "missing"
COMPRESSION = "compression"
SAFE_COPIES = 3
"""From so many copies on, a write must reach two of them before it counts."""


class Difference(NamedTuple):
    """One thing about a topic that is not as it should be."""

    topic: str
    what: str
    """`topic`, `partitions`, `replication`, `compression`, or the name of a setting."""
    wanted: str
    found: str


class Created(NamedTuple):
    """What creating did. `differences` are those of topics that existed before."""

    created: tuple[str, ...]
    existed: tuple[str, ...]
    differences: tuple[Difference, ...]


def create(cluster: Cluster) -> Created:
    """Creates every topic that is missing and returns once all can be used. Raises ClusterError."""
    with admin(cluster) as client:
        there = _described(client, cluster)
        made = _make(client, cluster, [topic for topic in TOPICS.values() if cluster.topic(topic.name) not in there])
        client.wait_for_topics([cluster.topic(name) for name in TOPICS])
        differences = tuple(_differences(client, cluster))
    names = [cluster.topic(name) for name in TOPICS]
    return Created(tuple(made), tuple(name for name in names if name not in made), differences)


def check(cluster: Cluster) -> list[Difference]:
    """Every difference, topic by topic; none where the cluster is as it should be. Raises ClusterError."""
    with admin(cluster) as client:
        return list(_differences(client, cluster))


def begins_after(cluster: Cluster, name: str, instant: int) -> bool:
    """Whether everything that a topic ever held is still there and came after an instant. Raises ClusterError."""
    from kafka import TopicPartition

    topic = cluster.topic(name)
    with admin(cluster) as client:
        [described] = client.describe_topics([topic])
        logs = [TopicPartition(topic, each["partition_index"]) for each in described["partitions"]]
        first, last, after = (
            client.list_partition_offsets(dict.fromkeys(logs, which)) for which in (-2, -1, instant // 1_000)
        )
    return all(first[log].offset == 0 and (after[log].offset == 0 or last[log].offset == 0) for log in logs)


def wanted(topic: Topic, cluster: Cluster) -> Mapping[str, str]:
    """The settings a topic should have on this cluster."""
    if cluster.replication is not None and cluster.replication >= SAFE_COPIES:
        return {**topic.settings(), "min.insync.replicas": "2"}
    return topic.settings()


def _make(client: KafkaAdminClient, cluster: Cluster, missing: list[Topic]) -> list[str]:
    """The topics that were made; somebody else may have made some just now."""
    from kafka.errors import TopicAlreadyExistsError

    if not missing:
        return []
    orders = {
        cluster.topic(topic.name): {
            "num_partitions": topic.count(cluster.partitions),
            "replication_factor": cluster.replication or -1,
            "configs": dict(wanted(topic, cluster)),
        }
        for topic in missing
    }
    answers = client.create_topics(orders, raise_errors=False)["topics"]
    codes = {0, TopicAlreadyExistsError.errno}
    if refused := [answer for answer in answers if answer["error_code"] not in codes]:
        reasons = "; ".join(sorted({answer["error_message"] or f"error {answer['error_code']}" for answer in refused}))
        raise ClusterError(f"Kafka does not create {', '.join(answer['name'] for answer in refused)}: {reasons}")
    return [answer["name"] for answer in answers if answer["error_code"] == 0]


def _differences(client: KafkaAdminClient, cluster: Cluster) -> Iterator[Difference]:
    there = _described(client, cluster)
    settings = _settings(client, list(there))
    yield from _unreadable(cluster, there, settings)
    for topic in TOPICS.values():
        name = cluster.topic(topic.name)
        if name not in there:
            yield Difference(name, "topic", "there", MISSING)
            continue
        partitions = there[name]["partitions"]
        if len(partitions) != topic.count(cluster.partitions):
            yield Difference(name, "partitions", str(topic.count(cluster.partitions)), str(len(partitions)))
        copies = min(len(partition["replica_nodes"]) for partition in partitions)
        if cluster.replication is not None and copies != cluster.replication:
            yield Difference(name, "replication", str(cluster.replication), str(copies))
        for setting, value in wanted(topic, cluster).items():
            if (found := settings[name].get(setting, MISSING)) != value:
                yield Difference(name, setting, value, found)


def _unreadable(
    cluster: Cluster, there: Mapping[str, Any], settings: Mapping[str, Mapping[str, str]]
) -> Iterator[Difference]:
    counts = {name: len(there[full]["partitions"]) for name in TOPICS if (full := cluster.topic(name)) in there}
    types = {name: settings[cluster.topic(name)].get("compression.type", "producer") for name in counts}
    for topic, codec, package in codecs.missing(cluster, counts, types):
        yield Difference(topic, COMPRESSION, "one that can be read here", f"{codec}, which needs {package}")


def _described(client: KafkaAdminClient, cluster: Cluster) -> dict[str, Any]:
    """Those of our topics that exist, by name."""
    ours = {cluster.topic(name) for name in TOPICS}
    return {topic["name"]: topic for topic in client.describe_topics() if topic["name"] in ours}


def _settings(client: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """Settings in force, by topic: its own and those it takes from the brokers."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = client.describe_configs(asked, config_filter="all").get("topic", {})
    if refused := [name for name in names if not found.get(name)]:
        raise ClusterError(
            f"The settings of {', '.join(refused)} cannot be read: allow this user DescribeConfigs on them."
        )
    return {name: {setting: value["value"] for setting, value in found[name].items()} for name in names}

"""Topics on a real broker: made as the table says, compared in every respect, safe to make twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from conftest import Rapport, needed
from kafka_guarded import GuardedBroker
from rapport.demo.broker import Broker
from schemas.errors import ClusterError
from schemas.topics import TOPICS
from sinks_topics import until
from stream.core.intake import Intake
from stream.core.plan import Plan
from stream.kafka import clients
from stream.kafka import topics as topology
from stream.kafka.clients import admin
from stream.kafka.cluster import Cluster, Security
from stream.kafka.producer import feeding
from stream.kafka.topics import Difference

USER, PASSWORD = "ann", "not-a-real-secret"


@pytest.fixture
def cluster(broker: Broker, prefix: str, tmp_path: Path) -> Cluster:
    return Cluster((broker.address,), tmp_path, prefix=prefix, partitions=2)


@pytest.fixture(scope="module")
def guarded() -> Iterator[GuardedBroker]:
    with needed():
        started = GuardedBroker({USER: PASSWORD})
    yield started
    started.stop()


def test_creating_makes_what_the_table_says_and_nothing_the_second_time(cluster, prefix):
    first = topology.create(cluster)
    assert first == (tuple(prefix + name for name in TOPICS), (), ())
    assert topology.check(cluster) == []
    with admin(cluster) as client:
        found = {topic["name"]: topic for topic in client.describe_topics([prefix + name for name in TOPICS])}
        rows = ConfigResource(ConfigResourceType.TOPIC, f"{prefix}rows")
        settings = client.describe_configs([rows], config_filter="all")["topic"][f"{prefix}rows"]
    counts = {name: len(found[prefix + name]["partitions"]) for name in TOPICS}
    assert counts == {name: 2 if topic.partitions == "P" else 1 for name, topic in TOPICS.items()}
    assert settings["cleanup.policy"]["value"] == "compact"
    assert settings["delete.retention.ms"]["value"] == str(7 * 24 * 3600 * 1000)
    assert topology.create(cluster) == ((), first.created, ())


def test_two_who_create_at_once_share_the_work(cluster, prefix):
    with ThreadPoolExecutor(2) as both:
        one, other = both.map(topology.create, (cluster, cluster))
    assert sorted(one.created + other.created) == sorted(prefix + name for name in TOPICS)
    assert one.differences == other.differences == ()


def test_every_difference_is_named(cluster, prefix):
    topology.create(cluster)
    with admin(cluster) as client:
        client.delete_topics([f"{prefix}plan"])
        resource = ConfigResource(ConfigResourceType.TOPIC, f"{prefix}internal", {"retention.ms": "1000"})
        client.alter_configs([resource])
    expected = {
        Difference(f"{prefix}plan", "topic", "there", "missing"),
        Difference(f"{prefix}internal", "retention.ms", "-1", "1000"),
        Difference(f"{prefix}internal", "partitions", "3", "2"),
        Difference(f"{prefix}links", "replication", "3", "1"),
        Difference(f"{prefix}links", "min.insync.replicas", "2", "1"),
    }
    asked = replace(cluster, replication=3, partitions=3)
    until(lambda: expected <= set(topology.check(asked)))
    links = [each.what for each in topology.check(asked) if each.topic == f"{prefix}links"]
    assert links == ["replication", "min.insync.replicas"]


def test_what_kafka_refuses_to_create_is_told_in_its_words(cluster):
    with pytest.raises(ClusterError, match="replication factor of 3 cannot be reached"):
        topology.create(replace(cluster, replication=3))


def test_the_commands_tell_people_and_programs(rapport: Rapport, cluster, prefix, monkeypatch):
    monkeypatch.setenv("RAPPORT_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("RAPPORT_PARTITIONS", "2")
    address = cluster.brokers[0]
    missing = rapport("topics", "check", "--brokers", address)
    assert (missing.code, "rapport topics create" in missing.err) == (1, True)
    created = rapport("topics", "create", "--brokers", address, "--json")
    assert (created.code, len(created.json["created"]), created.json["differences"]) == (0, len(TOPICS), [])
    monkeypatch.setenv("RAPPORT_BROKERS", address)
    assert rapport("topics", "create").code == 0
    assert rapport("topics", "check", "--json").json == {"ok": True, "differences": []}
    monkeypatch.setenv("RAPPORT_PARTITIONS", "4")
    wrong = rapport("topics", "check", "--json")
    assert wrong.code == 1
    assert {"topic": f"{prefix}rows", "what": "partitions", "wanted": "4", "found": "2"} in wrong.json["differences"]
    told = rapport("topics", "create")
    assert (told.code, "set RAPPORT_PARTITIONS to what is there" in told.err) == (1, True)


@pytest.mark.parametrize("brokers", ["127.0.0.1:1", "nobody.invalid:9092", "127.0.0.1:1,127.0.0.1:2"])
def test_absent_brokers_are_told_in_one_sentence(rapport: Rapport, brokers, monkeypatch):
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT", 0.5)
    ended = rapport("topics", "check", "--brokers", brokers)
    assert ended.code == 1
    assert ended.out == b""
    assert ended.err.startswith(f"rapport: No broker answers at {', '.join(brokers.split(','))} (")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["sasl_plaintext", "sasl_ssl"])
def test_a_user_gets_in_by_password(guarded: GuardedBroker, protocol, mechanism, tmp_path):
    cluster = Cluster(
        (guarded.tls_address if protocol == "sasl_ssl" else guarded.sasl_address,),
        tmp_path,
        Security(protocol, mechanism, USER, PASSWORD, guarded.cafile if protocol == "sasl_ssl" else None),
        prefix=f"{protocol}-{mechanism}-",
        partitions=1,
    )
    assert len(topology.create(cluster).created) == len(TOPICS)
    assert topology.check(cluster) == []
    with feeding(cluster) as feed:
        feed.send(Intake(Plan(), lambda: 0).lines([b"no event"], "test"))
        feed.finish()
        assert feed.records == 1


@pytest.mark.parametrize(
    "security",
    [
        Security("sasl_plaintext", "SCRAM-SHA-256", USER, "wrong"),
        Security("sasl_plaintext", "PLAIN", "nobody", PASSWORD),
        Security("plaintext"),
    ],
)
def test_who_may_not_enter_is_told_what_to_check(guarded: GuardedBroker, security, tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT", 1.0)
    with pytest.raises(ClusterError, match="check RAPPORT_SECURITY") as refused:
        topology.check(Cluster((guarded.sasl_address,), tmp_path, security))
    assert ("RAPPORT_SASL_PASSWORD_FILE" in str(refused.value)) == (security.mechanism is not None)
    assert "wrong" not in str(refused.value)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("kafka-io")]


def test_a_certificate_nobody_vouches_for_is_not_trusted(guarded: GuardedBroker, tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT", 1.0)
    with pytest.raises(ClusterError):
        topology.check(Cluster((guarded.tls_address,), tmp_path, Security("sasl_ssl", "PLAIN", USER, PASSWORD)))


def test_a_file_without_certificates_is_told(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ClusterError, match="certificates"):
        clients.connection(Cluster(("a:1",), tmp_path, Security("ssl", cafile=empty)))

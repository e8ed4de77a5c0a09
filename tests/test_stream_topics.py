"""Topics on a real broker: made as the table says, compared in every respect, safe to make twice."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

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
from stream.kafka import clients, entry
from stream.kafka import topics as topology
from stream.kafka.clients import admin
from stream.kafka.cluster import Cluster, Mechanism, Security
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


def users(name: str = USER, password: str = PASSWORD, mechanism: Mechanism = "SCRAM-SHA-256") -> Security:
    return Security("sasl_plaintext", mechanism, name, password)


@pytest.mark.parametrize(
    ("address", "security", "words"),
    [
        (
            "sasl_address",
            users(password="wrong"),
            ("'ann'", "do not know this user, or the password is another", "_FILE"),
        ),
        ("sasl_address", users(password="wrong", mechanism="PLAIN"), ("'ann'", "PLAIN", "RAPPORT_SASL_USERNAME")),
        ("sasl_address", users("nobody"), ("'nobody'", "do not know this user")),
        ("plain_address", users(), ("do not take passwords by SCRAM-SHA-256", "RAPPORT_SASL_MECHANISM")),
        ("address", users(), ("ask for no password", "RAPPORT_SECURITY=plaintext")),
        ("sasl_address", Security(), ("wants to know who asks", "RAPPORT_SECURITY=sasl_plaintext")),
        ("tls_address", Security(), ("speaks TLS", "sasl_ssl")),
        ("tls_address", users(), ("speaks TLS", "sasl_ssl")),
        ("address", Security("ssl"), ("speaks no TLS", "RAPPORT_SECURITY")),
        ("tls_address", Security("ssl"), ("signed by nobody that this system trusts", "set RAPPORT_SSL_CAFILE")),
        ("mutual_address", Security("ssl", cafile=Path("it")), ("asks for a certificate", "RAPPORT_SSL_CERTFILE")),
        ("elsewhere", Security("ssl", cafile=Path("it")), ("not for localhost, but for 127.0.0.1", "RAPPORT_BROKERS")),
    ],
)
def test_who_may_not_enter_is_told_why_at_once(
    guarded: GuardedBroker, address, security, words, monkeypatch, rapport: Rapport, tmp_path
):
    where = (
        guarded.tls_address.replace("127.0.0.1", "localhost") if address == "elsewhere" else getattr(guarded, address)
    )
    monkeypatch.setenv("RAPPORT_SECURITY", security.protocol)
    if security.mechanism:
        (tmp_path / "password").write_text(security.password)
        monkeypatch.setenv("RAPPORT_SASL_MECHANISM", security.mechanism)
        monkeypatch.setenv("RAPPORT_SASL_USERNAME", security.username)
        monkeypatch.setenv("RAPPORT_SASL_PASSWORD_FILE", str(tmp_path / "password"))
    if security.cafile:
        monkeypatch.setenv("RAPPORT_SSL_CAFILE", str(guarded.cafile))
    started = time.monotonic()
    ended = rapport("topics", "check", "--brokers", where)
    assert time.monotonic() - started < 4
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, b"", 1), ended.err
    assert [word for word in (where, *words) if word not in ended.err] == []
    assert "wrong" not in ended.err
    assert PASSWORD not in ended.err
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("kafka-io")]


def test_every_process_says_who_may_not_enter(guarded: GuardedBroker, rapport: Rapport, tmp_path):
    for command in (("worker",), ("sink",), ("replay", "-", "--to", "kafka"), ("profile", "a:b", "--from", "kafka")):
        ended = rapport(*command, "--brokers", guarded.sasl_address, "--data", tmp_path / command[0])
        assert (ended.code, "wants to know who asks" in ended.err, "Traceback" in ended.err) == (1, True, False), (
            command
        )
    found = rapport("doctor", "--brokers", guarded.sasl_address, "--data", tmp_path, "--json").json["findings"][-1]
    assert (found["verdict"], "wants to know who asks" in found["found"]) == ("fail", True)


def test_a_broker_that_sends_clients_on_to_where_nobody_gets_is_told(tmp_path, monkeypatch):
    class Connected:
        async def send(self, _request):
            return SimpleNamespace(brokers=[(1, "kafka.internal", 9092, None)])

        def close(self):
            return asyncio.sleep(0)

    async def made(host: str, _port: int, **_given: object) -> Connected:
        if host == "kafka.internal":
            raise OSError(None, "Name or service not known")
        return Connected()

    monkeypatch.setattr(entry, "create_conn", made)
    with pytest.raises(ClusterError) as refused:
        clients.enter(Cluster(("localhost:9092",), tmp_path))
    assert str(refused.value) == (
        "The broker at localhost:9092 sends clients on to kafka.internal:9092, and nothing answers there from here "
        "(Name or service not known). Set its advertised.listeners to an address that can be reached from here."
    )


def test_what_is_no_broker_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"{address} takes connections but does not answer as a broker does"):
            clients.enter(Cluster((address,), tmp_path))


def test_a_file_without_certificates_is_told(tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ClusterError, match="certificates"):
        clients.connection(Cluster(("a:1",), tmp_path, Security("ssl", cafile=empty)))

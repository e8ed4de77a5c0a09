"""What the doctor makes of a cluster that is not well: topics, partitions, transactions, no broker at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from conftest import Rapport
from rapport.customers.cluster import _urls
from rapport.demo.broker import Broker
from rapport.doctor.cluster import _beyond, _Examination, _plans
from rapport.doctor.lag import _ahead
from rapport.plan import folder as plan_folder
from rapport_shell import SHOP
from schemas.errors import ClusterError
from schemas.topics import TOPICS
from stream.kafka.cluster import Cluster
from stream.kafka.placement import placement_by

Examined = dict[str, list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _prefixed(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("RAPPORT_PARTITIONS", "2")


@pytest.fixture
def producer(broker: Broker, prefix: str) -> Iterator[KafkaProducer]:
    with closing(KafkaProducer(bootstrap_servers=broker.address, transactional_id=f"{prefix}test")) as made:
        made.init_transactions()
        yield made


def examined(rapport: Rapport, broker: Broker, data: Path) -> tuple[int, Examined]:
    """Exit code, and the findings by check."""
    done = rapport("doctor", "--brokers", broker.address, "--data", data, "--json")
    assert done.json["ok"] == (done.code == 0)
    found: Examined = {}
    for finding in done.json["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return done.code, found


def test_missing_topics(broker: Broker, prefix: str, rapport: Rapport, tmp_path: Path) -> None:
    code, found = examined(rapport, broker, tmp_path)
    [topics] = found["topics"]
    assert (code, topics["verdict"], topics["advice"]) == (1, "fail", "rapport topics create")
    assert f"{prefix}events" in topics["found"]
    assert "rapport topics create" in rapport("doctor", "--brokers", broker.address, "--data", tmp_path).text


def test_partition_counts_that_differ(broker: Broker, prefix: str, rapport: Rapport, tmp_path: Path) -> None:
    assert rapport("topics", "create", "--brokers", broker.address).code == 0
    with closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
        admin.create_partitions({f"{prefix}internal": 3})
        until = time.monotonic() + 20
        while len(admin.describe_topics([f"{prefix}internal"])[0]["partitions"]) < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
    code, found = examined(rapport, broker, tmp_path)
    [partitions] = found["partitions"]
    assert (code, partitions["verdict"]) == (1, "fail")
    assert f"{prefix}internal 3" in partitions["found"]
    assert [finding["found"] for finding in found["topics"]] == [f"{prefix}internal: partitions is 3, should be 2"]


def test_what_was_aborted_holds_nobody_up_and_an_open_transaction_does(
    broker: Broker, prefix: str, rapport: Rapport, tmp_path: Path, producer: KafkaProducer
) -> None:
    assert rapport("topics", "create", "--brokers", broker.address).code == 0
    producer.begin_transaction()
    producer.send(f"{prefix}internal", b"given up", partition=0).get(10)
    producer.abort_transaction()
    _, found = examined(rapport, broker, tmp_path)
    assert [finding["verdict"] for finding in found["stuck"]] == ["ok"], found["stuck"]
    producer.begin_transaction()
    producer.send(f"{prefix}internal", b"not yet", partition=1).get(10)
    _, found = examined(rapport, broker, tmp_path)
    assert f"{prefix}internal/1 behind an open transaction" in found["stuck"][0]["found"]
    producer.abort_transaction()


def test_no_worker_and_no_topic_left_unexamined(broker: Broker, rapport: Rapport, tmp_path: Path) -> None:
    assert rapport("topics", "create", "--brokers", broker.address).code == 0
    code, found = examined(rapport, broker, tmp_path)
    assert code == 1
    assert {check for check, each in found.items() if each[0]["verdict"] != "ok"} == {"workers", "sinks"}
    assert found["topics"][0]["found"] == f"{len(TOPICS)}, all as they should be"


def test_a_moment_outside_of_its_bounds_is_a_wrong_clock() -> None:
    assert _beyond(10.0, 10.5, 11.0) == 0
    assert _beyond(10.0, 7.0, 11.0) == 3.0
    assert _beyond(10.0, 15.0, 11.0) == -4.0


@pytest.mark.parametrize(("members", "verdict", "word"), [(0, "fail", "none"), (2, "warn", "2 starting")])
def test_who_is_starting_is_not_absent(members: int, verdict: str, word: str, tmp_path: Path) -> None:
    """Members of a group tell nothing while partitions are dealt out, to the doctor or to who asks for a customer."""
    cluster = Cluster(("a:1",), tmp_path)
    member = {"client_id": "x", "member_metadata": "", "member_assignment": None}
    group = {"group_state": "PreparingRebalance" if members else "Empty", "members": [member] * members}
    client = SimpleNamespace(describe_groups=lambda names: dict.fromkeys(names, group))
    examination = _Examination(client, cluster, None)
    [workers], [sinks] = examination._workers(), examination._sinks()
    assert (workers.verdict, word in workers.found) == (verdict, True)
    assert (sinks.verdict, word in sinks.found) == ("warn", True)
    placed = placement_by(client, cluster)
    if members:
        assert _urls(cluster, placed, "a:b") == []
    else:
        with pytest.raises(ClusterError, match="start one"):
            _urls(cluster, placed, "a:b")


def test_what_waits_is_told_in_lines_and_by_its_first_record() -> None:
    def record(offset: int, lines: int) -> SimpleNamespace:
        return SimpleNamespace(offset=offset, value=b"\n".join([b"x"] * lines), timestamp=7_000 + offset)

    assert _ahead([record(10, 50), record(11, 30)], 12) == (80, 7.01)
    assert _ahead([record(10, 50), record(11, 30)], 112) == (80 + 4_000, 7.01)


def test_workers_with_different_plans_are_told_apart() -> None:
    mine = plan_folder.digest(plan_folder.load(SHOP))
    silent = (0, {"error": "gone"})

    def found(*plans: str) -> list[str]:
        answers = {f"http://w{number}": (200, {"plan": plan}) for number, plan in enumerate(plans)}
        return [each.found for each in _plans({**answers, "http://dead": silent}, SHOP)]

    assert found(mine, mine) == found() == []
    assert found(mine, "other") == [f"workers differ: {mine} on http://w0; other on http://w1"]
    assert found("other") == [f"{SHOP} is {mine}; workers have other on http://w0"]

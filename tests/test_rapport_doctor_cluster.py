"""What the doctor makes of a cluster that is not well: topics, partitions, transactions, no broker at all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from conftest import Rapport
from rapport.demo.broker import Broker
from rapport.doctor.cluster import _beyond, _plans
from rapport.plan import folder as plan_folder
from rapport_shell import SHOP
from schemas.topics import TOPICS

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


def test_workers_with_different_plans_are_told_apart() -> None:
    mine = plan_folder.digest(plan_folder.load(SHOP))
    silent = (0, {"error": "gone"})

    def found(*plans: str) -> list[str]:
        answers = {f"http://w{number}": (200, {"plan": plan}) for number, plan in enumerate(plans)}
        return [each.found for each in _plans({**answers, "http://dead": silent}, SHOP)]

    assert found(mine, mine) == found() == []
    assert found(mine, "other") == [f"workers differ: {mine} on http://w0; other on http://w1"]
    assert found("other") == [f"{SHOP} is {mine}; workers have other on http://w0"]

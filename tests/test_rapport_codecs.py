"""Every compression goes through worker and sink; one that cannot be read is named with its package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import aiokafka.codec
import kafka.codec
import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from conftest import Rapport
from rapport.demo.broker import Broker
from rapport.demo.cluster import published
from rapport.demo.processes import LocalCluster, answers, end
from rapport_shell import ENVIRONMENT
from schemas.topics import OUTPUTS, TOPICS
from stream.kafka.clients import admin
from stream.kafka.cluster import Cluster

CODECS = ("gzip", "snappy", "lz4", "zstd")
WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from rapport.__main__ import main
sys.exit(main())
"""


def until(true: Callable[[], object], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.2)


@pytest.fixture(autouse=True)
def _named(prefix: str, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("RAPPORT_PARTITIONS", "1")
    monkeypatch.setenv("RAPPORT_BROKERS", broker.address)


def compress(cluster: Cluster, codec: str, *names: str) -> None:
    """The brokers compress what comes from now on."""
    with admin(cluster) as client:
        client.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, cluster.topic(name), {"compression.type": codec})
                for name in names or TOPICS
            ]
        )


def test_every_codec_goes_through_worker_and_sink_and_comes_back_from_the_changelog(
    broker: Broker, prefix: str, rapport: Rapport, tmp_path: Path
) -> None:
    """The texts are large: clients differ in what they do with a batch of more than a megabyte."""
    target = Cluster((broker.address,), tmp_path, prefix=prefix)
    with LocalCluster(tmp_path, address=broker.address, prefix=prefix) as cluster:
        cluster.environment["RAPPORT_PARTITIONS"] = "1"
        cluster.run("topics", "topics", "create", "--brokers", broker.address)
        cluster.start("worker-1", "worker")
        cluster.start("sink", "sink")
        for number, codec in enumerate(CODECS, 1):
            compress(target, codec)
            file = tmp_path / f"{codec}.ndjson"
            lines = [
                b'{"type":"track","event":"%s","userId":"u-%s-%d","messageId":"%s-%d","properties":{"text":"%s"}}'
                % (codec.encode(), codec.encode(), each, codec.encode(), each, b"a text " * 700)
                for each in range(400)
            ]
            file.write_bytes(b"\n".join(lines))
            assert rapport("replay", file, "--to", "kafka", "--json").json["sent"] == len(lines)
            query = "SELECT count(*) AS n FROM fct_event WHERE length(properties->>'text') = 4900"
            rows = [{"n": 400 * number}]
            until(lambda rows=rows, query=query: published(cluster.sink_data, query) == rows)
        end(cluster.take("worker-1"))
        shutil.rmtree(tmp_path / "worker-1")
        cluster.start("worker-1", "worker")
        until(lambda: answers(cluster.urls["worker-1"] + "/ready"))
        for codec in CODECS:
            asked = ("profile", f"user_id:u-{codec}-399", "--from", "kafka", "--json")
            assert rapport(*asked).json["event_count"] == 1


def test_what_cannot_be_read_is_named_with_its_package(
    broker: Broker, prefix: str, rapport: Rapport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the topic's setting, and by records that a producer has compressed itself."""
    target = Cluster((broker.address,), tmp_path, prefix=prefix)
    assert rapport("topics", "create").code == 0
    compress(target, "zstd", "internal", "facts")
    for topic, codec in (("events", "lz4"), ("decisions", "snappy")):
        with closing(KafkaProducer(bootstrap_servers=broker.address, compression_type=codec)) as producer:
            producer.send(prefix + topic, b"any " * 100).get(10)
    assert rapport("topics", "check").code == 0
    monkeypatch.setattr(aiokafka.codec, "cramjam", None)
    for lacking in ("lz4", "snappy", "zstd"):
        monkeypatch.setattr(kafka.codec, lacking, None)
    checked = rapport("topics", "check", "--json").json["differences"]
    found = {each["topic"].removeprefix(prefix): each["found"] for each in checked if each["what"] == "compression"}
    assert found == {
        "events": "lz4, which needs cramjam",
        "internal": "zstd, which needs cramjam",
        "facts": "zstd, which needs zstandard",
        "decisions": "snappy, which needs python-snappy",
    }
    told = rapport("topics", "check")
    assert (told.code, "pip install" in told.err) == (1, True)
    examined = rapport("doctor", "--data", tmp_path, "--json").json["findings"]
    named = {each["found"] for each in examined if each["check"] == "topics" and each["verdict"] == "fail"}
    assert f"{prefix}events: compression is lz4, which needs cramjam, should be one that can be read here" in named


@pytest.mark.parametrize(
    ("process", "lacking", "topic", "code"),
    [("worker", "cramjam", "events", 70), ("sink", "lz4,lz4.frame", OUTPUTS[1], 1)],
)
def test_who_meets_what_it_cannot_read_says_what_to_install(
    process: str, lacking: str, topic: str, code: int, broker: Broker, prefix: str, rapport: Rapport, tmp_path: Path
) -> None:
    assert rapport("topics", "create").code == 0
    (tmp_path / "log").touch()
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-c", WITHOUT, lacking, process, "--data", str(tmp_path / "data")]
        environment = {**ENVIRONMENT, "RAPPORT_TOPIC_PREFIX": prefix, "RAPPORT_PARTITIONS": "1"}
        environment["RAPPORT_BROKERS"] = broker.address
        running = subprocess.Popen(command, stderr=log, stdout=log, env=environment)
    word = "is open" if process == "worker" else f"{topic}-0 from offset"
    until(lambda: word in (tmp_path / "log").read_text())
    with closing(KafkaProducer(bootstrap_servers=broker.address, compression_type="lz4")) as producer:
        producer.send(prefix + topic, b"any " * 100).get(10)
    assert running.wait(60) == code
    said = (tmp_path / "log").read_text()
    assert "records are compressed by lz4, which this installation cannot read: install" in said
    assert "Traceback" not in said

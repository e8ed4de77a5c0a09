"""`--to kafka` on a real broker: everything read is in `events` once, in its home's partition, whatever happens."""

from __future__ import annotations

import gzip
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from conftest import Rapport
from rapport.demo.broker import Broker
from rapport_shell import ENVIRONMENT, start
from schemas.errors import ClusterError
from schemas.keys import partition_of
from schemas.messages import Event, Rejected, SourceMark
from sinks_topics import until
from stream.core.intake import Intake
from stream.core.plan import Plan
from stream.kafka import producer as feeds
from stream.kafka import topics as topology
from stream.kafka.cluster import Cluster
from stream.kafka.producer import feeding
from stream_topics import opened, records

PARTITIONS = 3
NOW = 1_767_225_600_000_000


@pytest.fixture
def cluster(broker: Broker, prefix: str, tmp_path: Path) -> Cluster:
    made = Cluster((broker.address,), tmp_path, prefix=prefix, partitions=PARTITIONS)
    topology.create(made)
    return made


@pytest.fixture
def own(own_broker: Broker, tmp_path: Path) -> Cluster:
    made = Cluster((own_broker.address,), tmp_path, partitions=PARTITIONS)
    topology.create(made)
    return made


@pytest.fixture
def settings(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The cluster, named to a command of this process by variables, and the same for one of its own."""
    named = {"RAPPORT_BROKERS": cluster.brokers[0], "RAPPORT_TOPIC_PREFIX": cluster.prefix}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    return {**ENVIRONMENT, **named}


def track(number: int, **properties: Any) -> dict[str, Any]:
    user = f"u{number % 97}"
    return {"type": "track", "event": "Seen", "userId": user, "messageId": f"m{number}", "properties": properties}


def outcomes(count: int, size: int = 200) -> Iterator[Event | Rejected]:
    lines = (orjson.dumps(track(number, pad="x" * size)) for number in range(count))
    return Intake(Plan(), lambda: NOW).lines(lines, "test")


def envelopes_in(cluster: Cluster) -> list[Any]:
    """The records of `events` that hold inputs, and no mark of a source."""
    found = records(cluster.brokers[0], cluster.topic("events"))
    return [record for record in found if not isinstance(opened(record.value)[0], SourceMark)]


def marks_in(cluster: Cluster) -> list[bool]:
    """Whether each mark in `events` says that its source is open, or done."""
    found = records(cluster.brokers[0], cluster.topic("events"))
    return [each.open for record in found for each in opened(record.value) if isinstance(each, SourceMark)]


def taken(cluster: Cluster) -> list[Event | Rejected]:
    """Everything in `events`, partition by partition; each envelope is as it should be."""
    found: list[Any] = []
    for record in envelopes_in(cluster):
        messages: list[Any] = opened(record.value)
        assert len(messages) == 1 or (len(messages) <= 50 and len(record.value) <= 64 * 1024)
        for each in messages:
            key = each.identifiers[0] if isinstance(each, Event) else each.rejection_id
            assert partition_of(key, PARTITIONS) == record.partition
        found += messages
    return found


def test_a_file_arrives_whole_and_in_order(rapport: Rapport, ndjson, cluster, settings):
    large = track(1_001, pad="x" * 30_000), track(1_002, pad="x" * 30_000), track(1_003, pad="x" * 30_000)
    file = ndjson("in.ndjson", *(track(number) for number in range(1_000)), b"no event", *large, b"no event", b"{}")
    done = rapport("replay", file, "--to", "kafka", "--json")
    report = done.json
    assert (done.code, report["read"], report["sent"], report["rejected"]) == (0, 1_006, 1_003, 3)
    assert (report["topic"], report["partitions"]) == (cluster.topic("events"), PARTITIONS)
    found = taken(cluster)
    assert report["records"] == len(envelopes_in(cluster))
    events = [each for each in found if isinstance(each, Event)]
    assert Counter(each.message_id for each in events) == Counter(f"m{n}" for n in [*range(1_000), 1_001, 1_002, 1_003])
    for user in {each.identifiers[0] for each in events}:
        numbers = [int(each.message_id[1:]) for each in events if each.identifiers[0] == user]
        assert numbers == sorted(numbers)
    refused = [each for each in found if isinstance(each, Rejected)]
    assert sorted(each.payload for each in refused) == [b"no event", b"no event", b"{}"]
    assert len({each.rejection_id for each in refused}) == 3


def test_again_sends_the_same_under_the_same_ids(rapport: Rapport, ndjson, cluster, settings):
    file = ndjson("in.ndjson", track(1), b"no event")
    for _ in range(2):
        assert rapport("replay", file, "--to", "kafka").code == 0
    ids = Counter(each.message_id if isinstance(each, Event) else each.rejection_id for each in taken(cluster))
    assert sorted(ids.values()) == [2, 2]


def test_a_table_goes_the_same_way(rapport: Rapport, tmp_path, cluster, settings):
    (tmp_path / "orders.csv").write_text("who,what\nann,1\nbob,2\n")
    sql = tmp_path / "orders.sql"
    sql.write_text(
        "SELECT 'track' AS type, 'Order' AS event, who AS \"userId\", 'o' || what AS \"messageId\" FROM source"
    )
    done = rapport("import", tmp_path / "orders.csv", "--sql", sql, "--to", "kafka")
    assert done.code == 0
    assert "2" in done.text
    assert {each.message_id for each in taken(cluster) if isinstance(each, Event)} == {"o1", "o2"}


def test_strict_tells_refusals_by_the_exit_code(rapport: Rapport, ndjson, cluster, settings):
    file = ndjson("in.ndjson", track(1), b"no event")
    assert rapport("replay", file, "--to", "kafka", "--strict").code == 1
    assert len(taken(cluster)) == 2


def test_a_silent_pipe_holds_nothing_back_and_ctrl_c_ends_it_cleanly(cluster, settings):
    pipe = subprocess.PIPE
    with start("replay", "-", "--to", "kafka", "--json", env=settings, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(orjson.dumps(track(1)) + b"\n")
        process.stdin.flush()
        until(lambda: len(taken(cluster)) == 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert orjson.loads(process.stdout.read())["sent"] == 1
        told = process.stderr.read().decode()
    assert told.startswith("Stopped. What was read is sent"), told


def test_only_a_run_that_came_to_its_end_says_that_it_is_done(cluster, settings, tmp_path, rapport: Rapport, ndjson):
    """What the rest of a damaged file holds may still be sent: timers of the past wait for it until the mark lapses."""
    whole = ndjson("whole.ndjson.gz")
    whole.write_bytes(gzip.compress(b"\n".join(orjson.dumps(track(number)) for number in range(10_000))))
    assert rapport("replay", whole, "--to", "kafka").code == 0
    assert Counter(marks_in(cluster)) == {True: PARTITIONS, False: PARTITIONS}
    damaged = ndjson("damaged.ndjson.gz")
    damaged.write_bytes(whole.read_bytes()[:-9])
    assert rapport("replay", damaged, "--to", "kafka").code == 1
    assert Counter(marks_in(cluster)) == {True: 2 * PARTITIONS, False: PARTITIONS}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "kafka"], "RAPPORT_BROKERS is missing: name the brokers there or with --brokers HOST:PORT,..."),
        (["--to", "redis"], "--to redis: write kafka, or leave it out to use a data folder"),
        (["--brokers", "a:1"], "--brokers names where to send it; add --to kafka"),
        (
            ["--to", "kafka", "--brokers", "a:1", "--clock", "events"],
            "A cluster lives on wall time: --clock and --until do not go with --to kafka",
        ),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(rapport: Rapport, ndjson, arguments, told):
    ended = rapport("replay", ndjson("in.ndjson", track(1)), *arguments)
    assert (ended.code, ended.out, ended.err) == (2, b"", f"rapport: {told}\n")


def test_without_topics_nothing_is_read(rapport: Rapport, ndjson, broker: Broker, prefix, monkeypatch):
    monkeypatch.setenv("RAPPORT_TOPIC_PREFIX", prefix)
    ended = rapport("replay", ndjson("in.ndjson", track(1)), "--to", "kafka", "--brokers", broker.address)
    told = f"rapport: There is no topic {prefix}events: rapport topics create makes it.\n"
    assert (ended.code, ended.err) == (1, told)


def test_a_killed_broker_loses_and_doubles_nothing_and_memory_stays_bounded(own: Cluster, own_broker, monkeypatch):
    monkeypatch.setattr(feeds, "MAX_IN_FLIGHT_BYTES", 200_000)
    unacknowledged: list[int] = []
    with feeding(own) as feed:
        original = feed._send

        def looked_at(partition: int) -> None:
            original(partition)
            unacknowledged.append(feed._in_flight)

        monkeypatch.setattr(feed, "_send", looked_at)
        events = outcomes(20_000)
        feed.send(next(events) for _ in range(5_000))
        own_broker.kill()
        rest = threading.Thread(target=lambda: (feed.send(events), feed.finish()))
        rest.start()
        until(lambda: unacknowledged[-1] > 130_000)
        own_broker.restart()
        rest.join(60)
        assert not rest.is_alive()
        assert (feed.sent, feed.rejected) == (20_000, 0)
    assert max(unacknowledged) <= 200_000
    found = Counter(each.message_id for each in taken(own) if isinstance(each, Event))
    assert found == Counter(f"m{number}" for number in range(20_000))


def test_brokers_that_stay_away_end_the_run_with_a_sentence(own: Cluster, own_broker, monkeypatch):
    monkeypatch.setattr(feeds, "DELIVERY_TIMEOUT", 2)
    with feeding(own) as feed:
        feed.send(outcomes(100))
        feed.finish()
        own_broker.kill()
        feed.send(outcomes(100))
        with pytest.raises(ClusterError, match="have acknowledged nothing for 2 s: look after"):
            feed.finish()


def test_topics_take_the_largest_refusal(cluster):
    """What is refused may be larger than an event: its original travels whole, as text."""
    payload = b'{"type":"track","properties":"' + b"x" * 480_000
    with feeding(cluster) as feed:
        feed.send(Intake(Plan(), lambda: NOW).lines([payload], "test"))
        feed.finish()
    (refused,) = taken(cluster)
    assert isinstance(refused, Rejected)

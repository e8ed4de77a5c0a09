"""Sinks on a real broker: every committed output in the lake once, whoever reads it and wherever it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import duckdb
import orjson
import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import CommitFailedError

from rapport.demo.broker import Broker
from rapport_shell import ENVIRONMENT, RAPPORT
from schemas.errors import ClusterError, DataFolderError
from schemas.keys import partition_of
from schemas.messages import Event
from sinks.columns.rows import record_batch
from sinks.kafka import group
from sinks.kafka.consumer import Consumer
from sinks.lake import compaction, locks, manifest, parquet, views
from sinks.lake.chain import Chain
from sinks.lake.locks import Lock
from sinks.marts import schedule
from sinks.marts.publisher import publish
from sinks.marts.schedule import PublishSchedule
from sinks_samples import event, merge, rejected, rule_decision, trigger
from sinks_topics import LANES, WAIT_TIMEOUT, Lanes, caught_up, ends, make_topics, reached, until
from stream.embedded.store import LAKE, PUBLISHED
from stream_parity import differences
from stream_scenarios import files, load, played, published

Names = Mapping[str, str]


@pytest.fixture
def names(broker: Broker, prefix: str) -> Names:
    return make_topics(broker.address, prefix)


@pytest.fixture
def lanes(broker: Broker, prefix: str, names: Names) -> Iterator[Lanes]:
    with closing(Lanes(broker.address, prefix)) as made:
        yield made


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def a_consumer(broker: Broker, names: Names, lake: Path) -> Consumer:
    return Consumer(lake, names, names["facts"] + "-group", {"bootstrap_servers": broker.address})


def facts(first: int, count: int) -> list[Event]:
    return [event("user_id:1", message_id=f"m{n:05}") for n in range(first, first + count)]


def drain(reader: Consumer, lake: Path, broker: Broker, names: Names) -> None:
    """Until everything committed so far is in the lake."""
    wanted = ends(broker.address, names)

    def turn() -> None:
        reader.turn(0.05)
        reader.flush()

    until(lambda: caught_up(lake, wanted), turn)


def read_on(broker: Broker, names: Names, lake: Path) -> None:
    """Until something stops it."""
    with a_consumer(broker, names, lake) as reader:
        until(lambda: False, lambda: reader.turn(0.05))


def stored(lake: Path, topic: str = "facts", column: str = "message_id") -> list[str]:
    found = [each for each in manifest.load_all(lake, topic) if each.files]
    return sorted(value for each in found for value in parquet.read(lake, topic, each.files)[column].to_pylist())


def ids(*ranges: tuple[int, int]) -> list[str]:
    return sorted(each.message_id for first, count in ranges for each in facts(first, count))


# --- what is read ---------------------------------------------------------------------------------------------------


def test_committed_outputs_of_every_topic_are_taken_and_aborted_ones_are_not(broker, names, lanes, lake):
    lanes.write("facts", 0, facts(0, 7), together=3)
    lanes.write("facts", 0, facts(100, 7), together=3, abort=True)
    lanes.write("facts", 1, facts(7, 2))
    lanes.write("triggers", 1, [trigger("t1", {"to": "ann"})])
    lanes.write("decisions", 0, [rule_decision("cart-1")])
    lanes.write("identity", 0, [merge(1, "user_id:1", "email:a", ["email:a"])])
    lanes.write("rejected", 1, [rejected(b"\xff")])
    with a_consumer(broker, names, lake) as reader:
        drain(reader, lake, broker, names)
        assert reader.tally.rows == {"facts": 9, "triggers": 1, "decisions": 1, "identity": 1, "rejected": 1}
    assert stored(lake) == ids((0, 9))
    assert stored(lake, "triggers", "trigger_id") == ["t1"]
    assert stored(lake, "rejected", "payload") == [b"\xff"]
    assert reached(lake)["facts", 0] == 3 + 1 + 3 + 1, "records and the markers behind them"


def test_an_open_transaction_is_waited_for(broker, names, lanes, prefix, lake):
    lanes.write("facts", 0, facts(0, 1))
    with closing(Lanes(broker.address, f"{prefix}open-", prefix)) as slow, a_consumer(broker, names, lake) as reader:
        finish = slow.begin("facts", 0, facts(1, 1))
        lanes.write("facts", 0, facts(2, 1))
        until(lambda: reader.tally.records >= 1, lambda: reader.turn(0.05))
        reader.turn(0.3)
        reader.flush()
        assert stored(lake) == ids((0, 1))
        finish()
        drain(reader, lake, broker, names)
    assert stored(lake) == ids((0, 3))


def test_the_next_sink_goes_on_where_the_lake_ends_whatever_the_group_says(broker, names, lanes, lake, tmp_path):
    lanes.write("facts", 0, facts(0, 5), together=2)
    with a_consumer(broker, names, lake) as reader:
        drain(reader, lake, broker, names)
    lanes.write("facts", 0, facts(5, 5), together=2)
    with a_consumer(broker, names, lake) as reader:
        drain(reader, lake, broker, names)
        assert reader.tally.records == 3
    assert stored(lake) == ids((0, 10))
    other = tmp_path / "another lake"
    with a_consumer(broker, names, other) as reader:
        drain(reader, other, broker, names)
    assert stored(other) == ids((0, 10))


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"{", "unexpected end"),
        (b"", "zero-length"),
        (None, "NoneType"),
        (b'{"v":1,"k":"wake","row":"x"}', "it holds a Wake"),
        (b'{"v":99,"k":"event"}', "Upgrade Rapport"),
        (b'{"v":1,"k":"trigger","trigger_id":{},"rule":1}', "version"),
    ],
)
def test_a_record_that_no_lane_wrote_stops_the_sink_and_is_named(broker, names, lanes, lake, record, why):
    lanes.write("facts", 1, facts(0, 3))
    lanes.raw("facts", 1, [record])
    with pytest.raises(ClusterError, match=rf"{names['facts']}, partition 1, offset 4: .*{why}"):
        read_on(broker, names, lake)
    assert reached(lake).get(("facts", 1), 0) <= 4


def test_what_expired_before_the_first_sink_is_said_and_what_expired_unread_stops_it(
    broker, names, lanes, lake, tmp_path, caplog
):
    lanes.write("facts", 0, facts(0, 4))
    with a_consumer(broker, names, lake) as reader:
        drain(reader, lake, broker, names)
    lanes.write("facts", 0, facts(4, 4))
    with closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
        admin.delete_records({TopicPartition(names["facts"], 0): 7})
    with pytest.raises(ClusterError, match="ends before offset 5, but the log now begins at 7"):
        read_on(broker, names, lake)
    fresh = tmp_path / "fresh"
    with a_consumer(broker, names, fresh) as reader:
        drain(reader, fresh, broker, names)
    assert stored(fresh) == ids((6, 2))
    assert manifest.load(fresh, "facts", 0).first_offset == 7
    assert "begins at offset 7" in caplog.text


def test_silence_that_only_markers_fill_is_no_loss(broker, names, lanes, lake):
    lanes.write("facts", 0, facts(0, 2))
    lanes.write("facts", 0, facts(9, 2), abort=True)
    with a_consumer(broker, names, lake) as reader:
        drain(reader, lake, broker, names)
    with closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
        admin.delete_records({TopicPartition(names["facts"], 0): 6})
    lanes.write("facts", 0, facts(2, 1))
    with a_consumer(broker, names, lake) as reader:
        drain(reader, lake, broker, names)
    assert stored(lake) == ids((0, 3))


def test_another_log_than_before_is_refused(broker, names, lanes, prefix, lake):
    lanes.write("facts", 0, facts(0, 9))
    with a_consumer(broker, names, lake) as reader:
        drain(reader, lake, broker, names)
    with closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
        admin.delete_records({TopicPartition(names["facts"], 0): -1})
    content = manifest.path_of(lake, "facts", 0)
    content.write_bytes(content.read_bytes().replace(b"[0,9,9]", b"[0,99,9]"))
    with pytest.raises(ClusterError, match="another log than before"):
        read_on(broker, names, lake)
    content.write_bytes(content.read_bytes().replace(names["facts"].encode(), b"other-facts"))
    with pytest.raises(DataFolderError, match="Kafka's other-facts"):
        read_on(broker, names, lake)


def test_missing_topics_are_named(broker, prefix, lake):
    missing = {topic: f"{prefix}not-{topic}" for topic in ("facts", "identity")}
    with pytest.raises(
        ClusterError, match=rf"lacks {prefix}not-facts, {prefix}not-identity. Run `rapport topics create`"
    ):
        a_consumer(broker, missing, lake)


# --- several sinks --------------------------------------------------------------------------------------------------


def test_two_sinks_share_the_partitions_and_each_row_is_there_once(broker, names, lanes, lake):
    with a_consumer(broker, names, lake) as one, a_consumer(broker, names, lake) as two:

        def turn() -> None:
            one.turn(0.02)
            two.turn(0.02)

        for n in range(10):
            lanes.write("facts", n % LANES, facts(10 * n, 10), together=3)
            turn()
        until(lambda: one.tally.assigned > 0 and two.tally.assigned > 0, turn)
        lanes.write("facts", 0, facts(100, 10))
        lanes.write("facts", 1, facts(110, 10))
        wanted = ends(broker.address, names)

        def work() -> None:
            turn()
            one.flush()
            two.flush()

        until(lambda: caught_up(lake, wanted), work)
        assert one.tally.assigned + two.tally.assigned == 4 * LANES + 1
    assert stored(lake) == ids((0, 120))


def test_a_partition_that_another_process_holds_is_waited_for(broker, names, lanes, lake):
    lanes.write("facts", 0, facts(0, 3))
    lanes.write("facts", 1, facts(3, 3))
    frozen = Lock(lake, locks.of_chain("facts", 0))
    assert frozen.acquire()
    with a_consumer(broker, names, lake) as reader:
        until(lambda: reader.tally.records >= 3, lambda: reader.turn(0.05))
        reader.turn(0.3)
        reader.flush()
        assert stored(lake) == ids((3, 3))
        assert reader.missing() == [f"{names['facts']}-0 is still held by another sink"]
        frozen.release()
        drain(reader, lake, broker, names)
        assert reader.missing() == []
    assert stored(lake) == ids((0, 6))


def test_a_chain_that_somebody_else_wrote_is_not_written(broker, names, lanes, lake):
    lanes.write("facts", 0, facts(0, 3))

    def intrude() -> None:
        with a_consumer(broker, names, lake) as reader:
            until(lambda: reader.tally.records >= 3, lambda: reader.turn(0.05))
            manifest.store(lake, manifest.Manifest("facts", 0, names["facts"], (manifest.Commit(0, 1, 0),)))

    with pytest.raises(DataFolderError, match="Another process has written facts, partition 0"):
        intrude()


# --- death ----------------------------------------------------------------------------------------------------------

DIES = """
    import os, signal, sys
    from sinks.lake import chain as lake, manifest, parquet
    def dying(real):
        def instead(*arguments, **options):
            if sys.argv[1] == "after":
                real(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
        return instead
    module, name = {"file": (parquet, "write"), "manifest": (manifest, "store")}[sys.argv[2]]
    setattr(module, name, dying(getattr(module, name)))
    from rapport.cli import main
    main(sys.argv[3:])
"""


@pytest.mark.parametrize("step", [("before", "file"), ("after", "file"), ("before", "manifest"), ("after", "manifest")])
def test_a_sink_that_is_killed_between_file_and_manifest_loses_and_doubles_nothing(
    broker, names, lanes, prefix, lake, step, monkeypatch
):
    lanes.write("facts", 0, facts(0, 50), together=7)
    lanes.write("facts", 1, facts(50, 50), together=7)
    environment = {**ENVIRONMENT, "RAPPORT_TOPIC_PREFIX": prefix}
    command = [sys.executable, "-c", textwrap.dedent(DIES), *step]
    command += ["sink", "--brokers", broker.address, "--data", str(lake.parent)]
    died = subprocess.run(command, env=environment, timeout=60, check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    monkeypatch.setattr(group, "SETTINGS", {**group.SETTINGS, "session_timeout_ms": 6_000})
    with Consumer(lake, names, f"{prefix}another", {"bootstrap_servers": broker.address}) as reader:
        drain(reader, lake, broker, names)
    assert stored(lake) == ids((0, 100))


def test_a_sink_that_the_group_forgot_joins_again(broker, names, lanes, lake):
    lanes.write("facts", 0, facts(0, 5), together=2)
    with a_consumer(broker, names, lake) as reader:
        until(lambda: reader.tally.records >= 3, lambda: reader.turn(0.05))
        lanes.write("facts", 0, facts(5, 5), together=2)
        for _ in range(group.REJOIN_AFTER_REFUSALS):
            reader._group._committed({}, CommitFailedError())
        drain(reader, lake, broker, names)
        assert reader.tally.records == 6, "what was taken and not yet written is read once"
    assert stored(lake) == ids((0, 10))


# --- the whole of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["refunds", "split", "merge-while-a-timer-runs", "email-cap"])
def test_what_a_sink_publishes_is_what_the_embedded_run_publishes(broker, names, lanes, lake, tmp_path, scenario):
    loaded = load(next(path for path in files() if path.stem == scenario))
    published(loaded, tmp_path / "embedded")
    outputs = played(loaded, LANES).outputs
    for number in range(LANES):
        mine = [each for each in outputs.facts if partition_of(each.identifiers[0], LANES) == number]
        lanes.write("facts", number, mine, together=3)
        lanes.write("triggers", number, outputs.triggers[number::LANES])
        lanes.write("decisions", number, outputs.decisions[number::LANES])
        lanes.write("rejected", number, outputs.rejected[number::LANES])
    lanes.write("identity", 0, outputs.identity)
    with a_consumer(broker, names, lake) as reader:
        drain(reader, lake, broker, names)
    publish(lake, tmp_path / PUBLISHED)
    assert differences(tmp_path / "embedded" / PUBLISHED, tmp_path / PUBLISHED) == []


@pytest.fixture
def running(lake: Path) -> Iterator[Callable[[str, str], subprocess.Popen[bytes]]]:
    """Starts `rapport sink` on the test's data folder: `running(brokers, prefix)`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(brokers: str, prefix: str) -> subprocess.Popen[bytes]:
        command = [*RAPPORT, "sink", "--brokers", brokers, "--data", str(lake.parent), "--json"]
        environment = {**ENVIRONMENT, "RAPPORT_TOPIC_PREFIX": prefix}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_command_publishes_by_itself_and_once_more_on_sigterm(broker, names, lanes, prefix, lake, running, rapport):
    data = lake.parent
    process = running(broker.address, prefix)
    lanes.write("facts", 0, facts(0, 3))
    until(lambda: rapport("query", "SELECT * FROM mart.fct_event", "--json", "--data", data).out.count(b"m0") == 3)
    lanes.write("facts", 1, facts(3, 3))
    wanted = ends(broker.address, names)
    until(lambda: caught_up(lake, wanted))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    report = orjson.loads(out)
    assert (report["records"], report["rows"]["facts"]) == (6, 6)
    assert [hit["event_count"] for hit in rapport("find", "1", "--json", "--data", data).json] == [6]
    refused = rapport("profile", "user_id:1", "--data", data)
    assert (refused.code, "rapport profile --from kafka" in refused.err) == (1, True)
    assert rapport("replay", os.devnull, "--data", data).code == 1
    assert rapport("compact", "--data", data).code == 0


def test_a_killed_sink_is_replaced_by_another_of_the_same_lake(broker, names, lanes, prefix, lake, running):
    first, second = running(broker.address, prefix), running(broker.address, prefix)
    until(lambda: len(list((lake / locks.FOLDER).glob("*.lock"))) == 4 * LANES + 2)
    lanes.write("facts", 0, facts(0, 300), together=2)
    lanes.write("facts", 1, facts(300, 300), together=2)
    until(lambda: any(lake.rglob("facts/*/*.parquet")))
    first.kill()
    lanes.write("facts", 0, facts(600, 300), together=2)
    lanes.write("facts", 1, facts(900, 300), together=2)
    wanted = ends(broker.address, names)
    until(lambda: caught_up(lake, wanted))
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert stored(lake) == ids((0, 1200))
    with duckdb.connect(str(lake.parent / PUBLISHED), read_only=True) as mart:
        assert mart.execute("SELECT count(*), count(DISTINCT message_id) FROM mart.fct_event").fetchall() == [
            (1200,) * 2
        ]


def test_a_sink_whose_folder_was_deleted_ends_and_makes_nothing_anew(broker, names, lanes, prefix, lake, running):
    process = running(broker.address, prefix)
    lanes.write("facts", 0, facts(0, 5))
    until(lambda: stored(lake) == ids((0, 5)))
    gone = lake.parent.rename(lake.parent.with_name("moved away"))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"was deleted or moved while it was written" in said, said.decode()
    assert b"Traceback" not in said
    assert not lake.parent.exists()
    assert stored(gone / lake.name) == ids((0, 5))


def test_one_publishes_and_the_others_leave_it_to_them(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "FINISH_TIMEOUT", WAIT_TIMEOUT)
    lake, target = tmp_path / "lake", tmp_path / PUBLISHED
    one, two = PublishSchedule(lake, target), PublishSchedule(lake, target)
    one.turn()
    until(lambda: one.published == 1, one.turn)
    two.turn()
    two.turn()
    chain = Chain(lake, "facts", 0, "facts")
    chain.append(0, 2, record_batch("facts", facts(0, 3)))
    chain.flush()
    one.finish()
    assert (one.published, two.published) == (2, 0)
    assert two.compactions() == {("facts", 0): 0}, "whoever compacts deletes by what another published"
    with duckdb.connect(str(target), read_only=True) as mart:
        assert mart.execute("SELECT count(*) FROM mart.fct_event").fetchall() == [(3,)]
    two.finish()
    assert two.published == 0, "nothing new"
    free = Lock(lake, locks.PUBLISHER)
    assert free.acquire()
    free.release()


def test_many_small_files_are_merged_and_deleted_when_nothing_can_read_them(tmp_path):
    lake, target = tmp_path / "lake", tmp_path / PUBLISHED
    chain = Chain(lake, "facts", 0, "facts")
    for n in range(6):
        chain.append(chain.expected, chain.expected + 2, record_batch("facts", facts(n, 1)))
        chain.flush()
    publish(lake, target)
    assert compaction.compact_round(chain, at_least=7) == 0
    assert compaction.compact_round(chain, at_least=6) == 6
    now = time.time()
    assert compaction.sweep(chain, 0, now + 1_000) == 0, "the publication of today still reads them"
    with duckdb.connect(str(target), read_only=True) as mart:
        publish(lake, target)
        assert compaction.sweep(chain, 1, now) == 0
        assert compaction.sweep(chain, 1, now + views.GRACE - 60) == 0
        assert mart.execute("SELECT count(*) FROM mart.fct_event").fetchall() == [(6,)]
    assert compaction.sweep(chain, 1, now + views.GRACE + 60) == 6
    assert stored(lake) == ids((0, 6))
    assert manifest.load(lake, "facts", 0).commits == ((0, 11, 6),)


def test_a_lake_that_sinks_hold_is_not_compacted_beside_them(tmp_path, rapport):
    chain = Chain(tmp_path / LAKE, "facts", 0, "facts")
    chain.append(0, 2, record_batch("facts", facts(0, 1)))
    chain.flush()
    held = Lock(tmp_path / LAKE, locks.of_chain("facts", 0))
    assert held.acquire()
    refused = rapport("compact", "--data", tmp_path)
    assert (refused.code, "Stop it first" in refused.err) == (1, True)
    held.release()
    assert rapport("compact", "--data", tmp_path).code == 0


def test_a_broker_that_dies_and_comes_back_costs_nothing(own_broker, lake, running):
    address = own_broker.address
    names = make_topics(address, "")
    with closing(Lanes(address, "")) as lanes:
        lanes.write("facts", 0, facts(0, 5))
        before = ends(address, names)
    process = running(address, "")
    until(lambda: caught_up(lake, before))
    own_broker.kill()
    time.sleep(2)
    own_broker.restart()
    with closing(Lanes(address, "")) as lanes:
        lanes.write("facts", 0, facts(5, 5))
        after = ends(address, names)
    until(lambda: caught_up(lake, after))
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=60), process.returncode)[1] == 0
    assert stored(lake) == ids((0, 10))

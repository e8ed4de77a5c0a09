"""Old files, read again after homes have forgotten them: nothing changes, and what is new counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from conftest import Rapport
from rapport.demo.broker import Broker
from rapport.replay import cluster as cluster_replay
from rapport.replay import local as local_replay
from rapport.replay.again import may_be_known
from schemas.instant import DAY, parse, render
from schemas.messages import Event
from sinks.lake.chain import Lake
from sinks.marts.known import KnownInput
from sinks_samples import event, rejected, take
from stream.core.intake import Intake
from stream.core.plan import Plan
from stream.kafka import topics as topology
from stream.kafka.cluster import Cluster
from stream.kafka.producer import feeding

Ndjson = Callable[..., Path]
START = parse("2026-03-02T10:00")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What wall time runs see."""
    now = [START]
    for module in (local_replay, cluster_replay):
        monkeypatch.setattr(module, "wall_now", lambda: now[0])
    return now


def track(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "userId": f"u{number}", **fields}


FORMS: tuple[dict[str, Any], ...] = (
    {},
    {"timestamp": "2026-03-01T10:00:00Z"},
    {"messageId": "m"},
    {"messageId": "m", "timestamp": "2026-03-01T10:00:00Z"},
    {"sentAt": "2026-03-01T10:00:00Z", "anonymousId": "a"},
)


@pytest.mark.parametrize("arguments", [(), ("--clock", "events")])
@pytest.mark.parametrize("days", [1, 8, 400])
def test_a_file_that_is_read_again_changes_nothing(
    rapport: Rapport, ndjson: Ndjson, tmp_path: Path, clock: list[int], days: int, arguments: tuple[str, ...]
) -> None:
    lines = [track(number, **form) for number, form in enumerate(FORMS)]
    file = ndjson("a.ndjson", *lines, lines[0], b"{broken", b"{broken")
    data = ("--data", tmp_path / "d", *arguments)
    first = rapport("replay", file, *data, "--json").json
    assert (first["applied"], first["duplicate"], first["rejected"]) == (6, 0, 2)
    clock[0] += days * DAY
    again = rapport("replay", file, *data, "--json").json
    assert (again["applied"], again["duplicate"], again["rejected"]) == (0, 6, 2)
    clock[0] += days * DAY
    longer = ndjson("a.ndjson", *lines, lines[0], lines[0], track(9), b"{broken", b"{broken", b"{broken")
    more = rapport("replay", longer, *data, "--json").json
    assert (more["applied"], more["duplicate"], more["rejected"]) == (2, 6, 3)
    counted = rapport(
        "query", "SELECT (SELECT count(*) FROM fct_event), (SELECT count(*) FROM fct_rejected)", *data[:2]
    )
    assert counted.text.split()[-2:] == ["8", "3"]


def test_a_table_that_is_imported_again_changes_nothing(
    rapport: Rapport, tmp_path: Path, clock: list[int], ndjson: Ndjson
) -> None:
    (tmp_path / "o.csv").write_text("who,what\nann,1\nann,1\nbob,2\n")
    sql = tmp_path / "o.sql"
    sql.write_text("SELECT 'track' AS type, 'Order' AS event, who AS user_id, {'n': what} AS properties FROM source")
    base = ("import", tmp_path / "o.csv", "--sql", sql, "--data", tmp_path / "d", "--json")
    assert rapport(*base).json["applied"] == 3
    clock[0] += 30 * DAY
    again = rapport(*base).json
    assert (again["applied"], again["duplicate"]) == (0, 3)


def test_a_message_id_counts_once_an_identifier_and_not_once_for_all(
    rapport: Rapport, ndjson: Ndjson, tmp_path: Path, clock: list[int]
) -> None:
    data = ("--data", tmp_path / "d", "--json")
    rapport("replay", ndjson("a.ndjson", track(1, messageId="m")), *data)
    clock[0] += 30 * DAY
    other = rapport("replay", ndjson("b.ndjson", track(2, messageId="m"), track(1, messageId="n")), *data).json
    assert (other["applied"], other["duplicate"]) == (2, 0)


def test_what_follows_a_damage_is_not_taken_and_what_came_before_is_still_known(
    rapport: Rapport, ndjson: Ndjson, tmp_path: Path, clock: list[int]
) -> None:
    import gzip

    whole = tmp_path / "a.ndjson.gz"
    content = b"".join(orjson.dumps(track(number)) + b"\n" for number in range(5_000))
    whole.write_bytes(gzip.compress(content))
    data = ("--data", tmp_path / "d", "--json")
    assert rapport("replay", whole, *data).json["applied"] == 5_000
    clock[0] += 30 * DAY
    whole.write_bytes(gzip.compress(content)[:-9])
    ended = rapport("replay", whole, *data)
    assert (ended.code, ended.json["applied"]) == (1, 0)
    assert ended.json["duplicate"] > 4_000


def test_lines_of_a_pipe_without_id_and_time_count_each_time(
    rapport: Rapport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import threading

    lines = [track(1), track(1), track(2, timestamp="2026-03-01T10:00:00Z"), track(3, messageId="m3")]
    applied = []
    for _ in range(2):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(b"\n".join(map(orjson.dumps, lines)),))
        writer.start()
        ended = rapport("replay", pipe, "--data", tmp_path / "d", "--json")
        writer.join()
        pipe.unlink()
        applied.append((ended.json["applied"], ended.json["duplicate"]))
        assert "2 lines of a pipe state neither an id nor a time: they count each time they are sent." in ended.err
    assert applied == [(4, 0), (2, 2)]


def test_an_event_that_no_step_can_take_does_not_make_known_ones_count(
    tmp_path: Path, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from stream.core.home import Home
    from stream.embedded.engine import Engine

    def events(*numbers: int) -> list[Event]:
        lines = [orjson.dumps(track(number)) for number in numbers]
        return [each for each in Intake(Plan(), lambda: clock[0]).lines(lines, "a") if isinstance(each, Event)]

    with Engine.open(tmp_path, Plan()) as engine:
        engine.take(events(1, 2))
    clock[0] += 30 * DAY
    real = Home.event

    def failing(home: Home, event: Event, now: int) -> None:
        real(home, event, now)
        if event.identifiers[0] == "user_id:u3":
            raise ValueError

    monkeypatch.setattr(Home, "event", failing)
    with Engine.open(tmp_path, Plan()) as engine:
        again = events(1, 2, 3)
        engine.remember(again[:2])
        engine.take(again)
        assert (engine.counts.applied, engine.counts.duplicate, engine.counts.rejected) == (0, 2, 1)


# --- what is looked up ----------------------------------------------------------------------------------------------


def judged(**fields: Any) -> bool:
    (each,) = Intake(Plan(), lambda: START).lines([orjson.dumps(track(1, **fields))], "a")
    return may_be_known(each, 7 * DAY)


def test_only_what_states_an_old_time_or_none_is_looked_up() -> None:
    assert judged()
    assert judged(timestamp=None)
    assert judged(timestamp="2026-02-20T10:00:00Z")
    assert not judged(timestamp="2026-02-24T10:00:00Z")
    assert not judged(sentAt="2026-03-02T09:59:00Z")
    assert may_be_known(next(Intake(Plan(), lambda: START).lines([b"{broken"], "a")), 7 * DAY)


def test_a_lake_tells_what_it_took_before_an_instant(tmp_path: Path) -> None:
    old = [event("user_id:1", message_id=f"m{n}", when="2026-03-02T10:00:00Z") for n in range(3)]
    new = [event("user_id:1", message_id="m9", when="2026-03-09T10:00:00Z")]
    lake = Lake(tmp_path)
    take(lake, "facts", 0, [*old, *new])
    refusal = rejected(b"{")._replace(rejection_id="r-1")
    take(lake, "rejected", 0, [refusal])
    lake.flush()
    others = [each._replace(identifiers=("user_id:2",)) for each in old]
    with KnownInput(tmp_path, parse("2026-03-05")) as known:
        assert known.count == 4
        assert known.among([*others, *old, *new]) == old
        assert known.among([refusal._replace(rejection_id="r-2"), refusal]) == [refusal]
    with KnownInput(tmp_path, parse("2026-03-01")) as known:
        assert (known.count, known.among(old)) == (0, [])
    with KnownInput(tmp_path / "nowhere", START) as known:
        assert known.count == 0


# --- into kafka -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster((broker.address,), tmp_path, prefix=prefix, partitions=2)
    topology.create(made)
    monkeypatch.setenv("RAPPORT_TOPIC_PREFIX", prefix)
    return made


def test_into_a_cluster_that_is_old_goes_nothing_that_may_have_been_taken(
    rapport: Rapport, ndjson: Ndjson, tmp_path: Path, clock: list[int], cluster: Cluster
) -> None:
    import time

    clock[0] = time.time_ns() // 1_000
    file = ndjson("a.ndjson", track(1), track(2), b"{broken")
    base = ("replay", file, "--to", "kafka", "--brokers", cluster.brokers[0], "--json")
    assert rapport(*base).json["sent"] == 2, "everything the topic ever held is younger than the memory"
    tables = tmp_path / "tables"
    known = Intake(Plan(), lambda: clock[0])
    lake = Lake(tables / "lake")
    taken = list(known.lines([orjson.dumps(track(1)), b"{broken"], "a.ndjson"))
    take(lake, "facts", 0, taken[:1])
    take(lake, "rejected", 0, taken[1:])
    lake.flush()
    clock[0] += 30 * DAY
    young = orjson.dumps(track(7, timestamp=render(clock[0] - DAY)))
    mixed = ndjson("mixed.ndjson", *[young] * 5_000, track(1))
    for path, sent in ((base[1], 0), (mixed, 4_000)):
        refused = rapport("replay", path, *base[2:])
        assert refused.code == 2
        assert "--tables DIR" in refused.err
        assert refused.json["sent"] == sent, "whole batches before the doubtful one are in the log"
    looked_up = rapport(*base, "--tables", tables).json
    assert (looked_up["read"], looked_up["sent"], looked_up["rejected"], looked_up["known"]) == (3, 1, 0, 2)
    assert rapport(*base, "--count-again").json["sent"] == 2


def test_a_log_tells_whether_all_of_it_came_after_an_instant(cluster: Cluster) -> None:
    import time

    now = time.time_ns() // 1_000
    assert topology.begins_after(cluster, "events", now)
    with feeding(cluster) as feed:
        feed.send(Intake(Plan(), lambda: now).lines([orjson.dumps(track(1))], "a"))
        feed.finish()
    assert topology.begins_after(cluster, "events", now - DAY)
    assert not topology.begins_after(cluster, "events", now + DAY)


def test_what_is_for_a_cluster_is_wrong_usage_without_one(rapport: Rapport, ndjson: Ndjson) -> None:
    ended = rapport("replay", ndjson("a.ndjson", track(1)), "--count-again")
    assert (ended.code, ended.err) == (2, "rapport: --tables and --count-again are for a cluster: add --to kafka\n")

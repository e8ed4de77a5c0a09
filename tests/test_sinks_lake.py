"""The Parquet lake: each output exactly once, whatever is replayed and wherever writing stops."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import DataFolderError, FolderTooNew, FolderUnwritable
from schemas.instant import DAY
from schemas.messages import Dropped, Event
from sinks.columns.rows import LAYOUTS, packed, record_batch, unpacked
from sinks.lake import durable, manifest, parquet, views
from sinks.lake.chain import Chain, Lake
from sinks.marts.publisher import topic_view
from sinks_samples import event, full_disk, merge, rejected, rule_decision, take, trigger


def numbered(first: int, count: int) -> list[Event]:
    """Events m<first>..., spread over three months."""
    return [
        event("user_id:1", message_id=f"m{n}", when=f"2026-0{3 + n % 3}-02T10:00:00Z")
        for n in range(first, first + count)
    ]


def stored_ids(root: Path) -> list[str]:
    lake = Lake(root)
    return sorted(parquet.read(root, "facts", lake.chains["facts"].manifest.files)["message_id"].to_pylist())


def expected_ids(count: int) -> list[str]:
    return sorted(f"m{n}" for n in range(count))


# --- rows -----------------------------------------------------------------------------------------------------------


def test_a_fact_becomes_one_row():
    fact = event(
        "email:a:b@c.de",
        "anonymous_id:x",
        message_id="m1",
        type_="page",
        channel=None,
        dropped=(Dropped("user_id", "null", "blocked"),),
        name="page",
        properties={"price": 19.99, "ü": "\x00"},
        traits=None,
        groupId=7,
    )
    more = {"name": "Home", "category": "Shop", "sentAt": "2026-03-02T10:00:07.777Z", "channel": "server", "x": None}
    fact = fact._replace(body={**fact.body, **more}, sequence=3)
    moment = datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert record_batch("facts", [fact]).to_pylist() == [
        {
            "message_id": "m1",
            "type": "page",
            "name": "Home",
            "channel": None,
            "occurred_at": moment,
            "received_at": moment.replace(microsecond=5),
            "identifier_type": "email",
            "identifier_value": "a:b@c.de",
            "identifiers": ["email:a:b@c.de", "anonymous_id:x"],
            "properties": '{"price":19.99,"ü":"\\u0000"}',
            "traits": None,
            "context": None,
            "group_id": "7",
            "previous_id": None,
            "source": "test",
            "dropped": '[{"type":"user_id","value":"null","reason":"blocked"}]',
            "sequence": 3,
            "category": "Shop",
            "sent_at": moment.replace(second=7, microsecond=777_000),
            "original_timestamp": None,
            "extra": '{"channel":"server","x":null}',
        }
    ]


@pytest.mark.parametrize(
    ("type_", "body", "extra"),
    [
        ("track", {"event": "A", "properties": {}, "context": {}}, None),
        ("track", {"event": "A", "name": "mine", "category": "c"}, '{"name":"mine"}'),
        ("page", {"name": "Home", "event": "A"}, '{"event":"A"}'),
        ("page", {"name": ["Home"], "category": 7}, '{"name":["Home"],"category":7}'),
        (
            "identify",
            {"integrations": {"All": False}, "receivedAt": "2026-03-02T10:00:00Z", "category": None},
            '{"integrations":{"All":false},"receivedAt":"2026-03-02T10:00:00Z"}',
        ),
    ],
)
def test_fields_that_have_no_column_are_kept_together(type_, body, extra):
    fact = event("user_id:1", message_id="m", type_=type_)._replace(body={"type": type_, "userId": "1", **body})
    assert record_batch("facts", [fact])["extra"].to_pylist() == [extra]


def test_rows_of_an_earlier_schema_are_read_beside_todays(tmp_path):
    """In the lake, in a store's log, by compaction and by the published views."""
    facts = numbered(0, 4)
    earlier = record_batch("facts", facts[:2]).drop_columns(list(LAYOUTS["facts"].since_2))
    _, stored = packed([earlier])
    assert unpacked("facts", stored).to_pylist() == record_batch("facts", facts[:2]).to_pylist()
    path = tmp_path / "old.parquet"
    pq.write_table(pa.Table.from_batches([earlier]), path)
    old = manifest.DataFile("old.parquet", None, 0, 1, 2, 1, 1)
    take(lake := Lake(tmp_path / "new"), "facts", 0, facts[2:])
    lake.flush()
    new = [replace(file, path=f"new/{file.path}") for file in lake.chains["facts"].manifest.files]
    assert parquet.read(tmp_path, "facts", [old, *new]).num_rows == 4
    views.link(tmp_path, [old, *new])
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA raw; " + topic_view("facts", tmp_path, [old, *new]))
        assert connection.execute("SELECT message_id, sequence, sent_at FROM raw.facts ORDER BY ALL").fetchall() == [
            (f"m{number}", 0, None) for number in range(4)
        ]


def test_files_of_a_manifest_without_schemas_are_of_the_first(tmp_path):
    lake = Lake(tmp_path)
    take(lake, "facts", 0, numbered(0, 1))
    lake.flush()
    path = manifest.path_of(tmp_path, "facts", 0)
    told = orjson.loads(path.read_bytes())
    assert [file.pop("schema") for file in told["files"]] == [2]
    path.write_bytes(orjson.dumps({**told, "schema": 1}))
    assert [file.schema for file in manifest.load(tmp_path, "facts", 0).files] == [1]


@pytest.mark.parametrize(
    ("type_", "body", "name"),
    [
        ("track", {"name": "mine"}, "Product Viewed"),
        ("page", {"name": "Home"}, "Home"),
        ("screen", {"name": ["Home"]}, None),
        ("identify", {"name": "Home"}, None),
    ],
)
def test_only_tracks_pages_and_screens_have_a_name(type_, body, name):
    fact = event("user_id:1", message_id="m", type_=type_)._replace(body=body)
    assert record_batch("facts", [fact])["name"].to_pylist() == [name]


@pytest.mark.parametrize(
    ("topic", "output"),
    [
        ("triggers", trigger("t1", {"to": "ü"})),
        ("decisions", rule_decision("cart-1")),
        ("identity", merge(1, "user_id:1", "anonymous_id:a", ["anonymous_id:a"])),
        ("rejected", rejected(b"\xff\x00{")),
    ],
)
def test_other_outputs_keep_every_field(topic, output):
    [row] = record_batch(topic, [output]).to_pylist()
    expected = {
        name: tuple(row[name]) if isinstance(value, tuple) else value for name, value in output._asdict().items()
    }
    if topic == "triggers":
        expected["payload"] = '{"to":"ü"}'
    assert list(row) == list(output._fields)
    assert [row[name] for name in row if not name.endswith("_at")] == [
        list(value) if isinstance(value, tuple) else value
        for name, value in expected.items()
        if not name.endswith("_at")
    ]


@pytest.mark.parametrize("topic", LAYOUTS)
def test_no_outputs_make_no_rows(topic):
    assert record_batch(topic, []).num_rows == 0


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_flush_writes_one_file_a_month_named_by_its_offsets(tmp_path):
    lake = Lake(tmp_path, partition=3)
    take(lake, "facts", 0, numbered(0, 6))
    take(lake, "identity", 0, [merge(1, "user_id:1", "anonymous_id:a", ["anonymous_id:a"])])
    assert lake.chains["facts"].next_offset == 0
    assert lake.flush() == {"facts": 6, "triggers": 0, "decisions": 0, "identity": 1, "rejected": 0}
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet")) == [
        "facts/event_month=2026-03/part-3-0-5.parquet",
        "facts/event_month=2026-04/part-3-0-5.parquet",
        "facts/event_month=2026-05/part-3-0-5.parquet",
        "identity/event_month=2026-03/part-3-0-0.parquet",
    ]
    assert Lake(tmp_path, partition=3).chains["facts"].next_offset == 6
    assert Lake(tmp_path, partition=2).chains["facts"].next_offset == 0


def test_files_are_zstd_and_annotate_json(tmp_path):
    lake = Lake(tmp_path)
    take(lake, "facts", 0, numbered(0, 1))
    lake.flush()
    file = pq.ParquetFile(tmp_path / lake.chains["facts"].manifest.files[0].path)
    columns = {file.schema.column(n).path: file.schema.column(n).logical_type.type for n in range(len(file.schema))}
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert (columns["occurred_at"], columns["properties"], columns["name"]) == ("TIMESTAMP", "JSON", "STRING")


def test_every_row_of_a_months_folder_is_of_that_month_in_order_of_time(tmp_path):
    lake = Lake(tmp_path)
    times = {"late": "2026-03-31T23:59:59.999999Z", "early": "2026-04-01T00:00:00Z", "first": "2026-03-01T00:00:00Z"}
    take(lake, "facts", 0, [event("user_id:1", message_id=id_, when=when) for id_, when in times.items()])
    lake.flush()
    files = lake.chains["facts"].manifest.files
    assert {file.month: parquet.read(tmp_path, "facts", [file])["message_id"].to_pylist() for file in files} == {
        "2026-03": ["first", "late"],
        "2026-04": ["early"],
    }


def test_a_flush_over_very_many_months_writes_one_mixed_file_in_order_of_time(tmp_path):
    many = [
        event("user_id:1", message_id=f"m{n}")._replace(occurred_at=n * 31 * DAY)
        for n in reversed(range(parquet.MAX_FLUSH_MONTHS + 1))
    ]
    lake = Lake(tmp_path)
    take(lake, "facts", 0, many)
    lake.flush()
    [file] = lake.chains["facts"].manifest.files
    assert file.month is None
    assert file.path.startswith(f"facts/{parquet.MIXED}/")
    assert parquet.read(tmp_path, "facts", [file])["message_id"].to_pylist() == [f"m{n}" for n in range(len(many))]


def test_flushing_nothing_writes_nothing(tmp_path):
    assert Lake(tmp_path / "lake").flush()["facts"] == 0
    assert not (tmp_path / "lake").exists()


# --- exactly once ---------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.booleans()), max_size=25))
def test_replays_from_anywhere_store_each_output_once(tmp_path_factory, steps):
    """Steps: (how far back a sender starts, how many it sends, whether the process flushes and restarts after)."""
    root = tmp_path_factory.mktemp("lake")
    lake, taken = Lake(root), 0
    for back, count, restart in steps:
        first = max(0, taken - back)
        take(lake, "facts", first, numbered(first, count))
        taken = max(taken, first + count)
        assert lake.buffered == taken - lake.chains["facts"].next_offset
        if restart:
            assert lake.flush()["facts"] == taken
            lake = Lake(root)
    lake.flush()
    if taken:
        assert stored_ids(root) == expected_ids(taken)


def test_missing_outputs_are_noticed(tmp_path):
    lake = Lake(tmp_path)
    take(lake, "facts", 0, numbered(0, 2))
    with pytest.raises(DataFolderError, match="before offset 2, but 3 comes next"):
        take(lake, "facts", 3, numbered(3, 1))


class Stop(Exception):
    """The power goes off."""


def stopping_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException | None = None) -> None:
    """Lets the n-th durable step of the process, counted from 0, never happen."""
    done = iter(range(1_000_000))

    def stopped(real):
        def instead(*args, **kwargs):
            if next(done) == step:
                raise error or Stop
            return real(*args, **kwargs)

        return instead

    monkeypatch.setattr(os, "fsync", stopped(os.fsync))
    monkeypatch.setattr(Path, "replace", stopped(Path.replace))
    monkeypatch.setattr(Path, "unlink", stopped(Path.unlink))
    monkeypatch.setattr(Path, "mkdir", stopped(Path.mkdir))
    monkeypatch.setattr(Path, "symlink_to", stopped(Path.symlink_to))


def test_a_crash_at_any_step_of_a_flush_loses_and_doubles_nothing(tmp_path):
    finished, step = False, 0
    while not finished:
        root = tmp_path / str(step)
        lake = Lake(root)
        take(lake, "facts", 0, numbered(0, 4))
        lake.flush()
        take(lake, "facts", 4, numbered(4, 4))
        with pytest.MonkeyPatch.context() as patch:
            stopping_at(patch, step)
            try:
                lake.flush()
                finished = True
            except Stop:
                pass
        again = Lake(root)
        assert again.chains["facts"].next_offset in (4, 8)
        take(again, "facts", 2, numbered(2, 8))
        again.flush()
        assert stored_ids(root) == expected_ids(10)
        step += 1
    assert step > 8


def test_a_flush_that_failed_at_any_step_can_be_tried_again(tmp_path):
    finished, step = False, 0
    while not finished:
        lake = Lake(tmp_path / str(step))
        take(lake, "facts", 0, numbered(0, 4))
        with pytest.MonkeyPatch.context() as patch:
            stopping_at(patch, step, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
            try:
                lake.flush()
                finished = True
            except FolderUnwritable:
                assert lake.chains["facts"].next_offset == 0
        take(lake, "facts", 4, numbered(4, 2))
        assert lake.flush()["facts"] == 6
        assert stored_ids(lake.root) == expected_ids(6)
        step += 1


# --- bad days -------------------------------------------------------------------------------------------------------


def test_a_full_disk_keeps_what_was_taken_for_a_later_flush(tmp_path):
    lake = Lake(tmp_path)
    take(lake, "facts", 0, numbered(0, 200))
    with full_disk(500), pytest.raises(FolderUnwritable, match="is full"):
        lake.flush()
    assert Lake(tmp_path).chains["facts"].next_offset == 0
    assert lake.flush()["facts"] == 200
    assert stored_ids(tmp_path) == expected_ids(200)


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (errno.EROFS, FolderUnwritable, "write permission"),
        (errno.EACCES, FolderUnwritable, "write permission"),
        (errno.ENOSPC, FolderUnwritable, "is full"),
        (errno.EIO, DataFolderError, "Check the disk"),
    ],
)
def test_refusals_of_the_file_system_are_told_plainly(tmp_path, code, kind, says):
    with pytest.raises(kind, match=says), durable.as_folder_error(tmp_path):
        raise OSError(code, os.strerror(code))


FILE = {"path": "facts/x.parquet", "month": None, "first": 0, "last": 3, "rows": 4, "bytes": 1}


def manifest_fields(root: Path) -> dict:
    return orjson.loads(manifest.path_of(root, "facts", 0).read_bytes())


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"version": 4}, FolderTooNew, "Upgrade Rapport"),
        ({"schema": 99}, FolderTooNew, "Upgrade Rapport"),
        ({"commits": [[0, 1, 2], [3, 3, 1]]}, DataFolderError, "offset 2 should follow, 3 does"),
        ({"commits": [[1, 3, 3]]}, DataFolderError, "offset 0 should follow"),
        ({"commits": [[0, 3, 5]]}, DataFolderError, "5 rows for offsets 0 to 3"),
        ({"commits": [[0, 7, 8]]}, DataFolderError, "hold 4 rows of 8"),
        ({"commits": [[0, 7]]}, DataFolderError, "hold 4 rows of 8"),
        ({"commits": [[0, 1, 2]]}, DataFolderError, "offsets that were never taken"),
        ({"commits": [[0, 3, 2, 1]]}, DataFolderError, "damaged"),
        ({"files": []}, DataFolderError, "hold 0 rows of 4"),
        ({"files": [FILE, FILE]}, DataFolderError, "a file twice"),
        ({"source": "facts"}, DataFolderError, "another data folder"),
        ({"topic": "triggers"}, DataFolderError, "damaged"),
        ({"files": 3}, DataFolderError, "damaged"),
        ({"files": [{**FILE, "path": "../../etc/passwd"}]}, DataFolderError, "outside the lake"),
        ({"files": [{**FILE, "path": "/etc/passwd"}]}, DataFolderError, "outside the lake"),
        ({"files": [{**FILE, "month": "2026-13"}]}, DataFolderError, "damaged"),
    ],
)
def test_a_manifest_that_cannot_be_true_is_refused(tmp_path, change, kind, says):
    lake = Lake(tmp_path)
    take(lake, "facts", 0, numbered(0, 2))
    lake.flush()
    take(lake, "facts", 2, numbered(2, 2))
    lake.flush()
    manifest.path_of(tmp_path, "facts", 0).write_bytes(orjson.dumps({**manifest_fields(tmp_path), **change}))
    with pytest.raises(kind, match=says):
        Lake(tmp_path)


@given(st.binary(max_size=40))
def test_any_bytes_as_a_manifest_are_refused_in_one_sentence(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("lake")
    durable.replace_file(manifest.path_of(root, "facts", 0), content)
    with pytest.raises(DataFolderError):
        Lake(root)


def by_day(root: Path) -> None:
    """Lays the facts out as version 2 did, a file a date; every file must be of one date, the second of its month."""
    fields = manifest_fields(root)
    for file in fields["files"]:
        month = file.pop("month")
        file["date"] = month and f"{month}-02"
        path = file["path"].replace("event_month=", "event_date=").replace(f"{month}/", f"{month}-02/")
        (root / path).parent.mkdir(exist_ok=True)
        (root / file["path"]).rename(root / path)
        file["path"] = path
    manifest.path_of(root, "facts", 0).write_bytes(orjson.dumps({**fields, "version": 2}))


def test_a_lake_of_the_version_before_goes_on(tmp_path):
    lake = Lake(tmp_path)
    take(lake, "facts", 0, numbered(0, 4))
    lake.flush()
    by_day(tmp_path)
    fields = {**manifest_fields(tmp_path), "version": 1, "commits": [[0, 1], [2, 3]]}
    del fields["source"]
    manifest.path_of(tmp_path, "facts", 0).write_bytes(orjson.dumps(fields))
    lake = Lake(tmp_path)
    assert {file.month for file in lake.chains["facts"].manifest.files} == {"2026-03", "2026-04", "2026-05"}
    take(lake, "facts", 4, numbered(4, 2))
    assert lake.flush()["facts"] == 6
    assert lake.chains["facts"].manifest.commits == ((0, 1, 2), (2, 3, 2), (4, 5, 2))
    assert stored_ids(tmp_path) == expected_ids(6)


# --- chains of a Kafka log ------------------------------------------------------------------------------------------

RECORDS = [(0, 3), (1, 1), (4, 2), (5, 5), (9, 1)]
"""Offsets and how many rows each record holds; between them lie markers and what was aborted."""
END = 12


def of_kafka(root: Path) -> Chain:
    return Chain(root, "facts", 0, "facts")


def feed(chain: Chain, flush_after: int = 2) -> None:
    """What a consumer does: reads on from where the chain ends, and flushes now and then."""
    for number, (offset, rows) in enumerate(RECORDS):
        if offset >= chain.expected:
            first = sum(before for _, before in RECORDS[:number])
            chain.append(chain.expected, offset + 1, record_batch("facts", numbered(first, rows)))
            if number % flush_after == 0:
                chain.flush()
    if chain.expected < END:
        chain.append(chain.expected, END, record_batch("facts", []))
    chain.flush()


def kafka_ids(root: Path) -> list[str]:
    return sorted(parquet.read(root, "facts", of_kafka(root).manifest.files)["message_id"].to_pylist())


def test_a_chain_of_kafka_counts_rows_and_offsets_apart(tmp_path):
    feed(of_kafka(tmp_path))
    found = of_kafka(tmp_path).manifest
    assert found.commits == ((0, 0, 3), (1, 4, 3), (5, 9, 6), (10, 11, 0))
    assert kafka_ids(tmp_path) == expected_ids(12)


def test_a_crash_at_any_step_loses_and_doubles_no_record(tmp_path):
    finished, step = False, 0
    while not finished:
        root = tmp_path / str(step)
        with pytest.MonkeyPatch.context() as patch:
            stopping_at(patch, step)
            try:
                feed(of_kafka(root))
                finished = True
            except Stop:
                pass
        feed(of_kafka(root), flush_after=3)
        assert kafka_ids(root) == expected_ids(12)
        assert of_kafka(root).next_offset == END
        step += 1
    assert step > 30


def test_records_of_kafka_that_come_again_or_too_late_are_refused(tmp_path):
    chain = of_kafka(tmp_path)
    chain.append(0, 2, record_batch("facts", numbered(0, 5)))
    with pytest.raises(DataFolderError, match="already reach offset 2; 1 came again"):
        chain.append(1, 3, record_batch("facts", numbered(5, 5)))
    with pytest.raises(DataFolderError, match="before offset 2, but 3 comes next"):
        chain.append(3, 4, record_batch("facts", numbered(5, 5)))
    chain.flush()
    assert kafka_ids(tmp_path) == expected_ids(5)


def test_a_chain_may_begin_above_0_once(tmp_path):
    chain = of_kafka(tmp_path)
    chain.start_at(7)
    chain.append(7, 9, record_batch("facts", numbered(0, 3)))
    chain.flush()
    assert (of_kafka(tmp_path).manifest.first_offset, of_kafka(tmp_path).next_offset) == (7, 9)
    with pytest.raises(DataFolderError, match="begun already"):
        of_kafka(tmp_path).start_at(20)


def test_a_lake_is_filled_from_one_source(tmp_path):
    feed(of_kafka(tmp_path))
    with pytest.raises(DataFolderError, match="holds facts of Kafka's facts"):
        Lake(tmp_path)
    with pytest.raises(DataFolderError, match="another data folder"):
        Chain(tmp_path, "facts", 0, "staging-facts")


def test_a_chain_that_another_process_extended_is_left_alone(tmp_path):
    late, early = of_kafka(tmp_path), of_kafka(tmp_path)
    for chain in (early, late):
        chain.append(0, 2, record_batch("facts", numbered(0, 3)))
    early.flush()
    with pytest.raises(DataFolderError, match="Another process has written facts"):
        late.flush()
    assert kafka_ids(tmp_path) == expected_ids(3)

"""Publishing swaps in a whole file; people's SQL reads it and nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import duckdb
import pytest

from schemas.errors import DataFolderError, FolderBusy, FolderUnwritable, QueryError
from schemas.events import Channel
from sinks.lake.chain import Lake
from sinks.marts import publisher
from sinks.marts.publisher import is_current, publish
from sinks.marts.query import Table, describe, published, run
from sinks_samples import event, full_disk, merge, take


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "it's a lake")
    take(lake, "facts", 0, [event("user_id:1", "email:a@b.c", message_id=f"m{n}") for n in range(3)])
    take(lake, "identity", 0, [merge(1, "user_id:1", "email:a@b.c", ["email:a@b.c"])])
    lake.flush()
    return lake


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "rapport.duckdb"


def asked(target: Path, lake: Lake, sql: str) -> list[dict]:
    with published(target, lake.root) as connection:
        return [row for batch in run(connection, sql).batches for row in batch.to_pylist()]


def described(target: Path, lake_root: Path) -> Sequence[Table]:
    with published(target, lake_root) as connection:
        return describe(connection)


# --- publishing -----------------------------------------------------------------------------------------------------


def test_an_empty_lake_publishes_every_table_empty(tmp_path, target):
    report = publish(tmp_path / "nothing", target)
    assert (report.events, report.customers, report.orders) == (0, 0, 0)
    with published(target, tmp_path / "nothing") as connection:
        for table in describe(connection):
            assert connection.execute(f"SELECT count(*) FROM {table.name}").fetchall() == [(0,)]


def test_an_empty_and_a_full_lake_have_the_same_columns(tmp_path, target, lake):
    publish(tmp_path / "nothing", tmp_path / "empty.duckdb")
    publish(lake.root, target)
    assert described(target, lake.root) == described(tmp_path / "empty.duckdb", lake.root)


def test_publishing_reports_and_leaves_only_the_file(tmp_path, target, lake):
    report = publish(lake.root, target)
    assert (report.events, report.customers, report.orders) == (3, 1, 0)
    assert report.bytes == target.stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {"it's a lake", "rapport.duckdb", "rapport.duckdb.lock"}


def test_a_reader_keeps_its_file_while_a_new_one_comes(target, lake):
    publish(lake.root, target)
    with duckdb.connect(str(target), read_only=True) as reader:
        take(lake, "facts", 3, [event("user_id:2", message_id="m3")])
        lake.flush()
        publish(lake.root, target)
        assert reader.execute("SELECT count(*) FROM mart.dim_customer").fetchall() == [(1,)]
    assert asked(target, lake, "SELECT count(*) AS n FROM dim_customer") == [{"n": "2"}]


def test_is_current_notices_new_rows_a_moved_folder_and_damage(tmp_path, target, lake):
    assert not is_current(lake.root, target)
    publish(lake.root, target)
    assert is_current(lake.root, target)
    shutil.copytree(lake.root, tmp_path / "copy")
    assert not is_current(tmp_path / "copy", target)
    take(lake, "facts", 3, [event("user_id:2", message_id="m3")])
    lake.flush()
    assert not is_current(lake.root, target)
    target.write_bytes(b"not a database")
    assert not is_current(lake.root, target)
    publish(lake.root, target)
    assert is_current(lake.root, target)


def test_files_that_no_manifest_names_are_not_published(target, lake):
    named = lake.root / lake.chains["facts"].manifest.files[0].path
    shutil.copy(named, named.with_name("part-0-3-5.parquet"))
    assert publish(lake.root, target).events == 3


def test_a_missing_parquet_file_is_told_and_the_old_publication_stays(target, lake):
    publish(lake.root, target)
    before = target.read_bytes()
    (lake.root / lake.chains["facts"].manifest.files[0].path).unlink()
    with pytest.raises(DataFolderError, match="cannot be published"):
        publish(lake.root, target)
    assert target.read_bytes() == before


def test_two_publishers_do_not_meet(target, lake):
    with Path(f"{target}.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FolderBusy, match="Another process is publishing"):
            publish(lake.root, target)


def test_a_full_disk_is_told_plainly_and_the_old_publication_stays(target, lake):
    publish(lake.root, target)
    before = target.read_bytes()
    with full_disk(100_000), pytest.raises(FolderUnwritable, match="is full"):
        publish(lake.root, target)
    assert target.read_bytes() == before
    assert publish(lake.root, target).events == 3


def test_a_read_only_folder_is_told_plainly(target, lake, monkeypatch):
    def refuse(path: Path) -> None:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(publisher.durable, "sync_file", refuse)
    with pytest.raises(FolderUnwritable, match="write permission"):
        publish(lake.root, target)


# --- asking ---------------------------------------------------------------------------------------------------------


def test_views_over_parquet_can_be_asked(target, lake):
    publish(lake.root, target)
    assert asked(target, lake, "SELECT message_id FROM fct_event ORDER BY ALL") == [
        {"message_id": "m0"},
        {"message_id": "m1"},
        {"message_id": "m2"},
    ]
    assert asked(target, lake, "FROM raw.tracks SELECT count(*) AS n") == [{"n": "3"}]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{outside}/x.csv'",
        "COPY (SELECT 1) TO '{lake}/x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/x.csv'",
        "ATTACH '{outside}/y.duckdb'",
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('{lake}/../secret')",
        "FROM read_blob('{outside}/secret')",
        "FROM glob('/etc/*')",
        "FROM '{outside}/secret.parquet'",
        "SET lock_configuration = false",
        "SELECT 1; SELECT 2",
        "DELETE FROM raw.publication",
        "WITH gone AS (DELETE FROM raw.publication RETURNING *) FROM gone",
        "INSTALL httpfs",
        "LOAD httpfs",
        "FROM read_csv('https://example.com/x.csv')",
        "",
        "SELEC 1",
        "SELECT error('halfway') FROM range(3)",
        "FROM no_such_table",
        "FROM connection",
        "FROM statements",
    ],
)
def test_anything_else_is_refused(tmp_path, target, lake, sql):
    publish(lake.root, target)
    (tmp_path / "secret").write_text("do not read")
    places = {"lake": str(lake.root).replace("'", "''"), "outside": str(tmp_path)}
    with pytest.raises(QueryError):
        asked(target, lake, sql.format(**places))
    assert not list(tmp_path.rglob("x.csv"))
    assert not (tmp_path / "y.duckdb").exists()


def test_nothing_published_yet_is_told_plainly(target, tmp_path):
    with pytest.raises(QueryError, match="rapport publish"):
        described(target, tmp_path)
    target.write_bytes(b"not a database")
    with pytest.raises(QueryError, match="cannot be opened"):
        described(target, tmp_path)


def test_every_table_and_column_says_what_it_is(target, lake):
    publish(lake.root, target)
    tables = described(target, lake.root)
    assert tables[0].name == "mart.bridge_identity"
    assert {table.name for table in tables} >= {
        f"mart.{name}"
        for name in (
            "fct_event",
            "dim_customer",
            "fct_order",
            "fct_trigger",
            "fct_rejected",
            "fct_identity_decision",
            "fct_rule_decision",
        )
    }
    silent = [table.name for table in tables if not table.comment]
    silent += [f"{table.name}.{column.name}" for table in tables for column in table.columns if not column.comment]
    assert silent == []


def test_a_channel_column_names_every_channel_there_is(target, lake):
    publish(lake.root, target)
    tables = described(target, lake.root)
    comments = {column.comment for table in tables for column in table.columns if column.name == "channel"}
    assert comments == {
        f"context.channel: {', '.join(get_args(Channel))}; else NULL",
        "Channel of the newest placement; where it is unplaced, of the newest event",
    }

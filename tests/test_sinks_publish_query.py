"""Publishing swaps in a whole file; people's SQL reads it and nothing else."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import duckdb
import pytest

from schemas.errors import DataFolderError, FolderBusy, FolderUnwritable, QueryError
from schemas.events import Channel
from sinks.lake.chain import Lake
from sinks.marts import generations, publisher
from sinks.marts.publisher import is_current, publish
from sinks.marts.query import Table, describe, published, run
from sinks_samples import event, full_disk, merge, take
from test_sinks_lake import Stop, stopping_at


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
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.duckdb*")} == {
        "rapport.duckdb",
        "rapport.duckdb.lock",
        "published/rapport-1/rapport.duckdb",
    }
    assert report.bytes > (tmp_path / "rapport.duckdb").lstat().st_size


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


# --- other programs ---------------------------------------------------------------------------------------------------

WRITES = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE mine AS SELECT 1 AS x; DELETE FROM mart.dim_customer")
print("written", flush=True)
sys.stdin.read()
connection.execute("INSERT INTO mine VALUES (2)")
os._exit(9)
"""


def add_customer(lake: Lake) -> None:
    first = lake.chains["facts"].next_offset
    take(lake, "facts", first, [event(f"user_id:{first}", message_id=f"m{first}")])
    lake.flush()


@pytest.mark.parametrize("dies", ["before", "after"])
def test_somebody_elses_writing_reaches_no_later_publication(target, lake, dies):
    """A program writes to the published file and dies without a word: before the next publication, or after it."""
    publish(lake.root, target)
    add_customer(lake)
    with subprocess.Popen(
        [sys.executable, "-c", WRITES, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"written\n"
        with pytest.raises(QueryError, match="lock"):
            described(target, lake.root)
        if dies == "before":
            other.communicate(b"")
            assert generations.logs(target)
        publish(lake.root, target)
        if dies == "after":
            other.communicate(b"")
    assert is_current(lake.root, target)
    assert generations.logs(target) == []
    assert asked(target, lake, "SELECT count(*) AS n FROM dim_customer") == [{"n": "2"}]
    assert "main.mine" not in {table.name for table in described(target, lake.root)}
    publish(lake.root, target)
    publish(lake.root, target)
    assert not [path for path in generations.folder(target).rglob("*") if "wal" in path.name]


def test_an_earlier_tools_log_beside_the_link_is_removed_with_the_next_publication(target, lake):
    """DuckDB before 1.5 keeps it there; a later one would take it for the new file's own."""
    publish(lake.root, target)
    log = target.with_name("rapport.duckdb.wal")
    log.write_bytes(b"of the old file")
    publish(lake.root, target)
    assert not log.exists()


def test_old_publications_go_but_the_one_before(target, lake):
    for _ in range(4):
        publish(lake.root, target)
    held = sorted(path.name for path in generations.folder(target).iterdir())
    assert held == ["rapport-3", "rapport-4"]
    assert target.resolve().parent.name == held[-1]


def test_a_plain_file_of_an_earlier_release_or_of_a_copy_is_replaced(target, lake):
    publish(lake.root, target)
    content = target.read_bytes()
    target.unlink()
    target.write_bytes(content)
    assert is_current(lake.root, target)
    publish(lake.root, target)
    assert target.is_symlink()
    assert is_current(lake.root, target)


def test_a_crash_at_any_step_of_a_publication_leaves_the_old_or_the_new_one(tmp_path, target, lake, monkeypatch):
    publish(lake.root, target)
    add_customer(lake)
    publish(lake.root, newer := tmp_path / "newer.duckdb")

    def build(staged, *_):
        shutil.copy(newer, staged)
        return 0, 0, 0

    monkeypatch.setattr(publisher, "_build", build)
    finished, step, seen = False, 0, set()
    while not finished:
        crashed = tmp_path / str(step) / target.name
        shutil.copytree(tmp_path / "published", crashed.parent / "published")
        crashed.symlink_to("published/rapport-1/rapport.duckdb")
        log = crashed.with_name("rapport.duckdb.wal")
        log.write_bytes(b"of somebody who wrote to the old one")
        with pytest.MonkeyPatch.context() as patch:
            stopping_at(patch, step)
            try:
                publish(lake.root, crashed)
                finished = True
            except Stop:
                pass
        seen.add(shown := is_current(lake.root, crashed))
        assert not (shown and log.exists())
        log.unlink(missing_ok=True)
        assert asked(crashed, lake, "SELECT count(*) AS n FROM dim_customer") == [{"n": "2" if shown else "1"}]
        publish(lake.root, crashed)
        assert is_current(lake.root, crashed)
        step += 1
    assert seen == {False, True}
    assert step > 8


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

"""Compaction: fewer files, the same rows, at every moment, for whoever reads the lake."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import duckdb
import pytest

from schemas.errors import DataFolderError
from schemas.instant import DAY
from schemas.messages import Event
from sinks.lake import compaction, manifest, parquet, views
from sinks.lake.chain import Lake
from sinks.marts.publisher import publish
from sinks_samples import event, take
from test_sinks_lake import Stop, by_day, expected_ids, numbered, stopping_at, stored_ids

LATER = time.time() + 10 * views.GRACE


def flushed(root: Path, *batches: list[Event]) -> Lake:
    lake = Lake(root)
    for outputs in batches:
        take(lake, "facts", lake.chains["facts"].next_offset, outputs)
        lake.flush()
    return lake


def small(root: Path) -> Lake:
    """Three months in three flushes of three."""
    return flushed(root, numbered(0, 3), numbered(3, 3), numbered(6, 3))


def over(months: int, first: int = 0) -> list[Event]:
    """An event a month, backwards."""
    return [
        event("user_id:1", message_id=f"m{first + n}")._replace(occurred_at=(months - n) * 31 * DAY)
        for n in range(months)
    ]


def compact(lake: Lake, now: float = 0) -> compaction.CompactionReport:
    return compaction.compact([*lake.chains.values()], now)


def parquet_files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.parquet")}


def read_by_others(root: Path) -> list[str]:
    """What tools that know nothing but the folder find, by month, as docs/data.md shows it."""
    files = f"read_parquet('{root}/facts/*/*.parquet', hive_partitioning = true)"
    wrong = f"SELECT count(*) FROM {files} WHERE event_month <> strftime(timezone('UTC', occurred_at), '%Y-%m')"
    if not any(root.glob("facts/event_date=*")):
        assert duckdb.sql(wrong).fetchall() == [(0,)]
    sql = f"SELECT message_id FROM '{root}/facts/**/*.parquet' ORDER BY ALL"
    return [id_ for (id_,) in duckdb.sql(sql).fetchall()]


def test_small_files_of_a_month_become_one_in_order_of_time(tmp_path):
    late = event("user_id:1", message_id="m1", when="2026-03-12T12:00:00Z")
    early = event("user_id:1", message_id="m0", when="2026-03-02T01:00:00Z")
    lake = flushed(tmp_path, [late], [early])
    report = compact(lake)
    assert (report.rows_rewritten, report.files_before, report.files_after, report.deleted) == (2, 2, 1, 0)
    [file] = Lake(tmp_path).chains["facts"].manifest.files
    assert file.path == "facts/event_month=2026-03/part-0-0-1-c1.parquet"
    assert parquet.read(tmp_path, "facts", [file])["message_id"].to_pylist() == ["m0", "m1"]


def test_a_compacted_lake_goes_on(tmp_path):
    lake = small(tmp_path)
    compact(lake)
    assert lake.chains["facts"].manifest.commits == ((0, 8, 9),)
    take(lake, "facts", 7, numbered(7, 5))
    assert lake.flush()["facts"] == 12
    compact(lake)
    assert len(lake.chains["facts"].manifest.files) == 3
    assert stored_ids(tmp_path) == read_by_others(tmp_path) == expected_ids(12)


def test_nothing_to_do_changes_nothing(tmp_path):
    lake = flushed(tmp_path, numbered(0, 3))
    before = parquet_files(tmp_path)
    assert compact(lake).rows_rewritten == 0
    assert parquet_files(tmp_path) == before


def test_there_are_never_more_files_than_before(tmp_path):
    """Whatever months the flushes met, and where mixed files meet others."""
    dice = random.Random(seed := random.randrange(2**32))
    for run in range(12):
        root, next_ = tmp_path / str(run), 0
        batches = []
        for _ in range(dice.randrange(1, 9)):
            batches.append(over(dice.choice([1, 2, 3, 14, 20]), next_))
            next_ += len(batches[-1])
        lake = flushed(root, *batches)
        if dice.random() < 0.5:
            by_day(root)
            lake = Lake(root)
        before = len(parquet_files(root))
        report = compact(lake)
        assert report.files_after == len(parquet_files(root)) <= before, seed
        assert stored_ids(root) == read_by_others(root) == expected_ids(next_), seed
        assert compact(lake).rows_rewritten == 0, seed


def test_mixed_files_are_parted_by_month_where_that_makes_no_more_files(tmp_path):
    months = parquet.MAX_FLUSH_MONTHS + 1
    lake = flushed(tmp_path, *(over(months, n * months) for n in range(months)))
    assert {file.month for file in lake.chains["facts"].manifest.files} == {None}
    compact(lake)
    files = lake.chains["facts"].manifest.files
    assert len(files) == len({file.month for file in files} - {None}) == months
    few = flushed(tmp_path / "few", over(months), over(months, months))
    compact(few)
    assert [file.month for file in few.chains["facts"].manifest.files] == [None]
    assert stored_ids(tmp_path / "few") == expected_ids(2 * months)


def test_rounds_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "ROUND_ROWS", 4)
    lake = flushed(tmp_path, *([event("user_id:1", message_id=f"m{n}")] for n in range(11)))
    compact(lake)
    assert lake.chains["facts"].manifest.compactions > 1
    assert max(file.rows for file in lake.chains["facts"].manifest.files) <= 4
    assert stored_ids(tmp_path) == expected_ids(11)


def test_a_lake_by_day_is_read_and_moved(tmp_path):
    """As versions 1 and 2 of the manifest laid it out; a file that is alone in its month moves, too."""
    small(tmp_path / "lake")
    by_day(tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    publish(lake.root, tmp_path / "rapport.duckdb")
    with duckdb.connect(str(tmp_path / "rapport.duckdb"), read_only=True) as reader:
        counted = "SELECT count(DISTINCT message_id) FROM mart.fct_event"
        assert reader.execute(counted).fetchall() == [(9,)]
        take(lake, "facts", 9, [event("user_id:1", message_id="m9", when="2026-07-02")])
        lake.flush()
        assert read_by_others(lake.root) == expected_ids(10)
        report = compact(lake)
        assert reader.execute(counted).fetchall() == [(9,)]
    assert (report.files_before, report.files_after) == (10, 4)
    assert not any("event_date" in path for path in parquet_files(lake.root))
    assert stored_ids(lake.root) == read_by_others(lake.root) == expected_ids(10)
    assert [*lake.root.glob("facts/event_date*")] == []


def test_replaced_files_are_out_of_sight_at_once_and_read_on_for_a_while(tmp_path):
    lake = small(tmp_path / "lake")
    old = parquet_files(tmp_path)
    publish(lake.root, target := tmp_path / "rapport.duckdb")
    counted = "SELECT count(DISTINCT message_id) FROM mart.fct_event"
    with duckdb.connect(str(target), read_only=True) as reader:
        assert compact(lake).files_after == 3
        assert read_by_others(lake.root) == expected_ids(9)
        assert not old & parquet_files(tmp_path)
        assert reader.execute(counted).fetchall() == [(9,)]
        publish(lake.root, target)
        assert compact(lake, time.time()).deleted == 0
        assert compact(lake, time.time() + views.GRACE - 60).deleted == 0
        assert reader.execute(counted).fetchall() == [(9,)]
    assert compact(lake, time.time() + views.GRACE + 60).deleted == len(old) == 9
    assert {path.is_symlink() for path in (lake.root / views.FOLDER).iterdir()} == {True}
    with duckdb.connect(str(target), read_only=True) as reader:
        assert reader.execute(counted).fetchall() == [(9,)]


def test_a_copy_that_followed_links_is_read_and_kept(tmp_path):
    small(tmp_path / "lake")
    publish(tmp_path / "lake", tmp_path / "rapport.duckdb")
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    lake = Lake(tmp_path / "copy")
    assert {path.is_symlink() for path in (lake.root / views.FOLDER).iterdir()} == {False}
    assert compaction.sweep(lake.chains["facts"], 0, LATER) == 0
    assert publish(lake.root, tmp_path / "copy.duckdb").events == 9
    compact(lake, LATER)
    assert compact(lake, LATER).deleted == 9


def test_a_publication_under_way_reads_what_is_replaced_meanwhile(tmp_path, monkeypatch):
    """A sink compacts while another thread, or another sink, publishes: files that no view has named before."""
    lake = small(tmp_path / "lake")
    link = views.link

    def compact_first(*arguments):
        compact(lake)
        link(*arguments)

    monkeypatch.setattr(views, "link", compact_first)
    assert publish(lake.root, tmp_path / "rapport.duckdb").events == 9


def test_what_a_crash_left_is_put_away(tmp_path):
    """Of this partition only; what was published once may be read still."""
    lake = flushed(tmp_path / "lake", numbered(0, 1))
    publish(lake.root, tmp_path / "rapport.duckdb")
    folder = lake.root / lake.chains["facts"].manifest.files[0].path
    stray, published, foreign, notes = (
        folder.with_name(name)
        for name in ("part-0-1-9.parquet", "part-0-2-3.parquet", "part-1-0-9.parquet", "notes.txt")
    )
    staged = lake.root / parquet.STAGING / "facts~event_month=2026-03~part-0-1-9.parquet"
    for path in (stray, published, foreign, notes, staged):
        path.write_bytes(b"half a file")
    name = views.name(str(published.relative_to(lake.root)))
    (lake.root / name).symlink_to(f"../{published.relative_to(lake.root)}")
    assert stored_ids(lake.root) == ["m0"]
    assert compact(lake).deleted == 2
    assert [path.exists() for path in (stray, published, staged, foreign, notes)] == [False, False, False, True, True]
    assert (lake.root / name).read_bytes() == b"half a file"
    assert not (lake.root / name).is_symlink()
    foreign.unlink()
    assert read_by_others(lake.root) == ["m0"]


def test_a_crash_at_any_step_leaves_the_lake_whole_for_everybody(tmp_path):
    """Of a lake by day and by month, published and compacted before; readers of any publication read on."""
    finished, step = False, 0
    while not finished:
        root, target = tmp_path / str(step) / "lake", tmp_path / str(step) / "rapport.duckdb"
        small(root)
        by_day(root)
        lake = Lake(root)
        views.link(root, lake.chains["facts"].manifest.files)
        take(lake, "facts", 9, numbered(9, 3))
        lake.flush()
        views.link(root, lake.chains["facts"].manifest.files)
        seen = [root / views.name(file.path) for file in lake.chains["facts"].manifest.files]
        with pytest.MonkeyPatch.context() as patch:
            stopping_at(patch, step)
            try:
                compact(lake)
                finished = True
            except Stop:
                pass
        assert all(path.exists() for path in seen), "a view that was opened before"
        again = Lake(root)
        assert stored_ids(root) == expected_ids(12)
        compaction.tidy(again.chains["facts"])
        assert read_by_others(root) == expected_ids(12)
        compact(again)
        compact(again, LATER)
        assert stored_ids(root) == read_by_others(root) == expected_ids(12)
        assert parquet_files(root) == {file.path for file in again.chains["facts"].manifest.files}
        assert not any(path.exists() for path in seen)
        if finished or step % 7 == 0:
            assert publish(root, target).events == 12
        step += 1
    assert step > 15


def test_a_range_of_dates_reads_few_row_groups(tmp_path, monkeypatch):
    """A month is one file, and a mixed file holds years: both are read by the groups that can hold the range."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 2_048)
    lake = flushed(
        tmp_path / "lake",
        [event("user_id:1", message_id=f"m{n}")._replace(occurred_at=n * DAY // 200) for n in range(6_000)],
    )
    compact(lake)
    publish(lake.root, target := tmp_path / "rapport.duckdb")
    with duckdb.connect(str(target), read_only=True) as reader:
        [(_, plan)] = reader.execute(
            "EXPLAIN ANALYZE SELECT max(message_id) FROM mart.fct_event WHERE occurred_at < TIMESTAMP '1970-01-02'"
        ).fetchall()
    assert "Row Groups Scanned: 1 / 3" in plan


def test_a_damaged_file_is_named_and_nothing_is_lost(tmp_path):
    lake = small(tmp_path)
    victim = tmp_path / lake.chains["facts"].manifest.files[0].path
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises(DataFolderError, match=victim.name):
        compact(lake)
    assert manifest.load(tmp_path, "facts", 0).next_offset == 9

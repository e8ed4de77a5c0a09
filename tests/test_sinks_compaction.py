"""Compaction: fewer files, the same rows, at every moment."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from schemas.errors import DataFolderError
from schemas.instant import DAY
from schemas.messages import Event
from sinks.lake import compaction, manifest, parquet
from sinks.lake.chain import Lake
from sinks.lake.compaction import compact
from sinks.marts.publisher import publish
from sinks_samples import event, take
from test_sinks_lake import Stop, expected_ids, numbered, stopping_at, stored_ids


def flushed(root: Path, *batches: list[Event]) -> Lake:
    lake = Lake(root)
    for outputs in batches:
        take(lake, "facts", lake.chains["facts"].next_offset, outputs)
        lake.flush()
    return lake


def small(root: Path) -> Lake:
    """Three dates in three flushes of three."""
    return flushed(root, numbered(0, 3), numbered(3, 3), numbered(6, 3))


def parquet_files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*.parquet")}


def test_small_files_of_a_date_become_one_in_order_of_time(tmp_path):
    late = event("user_id:1", message_id="m1", when="2026-03-02T12:00:00Z")
    early = event("user_id:1", message_id="m0", when="2026-03-02T01:00:00Z")
    lake = flushed(tmp_path, [late], [early])
    report = compact([*lake.chains.values()])
    assert (report.rows_rewritten, report.files_before, report.files_after, report.deleted) == (2, 2, 1, 0)
    [file] = Lake(tmp_path).chains["facts"].manifest.files
    assert file.path == "facts/event_date=2026-03-02/part-0-0-1-c1.parquet"
    assert parquet.read(tmp_path, "facts", [file])["message_id"].to_pylist() == ["m0", "m1"]


def test_a_compacted_lake_goes_on(tmp_path):
    lake = small(tmp_path)
    compact([*lake.chains.values()])
    assert lake.chains["facts"].manifest.commits == ((0, 8, 9),)
    take(lake, "facts", 7, numbered(7, 5))
    assert lake.flush()["facts"] == 12
    compact([*lake.chains.values()])
    assert len(lake.chains["facts"].manifest.files) == 3
    assert stored_ids(tmp_path) == expected_ids(12)


def test_nothing_to_do_changes_nothing(tmp_path):
    lake = flushed(tmp_path, numbered(0, 3))
    before = parquet_files(tmp_path)
    assert compact([*lake.chains.values()]).rows_rewritten == 0
    assert parquet_files(tmp_path) == before


def test_mixed_files_are_parted_by_date(tmp_path):
    dates = parquet.MOST_DATES + 1
    many = [event("user_id:1", message_id=f"m{n}")._replace(occurred_at=n % dates * DAY) for n in range(2 * dates)]
    lake = flushed(tmp_path, many[:dates], many[dates:])
    assert [file.date for file in lake.chains["facts"].manifest.files] == [None, None]
    compact([*lake.chains.values()])
    assert len({file.date for file in lake.chains["facts"].manifest.files} - {None}) == dates
    assert stored_ids(tmp_path) == expected_ids(2 * dates)


def test_rounds_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "ROUND_ROWS", 4)
    lake = flushed(tmp_path, *([event("user_id:1", message_id=f"m{n}")] for n in range(11)))
    compact([*lake.chains.values()])
    assert lake.chains["facts"].manifest.compactions > 1
    assert max(file.rows for file in lake.chains["facts"].manifest.files) <= 4
    assert stored_ids(tmp_path) == expected_ids(11)


def test_replaced_files_stay_until_the_next_compaction(tmp_path):
    lake = small(tmp_path / "lake")
    old = parquet_files(tmp_path)
    publish(lake.root, tmp_path / "rapport.duckdb")
    with duckdb.connect(str(tmp_path / "rapport.duckdb"), read_only=True) as reader:
        compact([*lake.chains.values()])
        assert reader.execute("SELECT count(DISTINCT message_id) FROM mart.fct_event").fetchall() == [(9,)]
    publish(lake.root, tmp_path / "rapport.duckdb")
    assert compact([*lake.chains.values()]).deleted == len(old) == 9
    assert not old & parquet_files(tmp_path)
    with duckdb.connect(str(tmp_path / "rapport.duckdb"), read_only=True) as reader:
        assert reader.execute("SELECT count(DISTINCT message_id) FROM mart.fct_event").fetchall() == [(9,)]


def test_only_strays_of_this_partition_are_deleted(tmp_path):
    lake = flushed(tmp_path, numbered(0, 1))
    folder = tmp_path / lake.chains["facts"].manifest.files[0].path
    stray, foreign, notes = (
        folder.with_name(name) for name in ("part-0-1-9.parquet", "part-1-0-9.parquet", "notes.txt")
    )
    staged = tmp_path / parquet.STAGING / "facts~event_date=2026-03-02~part-0-1-9.parquet"
    for path in (stray, foreign, notes, staged):
        path.write_bytes(b"half a file")
    assert stored_ids(tmp_path) == ["m0"]
    assert compact([*lake.chains.values()]).deleted == 2
    assert [path.exists() for path in (stray, staged, foreign, notes)] == [False, False, True, True]


def test_a_crash_at_any_step_leaves_the_lake_whole(tmp_path):
    finished, step = False, 0
    while not finished:
        root = tmp_path / str(step)
        lake = small(root)
        compact([*lake.chains.values()])
        take(lake, "facts", 9, numbered(9, 3))
        lake.flush()
        with pytest.MonkeyPatch.context() as patch:
            stopping_at(patch, step)
            try:
                compact([*lake.chains.values()])
                finished = True
            except Stop:
                pass
        again = Lake(root)
        assert stored_ids(root) == expected_ids(12)
        compact([*again.chains.values()])
        compact([*again.chains.values()])
        assert stored_ids(root) == expected_ids(12)
        assert parquet_files(root) == {file.path for file in again.chains["facts"].manifest.files}
        step += 1
    assert step > 15


def test_a_damaged_file_is_named_and_nothing_is_lost(tmp_path):
    lake = small(tmp_path)
    victim = tmp_path / lake.chains["facts"].manifest.files[0].path
    victim.write_bytes(victim.read_bytes()[:-20])
    with pytest.raises(DataFolderError, match=victim.name):
        compact([*lake.chains.values()])
    assert manifest.load(tmp_path, "facts", 0).next_offset == 9

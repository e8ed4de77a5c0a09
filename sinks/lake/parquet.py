"""Rows of one topic as Parquet files, one per UTC date, durably in place before anyone is told of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import DataFolderError
from schemas.instant import DAY
from sinks.columns.rows import LAYOUTS, SCHEMA_VERSION, current
from sinks.lake import durable
from sinks.lake.manifest import DataFile

STAGING = "_staging"
MIXED = "event_date=__HIVE_DEFAULT_PARTITION__"
"""Hive's folder for rows without a date of their own: files that hold many dates, until compaction parts them."""
MAX_FLUSH_DATES = 400
"""A flush over more dates than this writes one mixed file: each file costs about a millisecond to make durable."""
ROW_GROUP_ROWS = 122_880
"""What one DuckDB thread takes at a time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that become one file."""

    date: str | None
    table: pa.Table
    first: int
    last: int


def by_date(topic: str, table: pa.Table) -> list[tuple[str, pa.Table]]:
    """The rows of each UTC date, dates ascending, rows within a date in order of time."""
    time = LAYOUTS[topic].time
    ordered = table.combine_chunks().take(pc.sort_indices(table[time]))
    days = pc.divide(ordered[time].cast(pa.int64()), DAY)
    parts, start = [], 0
    for day, count in zip(*_runs(days), strict=True):
        parts.append(((_EPOCH + timedelta(days=day)).date().isoformat(), ordered.slice(start, count)))
        start += count
    return parts


def date_count(topic: str, table: pa.Table) -> int:
    """How many UTC dates the rows fall on."""
    return len(pc.divide(table[LAYOUTS[topic].time].cast(pa.int64()), DAY).unique())


def write(root: Path, topic: str, partition: int, parts: Sequence[Part], suffix: str = "") -> list[DataFile]:
    """Writes and syncs every part under a staging name, then moves all into place. Raises OSError.

    A crash leaves staged or unnamed files behind, which no manifest names; writing again replaces them.
    """
    staging = root / STAGING
    durable.make_folder(staging)
    placed = []
    for part in parts:
        folder = f"event_date={part.date}" if part.date else MIXED
        path = f"{topic}/{folder}/part-{partition}-{part.first}-{part.last}{suffix}.parquet"
        staged = staging / path.replace("/", "~")
        size = _write_one(staged, topic, part.table)
        placed.append(
            (staged, DataFile(path, part.date, part.first, part.last, part.table.num_rows, size, SCHEMA_VERSION))
        )
    folders = {(root / file.path).parent for _, file in placed}
    for folder_path in folders:
        durable.make_folder(folder_path)
    for staged, file in placed:
        staged.replace(root / file.path)
    durable.sync_folders(folders)
    return [file for _, file in placed]


def read(root: Path, topic: str, files: Iterable[DataFile]) -> pa.Table:
    """The rows of some files of one topic. Raises OSError, or DataFolderError where a file is damaged."""
    tables = []
    for file in files:
        try:
            with (root / file.path).open("rb") as source:
                tables.append(current(topic, pq.ParquetFile(source).read()))
        except pa.ArrowException as error:
            raise DataFolderError(
                f"{root / file.path} is damaged ({error}). Restore it from a backup, or run `rapport doctor`."
            ) from error
    return pa.concat_tables(tables)


def _write_one(path: Path, topic: str, table: pa.Table) -> int:
    layout = LAYOUTS[topic]
    with path.open("wb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=1,
            use_dictionary=list(layout.repeating),
            write_statistics=list(layout.bounded),
            row_group_size=ROW_GROUP_ROWS,
        )
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _runs(ordered: pa.ChunkedArray) -> tuple[list[int], list[int]]:
    counted = pc.value_counts(ordered)
    return counted.field("values").to_pylist(), counted.field("counts").to_pylist()

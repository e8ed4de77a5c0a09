"""Rows of one topic as Parquet files, one per UTC month, durably in place before anyone is told of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import DataFolderError
from sinks.columns.rows import LAYOUTS, SCHEMA_VERSION, current
from sinks.lake import durable
from sinks.lake.manifest import DataFile

STAGING = "_staging"
MIXED = "event_month=__HIVE_DEFAULT_PARTITION__"
"""Hive's folder for rows without a month of their own: files that hold many months."""
MAX_FLUSH_MONTHS = 12
"""A flush over more months than this writes one mixed file: many small files would cost more than they spare."""
ROW_GROUP_ROWS = 30_720
"""What is read or left out together: rows lie in order of time, so a range of dates reads few of the groups."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that become one file."""

    month: str | None
    table: pa.Table
    first: int
    last: int


def by_month(topic: str, table: pa.Table) -> list[tuple[str, pa.Table]]:
    """The rows of each UTC month, months ascending, rows within a month in order of time."""
    ordered = by_time(topic, table)
    parts, start = [], 0
    for month, count in zip(*_runs(_months(topic, ordered)), strict=True):
        parts.append((f"{month // 12:04}-{month % 12 + 1:02}", ordered.slice(start, count)))
        start += count
    return parts


def by_time(topic: str, table: pa.Table) -> pa.Table:
    """The rows in order of time."""
    return table.combine_chunks().take(pc.sort_indices(table[LAYOUTS[topic].time]))


def month_count(topic: str, table: pa.Table) -> int:
    """How many UTC months the rows fall on."""
    return len(_months(topic, table).unique())


def write(root: Path, topic: str, partition: int, parts: Sequence[Part], suffix: str = "") -> list[DataFile]:
    """Writes and syncs every part under a staging name, then moves all into place. Raises OSError.

    A crash leaves staged or unnamed files behind, which no manifest names; writing again replaces them.
    """
    staging = root / STAGING
    durable.make_folder(staging, root)
    placed = []
    for part in parts:
        folder = f"event_month={part.month}" if part.month else MIXED
        path = f"{topic}/{folder}/part-{partition}-{part.first}-{part.last}{suffix}.parquet"
        staged = staging / path.replace("/", "~")
        size = _write_one(staged, topic, part.table)
        placed.append(
            (staged, DataFile(path, part.month, part.first, part.last, part.table.num_rows, size, SCHEMA_VERSION))
        )
    folders = {(root / file.path).parent for _, file in placed}
    for folder_path in folders:
        durable.make_folder(folder_path, root)
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


def _months(topic: str, table: pa.Table) -> pa.ChunkedArray:
    """Of each row, counted from the year 0."""
    time = table[LAYOUTS[topic].time].cast(pa.int64()).cast(pa.timestamp("us"))
    return pc.add(pc.multiply(pc.year(time), 12), pc.subtract(pc.month(time), 1))


def _runs(ordered: pa.ChunkedArray) -> tuple[list[int], list[int]]:
    counted = pc.value_counts(ordered)
    return counted.field("values").to_pylist(), counted.field("counts").to_pylist()

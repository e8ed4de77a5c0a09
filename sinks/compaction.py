"""Compaction: few large files instead of many small ones, the same rows.

It works in rounds; each writes the merged files, then the manifest that names them instead of the old ones. A crash
at any point leaves the old or the new set, whole. Replaced files stay on disk until the next compaction begins, because
a published DuckDB file or a running query may still read them. One process per partition may compact, the lake's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.topics import OUTPUTS
from sinks import durable, manifest, parquet
from sinks.lake import Lake
from sinks.manifest import DataFile

ROUND_ROWS = 250_000
ROUND_BYTES = 64 * 1024 * 1024
"""A round reads at most this much, or two files: it bounds memory. Compressed bytes, about a tenth of memory."""


@dataclass(frozen=True, slots=True)
class CompactionReport:
    rows_rewritten: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    deleted: int
    """Files that an earlier compaction replaced, or that a crash left."""


def compact(lake: Lake) -> CompactionReport:
    """Parts mixed files by date and merges the small files of each date. Buffered rows are left alone.

    Publish before compacting again: the next compaction deletes what the views of today's publication read.
    Raises FolderUnwritable or DataFolderError; the lake is whole then, too, and the next compaction goes on.
    """
    before = _files(lake)
    with durable.told_plainly(lake.root):
        deleted = _sweep(lake)
        rewritten = 0
        for topic in OUTPUTS:
            while group := _next_group(lake.manifests[topic].files):
                rewritten += _rewrite(lake, topic, group)
    after = _files(lake)
    return CompactionReport(
        rewritten,
        len(before),
        len(after),
        sum(file.bytes for file in before),
        sum(file.bytes for file in after),
        deleted,
    )


def _files(lake: Lake) -> list[DataFile]:
    return [file for each in lake.manifests.values() for file in each.files]


def _sweep(lake: Lake) -> int:
    """Deletes this partition's files that no manifest names."""
    named = {lake.root / file.path for file in _files(lake)}
    own = f"part-{lake.partition}-"
    strays: list[Path] = [path for path in (lake.root / parquet.STAGING).glob("*.parquet") if f"~{own}" in path.name]
    for topic in OUTPUTS:
        strays += [path for path in (lake.root / topic).glob(f"event_date=*/{own}*.parquet") if path not in named]
    for path in strays:
        path.unlink(missing_ok=True)
    return len(strays)


def _next_group(files: Sequence[DataFile]) -> list[DataFile]:
    """What the next round merges: mixed files first, else small files of dates that have two or more; else nothing."""
    if mixed := [file for file in files if file.date is None]:
        return _within_round(mixed)
    small: dict[str | None, list[DataFile]] = defaultdict(list)
    for file in files:
        if file.rows < ROUND_ROWS // 2 and file.bytes < ROUND_BYTES // 2:
            small[file.date].append(file)
    group: list[DataFile] = []
    for date in sorted(small, key=str):
        more = _within_round([*group, *small[date]])[len(group) :]
        if len(more) > 1:
            group += more
    return group


def _within_round(files: Sequence[DataFile]) -> list[DataFile]:
    taken, rows, size = 0, 0, 0
    for file in files:
        rows, size = rows + file.rows, size + file.bytes
        if taken and (rows > ROUND_ROWS or size > ROUND_BYTES):
            break
        taken += 1
    return list(files[:taken])


def _rewrite(lake: Lake, topic: str, group: Sequence[DataFile]) -> int:
    """One round. Returns how many rows it rewrote."""
    before = lake.manifests[topic]
    first, last = min(file.first for file in group), max(file.last for file in group)
    table = parquet.read(lake.root, topic, group)
    parts = [parquet.Part(day, rows, first, last) for day, rows in parquet.by_date(topic, table)]
    files = parquet.write(lake.root, topic, lake.partition, parts, suffix=f"-c{before.compactions + 1}")
    after = before.compacted(group, files)
    manifest.store(lake.root, after)
    lake.manifests[topic] = after
    return int(table.num_rows)

"""Compaction: few large files instead of many small ones, the same rows.

It works in rounds; each writes the merged files, then the manifest that names them instead of the old ones. A crash
at any point leaves the old or the new set, whole. Replaced files must stay on disk for as long as a published DuckDB
file or a running query may read them: `compact` deletes what an earlier one replaced, `Leftovers` what nothing
published has named for a while. Only the process that writes a chain may compact it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sinks.lake import durable, parquet
from sinks.lake.chain import Chain
from sinks.lake.manifest import DataFile

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


def compact(chains: Sequence[Chain]) -> CompactionReport:
    """Parts mixed files by date and merges the small files of each date. Buffered rows are left alone.

    Publish before compacting again: the next compaction deletes what the views of today's publication read.
    Raises FolderUnwritable or DataFolderError; the lake is whole then, too, and the next compaction goes on.
    """
    before = _files(chains)
    deleted = rewritten = 0
    for chain in chains:
        with durable.as_folder_error(chain.root):
            strays = unnamed(chain)
            for path in strays:
                path.unlink(missing_ok=True)
        deleted += len(strays)
        while rows := compact_round(chain):
            rewritten += rows
    after = _files(chains)
    return CompactionReport(
        rewritten,
        len(before),
        len(after),
        sum(file.bytes for file in before),
        sum(file.bytes for file in after),
        deleted,
    )


def compact_round(chain: Chain, at_least: int = 1) -> int:
    """One round, where it has this many files to merge. Returns how many rows it rewrote.

    Raises FolderUnwritable or DataFolderError.
    """
    group = _next_group(chain.manifest.files)
    if len(group) < at_least or not group:
        return 0
    with durable.as_folder_error(chain.root):
        chain.check_unchanged()
        return _rewrite(chain, group)


def unnamed(chain: Chain) -> list[Path]:
    """The chain's files that no manifest names: a merge replaced them, or a crash left them. Raises OSError."""
    root, topic = chain.root, chain.topic
    named = {root / file.path for file in chain.manifest.files}
    own = f"part-{chain.partition}-"
    staged = [path for path in (root / parquet.STAGING).glob(f"{topic}~*.parquet") if f"~{own}" in path.name]
    return staged + [path for path in (root / topic).glob(f"event_date=*/{own}*.parquet") if path not in named]


class Leftovers:
    """Deletes a chain's unnamed files while people query: each once nothing published has read it for `grace` seconds.

    A query that began on an older publication may run that long.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._since: dict[Path, float] = {}

    def sweep(self, chain: Chain, published: int, now: float) -> int:
        """Deletes what is due at `now`, in seconds; returns how many.

        `published`: the compactions that the publication of today was built from; an older one may read everything.
        Raises FolderUnwritable or DataFolderError.
        """
        if published != chain.manifest.compactions:
            return 0
        with durable.as_folder_error(chain.root):
            self._since = {path: self._since.get(path, now) for path in unnamed(chain)}
            due = [path for path, since in self._since.items() if now - since >= self._grace]
            for path in due:
                path.unlink(missing_ok=True)
        return len(due)


def _files(chains: Sequence[Chain]) -> list[DataFile]:
    return [file for chain in chains for file in chain.manifest.files]


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


def _rewrite(chain: Chain, group: Sequence[DataFile]) -> int:
    before, topic = chain.manifest, chain.topic
    first, last = min(file.first for file in group), max(file.last for file in group)
    table = parquet.read(chain.root, topic, group)
    parts = [parquet.Part(day, rows, first, last) for day, rows in parquet.by_date(topic, table)]
    files = parquet.write(chain.root, topic, chain.partition, parts, suffix=f"-c{before.compactions + 1}")
    chain.replace_manifest(before.compacted(group, files))
    return int(table.num_rows)

"""Compaction: few large files instead of many small ones, the same rows, never more files than there were.

It works in rounds; each writes the merged files, then the manifest that names them instead of the old ones, then takes
those out of the sight of other tools (`sinks.lake.views`). A crash at any point leaves the old or the new set, whole;
`tidy` puts away what it left. Only the process that writes a chain may compact it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sinks.lake import durable, parquet, views
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
    """Files that an earlier compaction replaced some time ago, or that a crash left."""


def compact(chains: Sequence[Chain], now: float) -> CompactionReport:
    """Merges the small files of each month. Buffered rows are left alone. `now`: by the wall clock, in seconds.

    What is published must show all of the lake: files that earlier compactions replaced are deleted. Raises
    FolderUnwritable or DataFolderError; the lake is whole then, too, and the next compaction goes on.
    """
    before = _files(chains)
    deleted = rewritten = 0
    for chain in chains:
        deleted += tidy(chain) + sweep(chain, chain.manifest.compactions, now)
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


def tidy(chain: Chain) -> int:
    """Puts away what a crash left, so that other tools read what counts: returns how many files it deleted.

    A file that was published once may be read still and is only taken out of sight. Raises FolderUnwritable or
    DataFolderError.
    """
    root, own = chain.root, f"part-{chain.partition}-"
    with durable.as_folder_error(root):
        named = {file.path for file in chain.manifest.files}
        found = (str(path.relative_to(root)) for path in (root / chain.topic).glob(f"event_*=*/{own}*.parquet"))
        strays = sorted(path for path in found if path not in named)
        views.retire(root, read := [path for path in strays if views.linked(root, path)])
        staged = [path for path in (root / parquet.STAGING).glob(f"{chain.topic}~*.parquet") if f"~{own}" in path.name]
        lost = [*staged, *(root / path for path in strays if path not in read)]
        for path in lost:
            path.unlink(missing_ok=True)
    return len(lost)


def sweep(chain: Chain, published: int, now: float) -> int:
    """Deletes the chain's files that were replaced `views.GRACE` ago, as seconds of the wall clock; returns how many.

    `published`: the compactions that the publication of
    today was built from; an older one may read everything. Raises FolderUnwritable or DataFolderError.
    """
    if published != chain.manifest.compactions:
        return 0
    with durable.as_folder_error(chain.root):
        return views.sweep(chain.root, chain.manifest, now, views.GRACE)


def _files(chains: Sequence[Chain]) -> list[DataFile]:
    return [file for chain in chains for file in chain.manifest.files]


def _next_group(files: Sequence[DataFile]) -> list[DataFile]:
    """What the next round merges: small files of months that have two or more, and files that lie by day."""
    movable: dict[str, list[DataFile]] = defaultdict(list)
    for file in files:
        if file.by_day or (file.rows < ROUND_ROWS // 2 and file.bytes < ROUND_BYTES // 2):
            movable[file.month or ""].append(file)
    group: list[DataFile] = []
    for month in sorted(movable):
        more = _within_round([*group, *movable[month]])[len(group) :]
        if len(more) > 1 or any(file.by_day for file in more):
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
    before = chain.manifest
    parts = _parts(chain, group)
    files = parquet.write(chain.root, chain.topic, chain.partition, parts, suffix=f"-c{before.compactions + 1}")
    chain.replace_manifest(before.compacted(group, files))
    views.retire(chain.root, [file.path for file in group])
    return sum(part.table.num_rows for part in parts)


def _parts(chain: Chain, group: Sequence[DataFile]) -> list[parquet.Part]:
    """A file a month. Rows of mixed files stay in one where their months would make more files than there were."""
    first, last = min(file.first for file in group), max(file.last for file in group)
    table = parquet.read(chain.root, chain.topic, group)
    if parquet.month_count(chain.topic, table) <= len(group):
        return [parquet.Part(month, rows, first, last) for month, rows in parquet.by_month(chain.topic, table)]
    mixed, others = ([file for file in group if (file.month is None) is wanted] for wanted in (True, False))
    together = parquet.by_time(chain.topic, parquet.read(chain.root, chain.topic, mixed))
    return [parquet.Part(None, together, first, last), *(_parts(chain, others) if others else ())]

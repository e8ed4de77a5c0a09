"""RocksDB as both runners use it: tuned for many small rows, its errors told in the product's words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rocksdict

from schemas.errors import DataFolderError, FolderBusy, FolderUnwritable
from sinks.lake import durable


def scanned(db: Any, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """What a RocksDB holds under keys that begin so, in order of the keys, those before `start` left out."""
    rows = db.iter()
    rows.seek(max(prefix, start))
    while rows.valid():
        key = rows.key()
        if not key.startswith(prefix):
            return
        yield key, rows.value()
        rows.next()


def tuned(memtable: int, cache: Any) -> Any:
    """RocksDB's options for rows: many small ones, read by key, most of which were not there before.

    Compaction is universal: new rows are spread over all keys, and levels would merge every one with all that is
    settled. The price is room, up to three times that of the rows. Indexes and filters stay in memory, about 15 MB for
    a million profiles: a cache that had to hold them would hold nothing else.
    """
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_compaction_style(rocksdict.DBCompactionStyle.universal())
    options.set_write_buffer_size(memtable)
    options.set_max_write_buffer_number(2)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(0.02)
    options.set_keep_log_file_num(2)
    options.set_max_background_jobs(2)
    table = rocksdict.BlockBasedOptions()
    table.set_bloom_filter(10, False)
    table.set_index_block_restart_interval(16)  # a smaller index, which a search then finds in the processor's cache
    table.set_block_cache(cache)
    options.set_block_based_table_factory(table)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    return options


def told(error: Exception, folder: Path) -> DataFolderError:
    """RocksDB's and the system's words as one clear sentence."""
    text = " ".join(str(error).split())[:200]
    if "LOCK" in text or "lock hold" in text:
        return FolderBusy(
            f"{folder} is in use by another Rapport process: wait for it or stop it, "
            "or choose another folder with --data."
        )
    if any(words in text for words in ("No space left", "File too large", "Disk quota")):
        return durable.full(folder)
    if any(words in text for words in ("Read-only", "Permission denied", "Not a directory", "File exists")):
        return FolderUnwritable(
            f"{folder} cannot be written ({text}): check its permissions or choose another folder with --data."
        )
    return DataFolderError(f"The data in {folder} cannot be used ({text}): run `rapport doctor`.")

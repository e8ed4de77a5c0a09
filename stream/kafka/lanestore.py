"""The local copy of a lane's rows: one RocksDB, rebuilt from the changelog wherever it is missing, late or too old.

It never holds anything that was not committed to the changelog first, and says how far into it it has come. Writes
are not logged or synced: after a crash the changelog is read from where the last flushed write left off.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import rocksdict

from profiles.row_cache import CACHED_ROWS
from schemas.errors import DataFolderError
from stream.rocks import scanned, told, tuned

CHANGELOG = b"\0changelog"
"""Local only: how far this copy has come."""
POSITIONS = b"\0positions"
"""Of the lane's inputs; travels with the rows."""
MEMTABLE_BYTES = 16 << 20
ALL_MEMTABLES_BYTES = 64 << 20
"""Of all lanes of a process together."""
FILES_BEFORE_MERGE = 8
"""Files of a lane until they are merged: rows of busy customers are written again and again, and merging them took a
fifth of a worker's processor with small memtables and four files."""
BLOCK_CACHE_BYTES = 8 << 20


class Reached(NamedTuple):
    """How far into the changelog a copy has come."""

    offset: int
    """The next to be applied."""
    at: int
    """Wall time, microseconds, when that was so."""


class Memory:
    """What the lanes of one process share, so that memory does not grow with their number."""

    def __init__(self, rows: int = CACHED_ROWS) -> None:
        self.cache = rocksdict.Cache(BLOCK_CACHE_BYTES)
        self.memtables = rocksdict.WriteBufferManager(ALL_MEMTABLES_BYTES, False)
        self.stores = 0
        """How many are open."""
        self._rows = rows

    def rows(self) -> int:
        """Decoded rows that each lane may keep now."""
        return self._rows // max(1, self.stores)


class LaneStore:
    """One lane's RocksDB; a `profiles.rows.Store`. Raises DataFolderError."""

    def __init__(self, folder: Path, memory: Memory) -> None:
        self.folder = folder
        self._memory = memory
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = rocksdict.Rdict(str(folder), _options(memory))
        except Exception as error:  # rocksdict raises bare Exception with RocksDB's text
            raise told(error, folder) from error
        memory.stores += 1
        self.get: Callable[[bytes], bytes | None] = self._db.get
        """The value of a row: RocksDB's own method, for it is called several times an event."""
        self._unlogged = rocksdict.WriteOptions()
        self._unlogged.disable_wal = True  # type: ignore[method-assign, assignment]  # its stub is wrong

    @property
    def reached(self) -> Reached | None:
        """None in a new copy."""
        stored = self.get(CHANGELOG)
        return None if stored is None else Reached(*orjson.loads(stored))

    @property
    def positions(self) -> Mapping[str, int]:
        """The next offset of each input topic; empty before the first commit."""
        stored = self.get(POSITIONS)
        found: dict[str, int] = {} if stored is None else orjson.loads(stored)
        return found

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows whose keys begin so, in order of their keys, those before `start` left out."""
        return scanned(self._db, prefix, start)

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], reached: Reached) -> None:
        """These rows, which the changelog holds up to `reached`, all or none; None deletes."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in rows:
            if value is None:
                delete(key)
            else:
                put(key, value)
        put(CHANGELOG, orjson.dumps(list(reached)))
        try:
            self._db.write(batch, self._unlogged)
        except Exception as error:  # rocksdict raises bare Exception with RocksDB's text
            raise told(error, self.folder) from error

    def close(self) -> None:
        """Flushes, so that the next owner here need not read the changelog again, and lets go of the folder."""
        with suppress(Exception):  # what cannot be flushed is read from the changelog again
            self._db.flush()
        self.release()

    def release(self) -> None:
        """Lets go of the folder without flushing. RocksDB holds its lock as long as a handle lives."""
        del self.get
        self._memory.stores -= 1
        with suppress(Exception):  # a broken store is rebuilt
            self._db.close()


def remove(folder: Path) -> None:
    """Forgets a copy. Raises DataFolderError where it cannot be removed."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataFolderError(f"{folder} cannot be removed ({error.strerror}): remove it and start again.") from error


def _options(memory: Memory) -> Any:
    options = tuned(MEMTABLE_BYTES, memory.cache)
    options.set_write_buffer_manager(memory.memtables)
    options.set_max_open_files(64)
    options.set_level_zero_file_num_compaction_trigger(FILES_BEFORE_MERGE)
    lz4 = rocksdict.DBCompressionType.lz4()
    options.set_compression_per_level([rocksdict.DBCompressionType.none(), *[lz4] * 6])  # new files are soon merged
    return options

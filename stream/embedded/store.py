"""The embedded store: one RocksDB with rows, log, outputs and positions.

Two column families: the default one holds rows (keys in `profiles.rows` and `profiles.linker`, and `\\0...` for the
engine's own), `log` the outputs that no Parquet file holds yet (topic + offset).
Every commit is one write batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import rocksdict

from schemas.errors import DataFolderError, FolderTooNew
from sinks.lake import durable, manifest
from stream.embedded.links import open_linked
from stream.rocks import scanned, told, tuned

LAYOUT = 1
LAYOUT_FILE = "layout"
LAKE = "lake"
STORE = "store"
PUBLISHED = "rapport.duckdb"
STATE = b"\0engine"
"""The row of the engine's positions and totals."""
MEMTABLE_BYTES = 32 << 20
LOG_MEMTABLE_BYTES = 4 << 20
BLOCK_CACHE_BYTES = 8 << 20
"""Small: rows that are asked for again are cached decoded, and a block of all others is cheaper to read anew from the
system's cache than to keep at the expense of the processor's (2.9 us a row against 3.7 with 48 MiB)."""
LOG_CACHE_BYTES = 1 << 20


class LocalStore:
    """RocksDB under DIR/store; errors are told in the product's words."""

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.folder = folder
        self._check_layout(read_only)
        self._links: TemporaryDirectory[str] | None = None
        try:
            if read_only:
                self._db, self._links = open_linked(folder / STORE, _opened_for_reading)
            else:
                self._db = _opened(folder / STORE, rocksdict.AccessType.read_write())
            self._log = self._db.get_column_family("log")
            self._log_handle: Any = self._db.get_column_family_handle("log")
        except Exception as error:  # rocksdict raises bare Exception with RocksDB's text
            raise told(error, folder) from error
        self.get: Callable[[bytes], bytes | None] = self._db.get
        """The value of a row: RocksDB's own method, for it is called several times an event."""
        self._synced = rocksdict.WriteOptions()
        self._synced.sync = True

    def _check_layout(self, read_only: bool) -> None:
        if manifest.of_kafka(self.folder / LAKE):
            raise DataFolderError(
                f"{self.folder} is filled by `rapport sink`: look here with `rapport query` and `rapport find`, ask the"
                " workers with `rapport profile --from kafka`, and name another folder with --data for everything else."
            )
        mark = self.folder / LAYOUT_FILE
        try:
            if mark.exists():
                _check(mark.read_bytes()[:10].strip(), self.folder)
            elif not read_only:
                durable.replace_file(mark, b"%d\n" % LAYOUT)
        except OSError as error:
            raise told(error, self.folder) from error
        if read_only and not (self.folder / STORE).exists():
            raise DataFolderError(
                f"{self.folder} holds no customer data yet: run `rapport replay` or `rapport demo`, "
                "or name its folder with --data."
            )

    # --- reading ----------------------------------------------------------------------------------------------------

    def get_all(self, keys: list[bytes]) -> list[bytes | None]:
        """The values of several rows, read in one go, which costs less than one by one."""
        found: list[bytes | None] = cast(Any, self._db).get(keys)  # its stub knows no keys of bytes
        return found

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return scanned(self._db, prefix, start)

    def scan_log(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return scanned(self._log, prefix)

    # --- writing ----------------------------------------------------------------------------------------------------

    def commit(self, rows: Mapping[bytes, bytes | None], log: Mapping[bytes, bytes | None]) -> None:
        """All of these changes or none, on disk when this returns; None deletes."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in rows.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        for key, value in log.items():
            if value is None:
                batch.delete(key, self._log_handle)
            else:
                batch.put(key, value, self._log_handle)
        try:
            self._db.write(batch, self._synced)
        except Exception as error:  # rocksdict raises bare Exception with RocksDB's text
            raise told(error, self.folder) from error

    def close(self) -> None:
        """Flushes, so that the next reader opens at once, and lets go of the folder."""
        try:
            self._db.flush()
            self._log.flush()
        except Exception as error:  # rocksdict raises bare Exception with RocksDB's text
            raise told(error, self.folder) from error
        finally:
            self.release()

    def release(self, error: BaseException | None = None) -> None:
        """Lets go of the folder without flushing. RocksDB holds its lock as long as a handle lives.

        Raises DataFolderError where the error that ended the work is RocksDB's own.
        """
        self._log_handle = None
        del self.get
        for handle in (self._log, self._db):
            with suppress(Exception):  # after a failed write RocksDB fails to close, too, and has told why already
                handle.close()
        if self._links is not None:
            self._links.cleanup()
        if type(error) is Exception:  # rocksdict raises bare Exception with RocksDB's text
            raise told(error, self.folder) from error


def _check(layout: bytes, folder: Path) -> None:
    if not layout.isdigit():
        raise DataFolderError(
            f"{folder / LAYOUT_FILE} is damaged: restore the folder from a backup, or choose another with --data."
        )
    if int(layout) > LAYOUT:
        raise FolderTooNew(
            f"{folder} has data layout {int(layout)}, this Rapport reads up to {LAYOUT}: "
            "upgrade Rapport or choose another folder with --data."
        )


def _opened_for_reading(store: Path) -> rocksdict.Rdict:
    return _opened(store, rocksdict.AccessType.read_only())


def _opened(store: Path, access: rocksdict.AccessType) -> rocksdict.Rdict:
    return rocksdict.Rdict(str(store), _options(), column_families={"log": _options(log=True)}, access_type=access)


def _options(log: bool = False) -> Any:
    cache = rocksdict.Cache(LOG_CACHE_BYTES if log else BLOCK_CACHE_BYTES)
    options = tuned(LOG_MEMTABLE_BYTES if log else MEMTABLE_BYTES, cache)
    options.create_missing_column_families(True)
    options.set_max_open_files(256)
    options.set_max_total_wal_size(256 << 20)
    return options

"""Events in order of time, however many: the events clock needs history sorted, and history does not fit in memory.

RocksDB sorts: a scratch store inside the data folder, keyed by time and then by order of arrival. It is gone when
the run ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from schemas.codec import decode, encode
from schemas.messages import Event
from stream.rocks import told

SCRATCH = "sorting"
"""The scratch folder; `rapport doctor` knows it as a leftover of a run that was killed."""


class Sorter:
    """Takes events in any order, gives them back by `(occurred_at, order of arrival)`."""

    def __init__(self, store: Rdict, data: Path) -> None:
        self._store = store
        self._data = data
        self._unsafe = WriteOptions()
        self._unsafe.disable_wal = True  # type: ignore[method-assign, assignment] # rocksdict: a property
        self.count = 0

    def add(self, events: list[Event]) -> None:
        batch = WriteBatch(raw_mode=True)
        for event in events:
            batch.put(event.occurred_at.to_bytes(8, "big") + self.count.to_bytes(8, "big"), encode(event))
            self.count += 1
        with _told_plainly(self._data):
            self._store.write(batch, self._unsafe)

    def __iter__(self) -> Iterator[Event]:
        for line in self._store.values():
            event = decode(line)
            assert isinstance(event, Event)
            yield event


@contextmanager
def _told_plainly(data: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # rocksdict raises bare Exception with RocksDB's text
        raise told(error, data) from error


@contextmanager
def sorter(data: Path) -> Iterator[Sorter]:
    """A sorter with its scratch store in the data folder, which the caller holds alone."""
    scratch = data / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    with _told_plainly(data):
        store = Rdict(str(scratch), options=Options(raw_mode=True))
    try:
        yield Sorter(store, data)
    finally:
        with suppress(Exception):  # after a failed write RocksDB fails to close, too; nothing here is worth keeping
            store.close()
        shutil.rmtree(scratch, ignore_errors=True)

"""The Parquet lake: takes outputs in order of their offsets, keeps each exactly once.

A chain is one partition of one topic: offsets that adjoin from the first to the last, files, and the manifest that
makes them count. It must never write what it has stored already, nor leave a hole: after a crash the same outputs
come again, from `next_offset`, and the lake ends up the same. One process writes a chain; whoever may be one of several
holds the chain's lock (`sinks.lake.locks`) as long as it has the chain. Readers need no lock.

    facts/event_month=2026-03/part-<partition>-<first>-<last>.parquet      one file per UTC month of a flush
    facts/event_month=__HIVE_DEFAULT_PARTITION__/...                       a flush over very many months
    _manifests/facts-<partition>.json                                      what counts
    _views/                                                                what published views read
    _staging/                                                              what is being written

Files of earlier releases lie in `facts/event_date=2026-03-02/`, one per UTC date, until compaction moves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from schemas.errors import DataFolderError
from schemas.topics import OUTPUTS
from sinks.lake import durable, manifest, parquet
from sinks.lake.manifest import Commit, DataFile, Manifest


class Chain:
    """One topic partition in the lake. Buffers rows until `flush`; the caller decides how many."""

    def __init__(self, root: Path, topic: str, partition: int, source: str = "") -> None:
        """Reads the manifest; writes nothing. `source` is the Kafka topic's full name, empty for the embedded log.

        Raises FolderTooNew, or DataFolderError: damaged, or filled from elsewhere.
        """
        self.root = root
        self.topic = topic
        self.partition = partition
        self.source = source
        self.manifest = _of_source(manifest.load(root, topic, partition), root, source)
        self._begun = root.is_dir()
        """Whether the lake's folder was made once: then it is not made anew."""
        self.expected = self.manifest.next_offset
        """The next offset to take."""
        self._first = self.expected
        """Where the next commit begins."""
        self._attempted = self.manifest
        """A manifest that may be in place although writing it failed: its folder could not be synced, say."""
        self.rows = 0
        """Rows taken since the last flush."""
        self.bytes = 0
        """Memory that they hold."""
        self._buffer: list[pa.RecordBatch] = []

    @property
    def next_offset(self) -> int:
        """The first offset that is not yet stored: where a restarted sink reads on."""
        return self.manifest.next_offset

    def start_at(self, offset: int) -> None:
        """Lets a chain that is still empty begin here: what was before is not to be had any more."""
        if self.manifest.commits or self.expected:
            raise DataFolderError(f"The lake's {self.topic} have begun already. Run `rapport doctor`.")
        self.expected = self._first = offset

    def append(self, first: int, next_: int, rows: pa.RecordBatch) -> None:
        """Takes `rows`, all that the offsets from `first` up to `next_`, itself excluded, hold.

        Nothing is durable before `flush`. In the embedded log a row is an offset, and rows that were taken before are
        cut off, so a replay is harmless. Records of Kafka hold any number of rows, which only the reader can tell
        apart: there a range must begin at `expected`. Raises DataFolderError where outputs are missing between what the
        lake has and what comes, or come again.
        """
        if first > self.expected:
            raise DataFolderError(
                f"The lake's {self.topic} end before offset {self.expected}, but {first} comes next."
                " Run `rapport doctor`."
            )
        if self.source and first < self.expected:
            raise DataFolderError(f"The lake's {self.topic} already reach offset {self.expected}; {first} came again.")
        if not self.source:
            rows = rows.slice(min(self.expected - first, rows.num_rows))
        if next_ > self.expected:
            self.expected = next_
            if rows.num_rows:
                self._buffer.append(rows)
                self.rows += rows.num_rows
                self.bytes += rows.nbytes

    def flush(self) -> int:
        """Writes what was taken, durably, and returns the next offset.

        Raises FolderUnwritable or DataFolderError; then the rows stay buffered and a later flush tries again.
        """
        if self.expected > self._first:
            with durable.as_folder_error(self.root):
                self.check_unchanged()
                if not self._begun:
                    durable.make_folder(self.root)
                    self._begun = True
                self._write()
            self._first = self.expected
            self._buffer.clear()
            self.rows = self.bytes = 0
        return self.next_offset

    def check_unchanged(self) -> None:
        """Raises DataFolderError where another process has changed this chain since it was opened."""
        found = _of_source(manifest.load(self.root, self.topic, self.partition), self.root, self.source)
        if self.manifest.commits and not found.commits:
            raise DataFolderError(f"{self.root} was deleted while it was written. Run `rapport doctor`.")
        if found not in (self.manifest, self._attempted):
            raise DataFolderError(
                f"Another process has written {self.topic}, partition {self.partition}, in {self.root}."
                " Only one may: stop the others, then start this one again."
            )

    def replace_manifest(self, after: Manifest) -> None:
        """From now on another manifest counts. Raises OSError."""
        self._attempted = after
        manifest.store(self.root, after)
        self.manifest = after

    def _write(self) -> None:
        commit = Commit(self._first, self.expected - 1, self.rows)
        files: list[DataFile] = []
        if commit.rows:
            parts = _parts(self.topic, pa.Table.from_batches(self._buffer), commit)
            files = parquet.write(self.root, self.topic, self.partition, parts)
        self.replace_manifest(self.manifest.extended(commit, files))


class Lake:
    """What the embedded runner writes: the chains of one partition of every topic."""

    def __init__(self, root: Path, partition: int = 0) -> None:
        """Reads the manifests; writes nothing. Raises FolderTooNew or DataFolderError."""
        self.root = root
        self.chains = {topic: Chain(root, topic, partition) for topic in OUTPUTS}

    @property
    def buffered(self) -> int:
        """Rows taken since the last flush."""
        return sum(chain.rows for chain in self.chains.values())

    def append(self, topic: str, first: int, next_: int, rows: pa.RecordBatch) -> None:
        """Takes the rows of the offsets from `first` up to `next_`, itself excluded; see `Chain.append`."""
        self.chains[topic].append(first, next_, rows)

    def flush(self) -> Mapping[str, int]:
        """Writes what was taken, durably, and returns the next offset of every topic.

        Raises FolderUnwritable or DataFolderError; then the topics not yet written stay buffered and a later flush
        tries again.
        """
        return {topic: chain.flush() for topic, chain in self.chains.items()}


def chains(root: Path) -> list[Chain]:
    """Every chain that a lake holds, of any source. Raises FolderTooNew or DataFolderError."""
    return [
        Chain(root, topic, each.partition, each.source) for topic in OUTPUTS for each in manifest.load_all(root, topic)
    ]


def _parts(topic: str, table: pa.Table, commit: Commit) -> list[parquet.Part]:
    """One file a month, or one mixed file where there are very many months."""
    if parquet.month_count(topic, table) > parquet.MAX_FLUSH_MONTHS:
        return [parquet.Part(None, parquet.by_time(topic, table), commit.first, commit.last)]
    return [parquet.Part(month, rows, commit.first, commit.last) for month, rows in parquet.by_month(topic, table)]


def _of_source(found: Manifest, root: Path, source: str) -> Manifest:
    """The manifest, where what is in it came from this source. A lake has one: offsets of another mean other rows."""
    if not found.commits:
        return replace(found, source=source)
    if found.source != source:
        theirs = f"Kafka's {found.source}" if found.source else "`rapport replay` or `rapport import`"
        raise DataFolderError(f"{root} holds {found.topic} of {theirs}. Name another data folder with --data.")
    return found

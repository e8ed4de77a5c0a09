"""The Parquet lake of one partition: takes outputs in order of their offsets, keeps each exactly once.

It must never write a message whose offset it has already published: after a crash the same outputs come again,
from `next_offset` or from further back, and the lake ends up the same.

    facts/event_date=2026-03-02/part-<partition>-<first>-<last>.parquet     one file per UTC date of a flush
    facts/event_date=__HIVE_DEFAULT_PARTITION__/...                          a flush over very many dates
    _manifests/facts-<partition>.json                                        what counts
    _staging/                                                                what is being written
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from schemas.errors import DataFolderError
from schemas.messages import Output
from schemas.topics import OUTPUTS
from sinks import durable, manifest, parquet
from sinks.rows import batch


class Lake:
    """Buffers outputs until `flush`; the caller decides how many. One writer per partition; readers need no lock."""

    def __init__(self, root: Path, partition: int = 0) -> None:
        """Reads the manifests; writes nothing. Raises FolderTooNew or DataFolderError."""
        self.root = root
        self.partition = partition
        self.manifests = {topic: manifest.load(root, topic, partition) for topic in OUTPUTS}
        self._buffers: dict[str, list[pa.RecordBatch]] = {topic: [] for topic in OUTPUTS}
        self._expected = {topic: each.next_offset for topic, each in self.manifests.items()}

    def next_offset(self, topic: str) -> int:
        """The first offset of `topic` that is not yet published: where a restarted sink reads on."""
        return self.manifests[topic].next_offset

    @property
    def buffered(self) -> int:
        """Rows taken since the last flush."""
        return sum(self._expected[topic] - each.next_offset for topic, each in self.manifests.items())

    def append(self, topic: str, first_offset: int, outputs: Sequence[Output]) -> None:
        """Takes `outputs`, whose offsets count up from `first_offset`. Nothing is durable before `flush`.

        Outputs that were taken before are cut off, so a replay is harmless. Raises DataFolderError when outputs are
        missing between what the lake has and what comes.
        """
        self.take(topic, first_offset, batch(topic, outputs))

    def take(self, topic: str, first_offset: int, rows: pa.RecordBatch) -> None:
        """`append` for outputs that are rows already (`sinks.rows.batch`)."""
        expected = self._expected[topic]
        if first_offset > expected:
            raise DataFolderError(
                f"The lake's {topic} end before offset {expected}, but {first_offset} comes next. Run `rapport doctor`."
            )
        fresh = rows.slice(min(expected - first_offset, rows.num_rows))
        if fresh.num_rows:
            self._buffers[topic].append(fresh)
            self._expected[topic] = expected + fresh.num_rows

    def flush(self) -> Mapping[str, int]:
        """Writes what was taken, durably, and returns the next offset of every topic.

        Raises FolderUnwritable or DataFolderError; then the topics not yet written stay buffered and a later flush
        tries again.
        """
        for topic, buffer in self._buffers.items():
            if buffer:
                with durable.told_plainly(self.root):
                    self._flush_topic(topic, pa.Table.from_batches(buffer))
                buffer.clear()
        return {topic: each.next_offset for topic, each in self.manifests.items()}

    def _flush_topic(self, topic: str, table: pa.Table) -> None:
        before = self.manifests[topic]
        first, last = before.next_offset, self._expected[topic] - 1
        if parquet.date_count(topic, table) > parquet.MOST_DATES:
            parts = [parquet.Part(None, table, first, last)]
        else:
            parts = [parquet.Part(day, rows, first, last) for day, rows in parquet.by_date(topic, table)]
        files = parquet.write(self.root, topic, self.partition, parts)
        after = before.extended(first, last, files)
        manifest.store(self.root, after)
        self.manifests[topic] = after

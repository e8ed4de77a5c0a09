"""Records of the output topics as rows of the lake.

Pure. Only lanes write these topics, so a record that cannot be read means that the log is damaged or somebody else
writes to it: it must never be skipped, and whoever reads on behind it would hide that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from schemas import codec, messages
from schemas.errors import ClusterError, RowError
from sinks.columns.rows import record_batch

CHUNK_BYTES = 128 << 10
"""Bytes of records that become columns together: as many as stay in the processor's cache, about 200 facts."""

_KINDS: Mapping[str, type[Any]] = {
    "facts": messages.Event,
    "triggers": messages.Trigger,
    "decisions": messages.RuleDecision,
    "identity": messages.IdentityDecision,
    "rejected": messages.Rejected,
}
_UNREADABLE = (RowError, pa.ArrowException, TypeError, ValueError, AttributeError, LookupError, OverflowError)


class Record(Protocol):
    """What Kafka's client gives."""

    topic: str
    partition: int
    offset: int
    value: bytes


def chunks(records: Sequence[Record]) -> Iterator[list[Record]]:
    """The records, in runs that are worth columns of their own and bound what they need of memory."""
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += len(record.value or b"")
        if size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def rows(topic: str, records: Sequence[Record]) -> pa.RecordBatch:
    """The rows of some records. Raises ClusterError that names the first one that cannot be read."""
    try:
        return record_batch(topic, [message for record in records for message in _decoded(topic, record.value)])
    except _UNREADABLE as error:
        if len(records) > 1:
            for record in records:
                rows(topic, [record])
            raise
        [record] = records
        raise ClusterError(
            f"{record.topic}, partition {record.partition}, offset {record.offset}: the record cannot be read"
            f" ({error.__cause__ or error}). Only workers may write this topic: find out who else does."
            " Nothing behind it was taken."
        ) from error


def _decoded(topic: str, value: bytes) -> list[Any]:
    outputs = [codec.decode(line) for line in value.split(b"\n")]
    for output in outputs:
        if type(output) is not _KINDS[topic]:
            raise TypeError(f"it holds a {type(output).__name__}")
    return outputs

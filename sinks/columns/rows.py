"""Output messages as Arrow columns: one row a message, one schema a topic.

This module decides what a stored row looks like and must never touch a file, a clock or a database. Text that holds
JSON keeps the exact numbers of the event; SQL reads money from it without a detour through floating point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from schemas.instant import parse
from schemas.messages import Dropped, Event, Output, Trigger

SCHEMA_VERSION = 2
"""Of what is written now; `current` brings rows of earlier ones into the same shape."""

INSTANT = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
JSON = pa.json_(TEXT)
"""Text to every reader; those that know Parquet's JSON annotation, as DuckDB does, offer it as JSON."""
TEXTS = pa.list_(pa.field("element", TEXT))

COUNTED = ("sequence",)
"""Columns that always hold a number; 0 in rows of a schema that did not have them."""

Columns = list[Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """How one topic is stored."""

    schema: pa.Schema
    time: str
    """The column whose UTC date names the folder."""
    repeating: tuple[str, ...]
    """Columns of few distinct values: worth a Parquet dictionary."""
    bounded: tuple[str, ...]
    """Columns whose smallest and largest value let a reader skip a row group."""
    columns: Callable[[Sequence[Any]], Columns]
    since_2: tuple[str, ...] = ()
    """Columns that rows of schema 1 do not have."""

    def has(self, column: str, version: int) -> bool:
        """Whether rows of a schema have a column."""
        return version > 1 or column not in self.since_2


def current(topic: str, rows: pa.Table) -> pa.Table:
    """Stored rows of a topic in today's columns. What an earlier schema did not hold is missing, or 0.

    Raises ArrowException where a column is not what it should be.
    """
    schema = LAYOUTS[topic].schema
    for field in schema:
        if field.name not in rows.schema.names:
            absent = pa.nulls(rows.num_rows, field.type) if field.nullable else pa.repeat(0, rows.num_rows)
            rows = rows.append_column(field, absent)
    return rows.select(schema.names).cast(schema)


def record_batch(topic: str, outputs: Sequence[Output]) -> pa.RecordBatch:
    """The rows of `outputs`, in their order. Every output must be of the topic's own kind; none gives no rows."""
    layout = LAYOUTS[topic]
    if not outputs:
        return pa.RecordBatch.from_pylist([], schema=layout.schema)
    columns = layout.columns(outputs)
    arrays = [build(values) for values, build in zip(columns, _BUILDERS[topic], strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=layout.schema)


def packed(batches: Sequence[pa.RecordBatch]) -> tuple[pa.RecordBatch, bytes]:
    """Batches of one topic as one, and that as bytes: an Arrow IPC stream, compressed."""
    rows = batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_PACKING) as stream:
        stream.write_batch(rows)
    return rows, sink.getvalue().to_pybytes()


def unpacked(topic: str, stored: bytes) -> pa.RecordBatch:
    """The rows of a topic that `packed` made bytes of."""
    with pa.ipc.open_stream(stored) as stream:
        return current(topic, stream.read_all()).combine_chunks().to_batches()[0]


def _builder(type_: pa.DataType) -> Callable[[Sequence[Any]], pa.Array]:
    """How a column of this type is made; chosen once, for comparing Arrow types costs as much as a small column."""
    if type_ == INSTANT:
        return lambda values: pa.array(values, _WHOLE).view(INSTANT)
    if type_ == JSON:
        return lambda values: pa.ExtensionArray.from_storage(JSON, pa.array(values, TEXT))
    return lambda values: pa.array(values, type_)


def _facts(events: Sequence[Event]) -> Columns:
    identifiers, ids, types, names, channels, occurred, received, _, sources, previous, dropped, bodies, places, _ = (
        zip(*events, strict=True)
    )
    firsts = [keys[0].partition(":") for keys in identifiers]
    return [
        ids,
        types,
        [
            name if type_ == "track" else _own_name(type_, body)
            for type_, name, body in zip(types, names, bodies, strict=True)
        ],
        channels,
        occurred,
        received,
        [first[0] for first in firsts],
        [first[2] for first in firsts],
        identifiers,
        _json(body.get("properties") for body in bodies),
        _json(body.get("traits") for body in bodies),
        _json(body.get("context") for body in bodies),
        [_text(body["groupId"]) if "groupId" in body else None for body in bodies],
        previous,
        sources,
        [_dropped(each) if each else None for each in dropped],
        places,
        [category if isinstance(category := body.get("category"), str) else None for body in bodies],
        [None if (text := body.get("sentAt")) is None else parse(text) for body in bodies],
        [None if (text := body.get("originalTimestamp")) is None else parse(text) for body in bodies],
        [_extra(type_, body) for type_, body in zip(types, bodies, strict=True)],
    ]


def _own_name(type_: str, body: Mapping[str, Any]) -> str | None:
    """A page's or screen's own `name`; other calls have none."""
    name = body.get("name") if type_ in ("page", "screen") else None
    return name if isinstance(name, str) else None


def _extra(type_: str, body: Mapping[str, Any]) -> bytes | None:
    """The fields of a call that no column holds, as they were sent."""
    columns = _TRACK_COLUMNS if type_ == "track" else _CALL_COLUMNS
    if body.keys() <= columns:
        return None
    others = body.keys() - columns
    if body.get("category") is None or isinstance(body["category"], str):
        others.discard("category")
    if _own_name(type_, body) is not None:
        others.discard("name")
    return orjson.dumps({field: body[field] for field in body if field in others}) if others else None


_CALL_COLUMNS = frozenset(
    (
        *("type", "messageId", "userId", "anonymousId", "previousId", "groupId"),
        *("timestamp", "originalTimestamp", "sentAt", "properties", "traits", "context"),
    )
)
"""Fields of every call that a column holds, or what was made of them."""
_TRACK_COLUMNS = _CALL_COLUMNS | {"event"}


def _json(values: Iterable[object]) -> list[bytes | None]:
    dumps = orjson.dumps
    return [None if value is None else dumps(value) for value in values]


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _dropped(dropped: Sequence[Dropped]) -> bytes:
    return orjson.dumps([each._asdict() for each in dropped])


def _triggers(triggers: Sequence[Trigger]) -> Columns:
    columns = _transposed(triggers)
    columns[6] = _json(columns[6])
    return columns


def _transposed(messages: Sequence[tuple[Any, ...]]) -> Columns:
    return list(zip(*messages, strict=True))


def _schema(**fields: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, type_, nullable=name not in COUNTED) for name, type_ in fields.items()])


LAYOUTS: Mapping[str, Layout] = {
    "facts": Layout(
        _schema(
            message_id=TEXT,
            type=TEXT,
            name=TEXT,
            channel=TEXT,
            occurred_at=INSTANT,
            received_at=INSTANT,
            identifier_type=TEXT,
            identifier_value=TEXT,
            identifiers=TEXTS,
            properties=JSON,
            traits=JSON,
            context=JSON,
            group_id=TEXT,
            previous_id=TEXT,
            source=TEXT,
            dropped=JSON,
            sequence=pa.int64(),
            category=TEXT,
            sent_at=INSTANT,
            original_timestamp=INSTANT,
            extra=JSON,
        ),
        time="occurred_at",
        repeating=("type", "name", "channel", "identifier_type", "source"),
        bounded=("type", "name", "occurred_at", "received_at", "dropped"),
        columns=_facts,
        since_2=("sequence", "category", "sent_at", "original_timestamp", "extra"),
    ),
    "triggers": Layout(
        _schema(
            trigger_id=TEXT,
            rule=TEXT,
            version=TEXT,
            profile_id=TEXT,
            run_key=TEXT,
            action=TEXT,
            payload=JSON,
            fired_at=INSTANT,
            event_at=INSTANT,
        ),
        time="fired_at",
        repeating=("rule", "version", "action"),
        bounded=("rule", "fired_at", "event_at"),
        columns=_triggers,
    ),
    "decisions": Layout(
        _schema(
            rule=TEXT,
            version=TEXT,
            profile_id=TEXT,
            run_key=TEXT,
            message_id=TEXT,
            verdict=TEXT,
            detail=TEXT,
            decided_at=INSTANT,
        ),
        time="decided_at",
        repeating=("rule", "version", "verdict"),
        bounded=("rule", "decided_at"),
        columns=_transposed,
    ),
    "identity": Layout(
        _schema(
            decision=pa.int64(),
            kind=TEXT,
            a=TEXT,
            b=TEXT,
            winner=TEXT,
            loser=TEXT,
            moved=TEXTS,
            root=TEXT,
            reason=TEXT,
            message_id=TEXT,
            decided_at=INSTANT,
        ),
        time="decided_at",
        repeating=("kind", "reason"),
        bounded=("decision", "kind", "decided_at"),
        columns=_transposed,
    ),
    "rejected": Layout(
        _schema(
            rejected_at=INSTANT,
            stage=TEXT,
            code=TEXT,
            field=TEXT,
            value=TEXT,
            expectation=TEXT,
            source=TEXT,
            payload=pa.binary(),
            length=pa.int64(),
            sha256=TEXT,
            rejection_id=TEXT,
        ),
        time="rejected_at",
        repeating=("stage", "code", "field", "expectation", "source"),
        bounded=("code", "rejected_at"),
        columns=_transposed,
    ),
}

_PACKING = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
_WHOLE = pa.int64()
_BUILDERS = {topic: [_builder(field.type) for field in layout.schema] for topic, layout in LAYOUTS.items()}

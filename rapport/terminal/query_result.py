"""The result of a query in the form that was asked for. Numbers leave as exact as DuckDB gave them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from rapport.customers import queries
from rapport.terminal import output
from sinks.marts import query

if TYPE_CHECKING:
    from pyarrow import Schema

SHOWN = 200
"""Rows of a table on the terminal."""


def run(data: Path, sql: str, format_: str) -> None:
    """Writes the rows of one SELECT to stdout. Raises QueryError."""
    with queries.opened(data) as connection:
        FORMATS[format_](query.run(connection, sql))


def describe(data: Path, format_: str) -> None:
    """Writes every table with its columns: as tables, or as JSON."""
    with queries.opened(data) as connection:
        tables = query.describe(connection)
    if format_ == "json":
        columns = ("name", "type", "comment")
        output.emit(
            [
                {
                    "table": each.name,
                    "comment": each.comment,
                    "columns": [{name: getattr(column, name) for name in columns} for column in each.columns],
                }
                for each in tables
            ]
        )
        return
    for each in tables:
        shown = ((column.name, column.type, column.comment) for column in each.columns)
        output.show(output.plain(f"{each.name}  {each.comment}"), output.table("", ("column", "type", ""), shown), "")


def _rows(result: query.Result) -> Iterator[tuple[Any, ...]]:
    """Rows of Python values; a map is a dict, and of a key that comes twice in it the last counts."""
    for batch in result.batches:
        yield from zip(*(column.to_pylist(maps_as_pydicts="lossy") for column in batch.columns), strict=True)


def _table(result: query.Result) -> None:
    rows = _rows(result)
    names = [f">{field.name}" if _is_number(str(field.type)) else field.name for field in result.schema]
    output.show(output.table("", names, (map(_cell, row) for row in islice(rows, SHOWN))))
    if next(rows, None) is not None:
        output.say(f"The first {SHOWN} rows; all of them: --format csv, json or parquet.")


def _is_number(type_: str) -> bool:
    return type_.startswith(("int", "uint", "double", "float", "decimal"))


def _cell(value: Any) -> str | None:
    """A value as text, for people and for CSV."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple):
        return _encoded(value).decode()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def _csv(result: query.Result) -> None:
    out = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(result.schema.names)
        for row in _rows(result):
            writer.writerow(map(_cell, row))
    finally:
        out.detach()


def _json(result: query.Result) -> None:
    """One array of objects, a row a line."""
    names, write = _distinct(result.schema), sys.stdout.buffer.write
    before = b"[\n"
    for row in _rows(result):
        write(before + _encoded(dict(zip(names, row, strict=True))))
        before = b",\n"
    write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _distinct(schema: Schema) -> list[str]:
    """Column names as keys: a name that comes again gets its place behind it, so no column is lost."""
    names: list[str] = []
    for place, name in enumerate(schema.names, 1):
        names.append(f"{name}_{place}" if name in names else name)
    return names


def _encoded(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> Any:
    """What JSON has no type for: exact numbers stay numbers, times are ISO 8601, bytes are text or else hex."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f")) if value.is_finite() else None
    if isinstance(value, int):
        return orjson.Fragment(str(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return str(value)


def _parquet(result: query.Result) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(sys.stdout.buffer, result.schema, compression="zstd") as writer:
        for batch in result.batches:
            writer.write_batch(batch)


FORMATS: dict[str, Callable[[query.Result], None]] = {"table": _table, "csv": _csv, "json": _json, "parquet": _parquet}

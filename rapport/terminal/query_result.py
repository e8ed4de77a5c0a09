"""The result of a query in the form that was asked for. Numbers leave as exact as DuckDB gave them."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from duckdb.sqltypes import DuckDBPyType

from rapport.customers import queries
from rapport.terminal import output, values
from sinks.marts import query

_TO_QUOTE = re.compile(r'[",\r\n]')

SHOWN = 200
"""Rows of a table on the terminal."""


def run(data: Path, sql: str, format_: str) -> None:
    """Writes the rows of one SELECT to stdout. Raises QueryError."""
    FORMATS[format_](data, sql)


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


@contextmanager
def _asked(data: Path, sql: str) -> Iterator[query.Result]:
    with queries.opened(data) as connection:
        yield query.run(connection, sql)


def _rows(result: query.Result, form: Callable[[DuckDBPyType, bool], values.Form]) -> Iterator[tuple[Any, ...]]:
    forms = [form(type_, result.in_utc) for _, type_ in result.columns]
    for batch in result.batches:
        columns = [map(each, column.to_pylist()) for each, column in zip(forms, batch.columns, strict=True)]
        yield from zip(*columns, strict=True)


def _table(data: Path, sql: str) -> None:
    with _asked(data, sql) as result:
        rows = _rows(result, values.as_text)
        names = [f">{name}" if type_.id in values.NUMBERS else name for name, type_ in result.columns]
        output.show(output.table("", names, islice(rows, SHOWN)))
        if next(rows, None) is not None:
            output.say(f"The first {SHOWN} rows; all of them: --format csv, json or parquet.")


def _csv(data: Path, sql: str) -> None:
    """NULL is nothing between two commas, an empty text is `""`."""
    write = sys.stdout.buffer.write
    with _asked(data, sql) as result:
        header = tuple(name for name, _ in result.columns)
        for row in chain([header], _rows(result, values.as_text)):
            write(",".join(map(_csv_cell, row)).encode() + b"\n")


def _csv_cell(value: str | None) -> str:
    if value is None:
        return ""
    if value and not _TO_QUOTE.search(value):
        return value
    return '"' + value.replace('"', '""') + '"'


def _json(data: Path, sql: str) -> None:
    """One array of objects, a row a line."""
    write = sys.stdout.buffer.write
    with _asked(data, sql) as result:
        names = [name for name, _ in result.columns]
        before = b"[\n"
        for row in _rows(result, values.as_json):
            write(before + orjson.dumps(dict(zip(names, row, strict=True))))
            before = b",\n"
        write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _parquet(data: Path, sql: str) -> None:
    """By way of a file, for DuckDB writes nothing else."""
    with TemporaryDirectory(prefix="rapport-query-") as folder:
        file = Path(folder) / "rows.parquet"
        with queries.opened(data, writes=file) as connection:
            query.write_parquet(connection, sql, file)
        with file.open("rb") as written:
            shutil.copyfileobj(written, sys.stdout.buffer)


FORMATS: dict[str, Callable[[Path, str], None]] = {"table": _table, "csv": _csv, "json": _json, "parquet": _parquet}

"""The result of a query in the form that was asked for. Numbers leave as exact as DuckDB gave them."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from duckdb.sqltypes import DuckDBPyType

from rapport.customers import queries
from rapport.terminal import output, values
from rapport.terminal.layout import Column
from schemas.errors import QueryError
from schemas.money import as_written
from schemas.nearest import nearest
from sinks.marts import query

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a formula begins; the last four are the full-width forms of the first four."""
_TO_QUOTE = re.compile(r'[",\r\n]')

DESCRIBED = (Column("column"), Column("type"), Column("", prose=True))
SHOWN = 200
"""Rows of a table on the terminal."""


def run(data: Path, sql: str, format_: str, safe: bool) -> None:
    """Writes the rows of one SELECT to stdout; with `safe` as CSV without formulas. Raises QueryError."""
    if safe:
        _csv(data, sql, _harmless)
    else:
        FORMATS[format_](data, sql)


def describe(data: Path, name: str | None, format_: str) -> None:
    """Writes one table or every one with its columns, as tables or as JSON. Raises QueryError where it is not there."""
    with queries.opened(data) as connection:
        tables = query.describe(connection)
    if name is not None:
        tables = _named(tables, name)
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
        output.show(output.plain(f"{each.name}  {each.comment}"))
        output.show_rows(DESCRIBED, [astuple(column) for column in each.columns], upright=False)
        output.show("")


def _named(tables: Sequence[query.Table], name: str) -> Sequence[query.Table]:
    """Those of this name, with or without its schema."""
    known = {each.name: each.name for each in tables} | {each.name.partition(".")[2]: each.name for each in tables}
    found = [each for each in tables if name.lower() in (each.name, each.name.partition(".")[2])]
    if not found:
        near = nearest(name.lower(), known)
        hint = f"did you mean {known[near]}?" if near else "rapport query --tables lists all."
        raise QueryError(f"There is no table {name!r}: {hint}")
    return found


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
        columns = [
            Column(name, right=type_.id in values.NUMBERS, prose=values.is_json(type_) or type_.id == "varchar")
            for name, type_ in result.columns
        ]
        output.show_rows(columns, map(_money_form(result), islice(rows, SHOWN)))
        if next(rows, None) is not None:
            output.say(f"The first {SHOWN} rows; all of them: --format csv, json or parquet.")


def _money_form(result: query.Result) -> Callable[[tuple[Any, ...]], Sequence[Any]]:
    """What gives the amounts of a row, its decimals, the digits of the currency that stands in the same row."""
    names = [name.lower() for name, _ in result.columns]
    if "currency" not in names:
        return tuple
    unit = names.index("currency")
    amounts = {place for place, (_, type_) in enumerate(result.columns) if type_.id == "decimal"}
    return lambda row: [
        as_written(value, row[unit]) if place in amounts and value is not None else value
        for place, value in enumerate(row)
    ]


def _csv(data: Path, sql: str, told: Callable[[str], str] = str) -> None:
    """NULL is nothing between two commas, an empty text is `""`. What is no number is written as `told` says."""
    write = sys.stdout.buffer.write
    with _asked(data, sql) as result:
        header = [told(name) for name, _ in result.columns]
        texts = {place for place, (_, type_) in enumerate(result.columns) if type_.id not in values.NUMBERS}
        for row in chain([header], _rows(result, values.as_text)):
            cells = (told(cell) if place in texts and cell else cell for place, cell in enumerate(row))
            write(",".join(map(_csv_cell, cells)).encode() + b"\n")


def _harmless(cell: str) -> str:
    """With an apostrophe before what a spreadsheet would take for a formula (OWASP, CSV Injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


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
